# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""From one state of the database to another: the operations of one transaction. Pure.

The same function leads forward and back. Sets of references and maps are changed by their elements, so that what
somebody else put there meanwhile stays when a change is taken back.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    BRIDGE,
    CONTROLLER,
    INTERFACE,
    MIRROR,
    PORT,
    QOS,
    QUEUE,
    ROOT,
    Columns,
    Database,
    Operation,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_draft import HELD
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.values import (
    column_of,
    encode,
    encode_row,
)

# What is referred to comes before what refers to it: easier to read, and the server does not mind.
_ORDER = (QUEUE, QOS, INTERFACE, PORT, MIRROR, CONTROLLER, BRIDGE, ROOT)
_SETS_OF_ROWS = frozenset(HELD.values())

# Columns that Open vSwitch writes (schema 8.3.1: ephemeral, or documented as status).
STATUS: t.Mapping[str, frozenset[str]] = {
    BRIDGE: frozenset(["datapath_id", "datapath_version", "status", "rstp_status"]),
    PORT: frozenset(["bond_active_slave", "rstp_statistics", "rstp_status", "statistics", "status"]),
    INTERFACE: frozenset(
        (
            "admin_state",
            "bfd_status",
            "cfm_fault",
            "cfm_fault_status",
            "cfm_flap_count",
            "cfm_health",
            "cfm_remote_mpids",
            "cfm_remote_opstate",
            "duplex",
            "error",
            "ifindex",
            "lacp_current",
            "link_resets",
            "link_speed",
            "link_state",
            "mac_in_use",
            "mtu",
            "ofport",
            "statistics",
            "status",
        )
    ),
    MIRROR: frozenset(["statistics"]),
    CONTROLLER: frozenset(["is_connected", "role", "status"]),
}
# References to rows of tables that are not read: they die with the bridge.
UNREAD = frozenset(["netflow", "sflow", "ipfix", "flow_tables", "auto_attach"])


class Change(t.NamedTuple):
    """What is different about one row: ``None`` where it does not exist."""

    table: str
    row: str
    before: Columns | None
    after: Columns | None

    def differing(self) -> tuple[str, ...]:
        """Return the columns of a row that stays, and changes."""
        before, after = self.before or {}, self.after or {}
        return tuple(column for column in sorted(after) if after[column] != before.get(column))


def changes(before: Database, after: Database) -> tuple[Change, ...]:
    """Return the rows that differ, in the order of their tables and of their names."""
    found = []
    for table in _ORDER:
        old, new = before.tables.get(table, {}), after.tables.get(table, {})
        for row in {**old, **new}:
            was = old[row].columns if row in old else None
            becomes = new[row].columns if row in new else None
            change = Change(table, row, was, becomes)
            if was is None or becomes is None or change.differing():
                found.append(change)
    return tuple(sorted(found, key=_place))


def _place(change: Change) -> tuple[int, str, str]:
    columns = change.after or change.before or {}
    return (
        _ORDER.index(change.table),
        str(columns.get("name", columns.get("target", ""))),
        change.row,
    )


def operations(different: t.Sequence[Change]) -> tuple[Operation, ...]:
    """Return what makes the differences; rows that are held by others go by themselves when nothing holds them."""
    made: list[Operation] = [_insertion(change) for change in different if change.before is None]
    for change in different:
        if change.before is not None and change.after is not None:
            made.extend(_edits(change))
    gone = {change.row for change in different if change.after is None and change.table in (QOS, QUEUE)}
    for change in different:
        if change.table == PORT and change.after is None and gone & set((change.before or {}).get("qos", ())):
            # The server counts what a port refers to that is about to be collected, and would refuse the rest.
            clear = encode_row(PORT, {"qos": frozenset()})
            made.append({"op": "update", "table": PORT, "where": where(PORT, change.row), "row": clear})
    made.extend(
        {"op": "delete", "table": change.table, "where": where(change.table, change.row)}
        for change in different
        if change.row in gone
    )
    return tuple(made)


def waits(different: t.Sequence[Change], before: Database, bridge: str) -> tuple[Operation, ...]:
    """Return operations that let the transaction fail when what the plan rests on is not as it was read.

    That is the list of bridges, the ports of the bridge, and every row that changes or goes.
    """
    # A database without its root row is a new one: it must still have none.
    roots = [row.uuid for row in before.rows(ROOT)] or [""]
    rests: dict[tuple[str, str], set[str]] = {(ROOT, row): {"bridges"} for row in roots}
    for row in before.rows(BRIDGE):
        if row.columns.get("name") == bridge:
            rests[BRIDGE, row.uuid] = {"ports"}
    for change in different:
        if change.before is not None:
            columns = change.differing() if change.after is not None else ("external_ids",)
            rests.setdefault((change.table, change.row), set()).update(columns)
    return tuple(_wait(table, row, columns, before) for (table, row), columns in rests.items())


def where(table: str, row: str) -> list[t.Any]:
    """Return the condition that finds one row; there is one row only in the root table."""
    return [] if table == ROOT else [["_uuid", "==", ["uuid", row]]]


def _wait(table: str, row: str, columns: set[str], before: Database) -> Operation:
    known = before.tables.get(table, {}).get(row)
    names = sorted(column for column in columns if known is None or column in known.columns)
    rows = [] if known is None else [encode_row(table, {name: known.columns[name] for name in names})]
    return {
        "op": "wait",
        "timeout": 0,
        "table": table,
        "where": where(table, row),
        "columns": names,
        "until": "==",
        "rows": rows,
    }


def _insertion(change: Change) -> Operation:
    columns = {
        column: value
        for column, value in sorted((change.after or {}).items())
        if value and column not in STATUS.get(change.table, ()) and column not in UNREAD
    }
    return {
        "op": "insert",
        "table": change.table,
        "uuid": change.row,
        "row": encode_row(change.table, columns),
    }


def _edits(change: Change) -> t.Iterator[Operation]:
    update: dict[str, t.Any] = {}
    mutations: list[t.Any] = []
    before, after = change.before or {}, change.after or {}
    for column in change.differing():
        old, new = before.get(column), after[column]
        if (change.table, column) in _SETS_OF_ROWS or isinstance(new, dict):
            mutations.extend(_mutations(change.table, column, old, new))
        else:
            update[column] = new
    found = {"table": change.table, "where": where(change.table, change.row)}
    if update:
        yield {"op": "update", **found, "row": encode_row(change.table, update)}
    if mutations:
        yield {"op": "mutate", **found, "mutations": mutations}


def _mutations(table: str, column: str, old: t.Any, new: t.Any) -> t.Iterator[list[t.Any]]:
    kind = column_of(table, column)
    if isinstance(new, dict):
        old = old or {}
        gone = sorted(key for key, value in old.items() if new.get(key) != value)
        come = {key: value for key, value in new.items() if old.get(key) != value}
        # A key that is there already is not overwritten: it has to go first.
        yield from [[column, "delete", ["set", gone]]] if gone else ()
        yield from [[column, "insert", encode(come, kind)]] if come else ()
        return
    old = old or frozenset()
    # A port needs an interface at every moment: the new one comes before the last old one goes.
    yield from [[column, "insert", encode(new - old, kind)]] if new - old else ()
    yield from [[column, "delete", encode(old - new, kind)]] if old - new else ()
