# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The operations of a transaction as one line of ovs-vsctl, for people who want to do it by hand. Pure."""

from __future__ import annotations

import json
import re
import shlex
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    BRIDGE,
    INTERFACE,
    PORT,
    ROOT,
    Database,
    Operation,
)

SECRETS = ("psk",)
"""Keys of maps whose values nobody shall see."""
HIDDEN = "********"

# ovs-vsctl takes these texts without quotes (ovs-vsctl(8), "Database Values").
_BARE = re.compile("[A-Za-z_][A-Za-z0-9_.-]*")
_WORDS = ("true", "false")
_MAP, _SET, _UUID = "map", "set", "uuid"

Names = t.Mapping[str, str]


def as_vsctl(operations: t.Sequence[Operation], database: Database | None = None) -> str:
    """Return one quoted line that does the same, or nothing where nothing is done. Secrets do not appear.

    :param database: where the names of rows are found that the operations speak of; without it they have uuids.
    """
    ids = {
        operation["uuid"]: f"@n{number}"
        for number, operation in enumerate(operations)
        if operation["op"] == "insert"
    }
    names = dict(ids)
    for table in (BRIDGE, PORT, INTERFACE) if database else ():
        for row in database.rows(table) if database else ():
            names[row.uuid] = str(row.columns.get("name", row.uuid))
    commands = [words for operation in redacted(operations) for words in _commands(operation, ids, names)]
    if not commands:
        return ""
    return " -- ".join(["ovs-vsctl", *(" ".join(map(shlex.quote, words)) for words in commands)])


def redacted(operations: t.Sequence[Operation]) -> tuple[Operation, ...]:
    """Return the operations with every secret hidden."""
    return tuple(_redacted(operation) for operation in operations)


def _redacted(part: t.Any) -> t.Any:
    if isinstance(part, dict):
        return {key: _redacted(value) for key, value in part.items()}
    if not isinstance(part, list):
        return part
    if len(part) == 2 and part[0] in SECRETS and isinstance(part[1], str):
        return [part[0], HIDDEN]
    return [_redacted(value) for value in part]


def _commands(operation: Operation, ids: Names, names: Names) -> t.Iterator[list[str]]:
    kind, table = operation["op"], operation.get("table", "")
    record = _record(operation, names)
    if kind == "insert":
        row = operation["row"]
        words = [word for column in row for word in _assignments(column, row[column], ids)]
        yield [f"--id={ids[operation['uuid']]}", "create", table, *words]
    elif kind == "delete":
        yield ["destroy", table, record]
    elif kind == "update":
        for column, value in operation["row"].items():
            words = _assignments(column, value, ids)
            yield ["set", table, record, *words] if words else ["clear", table, record, column]
    elif kind == "mutate":
        for mutation in operation["mutations"]:
            yield from _mutation(mutation, table, record, ids)


def _mutation(mutation: t.Sequence[t.Any], table: str, record: str, ids: Names) -> t.Iterator[list[str]]:
    column, mutator, value = mutation
    if mutator == "delete":
        yield ["remove", table, record, column, *_elements(value, ids)]
    elif mutator == "insert" and value[0] == _MAP:
        yield ["set", table, record, *_assignments(column, value, ids)]
    elif mutator == "insert":
        yield ["add", table, record, column, *_elements(value, ids)]


def _record(operation: Operation, names: Names) -> str:
    where = operation.get("where") or []
    if operation.get("table") == ROOT or not where:
        return "."
    row = where[0][2][1]
    return names.get(row, row)


def _assignments(column: str, value: t.Any, ids: Names) -> list[str]:
    if isinstance(value, list) and value[0] == _MAP:
        return [f"{column}:{_atom(key, ids)}={_atom(element, ids)}" for key, element in value[1]]
    elements = _elements(value, ids)
    return [f"{column}={','.join(elements)}"] if elements else []


def _elements(value: t.Any, ids: Names) -> list[str]:
    if isinstance(value, list) and value[0] == _SET:
        return [_atom(element, ids) for element in value[1]]
    return [_atom(value, ids)]


def _atom(value: t.Any, ids: Names) -> str:
    if isinstance(value, list) and value[0] == _UUID:
        return ids.get(value[1], value[1])
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) and value not in _WORDS else json.dumps(value)
    return json.dumps(value)
