# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The data that the parts of ovs_bridge hand to each other.

A *column map* holds the columns that are managed, by their names in the database: what is not in it is left as it
is, what is in it with an empty value is cleared. That is all there is to the three values of an option.
"""

from __future__ import annotations

import dataclasses
import typing as t

Scalar = t.Union[str, int, float, bool]
Value = t.Union[Scalar, frozenset[Scalar], dict[str, t.Optional[str]], None]
"""A column: a scalar; a set as a frozenset (an optional scalar too); a map as a dict of text to text.

References to other rows are the names of those rows, never uuids.
"""
Columns = t.Mapping[str, t.Any]

OWNER = "hearth-owner"
"""The key in ``external_ids`` of every row that is ours; its value is the name of the bridge."""

BRIDGE, PORT, INTERFACE, MIRROR, QOS, QUEUE, CONTROLLER, ROOT = (
    "Bridge",
    "Port",
    "Interface",
    "Mirror",
    "QoS",
    "Queue",
    "Controller",
    "Open_vSwitch",
)
TABLES = (ROOT, BRIDGE, PORT, INTERFACE, MIRROR, QOS, QUEUE, CONTROLLER)

# Purge.
NONE, OWNED, ALL = "none", "owned", "all"

# Refusals that can be lifted, each by its own name.
LOCKOUT = "lockout"
STEAL = "steal"
DATAPATH_CHANGE = "datapath_change"
MISSING_NIC = "missing_nic"
LOOP = "loop"
GUEST_PORTS = "guest_ports"
HOST_ADDRESS = "host_address"
LIFTABLE = (LOCKOUT, STEAL, DATAPATH_CHANGE, MISSING_NIC, LOOP, GUEST_PORTS, HOST_ADDRESS)


@dataclasses.dataclass(frozen=True)
class Row:
    """One row: its uuid, and its columns decoded as :data:`Value`; references are uuids here."""

    uuid: str
    columns: Columns


@dataclasses.dataclass(frozen=True)
class Database:
    """The eight tables as they were read in one transaction: table name to uuid to row."""

    tables: t.Mapping[str, t.Mapping[str, Row]] = dataclasses.field(default_factory=dict)

    def rows(self, table: str) -> tuple[Row, ...]:
        """Return the rows of a table."""
        return tuple(self.tables.get(table, {}).values())

    def named(self, table: str, name: str) -> Row | None:
        """Return the row with this ``name``, or ``None``."""
        return next((row for row in self.rows(table) if row.columns.get("name") == name), None)


@dataclasses.dataclass(frozen=True)
class InterfaceWish:
    """An interface of a port: its name and its managed columns (``type``, ``options``, ``mtu_request``, …)."""

    name: str
    columns: Columns = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class PortWish:
    """A port with its interfaces (several: a bond), its managed columns, and its QoS.

    ``qos`` is ``None`` when it is unmanaged, and has an empty ``type`` when there shall be none.
    """

    name: str
    interfaces: tuple[InterfaceWish, ...]
    columns: Columns = dataclasses.field(default_factory=dict)
    qos: QosWish | None = None


@dataclasses.dataclass(frozen=True)
class QosWish:
    """A QoS row and its queues by number."""

    type: str = ""
    columns: Columns = dataclasses.field(default_factory=dict)
    queues: t.Mapping[int, Columns] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class MirrorWish:
    """A mirror; its port columns hold names."""

    name: str
    columns: Columns = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Wish:
    """A whole bridge as the task wants it.

    ``local`` is the port of the bridge's own name. ``mirrors`` and ``controllers`` are ``None`` when unmanaged, and
    empty when there shall be none. ``replace`` names maps that are enforced whole, as ``Table.column``.
    """

    name: str
    present: bool = True
    bridge: Columns = dataclasses.field(default_factory=dict)
    local: InterfaceWish | None = None
    ports: tuple[PortWish, ...] | None = None
    mirrors: tuple[MirrorWish, ...] | None = None
    controllers: tuple[str, ...] | None = None
    purge: str = OWNED
    replace: frozenset[str] = frozenset()
    allow: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Nic:
    """A network device of the host as the kernel tells it (``ip -j -d address``, sysfs, routes).

    ``carries`` says in words what of the host depends on it: addresses, the default route, the SSH connection.
    """

    name: str
    mac: str = ""
    mtu: int = 0
    kind: str = ""
    master: str = ""
    carrier: bool | None = None
    addresses: tuple[str, ...] = ()
    carries: tuple[str, ...] = ()
    physical: bool = False
    wireless: bool = False
    max_mtu: int = 0


Operation = t.Mapping[str, t.Any]
"""One operation of an OVSDB transaction (RFC 7047 section 5.2), as it goes over the wire."""
