# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transactions of an OVSDB server, in memory: RFC 7047 as ovsdb-server 3.1 does it.

It is driven by the schema that a real server gave, and held to what a real server answered
(``fixtures/ovs/exchanges.json``, replayed by ``test_fakeovsdb.py``).

A column is held in one form, whatever its type: a frozenset of atoms, or a dict.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import threading
import time
import uuid as uuids

FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures" / "ovs"
SCHEMA = json.loads((FIXTURES / "schema.json").read_text())
UNLIMITED = 1 << 32
PYTHON = {"integer": int, "real": (int, float), "boolean": bool, "string": str}
DEFAULTS = {"integer": 0, "real": 0.0, "boolean": False, "string": "", "uuid": str(uuids.UUID(int=0))}
# What an operation must have, and what it may have.
MEMBERS = {
    "insert": ("table row", "uuid-name uuid"),
    "select": ("table where", "columns"),
    "update": ("table where row", ""),
    "mutate": ("table where mutations", ""),
    "delete": ("table where", ""),
    "wait": ("table where until rows", "columns timeout"),
    "comment": ("comment", ""),
    "abort": ("", ""),
}


class Fault(Exception):
    """An operation, or the commit, failed."""

    def __init__(self, error, details=""):
        super().__init__(error, details)
        self.answer = {"error": error, "details": details}


class Waiting(Exception):
    """A ``wait`` does not hold yet, and has time left."""

    def __init__(self, milliseconds):
        super().__init__()
        self.milliseconds = milliseconds


