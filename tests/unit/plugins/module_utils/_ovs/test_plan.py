# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fakeovsdb
import planning
import pytest
from planning import GUEST, OURS, Switch, configuration, nic, shaped, some, wish

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.ovsdb import DatabaseError, Stale
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan import plan, rehearsal
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import parse_wish, with_hwaddr


@pytest.fixture
def switch():
    return Switch()


# The example of the module's documentation, without dpdk.
EXAMPLE = {
    "name": "br-ex",
    "state": "present",
    "datapath_type": "netdev",
    "fail_mode": "standalone",
    "stp": False,
    "rstp": False,
    "mcast_snooping": True,
    "protocols": ["OpenFlow10", "OpenFlow13"],
    "controllers": ["tcp:192.0.2.9:6653"],
    "hwaddr": "auto",
    "mtu": 9000,
    "other_config": {"mcast-snooping-disable-flood-unregistered": True},
    "external_ids": {},
    "ports": [
        {"name": "eno1"},
        {"name": "eno2", "tag": 40},
        {"name": "eno3", "vlan_mode": "native-untagged", "tag": 10, "trunks": [20, "30-35"]},
        {
            "name": "bond0",
            "members": ["ens1f0", "ens1f1"],
            "bond_mode": "balance-tcp",
            "lacp": "active",
            "bond_updelay": 200,
            "bond_downdelay": 0,
            "other_config": {"lacp-time": "fast", "bond-miimon-interval": 100},
        },
        {"name": "storage0", "type": "internal", "tag": 30, "mtu": 9000},
        {
            "name": "vx-host2",
            "type": "vxlan",
            "options": {"remote_ip": "192.0.2.2", "key": 100, "dst_port": 4789},
        },
        {"name": "gnv-host3", "type": "geneve", "options": {"remote_ip": "192.0.2.3", "key": "flow"}},
        {"name": "p-to-int", "type": "patch", "peer": "p-to-ex"},
    ],
    "mirrors": [
        {
            "name": "span0",
            "select_src_port": ["eno2"],
            "select_dst_port": ["eno2"],
            "output_port": "storage0",
        }
    ],
    "qos": {
        "eno1": {"type": "linux-htb", "max_rate": 10000000000, "queues": {0: {"min_rate": 1000000000}}},
    },
    "purge": "owned",
}


def example(**changes):
    return with_hwaddr(parse_wish({**EXAMPLE, **changes}), "02:00:00:00:00:aa")


def test_the_whole_example_is_one_transaction_and_then_nothing(switch):
    planned = switch.apply(example())
    assert [operation["op"] for operation in planned.operations].count("insert") == 2 + 1 + 8 + 9 + 1 + 1 + 2
    found = switch.row("Bridge", "br-ex")
    assert found["fail_mode"] == {"standalone"}
    assert found["other_config"] == {
        "hwaddr": "02:00:00:00:00:aa",
        "mcast-snooping-disable-flood-unregistered": "true",
    }
    assert found["protocols"] == {"OpenFlow10", "OpenFlow13"}
    assert switch.row("Port", "eno3")["trunks"] == {20, 30, 31, 32, 33, 34, 35}
    assert switch.members("bond0") == ["ens1f0", "ens1f1"]
    assert switch.row("Interface", "p-to-int")["options"] == {"peer": "p-to-ex"}
    (mirror,) = switch.rows("Mirror")
    assert mirror["output_port"] == {switch.row("Port", "storage0")["_uuid"]}
    (queue,), (qos,) = switch.rows("Queue"), switch.rows("QoS")
    assert (qos["queues"], queue["other_config"]) == ({0: queue["_uuid"]}, {"min-rate": "1000000000"})
    assert all(
        row["external_ids"]["hearth-owner"] == "br-ex"
        for table in ("Bridge", "Port", "Interface", "Mirror", "QoS", "Queue", "Controller")
        for row in switch.rows(table)
    )


def test_the_example_is_taken_back_to_an_empty_database(switch):
    before = configuration(switch.read())
    switch.send(switch.apply(example()).inverse)
    assert configuration(switch.read()) == before


def test_a_plan_is_the_same_each_time_it_is_made(switch):
    assert switch.plan(example()) == switch.plan(example())


def test_a_rehearsal_is_judged_by_the_server_and_changes_nothing(switch):
    before = switch.read()
    switch.client.transact(rehearsal(switch.plan(example()).operations))
    assert switch.read() == before
    nonsense = wish(bridge={"fail_mode": some("strict")})
    with pytest.raises(DatabaseError, match="strict"):
        switch.client.transact(rehearsal(switch.plan(nonsense).operations))


def test_without_a_daemon_the_plan_makes_the_root_row_too():
    planned = plan(model.Database(), example())
    assert planned.operations[0] == {
        "op": "wait",
        "timeout": 0,
        "table": "Open_vSwitch",
        "where": [],
        "columns": ["bridges"],
        "until": "==",
        "rows": [],
    }
    switch = Switch()
    switch.engine.transact([{"op": "delete", "table": "Open_vSwitch", "where": []}])
    switch.apply(example())
    assert len(switch.rows("Open_vSwitch")) == 1


