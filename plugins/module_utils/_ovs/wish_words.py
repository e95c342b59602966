# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The words that a wish is made of: names, numbers, VLANs, maps of texts. Pure.

What OVSDB would take as it is, and Open vSwitch would then leave without effect, is refused here with the word that
would be right.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import OWNER

Given = t.Mapping[str, t.Any]
Parser = t.Callable[[str, t.Any], t.Any]
Table = t.Mapping[str, "tuple[str, Parser]"]
"""Options with the column that each sets, and what parses its value."""

NONE = "none"
LAST_VLAN = 4095
LEAST_MTU, MOST_MTU = 68, 65535
NAME_LENGTH = 15

# What the kernel takes and no tool reads as something else; the kernel has no other word for an interface than bytes.
_NAME = re.compile(r"[A-Za-z0-9_.@+][A-Za-z0-9_.@+-]*", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,20}", re.ASCII)
_RANGE = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", re.ASCII)
_MAC = re.compile("[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def wrong(where: str, what: str, remedy: str) -> ParseError:
    """Return the error for a word of the wish; ``where`` names the option and what it belongs to."""
    return ParseError(f"{where}: {what}.", remedy=remedy)


def did_you_mean(word: str, known: t.Iterable[str]) -> str:
    """Return a question for the nearest known word, with a space before it, or nothing."""
    import difflib  # needed for mistakes only, and every run would pay for it

    plain = {_plain(name): name for name in sorted(known, reverse=True)}
    near = difflib.get_close_matches(_plain(word), list(plain), n=1, cutoff=0.75)
    return f" Did you mean {plain[near[0]]!r}?" if near else ""


def only(where: str, given: t.Any, known: t.Iterable[str]) -> Given:
    """Return a mapping of options after a look at their names.

    :raises ParseError: it is no mapping, or an option is not known.
    """
    if not isinstance(given, dict):
        raise wrong(where, f"{given!r} is no mapping of options", f"give some of {', '.join(known)}")
    for key in given:
        if key not in known:
            raise wrong(
                where,
                f"{key!r} is no option",
                f"use some of {', '.join(known)}.{did_you_mean(str(key), known)}",
            )
    return given


def sentence(where: str) -> str:
    """Return what an error is about as the beginning of a sentence; names keep their letters."""
    return where[:1].upper() + where[1:]


def columns(where: str, given: Given, table: Table) -> dict[str, t.Any]:
    """Return the columns that the options set; what is omitted or null is not managed."""
    return {
        column: parse(f"{option} of {where}", given[option])
        for option, (column, parse) in table.items()
        if given.get(option) is not None
    }


def sole(column: t.Any) -> t.Any:
    """Return the value of an optional column, or ``None`` when it is cleared or not managed."""
    return next(iter(column or ()), None)


def name(where: str, value: t.Any) -> str:
    """Return the name of a bridge, port or interface.

    :raises ParseError: no network device could have it.
    """
    remedy = (
        f"use at most {NAME_LENGTH} letters, digits and the characters _ . @ + -, and no - at the beginning"
    )
    if not isinstance(value, str) or not _NAME.fullmatch(value) or value in (".", ".."):
        raise wrong(where, f"{value!r} is no name of a network device", remedy)
    if len(value) > NAME_LENGTH:
        raise wrong(
            where, f"{value!r} has {len(value)} characters, and the kernel takes {NAME_LENGTH}", remedy
        )
    return value


def mac(where: str, value: t.Any) -> str:
    """Return the address of a device in the form in which it is stored.

    :raises ParseError: it is none, or the address of a group.
    """
    word = str(value).lower()
    if not _MAC.fullmatch(word):
        raise wrong(
            where,
            f"{value!r} is no MAC address",
            "write it like '02:00:00:00:00:aa', in quotes: YAML reads some as numbers",
        )
    if int(word[1], 16) % 2 or not word.strip("0:"):
        raise wrong(
            where,
            f"{value!r} is no address of one device",
            "use an address with an even first byte that is not all zeros",
        )
    return word


def number(lowest: int, highest: int) -> Parser:
    """Return a parser for a number, ``None`` for what clears it (an empty text or ``none``)."""

    def parse(where: str, value: t.Any) -> int | None:
        if value in ("", NONE, []):
            return None
        word = str(value)
        if isinstance(value, bool) or not _NUMBER.fullmatch(word) or not lowest <= int(word) <= highest:
            raise wrong(
                where,
                f"{value!r} is no whole number from {lowest} to {highest}",
                f"give one, or {NONE} to clear it",
            )
        return int(word)

    return parse


def optional(parse: Parser) -> Parser:
    """Return a parser for a column that holds one value or none."""

    def parse_optional(where: str, value: t.Any) -> frozenset[t.Any]:
        found = parse(where, value)
        return frozenset() if found is None else frozenset((found,))

    return parse_optional


def choice(*allowed: str) -> Parser:
    """Return a parser for one of some words, ``None`` for what clears it."""

    def parse(where: str, value: t.Any) -> str | None:
        if value in ("", NONE, []):
            return None
        # YAML reads a bare off as false.
        word = "off" if value is False and "off" in allowed else value
        if word not in allowed:
            raise wrong(
                where,
                f"{value!r} is not known",
                f"use one of {', '.join(allowed)}, or {NONE} to clear it.{did_you_mean(str(value), allowed)}",
            )
        return str(word)

    return parse


def flag(where: str, value: t.Any) -> bool:
    """Return a boolean.

    :raises ParseError: it is none.
    """
    if not isinstance(value, bool):
        raise wrong(where, f"{value!r} is neither true nor false", "write true or false")
    return value


def vlans(where: str, value: t.Any) -> frozenset[int]:
    """Return a set of VLANs with its ranges expanded; an empty list clears it.

    :raises ParseError: an item is neither a VLAN nor a range.
    """
    found: set[int] = set()
    for item in items(where, value):
        match = None if isinstance(item, bool) else _RANGE.fullmatch(str(item))
        first, last = (int(match.group(1)), int(match.group(2) or match.group(1))) if match else (1, 0)
        if first > last or last > LAST_VLAN:
            raise wrong(
                where,
                f"{item!r} is neither a VLAN nor a range of them",
                f"give numbers from 0 to {LAST_VLAN} and ranges such as '30-35', the smaller first",
            )
        found.update(range(first, last + 1))
    return frozenset(found)


def items(where: str, value: t.Any) -> t.Sequence[t.Any]:
    """Return a list.

    :raises ParseError: it is none.
    """
    if not isinstance(value, (list, tuple)):
        raise wrong(where, f"{value!r} is no list", "give a list; an empty one clears it")
    return value


def text(where: str, value: t.Any) -> str:
    """Return a value for a map as the database has it: everything there is a text.

    :raises ParseError: YAML made something else of it that has no one text.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, str) or "\0" in value:
        raise wrong(where, f"{value!r} is no text", "write one text in quotes, as Open vSwitch wants it")
    return value


def text_map(where: str, value: t.Any) -> dict[str, str | None]:
    """Return a map for the database; ``None`` deletes a key, and an empty map clears all of them.

    :raises ParseError: it is no mapping, or two of its keys are the same text.
    """
    if not isinstance(value, dict):
        raise wrong(where, f"{value!r} is no mapping", "give keys with values; {} clears all, null one key")
    found: dict[str, str | None] = {}
    for given, word in value.items():
        key = text(f"a key of {where}", given)
        if key in found or not key:
            raise wrong(where, f"the key {key!r} is empty or there twice", "name each key once")
        found[key] = None if word is None else text(f"{key} in {where}", word)
    return found


def external_ids(where: str, value: t.Any) -> dict[str, str | None]:
    """Return a map of external ids, in which the mark of the owner is not the user's to set.

    :raises ParseError: it is there.
    """
    found = text_map(where, value)
    if OWNER in found:
        raise wrong(where, f"{OWNER} marks what the collection has made", "leave it out")
    return found


def _plain(word: str) -> str:
    return word.lower().replace("_", "-")
