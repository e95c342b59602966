# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The data that the parts of the firewall hand to each other.

A rule is text as ``iptables-save`` prints it, without ``-A CHAIN``; a chain is its rules in order. The kernel's own
spelling is the one form in which wish and host can be compared.
"""

from __future__ import annotations

import dataclasses
import typing as t

FAMILIES = (4, 6)
PREFIX = "HEARTH-"
"""Chains whose name begins with it are ours; nothing else is."""

EARLY = "HEARTH-EARLY"
INPUT = "HEARTH-INPUT"
FORWARD = "HEARTH-FORWARD"
DOCKER = "HEARTH-DOCKER"
BLOCK_SETS = {4: "hearth-block4", 6: "hearth-block6"}

FIRST, LAST = "first", "last"

# Refusals that can be lifted, each by its own name.
CONTROLLER = "controller"
MANAGEMENT = "management"
LOOPBACK = "loopback"
ESTABLISHED = "established"
NEIGHBOUR_DISCOVERY = "neighbour_discovery"
FOREIGN_ABOVE = "foreign_above"
MIXED_BACKENDS = "mixed_backends"
OTHER_FIREWALL = "other_firewall"
LIFTABLE = (
    CONTROLLER,
    MANAGEMENT,
    LOOPBACK,
    ESTABLISHED,
    NEIGHBOUR_DISCOVERY,
    FOREIGN_ABOVE,
    MIXED_BACKENDS,
    OTHER_FIREWALL,
)


@dataclasses.dataclass(frozen=True, order=True)
class Jump:
    """A jump from a chain that is not ours into one of ours.

    ``place`` is ``first`` (rule 1, below only what may stand above us), ``last`` (before the first foreign rule that
    decides about every packet, else the end), or the rule's number as text: where a snapshot found it.
    """

    source: str
    chain: str
    place: str


@dataclasses.dataclass(frozen=True)
class Ruleset:
    """What one family shall have: our chains with their rules, our jumps, built-in policies.

    ``policies`` holds only built-in chains whose policy is managed. ``needs`` names foreign chains that a jump stands
    in and that must be made when they are missing (``DOCKER-USER``).
    """

    chains: tuple[tuple[str, tuple[str, ...]], ...] = ()
    jumps: tuple[Jump, ...] = ()
    policies: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.chains or self.jumps or self.policies)


@dataclasses.dataclass(frozen=True)
class Table:
    """The filter table of one family as the host has it; ``chains`` holds built-in, foreign and own chains in order."""

    policies: tuple[tuple[str, str], ...] = ()
    chains: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def rules(self, chain: str) -> tuple[str, ...]:
        """Return the rules of a chain; empty when there is none."""
        return dict(self.chains).get(chain, ())


@dataclasses.dataclass(frozen=True)
class Packet:
    """A packet that arrives. ``state`` is what conntrack says of it, such as ``NEW`` or ``ESTABLISHED``."""

    family: int
    source: str
    proto: str
    port: int | None = None
    interface: str = "eth0"
    destination: str = ""
    state: str = "NEW"
    icmp_type: int | None = None
    hop_limit: int = 64
    source_port: int | None = None


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What becomes of a packet (``ACCEPT``, ``DROP``, ``REJECT``, ``UNKNOWN``), and the rule that decided it."""

    verdict: str
    rule: str = ""

    @property
    def accepted(self) -> bool:
        """Tell whether the packet certainly comes in."""
        return self.verdict == "ACCEPT"


@dataclasses.dataclass(frozen=True)
class Caller:
    """The connection that the play came over: the client's address, and the address and port of the SSH server."""

    address: str
    server_address: str
    server_port: int

    @property
    def family(self) -> int:
        """Return 4 or 6."""
        return 6 if ":" in self.address else 4


@dataclasses.dataclass(frozen=True)
class Objection:
    """Something that would lock somebody out or not work: its liftable name, the family, what happens, the remedy."""

    name: str
    family: int
    message: str
    remedy: str


Bundle = t.Mapping[str, str]
"""File name to text: what ``hearth-firewall load FOLDER`` reads."""
