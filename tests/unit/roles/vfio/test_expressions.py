# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tasks of the role decide by, evaluated by Ansible itself from the files of the repository."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROOT = pathlib.Path(__file__).resolve().parents[4]
RULES, RECORD = "/etc/udev/rules.d/10-hearth-vfio.rules", "/var/lib/hearth/vfio"
NIC, DISK = {"address": "0000:03:00.0", "number": 4}, {"address": "0000:04:00.0", "state": "absent"}


def load(path: str) -> t.Any:
    return DataLoader().load_from_file(str(ROOT / path), trusted_as_template=True)


def evaluate(role: str, name: str, **facts: t.Any) -> t.Any:
    """Return a variable of a role on a host with such facts."""
    variables = {**load(f"roles/{role}/defaults/main.yml"), **load(f"roles/{role}/vars/main.yml"), **facts}
    return Templar(loader=DataLoader(), variables=variables).template(variables[name])


def export(**result: t.Any) -> dict[str, t.Any]:
    """Return the facts that the role exports of a result of vfio_bind."""
    task = load("roles/vfio/tasks/export.yml")[0]
    empty = {"files": {}, "requests": [], "groups": [], "reboot_required": False, "reason": ""}
    variables = {**task["vars"], "__vfio_result": {**empty, **result}}
    facts: dict[str, t.Any] = Templar(loader=DataLoader(), variables=variables).template(
        task["ansible.builtin.set_fact"]
    )
    return facts


def device(address: str, at_boot: str) -> dict[str, t.Any]:
    return {"address": address, "driver_at_boot": at_boot, "binds": bool(at_boot), "hostdev": "<hostdev/>"}


def test_the_drivers_that_devices_get_at_boot_go_into_the_initramfs_and_no_others() -> None:
    facts = export(
        devices=[
            device("0000:01:00.0", "vfio-pci"),
            device("0000:03:00.1", "mlx5_vfio_pci"),
            device("0000:03:00.2", "mlx5_vfio_pci"),
            device("0000:04:00.0", ""),
        ]
    )
    assert facts["vfio_modules"] == ["vfio_pci", "mlx5_vfio_pci"]
    declared = [{"name": name, "owners": ["vfio"]} for name in ("vfio_pci", RULES)]
    host = {
        "declare_merged": {"initramfs": declared, "modprobe_options": []},
        "vfio_files": {RULES: "text"},
        "vfio_modules": facts["vfio_modules"],
    }
    assert sorted(evaluate("boot", "__boot_inside", **host)) == [RULES, "mlx5_vfio_pci", "vfio_pci"]
    assert evaluate("boot", "__boot_inside_owners", **host)["mlx5_vfio_pci"] == ["vfio"]
    alone = {**host, "vfio_modules": [], "vfio_files": {RULES: ""}}
    assert evaluate("boot", "__boot_inside", **alone) == ["vfio_pci"]


@pytest.mark.parametrize(
    ("check", "result", "item", "unborn"),
    [
        (True, {"changed": True, "runtime_changed": True}, NIC, True),
        (True, {"changed": True, "runtime_changed": False}, NIC, False),
        (True, {"changed": True, "runtime_changed": True}, DISK, False),
        (False, {"changed": True, "runtime_changed": True}, NIC, False),
    ],
    ids=["new ones", "only a rule", "taken back", "no prediction"],
)
def test_virtual_functions_are_unborn_where_check_mode_only_foretells_them(
    check: bool, result: dict[str, t.Any], item: dict[str, t.Any], unborn: bool
) -> None:
    facts = {"ansible_check_mode": check, "__vfio_functions": result, "__vfio_item": item}
    assert evaluate("vfio", "__vfio_foretold", **facts) is unborn


def test_check_mode_hands_on_what_earlier_tasks_would_have_written() -> None:
    facts = {"__vfio_bind_files": {RECORD: ""}, "__vfio_sriov_files": {"/var/lib/hearth/sriov": "text"}}
    told = evaluate("vfio", "__vfio_contents", ansible_check_mode=True, **facts)
    assert told == {RECORD: "", "/var/lib/hearth/sriov": "text"}
    assert evaluate("vfio", "__vfio_contents", ansible_check_mode=False, **facts) == {}
    assert evaluate("vfio", "__vfio_contents", ansible_check_mode=True) == {}


@pytest.mark.parametrize(
    ("recorded", "given_back", "left"),
    [("", [], False), ("text", [], True), ("", ["0000:03:00.0"], True)],
    ids=["nothing", "devices", "virtual functions"],
)
def test_what_is_left_of_ours_is_known_from_the_look_of_the_persistent_half(
    recorded: str, given_back: list[str], left: bool
) -> None:
    facts = {"vfio_files": {RECORD: recorded}, "__vfio_looked": {"given_back": given_back}}
    assert evaluate("vfio", "__vfio_leftovers", **facts) is left
    assert evaluate("vfio", "__vfio_leftovers") is True, "nobody has looked"


def test_an_item_that_is_absent_is_no_wish() -> None:
    assert evaluate("vfio", "__vfio_present", vfio_sriov=[NIC, DISK]) == [NIC]
    assert evaluate("vfio", "__vfio_wanted", vfio_sriov=[NIC, DISK]) is True
    assert evaluate("vfio", "__vfio_wanted", vfio_sriov=[DISK]) is False


def request(status: str, lacking: list[str]) -> dict[str, t.Any]:
    return {"name": "kernel-args", "reason": f"why {status}", "status": status, "lacking": lacking}


@pytest.mark.parametrize(("check", "words"), [(True, "gpu01 would need"), (False, "gpu01 needs")])
def test_removal_says_in_the_end_what_only_a_reboot_takes_away(check: bool, words: str) -> None:
    task = load("playbooks/remove.yml")[0]["tasks"][-1]
    facts = {
        "inventory_hostname": "gpu01",
        "ansible_check_mode": check,
        "boot_requests": [request("pending", ["a is there", "b is there"]), request("fulfilled", [])],
        "vfio_requests": [request("failed", []), request("withdrawn", ["gone"])],
    }
    templar = Templar(loader=DataLoader(), variables={**task["vars"], **facts})
    message = templar.template(task["ansible.builtin.debug"]["msg"])
    assert message.startswith(words)
    assert "What waits for it is why pending: a is there, b is there; why failed. Reboot" in message
    none = Templar(
        loader=DataLoader(), variables={**task["vars"], "boot_requests": [request("withdrawn", [])]}
    )
    assert none.template(task["vars"]["remove_waits"]) == []
