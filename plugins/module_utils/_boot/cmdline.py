# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The kernel command line as the kernel reads it: words, arguments, what is effective. Pure.

Words follow lib/cmdline.c (next_arg): blanks separate, double quotes hold blanks together, and what
comes after a lone ``--`` belongs to init. ``-`` and ``_`` are equal in names.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.model import (
    COMMA,
    PAIRS,
    REPEAT,
    normal,
    style_of,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError

HUGEPAGES, PAGE_SIZE = "hugepages", "hugepagesz"

Words = t.Sequence[str]


def split(text: str) -> tuple[str, ...]:
    """Split a command line into its words, quotation marks removed; stops at a lone ``--``."""
    words: list[str] = []
    word, quoted, begun = "", False, False
    for character in text + " ":
        if character == '"':
            quoted, begun = not quoted, True
        elif character.isspace() and not quoted:
            if word == "--":
                return tuple(words)
            if begun:
                words.append(word)
            word, begun = "", False
        else:
            word, begun = word + character, True
    # A quotation mark that is never closed runs to the end, as in the kernel.
    return tuple([*words, word.rstrip()]) if quoted and word.strip() else tuple(words)


def quote(word: str) -> str:
    """Return a word as it is written: blanks in the value need quotation marks."""
    name, equals, value = word.partition("=")
    return f'{name}{equals}"{value}"' if " " in value else word


def join(words: Words) -> str:
    """Return the command line that :func:`split` takes apart into ``words``."""
    return " ".join(map(quote, words))


@dataclasses.dataclass(frozen=True)
class Argument:
    """One argument with all that belongs to it.

    ``name`` is in normal form; huge pages are one argument, with values such as ``1G=64``.
    ``values`` of a bare flag is ``(None,)``. ``words`` is how it stands on the command line.
    """

    name: str
    values: tuple[str | None, ...]
    words: tuple[str, ...]

    @property
    def style(self) -> str:
        """Tell how several values combine (``_declarations.model``)."""
        return style_of(self.name)


def name_of(word: str) -> str:
    """Return the name in a word, in normal form."""
    return normal(word.partition("=")[0])


def value_of(word: str) -> str | None:
    """Return the value in a word; ``None`` for a bare flag."""
    _name, equals, value = word.partition("=")
    return value if equals else None


def arguments(words: Words) -> tuple[Argument, ...]:
    """Put words of one argument together, in the order in which the names first come.

    :raises ParseError: a page size has no count.
    """
    plain: dict[str, list[str]] = {}
    for word in words:
        name = HUGEPAGES if name_of(word) == PAGE_SIZE else name_of(word)
        plain.setdefault(name, []).append(word)
    return tuple(_argument(name, tuple(group)) for name, group in plain.items())


def _argument(name: str, words: tuple[str, ...]) -> Argument:
    if style_of(name) == PAIRS:
        pairs = page_pairs(words)
        if len(words) and name_of(words[-1]) == PAGE_SIZE:
            raise ParseError(f"{words[-1]} has no count.", remedy=f"write {words[-1]} hugepages=N")
        return Argument(name, tuple(f"{size}={count}" if size else count for size, count in pairs), words)
    if style_of(name) == COMMA:
        return Argument(name, tuple(dict.fromkeys(part for word in words for part in _parts(word))), words)
    return Argument(name, tuple(value_of(word) for word in words), words)


def _parts(word: str) -> list[str]:
    return [part for part in (value_of(word) or "").split(",") if part]


def page_pairs(words: Words) -> tuple[tuple[str, str], ...]:
    """Return (page size, count) as the kernel assigns them: a size holds until the next one."""
    pairs, size = {}, ""
    for word in words:
        if name_of(word) == PAGE_SIZE:
            size = value_of(word) or ""
        elif name_of(word) == HUGEPAGES:
            pairs[size] = value_of(word) or ""
    return tuple(pairs.items())


def is_effective(wish: Argument, words: Words) -> bool:
    """Tell whether ``words`` make the kernel see what ``wish`` asks for."""
    if wish.style == PAIRS:
        return set(page_pairs(wish.words)) <= set(page_pairs(words))
    same = [word for word in words if name_of(word) == wish.name]
    if wish.style == REPEAT:
        return {value_of(word) for word in same} >= set(wish.values)
    if wish.style == COMMA:
        # Of a module's parameter the kernel keeps the last one.
        return bool(same) and set(_parts(same[-1])) >= set(wish.values)
    return bool(same) and value_of(same[-1]) == wish.values[-1]


def missing(wishes: t.Iterable[Argument], words: Words) -> tuple[Argument, ...]:
    """Return the wishes that ``words`` do not make effective."""
    return tuple(wish for wish in wishes if not is_effective(wish, words))


def same_word(one: str, other: str) -> bool:
    """Tell whether two words are one, however their names are spelled."""
    return name_of(one) == name_of(other) and value_of(one) == value_of(other)


def matches(word: str, pattern: str) -> bool:
    """Tell whether ``pattern`` names ``word``: ``name`` any word of that name, ``name=value`` that word."""
    return name_of(word) == name_of(pattern) and (value_of(pattern) in (None, value_of(word)))


def without(words: Words, patterns: t.Collection[str]) -> tuple[str, ...]:
    """Return the words that no pattern names; whole words only, never parts of them."""
    return tuple(word for word in words if not any(matches(word, pattern) for pattern in patterns))
