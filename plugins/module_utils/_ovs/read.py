# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Read the database of Open vSwitch: all tables that matter, at one moment, in one round trip."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    TABLES,
    Database,
    Operation,
    Row,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.ovsdb import Client
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.values import decode_row

# They change by themselves every few seconds, and nothing rests on them.
_LEFT_OUT = frozenset(("_uuid", "_version", "statistics", "rstp_statistics"))


def select_all() -> tuple[Operation, ...]:
    """Return the operations that read the tables.

    They name no columns: which ones there are depends on the version, and to name a missing one is an error.
    """
    return tuple({"op": "select", "table": table, "where": []} for table in TABLES)


def parse_database(results: t.Sequence[t.Mapping[str, t.Any]]) -> Database:
    """Turn what :func:`select_all` got into tables of decoded rows."""
    return Database({table: _rows(table, result["rows"]) for table, result in zip(TABLES, results)})


def read_database(client: Client) -> Database:
    """Read everything.

    :raises DatabaseError: the database did not answer, or is not one of Open vSwitch.
    """
    return parse_database(client.transact(select_all()))


def _rows(table: str, wire: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, Row]:
    rows = {}
    for columns in wire:
        uuid = columns["_uuid"][1]
        kept = {name: value for name, value in columns.items() if name not in _LEFT_OUT}
        rows[uuid] = Row(uuid, decode_row(table, kept))
    return rows
