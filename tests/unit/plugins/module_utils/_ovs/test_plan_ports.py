# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fakeovsdb
import planning
import pytest
from planning import GUEST, OURS, Switch, bond, configuration, internal, nic, shaped, some, wish

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import model


@pytest.fixture
def switch():
    return Switch()


def test_ports_come_change_and_go(switch):
    switch.apply(wish(nic("eth1", tag=some(10)), nic("eth2")))
    first = switch.row("Port", "eth1")["_uuid"]
    planned = switch.apply(wish(nic("eth1", tag=some(20)), nic("eth3")))
    assert switch.ports() == ["eth1", "eth3"]
    assert (switch.row("Port", "eth1")["_uuid"], switch.row("Port", "eth1")["tag"]) == (first, {20})
    assert planned.ports == ("eth1", "eth2", "eth3")


def test_a_revert_brings_back_the_very_rows_that_were_purged(switch):
    switch.apply(wish(shaped("eth1", "linux-htb", {0: {"dscp": some(3)}}, max_rate="100"), nic("eth2")))
    before = configuration(switch.read())
    switch.send(switch.apply(wish()).inverse)
    assert configuration(switch.read()) == before


def test_a_revert_leaves_what_others_did_meanwhile(switch):
    fakeovsdb.add_bridge(switch.engine, "br0", other_config={"a": "1"})
    planned = switch.apply(wish(nic("eth1"), bridge={"other_config": {"a": "2"}}))
    fakeovsdb.add_port(switch.engine, "br0", "vnet0", {"external_ids": GUEST})
    fakeovsdb.change(switch.engine, "Bridge", "br0", other_config={"a": "2", "b": "theirs"})
    switch.send(planned.inverse)
    assert switch.ports() == ["vnet0"]
    assert switch.row("Bridge", "br0")["other_config"] == {"a": "1", "b": "theirs"}


def test_a_port_that_is_listed_becomes_ours_with_what_it_has(switch):
    fakeovsdb.add_bridge(switch.engine, "br0")
    fakeovsdb.add_port(switch.engine, "br0", "eth1", external_ids={"a": "1"}, tag=some(7))
    switch.apply(wish(nic("eth1")))
    found = switch.row("Port", "eth1")
    assert (found["external_ids"], found["tag"]) == ({"a": "1", **OURS}, {7})


def test_a_member_of_a_bond_is_exchanged_and_the_new_one_comes_first(switch):
    switch.apply(wish(bond("bond0", "p1", "p2")))
    planned = switch.apply(wish(bond("bond0", "p3", "p4")))
    assert switch.members("bond0") == ["p3", "p4"]
    assert switch.names("Interface") == ["br0", "p3", "p4"]
    (mutations,) = [
        operation["mutations"]
        for operation in planned.operations
        if operation["op"] == "mutate" and operation["table"] == "Port"
    ]
    assert [mutator for _column, mutator, _rows in mutations] == ["insert", "delete"]


def test_members_change_their_bonds_and_keep_their_rows(switch):
    switch.apply(wish(bond("bond0", "p1", "p2"), bond("bond1", "p3", "p4")))
    row = switch.row("Interface", "p2")["_uuid"]
    switch.apply(wish(bond("bond0", "p1", "p3"), bond("bond1", "p2", "p4")))
    assert (switch.members("bond0"), switch.members("bond1")) == (["p1", "p3"], ["p2", "p4"])
    assert switch.row("Interface", "p2")["_uuid"] == row


def test_ports_become_a_bond_and_are_ports_again(switch):
    switch.apply(wish(nic("p1"), nic("p2")))
    switch.apply(wish(bond("bond0", "p1", "p2")))
    assert (switch.ports(), switch.members("bond0")) == (["bond0"], ["p1", "p2"])
    switch.apply(wish(nic("p1"), nic("p2")))
    assert switch.ports() == ["p1", "p2"]


def test_a_bond_is_not_shrunk_to_one_member(switch):
    switch.apply(wish(bond("bond0", "p1", "p2")))
    with pytest.raises(Refusal, match="Port bond0 is a bond of p1, p2") as refusal:
        switch.plan(wish(bond("bond0", "p1")))
    assert "list p1 as a port of its own" in refusal.value.remedy


