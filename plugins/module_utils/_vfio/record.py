# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The record of the devices that are ours, and of what each was before: one line a device. Pure.

Seven words a line, ``-`` for none, so that a shell can read it where there is no Python.
"""

from __future__ import annotations

import re
import urllib.parse

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import Entry, Identity, Record

PATH = "/var/lib/hearth/vfio"

_HEADER = "# hearth vfio 1: address identity driver origin origin_override gpu_uuid boot_id"
_NONE = "-"
_IDENTITY = re.compile(r"([0-9a-f]{4}):([0-9a-f]{4}):([0-9a-f]{4}):([0-9a-f]{4})", re.ASCII)
_WORD = re.compile(r"(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})+", re.ASCII)
_BOOT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_WORDS = 7


def parse_record(text: str) -> Record:
    """Return the entries by address; no text at all is an empty record.

    :raises ParseError: it is damaged. It is not guessed what a device was before.
    """
    lines = text.splitlines()
    if not lines:
        return {}
    if lines[0] != _HEADER:
        raise _damaged(1, lines[0], f"the first line is not {_HEADER!r}")
    record: dict[str, Entry] = {}
    for number, line in enumerate(lines[1:], start=2):
        entry = _parse_line(number, line)
        if entry.address in record:
            raise _damaged(number, line, f"{entry.address} is there twice")
        record[entry.address] = entry
    return record


def render_record(record: Record) -> str:
    """Return the text of the record; empty when nothing is ours."""
    lines = [_render_line(record[address]) for address in sorted(record)]
    return "".join(f"{line}\n" for line in [_HEADER, *lines]) if lines else ""


def parse_identity(text: str) -> Identity | None:
    """Return the four ids that :class:`Identity` prints as, or ``None`` for any other text."""
    match = _IDENTITY.fullmatch(text)
    return Identity(*match.groups()) if match else None


def is_exact(address: str) -> bool:
    """Tell whether an address is written as the kernel writes it: other ways to write it match nothing."""
    return pci.is_address(address) and pci.normalise(address) == address


def _parse_line(number: int, line: str) -> Entry:
    words = line.split(" ")
    if len(words) != _WORDS:
        raise _damaged(number, line, f"it has {len(words)} words and not {_WORDS}")
    identity = parse_identity(words[1])
    if not is_exact(words[0]) or identity is None:
        raise _damaged(number, line, "it does not begin with an address and four ids")
    driver, origin, override, uuid, boot_id = (_read(number, line, word) for word in words[2:])
    if not driver or (boot_id and not _BOOT_ID.fullmatch(boot_id)):
        raise _damaged(number, line, "it has no driver, or a boot id that is none")
    return Entry(words[0], identity, driver, origin, override, uuid, boot_id)


def _render_line(entry: Entry) -> str:
    rest = (entry.driver, entry.origin, entry.origin_override, entry.gpu_uuid, entry.boot_id)
    return " ".join([entry.address, str(entry.identity), *map(_word, rest)])


def _word(text: str) -> str:
    """Return one word for any name: the kernel allows spaces in the names of drivers."""
    return "%2D" if text == _NONE else urllib.parse.quote(text, safe="") or _NONE


def _read(number: int, line: str, word: str) -> str:
    if not _WORD.fullmatch(word):
        raise _damaged(number, line, f"{word!r} is no word of it")
    return "" if word == _NONE else urllib.parse.unquote(word)


def _damaged(number: int, line: str, why: str) -> ParseError:
    return ParseError(
        f"{PATH} is damaged: line {number}, {line!r}: {why}.",
        remedy="restore it from /var/lib/hearth/backup; without it, nobody knows which drivers the devices had",
    )
