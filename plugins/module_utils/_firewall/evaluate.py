# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What becomes of a packet: a walk through the rules of anybody, as ``iptables-save`` prints them. Pure.

A rule of which only the kernel can tell whether it matches leads both ways. The verdict is certain only where all ways
that are left come to the same end; else it is ``UNKNOWN``, which is no ``ACCEPT``. :mod:`matches` says what is taken
for granted. Only the filter table is looked at: another table, the other back end and native nft rules can still drop
what is accepted here, and a native rule in iptables' own table may be printed with less than it says.
"""

from __future__ import annotations

import re

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.matches import (
    Rule,
    Sets,
    holds,
    parse_rule,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import Packet, Table, Verdict

ACCEPT, DROP, REJECT, UNKNOWN = "ACCEPT", "DROP", "REJECT", "UNKNOWN"
FALLS_THROUGH = "RETURN"
"""The verdict of a chain that is not built in and lets the packet go back to where it came from."""

_VERDICTS = frozenset([ACCEPT, DROP, REJECT])
_GOES_ON = "goes on"
# Targets that look at the packet or mark it, and let it go on; so does a rule without one.
_PASSING = re.compile(
    "LOG|NFLOG|ULOG|MARK|CONNMARK|SECMARK|CONNSECMARK|AUDIT|SET|TRACE|CLASSIFY|CHECKSUM|TCPMSS|DSCP|TOS|TTL|HL|CT"
    "|NOTRACK|IDLETIMER|LED|RATEEST|TEE|"
)
DEEPEST = 64
"""The kernel follows no more jumps than this; a table in which there are more is not one that it took."""

Ends = dict[str, str]
"""How a walk can end, and the rule that ends it so."""


def evaluate(table: Table, packet: Packet, sets: Sets | None = None, chain: str = "INPUT") -> Verdict:
    """Return what the rules make of a packet, and the rule that decides, or the one that leaves it open.

    :param sets: what is in the ``ipset`` of a name; one that is not given is unknown.
    :param chain: where the packet comes in. ``FORWARD`` and ``DOCKER-USER`` know the port as the client wrote it.
    """
    walk = _Walk(table, packet, sets or {})
    ends = walk.through(chain)
    if FALLS_THROUGH in ends and chain in walk.policies:
        policy = walk.policies[chain]
        ends = {**ends, policy: ends.get(policy, f"-P {chain} {policy}")}
        del ends[FALLS_THROUGH]
    # Whether it is dropped or refused is all the same to whoever wants to come in.
    if len(ends) == 1 or set(ends) <= {DROP, REJECT}:
        return Verdict(*next(iter(ends.items())))
    return Verdict(UNKNOWN, walk.doubt)


class _Walk:
    """One packet on its way. A chain is asked once: the packet is the same wherever it comes from."""

    def __init__(self, table: Table, packet: Packet, sets: Sets) -> None:
        self.policies = dict(table.policies)
        self.doubt = ""
        self._chains = dict(table.chains)
        self._packet = packet
        self._sets = sets
        self._known: dict[str, Ends] = {}
        self._open: list[str] = []

    def through(self, chain: str) -> Ends:
        """Return how the packet can leave a chain."""
        if chain not in self._known:
            if chain in self._open or len(self._open) > DEEPEST:
                self.doubt = self.doubt or f"-A {self._open[-1]} -j {chain}"
                return {UNKNOWN: self.doubt}
            self._open.append(chain)
            self._known[chain] = self._ends(chain)
            self._open.pop()
        return self._known[chain]

    def _ends(self, chain: str) -> Ends:
        found: Ends = {}
        for text in self._chains.get(chain, ()):
            shown = f"-A {chain} {text}"
            rule = parse_rule(text)
            held = holds(rule, self._packet, self._sets)
            ends = {} if held is False else self._target(rule, shown)
            for end, why in ends.items():
                if end != _GOES_ON:
                    found.setdefault(end, why)
            if ends and set(ends) != {_GOES_ON} and (held is None or UNKNOWN in ends):
                self.doubt = self.doubt or shown
            if held and _GOES_ON not in ends:
                return found
        found.setdefault(FALLS_THROUGH, "")
        return found

    def _target(self, rule: Rule, shown: str) -> Ends:
        target = rule.target
        if target in _VERDICTS or target == FALLS_THROUGH:
            return {target: shown}
        if _PASSING.fullmatch(target):
            return {_GOES_ON: ""}
        if target not in self._chains:
            # A queue leaves it to a program; of other targets nothing is known.
            return {UNKNOWN: shown, _GOES_ON: ""}
        ends = dict(self.through(target))
        if FALLS_THROUGH in ends and not rule.leaves:
            ends[_GOES_ON] = ends.pop(FALLS_THROUGH)
        return ends