def test_what_is_not_in_the_wish_is_not_touched(switch):
    fakeovsdb.add_bridge(switch.engine, "br0", fail_mode=some("secure"), stp_enable=True)
    fakeovsdb.add_port(switch.engine, "br0", "eth1", tag=some(10))
    planned = switch.apply(model.Wish("br0"))
    found = switch.row("Bridge", "br0")
    assert (found["fail_mode"], found["stp_enable"], switch.ports()) == ({"secure"}, True, ["eth1"])
    # The mark is no traffic.
    assert (planned.after, planned.ports) == ({"bridge": {"external_ids": OURS}}, ())


@pytest.mark.parametrize(
    ("before", "column", "value", "after"),
    [
        ({}, "fail_mode", some("standalone"), some("standalone")),
        ({"fail_mode": some("secure")}, "fail_mode", some(), some()),
        ({"datapath_type": "netdev"}, "datapath_type", "system", "system"),
        ({}, "rstp_enable", True, True),
        ({"rstp_enable": True}, "rstp_enable", False, False),
        ({"protocols": some("OpenFlow10")}, "protocols", some(), some()),
        ({"flood_vlans": some(1, 2)}, "flood_vlans", some(2), some(2)),
        ({"other_config": {"a": "1", "b": "2"}}, "other_config", {"a": "3"}, {"a": "3", "b": "2"}),
        ({"other_config": {"a": "1", "b": "2"}}, "other_config", {"a": None}, {"b": "2"}),
        ({"other_config": {"a": "1", "b": "2"}}, "other_config", {}, {}),
        ({"external_ids": {"a": "1"}}, "external_ids", {}, OURS),
        ({"external_ids": {"a": "1"}}, "external_ids", {"b": "2"}, {"a": "1", "b": "2", **OURS}),
    ],
)
def test_a_column_of_a_bridge_that_is_there_gets_its_value_and_gives_it_back(
    switch, before, column, value, after
):
    fakeovsdb.add_bridge(switch.engine, "br0", **before)
    was = configuration(switch.read())
    planned = switch.apply(model.Wish("br0", bridge={column: value}))
    assert switch.row("Bridge", "br0")[column] == after
    switch.send(planned.inverse)
    assert configuration(switch.read()) == was


@pytest.mark.parametrize(("stored", "wanted"), [("", "system"), ("system", "system"), ("netdev", "netdev")])
def test_a_datapath_that_is_only_spelled_in_another_way_is_no_change(switch, stored, wanted):
    fakeovsdb.add_bridge(switch.engine, "br0", datapath_type=stored, external_ids=OURS)
    planned = switch.plan(model.Wish("br0", bridge={"datapath_type": wanted}))
    assert planned.operations == ()
    assert planned.after["bridge"]["datapath_type"] == wanted


def test_a_map_that_is_enforced_whole_loses_what_the_wish_does_not_have(switch):
    fakeovsdb.add_bridge(switch.engine, "br0", other_config={"a": "1", "b": "2"}, external_ids={"x": "y"})
    whole = some("Bridge.other_config", "Bridge.external_ids")
    switch.apply(
        model.Wish("br0", bridge={"other_config": {"b": "2"}, "external_ids": {"z": "1"}}, replace=whole)
    )
    found = switch.row("Bridge", "br0")
    assert (found["other_config"], found["external_ids"]) == ({"b": "2"}, {"z": "1", **OURS})


def test_a_column_the_server_does_not_have_is_sent_and_refused_by_it(switch):
    with pytest.raises(DatabaseError, match="nonsense"):
        switch.send(switch.plan(model.Wish("br0", bridge={"nonsense": "1"})).operations)


def test_absent_removes_the_bridge_with_all_it_has_and_can_be_taken_back(switch):
    empty = configuration(switch.read())
    switch.apply(example())
    before = configuration(switch.read())
    planned = switch.apply(model.Wish("br-ex", present=False))
    assert planned.after == {}
    assert {"br-ex", "eno1", "bond0", "storage0"} < set(planned.ports)
    assert configuration(switch.read()).keys() == empty.keys()
    switch.send(planned.inverse)
    assert configuration(switch.read()) == before


def test_absent_where_there_is_nothing_does_nothing(switch):
    assert not switch.apply(model.Wish("br0", present=False)).operations


def test_what_a_revert_brings_back_has_nothing_that_is_for_open_vswitch_to_say(switch):
    switch.apply(example())
    planned = switch.apply(model.Wish("br-ex", present=False))
    columns = {column for operation in planned.inverse for column in operation.get("row", ())}
    assert {"interfaces", "mtu_request", "qos"} < columns
    assert not columns & {"ofport", "mtu", "error", "status", "link_state"}


