# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values go to the wire and come back as the schema of a real server has them."""

from __future__ import annotations

import json

import fakeovsdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ovsdbengine import FIXTURES, SCHEMA

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import TABLES
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.values import (
    INTEGER,
    MAP,
    SCALAR,
    SET,
    TYPES,
    UUID,
    Column,
    column_of,
    decode,
    decode_row,
    encode,
    encode_row,
)

A = "96a14503-fd44-476f-a4c6-4a0fd1742923"
B = "98bbafae-0445-41ac-bc28-4461c8a3bd94"
TEXT_COLUMN = Column(SCALAR, "string")
NUMBERS = Column(SET, INTEGER)
REFERENCES = Column(SET, UUID)
NUMBERED = Column(MAP, INTEGER, UUID)
TEXT_MAP = Column(MAP, "string", "string")


def column_in(schema):
    """Say what a column is from the server's own schema."""
    kind = schema["type"] if isinstance(schema["type"], dict) else {"key": schema["type"]}
    key, value = (
        part["type"] if isinstance(part, dict) else part for part in (kind["key"], kind.get("value", ""))
    )
    if value:
        return Column(MAP, key, value)
    is_scalar = kind.get("min", 1) == kind.get("max", 1) == 1
    return Column(SCALAR if is_scalar else SET, key)


@pytest.mark.parametrize("table", TABLES)
def test_the_types_are_those_of_the_schema(table):
    columns = SCHEMA["tables"][table]["columns"]
    assert TYPES[table] == {name: column_in(schema) for name, schema in columns.items()}


PAIRS = [
    ("br0", TEXT_COLUMN, "br0"),
    ("", TEXT_COLUMN, ""),
    (10, NUMBERS, frozenset([10])),
    (["set", []], NUMBERS, frozenset()),
    (["set", [5, 20]], NUMBERS, frozenset([20, 5])),
    (True, Column(SCALAR, "boolean"), True),
    (["uuid", A], Column(SCALAR, UUID), A),
    (["uuid", A], REFERENCES, frozenset([A])),
    (["set", [["uuid", A], ["uuid", B]]], REFERENCES, frozenset([A, B])),
    (["named-uuid", "new"], REFERENCES, frozenset(["new"])),
    (["map", []], TEXT_MAP, {}),
    (["map", [["a", "1"], ["b", "x=y, z"]]], TEXT_MAP, {"b": "x=y, z", "a": "1"}),
    (["map", [[0, ["uuid", A]], [10, ["uuid", B]]]], NUMBERED, {10: B, 0: A}),
]


@pytest.mark.parametrize(("wire", "column", "value"), PAIRS)
def test_a_value_goes_to_the_wire_and_back(wire, column, value):
    assert encode(value, column) == wire
    assert decode(wire, column) == value


def test_one_element_of_a_set_is_told_from_a_scalar_by_the_schema_alone():
    assert decode(10) == 10
    assert decode(10, column_of("Port", "tag")) == {10}
    assert decode("x", column_of("Bridge", "datapath_type")) == "x"


def test_a_column_that_only_another_version_has_is_decoded_by_its_looks():
    assert column_of("Bridge", "of_the_future") is None
    assert column_of("Table_of_the_future", "name") is None
    row = {"of_the_future": ["set", [1]], "name": "br0", "map_too": ["map", [["k", ["uuid", A]]]]}
    assert decode_row("Bridge", row) == {"of_the_future": {1}, "name": "br0", "map_too": {"k": A}}


def test_without_a_type_nothing_is_a_reference():
    assert encode({"k": A}) == ["map", [["k", A]]]
    assert encode(frozenset(["x", A])) == ["set", [A, "x"]]


def test_none_clears():
    assert encode(None, NUMBERS) == ["set", []]


def test_numbers_in_a_set_are_in_the_order_of_numbers():
    assert encode(frozenset([100, 20, 3]), NUMBERS) == ["set", [3, 20, 100]]


def test_a_row_is_encoded_column_by_column():
    row = {"name": "p0", "tag": frozenset([10]), "interfaces": frozenset(["i0"]), "external_ids": {}}
    assert encode_row("Port", row) == {
        "name": "p0",
        "tag": 10,
        "interfaces": ["named-uuid", "i0"],
        "external_ids": ["map", []],
    }


def test_every_row_of_a_real_database_is_encoded_as_it_came():
    results = json.loads((FIXTURES / "database.json").read_text())
    for table, result in zip(TABLES, results):
        for row in result["rows"]:
            columns = {name: value for name, value in row.items() if name[0] != "_"}
            assert normal(encode_row(table, decode_row(table, columns))) == normal(columns)


def normal(row):
    """Sort what has no order."""
    return {
        name: [value[0], sorted(value[1], key=str)]
        if isinstance(value, list) and value[0] != "uuid"
        else value
        for name, value in row.items()
    }


TEXTS = st.text(st.characters(codec="utf-8"))


@given(st.one_of(TEXTS, st.frozensets(TEXTS), st.dictionaries(TEXTS, TEXTS)))
def test_any_text_survives_the_wire(value):
    kind = MAP if isinstance(value, dict) else SET if isinstance(value, frozenset) else SCALAR
    column = Column(kind, "string", "string" if kind == MAP else "")
    assert decode(json.loads(json.dumps(encode(value, column))), column) == value


@given(st.frozensets(st.integers(0, 4095)))
def test_a_server_has_the_set_that_it_was_given(trunks):
    database = fakeovsdb.new_database()
    fakeovsdb.add_bridge(database, "br0")
    fakeovsdb.add_port(database, "br0", "p0", trunks=trunks)
    assert fakeovsdb.row(database, "Port", "p0")["trunks"] == trunks


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_same_value_is_always_the_same_text(names):
    assert encode(dict.fromkeys(names, "1"), TEXT_MAP) == encode(dict.fromkeys("abcd", "1"), TEXT_MAP)
    assert encode(frozenset(names), Column(SET, "string")) == ["set", ["a", "b", "c", "d"]]
