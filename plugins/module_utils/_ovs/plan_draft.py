# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""A working copy of the database on which a plan is drawn. Pure: the original stays as it is.

Rows that are new get their uuid beforehand (ovsdb-server takes one since 2.13), always the same one for the same
database: check mode foretells the very transaction, and what takes it back is known before it is sent.
"""

from __future__ import annotations

import typing as t
import uuid

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    BRIDGE,
    CONTROLLER,
    INTERFACE,
    MIRROR,
    PORT,
    QOS,
    QUEUE,
    ROOT,
    TABLES,
    Columns,
    Database,
    Row,
)

# What keeps a row of a table alive; the rows of other tables live until they are deleted.
HELD: t.Mapping[str, tuple[str, str]] = {
    BRIDGE: (ROOT, "bridges"),
    PORT: (BRIDGE, "ports"),
    MIRROR: (BRIDGE, "mirrors"),
    CONTROLLER: (BRIDGE, "controller"),
    INTERFACE: (PORT, "interfaces"),
}
# References that the server drops by itself when the port goes.
WEAK = ("select_src_port", "select_dst_port", "output_port")
_SPACE = uuid.UUID("5f0c3a52-6d2e-5b8e-9c39-0d6b0f3f7a41")


class Draft:
    """The tables as they shall be."""

    def __init__(self, database: Database) -> None:
        self._tables: dict[str, dict[str, dict[str, t.Any]]] = {
            table: {row.uuid: dict(row.columns) for row in database.rows(table)} for table in TABLES
        }
        self._salt = "/".join(f"{row.uuid}/{row.columns.get('next_cfg', 0)}" for row in database.rows(ROOT))
        self._loose = {table: self._unheld(table) for table in HELD}

    def rows(self, table: str) -> t.Mapping[str, Columns]:
        """Return the rows of a table by uuid; those that nothing holds any more are among them."""
        return self._tables[table]

    def row(self, table: str, row: str) -> Columns:
        """Return the columns of a row."""
        return self._tables[table][row]

    def find(self, table: str, name: str, column: str = "name") -> str:
        """Return the uuid of the row of that name, or nothing."""
        return next((key for key, row in self._tables[table].items() if row.get(column) == name), "")

    def holder(self, table: str, row: str) -> str:
        """Return the uuid of the row that holds this one, or nothing."""
        holding, column = HELD[table]
        return next(
            (key for key, held in self._tables[holding].items() if row in held.get(column, ())),
            "",
        )

    def add(self, table: str, key: str, columns: Columns) -> str:
        """Add a row and return its uuid; ``key`` tells it from others of its table."""
        number, new = 0, ""
        while not new or new in self._tables[table]:
            new = str(uuid.uuid5(_SPACE, f"{self._salt}/{table}/{key}/{number}"))
            number += 1
        self._tables[table][new] = dict(columns)
        return new

    def change(self, table: str, row: str, columns: Columns) -> None:
        """Give columns of a row new values."""
        self._tables[table][row].update(columns)

    def hold(self, table: str, holder: str, row: str) -> None:
        """Let a row be held by another one."""
        holding, column = HELD[table]
        held = self._tables[holding][holder]
        held[column] = held.get(column, frozenset()) | {row}

    def let_go(self, table: str, row: str) -> None:
        """Let nothing hold a row any more."""
        holding, column = HELD[table]
        for held in self._tables[holding].values():
            if row in held.get(column, ()):
                held[column] = held[column] - {row}

    def drop(self, table: str, row: str) -> None:
        """Delete a row of a table whose rows nothing needs to hold."""
        del self._tables[table][row]

    def collect(self) -> None:
        """Delete what nothing holds any more, as the server does at the end of a transaction."""
        for table in HELD:
            for row in self._unheld(table) - self._loose[table]:
                del self._tables[table][row]
        ports = frozenset(self._tables[PORT])
        for mirror in self._tables[MIRROR].values():
            mirror.update({column: mirror[column] & ports for column in WEAK if column in mirror})

    def database(self) -> Database:
        """Return the tables as they are now."""
        return Database(
            {
                table: {key: Row(key, dict(columns)) for key, columns in rows.items()}
                for table, rows in self._tables.items()
            }
        )

    def _unheld(self, table: str) -> set[str]:
        holding, column = HELD[table]
        held: set[str] = set().union(*(row.get(column, ()) for row in self._tables[holding].values()))
        return set(self._tables[table]) - held


def orphans(database: Database, ours: t.Callable[[Columns], bool]) -> tuple[tuple[str, str], ...]:
    """Return the QoS rows of ours that no port has, and then the queues of ours that no other QoS row has."""
    used = _united(row.columns.get("qos") for row in database.rows(PORT))
    qos = [row for row in database.rows(QOS) if row.uuid not in used and ours(row.columns)]
    queued = _united(row.columns.get("queues", {}).values() for row in database.rows(QOS) if row not in qos)
    queues = [row for row in database.rows(QUEUE) if row.uuid not in queued and ours(row.columns)]
    return (*((QOS, row.uuid) for row in qos), *((QUEUE, row.uuid) for row in queues))


def _united(parts: t.Iterable[t.Iterable[str] | None]) -> frozenset[str]:
    return frozenset(row for part in parts for row in part or ())
