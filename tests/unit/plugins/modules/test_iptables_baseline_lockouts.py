# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest
from firewall_main import ARTICLE, PLAIN, FakeHost, Task

REJECT = "-j REJECT --reject-with icmp-port-unreachable"
OPEN = "-m conntrack --ctstate NEW -m comment --comment stranger -j ACCEPT"


@pytest.fixture
def fake(tmp_path: pathlib.Path) -> FakeHost:
    return FakeHost(tmp_path)


@pytest.fixture
def task(fake: FakeHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    return Task(fake, monkeypatch, capsys)


def rules(fake: FakeHost, family: int, chain: str) -> tuple[str, ...]:
    return fake.tables[family].rules(chain)


DENIES_ALL = {"where": "first", "rule": "-j DROP"}
LOCKOUTS: dict[str, tuple[dict[str, t.Any], str]] = {
    "a policy without SSH": ({"management": []}, "controller"),
    "the wrong management network": ({"management": ["198.51.100.0/24"]}, "controller"),
    "a drop before what is established": ({"extra_rules": [DENIES_ALL]}, "established"),
    "a controller behind another address": ({"controller": "203.0.113.5"}, "controller"),
    "management over IPv6 only": ({"management": ["2001:db8:1::/64"]}, "controller"),
    "no neighbour discovery": ({"essential_icmp": False}, "neighbour_discovery"),
    "loopback dropped": ({"extra_rules": [DENIES_ALL]}, "loopback"),
    "management dropped": ({"extra_rules": [DENIES_ALL]}, "management"),
}


@pytest.mark.parametrize("case", LOCKOUTS)
def test_a_lock_out_is_refused_by_its_name_and_can_be_lifted_under_the_guard(
    case: str, task: Task, fake: FakeHost
) -> None:
    change, name = LOCKOUTS[case]
    result = task.refused(**{**ARTICLE, **change})
    assert name in {objection["name"] for objection in result["objections"]}
    assert f"[{name}]" in result["msg"]
    assert f"allow: [{name}]" in result["remedy"]
    names = sorted({objection["name"] for objection in result["objections"]})
    allowed = task.predicted(**{**ARTICLE, **change}, allow=names)
    assert fake.armed() == [allowed["guard"]["token"]]
    assert all(objection["allowed"] for objection in allowed["objections"])


def test_lifting_one_refusal_leaves_the_others(task: Task) -> None:
    result = task.refused(
        **ARTICLE, extra_rules=[DENIES_ALL], allow=["loopback", "established", "management"]
    )
    names = {objection["name"] for objection in result["objections"]}
    assert "controller" in names
    assert "loopback" not in names


def test_a_foreign_reject_that_hides_us_is_refused(task: Task, fake: FakeHost) -> None:
    # Whatever stands above a jump that may not pass it: here behind fail2ban, which keeps the first place.
    fake.insert(4, "f2b-all", "-j DROP")
    fake.insert(4, "INPUT", "-j f2b-all")
    result = task.refused(**ARTICLE)
    assert "foreign_above" in {objection["name"] for objection in result["objections"]}


def test_a_foreign_reject_at_the_end_has_our_jump_before_it(task: Task, fake: FakeHost) -> None:
    fake.insert(4, "INPUT", REJECT)
    task.confirmed(**PLAIN)
    assert rules(fake, 4, "INPUT") == ("-j HEARTH-EARLY", "-j HEARTH-INPUT", REJECT)


def test_what_others_let_in_is_warned_of_each_time(task: Task, fake: FakeHost) -> None:
    fake.insert(4, "INPUT", OPEN)
    cautions = task.confirmed(**PLAIN)["cautions"]
    assert any("accepted by" in caution for caution in cautions)
    task.warned.clear()
    assert task(**PLAIN)["cautions"] == cautions == task.warned


def test_our_removal_under_a_foreign_drop_policy_is_refused(task: Task, fake: FakeHost) -> None:
    task.confirmed(**PLAIN)
    fake.set_policy(4, "INPUT", "DROP")
    result = task.refused(state="absent")
    assert "-P INPUT DROP" in result["msg"]


def test_the_interface_of_the_caller_is_asked_for_where_zones_have_interfaces(
    task: Task, fake: FakeHost
) -> None:
    zones = {"mgmt": {"sources": ["192.0.2.0/24", "2001:db8:1::/64"], "interfaces": ["eno1"]}}
    task.confirmed(**{**PLAIN, "zones": zones, "management": ["mgmt"]})
    zones["mgmt"]["interfaces"] = ["eno2"]
    assert "controller" in task.refused(**{**PLAIN, "zones": zones, "management": ["mgmt"]})["msg"]


def test_other_firewalls_are_refused_and_warned_of(task: Task, fake: FakeHost) -> None:
    fake.write("/etc/ufw/ufw.conf", "ENABLED=yes\n")
    fake.write("/etc/systemd/system/sysinit.target.wants/nftables.service")
    fake.write("/etc/systemd/system/multi-user.target.wants/netfilter-persistent.service")
    fake.write("/etc/iptables/rules.v4", "*filter\n:DOCKER - [0:0]\nCOMMIT\n")
    assert "[other_firewall] ufw is active" in task.refused(**PLAIN)["msg"]
    cautions = task.confirmed(**PLAIN, allow=["other_firewall"])["cautions"]
    assert ["nftables" in caution for caution in cautions] == [True, False]
    assert "docker" in cautions[1]
    assert task.predicted(state="absent", rollback_timeout=0)["cautions"] == []


@pytest.mark.parametrize("unit", ["firewalld", "iptables", "ip6tables"])
def test_a_firewall_that_comes_later_is_told_by_a_run_that_changes_nothing(
    unit: str, task: Task, fake: FakeHost
) -> None:
    task.confirmed(**PLAIN)
    fake.write(f"/etc/systemd/system/multi-user.target.wants/{unit}.service")
    (caution,) = task.predicted(**PLAIN)["cautions"]
    assert caution.startswith(f"{unit} is enabled: it ")
    assert f"[other_firewall] {caution}" in task.refused(**{**PLAIN, "services": []})["msg"]
    assert task.predicted(**PLAIN, allow=["other_firewall"])["cautions"] == []


@pytest.mark.parametrize(("chain", "owner"), [("KUBE-FORWARD", "kubernetes"), ("cali-FORWARD", "calico")])
def test_who_forwards_for_pods_is_not_dropped(chain: str, owner: str, task: Task, fake: FakeHost) -> None:
    fake.insert(4, chain, "-j RETURN")
    result = task.refused(**PLAIN, default_forward="drop")
    assert f"[other_firewall] {owner} forwards packets of its own" in result["msg"]
    task.confirmed(**PLAIN)
    task.confirmed(**PLAIN, default_forward="drop", allow=["other_firewall"])


def test_rules_in_the_other_back_end_are_refused(task: Task, fake: FakeHost) -> None:
    fake.kind = "legacy"
    fake.other = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j DROP\nCOMMIT\n"
    assert "[mixed_backends]" in task.refused(**PLAIN)["msg"]
    assert task.confirmed(**PLAIN, allow=["mixed_backends"])["backend"] == "legacy"


BAD: list[tuple[dict[str, t.Any], str]] = [
    ({"rollback_timeout": 30}, "rollback_timeout is 30"),
    ({"rollback_timeout": 3601}, "rollback_timeout is 3601"),
    ({"rollback_timeout": -1}, "rollback_timeout is -1"),
    ({"persist": "none", "running": False}, "persist: none says that it loads nothing"),
    ({"persist": "none", "input_policy": "drop"}, "needs a place on disk"),
    ({"management": ["192.0.2.7/24"]}, "host bits set"),
    ({"allow": ["everything"]}, "allow must be one or more of"),
    ({"services": [{"name": "x", "ports": ["22"]}]}, "is no port"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_options_get_one_clear_error(
    options: dict[str, t.Any], message: str, task: Task, fake: FakeHost
) -> None:
    before = fake.tree()
    result = task(**{**ARTICLE, **options})
    assert message in result["msg"]
    assert (result["failed"], fake.tree()) == (True, before)


def test_only_looking_asks_no_kernel_that_would_load_its_modules_for_it(task: Task, fake: FakeHost) -> None:
    def scratches() -> int:
        return sum("unshare" in words for words in fake.asked)

    foretold = task(check=True, **PLAIN)
    assert foretold["changed"] and scratches() == 0
    assert task(**PLAIN)["actions"] == foretold["actions"] and scratches() > 0
    fake.asked.clear()
    assert task(check=True, **{**PLAIN, "services": []})["changed"] and scratches() > 0, (
        "they are loaded by now"
    )
