# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tasks of the role decide by, evaluated by Ansible itself from the files of the repository."""

from __future__ import annotations

import base64
import functools
import pathlib
import typing as t

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROOT = pathlib.Path(__file__).resolve().parents[4]
NAT = {"name": "default", "ips": [{"address": "192.168.122.1/24"}]}
# CapEff of root in a systemd-nspawn container, without and with --capability=CAP_NET_ADMIN: bit 12 (capabilities(7)).
BARE, POWERFUL = "00000000fdecafff", "00000000fdecbfff"


@functools.cache
def load(path: str) -> t.Any:
    return DataLoader().load_from_file(str(ROOT / path), trusted_as_template=True)


def template(text: t.Any, **facts: t.Any) -> t.Any:
    variables = {
        **load("roles/firewall/defaults/main.yml"),
        **load("roles/firewall/vars/main.yml"),
        "inventory_hostname": "gpu01",
        "ansible_facts": {"os_family": "Debian", "virtualization_type": "kvm"},
        "ansible_check_mode": False,
        **facts,
    }
    return Templar(loader=DataLoader(), variables=variables).template(text)


def evaluate(name: str, **facts: t.Any) -> t.Any:
    """Return a variable of the role on a host with such facts."""
    return template(
        load("roles/firewall/defaults/main.yml").get(name) or load("roles/firewall/vars/main.yml")[name],
        **facts,
    )


def container(capabilities: str) -> dict[str, t.Any]:
    status = f"Name:\tpython3\nCapInh:\t0000000000000000\nCapEff:\t{capabilities}\nCapBnd:\t{BARE}\n"
    return {"__firewall_self": {"content": base64.b64encode(status.encode()).decode()}}


# --- what the role declares --------------------------------------------------------------------


def test_the_way_in_of_who_manages_the_host_is_declared_like_any_other_port() -> None:
    ports = ["22/tcp", "8000-8002/tcp", "ssh", "4789/udp"]
    declared = evaluate(
        "firewall_declarations", firewall_management=["192.0.2.0/24"], firewall_management_ports=ports
    )
    assert declared == {
        "ports": [
            {"name": "ssh", "port": "22", "proto": "tcp", "from": "mgmt"},
            {"name": "ssh", "port": "8000-8002", "proto": "tcp", "from": "mgmt"},
            {"name": "ssh", "port": "4789", "proto": "udp", "from": "mgmt"},
        ]
    }


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"firewall_management": ["any"], "firewall_enabled": False},
        {"firewall_management": ["any"], "firewall_management_ports": ["ssh"]},
    ],
    ids=["nobody manages", "no firewall", "no number"],
)
def test_nothing_is_declared_that_nobody_could_merge(facts: dict[str, t.Any]) -> None:
    assert evaluate("firewall_declarations", **facts) == {}


def test_a_zone_mgmt_of_the_inventory_manages_the_host() -> None:
    assert evaluate("firewall_management", firewall_zones={"mgmt": {"sources": ["192.0.2.0/24"]}}) == ["mgmt"]
    assert evaluate("firewall_management") == []


# --- guests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("networks", "bridges"),
    [
        ([NAT], ["virbr+"]),
        ([], []),
        ([{**NAT, "state": "absent"}], []),
        ([{**NAT, "state": "present", "bridge": "br-nat"}, NAT, NAT], ["br-nat", "virbr+"]),
        ([{**NAT, "bridge": ""}], ["virbr+"]),
        ([{**NAT, "bridge": None}], ["virbr+"]),
        ([{"name": "lan", "forward": "bridge", "bridge": "br-lan"}], []),
        ([{**NAT, "forward": "route"}, {**NAT, "forward": "none", "bridge": "alone"}], ["alone", "virbr+"]),
    ],
)
def test_guests_are_where_the_role_kvm_gives_them_addresses(
    networks: list[dict[str, t.Any]], bridges: list[str]
) -> None:
    assert evaluate("firewall_guest_networks", kvm_networks=networks) == bridges


