# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The words of GRUB's script language, as far as the generated menu needs them. Pure."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError

_PLAIN_VARIABLE = r"\$\{[^}]*\}|\$(?:\w+|[?@*\#])"
# The words of GRUB's script language; what is unquoted here has no meaning of its own.
_TOKEN = re.compile(
    rf"""
    (?P<blank>[ \t\r]+|\\\n)
    |(?P<comment>\#[^\n]*)
    |(?P<end>[\n;&|])
    |(?P<brace>[{{}}])
    |(?P<word>(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|{_PLAIN_VARIABLE}|[^\s;&|{{}}'"\\])+)
    """,
    re.VERBOSE | re.DOTALL,
)
_PIECE = re.compile(
    rf"""\\(?P<escaped>.)|'(?P<single>[^']*)'|"(?P<double>(?:\\.|[^"\\])*)"|(?P<variable>{_PLAIN_VARIABLE})|(?P<plain>.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\([\\\"$\n])")


@dataclasses.dataclass(frozen=True)
class Word:
    """A word of GRUB's script: as it is written, and what it says.

    ``variable`` tells that it is nothing but a variable, so that what it says is known only to GRUB.
    """

    raw: str
    value: str
    variable: bool = False


def words_of(line: str) -> tuple[Word, ...]:
    """Return the words of one command.

    :raises ParseError: a quotation mark is never closed.
    """
    return tuple(word_of(token.group()) for token in tokens(line) if token.lastgroup == "word")


def quote(value: str) -> str:
    """Return a word as GRUB's script needs it."""
    if re.fullmatch(r"[\w@%+=:,./-]+", value, re.ASCII):
        return value
    return "'" + value.replace("'", "'\\''") + "'"


def tokens(text: str) -> t.Iterator[re.Match[str]]:
    """Yield what a script consists of; ``lastgroup`` is ``word``, ``end`` (of a command) or ``brace``.

    :raises ParseError: a quotation mark is never closed.
    """
    position = 0
    # The newline at the end finishes the last command.
    padded = f"{text}\n"
    while position < len(padded):
        token = _TOKEN.match(padded, position)
        if token is None:
            raise broken("there is a quotation mark or a $ without a counterpart", text, position)
        position = token.end()
        if token.lastgroup not in ("blank", "comment"):
            yield token


def broken(what: str, text: str, position: int) -> ParseError:
    """Return the error for what is wrong at a position of the text."""
    line = text.count("\n", 0, position) + 1
    return ParseError(
        f"GRUB's menu cannot be read: {what} (line {line}).",
        remedy="run grub-script-check on the menu, and correct the script in /etc/grub.d that made this line",
    )


def word_of(raw: str) -> Word:
    """Take a word apart as GRUB does: quotation marks and escapes resolved, variables left as they are."""
    value, variable = "", True
    for piece in _PIECE.finditer(raw):
        kind = piece.lastgroup or ""
        variable = variable and kind == "variable"
        value += _said(kind, piece.group(kind))
    return Word(raw, value, variable)


def _said(kind: str, text: str) -> str:
    """Return what a piece says; a newline that is escaped is none."""
    if kind == "escaped":
        return text.strip("\n")
    return _ESCAPE.sub(lambda found: found.group(1).strip("\n"), text) if kind == "double" else text
