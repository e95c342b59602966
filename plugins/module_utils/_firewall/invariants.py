# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What a firewall may not do, looked up in the tables that would result: before anything is loaded. Pure.

Each objection names the rule that does it and the line of the policy that cures it, and has a name by which it can be
lifted. What cannot be told counts as an objection too: an unknown way in is no way in.
"""

from __future__ import annotations

import ipaddress
import itertools
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.evaluate import ACCEPT as OPEN
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.evaluate import UNKNOWN, evaluate
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.matches import SOMEWHERE, Sets
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    CONTROLLER,
    EARLY,
    ESTABLISHED,
    FAMILIES,
    LOOPBACK,
    MANAGEMENT,
    NEIGHBOUR_DISCOVERY,
    Caller,
    Objection,
    Packet,
    Table,
    Verdict,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import (
    ACCEPT,
    Policy,
    Ports,
    Zone,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.reach import ANYBODY, hidden_jumps
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import is_ours, owner_of

Tables = t.Mapping[int, Table]

_ITSELF = {4: "127.0.0.1", 6: "::1"}
_EPHEMERAL = 50000
"""The port that a client sends from: one that means nothing."""
_NEIGHBOUR = "fe80::1"
_UNSPECIFIED = "::"
# RFC 4890, 4.4.1: without these an IPv6 host loses its neighbours, its router, or every large packet.
_ESSENTIAL = {133: "router solicitation", 134: "router advertisement", 135: "neighbour solicitation"}
_ESSENTIAL[136] = "neighbour advertisement"
_TOO_BIG = 2


def object_to(
    tables: Tables,
    policy: Policy | None,
    caller: Caller | None,
    sets: Sets | None = None,
    arrives_on: str = SOMEWHERE,
) -> tuple[Objection, ...]:
    """Return what the tables, as they would be, do that they may not; empty when nothing.

    :param policy: what is wanted; ``None`` when everything of ours goes.
    :param caller: where the play comes from; ``None`` when it did not come over the network.
    :param sets: what will be in our block lists.
    :param arrives_on: the interface over which the caller comes; empty when it is not known.
    """
    found: list[Objection] = []
    for family in sorted(set(FAMILIES) & set(tables), reverse=True):
        look = _Look(family, tables[family], sets or {})
        managed = policy is not None and family in policy.families
        if caller is not None and caller.family == family:
            found += look.at_controller(caller, arrives_on, managed)
        if policy is not None and managed:
            found += look.at_management(policy)
            found += look.at_loopback()
            found += look.at_established(policy, caller)
            found += look.at_neighbours() if family == 6 else []
            found += hidden_jumps(family, tables[family])
    if policy is not None and caller is None:
        found += _nobody(tables, policy, sets or {})
    return tuple(found)


class _Look:
    """One table, asked about packets."""

    def __init__(self, family: int, table: Table, sets: Sets) -> None:
        self._family = family
        self._table = table
        self._sets = sets

    def at_controller(self, caller: Caller, arrives_on: str, managed: bool) -> list[Objection]:
        address, _percent, scope = caller.address.partition("%")
        packet = Packet(
            self._family,
            address,
            "tcp",
            caller.server_port,
            scope or arrives_on,
            caller.server_address.partition("%")[0],
            source_port=_EPHEMERAL,
        )
        verdict = self._verdict(packet)
        # Where nothing of ours is left, what is not clear is so already, and the caller came in.
        if verdict.accepted or (not managed and verdict.verdict == UNKNOWN):
            return []
        return [
            self._objection(
                CONTROLLER,
                f"the next login from {caller.address}, where this play comes from, to port {caller.server_port}",
                verdict,
                self._cure(packet, verdict),
            )
        ]

    def _cure(self, packet: Packet, verdict: Verdict) -> str:
        """Say what lets a login in: management does, unless the rule stands above ours."""
        opened = {**dict(self._table.chains), EARLY: (f"-j {OPEN}",)}
        if not evaluate(Table(self._table.policies, tuple(opened.items())), packet, self._sets).accepted:
            return _CURES_ABOVE.get(_owner(verdict.rule), "remove that rule: it stands above ours").format(
                packet
            )
        length = 32 if self._family == 4 else 128
        port = "" if packet.port == 22 else f' with management_ports: ["{packet.port}/tcp"]'
        above = (
            ", unless that is a rule of extra_rules (where: first)" if f"-A {EARLY} " in verdict.rule else ""
        )
        return f"management: [{packet.source}/{length}]{port} lets it in{above}"

    def at_management(self, policy: Policy) -> list[Objection]:
        blamed: dict[Verdict, list[str]] = {}
        for zone in policy.management:
            for ports in policy.management_ports:
                for network, verdict in self._refused(zone, ports):
                    blamed.setdefault(verdict, []).append(network)
        return [
            self._objection(
                MANAGEMENT,
                f"a login from {_some(networks)}, which is in management,",
                verdict,
                "either that rule or the network in management has to go",
            )
            for verdict, networks in blamed.items()
        ]

    def _refused(self, zone: Zone, ports: Ports) -> t.Iterator[tuple[str, Verdict]]:
        networks = (None,) if zone.sources is None else zone.sources.of(self._family)
        port = ports.ranges[0][0] if ports.ranges else None
        for network, interface in itertools.product(networks, zone.interfaces or (SOMEWHERE,)):
            for address in _ends_of(network, self._family):
                packet = Packet(self._family, address, ports.proto, port, interface, source_port=_EPHEMERAL)
                verdict = self._verdict(packet)
                if not verdict.accepted:
                    yield network or f"interface {interface}", verdict

    def at_loopback(self) -> list[Objection]:
        own = _ITSELF[self._family]
        packets = (
            Packet(self._family, own, p, 53, "lo", own, source_port=_EPHEMERAL) for p in ("tcp", "udp")
        )
        return self._first(LOOPBACK, "what the host says to itself over lo", packets)

    def at_established(self, policy: Policy, caller: Caller | None) -> list[Objection]:
        sources = {ANYBODY[self._family]: "somebody whom the host called"}
        if caller is not None and caller.family == self._family:
            sources[caller.address.partition("%")[0]] = "the controller"
        for zone in policy.management:
            for network in zone.sources.of(self._family) if zone.sources is not None else ():
                sources.setdefault(_ends_of(network, self._family)[0], f"management ({network})")
        for source, who in sources.items():
            packet = Packet(
                self._family, source, "tcp", 40000, SOMEWHERE, state="ESTABLISHED", source_port=443
            )
            what = f"a packet from {who} of a connection that is already there"
            found = self._first(ESTABLISHED, what, [packet])
            if found:
                return found
        return []

    def at_neighbours(self) -> list[Objection]:
        found: list[Objection] = []
        for number, name in _ESSENTIAL.items():
            # Conntrack does not track them. An address that is being tried has none to send from.
            sources = [_NEIGHBOUR, _UNSPECIFIED] if number in (133, 135) else [_NEIGHBOUR]
            packets = [
                Packet(
                    6,
                    source,
                    "ipv6-icmp",
                    None,
                    SOMEWHERE,
                    state="UNTRACKED",
                    icmp_type=number,
                    hop_limit=255,
                )
                for source in sources
            ]
            found += self._first(NEIGHBOUR_DISCOVERY, f"a {name} (ICMPv6 type {number})", packets)
        too_big = Packet(6, ANYBODY[6], "ipv6-icmp", None, SOMEWHERE, state="RELATED", icmp_type=_TOO_BIG)
        return found + self._first(NEIGHBOUR_DISCOVERY, "a packet-too-big (ICMPv6 type 2)", [too_big])

    def _first(self, name: str, what: str, packets: t.Iterable[Packet]) -> list[Objection]:
        for packet in packets:
            verdict = self._verdict(packet)
            if not verdict.accepted:
                return [self._objection(name, what, verdict, _CURES[name])]
        return []

    def _verdict(self, packet: Packet) -> Verdict:
        return evaluate(self._table, packet, self._sets)

    def _objection(self, name: str, what: str, verdict: Verdict, cure: str) -> Objection:
        ends = {"DROP": "would be dropped by", "REJECT": "would be refused by"}
        how = ends.get(verdict.verdict, "may not come in, for only the kernel can tell what becomes of it at")
        return Objection(
            name,
            self._family,
            f"IPv{self._family}: {what} {how} '{verdict.rule}'{_whose(verdict.rule)}.",
            f"{cure}; allow: [{name}] lifts this one refusal",
        )


_CURES_ABOVE = {"fail2ban": "fail2ban-client unban {0.source} lets it in"}
_CURES = {
    LOOPBACK: "remove that rule, or give it a condition that lo does not meet",
    ESTABLISHED: "remove that rule, or let it stand behind the one that accepts RELATED,ESTABLISHED",
    NEIGHBOUR_DISCOVERY: "essential_icmp: true lets it in, unless that rule stands above",
}


def _owner(shown: str) -> str:
    return owner_of(shown.split()[1]) or ""


def _whose(shown: str) -> str:
    """Say who made a rule, from its chain."""
    if shown.startswith("-P "):
        return ", the policy of the chain"
    if is_ours(shown.split()[1]):
        return ""
    return f", which belongs to {_owner(shown)}" if _owner(shown) else ", which is not ours"


def _some(networks: t.Iterable[str]) -> str:
    names = list(dict.fromkeys(networks))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _ends_of(network: str | None, family: int) -> tuple[str, ...]:
    """Return addresses that stand for a network: its first and its last host."""
    if network is None or network.endswith("/0"):
        return (ANYBODY[family],)
    net = ipaddress.ip_network(network)
    if net.num_addresses <= 2:
        return (str(net[0]),)
    return (str(net[1]), str(net[-2]))


def _nobody(tables: Tables, policy: Policy, sets: Sets) -> list[Objection]:
    """Object to a firewall that lets nobody log in, where no caller shows that somebody must.

    That is how an image is baked, and how a container is configured, that nobody can reach afterwards.
    """
    declared = any(
        service.ports and mine.overlaps(theirs)
        for service in policy.services
        for theirs in service.ports
        for mine in policy.management_ports
    )
    if policy.management or declared or policy.default_input == ACCEPT:
        return []
    for family in set(FAMILIES) & set(tables):
        for ports in policy.management_ports:
            port = ports.ranges[0][0] if ports.ranges else None
            if evaluate(
                tables[family], Packet(family, ANYBODY[family], ports.proto, port, SOMEWHERE), sets
            ).accepted:
                return []
    return (
        [
            Objection(
                MANAGEMENT,
                min(tables),
                "nobody could log in: management is empty, and no service has one of its ports.",
                f"say who may, such as management: [192.0.2.0/24]; allow: [{MANAGEMENT}] lifts this one refusal",
            )
        ]
        if tables
        else []
    )
