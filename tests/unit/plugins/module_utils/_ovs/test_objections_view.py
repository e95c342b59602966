# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bridge as objections see it, before and after, and what Open vSwitch does with VLANs."""

from __future__ import annotations

import json

import pytest
from bridgescenes import OURS, Scene, carrying_bridge
from fakeovsdb import add_port
from ovsdbengine import FIXTURES

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_view import (
    PortView,
    holders_in,
    view_of,
    wire_between,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.read import parse_database

TRACED = json.loads((FIXTURES.parent / "vlans/traced.json").read_text())
REAL = parse_database(json.loads((FIXTURES / "database.json").read_text()))


def port(name, columns):
    return PortView(name, **{**columns, "trunks": frozenset(columns.get("trunks", ()))})


@pytest.mark.parametrize("traced", TRACED, ids=lambda traced: f"{traced['end']}-{traced['uplink']}")
def test_vlans_are_seen_as_a_real_open_vswitch_treats_them(traced):
    assert wire_between(port("h", traced["end"]), port("p1", traced["uplink"])) == traced["wire"]


def test_tagged_frames_do_not_come_in_by_an_access_port():
    assert port("p1", {"tag": 10}).inside(10) is None
    assert port("p1", {"vlan_mode": "dot1q-tunnel", "tag": 10}).inside(10) is None


def test_a_real_bridge_is_seen_with_its_ports():
    view = view_of("br0", REAL)
    assert (view.datapath, view.secure, view.stp, view.rstp) == ("netdev", False, False, True)
    assert view.hwaddr == "02:00:00:00:00:aa"
    assert view.nics() == tuple(nic for one in view.ports.values() for nic in one.nics)
    assert set(view.nics()) == {"p0", "p1", "p2"}
    assert view.port_of("p2").name == "bond0"
    assert view.port_of("p9") is None
    assert (view.ports["p0"].tag, view.ports["p0"].trunks) == (10, {20, 30})
    assert view.ports["vnet0"].guest
    assert not view.ports["p0"].guest
    assert len(view.controllers) == 1
    assert len(view.outputs) == 1


def test_a_bridge_that_is_not_there_is_not_seen():
    assert view_of("br9", REAL) is None


def test_ports_and_interfaces_are_held_by_their_bridge():
    holders = holders_in(REAL)
    assert (holders["bond0"], holders["p1"], holders["eth9"]) == ("br0", "br0", "br1")
    assert "eth7" not in holders


def test_what_is_not_managed_stays_as_it_is():
    engine = carrying_bridge(
        datapath_type="netdev",
        fail_mode=frozenset(["secure"]),
        stp_enable=True,
        other_config={"hwaddr": "02:00:00:00:00:aa"},
    )
    add_port(engine, "br-ex", "eno2", tag=frozenset([40]))
    found = Scene(engine).change()
    assert found.after == found.before
    assert found.after.secure
    assert found.after.stp
    assert found.after.ports["eno2"].tag == 40


def test_what_is_managed_is_as_wished():
    engine = carrying_bridge(stp_enable=True, other_config={"hwaddr": "02:00:00:00:00:aa"})
    after = (
        Scene(engine)
        .change(
            stp=False,
            rstp=True,
            fail_mode="secure",
            datapath_type="netdev",
            controllers=["tcp:192.0.2.1"],
            hwaddr="02:00:00:00:00:BB",
            ports=[{"name": "eno1", "tag": 40}, {"name": "span0", "type": "internal"}],
            mirrors=[{"name": "m0", "select_all": True, "output_port": "span0"}],
        )
        .after
    )
    assert (after.stp, after.rstp, after.secure, after.datapath) == (False, True, True, "netdev")
    assert (after.controllers, after.hwaddr) == (("tcp:192.0.2.1",), "02:00:00:00:00:bb")
    assert after.outputs == {"span0"}
    assert sorted(after.ports) == ["br-ex", "eno1", "span0"]
    assert after.ports["eno1"].mode == "access"


@pytest.mark.parametrize(
    ("params", "hwaddr"),
    [
        ({}, "02:00:00:00:00:aa"),
        ({"other_config": {"mac-aging-time": 30}}, "02:00:00:00:00:aa"),
        ({"other_config": {"mac-aging-time": 30}, "other_config_mode": "replace"}, ""),
        ({"other_config": {}}, ""),
        ({"hwaddr": "none"}, ""),
    ],
)
def test_the_address_of_the_bridge_goes_only_with_its_key(params, hwaddr):
    engine = carrying_bridge(other_config={"hwaddr": "02:00:00:00:00:aa"})
    assert Scene(engine).change(**params).after.hwaddr == hwaddr


@pytest.mark.parametrize(
    ("purge", "left"), [("none", {"eno1", "eno2", "vnet0"}), ("owned", {"eno2", "vnet0"}), ("all", {"vnet0"})]
)
def test_ports_go_as_purge_says(purge, left):
    engine = carrying_bridge()
    add_port(engine, "br-ex", "eno2")
    add_port(engine, "br-ex", "vnet0", external_ids={"vm-id": "1"})
    after = Scene(engine).change(ports=[], purge=purge).after
    assert set(after.ports) == {*left, "br-ex"}


def test_a_listed_port_keeps_what_it_has_and_nobody_manages():
    engine = carrying_bridge()
    add_port(
        engine, "br-ex", "p-int", {"type": "patch", "options": {"peer": "p-ex"}}, tag=frozenset([7]), **OURS
    )
    found = Scene(engine).change(ports=[{"name": "eno1"}, {"name": "p-int", "type": "patch", "peer": "p-ex"}])
    assert found.after.ports["p-int"].tag == 7
    assert found.after.ports["p-int"].members[0].peer == "p-ex"
    assert found.after.ports["p-int"].nics == ()


def test_the_device_of_a_guest_is_no_way_out_of_the_host():
    engine = carrying_bridge()
    add_port(engine, "br-ex", "vnet0", {"external_ids": {"vm-id": "1"}})
    view = view_of("br-ex", Scene(engine).database)
    assert view.ports["vnet0"].members[0].type == ""
    assert view.nics() == ("eno1",)


def test_a_mirror_may_write_to_a_vlan_and_to_no_port():
    engine = carrying_bridge()
    inserted = {"op": "insert", "table": "Mirror", "row": {"name": "m0", "output_vlan": 40}, "uuid-name": "m"}
    into = {"op": "update", "table": "Bridge", "where": [], "row": {"mirrors": ["named-uuid", "m"]}}
    assert all("error" not in result for result in engine.transact([inserted, into]))
    assert view_of("br-ex", Scene(engine).database).outputs == frozenset()