def test_a_bridge_that_only_somebody_else_still_refers_to_is_not_there_and_comes_back_in_its_row(switch):
    """Flow_Sample_Collector_Set keeps a bridge alive that is no longer in use."""
    fakeovsdb.add_bridge(switch.engine, "br0")
    row = switch.row("Bridge", "br0")["_uuid"]
    switch.client.transact(
        [
            {
                "op": "insert",
                "table": "Flow_Sample_Collector_Set",
                "row": {"id": 1, "bridge": ["uuid", row]},
            },
            {"op": "update", "table": "Open_vSwitch", "where": [], "row": {"bridges": ["set", []]}},
        ]
    )
    assert not switch.apply(model.Wish("br0", present=False)).operations
    switch.apply(wish(nic("eth1")))
    assert switch.row("Bridge", "br0")["_uuid"] == row
    assert switch.rows("Open_vSwitch")[0]["bridges"] == {row}


def test_absent_leaves_other_bridges_and_names_patch_ports_that_lead_nowhere(switch):
    def patch(name, peer):
        interface = model.InterfaceWish(name, {"type": "patch", "options": {"peer": peer}})
        return model.PortWish(name, (interface,))

    switch.apply(wish(patch("p0", "p1")))
    switch.apply(wish(patch("p1", "p0"), name="br1"))
    planned = switch.apply(model.Wish("br0", present=False))
    assert planned.warnings == ("Patch port p1 leads to p0, which goes: it will carry nothing.",)
    assert switch.ports("br1") == ["p1"]


def test_absent_says_what_a_rollback_cannot_bring_back(switch):
    fakeovsdb.add_bridge(switch.engine, "br0")
    switch.client.transact(
        [
            {"op": "insert", "table": "sFlow", "row": {"targets": "192.0.2.1:6343"}, "uuid-name": "s"},
            {
                "op": "update",
                "table": "Bridge",
                "where": [["name", "==", "br0"]],
                "row": {"sflow": ["named-uuid", "s"]},
            },
        ]
    )
    planned = switch.apply(model.Wish("br0", present=False))
    assert planned.warnings == ("With br0 go its sflow; a rollback does not bring them back.",)
    switch.send(planned.inverse)
    assert switch.row("Bridge", "br0")["sflow"] == some()


def add_a_port(switch):
    fakeovsdb.add_port(switch.engine, "br0", "vnet0", {"external_ids": GUEST})


def add_a_bridge(switch):
    fakeovsdb.add_bridge(switch.engine, "br9")


def change_a_tag(switch):
    fakeovsdb.change(switch.engine, "Port", "eth1", tag=some(30))


def mark_for_a_guest(switch):
    fakeovsdb.change(switch.engine, "Port", "eth2", external_ids={**OURS, "vm-id": "x"})


def change_a_map(switch):
    fakeovsdb.change(switch.engine, "Bridge", "br0", other_config={"b": "1"})


@pytest.mark.parametrize(
    "meanwhile", [add_a_port, add_a_bridge, change_a_tag, mark_for_a_guest, change_a_map]
)
def test_a_stale_plan_is_refused_whole_and_a_new_one_has_both_changes(switch, meanwhile):
    switch.apply(wish(nic("eth1", tag=some(10)), nic("eth2")))
    wanted = wish(nic("eth1", tag=some(20)), bridge={"other_config": {"a": "1"}})
    planned = switch.plan(wanted)
    meanwhile(switch)
    before = configuration(switch.read())
    with pytest.raises(Stale):
        switch.send(planned.operations)
    assert configuration(switch.read()) == before
    switch.apply(wanted)
    assert switch.row("Port", "eth1")["tag"] == {20}
    if meanwhile is add_a_port:
        assert switch.ports() == ["eth1", "vnet0"]


def test_a_plan_rests_on_the_ports_of_the_bridge_even_if_none_comes_or_goes(switch):
    switch.apply(wish(nic("eth1", tag=some(10))))
    planned = switch.plan(wish(nic("eth1", tag=some(20))))
    add_a_port(switch)
    assert planning.refused_as_stale(lambda: switch.send(planned.operations))


def test_the_same_plan_is_not_applied_twice(switch):
    planned = switch.plan(wish(nic("eth1")))
    switch.send(planned.operations)
    assert planning.refused_as_stale(lambda: switch.send(planned.operations))


def test_what_nobody_rests_on_may_change(switch):
    fakeovsdb.add_bridge(switch.engine, "br9")
    planned = switch.plan(wish(nic("eth1")))
    fakeovsdb.add_port(switch.engine, "br9", "eth5")
    assert not planning.refused_as_stale(lambda: switch.send(planned.operations))


def test_a_new_row_never_gets_the_uuid_of_one_that_is_there(switch):
    """Without a bump of next_cfg the same name would ask for the same uuid again."""
    first = switch.plan(wish(nic("eth1")))
    switch.client.transact(first.operations)
    fakeovsdb.change(switch.engine, "Port", "eth1", external_ids={})
    switch.client.transact(
        switch.plan(wish(shaped("eth1", "linux-htb", max_rate="1"))).operations,
    )
    foreign = switch.row("Port", "eth1")["qos"]
    (qos,) = switch.rows("QoS")
    switch.client.transact(
        [{"op": "update", "table": "QoS", "where": [], "row": {"external_ids": ["map", []]}}]
    )
    switch.apply(wish(shaped("eth1", "linux-htb", max_rate="1")))
    assert (foreign, len(switch.rows("QoS"))) == ({qos["_uuid"]}, 2)
