# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Render the chains that a packet for this host passes: HEARTH-EARLY, HEARTH-ANTISPOOF, HEARTH-INPUT. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import (
    ACCEPT,
    AT_FIRST,
    AT_INPUT,
    EVERYONE,
    REJECT,
    Limit,
    Networks,
    Policy,
    Service,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.rulewords import (
    above,
    all_ports,
    blocked,
    logged,
    rule,
    sources,
    within,
)

ANTISPOOF = "HEARTH-ANTISPOOF"

_ECHO_LIMIT = Limit("10/sec", 20)
_LOOPBACK = {4: "127.0.0.0/8", 6: "::1/128"}
_LINK_LOCAL = "fe80::/10"
# Router and neighbour solicitation and advertisement. A hop limit of 255 proves that no router passed them on.
_NEIGHBOURS = (133, 134, 135, 136)
_INVERSE_AND_SECURE_NEIGHBOURS = (141, 142, 148, 149)
_MULTICAST_LISTENERS = (130, 131, 132, 143)
# Unreachable (its code 4 is path MTU discovery), time exceeded, parameter problem.
_ERRORS4 = (3, 11, 12)
# Unreachable, packet too big, time exceeded, parameter problem.
_ERRORS6 = (1, 2, 3, 4)
_REDIRECT6 = 137
_GUEST_PORTS = {4: "53,67", 6: "53,547"}
_REJECTS = {4: "icmp-port-unreachable", 6: "icmp6-adm-prohibited"}


def early(policy: Policy, family: int) -> tuple[str, ...]:
    """Render what stands before everybody's rules: what must always work, and what must never come in."""
    return (
        *policy.extra(AT_FIRST, family),
        rule("-i lo", note="loopback", to="ACCEPT"),
        rule("-m conntrack --ctstate RELATED,ESTABLISHED", note="established", to="ACCEPT"),
        *_management(policy, family),
        # Before INVALID: neighbour discovery is untracked, and without it nothing else arrives.
        *(_neighbours() if family == 6 and policy.essential_icmp else ()),
        rule("-m conntrack --ctstate INVALID", note="invalid", to="DROP"),
        rule(f"-s {_LOOPBACK[family]} ! -i lo", note="anti-spoof", to="DROP"),
        *([rule(note="anti-spoof", to=ANTISPOOF)] if antispoof(policy, family) else ()),
        *blocked(policy, family),
    )


def _management(policy: Policy, family: int) -> t.Iterator[str]:
    for source in sources(policy.management, family):
        for match in all_ports(policy.management_ports):
            yield rule(source, match, note="management", to="ACCEPT")


def _neighbours() -> t.Iterator[str]:
    for kind in _NEIGHBOURS:
        yield rule(f"{_icmp6(kind)} -m hl --hl-eq 255", note="neighbour-discovery", to="ACCEPT")


def _icmp6(kind: int) -> str:
    return f"-p ipv6-icmp -m icmp6 --icmpv6-type {kind}"


def antispoof(policy: Policy, family: int) -> tuple[str, ...]:
    """Render which networks live behind which interface: the narrowest network decides, as in a routing table.

    An interface without a network of the family is not restricted in it. The whole address space says that anybody may
    come over the interface, and nothing about other interfaces.
    """
    pairs = [
        (network, interface)
        for interface, behind in policy.anti_spoof
        for network in behind.of(family)
        if network != EVERYONE[family]
    ]
    return (
        *(_unconfigured(family) if pairs else ()),
        *_behind(pairs),
        *(
            rule(f"-i {interface}", note="anti-spoof", to="DROP")
            for interface, behind in policy.anti_spoof
            if _restricts(behind, family)
        ),
    )


def _restricts(behind: Networks, family: int) -> bool:
    return bool(behind.of(family)) and EVERYONE[family] not in behind.of(family)


