# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the peer (openvswitch.openvswitch 3.0.0-dev @9b77c2d) fails: a table of its complaints."""

from __future__ import annotations

import fakeovsdb
import pytest
from planning import OURS, Switch, bond, configuration, nic, some, wish

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.ovsdb import DatabaseError


@pytest.fixture
def switch():
    return Switch()


def test_peer_fail_mode_that_is_omitted_is_left_as_it_is(switch):
    """ansible/ansible#82653: the second run set fail_mode to None, and failed."""
    switch.apply(model.Wish("br0", bridge={"fail_mode": some("secure")}))
    assert not switch.plan(model.Wish("br0")).operations
    assert switch.row("Bridge", "br0")["fail_mode"] == {"secure"}


def test_peer_external_ids_on_a_bridge_that_has_none(switch):
    """ansible/ansible#51480: a TypeError."""
    fakeovsdb.add_bridge(switch.engine, "br0")
    switch.apply(model.Wish("br0", bridge={"external_ids": {"bridge-id": "br0"}}))
    assert switch.row("Bridge", "br0")["external_ids"] == {"bridge-id": "br0", **OURS}


def test_peer_external_ids_that_are_empty_clear(switch):
    """The peer's documentation promises it, and nothing happens."""
    fakeovsdb.add_bridge(switch.engine, "br0", external_ids={"a": "1", "b": "2"})
    switch.apply(model.Wish("br0", bridge={"external_ids": {}}))
    assert switch.row("Bridge", "br0")["external_ids"] == OURS


def test_peer_several_ids_are_changed_at_once(switch):
    """The peer's command grew with each id."""
    fakeovsdb.add_bridge(switch.engine, "br0", external_ids={"a": "1", "b": "2", "c": "3"})
    switch.apply(model.Wish("br0", bridge={"external_ids": {"a": "9", "b": "8", "d": "7"}}))
    assert switch.row("Bridge", "br0")["external_ids"] == {"a": "9", "b": "8", "c": "3", "d": "7", **OURS}


@pytest.mark.parametrize("value", ["a=b", "a,b", "a b", "'", '"', "${x}", "a:b", "ü", "-1", "[]", "true", ""])
def test_peer_a_value_may_hold_any_character(switch, value):
    """The peer splits at = and comma, and fails with a ValueError."""
    switch.apply(wish(nic("eth1", external_ids={"x": value, value or "y": "1"})))
    found = switch.row("Port", "eth1")["external_ids"]
    assert (found["x"], found[value or "y"]) == (value, "1")


def test_peer_what_the_peer_sets_at_creation_only_is_managed_later_too(switch):
    """The peer's ``set`` is ignored when the bridge or the port is there already."""
    fakeovsdb.add_bridge(switch.engine, "br0")
    fakeovsdb.add_port(switch.engine, "br0", "vx0", {"type": "vxlan", "options": {"remote_ip": "192.0.2.1"}})
    options = {"remote_ip": "192.0.2.2", "key": "5"}
    port = model.PortWish(
        "vx0",
        (model.InterfaceWish("vx0", {"type": "vxlan", "options": options}),),
        {"trunks": some(1, 2), "vlan_mode": some("trunk")},
    )
    switch.apply(wish(port, bridge={"rstp_enable": True}))
    assert switch.row("Interface", "vx0")["options"] == options
    assert switch.row("Port", "vx0")["trunks"] == {1, 2}


def test_peer_a_tag_that_is_omitted_stays_and_one_that_is_cleared_goes(switch):
    """The peer ran tag=None, which the database refuses."""
    switch.apply(wish(nic("eth1", tag=some(10))))
    assert not switch.plan(wish(nic("eth1"))).operations
    switch.apply(wish(nic("eth1", tag=some())))
    assert switch.row("Port", "eth1")["tag"] == some()


def test_peer_a_bond_that_is_there_is_compared(switch):
    """The peer never looks at members, mode, lacp or delays of a bond that exists."""
    switch.apply(wish(bond("bond0", "p1", "p2", bond_mode=some("active-backup"), lacp=some("off"))))
    switch.apply(
        wish(bond("bond0", "p1", "p3", bond_mode=some("balance-tcp"), lacp=some("active"), bond_updelay=200))
    )
    found = switch.row("Port", "bond0")
    assert switch.members("bond0") == ["p1", "p3"]
    assert (found["bond_mode"], found["lacp"], found["bond_updelay"]) == ({"balance-tcp"}, {"active"}, 200)


def test_peer_all_of_a_task_is_one_transaction(switch):
    """With one command a setting a failure in the middle leaves half a bridge."""
    before = configuration(switch.read())
    with pytest.raises(DatabaseError):
        switch.send(switch.plan(wish(nic("eth1"), nic("eth2", tag=some(4096)))).operations)
    assert configuration(switch.read()) == before