@dataclasses.dataclass(frozen=True)
class Base:
    """What an atom may be."""

    type: str
    allowed: frozenset = frozenset()
    least: float = float("-inf")
    most: float = float("inf")
    table: str = ""
    weak: bool = False

    @classmethod
    def of(cls, schema):
        schema = {"type": schema} if isinstance(schema, str) else schema
        enum = schema.get("enum", [])
        return cls(
            schema["type"],
            frozenset(enum[1] if isinstance(enum, list) and enum[:1] == ["set"] else [enum] if enum else []),
            schema.get("minInteger", float("-inf")),
            schema.get("maxInteger", float("inf")),
            schema.get("refTable", ""),
            schema.get("refType") == "weak",
        )

    def check(self, atom):
        if self.allowed and atom not in self.allowed:
            raise Fault("constraint violation", f"{atom} is not one of the allowed values")
        if self.type == "integer" and not self.least <= atom <= self.most:
            raise Fault("constraint violation", f"{atom} is not in the valid range")


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a column may be."""

    key: Base
    value: Base | None = None
    least: int = 1
    most: int = 1
    mutable: bool = True

    @classmethod
    def of(cls, schema):
        kind = schema["type"]
        kind = {"key": kind} if isinstance(kind, str) else kind
        most = kind.get("max", 1)
        value = Base.of(kind["value"]) if "value" in kind else None
        return cls(
            Base.of(kind["key"]),
            value,
            kind.get("min", 1),
            UNLIMITED if most == "unlimited" else most,
            schema.get("mutable", True),
        )

    def default(self):
        if self.value:
            return {}
        return frozenset([DEFAULTS[self.key.type]] if self.least else [])

    def sized(self, least=0, most=UNLIMITED):
        return dataclasses.replace(self, least=least, most=most)


UUID_KIND = Kind(Base("uuid"))
TABLES = {
    table: {column: Kind.of(schema) for column, schema in found["columns"].items()}
    for table, found in SCHEMA["tables"].items()
}
for _columns in TABLES.values():
    _columns.update(_uuid=UUID_KIND, _version=UUID_KIND)


def show(value, kind):
    """Put a column on the wire."""

    def atom(base, found):
        return ["uuid", found] if base.type == "uuid" else found

    if kind.value:
        return ["map", [[atom(kind.key, k), atom(kind.value, v)] for k, v in sorted(value.items())]]
    atoms = [atom(kind.key, found) for found in sorted(value)]
    return atoms[0] if len(atoms) == 1 else ["set", atoms]


IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Reader:
    """Reads values from the wire, and knows the names that a transaction gave to its new rows."""

    def __init__(self, new_uuid):
        self.new_uuid = new_uuid
        self.names = {}

    def column(self, table, name):
        if name not in TABLES[table]:
            raise Fault("unknown column", f"No column {name} in table {table}.")
        return TABLES[table][name]

    def atom(self, base, wire):
        if base.type == "uuid":
            tag, text = wire if isinstance(wire, list) and len(wire) == 2 else ("", "")
            if tag not in ("uuid", "named-uuid"):
                raise Fault("syntax error", 'expected ["uuid", <string>]')
            return text if tag == "uuid" else self.named(text)
        if not isinstance(wire, PYTHON[base.type]) or isinstance(wire, bool) != (base.type == "boolean"):
            raise Fault("syntax error", f"expected {base.type}")
        base.check(wire)
        return wire

    def named(self, name):
        if name not in self.names:
            self.names[name] = self.new_uuid(name)
        return self.names[name]

    def value(self, kind, wire):
        tag = wire[0] if isinstance(wire, list) else ""
        if kind.value and tag != "map":
            raise Fault("syntax error", 'expected ["map", ...]')
        if kind.value:
            pairs = [(self.atom(kind.key, k), self.atom(kind.value, v)) for k, v in wire[1]]
            found, twice = dict(pairs), "map contains duplicate key"
        else:
            pairs = [self.atom(kind.key, w) for w in (wire[1] if tag == "set" else [wire])]
            found, twice = frozenset(pairs), "set contains duplicate"
        if not kind.least <= len(pairs) <= kind.most:
            raise Fault("syntax error", f"must have {kind.least} to {kind.most} members, not {len(pairs)}")
        if len(found) != len(pairs):
            raise Fault("ovsdb error", twice)
        return found

    def row(self, table, wire):
        return {name: self.value(self.column(table, name), found) for name, found in wire.items()}

    def condition(self, table, name, function, wire):
        kind = self.column(table, name)
        if function in ("<", "<=", ">", ">="):
            (bound,) = self.value(kind.sized(1, 1), wire)
            compare = {"<": int.__lt__, "<=": int.__le__, ">": int.__gt__, ">=": int.__ge__}[function]
            return lambda row: any(compare(found, bound) for found in row[name])
        if function in ("==", "!="):
            wanted = self.value(kind, wire)
            return lambda row: (row[name] == wanted) == (function == "==")
        wanted = parts(self.value(kind.sized(), wire))
        if function == "includes":
            return lambda row: wanted <= parts(row[name])
        return lambda row: not wanted & parts(row[name])

    def mutated(self, table, found, name, mutator, wire):
        kind = self.column(table, name)
        refuse_immutable(table, name)
        if mutator == "insert":
            new = self.value(kind.sized(), wire)
            found = {**new, **found} if kind.value else found | new
        elif mutator == "delete":
            found = self.without(kind, found, wire)
        else:
            found = self.reckoned(kind, found, name, mutator, wire)
        if not kind.least <= len(found) <= kind.most:
            raise Fault("constraint violation", f"Attempted to store {len(found)} elements in {name}")
        return found

    def without(self, kind, found, wire):
        if not kind.value:
            return found - self.value(kind.sized(), wire)
        if wire[:1] == ["map"]:
            gone = self.value(kind.sized(), wire)
            return {k: v for k, v in found.items() if gone.get(k) != v}
        keys = self.value(Kind(kind.key, None, 0, UNLIMITED), wire)
        return {k: v for k, v in found.items() if k not in keys}

    def reckoned(self, kind, found, name, mutator, wire):
        if kind.key.type != "integer" or kind.value:
            raise Fault("syntax error", f'Type mismatch: "{mutator}" may not be applied to column {name}')
        amount = self.atom(Base("integer"), wire)
        reckon = {"+=": int.__add__, "-=": int.__sub__, "*=": int.__mul__}[mutator]
        new = frozenset(reckon(value, amount) for value in found)
        for value in new:
            kind.key.check(value)
        return new


def refuse_immutable(table, name):
    if not TABLES[table][name].mutable:
        raise Fault("constraint violation", f"Cannot update immutable column {name} in table {table}.")


def parts(value):
    return frozenset(value.items()) if isinstance(value, dict) else value


def frozen(row, columns):
    return tuple(parts(row[name]) for name in columns)


def default_row(table):
    return {name: kind.default() for name, kind in TABLES[table].items()}


class Transaction:
    """Operations on a copy of the tables."""

    def __init__(self, tables, new_uuid):
        self.tables = {table: {u: dict(row) for u, row in rows.items()} for table, rows in tables.items()}
        self.read = Reader(new_uuid)
        self.inserted = set()

    def perform(self, operation):
        operation = dict(operation)
        name = operation.pop("op")
        if name not in MEMBERS:
            raise Fault("syntax error", f'No operation "{name}"')
        needed, optional = (words.split() for words in MEMBERS[name])
        for missing in set(needed) - set(operation):
            raise Fault("syntax error", f"Required '{missing}' member is missing.")
        for junk in set(operation) - set(needed) - set(optional):
            raise Fault("syntax error", f"Member '{junk}' is present but not allowed here.")
        if operation.get("table", "Bridge") not in TABLES:
            raise Fault("syntax error", f"No table named {operation['table']}.")
        return getattr(self, name)(**{key.replace("-", "_"): found for key, found in operation.items()})

    def matching(self, table, where):
        tests = [self.read.condition(table, *clause) for clause in where]
        return [row for row in self.tables[table].values() if all(test(row) for test in tests)]

    def insert(self, table, row, uuid_name=None, uuid=None):
        if uuid is not None and not UUID.fullmatch(uuid):
            raise Fault("syntax error", "bad uuid")
        if uuid in self.tables[table] or uuid in self.inserted:
            raise Fault(
                "duplicate uuid",
                "This UUID would duplicate a UUID already present within the table or deleted within the same"
                " transaction.",
            )
        if uuid_name is not None and not IDENTIFIER.fullmatch(uuid_name):
            raise Fault("syntax error", "Type mismatch for member 'uuid-name'.")
        if uuid_name in self.inserted:
            raise Fault("duplicate uuid-name", 'This "uuid-name" appeared on an earlier "insert" operation.')
        columns = self.read.row(table, row)
        new = uuid or (self.read.new_uuid("") if uuid_name is None else self.read.named(uuid_name))
        self.inserted.add(uuid_name or new)
        own = {"_uuid": frozenset([new])}
        self.tables[table][new] = {**default_row(table), **columns, **own}
        return {"uuid": ["uuid", new]}

    def select(self, table, where, columns=None):
        for name in columns or ():
            if name not in TABLES[table]:
                raise Fault("syntax error", f"{name} is not a valid column name")
        names = TABLES[table] if columns is None else columns
        rows = self.matching(table, where)
        return {"rows": [{name: show(row[name], TABLES[table][name]) for name in names} for row in rows]}

    def update(self, table, where, row):
        columns = self.read.row(table, row)
        for name in columns:
            refuse_immutable(table, name)
        rows = self.matching(table, where)
        for found in rows:
            found.update(columns)
        return {"count": len(rows)}

    def mutate(self, table, where, mutations):
        rows = self.matching(table, where)
        for name, mutator, wire in mutations:
            self.read.column(table, name)
            for row in rows:
                row[name] = self.read.mutated(table, row[name], name, mutator, wire)
        return {"count": len(rows)}

    def delete(self, table, where):
        rows = self.matching(table, where)
        for row in rows:
            (gone,) = row["_uuid"]
            del self.tables[table][gone]
        return {"count": len(rows)}

    def wait(self, table, where, until, rows, columns=None, timeout=0):
        names = TABLES[table] if columns is None else columns
        wanted = {frozen({**default_row(table), **self.read.row(table, row)}, names) for row in rows}
        found = {frozen(row, names) for row in self.matching(table, where)}
        if (wanted == found) != (until == "=="):
            raise Waiting(timeout)
        return {}

    def comment(self, comment):
        return {}

    def abort(self):
        raise Fault("aborted", "aborted by request")

    # --- the commit ------------------------------------------------------------------------

    def commit(self):
        self.check_references()
        self.collect_garbage()
        self.drop_weak_references()
        for table, schema in SCHEMA["tables"].items():
            if len(self.tables[table]) > schema.get("maxRows", UNLIMITED):
                raise Fault("constraint violation", f"{table} has more rows than the schema-defined limit")
            for index in schema.get("indexes", ()):
                seen = [frozen(row, index) for row in self.tables[table].values()]
                if len(set(seen)) != len(seen):
                    raise Fault("constraint violation", f"identical values in {table} for index on {index}")

    def references(self, table, row):
        """Find what a row refers to: column, base, uuid."""
        for name, kind in TABLES[table].items():
            for base, atoms in ((kind.key, row[name]), (kind.value, getattr(row[name], "values", tuple)())):
                yield from ((name, base, atom) for atom in atoms if base and base.table)

    def check_references(self):
        for table, rows in self.tables.items():
            for row in rows.values():
                for name, base, target in self.references(table, row):
                    if not base.weak and target not in self.tables[base.table]:
                        why = f"Table {table} column {name} references nonexistent row {target}."
                        raise Fault("referential integrity violation", why)

    def collect_garbage(self):
        """Keep what the root tables lead to."""
        roots = [table for table, schema in SCHEMA["tables"].items() if schema.get("isRoot")]
        todo = [(table, u) for table in roots for u in self.tables[table]]
        kept = set()
        while todo:
            table, u = todo.pop()
            if (table, u) not in kept:
                kept.add((table, u))
                found = self.references(table, self.tables[table][u])
                todo += [(base.table, target) for _name, base, target in found if not base.weak]
        for table, rows in self.tables.items():
            self.tables[table] = {u: row for u, row in rows.items() if (table, u) in kept}

    def drop_weak_references(self):
        for table, rows in self.tables.items():
            for row in rows.values():
                for name, base, target in list(self.references(table, row)):
                    if base.weak and target not in self.tables[base.table]:
                        row[name] -= {target}


class Engine:
    """A database. ``settle`` is called after each commit, as vswitchd would be; ``None``: it is not running."""

    def __init__(self, settle=None, new_uuid=lambda name: str(uuids.uuid4())):
        self.settle = settle
        self.new_uuid = new_uuid
        self.tables = {table: {} for table in TABLES}
        self.changed = threading.Condition(threading.RLock())
        self.commits = 0

    def transact(self, operations):
        """Do all or nothing, as the server does; return its list of results."""
        begun = time.monotonic()
        while True:
            with self.changed:
                try:
                    return self.attempt(operations, waited_s=time.monotonic() - begun)
                except Waiting as waiting:
                    self.changed.wait(waiting.milliseconds / 1000)

    def attempt(self, operations, waited_s):
        transaction = Transaction(self.tables, self.new_uuid)
        results = []
        try:
            for operation in operations:
                results.append(self.result(transaction, operation, waited_s))
            transaction.commit()
        except Fault as fault:
            return [*results, fault.answer, *[None] * (len(operations) - len(results) - 1)]
        self.take(transaction.tables)
        return results

    def result(self, transaction, operation, waited_s):
        try:
            return transaction.perform(operation)
        except Waiting as waiting:
            if waited_s * 1000 < waiting.milliseconds:
                raise
            raise Fault("timed out", '"where" clause test failed') from None

    def take(self, tables):
        differs = False
        for table, rows in tables.items():
            for u, row in rows.items():
                if row != self.tables[table].get(u):
                    row["_version"] = frozenset([str(uuids.uuid4())])
                    differs = True
            differs = differs or set(rows) != set(self.tables[table])
        self.tables = tables
        if differs:
            self.commits += 1
            self.changed.notify_all()
            if self.settle:
                self.settle(self)
