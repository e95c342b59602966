# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices that Open vSwitch would take without a word, and that would not work."""

from __future__ import annotations

import pytest
from bridgescenes import Scene, card, carrying, carrying_bridge, nics, software
from fakeovsdb import add_port

UPLINK = [{"name": "eno1"}]


def with_nic(nic):
    return Scene(nics=nics(nic))


def test_a_missing_device_is_named_with_those_that_are_there():
    found = Scene().only(ports=[{"name": "eno9"}])
    assert found.name == "missing_nic"
    assert found.message == (
        "There is no device eno9 on this host. There are eno1, eno2, eno3. Open vSwitch would take the port without a"
        " word."
    )
    assert "vfio-pci" in found.remedy


def test_a_missing_device_is_named_on_a_host_without_any():
    assert "There are" not in Scene(nics={}).only(ports=[{"name": "eno9"}]).message


def test_a_device_that_went_missing_under_its_port_is_named_too():
    assert Scene(carrying_bridge(), {}).names(ports=UPLINK) == ["missing_nic"]


def test_each_member_of_a_bond_has_to_be_there():
    bond = {"name": "bond0", "members": ["eno1", "eno9"], "bond_mode": "active-backup"}
    assert Scene().names(ports=[bond]) == ["missing_nic"]


@pytest.mark.parametrize(
    "port",
    [
        {"name": "int0", "type": "internal"},
        {"name": "vx0", "type": "vxlan", "options": {"remote_ip": "192.0.2.2"}},
        {"name": "p-int", "type": "patch", "peer": "p-ex"},
        {"name": "tap7", "type": "tap"},
    ],
)
def test_what_open_vswitch_makes_itself_need_not_be_there(port):
    assert Scene().objections(ports=[port]) == ()


def test_a_port_that_nobody_lists_is_nobodys_business():
    engine = carrying_bridge()
    add_port(engine, "br-ex", "eno9")
    assert Scene(engine).objections(ports=UPLINK) == ()
    assert Scene(engine).objections() == ()


def test_a_device_that_another_bridge_has_is_refused_though_the_userspace_datapath_takes_it():
    # Open vSwitch 3.1 with datapath_type netdev: no error, a number, and the link is up.
    found = with_nic(card("eno1", master="br0")).only(ports=UPLINK)
    assert found.name == ""
    assert found.message == "eno1 is a part of br0, which takes every frame of it."
    assert "allow" not in found.remedy


@pytest.mark.parametrize(
    ("nic", "told"),
    [
        (software("eno1", "loopback", mac="00:00:00:00:00:00"), "no Ethernet device (loopback)"),
        (software("eno1", "none", mac=""), "no Ethernet device (none)"),
        (software("eno1", "infiniband", mac=":".join(["80"] * 20)), "no Ethernet device (infiniband)"),
        (card("eno1", mac=""), "no Ethernet device (it has no address)"),
        (software("eno1", "openvswitch"), "a device that Open vSwitch made"),
        (card("eno1", wireless=True), "eno1 is wireless"),
    ],
)
def test_a_device_that_cannot_be_a_port_is_refused_for_good(nic, told):
    found = with_nic(nic).only(ports=UPLINK)
    assert found.name == ""
    assert told in found.message


@pytest.mark.parametrize("kind", ["veth", "tun", "macvtap", "vlan", ""])
def test_an_ethernet_device_of_any_sort_is_taken(kind):
    assert with_nic(software("eno1", kind)).objections(ports=UPLINK) == ()


def test_an_mtu_that_the_driver_does_not_take_is_refused_because_open_vswitch_would_not_say_so():
    found = with_nic(card("eno1", max_mtu=9000)).only(ports=[{"name": "eno1", "mtu": 9001}])
    assert found.name == ""
    assert "eno1 cannot have an MTU of 9001; its driver takes 9000 at most" in found.message


@pytest.mark.parametrize(("highest", "mtu"), [(9000, 9000), (0, 9001), (9000, None)])
def test_an_mtu_that_the_driver_takes_or_of_which_it_says_nothing_is_fine(highest, mtu):
    assert with_nic(card("eno1", max_mtu=highest)).objections(ports=[{"name": "eno1", "mtu": mtu}]) == ()


@pytest.mark.parametrize(
    ("nic", "told"),
    [
        (software("br-ex", "bridge"), "a bridge device of the name br-ex"),
        (card("br-ex"), "a network card of the name"),
    ],
)
def test_a_name_that_somebody_else_has_is_not_given_to_a_new_bridge(nic, told):
    found = with_nic(nic).only()
    assert found.name == ""
    assert told in found.message


def test_a_name_that_somebody_else_has_is_not_given_to_a_new_port():
    scene = Scene(carrying_bridge(), nics(software("int0", "bridge")))
    assert scene.names(ports=[*UPLINK, {"name": "int0", "type": "internal"}]) == [""]


@pytest.mark.parametrize("kind", ["openvswitch", "tun"])
def test_what_open_vswitch_left_behind_does_not_take_a_name(kind):
    assert with_nic(software("br-ex", kind)).objections() == ()


def test_the_devices_of_a_bridge_that_is_there_are_its_own():
    assert carrying().objections(ports=UPLINK) == ()
    scene = Scene(carrying_bridge(), nics(software("br-ex", "bridge")))
    assert scene.objections(ports=UPLINK) == ()
