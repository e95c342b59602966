# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake server answers what a real one answered, word for word where a program would look."""

from __future__ import annotations

import json
import threading
import time

import fakeovsdb
import pytest
from ovsdbengine import FIXTURES, Engine

EXCHANGES = json.loads((FIXTURES / "exchanges.json").read_text())


def spoken(results):
    """Leave out the words of errors, and the order of rows, which mean nothing."""
    told = []
    for result in results:
        if result and "error" in result:
            result = {"error": result["error"]}
        elif result and "rows" in result:
            result = {"rows": sorted(result["rows"], key=json.dumps)}
        told.append(result)
    return json.loads(json.dumps(told, sort_keys=True))


class Uuids:
    """Gives each new row the uuid that the real server gave to it."""

    def __init__(self):
        self.named = {}
        self.unnamed = []

    def expect(self, exchange):
        inserts = [
            (operation.get("uuid-name"), result["uuid"][1])
            for operation, result in zip(exchange["send"], exchange["got"])
            if result and "uuid" in result
        ]
        self.named = {name: uuid for name, uuid in inserts if name}
        self.unnamed = [uuid for name, uuid in inserts if not name]

    def __call__(self, name):
        return self.named.get(name, "no such row") if name else self.unnamed.pop(0)


def test_each_recorded_transaction_is_answered_as_the_real_server_did():
    uuids = Uuids()
    engine = Engine(new_uuid=uuids)
    told = []
    for exchange in EXCHANGES:
        uuids.expect(exchange)
        told.append((exchange["what"], spoken(engine.transact(exchange["send"]))))
    assert told == [(exchange["what"], spoken(exchange["got"])) for exchange in EXCHANGES]


def test_the_recording_has_every_operation_and_every_kind_of_error():
    assert {operation["op"] for exchange in EXCHANGES for operation in exchange["send"]} > {
        "insert",
        "select",
        "update",
        "mutate",
        "delete",
        "wait",
        "comment",
        "abort",
    }
    errors = {
        result["error"] for exchange in EXCHANGES for result in exchange["got"] if "error" in (result or {})
    }
    assert errors == {
        "aborted",
        "constraint violation",
        "duplicate uuid-name",
        "ovsdb error",
        "referential integrity violation",
        "syntax error",
        "timed out",
        "unknown column",
    }


def test_a_bridge_is_realised_when_it_is_committed():
    database = fakeovsdb.new_database()
    fakeovsdb.add_bridge(database, "br0", datapath_type="netdev")
    fakeovsdb.add_port(database, "br0", "bond0", members=["p1", "p2"], bond_mode=frozenset(["active-backup"]))
    fakeovsdb.add_port(database, "br0", "vx0", {"type": "vxlan"})
    (root,) = fakeovsdb.rows(database, "Open_vSwitch")
    assert root["cur_cfg"] == root["next_cfg"] == 3
    assert {row["name"] for row in fakeovsdb.rows(database, "Interface")} == {"br0", "p1", "p2", "vx0"}
    assert fakeovsdb.row(database, "Interface", "br0")["ofport"] == {65534}
    assert fakeovsdb.row(database, "Interface", "p1")["mtu"] == {1500}
    assert fakeovsdb.row(database, "Interface", "vx0")["mtu"] == frozenset()
    assert len(fakeovsdb.row(database, "Port", "bond0")["interfaces"]) == 2


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (fakeovsdb.GONE, "eth9"),
        (fakeovsdb.ODD_TYPE, "odd0"),
        (fakeovsdb.NO_REMOTE, "vx1"),
        (fakeovsdb.DUPLICATE_TUNNEL, "dup0"),
        (fakeovsdb.NO_PEER, "pc"),
        (fakeovsdb.MTU_IGNORED, "p3"),
    ],
)
def test_an_interface_fails_as_it_did_for_the_real_vswitchd(fault, name):
    captured = json.loads((FIXTURES / "database.json").read_text())[3]["rows"]
    (real,) = [row for row in captured if row["name"] == name]
    database = fakeovsdb.new_database()
    database.settle.faults[name] = fault
    fakeovsdb.add_bridge(database, "br1")
    request = real["mtu_request"] if isinstance(real["mtu_request"], int) else frozenset()
    fakeovsdb.add_port(database, "br1", name, {"type": real["type"], "mtu_request": request})
    (result,) = database.transact([{"op": "select", "table": "Interface", "where": [["name", "==", name]]}])
    (row,) = result["rows"]
    told = ("error", "ofport", "mtu", "mtu_request")
    assert {column: row[column] for column in told} == {
        **{column: real[column] for column in told},
        **({"ofport": row["ofport"]} if name == "p3" else {}),
    }


def test_without_vswitchd_nothing_is_realised():
    database = fakeovsdb.new_database(vswitchd=False)
    fakeovsdb.add_bridge(database, "br0")
    (root,) = fakeovsdb.rows(database, "Open_vSwitch")
    assert (root["next_cfg"], root["cur_cfg"]) == (1, 0)


def test_what_changes_nothing_is_no_commit_and_leaves_the_version_of_rows():
    database = fakeovsdb.new_database()
    fakeovsdb.add_bridge(database, "br0", stp_enable=True)
    before, commits = fakeovsdb.row(database, "Bridge", "br0"), database.commits
    fakeovsdb.change(database, "Bridge", "br0", stp_enable=True)
    assert (fakeovsdb.row(database, "Bridge", "br0"), database.commits) == (before, commits)
    fakeovsdb.change(database, "Bridge", "br0", stp_enable=False)
    assert fakeovsdb.row(database, "Bridge", "br0")["_version"] != before["_version"]


def test_a_wait_ends_when_somebody_else_makes_it_true():
    database = fakeovsdb.new_database()
    fakeovsdb.add_bridge(database, "br0")
    late = threading.Timer(0.05, fakeovsdb.change, (database, "Bridge", "br0"), {"stp_enable": True})
    late.start()
    begun = time.monotonic()
    operation = {
        "op": "wait",
        "table": "Bridge",
        "where": [],
        "columns": ["stp_enable"],
        "until": "==",
        "rows": [{"stp_enable": True}],
        "timeout": 20000,
    }
    assert database.transact([operation]) == [{}]
    assert time.monotonic() - begun < 10
    late.join()
