# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Storage pools: their managed terms, read from libvirt's XML and edited into it. Pure."""

from __future__ import annotations

import dataclasses
import typing as t
import uuid
import xml.etree.ElementTree as ET

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction, ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import xmltext

DIRECTORY, LOGICAL, NETFS = "dir", "logical", "netfs"
_NEEDS = {DIRECTORY: ("path",), LOGICAL: ("source",), NETFS: ("path", "source", "source_host")}
_TAKES = {DIRECTORY: ("path", "mode"), LOGICAL: ("source",), NETFS: ("path", "source", "source_host", "mode")}
_UUIDS = uuid.UUID("c3b52d32-5f0a-4a53-9d0e-0a5a6a0e9f5b")
_TERMS = ("path", "source", "source_host", "mode")


@dataclasses.dataclass(frozen=True)
class PoolConfig:
    """The managed terms; a term that is ``None`` is not managed.

    ``source`` is the volume group of a logical pool, or the exported directory of a netfs
    pool; ``mode`` is that of the directory, as four octal digits.
    """

    type: str
    path: str | None = None
    source: str | None = None
    source_host: str | None = None
    mode: str | None = None


def from_declared(declared: t.Mapping[str, t.Any]) -> PoolConfig:
    """Return the terms of one declaration.

    :raises ParseError: a path is not absolute, or the mode is not octal.
    :raises Contradiction: terms are missing, or belong to another type.
    """
    name, kind = declared["name"], declared["type"]
    missing = [term for term in _NEEDS[kind] if not declared[term]]
    foreign = [term for term in _TERMS if declared[term] and term not in _TAKES[kind]]
    if missing or foreign:
        problem = f"needs {', '.join(missing)}" if missing else f"has no {', '.join(foreign)}"
        raise Contradiction(f"Pool {name}: type={kind} {problem}.", remedy="correct the declaration")
    path = declared["path"] if kind != LOGICAL else f"/dev/{declared['source']}"
    if not path.startswith("/"):
        raise ParseError(f"Pool {name}: path {path!r} is not absolute.", remedy="write the whole path")
    return PoolConfig(
        type=kind,
        path=path.rstrip("/") or "/",
        source=declared["source"],
        source_host=declared["source_host"],
        mode=_octal(name, declared["mode"]),
    )


def from_xml(text: str) -> PoolConfig:
    """Return all terms of a definition."""
    root = xmltext.parse(text)
    kind = root.get("type", "")
    directory = xmltext.attribute(root, "source/dir", "path")
    mode = xmltext.content(root, "target/permissions/mode")
    return PoolConfig(
        type=kind,
        path=xmltext.content(root, "target/path"),
        source=directory if kind == NETFS else xmltext.content(root, "source/name"),
        source_host=xmltext.attribute(root, "source/host", "name"),
        mode=f"{int(mode, 8):04o}" if mode else "",
    )


def masked(config: PoolConfig, by: PoolConfig) -> PoolConfig:
    """Return ``config`` without the terms that ``by`` does not manage."""
    unmanaged = {field: None for field, value in vars(by).items() if value is None}
    return dataclasses.replace(config, **t.cast("dict[str, t.Any]", unmanaged))


def render(name: str, config: PoolConfig, base: str | None) -> str:
    """Return ``base`` with the managed terms edited in; another type keeps the uuid only.

    A new pool gets a uuid from here, so that it can be recorded as ours before it is made.
    """
    root = xmltext.parse(base) if base else ET.Element("pool", {"type": config.type})
    if not base:
        xmltext.child(root, "uuid").text = str(uuid.uuid5(_UUIDS, name))
    if root.get("type") != config.type:
        for tag in ("source", "target"):
            xmltext.drop(root, tag)
        root.set("type", config.type)
    xmltext.child(root, "name").text = name
    source, target = xmltext.child(root, "source"), xmltext.child(root, "target")
    xmltext.child(target, "path").text = config.path
    if config.type == LOGICAL:
        xmltext.child(source, "name").text = config.source
    if config.type == NETFS:
        xmltext.child(source, "host").set("name", config.source_host or "")
        xmltext.child(source, "dir").set("path", config.source or "")
    if config.mode:
        xmltext.child(xmltext.child(target, "permissions"), "mode").text = config.mode
    return ET.tostring(root, encoding="unicode")


def uuid_of(text: str) -> str:
    """Return libvirt's id of a pool."""
    return xmltext.content(xmltext.parse(text), "uuid")


def uses(guest: ET.Element, name: str, live: str) -> bool:
    """Tell whether a running guest has a disk in the pool, by name or by path."""
    folder = xmltext.content(xmltext.parse(live), "target/path").rstrip("/") + "/"
    sources = [source.attrib for source in guest.iterfind("devices/disk//source")]
    return any(
        source.get("pool") == name or source.get("file", source.get("dev", "")).startswith(folder)
        for source in sources
    )


def _octal(name: str, mode: str | None) -> str | None:
    if mode is None:
        return None
    try:
        return f"{int(mode, 8):04o}"
    except ValueError as error:
        raise ParseError(f"Pool {name}: mode {mode!r} is not octal.", remedy="write it as '0711'") from error
