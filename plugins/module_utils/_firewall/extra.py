# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Raw rules that a policy adds: checked for what iptables would cut, look up or misread. Pure.

The rest of the grammar is the kernel's affair: the rule is committed in a scratch namespace before it is used.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall import words
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import PREFIX
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import (
    FAMILY_NAMES,
    PLACES,
    ExtraRule,
)

_WORD = re.compile(r'"[^"]*"|[^\s"]+')
_COMMANDS = re.compile(
    r"-[ADRILSFZNXPECtcwWMV]|--(?:append|delete|replace|insert|list|list-rules|flush|zero|new-chain|new|delete-chain"
    r"|policy|rename-chain|check|table|set-counters|wait|modprobe)"
)
_TARGETS = ("-j", "--jump", "-g", "--goto")
_SOURCES = ("-s", "--source", "--src", "-d", "--destination", "--dst")
_INTERFACES = ("-i", "--in-interface", "-o", "--out-interface")
_PORTS = ("--dports", "--destination-ports", "--sports", "--source-ports", "--ports")
_PROTOCOLS = {"icmp": 4, "icmpv6": 6, "ipv6-icmp": 6}
MOST_PORTS = 15


def extra_rule(where: str, given: t.Mapping[str, t.Any]) -> ExtraRule:
    """Return a raw rule with its comment.

    :raises ParseError: it names a chain or a table, a host, an address of the wrong family, or is too long somewhere.
    """
    place = given.get("where")
    if place not in PLACES:
        raise words.wrong(f"{where}.where", f"{place!r} is no place", f"use one of {', '.join(PLACES)}")
    found = _words(f"{where}.rule", given.get("rule"))
    _check(f"{where}.rule", found)
    rule = _commented(where, found, given.get("comment"))
    return ExtraRule(place, _families(where, found, given.get("families")), " ".join(rule))


def _words(where: str, rule: t.Any) -> list[str]:
    if not isinstance(rule, str) or not rule.strip() or not rule.isascii() or not rule.isprintable():
        raise words.wrong(
            where, f"{rule!r} is no rule", "write it as iptables-save does, on one line, without -A CHAIN"
        )
    if rule.count('"') % 2 or re.search(r"['`\\]", rule):
        raise words.wrong(
            where, f"{rule!r} is quoted wrongly", "iptables-restore knows pairs of double quotes only"
        )
    return _WORD.findall(rule)


def _check(where: str, found: list[str]) -> None:
    for word in found:
        if _COMMANDS.fullmatch(word):
            raise words.wrong(
                where, f"{word} names a command, a chain or a table", "the place of a rule is 'where'"
            )
    targets = [_after(found, index) for index, word in enumerate(found) if word in _TARGETS]
    if len(targets) != 1 or not targets[0]:
        raise words.wrong(where, f"it has {len(targets)} targets", "end the rule with one -j TARGET")
    if targets[0].startswith(PREFIX):
        raise words.wrong(
            where, f"it jumps to {targets[0]}, which is rendered", "jump to a chain of your own"
        )
    for index, word in enumerate(found):
        _check_word(where, word, _after(found, index))


def _check_word(where: str, word: str, value: str) -> None:
    if word in _INTERFACES:
        words.interface(f"{where} {word}", value, pattern=True)
    if word == "--comment":
        words.text(f"{where} {word}", value.strip('"'), words.COMMENT_LENGTH)
    if word == "--log-prefix":
        words.text(f"{where} {word}", value.strip('"'), words.LOG_PREFIX_LENGTH)
    if word in _PORTS and sum(2 if ":" in port else 1 for port in value.split(",")) > MOST_PORTS:
        raise words.wrong(
            where, f"{word} has more than {MOST_PORTS} ports (a range counts twice)", "write two rules"
        )


def _after(found: list[str], index: int) -> str:
    return found[index + 1] if index + 1 < len(found) else ""


def _families(where: str, found: list[str], wanted: t.Sequence[str] | None) -> tuple[int, ...]:
    """Return the families; addresses and ICMP decide where nothing is said, and may not contradict what is."""
    implied: set[int] = {
        words.network(f"{where}.rule {word}", _after(found, index)).version
        for index, word in enumerate(found)
        if word in _SOURCES
    }
    implied |= {
        _PROTOCOLS[_after(found, index)]
        for index, word in enumerate(found)
        if word in ("-p", "--protocol", "--proto") and _after(found, index) in _PROTOCOLS
    }
    families = set(implied or FAMILY_NAMES.values())
    if wanted is not None:
        families = {FAMILY_NAMES[family] for family in wanted if family in FAMILY_NAMES}
        if not families or len(families) != len(wanted):
            raise words.wrong(f"{where}.families", f"{wanted!r} names no family", "use ipv4, ipv6 or both")
    if implied not in (set(), families) or len(implied) > 1:
        raise words.wrong(
            where,
            f"the families {wanted or 'ipv4 and ipv6'} do not fit the addresses or the protocol of the rule",
            "write one rule for each family, or leave families out",
        )
    return tuple(sorted(families))


def _commented(where: str, found: list[str], comment: t.Any) -> list[str]:
    """Put the comment before the target, where iptables-save has it; a rule that brings its own keeps it."""
    if "--comment" in found:
        if comment is not None:
            raise words.wrong(
                f"{where}.comment", "the rule has a --comment of its own", "leave one of the two out"
            )
        return found
    note = words.text(f"{where}.comment", "extra" if comment is None else comment, words.COMMENT_LENGTH - 7)
    at = next(index for index, word in enumerate(found) if word in _TARGETS)
    return [*found[:at], "-m", "comment", "--comment", f'"hearth:{note}"', *found[at:]]
