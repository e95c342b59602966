# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Did Open vSwitch do what its database says? A committed transaction proves nothing.

vswitchd says that it is done by setting ``cur_cfg``. By then ``error`` and ``ofport`` of new interfaces are there, MTUs
come some 100 ms later, and what it says of patches to nowhere is gone with every change and comes back as late: whether
a patch has another end is therefore seen in the database itself.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    BRIDGE,
    INTERFACE,
    PORT,
    ROOT,
    Columns,
    Database,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_view import one
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.ovsdb import Client, Stale
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.read import read_database

# What a fault is, for who wants to let one sort pass.
ERROR, MISSING, PEER, MTU, NUMBER, DATAPATH = "error", "missing", "peer", "mtu", "number", "datapath"

PATCH = "patch"
_GONE = "(No such device)"
_NO_PEER = "No usable peer"
_SLICE_S = 1.0
_PAUSE_S = 0.02
_SETTLING_S = 2.0
# What may only be on its way.
_LATE = (MTU, NUMBER, DATAPATH)
_TUNNEL = ("remote_ip", "local_ip", "key", "in_key", "out_key", "dst_port", "exts")

Clock = t.Callable[[], float]
Sleep = t.Callable[[float], None]


@dataclasses.dataclass(frozen=True)
class Fault:
    """A port that is not what the database says: its name, its interface, what sort of fault, and why."""

    port: str
    message: str
    kind: str = ERROR
    interface: str = ""


def wait_realised(
    client: Client,
    next_cfg: int,
    timeout_s: float,
    now: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> bool:
    """Wait until vswitchd has taken in a change; false when it has not in time, though the change stands.

    :raises DatabaseError: the database did not answer.
    """
    deadline = now() + timeout_s
    while True:
        left = deadline - now()
        # In slices, so that the answer always comes before the client gives the server up.
        patience_ms = max(0, int(min(_SLICE_S, left) * 1000))
        try:
            client.transact([_no_older_than(next_cfg, patience_ms)])
        except Stale:
            if left <= 0:
                return False
            sleep(_PAUSE_S)
        else:
            return True


def _no_older_than(next_cfg: int, patience_ms: int) -> dict[str, t.Any]:
    """Others may change something meanwhile: the number is waited for or any beyond it."""
    return {
        "op": "wait",
        "table": ROOT,
        "where": [["cur_cfg", "<", next_cfg]],
        "columns": ["cur_cfg"],
        "until": "==",
        "rows": [],
        "timeout": patience_ms,
    }


def read_settled(
    client: Client,
    ports: t.Collection[str],
    patience_s: float = _SETTLING_S,
    now: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> Database:
    """Read everything, again and again while an MTU or a port's number may still be on its way.

    :raises DatabaseError: the database did not answer.
    """
    deadline = now() + patience_s
    while True:
        database = read_database(client)
        on_its_way = any(fault.kind in _LATE for fault in faults_of(database, ports))
        if not on_its_way or now() >= deadline:
            return database
        sleep(_PAUSE_S)


def faults_of(database: Database, ports: t.Iterable[str], spared: t.Container[str] = ()) -> tuple[Fault, ...]:
    """Return what is wrong with these ports; one that is not in the database is not wrong. Pure.

    :param spared: sorts of faults to leave out, such as ``missing`` where a device may be plugged in later.
    """
    interfaces = database.tables.get(INTERFACE, {})
    found: list[Fault] = []
    for name in ports:
        row = database.named(PORT, name)
        members = sorted(
            uuid for uuid in (row.columns.get("interfaces", ()) if row else ()) if uuid in interfaces
        )
        for columns in (interfaces[uuid].columns for uuid in members):
            fault = _fault(name, columns, database)
            if fault and fault.kind not in spared:
                found.append(fault)
    return tuple(found)


def _fault(port: str, columns: Columns, database: Database) -> Fault | None:
    """Return the first thing that is wrong with an interface; the others follow from it."""
    name = str(columns["name"])
    error = str(one(columns.get("error")) or "")
    for kind, message in (
        (_kind_of(error, columns), error.rstrip(".")),
        (PEER, _without_peer(columns, database)),
        (DATAPATH, _without_datapath(port, columns, database)),
        (NUMBER, _without_number(columns)),
        (MTU, _with_other_mtu(columns)),
    ):
        if message:
            twin = _twin(columns, database) if kind in (ERROR, NUMBER) else ""
            told = f"{message}; {twin} is the same tunnel" if twin else message
            where = "" if name == port else f"{name}: "
            return Fault(port, f"{where}{told}.", kind, name)
    return None


def _kind_of(error: str, columns: Columns) -> str:
    if error.startswith(_NO_PEER):
        return PEER
    # Of a device that Open vSwitch itself should have made it says something else.
    return MISSING if error.endswith(_GONE) and columns.get("type") in ("", "system") else ERROR


def _without_number(columns: Columns) -> str:
    number = one(columns.get("ofport"))
    return "Open vSwitch did not give it a number, and no frame passes" if number in (None, -1) else ""


def _without_datapath(port: str, columns: Columns, database: Database) -> str:
    """A bridge that could not be made at all says nothing, neither about itself nor about its ports."""
    bridge = _bridge_of(port, database)
    if bridge is None or one(columns.get("ofport")) is not None or bridge.get("datapath_id", True):
        return ""
    hint = " (the kernel module openvswitch may not be loaded)" if _datapath(bridge) == "system" else ""
    return f"bridge {bridge['name']} has no datapath of type {_datapath(bridge)}{hint}"


def _without_peer(columns: Columns, database: Database) -> str:
    if columns.get("type") != PATCH:
        return ""
    name, peer = columns["name"], columns.get("options", {}).get("peer", "")
    row = database.named(INTERFACE, peer)
    if row is None or row.columns.get("type") != PATCH:
        return f"there is no patch port {peer!r} for it to lead to"
    back = row.columns.get("options", {}).get("peer", "")
    if back != name:
        return f"its other end, {peer}, leads to {back!r}"
    here, there = _bridge_of(name, database) or {}, _bridge_of(peer, database) or {}
    if _datapath(here) == _datapath(there):
        return ""
    return f"its other end, {peer}, is on datapath {_datapath(there)}, and it on {_datapath(here)}"


def _bridge_of(port: str, database: Database) -> Columns | None:
    row = database.named(PORT, port)
    bridges = (bridge.columns for bridge in database.rows(BRIDGE))
    return next((bridge for bridge in bridges if row and row.uuid in bridge.get("ports", ())), None)


def _datapath(bridge: Columns) -> str:
    return str(bridge.get("datapath_type") or "system")


def _with_other_mtu(columns: Columns) -> str:
    wanted, found = one(columns.get("mtu_request")), one(columns.get("mtu"))
    if wanted is None or wanted == found:
        return ""
    return f"its MTU is {found or 'not known'} where {wanted} was asked for: its driver may not take more"


def _twin(columns: Columns, database: Database) -> str:
    """Return the interface that is the same tunnel, which is what Open vSwitch does not say."""
    options = columns.get("options") or {}
    if "remote_ip" not in options:
        return ""
    for row in database.rows(INTERFACE):
        other = row.columns
        same = all((other.get("options") or {}).get(key) == options.get(key) for key in _TUNNEL)
        if other["name"] != columns["name"] and other.get("type") == columns.get("type") and same:
            return str(other["name"])
    return ""
