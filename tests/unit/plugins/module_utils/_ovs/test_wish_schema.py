# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ovscontract import CONTRACT

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import Wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import parse_wish


def parse(**given: t.Any) -> Wish:
    return parse_wish({"name": "br0", **given})


# The result of get_schema of Open vSwitch 3.1.0, captured; see the README beside it.
SCHEMA = json.loads((pathlib.Path(__file__).parents[3] / "fixtures" / "ovs" / "schema.json").read_text())[
    "tables"
]


def rows_of(wish: Wish) -> t.Iterator[tuple[str, model.Columns]]:
    yield model.BRIDGE, wish.bridge
    yield from ((model.MIRROR, mirror.columns) for mirror in wish.mirrors or ())
    yield from ((model.INTERFACE, local.columns) for local in (wish.local,) if local)
    for port in wish.ports or ():
        yield model.PORT, port.columns
        yield from ((model.INTERFACE, one.columns) for one in port.interfaces)
        if port.qos:
            yield model.QOS, {"type": port.qos.type, **port.qos.columns}
            yield from ((model.QUEUE, queue) for queue in port.qos.queues.values())


def allowed(base: t.Any, value: t.Any) -> bool:
    """Tell whether a value is of a base type (RFC 7047 section 3.2); references are names in a wish."""
    base = {"type": base} if isinstance(base, str) else base
    kind = {"string": str, "uuid": str, "integer": int, "boolean": bool}[base["type"]]
    enum = base.get("enum", ["set", [value]])[1]
    low, high = base.get("minInteger", -(2**63)), base.get("maxInteger", 2**63 - 1)
    return (
        isinstance(value, kind)
        and (kind is bool or not isinstance(value, bool))
        and value in enum
        and (kind is not int or low <= value <= high)
    )


def fits(column: t.Any, value: t.Any) -> bool:
    """Tell whether a value of a wish fits a column of the schema."""
    kind = {"key": column} if isinstance(column, str) else column
    if "value" in kind:
        return isinstance(value, dict) and all(allowed(kind["value"], word) for word in value.values())
    if kind.get("min", 1) == kind.get("max", 1) == 1:
        return allowed(kind["key"], value)
    return isinstance(value, frozenset) and all(allowed(kind["key"], word) for word in value)


def test_every_column_of_a_wish_is_one_of_the_schema_and_fits_it() -> None:
    mirror = {"name": "m1", "select_all": True, "select_vlan": ["0-3"], "output_vlan": 9, "snaplen": 14}
    queue = {"min_rate": 1, "max_rate": 2, "burst": 3, "priority": 4, "dscp": 63}
    wish = parse_wish(
        {
            **CONTRACT,
            "mirrors": [*CONTRACT["mirrors"], mirror],
            "qos": {"eno1": {"type": "linux-htb", "queues": {7: queue}}},
        }
    )
    seen = [(table, column, value) for table, columns in rows_of(wish) for column, value in columns.items()]
    assert {table for table, _column, _value in seen} == set(model.TABLES) - {model.ROOT, model.CONTROLLER}
    for table, column, value in seen:
        assert fits(SCHEMA[table]["columns"][column]["type"], value), (table, column, value)


@pytest.mark.parametrize(
    ("table", "column", "option"),
    [
        ("Bridge", "protocols", lambda word: parse(protocols=[word])),
        ("Bridge", "fail_mode", lambda word: parse(fail_mode=word)),
        ("Port", "vlan_mode", lambda word: parse(ports=[{"name": "p", "vlan_mode": word, **tag_for(word)}])),
        ("Port", "bond_mode", lambda word: parse(ports=[bond(bond_mode=word, lacp="active")])),
        ("Port", "lacp", lambda word: parse(ports=[bond(lacp=word)])),
    ],
)
def test_every_word_that_the_schema_has_can_be_said(
    table: str, column: str, option: t.Callable[[str], Wish]
) -> None:
    words = SCHEMA[table]["columns"][column]["type"]["key"]["enum"][1]
    assert len(words) > 1
    for word in words:
        assert any(columns.get(column) == {word} for _table, columns in rows_of(option(word)))


def tag_for(mode: str) -> dict[str, int]:
    return {} if mode == "trunk" else {"tag": 5}


def bond(**given: str) -> dict[str, t.Any]:
    return {"name": "bond0", "members": ["e0", "e1"], **given}
