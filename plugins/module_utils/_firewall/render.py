# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Render a policy: one canonical rule set for each family, in the spelling that ``iptables-save`` prints. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    BLOCK_SETS,
    DOCKER,
    EARLY,
    FIRST,
    FORWARD,
    INPUT,
    LAST,
    Jump,
    Ruleset,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import (
    ANY,
    AT_DOCKER,
    AT_FORWARD,
    DROP,
    LEAVE,
    Networks,
    Policy,
    Ports,
    Service,
    Zone,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.render_input import (
    ANTISPOOF,
    antispoof,
    early,
    input_rules,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.rulewords import (
    above,
    blocked,
    logged,
    rule,
    sources,
    span,
)

DOCKER_USER = "DOCKER-USER"
Chains = tuple[tuple[str, tuple[str, ...]], ...]

_ESTABLISHED = "-m conntrack --ctstate RELATED,ESTABLISHED"
_LEAST_ELEMENTS = 65536
_SSH = (Ports("tcp", ((22, 22),)),)


def render(policy: Policy, family: int) -> Ruleset:
    """Return what one family shall have; nothing when the policy leaves the family out. Chains are sorted by name."""
    if family not in policy.families:
        return Ruleset()
    forwards, published = policy.default_forward == DROP, _publishes(policy, family)
    jumps = [Jump("INPUT", EARLY, FIRST), Jump("INPUT", INPUT, LAST)]
    jumps += [Jump("FORWARD", FORWARD, LAST)] if forwards else []
    jumps += [Jump(DOCKER_USER, DOCKER, FIRST)] if published else []
    return Ruleset(
        chains=_chains(policy, family, forwards, published),
        jumps=tuple(jumps),
        policies=() if policy.input_policy == LEAVE else (("INPUT", policy.input_policy.upper()),),
        needs=(DOCKER_USER,) if published else (),
    )


def _publishes(policy: Policy, family: int) -> bool:
    return bool(policy.published() or policy.extra(AT_DOCKER, family))


def _chains(policy: Policy, family: int, forwards: bool, published: bool) -> Chains:
    spoof = antispoof(policy, family)
    chains = {EARLY: early(policy, family), INPUT: input_rules(policy, family)}
    chains.update({ANTISPOOF: spoof} if spoof else {})
    chains.update({FORWARD: _forward(policy, family)} if forwards else {})
    chains.update({DOCKER: _docker(policy, family)} if published else {})
    return tuple(sorted(chains.items()))


def _forward(policy: Policy, family: int) -> tuple[str, ...]:
    """Render what everybody's rules left of forwarding: bridged guests, and guests of NAT networks going out."""
    return (
        rule(_ESTABLISHED, note="established", to="ACCEPT"),
        rule("-m physdev --physdev-is-bridged", note="bridged", to="ACCEPT"),
        *(rule(f"-i {pattern}", note="guests", to="ACCEPT") for pattern in policy.guest_networks),
        *policy.extra(AT_FORWARD, family),
        *logged(policy.log),
        rule(note="default", to="DROP"),
    )


def _docker(policy: Policy, family: int) -> tuple[str, ...]:
    """Render who may reach published ports. Docker has put the container's address and port into the packet already.

    All that may come return to Docker's rules first; then what is left of the published ports is dropped, so that two
    services may share a port.
    """
    services = policy.published()
    return (
        rule(_ESTABLISHED, note="established", to="RETURN"),
        *policy.extra(AT_DOCKER, family),
        *blocked(policy, family),
        *(item for service in services for item in _let_through(service, family)),
        *(item for service in services for item in _drop_others(service, family)),
    )


def _published_ports(service: Service) -> t.Iterator[str]:
    # DNAT is true of forwarded ports alone: a guest may still go out to the same port elsewhere.
    for ports in service.ports:
        for low, high in ports.ranges:
            where = f"--ctorigdstport {span(low, high)} --ctdir ORIGINAL"
            yield f"-p {ports.proto} -m conntrack --ctstate DNAT {where}"


def _let_through(service: Service, family: int) -> t.Iterator[str]:
    for source in sources(service.zones, family):
        for match in _published_ports(service):
            if service.limit:
                yield rule(source, match, above(service, family), note=service.name, to="DROP")
            yield rule(source, match, note=service.name, to="RETURN")


def _drop_others(service: Service, family: int) -> t.Iterator[str]:
    if "" in sources(service.zones, family):
        return
    for match in _published_ports(service):
        yield rule(match, note=service.name, to="DROP")


def rescue(policy: Policy, family: int) -> Chains:
    """Return the rules for a boot at which the real ones do not load: management, ICMP, published ports; no more.

    It has every chain that a jump of :func:`render` names, and none of what may be missing: sets, rate limits, raw
    rules. Without management, whoever may reach its ports as a service may; without such a service, everyone.
    """
    if family not in policy.families:
        return ()
    ports = policy.management_ports or _SSH
    bare = dataclasses.replace(
        policy,
        services=tuple(dataclasses.replace(service, limit=None) for service in policy.published()),
        management=policy.management or _served(policy, ports) or (ANY,),
        management_ports=ports,
        blocklist=Networks(),
        anti_spoof=(),
        log=None,
        essential_icmp=True,
        extra_rules=(),
    )
    return _chains(bare, family, policy.default_forward == DROP, _publishes(policy, family))


def _served(policy: Policy, ports: tuple[Ports, ...]) -> tuple[Zone, ...]:
    return tuple(
        sorted(
            {
                zone
                for service in policy.services
                if any(mine.overlaps(other) for mine in service.ports for other in ports)
                for zone in service.zones
            },
            key=repr,
        )
    )


def sets(policy: Policy, family: int) -> str:
    """Return what ``ipset restore`` makes the block list of; empty when the family has none."""
    blocked_networks = policy.blocklist.of(family) if family in policy.families else ()
    if not blocked_networks:
        return ""
    name, kind = BLOCK_SETS[family], "inet" if family == 4 else "inet6"
    room = max(_LEAST_ELEMENTS, 1 << (len(blocked_networks) - 1).bit_length())
    host = "/32" if family == 4 else "/128"
    lines = [f"create {name} hash:net family {kind} maxelem {room}"]
    lines += [
        f"add {name} {item[: -len(host)] if item.endswith(host) else item}" for item in blocked_networks
    ]
    return "".join(f"{line}\n" for line in lines)
