# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The record of what is ours in libvirt, and of how it was before we adopted it. Pure.

A network carries our mark in its own metadata. libvirt keeps no metadata for pools, so a pool is
ours when the record names it with the uuid that it has: a pool that somebody made anew under the
same name has another one.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Reading

PATH = "/var/lib/hearth/libvirt.json"


@dataclasses.dataclass(frozen=True)
class Before:
    """An object as it was before it was adopted."""

    xml: str
    autostart: bool
    active: bool


@dataclasses.dataclass(frozen=True)
class Entry:
    """One object of ours. Without ``before`` we made it; ``uuid`` is empty when libvirt chose it."""

    uuid: str = ""
    before: Before | None = None


Entries = t.Mapping[str, Entry]
#: The entries by name, by kind of object.
Book = t.Mapping[str, Entries]


def parse(reading: Reading) -> Book:
    """Return the record; a missing one is empty.

    :raises ParseError: it cannot be read. It is not guessed what is ours.
    """
    if reading.missing:
        return {}
    if reading.text is None:
        raise ParseError(f"{reading.why}.", remedy="let the module run as root (become: true)")
    try:
        data = json.loads(reading.text)
        return {
            noun: {name: _entry(fields) for name, fields in entries.items()} for noun, entries in data.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ParseError(
            f"{PATH} is damaged: {error}.",
            remedy="restore it from /var/lib/hearth/backup; without it, nothing there is known to be ours",
        ) from error


def render(book: Book) -> str:
    """Return the text of the record; empty when there is nothing to remember."""
    data = {
        noun: {name: dataclasses.asdict(entry) for name, entry in entries.items()}
        for noun, entries in book.items()
        if entries
    }
    return f"{json.dumps(data, indent=1, sort_keys=True)}\n" if data else ""


def _entry(fields: t.Mapping[str, t.Any]) -> Entry:
    before = fields["before"]
    return Entry(
        uuid=fields["uuid"],
        before=before and Before(before["xml"], bool(before["autostart"]), bool(before["active"])),
    )
