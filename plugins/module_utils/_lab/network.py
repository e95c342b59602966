# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The lab's real segment: one namespace with a bridge, and a cable from it to every lab host.

Nothing is created in the machine's own network namespace except the two ends of a cable for the
moment before they are moved away.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Run, no_lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Plan

BRIDGE = "seg0"
INSIDE = "seg0"


@dataclasses.dataclass(frozen=True)
class Member:
    """A host on the segment. A VM gets a tap, a container a namespace and a cable into it."""

    name: str
    kind: str
    addresses: tuple[str, ...] = ()

    def namespace(self, segment: str) -> str:
        """Return the name of the container's own network namespace."""
        return f"{segment}-{self.name}"


@dataclasses.dataclass(frozen=True)
class Network:
    """Which namespaces exist, which ports hang on the bridge, and which addresses it has."""

    namespaces: frozenset[str]
    ports: frozenset[str]
    addresses: frozenset[str]
    links: frozenset[str] = dataclasses.field(default=frozenset(), compare=False)


NOTHING = Network(frozenset(), frozenset(), frozenset())


class LabNetwork(Capability[tuple[str, str], Network]):
    """The segment with all its members."""

    lock = staticmethod(no_lock)

    def read(self) -> tuple[str, str]:
        """List the namespaces, and the links of the segment's own with their addresses."""
        names = self.host.run(["ip", "-j", "netns", "list"]).out or "[]"
        segment = self.params["name"]
        if segment not in {entry["name"] for entry in json.loads(names)}:
            return names, "[]"
        return names, self.host.run(["ip", "-n", segment, "-j", "addr", "show"]).out or "[]"

    def parse(self, raw: tuple[str, str]) -> Network:
        """Keep what is ours: names that begin with the segment's."""
        segment = self.params["name"]
        names = {entry["name"] for entry in json.loads(raw[0])}
        links = {link["ifname"]: link for link in json.loads(raw[1])}
        found = links.get(BRIDGE, {}).get("addr_info", [])
        return Network(
            frozenset(name for name in names if name == segment or name.startswith(f"{segment}-")),
            frozenset(name for name, link in links.items() if link.get("master") == BRIDGE),
            frozenset(f"{a['local']}/{a['prefixlen']}" for a in found if a["scope"] == "global"),
            frozenset(links),
        )

    def plan(self, current: Network) -> Plan[Network]:
        """Create what is missing, piece by piece: an earlier run may have ended anywhere. Or remove everything."""
        if self.params["state"] == "absent":
            return Plan(tuple(_ip("netns", "del", name) for name in sorted(current.namespaces)), NOTHING)
        segment = self.params["name"]
        members = self._members()
        steps = _complete_segment(segment, self.params["addresses"], current)
        for member in members:
            if member.name not in current.ports:
                steps += _attach(segment, member, current)
        after = Network(
            current.namespaces | {segment} | {m.namespace(segment) for m in members if m.kind == "container"},
            current.ports | {m.name for m in members},
            current.addresses | set(self.params["addresses"]),
        )
        return Plan(tuple(steps), after)

    def show(self, model: Network) -> str:
        """List the namespaces, the ports and the addresses."""
        lines = [f"namespace {name}" for name in sorted(model.namespaces)]
        lines += [f"port {name}" for name in sorted(model.ports)]
        lines += [f"address {address}" for address in sorted(model.addresses)]
        return "".join(f"{line}\n" for line in lines)

    def _members(self) -> list[Member]:
        machines = [Member(name, "vm") for name in self.params["vms"]]
        containers = self.params["containers"].items()
        return machines + [Member(name, "container", tuple(given)) for name, given in containers]


def _ip(*words: str) -> Run:
    return Run(("ip", *words))


def _complete_segment(segment: str, addresses: t.Sequence[str], current: Network) -> list[Action]:
    steps: list[Action] = []
    if segment not in current.namespaces:
        steps += [_ip("netns", "add", segment), _ip("-n", segment, "link", "set", "lo", "up")]
    if BRIDGE not in current.links:
        steps.append(_ip("-n", segment, "link", "add", BRIDGE, "type", "bridge"))
    missing = [address for address in addresses if address not in current.addresses]
    steps += [_ip("-n", segment, "addr", "add", a, "dev", BRIDGE, *_no_dad(a)) for a in missing]
    return [*steps, _ip("-n", segment, "link", "set", BRIDGE, "up")] if steps else []


def _attach(segment: str, member: Member, current: Network) -> list[Action]:
    plug = _ip("-n", segment, "link", "set", member.name, "master", BRIDGE, "up")
    if member.kind == "vm":
        tap = _ip("-n", segment, "tuntap", "add", "dev", member.name, "mode", "tap")
        return [plug] if member.name in current.links else [tap, plug]
    inner = member.namespace(segment)
    # Without a port nobody can use it yet: a half-made one is made anew.
    leftover = [_ip("netns", "del", inner)] if inner in current.namespaces else []
    return [
        *leftover,
        _ip("netns", "add", inner),
        _ip("-n", inner, "link", "set", "lo", "up"),
        _ip(*f"-n {segment} link add {member.name} type veth peer name {INSIDE} netns {inner}".split()),
        *(_ip("-n", inner, "addr", "add", a, "dev", INSIDE, *_no_dad(a)) for a in member.addresses),
        _ip("-n", inner, "link", "set", INSIDE, "up"),
        plug,
    ]


def _no_dad(address: str) -> tuple[str, ...]:
    """Duplicate address detection would keep an IPv6 address tentative for a second."""
    return ("nodad",) if ":" in address else ()
