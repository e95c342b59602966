# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fakeovsdb
import planning
import pytest
from planning import Switch, configuration, nic, shaped, some, wish

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import model


@pytest.fixture
def switch():
    return Switch()


def test_qos_that_changes_five_times_has_one_row(switch):
    for number in range(5):
        queues = {0: {"dscp": some(number)}, number + 1: {"other_config": {"max-rate": str(number)}}}
        switch.apply(wish(shaped("eth1", "linux-htb", queues, max_rate=str(number))))
    (qos,) = switch.rows("QoS")
    assert qos["other_config"] == {"max-rate": "4"}
    assert (len(switch.rows("Queue")), sorted(qos["queues"])) == (2, [0, 5])


@pytest.mark.parametrize("last", [wish(), wish(shaped("eth1", "")), model.Wish("br0", present=False)])
def test_qos_leaves_no_rows_behind(switch, last):
    switch.apply(wish(shaped("eth1", "linux-htb", {0: {}}, max_rate="1")))
    before = configuration(switch.read())
    planned = switch.apply(last)
    assert (switch.rows("QoS"), switch.rows("Queue")) == ([], [])
    switch.send(planned.inverse)
    assert configuration(switch.read()) == before


def test_qos_that_is_not_managed_stays(switch):
    switch.apply(wish(shaped("eth1", "linux-htb", max_rate="1")))
    assert not switch.plan(wish(nic("eth1"))).operations


def orphan(switch, table, owner):
    (result,) = switch.client.transact(
        [{"op": "insert", "table": table, "row": {"external_ids": ["map", [["hearth-owner", owner]]]}}]
    )
    return result["uuid"][1]


def test_orphans_of_ours_are_removed_and_those_of_others_are_not(switch):
    switch.apply(wish(shaped("eth1", "linux-htb", {0: {}}, max_rate="1")))
    lost = [f"{table} {orphan(switch, table, 'br0')}" for table in ("QoS", "Queue")]
    kept = {orphan(switch, table, "br9") for table in ("QoS", "Queue")}
    wanted = wish(nic("eth1"))
    assert planning.state_of(switch.read(), wanted)["leftovers"] == lost
    switch.apply(wanted)
    left = {row["_uuid"] for table in ("QoS", "Queue") for row in switch.rows(table)}
    assert kept < left
    assert len(left) == 4


def foreign_qos(switch, port):
    """Give a port QoS with a queue as somebody else would."""
    switch.client.transact(
        [
            {"op": "insert", "table": "Queue", "row": {}, "uuid-name": "q"},
            {
                "op": "insert",
                "table": "QoS",
                "row": {"type": "linux-htb", "queues": ["map", [[0, ["named-uuid", "q"]]]]},
                "uuid-name": "s",
            },
            {
                "op": "update",
                "table": "Port",
                "where": [["name", "==", port]],
                "row": {"qos": ["named-uuid", "s"]},
            },
        ]
    )
    (row,) = [row for row in switch.rows("QoS") if not row["external_ids"]]
    return row


def test_qos_of_somebody_else_is_left_and_not_written_to(switch):
    switch.apply(wish(nic("eth1")))
    foreign = foreign_qos(switch, "eth1")
    planned = switch.apply(wish(shaped("eth1", "linux-hfsc", max_rate="1")))
    assert foreign in switch.rows("QoS")
    assert len(switch.rows("Queue")) == 1
    assert f"The QoS row {foreign['_uuid']} of port eth1 was not made by this module" in planned.warnings[0]
    assert switch.row("Port", "eth1")["qos"] != {foreign["_uuid"]}
    switch.send(planned.inverse)
    assert switch.row("Port", "eth1")["qos"] == {foreign["_uuid"]}
    assert switch.rows("QoS") == [foreign]


def test_qos_that_two_ports_share_is_not_written_to_for_one_of_them(switch):
    switch.apply(wish(shaped("eth1", "linux-htb", {0: {}}, max_rate="1"), nic("eth2")))
    shared = switch.row("Port", "eth1")["qos"]
    fakeovsdb.change(switch.engine, "Port", "eth2", qos=shared)
    switch.apply(wish(shaped("eth1", "linux-htb", {0: {}}, max_rate="2"), nic("eth2")))
    assert switch.row("Port", "eth2")["qos"] == shared
    assert sorted(row["other_config"]["max-rate"] for row in switch.rows("QoS")) == ["1", "2"]


def test_a_queue_of_somebody_else_in_our_qos_is_replaced_and_left(switch):
    wanted = wish(shaped("eth1", "linux-htb", {0: {"dscp": some(1)}}, max_rate="1"))
    switch.apply(wanted)
    (queue,) = switch.rows("Queue")
    switch.client.transact(
        [
            {
                "op": "update",
                "table": "Queue",
                "where": [["_uuid", "==", ["uuid", queue["_uuid"]]]],
                "row": {"external_ids": ["map", []]},
            }
        ]
    )
    switch.apply(wanted)
    assert sorted(len(row["external_ids"]) for row in switch.rows("Queue")) == [0, 1]
