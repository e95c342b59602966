# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""libvirt's configuration files: their grammar, and a block of our own at their top. Pure.

libvirt takes the *first* statement of a key (src/util/virconf.c, virConfGetValue). So a block
at the top wins over everything below it, and the rest of the file keeps every byte.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError

Scalar = t.Union[int, str]
Value = t.Union[int, str, "tuple[Scalar, ...]"]
Settings = t.Mapping[str, Value]

BEGIN = "# BEGIN hearth: these statements win over the ones below, because libvirt takes the first of a key\n"
END = "# END hearth\n"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_STRING = re.compile(r'"""(?P<long>.*?)"""|"(?P<double>[^"\r\n]*)"|\'(?P<single>[^\'\r\n]*)\'', re.DOTALL)
_BLANKS = re.compile(r"[ \t]*")
_BLANKS_AND_LINES = re.compile(r"[ \t\r\n]*")
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_SEPARATOR = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?:\Z|[\r\n;])")


class _Reader:
    """A position in a text; every step takes a token or says what stands there instead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def skip(self, pattern: re.Pattern[str]) -> None:
        """Step over what may stand here."""
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def take(self, pattern: re.Pattern[str], what: str) -> re.Match[str]:
        """Step over what must stand here."""
        match = pattern.match(self._text, self._at)
        if match is None:
            line = self._text.count("\n", 0, self._at) + 1
            found = self._text[self._at : self._at + 20].split("\n")[0] or "the end of the line"
            raise ParseError(f"line {line}: expected {what}, found {found!r}", line=line)
        self._at = match.end()
        return match

    def next_is(self, characters: str) -> bool:
        """Tell whether one of the characters stands here."""
        return self._text[self._at : self._at + 1] in tuple(characters)

    def at_end(self) -> bool:
        """Tell whether the text is used up."""
        return self._at >= len(self._text)


def parse(text: str) -> list[tuple[str, Value]]:
    """Return the statements of a file, in order.

    :raises ParseError: the text is not in libvirt's grammar; the message names the line.
    """
    reader, statements = _Reader(text), []
    reader.skip(_BETWEEN)
    while not reader.at_end():
        name = reader.take(_NAME, "a name")[0]
        reader.skip(_BLANKS)
        reader.take(re.compile("="), "'='")
        reader.skip(_BLANKS)
        value = _list(reader) if reader.next_is("[") else _scalar(reader)
        reader.take(_SEPARATOR, "the end of the line")
        reader.skip(_BETWEEN)
        statements.append((name, value))
    return statements


def effective(text: str) -> dict[str, Value]:
    """Return what libvirt makes of a file: of each key the first statement."""
    settings: dict[str, Value] = {}
    for name, value in parse(text):
        settings.setdefault(name, value)
    return settings


def split(text: str) -> tuple[dict[str, Value], str]:
    """Return the settings of our block, and the file without it, byte for byte.

    :raises ParseError: the block has no end.
    """
    start = text.find(BEGIN)
    if start < 0:
        return {}, text
    end = text.find(END, start)
    if end < 0:
        raise ParseError("the managed block has no end", remedy=f"add the line {END.strip()!r} where it ends")
    block = text[start + len(BEGIN) : end]
    return effective(block), text[:start] + text[end + len(END) :]


def join(block: Settings, rest: str) -> str:
    """Return a file with our block at the top; no settings, no block."""
    if not block:
        return rest
    lines = [f"{name} = {render(value)}\n" for name, value in sorted(block.items())]
    return "".join([BEGIN, *lines, END, rest])


def render(value: Value) -> str:
    """Return a value in libvirt's grammar, which has no escapes.

    :raises ParseError: no kind of quotes fits the string.
    """
    if isinstance(value, tuple):
        return f"[ {', '.join(render(item) for item in value)} ]" if value else "[ ]"
    if isinstance(value, int):
        return str(value)
    one_line = "\n" not in value and "\r" not in value
    if one_line and '"' not in value:
        return f'"{value}"'
    if one_line and "'" not in value:
        return f"'{value}'"
    if '"""' not in value and not value.endswith('"'):
        return f'"""{value}"""'
    raise ParseError(f"no quotes of libvirt's grammar can hold {value!r}")


def from_data(name: str, value: t.Any) -> Value:
    """Return a value given as data: a number, a string, a boolean (1 or 0), or a list of them.

    :raises ParseError: the key or the value is nothing that libvirt's grammar has.
    """
    if not _NAME.fullmatch(name):
        raise ParseError(f"{name!r} is no name of a setting: letters, digits and underscores only")
    if isinstance(value, (list, tuple)):
        return tuple(_data_scalar(name, item) for item in value)
    return _data_scalar(name, value)


def _data_scalar(name: str, value: t.Any) -> Scalar:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, str)):
        render(value)
        return value
    raise ParseError(f"{name} must be a number, a string, or a list of them, and is {type(value).__name__}")


def _scalar(reader: _Reader) -> Scalar:
    if reader.next_is("\"'"):
        match = reader.take(_STRING, "a string with its closing quotes")
        return next(text for text in match.groups() if text is not None)
    return int(reader.take(_INTEGER, "a number, a string in quotes, or a list")[0])


def _list(reader: _Reader) -> tuple[Scalar, ...]:
    items: list[Scalar] = []
    reader.take(re.compile(r"\["), "'['")
    reader.skip(_BLANKS_AND_LINES)
    while not reader.next_is("]"):
        items.append(_scalar(reader))
        reader.skip(_BLANKS_AND_LINES)
        if not reader.next_is("]"):
            reader.take(re.compile(","), "',' or ']'")
            reader.skip(_BLANKS_AND_LINES)
    reader.take(re.compile("]"), "']'")
    return tuple(items)