@pytest.mark.parametrize(("owners", "bridges"), [(["kvm"], ["virbr+"]), (["vfio"], [])])
def test_a_play_without_the_role_kvm_cuts_no_guest_off(owners: list[str], bridges: list[str]) -> None:
    merged = {"ports": [], "modules": [{"name": "vhost_net", "owners": owners}]}
    assert evaluate("firewall_guest_networks", declare_merged=merged) == bridges
    assert evaluate("firewall_guest_networks", __firewall_read={"merged": merged}) == bridges
    assert evaluate("firewall_guest_networks") == []


# --- who has no firewall -----------------------------------------------------------------------


def test_a_container_that_may_not_change_its_network_is_left_out_by_name() -> None:
    assert "CAP_NET_ADMIN" in evaluate("__firewall_left_out", **container(BARE))
    assert evaluate("__firewall_left_out", **container(POWERFUL)) == ""
    assert evaluate("__firewall_left_out") == ""
    # The task that looks is skipped on a machine.
    assert evaluate("__firewall_left_out", __firewall_self={"skipped": True, "changed": False}) == ""


def test_who_wants_none_of_ours_gets_none() -> None:
    assert "firewall_enabled" in evaluate("__firewall_left_out", firewall_enabled=False)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({}, ""),
        ({"gpu_host_phase": "bake"}, "no live rules"),
        ({"ansible_check_mode": True}, "in check mode"),
        ({"firewall_enabled": False, "ansible_check_mode": True}, "firewall_enabled"),
    ],
)
def test_what_cannot_be_proven_is_not_proven(facts: dict[str, t.Any], why: str) -> None:
    found = evaluate("__firewall_unproven", **facts)
    assert why in found and bool(found) is bool(why)


@pytest.mark.parametrize(
    ("family", "blocked", "packages"),
    [
        ("Debian", [], ["iptables"]),
        ("Debian", ["192.0.2.0/24"], ["iptables", "ipset"]),
        ("RedHat", [], ["iptables-nft"]),
    ],
)
def test_sets_are_installed_for_a_block_list_only(
    family: str, blocked: list[str], packages: list[str]
) -> None:
    facts = {"ansible_facts": {"os_family": family}, "firewall_blocklist": blocked}
    assert evaluate("__firewall_packages", **facts) == packages


@pytest.mark.parametrize(
    ("check", "missing", "unborn"),
    [
        (True, ["iptables"], True),
        (True, ["qemu-utils"], False),
        (True, [], False),
        (False, ["iptables"], False),
    ],
)
def test_check_mode_foretells_nothing_of_programs_that_are_missing(
    check: bool, missing: list[str], unborn: bool
) -> None:
    assert evaluate("__firewall_unborn", ansible_check_mode=check, packages_missing=missing) is unborn


# --- the refusal -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("session", "says"),
    [
        ({"stdout": "2001:db8::7 40022 2001:db8::11 22"}, 'from 2001:db8::7. Remedy: add a line LINE: ["2001:db8::7"]'),
        ({"stdout": "", "rc": 1}, 'the rest. Remedy: add a line LINE: ["192.0.2.0/24"]'),
        ({"skipped": True}, 'firewall_management: ["192.0.2.0/24"]'),
    ],
    ids=["over SSH", "another connection", "an image"],
)  # fmt: skip
def test_without_management_the_line_to_add_is_told(session: dict[str, t.Any], says: str) -> None:
    fail = load("roles/firewall/tasks/refuse.yml")[1]["ansible.builtin.fail"]["msg"]
    line = "to the inventory, such as firewall_management"
    assert says.replace("LINE", line) in template(fail, __firewall_session=session)


