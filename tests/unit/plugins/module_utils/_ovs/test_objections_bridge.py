# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loops, an outage of all ports, ports of others, guests: each refusal has its own name."""

from __future__ import annotations

import pytest
from bridgescenes import OURS, Scene, card, carrying_bridge, nics, software
from fakeovsdb import add_bridge, add_port, new_database

TWO = [{"name": "eno1"}, {"name": "eno2"}]


def test_two_cables_out_of_one_bridge_may_be_a_loop():
    found = Scene().only(ports=TWO)
    assert found.name == "loop"
    assert "eno1 and eno2 both carry every VLAN out of br-ex" in found.message
    assert "rstp" in found.remedy


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ({"tag": 10}, {}, "VLAN 10"),
        ({"tag": 10}, {"trunks": [10, 20]}, "VLAN 10"),
        ({"tag": 0}, {}, "frames without a tag"),
    ],
)
def test_one_vlan_is_enough_for_a_loop(first, second, told):
    ports = [{"name": "eno1", **first}, {"name": "eno2", **second}]
    assert f"both carry {told} out" in Scene().only(ports=ports).message


def test_three_cables_are_three_loops():
    assert Scene().names(ports=[*TWO, {"name": "eno3"}]) == ["loop"] * 3


@pytest.mark.parametrize(
    "params",
    [
        {"ports": [{"name": "eno1", "tag": 10}, {"name": "eno2", "tag": 20}]},
        {"ports": TWO, "rstp": True},
        {"ports": TWO, "stp": True},
        {"ports": [{"name": "bond0", "members": ["eno1", "eno2"], "bond_mode": "active-backup"}]},
        {"ports": [{"name": "eno1"}, {"name": "int0", "type": "internal"}]},
    ],
)
def test_what_cannot_go_round_is_no_loop(params):
    assert Scene().objections(**params) == ()


@pytest.mark.parametrize("other", [card("eno2", 2, carrier=False), software("eno2", "veth")])
def test_a_port_without_a_cable_is_no_part_of_a_loop(other):
    assert Scene(nics=nics(other)).objections(ports=TWO) == ()


def test_a_card_that_is_down_may_have_a_cable():
    assert Scene(nics=nics(card("eno2", 2, carrier=None))).names(ports=TWO) == ["loop"]


def test_only_a_new_loop_is_objected_to():
    engine = carrying_bridge()
    add_port(engine, "br-ex", "eno2", tag=frozenset([10]), **OURS)
    assert Scene(engine).objections(ports=[{"name": "eno1"}, {"name": "eno2", "tag": 10}]) == ()
    assert Scene(engine).objections() == ()
    assert Scene(engine).objections(ports=TWO) == (), "a tag that is not managed stays"
    assert Scene(engine).names(ports=[{"name": "eno1"}, {"name": "eno2", "tag": "none"}]) == ["loop"]


def test_turning_the_spanning_tree_off_opens_the_loop():
    engine = carrying_bridge(rstp_enable=True)
    add_port(engine, "br-ex", "eno2", **OURS)
    assert Scene(engine).names(ports=TWO, rstp=False) == ["loop"]
    assert Scene(engine).objections(ports=TWO) == ()


def test_another_datapath_makes_all_ports_anew():
    found = Scene(carrying_bridge()).only(datapath_type="netdev")
    assert found.name == "datapath_change"
    assert "Datapath netdev in place of system makes every port of br-ex anew" in found.message


@pytest.mark.parametrize(("stored", "wished"), [("", "system"), ("system", "system"), ("netdev", None)])
def test_the_same_datapath_by_another_name_is_no_change(stored, wished):
    assert Scene(carrying_bridge(datapath_type=stored)).objections(datapath_type=wished) == ()


def test_a_new_bridge_may_have_any_datapath():
    assert Scene().objections(datapath_type="netdev") == ()


def test_a_port_of_another_bridge_is_stolen_by_nobody_by_chance():
    engine = new_database()
    add_bridge(engine, "br-old")
    add_port(engine, "br-old", "eno1")
    add_port(engine, "br-old", "bond0", members=["eno2", "eno3"])
    scene = Scene(engine)
    found = scene.only(ports=[{"name": "eno1"}])
    assert (found.name, found.message) == ("steal", "eno1 is a port of bridge br-old.")
    bond = {"name": "bond0", "members": ["eno2", "eno3"], "bond_mode": "active-backup"}
    assert [one.message.split()[0] for one in scene.objections(ports=[bond])] == ["bond0", "eno2", "eno3"]
    assert scene.objections(name="br-old", ports=[{"name": "eno1"}]) == ()


def test_guests_are_not_cut_off_with_their_bridge():
    engine = carrying_bridge()
    add_port(engine, "br-ex", "vnet0", {"external_ids": {"vm-id": "1"}})
    add_port(engine, "br-ex", "tap1")
    found = Scene(engine).only(state="absent")
    assert found.name == "guest_ports"
    assert "Guests are on br-ex with tap1 and vnet0" in found.message


def test_a_bridge_without_guests_goes():
    assert Scene(carrying_bridge()).objections(state="absent") == ()
    assert Scene().objections(state="absent") == ()
