# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Read the objects of one kind from libvirt or, while it is down, from the files it keeps."""

from __future__ import annotations

import dataclasses
import typing as t
import xml.etree.ElementTree as ET

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.connection import (
    LibvirtUnavailable,
    Link,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.model import Found, Inventory
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.record import PATH as RECORD

# VIR_NETWORK_XML_INACTIVE and VIR_STORAGE_XML_INACTIVE, and VIR_CONNECT_LIST_DOMAINS_ACTIVE.
_INACTIVE = 1
_ACTIVE_DOMAINS = 1

#: Does this guest, as a parsed domain, use the object of this name and live definition?
Uses = t.Callable[[ET.Element, str, str], bool]


@dataclasses.dataclass(frozen=True)
class Kind:
    """How libvirt handles one kind of object: its calls, its files, and who counts as a user."""

    noun: str
    list_all: str
    lookup: str
    define: str
    stored: str
    running: str
    uses: Uses


def read_inventory(host: Host, link: Link, kind: Kind, names: t.Sequence[str]) -> Inventory:
    """Return what there is under ``names``; libvirt being away is an answer, not an error."""
    record = host.read(RECORD)
    try:
        found = link.call(f"list {kind.noun}s", lambda connection: _ask(connection, kind, names))
    except LibvirtUnavailable as error:
        return Inventory(_from_files(host, kind, names), record, why=error.message)
    return Inventory(found, record)


def _ask(connection: t.Any, kind: Kind, names: t.Sequence[str]) -> dict[str, Found]:
    objects = {item.name(): item for item in getattr(connection, kind.list_all)(0)}
    present = [name for name in names if name in objects]
    guests = _guests(connection) if any(objects[name].isActive() for name in present) else {}
    return {name: _describe(objects[name], kind, guests) for name in present}


def _guests(connection: t.Any) -> dict[str, ET.Element]:
    guests = {}
    for domain in connection.listAllDomains(_ACTIVE_DOMAINS):
        try:
            guests[domain.name()] = ET.fromstring(domain.XMLDesc(0))
        except Exception:
            # A guest that ended meanwhile is no user; one that is still there must be known.
            if domain.name() in {other.name() for other in connection.listAllDomains(_ACTIVE_DOMAINS)}:
                raise
    return guests


def _describe(item: t.Any, kind: Kind, guests: t.Mapping[str, ET.Element]) -> Found:
    live = item.XMLDesc(0) if item.isActive() else None
    users = [guest for guest, xml in guests.items() if live and kind.uses(xml, item.name(), live)]
    return Found(
        inactive=item.XMLDesc(_INACTIVE) if item.isPersistent() else None,
        live=live,
        autostart=bool(item.autostart()),
        users=tuple(sorted(users)),
    )


def _from_files(host: Host, kind: Kind, names: t.Sequence[str]) -> dict[str, Found]:
    found = {}
    for name in names:
        inactive = host.text(f"{kind.stored}/{name}.xml")
        live = _running_definition(host.text(f"{kind.running}/{name}.xml"), kind)
        if inactive is not None or live is not None:
            found[name] = Found(inactive, live, host.exists(f"{kind.stored}/autostart/{name}.xml"))
    return found


def _running_definition(status: str | None, kind: Kind) -> str | None:
    """Return the definition inside a status file, which wraps it in one more element."""
    if status is None:
        return None
    root = ET.fromstring(status)
    inner = root if root.tag == kind.noun else root.find(kind.noun)
    return None if inner is None else ET.tostring(inner, encoding="unicode")
