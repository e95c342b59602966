# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's segment lies in its own namespace, and its removal takes nothing else along."""

from __future__ import annotations

import contextlib
import json
import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
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
        self.links: dict[str, dict[str, t.Any]] = {}
        self.calls: list[tuple[str, ...]] = []
        self.die_after = 10**6

    @property
    def ports(self) -> set[str]:
        return {name for name, link in self.links.items() if link.get("master")}

    def __call__(self, argv: t.Sequence[str], **options: t.Any) -> Completed:
        words = tuple(argv)
        if words[:4] == ("ip", "-j", "netns", "list"):
            return Completed(0, json.dumps([{"name": name} for name in sorted(self.namespaces)]), "")
        if words[3:] == ("-j", "addr", "show"):
            return Completed(0, json.dumps([{"ifname": "lo"}, *self.links.values()]), "")
        if len(self.calls) >= self.die_after:
            raise KeyboardInterrupt
        self.calls.append(words)
        self._change(words)
        return Completed(0, "", "")

    def _change(self, words: tuple[str, ...]) -> None:
        if words[1:3] == ("netns", "add"):
            if words[3] in self.namespaces:
                raise CommandError("File exists")
            self.namespaces.add(words[3])
        if words[1:3] == ("netns", "del"):
            self.namespaces.remove(words[3])
            inner = words[3].partition("-")[2]
            self.links = {} if not inner else {n: link for n, link in self.links.items() if n != inner}
        self._change_links(words)

    def _change_links(self, words: tuple[str, ...]) -> None:
        if words[2] == "lab" and "add" in words[3:5] and words[3] != "addr":
            name = words[5]
            if name in self.links or name == "dev":
                name = words[6]
            if name in self.links:
                raise CommandError("File exists")
            self.links[name] = {"ifname": name}
        if words[2:4] == ("lab", "addr"):
            local, _unused, length = words[5].partition("/")
            info = {"local": local, "prefixlen": int(length), "scope": "global"}
            self.links["seg0"].setdefault("addr_info", []).append(info)
        if "master" in words:
            self.links[words[5]]["master"] = "seg0"


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


@pytest.mark.parametrize("steps", range(16))
def test_a_run_that_ended_anywhere_is_completed_by_the_next(steps: int) -> None:
    ip = FakeIp()
    ip.die_after = steps
    with contextlib.suppress(KeyboardInterrupt):
        run(ip)
    ip.die_after = 10**6
    run(ip)
    assert ip.namespaces == {"lab", "lab-gpu02"}
    assert ip.ports == {"gpu01", "gpu02"}
    assert len(ip.links["seg0"]["addr_info"]) == 2
    assert run(ip)["changed"] is False
