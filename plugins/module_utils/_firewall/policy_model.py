# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""A firewall policy as data that needs no further checks: who may reach what."""

from __future__ import annotations

import dataclasses

FAMILY_NAMES = {"ipv4": 4, "ipv6": 6}
EVERYONE = {4: "0.0.0.0/0", 6: "::/0"}

ACCEPT, DROP, REJECT, LEAVE = "accept", "drop", "reject", "leave"

AT_FIRST, AT_INPUT, AT_FORWARD, AT_DOCKER = "first", "input", "forward", "docker"
PLACES = (AT_FIRST, AT_INPUT, AT_FORWARD, AT_DOCKER)


@dataclasses.dataclass(frozen=True, order=True)
class Networks:
    """Networks of both families: collapsed, sorted, spelled as ``iptables-save`` spells them."""

    ipv4: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()

    def of(self, family: int) -> tuple[str, ...]:
        """Return the networks of one family."""
        return self.ipv4 if family == 4 else self.ipv6

    def __bool__(self) -> bool:
        return bool(self.ipv4 or self.ipv6)


@dataclasses.dataclass(frozen=True, order=True)
class Zone:
    """Where packets may come from: networks, interfaces, or both (then both must match).

    ``sources`` is None when any address will do. The networks of a list that are in no zone make a zone with the
    name ``""``.
    """

    name: str
    sources: Networks | None = None
    interfaces: tuple[str, ...] = ()

    def selectors(self, family: int) -> tuple[str, ...]:
        """Return the words that match the zone, one text a rule; nothing when no packet of the family can match."""
        sources = ("",) if self.sources is None else self.sources.of(family)
        return tuple(
            " ".join(
                words
                for words in (
                    f"-s {source}" if source and source != EVERYONE[family] else "",
                    f"-i {interface}" if interface else "",
                )
                if words
            )
            for source in sources
            for interface in self.interfaces or ("",)
        )


ANY = Zone("any", Networks(("0.0.0.0/0",), ("::/0",)))


@dataclasses.dataclass(frozen=True, order=True)
class Ports:
    """Ports of one protocol as sorted, disjoint ranges; no range for a protocol without ports."""

    proto: str
    ranges: tuple[tuple[int, int], ...] = ()

    def overlaps(self, other: Ports) -> bool:
        """Tell whether a packet can match both."""
        return self.proto == other.proto and any(
            low <= other_high and other_low <= high
            for low, high in self.ranges
            for other_low, other_high in other.ranges
        )


@dataclasses.dataclass(frozen=True)
class Limit:
    """A rate in the kernel's spelling, such as ``10/min``, and how many may come at once."""

    rate: str
    burst: int


@dataclasses.dataclass(frozen=True)
class Service:
    """Something that listens. ``published``: Docker forwards the port to a container."""

    name: str
    ports: tuple[Ports, ...]
    zones: tuple[Zone, ...] = (ANY,)
    limit: Limit | None = None
    published: bool = False


@dataclasses.dataclass(frozen=True)
class Log:
    """How packets that are dropped are logged."""

    prefix: str
    limit: Limit


@dataclasses.dataclass(frozen=True)
class ExtraRule:
    """A rule in the words of iptables, without chain; the comment is part of it."""

    where: str
    families: tuple[int, ...]
    rule: str


@dataclasses.dataclass(frozen=True)
class Policy:
    """The whole policy. Services and zones are sorted by name."""

    families: tuple[int, ...] = (4, 6)
    default_input: str = DROP
    input_policy: str = LEAVE
    default_forward: str = LEAVE
    zones: tuple[Zone, ...] = ()
    services: tuple[Service, ...] = ()
    management: tuple[Zone, ...] = ()
    management_ports: tuple[Ports, ...] = ()
    guest_networks: tuple[str, ...] = ()
    blocklist: Networks = Networks()
    anti_spoof: tuple[tuple[str, Networks], ...] = ()
    log: Log | None = None
    essential_icmp: bool = True
    extra_rules: tuple[ExtraRule, ...] = ()

    def published(self) -> tuple[Service, ...]:
        """Return the services that Docker publishes."""
        return tuple(service for service in self.services if service.published)

    def extra(self, where: str, family: int) -> tuple[str, ...]:
        """Return the raw rules of one place, in the order they were given."""
        return tuple(
            rule.rule for rule in self.extra_rules if rule.where == where and family in rule.families
        )