# --- the proof ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "shown", "status", "why"),
    [
        ([], ["UnitFileState=enabled", "ActiveState=active"], "pass", "every boot loads them"),
        ([], ["UnitFileState=enabled", "ActiveState=inactive"], "pass", "every boot loads them"),
        (["run x"], ["UnitFileState=enabled", "ActiveState=active"], "fail", "to do: run x"),
        ([], ["UnitFileState=disabled", "ActiveState=active"], "fail", "is not enabled"),
        ([], ["UnitFileState=enabled", "ActiveState=failed"], "fail", "failed at the last boot"),
        ([], None, "fail", "is not enabled"),
    ],
)
def test_the_proof_is_the_module_finding_nothing_and_systemd_loading_it(
    result: list[str], shown: list[str] | None, status: str, why: str
) -> None:
    seen = load("roles/firewall/tasks/look.yml")[-1]["ansible.builtin.set_fact"]
    look: dict[str, t.Any] = {
        "__firewall_result": {"actions": result},
        "__firewall_shown": {"stdout_lines": shown or []},
    }
    facts = template(seen, **look)
    export = load("roles/firewall/tasks/verify.yml")[2]
    proof = template(export["ansible.builtin.set_fact"], **export["vars"], **facts)["firewall_verified"]
    assert proof["status"] == status
    assert why in proof["why"]


def test_what_is_not_kept_for_the_boot_is_not_asked_of_the_boot() -> None:
    seen = load("roles/firewall/tasks/look.yml")[-1]["ansible.builtin.set_fact"]
    look: dict[str, t.Any] = {"__firewall_result": {"actions": []}, "__firewall_shown": {"skipped": True}}
    facts = template(seen, firewall_persist="none", **look)
    export = load("roles/firewall/tasks/verify.yml")[2]
    proof = template(export["ansible.builtin.set_fact"], firewall_persist="none", **export["vars"], **facts)
    assert proof["firewall_verified"] == {"status": "pass", "why": "the live rules are those of the policy"}


def test_the_proof_and_the_run_make_the_same_call() -> None:
    for name in ("look", "configure"):
        files = [
            task.get("ansible.builtin.import_tasks") for task in load(f"roles/firewall/tasks/{name}.yml")
        ]
        assert "baseline.yml" in files
    look = [task for task in load("roles/firewall/tasks/look.yml") if "ansible.builtin.import_tasks" in task]
    assert look[-1]["check_mode"] is True


# --- the site ----------------------------------------------------------------------------------


def names(playbook: str) -> list[str]:
    play = load(playbook)[0]
    roles = [role["role"].rpartition(".")[2] for role in play.get("roles", [])]
    return roles or [
        task["ansible.builtin.include_role"]["name"].rpartition(".")[2]
        for task in play["tasks"]
        if "ansible.builtin.include_role" in task
    ]


def test_the_firewall_comes_after_all_that_declare_ports_and_before_the_proof() -> None:
    site = names("playbooks/site.yml")
    assert site.index("kvm") < site.index("firewall") < site.index("verify") < site.index("report")
    assert site.index("declare") < site.index("firewall")


def test_it_is_removed_first_while_its_declaration_is_still_there() -> None:
    removal = names("playbooks/remove.yml")
    assert (
        removal.index("preflight")
        < removal.index("firewall")
        < removal.index("kvm")
        < removal.index("declare")
    )
    play = load("playbooks/remove.yml")[0]
    (declare,) = [task for task in play["tasks"] if "declare_roles" in task.get("vars", {})]
    assert "firewall" in declare["vars"]["declare_roles"]


@pytest.mark.parametrize(
    ("facts", "roles"),
    [
        (
            {"ansible_play_role_names": ["hearth.gpu_host.kvm", "hearth.gpu_host.firewall"]},
            ["kvm", "firewall"],
        ),
        ({"ansible_play_role_names": ["hearth.gpu_host.kvm"]}, ["kvm"]),
        (
            {
                "ansible_play_role_names": ["firewall"],
                "reboot_done": True,
                "vfio_devices": [{"class": "0302"}],
            },
            ["boot", "reboot", "vfio", "kvm", "firewall"],
        ),
    ],
)
def test_the_firewall_is_proven_last_and_where_the_play_has_it(
    facts: dict[str, t.Any], roles: list[str]
) -> None:
    variables = {**load("roles/verify/defaults/main.yml"), **load("roles/verify/vars/main.yml"), **facts}
    templar = Templar(loader=DataLoader(), variables=variables)
    assert templar.template(variables["verify_roles"]) == roles


def test_the_report_gets_what_the_role_exports() -> None:
    task = load("roles/report/tasks/write.yml")[0]
    assert "firewall_state" in task["hearth.gpu_host.readiness_report"]["firewall"]