def test_a_plain_port_becomes_a_bond_of_the_same_name(switch):
    switch.apply(wish(nic("p1")))
    switch.apply(wish(bond("p1", "p1", "p2")))
    assert switch.members("p1") == ["p1", "p2"]


@pytest.fixture
def neighbour(switch):
    """A bridge of somebody else with a port, a bond of three, and a guest."""
    fakeovsdb.add_bridge(switch.engine, "br1")
    fakeovsdb.add_port(switch.engine, "br1", "eth1", tag=some(5))
    fakeovsdb.add_port(switch.engine, "br1", "bond1", members=["p1", "p2", "p3"])
    fakeovsdb.add_port(switch.engine, "br1", "vnet0", {"external_ids": GUEST})
    return switch


STEAL = some(model.STEAL)


def test_a_port_of_another_bridge_is_taken_only_when_told(neighbour):
    with pytest.raises(Refusal, match="Port eth1 is on the bridge br1") as refusal:
        neighbour.plan(wish(nic("eth1")))
    assert "allow: [steal]" in refusal.value.remedy
    before = configuration(neighbour.read())
    planned = neighbour.apply(wish(nic("eth1"), allow=STEAL))
    assert (neighbour.ports(), neighbour.ports("br1")) == (["eth1"], ["bond1", "vnet0"])
    assert "eth1" in planned.ports
    neighbour.send(planned.inverse)
    assert configuration(neighbour.read()) == before


def test_the_state_tells_where_a_port_is_before_it_is_taken(neighbour):
    wanted = wish(nic("eth1"), allow=STEAL)
    fakeovsdb.add_bridge(neighbour.engine, "br0")
    before = planning.state_of(neighbour.read(), wanted)
    assert before["ports"]["eth1"]["bridge"] == "br1"
    planned = neighbour.apply(wanted)
    assert "bridge" not in planned.after["ports"]["eth1"]
    assert planned.ports == ("eth1",)


def test_the_state_tells_which_port_holds_an_interface_before_it_is_taken(neighbour):
    fakeovsdb.add_bridge(neighbour.engine, "br0")
    wanted = wish(bond("bond0", "p1", "p9"), allow=STEAL)
    before = planning.state_of(neighbour.read(), wanted)
    assert before["ports"] == {"bond1": {"bridge": "br1", "interfaces": {"p1": {}}}}
    assert list(neighbour.apply(wanted).after["ports"]) == ["bond0"]


def test_an_interface_in_a_port_of_others_is_taken_only_when_told(neighbour):
    with pytest.raises(Refusal, match="Interface p1 is on the bridge br1, in its port bond1"):
        neighbour.plan(wish(nic("p1")))
    neighbour.apply(wish(nic("p1"), allow=STEAL))
    assert neighbour.members("bond1") == ["p2", "p3"]
    with pytest.raises(Refusal, match="Without p2 the bond bond1 of br1 has one member only"):
        neighbour.plan(wish(nic("p1"), nic("p2"), allow=STEAL))


def test_a_port_that_loses_its_only_interface_goes(neighbour):
    neighbour.apply(wish(bond("bond0", "eth1", "eth2"), allow=STEAL))
    assert neighbour.ports("br1") == ["bond1", "vnet0"]


def test_an_interface_in_a_foreign_port_of_the_same_bridge_is_asked_about_too(switch):
    fakeovsdb.add_bridge(switch.engine, "br0")
    fakeovsdb.add_port(switch.engine, "br0", "eth1")
    with pytest.raises(Refusal, match="Interface eth1 is on the bridge br0, in its port eth1"):
        switch.plan(wish(bond("bond0", "eth1", "eth2")))


def test_a_port_of_a_guest_is_not_taken_by_steal_alone(neighbour):
    with pytest.raises(Refusal, match="belongs to a guest") as refusal:
        neighbour.plan(wish(nic("vnet0"), allow=STEAL))
    assert "allow: [steal, guest_ports]" in refusal.value.remedy
    neighbour.apply(wish(nic("vnet0"), allow=some(model.STEAL, model.GUEST_PORTS)))
    assert neighbour.ports() == ["vnet0"]


