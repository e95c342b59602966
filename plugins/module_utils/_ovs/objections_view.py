# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""A bridge as objections see it: its ports with their VLANs, and what decides whether it forwards. Pure.

How Open vSwitch treats VLANs is in ovs-vswitchd.conf.db(5), under ``vlan_mode`` of table Port.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    BRIDGE,
    CONTROLLER,
    INTERFACE,
    MIRROR,
    PORT,
    Columns,
    Database,
    InterfaceWish,
    PortWish,
    Wish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.purge import goes, is_dynamic

INTERNAL = "internal"
NIC_TYPES = ("", "system", "afxdp")
"""Types of interfaces that need a device which is there already."""
UNTAGGED = 0
ALL_VLANS = frozenset(range(4096))
_TRUNK, _ACCESS, _TUNNEL, _UNTAGGED_NATIVE = "trunk", "access", "dot1q-tunnel", "native-untagged"
_HWADDR = "hwaddr"


@dataclasses.dataclass(frozen=True)
class Member:
    """An interface: its name, its type, and the other end of a patch."""

    name: str
    type: str = ""
    peer: str = ""


@dataclasses.dataclass(frozen=True)
class PortView:
    """A port; ``guest`` when somebody other than us made it for a guest."""

    name: str
    members: tuple[Member, ...] = ()
    tag: int | None = None
    trunks: frozenset[int] = frozenset()
    vlan_mode: str = ""
    guest: bool = False

    @property
    def nics(self) -> tuple[str, ...]:
        """Return the devices of the host in it: this is what leads out of the host."""
        names = (member.name for member in self.members if member.type in NIC_TYPES)
        return () if self.guest else tuple(names)

    @property
    def mode(self) -> str:
        """Return the VLAN mode that is in force."""
        return self.vlan_mode or (_TRUNK if self.tag is None else _ACCESS)

    @property
    def native(self) -> int:
        """Return the VLAN that a frame without a tag is in."""
        return UNTAGGED if self.mode == _TRUNK else self.tag or UNTAGGED

    @property
    def vlans(self) -> frozenset[int]:
        """Return the VLANs that it carries."""
        if self.mode in (_ACCESS, _TUNNEL):
            return frozenset((self.native,))
        own = () if self.mode == _TRUNK or self.tag is None else (self.tag,)
        return (self.trunks or ALL_VLANS) | frozenset(own)

    def wire(self, vlan: int) -> int | None:
        """Return the tag with which frames of a VLAN leave it, 0 for none; ``None`` when they do not leave."""
        if vlan not in self.vlans:
            return None
        stripped = self.mode in (_ACCESS, _TUNNEL, _UNTAGGED_NATIVE) and vlan == self.native
        return UNTAGGED if stripped else vlan

    def inside(self, wire: int) -> int | None:
        """Return the VLAN of what comes in with this tag, 0 for none; ``None`` when it does not come in."""
        vlan = wire or self.native
        if wire and self.mode in (_ACCESS, _TUNNEL):
            return None
        return vlan if vlan in self.vlans else None


@dataclasses.dataclass(frozen=True)
class BridgeView:
    """A bridge; ``outputs`` are the ports that mirrors write to, and that carry nothing else."""

    name: str
    ports: t.Mapping[str, PortView] = dataclasses.field(default_factory=dict)
    datapath: str = "system"
    secure: bool = False
    controllers: tuple[str, ...] = ()
    stp: bool = False
    rstp: bool = False
    hwaddr: str = ""
    outputs: frozenset[str] = frozenset()

    def port_of(self, nic: str) -> PortView | None:
        """Return the port that a device of the host is in."""
        return next((port for port in self.ports.values() if nic in port.nics), None)

    def nics(self) -> tuple[str, ...]:
        """Return all devices of the host in it."""
        return tuple(nic for port in self.ports.values() for nic in port.nics)


def wire_between(end: PortView, uplink: PortView) -> int | None:
    """Return with which tag what the host sends into ``end`` leaves ``uplink``, 0 for none.

    ``None`` where it does not leave, or what comes back with that tag does not get to the host as it was sent.
    """
    vlan = end.inside(UNTAGGED)
    wire = None if vlan is None else uplink.wire(vlan)
    if vlan is None or wire is None or uplink.inside(wire) != vlan or end.wire(vlan) != UNTAGGED:
        return None
    return wire


def one(value: t.Any) -> t.Any:
    """Return the value of a column that holds one or none, ``None`` for none."""
    if isinstance(value, frozenset):
        return next(iter(value), None)
    return value


def holders_in(database: Database) -> dict[str, str]:
    """Return the bridge of each port and each interface, by their names."""
    found = {}
    ports, interfaces = database.tables.get(PORT, {}), database.tables.get(INTERFACE, {})
    for bridge in database.rows(BRIDGE):
        for port in (ports[uuid].columns for uuid in bridge.columns.get("ports", ()) if uuid in ports):
            members = (interfaces[uuid].columns for uuid in port.get("interfaces", ()) if uuid in interfaces)
            for columns in (port, *members):
                found[str(columns["name"])] = str(bridge.columns["name"])
    return found


