# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's segment lies in its own namespace, and its removal takes nothing else along."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._lab.network import LabNetwork

PARAMS = {
    "name": "lab",
    "state": "present",
    "addresses": ["192.0.2.1/24", "2001:db8::1/64"],
    "vms": ["gpu01"],
    "containers": {"gpu02": ["192.0.2.12/24"]},
}


class FakeIp:
    """The few behaviours of ip(8) that the segment rests on."""

    def __init__(self, *foreign: str) -> None:
        self.namespaces = set(foreign)
        self.ports: set[str] = set()
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, argv: t.Sequence[str], **options: t.Any) -> Completed:
        words = tuple(argv)
        if words[:4] == ("ip", "-j", "netns", "list"):
            return Completed(0, json.dumps([{"name": name} for name in sorted(self.namespaces)]), "")
        if words[3:] == ("-j", "link", "show"):
            links = [{"ifname": name, "master": "seg0"} for name in sorted(self.ports)]
            return Completed(0, json.dumps([{"ifname": "lo"}, *links]), "")
        self.calls.append(words)
        self._change(words)
        return Completed(0, "", "")

    def _change(self, words: tuple[str, ...]) -> None:
        if words[1:3] == ("netns", "add"):
            self.namespaces.add(words[3])
        if words[1:3] == ("netns", "del"):
            self.namespaces.discard(words[3])
            self.ports.clear()
        if "master" in words:
            self.ports.add(words[5])


def run(ip: FakeIp, check: bool = False, **changes: t.Any) -> dict[str, t.Any]:
    host = Host(run=ip)
    return LabNetwork({**PARAMS, **changes}, host).execute(Gate(host, check))


def test_builds_everything_once() -> None:
    ip = FakeIp()
    assert run(ip)["changed"] is True
    assert ip.namespaces == {"lab", "lab-gpu02"}
    assert ip.ports == {"gpu01", "gpu02"}
    assert run(ip)["changed"] is False


def test_check_mode_predicts_the_same_actions_and_touches_nothing() -> None:
    ip = FakeIp()
    predicted = run(ip, check=True)
    assert ip.calls == []
    assert predicted["actions"] == run(ip)["actions"]


def test_the_machines_own_namespace_is_left_alone() -> None:
    """Every command names a namespace, or makes or removes one."""
    ip = FakeIp()
    run(ip)
    assert all(call[1] == "-n" or call[1:3] == ("netns", "add") for call in ip.calls)


def test_a_new_member_is_attached_without_touching_the_others() -> None:
    ip = FakeIp()
    run(ip)
    ip.calls.clear()
    run(ip, vms=["gpu01", "gpu03"])
    assert [call[:3] for call in ip.calls] == [("ip", "-n", "lab")] * 2
    assert all("gpu03" in call for call in ip.calls)


def test_ipv6_addresses_are_usable_at_once() -> None:
    ip = FakeIp()
    run(ip)
    assert [call for call in ip.calls if "2001:db8::1/64" in call][0][-1] == "nodad"


def test_removal_takes_only_what_is_its_own() -> None:
    ip = FakeIp("other", "labyrinth")
    run(ip)
    assert run(ip, state="absent")["changed"] is True
    assert ip.namespaces == {"other", "labyrinth"}
    assert run(ip, state="absent")["changed"] is False