@pytest.mark.parametrize("port", [nic("br1"), bond("bond0", "br1", "p9")])
def test_a_bridge_is_no_port(neighbour, port):
    with pytest.raises(Refusal, match="br1 cannot be a port of br0: it is a bridge"):
        neighbour.plan(wish(port, allow=STEAL))


@pytest.mark.parametrize("present", [True, False])
def test_a_bridge_cannot_have_the_name_of_a_port(neighbour, present):
    with pytest.raises(Refusal, match="eth1 is a port on the bridge br1"):
        neighbour.plan(model.Wish("eth1", present=present))


@pytest.mark.parametrize("present", [True, False])
def test_a_vlan_bridge_is_managed_as_a_port_of_its_parent(switch, present):
    fakeovsdb.add_bridge(switch.engine, "br0")
    fakeovsdb.add_port(switch.engine, "br0", "fk", {"type": "internal"}, fake_bridge=True, tag=some(20))
    with pytest.raises(Refusal, match="fk is the VLAN bridge for tag 20 on the bridge br0"):
        switch.plan(model.Wish("fk", present=present))


def test_the_vlan_of_a_vlan_bridge_changes_in_place(switch):
    """ansible/ansible#57018: the peer never looked at it again."""
    fake = model.PortWish(
        "fk", (model.InterfaceWish("fk", {"type": "internal"}),), {"fake_bridge": True, "tag": some(20)}
    )
    switch.apply(wish(fake))
    row = switch.row("Port", "fk")["_uuid"]
    switch.apply(wish(model.PortWish("fk", fake.interfaces, {"fake_bridge": True, "tag": some(30)})))
    found = switch.row("Port", "fk")
    assert (found["_uuid"], found["tag"], found["fake_bridge"]) == (row, {30}, True)


def test_a_bridge_without_its_own_port_gets_one(switch):
    switch.engine.transact(
        [
            {"op": "insert", "table": "Bridge", "row": {"name": "br0"}, "uuid-name": "b"},
            {
                "op": "mutate",
                "table": "Open_vSwitch",
                "where": [],
                "mutations": [["bridges", "insert", ["named-uuid", "b"]]],
            },
        ]
    )
    switch.apply(model.Wish("br0"))
    assert switch.row("Interface", "br0")["type"] == "internal"


def test_the_own_port_is_never_purged_and_its_settings_are_changed_in_place(switch):
    fakeovsdb.add_bridge(switch.engine, "br0", local={"external_ids": {"a": "1"}})
    local = model.InterfaceWish("br0", {"mtu_request": some(9000)})
    planned = switch.apply(wish(local=local, purge=model.ALL))
    found = switch.row("Interface", "br0")
    assert (found["mtu_request"], found["external_ids"]) == ({9000}, {"a": "1", **OURS})
    assert planned.ports == ("br0",)


@pytest.mark.parametrize(
    ("local", "port", "pinned"),
    [
        # The MTU of one internal port lowered that of the bridge's own port.
        (None, internal("int0", mtu_request=some(1400)), some(1500)),
        (None, internal("int0", mtu_request=some(9000)), some()),
        (None, internal("int0"), some()),
        # What is on the wire decides what the host can send there.
        (None, model.PortWish("eth1", (model.InterfaceWish("eth1", {"mtu_request": some(1400)}),)), some()),
        (some(), internal("int0", mtu_request=some(1400)), some()),
        (some(1300), internal("int0", mtu_request=some(1400)), some(1300)),
    ],
)
def test_the_mtu_of_the_own_port_is_pinned_before_another_internal_port_lowers_it(
    switch, local, port, pinned
):
    fakeovsdb.add_bridge(switch.engine, "br0")
    interface = None if local is None else model.InterfaceWish("br0", {"mtu_request": local})
    planned = switch.apply(wish(port, local=interface))
    assert switch.row("Interface", "br0")["mtu_request"] == pinned
    assert planned.after.get("local", {}).get("mtu_request") == next(iter(pinned), None)