def view_of(name: str, database: Database) -> BridgeView | None:
    """Return the bridge as it is, ``None`` when there is none."""
    row = database.named(BRIDGE, name)
    if row is None:
        return None
    columns = row.columns
    return BridgeView(
        name,
        ports={port.name: port for port in map(_port_of(database), _ports(columns, database))},
        datapath=_datapath(columns),
        secure=_is_secure(columns),
        controllers=tuple(
            str(found["target"]) for found in _referenced(database, CONTROLLER, columns.get("controller"))
        ),
        stp=bool(columns.get("stp_enable")),
        rstp=bool(columns.get("rstp_enable")),
        hwaddr=str(columns.get("other_config", {}).get(_HWADDR, "")).lower(),
        outputs=frozenset(_outputs(columns, database)),
    )


def view_after(wish: Wish, database: Database) -> BridgeView:
    """Return the bridge as it will be."""
    old = view_of(wish.name, database) or BridgeView(wish.name)
    columns = wish.bridge
    outputs = {str(one(mirror.columns.get("output_port")) or "") for mirror in wish.mirrors or ()}
    return BridgeView(
        wish.name,
        ports=_ports_after(wish, database, old),
        datapath=_datapath(columns) if "datapath_type" in columns else old.datapath,
        secure=_is_secure(columns) if "fail_mode" in columns else old.secure,
        controllers=old.controllers if wish.controllers is None else tuple(wish.controllers),
        stp=bool(columns.get("stp_enable", old.stp)),
        rstp=bool(columns.get("rstp_enable", old.rstp)),
        hwaddr=_hwaddr_after(wish, old.hwaddr),
        outputs=old.outputs if wish.mirrors is None else frozenset(outputs - {""}),
    )


def _datapath(columns: Columns) -> str:
    return str(columns.get("datapath_type") or "system")


def _is_secure(columns: Columns) -> bool:
    return bool(one(columns.get("fail_mode")) == "secure")


def _hwaddr_after(wish: Wish, old: str) -> str:
    wanted = wish.bridge.get("other_config")
    if wanted is None:
        return old
    if _HWADDR in wanted:
        return str(wanted[_HWADDR] or "").lower()
    return "" if not wanted or f"{BRIDGE}.other_config" in wish.replace else old


def _referenced(database: Database, table: str, uuids: t.Any) -> list[Columns]:
    rows = database.tables.get(table, {})
    return [rows[uuid].columns for uuid in sorted(uuids or ()) if uuid in rows]


def _ports(columns: Columns, database: Database) -> list[Columns]:
    return _referenced(database, PORT, columns.get("ports"))


def _outputs(columns: Columns, database: Database) -> t.Iterator[str]:
    ports = database.tables.get(PORT, {})
    for mirror in _referenced(database, MIRROR, columns.get("mirrors")):
        uuid = one(mirror.get("output_port"))
        if uuid in ports:
            yield str(ports[uuid].columns["name"])


def _port_of(database: Database) -> t.Callable[[Columns], PortView]:
    rows = {uuid: row.columns for uuid, row in database.tables.get(INTERFACE, {}).items()}

    def view(columns: Columns) -> PortView:
        members = _referenced(database, INTERFACE, columns.get("interfaces"))
        return PortView(
            str(columns["name"]),
            tuple(_member(member) for member in sorted(members, key=lambda member: str(member["name"]))),
            guest=is_dynamic(columns, rows),
            **_vlans(columns),
        )

    return view


def _member(columns: Columns) -> Member:
    options = columns.get("options") or {}
    kind = str(columns.get("type") or "")
    return Member(str(columns["name"]), kind, str(options.get("peer") or "") if kind == "patch" else "")


def _vlans(columns: Columns) -> dict[str, t.Any]:
    return {
        "tag": one(columns.get("tag")),
        "trunks": frozenset(columns.get("trunks") or ()),
        "vlan_mode": str(one(columns.get("vlan_mode")) or ""),
    }


# --- after ------------------------------------------------------------------------------------


def _ports_after(wish: Wish, database: Database, old: BridgeView) -> dict[str, PortView]:
    local = old.ports.get(wish.name) or PortView(wish.name, (Member(wish.name, INTERNAL),))
    kept = {wish.name: local, **old.ports}
    if wish.ports is None:
        return kept
    listed = {port.name: _port_after(port, database) for port in wish.ports}
    gone = _gone(wish, database)
    return {**{name: port for name, port in kept.items() if name not in gone}, **listed}


def _gone(wish: Wish, database: Database) -> frozenset[str]:
    row = database.named(BRIDGE, wish.name)
    rows = {uuid: found.columns for uuid, found in database.tables.get(INTERFACE, {}).items()}
    names = {port.name for port in wish.ports or ()}
    return frozenset(
        str(port["name"])
        for port in (_ports(row.columns, database) if row else ())
        if port["name"] not in names and goes(port, rows, wish)
    )


def _port_after(port: PortWish, database: Database) -> PortView:
    row = database.named(PORT, port.name)
    columns = {**(row.columns if row else {}), **port.columns}
    members = tuple(_member_after(interface, database) for interface in port.interfaces)
    return PortView(port.name, members, **_vlans(columns))


def _member_after(interface: InterfaceWish, database: Database) -> Member:
    row = database.named(INTERFACE, interface.name)
    columns = {**(row.columns if row else {}), **interface.columns, "name": interface.name}
    return _member(columns)
