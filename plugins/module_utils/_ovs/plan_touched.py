# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Which ports a change touches: their errors are looked at, and the host may hang on them. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    BRIDGE,
    INTERFACE,
    PORT,
    QOS,
    QUEUE,
    Columns,
    Database,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_diff import Change

# Nothing that carries traffic looks at them.
_WORDS = frozenset(("external_ids",))
_OF_ONE_PORT = frozenset(("ports", "mirrors"))


def touched(different: t.Sequence[Change], before: Database, after: Database) -> tuple[str, ...]:
    """Return the names of the ports that a change may touch, those that go included."""
    names: set[str] = set()
    for change in different:
        columns = _columns(change)
        for database in (before, after):
            if change.table == BRIDGE and columns - _OF_ONE_PORT:
                names |= _ports_of(database, change.row)
            elif columns:
                names |= _ports_with(database, change.table, change.row)
        if change.table == BRIDGE:
            # A port may have gone to another bridge as it was.
            moved = _held(change.before) ^ _held(change.after)
            names |= _names(before, moved) | _names(after, moved)
    return tuple(sorted(names))


def _columns(change: Change) -> frozenset[str]:
    if change.before is None or change.after is None:
        return frozenset(change.before or change.after or ())
    return frozenset(change.differing()) - _WORDS


def _held(bridge: Columns | None) -> frozenset[str]:
    return frozenset((bridge or {}).get("ports", ()))


def _names(database: Database, rows: t.Iterable[str]) -> set[str]:
    ports = database.tables.get(PORT, {})
    return {str(ports[row].columns.get("name", "")) for row in rows if row in ports}


def _ports_of(database: Database, bridge: str) -> set[str]:
    row = database.tables.get(BRIDGE, {}).get(bridge)
    return _names(database, _held(row.columns if row else None))


def _ports_with(database: Database, table: str, row: str) -> set[str]:
    """Return the ports that a row of a lower table belongs to."""
    if table == PORT:
        return _names(database, [row])
    rows = {row}
    if table == QUEUE:
        rows = {qos.uuid for qos in database.rows(QOS) if row in qos.columns.get("queues", {}).values()}
    column = {INTERFACE: "interfaces", QOS: "qos", QUEUE: "qos"}.get(table, "")
    return {
        str(port.columns.get("name", ""))
        for port in database.rows(PORT)
        if rows & frozenset(port.columns.get(column, ()))
    }