def _unconfigured(family: int) -> tuple[str, ...]:
    """Let through what a neighbour sends before it has an address of the network, or beside it."""
    if family == 6:
        return (rule(f"-s {_LINK_LOCAL}", note="anti-spoof", to="RETURN"),)
    return (rule("-s 0.0.0.0/32 -p udp -m udp --sport 68 --dport 67", note="anti-spoof", to="RETURN"),)


def _behind(pairs: list[tuple[str, str]]) -> t.Iterator[str]:
    behind: dict[str, list[str]] = {}
    for network, interface in sorted(pairs, key=lambda pair: (-int(pair[0].partition("/")[2]), *pair)):
        behind.setdefault(network, []).append(interface)
    for network, interfaces in behind.items():
        for interface in interfaces:
            yield rule(f"-s {network} -i {interface}", note="anti-spoof", to="RETURN")
        yield rule(f"-s {network}", note="anti-spoof", to="DROP")


def input_rules(policy: Policy, family: int) -> tuple[str, ...]:
    """Render what stands after everybody's rules: the services, and the default."""
    return (
        *(_icmp(family) if policy.essential_icmp else ()),
        *_dhcp(family),
        *(item for service in policy.services if not service.published for item in _service(service, family)),
        *_guests(policy, family),
        *policy.extra(AT_INPUT, family),
        *_default(policy, family),
    )


def _icmp(family: int) -> t.Iterator[str]:
    if family == 4:
        for kind in _ERRORS4:
            yield rule(f"-p icmp -m icmp --icmp-type {kind}", note="icmp", to="ACCEPT")
        yield rule(f"-p icmp -m icmp --icmp-type 8 {within(_ECHO_LIMIT)}", note="icmp", to="ACCEPT")
        return
    for kind in _ERRORS6:
        yield rule(_icmp6(kind), note="icmp", to="ACCEPT")
    yield rule(f"{_icmp6(128)} {within(_ECHO_LIMIT)}", note="icmp", to="ACCEPT")
    for kind in _MULTICAST_LISTENERS:
        yield rule(f"-s {_LINK_LOCAL}", _icmp6(kind), note="icmp", to="ACCEPT")
    for kind in _INVERSE_AND_SECURE_NEIGHBOURS:
        yield rule(f"{_icmp6(kind)} -m hl --hl-eq 255", note="icmp", to="ACCEPT")
    yield rule(_icmp6(_REDIRECT6), note="icmp", to="DROP")


def _dhcp(family: int) -> tuple[str, ...]:
    """Let DHCPv6 answers in: a server answers a multicast question, which conntrack cannot match."""
    if family == 4:
        return ()
    return (rule(f"-s {_LINK_LOCAL} -p udp -m udp --sport 547 --dport 546", note="dhcpv6", to="ACCEPT"),)


def _service(service: Service, family: int) -> t.Iterator[str]:
    for source in sources(service.zones, family):
        for match in all_ports(service.ports):
            if service.limit:
                new = f"-m conntrack --ctstate NEW {above(service, family)}"
                yield rule(source, match, new, note=service.name, to="DROP")
            yield rule(source, match, note=service.name, to="ACCEPT")


def _guests(policy: Policy, family: int) -> t.Iterator[str]:
    """Let guests on libvirt's NAT networks reach its DHCP and DNS: libvirt's own accepts may be in another table."""
    for pattern in policy.guest_networks:
        ports = f"-p udp -m multiport --dports {_GUEST_PORTS[family]}"
        yield rule(f"-i {pattern}", ports, note="guests", to="ACCEPT")
        yield rule(f"-i {pattern}", "-p tcp -m tcp --dport 53", note="guests", to="ACCEPT")


def _default(policy: Policy, family: int) -> tuple[str, ...]:
    if policy.default_input == ACCEPT:
        return ()
    if policy.default_input == REJECT:
        return (
            *logged(policy.log),
            rule("-p tcp", note="default", to="REJECT --reject-with tcp-reset"),
            rule(note="default", to=f"REJECT --reject-with {_REJECTS[family]}"),
        )
    return (*logged(policy.log), rule(note="default", to="DROP"))
