# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real server said becomes tables of rows, in one round trip."""

from __future__ import annotations

import json

import fakeovsdb
from ovsdbengine import FIXTURES

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import TABLES
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.ovsdb import JsonRpc
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.read import (
    parse_database,
    read_database,
    select_all,
)

REAL = parse_database(json.loads((FIXTURES / "database.json").read_text()))


def test_a_real_bridge_is_read_with_all_that_belongs_to_it():
    bridge = REAL.named("Bridge", "br0")
    ports = {REAL.tables["Port"][uuid].columns["name"] for uuid in bridge.columns["ports"]}
    assert ports == {"br0", "bond0", "fk", "int0", "p0", "pa", "vnet0", "vx0"}
    assert bridge.columns["fail_mode"] == {"standalone"}
    assert bridge.columns["protocols"] == {"OpenFlow13", "OpenFlow14"}
    assert bridge.columns["other_config"] == {"hwaddr": "02:00:00:00:00:aa"}
    assert bridge.columns["rstp_enable"] is True
    (mirror,) = REAL.rows("Mirror")
    assert bridge.columns["mirrors"] == {mirror.uuid}


def test_a_real_port_is_read_with_its_interfaces_and_its_queues():
    port = REAL.named("Port", "p0")
    assert (port.columns["tag"], port.columns["trunks"]) == ({10}, {20, 30})
    (qos,) = (REAL.tables["QoS"][uuid] for uuid in port.columns["qos"])
    assert list(qos.columns["queues"]) == [0]
    queue = REAL.tables["Queue"][qos.columns["queues"][0]]
    assert queue.columns["other_config"] == {"max-rate": "500000000"}
    bond = REAL.named("Port", "bond0")
    members = {REAL.tables["Interface"][uuid].columns["name"] for uuid in bond.columns["interfaces"]}
    assert members == {"p1", "p2"}


def test_the_misleading_successes_are_read_with_their_errors():
    errors = {row.columns["name"]: row.columns["error"] for row in REAL.rows("Interface")}
    assert {name for name, error in errors.items() if error} == {"eth9", "odd0", "vx1", "dup0", "pc", "pa"}
    assert REAL.named("Interface", "eth9").columns["ofport"] == {-1}


def test_what_changes_by_itself_is_left_out():
    assert all(
        not {"_uuid", "_version", "statistics", "rstp_statistics"} & set(row.columns)
        for table in TABLES
        for row in REAL.rows(table)
    )


def test_reading_is_one_transaction_over_the_socket(tmp_path):
    with fakeovsdb.FakeOvsdb(tmp_path / "db.sock") as server:
        fakeovsdb.add_bridge(server.engine, "br0")
        client = JsonRpc(server.path)
        database = read_database(client)
        client.close()
    assert database.named("Bridge", "br0").columns["datapath_type"] == ""
    assert server.transactions == [[dict(operation) for operation in select_all()]]


def test_two_reads_of_an_unchanged_database_are_equal():
    client = fakeovsdb.EngineClient(fakeovsdb.new_database())
    fakeovsdb.add_bridge(client.engine, "br0")
    assert read_database(client) == read_database(client)
    assert set(read_database(client).tables) == set(TABLES)
