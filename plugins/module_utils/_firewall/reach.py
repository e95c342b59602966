# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Do packets get as far as our jumps, and is there a way around them? Pure.

``iptables -C`` says that a jump is there, although a rule above it decides about every packet: it is dead code then.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.evaluate import ACCEPT, evaluate
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.matches import (
    SOMEWHERE,
    Sets,
    parse_rule,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    FOREIGN_ABOVE,
    Jump,
    Objection,
    Packet,
    Table,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import (
    is_final,
    ours,
    owner_of,
    target_of,
    without_comment,
)

ANYBODY = {4: "203.0.114.1", 6: "2a00:1::1"}
"""Somebody out there: globally routed, in no list of networks that are never to be seen."""
_DISCARD = 9
_RETURN = "RETURN"


def hidden_jumps(family: int, table: Table) -> list[Objection]:
    """Object to each of our jumps that no packet reaches, because what stands above it denies the rest."""
    found = []
    for jump, rule in _hidden(table):
        if _only_accepts(table, jump, rule):
            continue
        found.append(
            Objection(
                FOREIGN_ABOVE,
                family,
                f"IPv{family}: {jump.chain} would never be asked, because '-A {jump.source} {rule}' above it"
                f"{_owned(rule)} decides about every packet.",
                f"remove that rule or stop who made it; allow: [{FOREIGN_ABOVE}] lifts this one refusal",
            )
        )
    return found


def warnings_about(tables: t.Mapping[int, Table], denies: bool, sets: Sets | None = None) -> tuple[str, ...]:
    """Return what makes the policy worth less than it says, and is no danger to whoever logs in.

    :param denies: whether the policy drops or refuses what it does not name.
    """
    found: list[str] = []
    for family, table in sorted(tables.items(), reverse=True):
        ways_round = [
            f"IPv{family}: '-A {jump.source} {rule}'{_owned(rule)} accepts every packet before {jump.chain} is asked:"
            " the policy denies nothing."
            for jump, rule in _hidden(table)
            if _only_accepts(table, jump, rule)
        ]
        found += ways_round
        stranger = Packet(family, ANYBODY[family], "tcp", _DISCARD, SOMEWHERE)
        verdict = evaluate(table, stranger, sets)
        if denies and verdict.accepted and not ways_round:
            found.append(
                f"IPv{family}: a connection that no service declares is accepted by '{verdict.rule}', in spite of"
                " the policy."
            )
    return tuple(found)


def _hidden(table: Table) -> t.Iterator[tuple[Jump, str]]:
    """Yield our jumps that no packet reaches, and the rule above that sees to it."""
    for jump in ours(table).jumps:
        for rule in table.rules(jump.source)[: int(jump.place) - 1]:
            if _ends_all(table, rule, ()):
                yield jump, rule
                break


def _ends_all(table: Table, rule: str, seen: tuple[str, ...]) -> bool:
    """Tell whether no packet goes on after a rule, because none comes back from the chain that it leads to."""
    bare, target = without_comment(rule), target_of(rule)
    if not bare.startswith(("-j ", "-g ")) or target in seen:
        return False
    return is_final(rule) or _is_closed(table, target, (*seen, target))


def _is_closed(table: Table, chain: str, seen: tuple[str, ...]) -> bool:
    """Tell whether no packet comes back from a chain that is not built in."""
    for text in table.rules(chain):
        rule = parse_rule(text)
        # Out of a chain that is entered by -g the packet comes back to where this one was called.
        comes_back = rule.target in seen or not _is_closed(table, rule.target, (*seen, rule.target))
        if rule.target == _RETURN or (rule.leaves and comes_back):
            return False
        if _ends_all(table, text, seen):
            return True
    return False


def _only_accepts(table: Table, jump: Jump, rule: str) -> bool:
    """Tell whether what hides a jump lets everything in: a firewall that is open, but locks nobody out."""
    targets = {target_of(rule)}
    reached: set[str] = set()
    while targets - reached:
        chain = (targets - reached).pop()
        reached.add(chain)
        targets |= {target_of(inner) for inner in table.rules(chain)}
    ends = reached & {ACCEPT, "DROP", "REJECT", "QUEUE", "NFQUEUE", "TARPIT"}
    if _RETURN in reached or parse_rule(rule).leaves:
        ends.add(dict(table.policies).get(jump.source, ACCEPT))
    return ends == {ACCEPT}


def _owned(rule: str) -> str:
    owner = owner_of(target_of(rule))
    return f" ({owner})" if owner else ""
