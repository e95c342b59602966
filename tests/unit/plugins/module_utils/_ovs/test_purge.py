# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fakeovsdb
import pytest
from planning import GUEST, OURS, Switch, nic, some, wish

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.purge import (
    goes,
    guest_evidence,
    is_dynamic,
)


@pytest.fixture
def switch():
    return Switch()


@pytest.mark.parametrize(
    ("purge", "stay"),
    [
        (model.NONE, ["eth1", "eth2", "other", "tap0", "vnet0"]),
        (model.OWNED, ["eth2", "other", "tap0", "vnet0"]),
        (model.ALL, ["tap0", "vnet0"]),
    ],
)
def test_purge_removes_what_it_says_and_no_port_of_a_guest(switch, purge, stay):
    fakeovsdb.add_bridge(switch.engine, "br0", external_ids=OURS)
    fakeovsdb.add_port(switch.engine, "br0", "eth1", external_ids=OURS)
    fakeovsdb.add_port(switch.engine, "br0", "eth2")
    fakeovsdb.add_port(switch.engine, "br0", "other", external_ids={"hearth-owner": "br9"})
    fakeovsdb.add_port(switch.engine, "br0", "vnet0", {"external_ids": GUEST})
    fakeovsdb.add_port(switch.engine, "br0", "tap0")
    switch.apply(wish(purge=purge))
    assert switch.ports() == stay


def test_ports_that_are_not_managed_are_not_purged(switch):
    switch.apply(wish(nic("eth1")))
    assert not switch.plan(model.Wish("br0", purge=model.ALL)).operations


def test_a_port_with_our_mark_that_belongs_to_a_guest_stays_and_is_named_until_it_is_let_go(switch):
    switch.apply(wish(nic("eth1")))
    fakeovsdb.change(switch.engine, "Interface", "eth1", external_ids={**OURS, **GUEST})
    planned = switch.apply(wish())
    assert switch.ports() == ["eth1"]
    assert planned.warnings == (
        "Port eth1 of br0 is no longer listed and carries our mark, but external_ids:attached-mac says that it"
        " belongs to a guest: it stays. allow: [guest_ports] lets it go.",
    )
    switch.apply(wish(allow=some(model.GUEST_PORTS)))
    assert switch.ports() == []


@pytest.mark.parametrize("purge", [model.NONE, model.OWNED, model.ALL])
def test_the_own_port_of_the_bridge_never_goes(purge):
    assert not goes({"name": "br0", "external_ids": OURS}, {}, wish(purge=purge))


@pytest.mark.parametrize(
    "key", ["attached-mac", "iface-id", "iface-status", "vm-id", "vm-uuid", "ovn-installed", "neutron-x"]
)
@pytest.mark.parametrize("on_port", [True, False])
def test_a_guest_is_known_by_what_its_manager_writes(key, on_port):
    ids = {"external_ids": {key: "x"}}
    port = {"name": "p0", "interfaces": some("i"), **(ids if on_port else {})}
    interfaces = {"i": {} if on_port else ids}
    assert guest_evidence(port, interfaces) == f"external_ids:{key}"
    assert is_dynamic(port, interfaces)


@pytest.mark.parametrize(
    ("name", "dynamic"),
    [
        ("vnet0", True),
        ("tap0", True),
        ("qvo1234", True),
        ("veth5", True),
        ("eth0", False),
        ("br0-vnet0", False),
    ],
)
def test_a_guest_is_known_by_its_name_too(name, dynamic):
    assert is_dynamic({"name": name, "external_ids": {"attached-macs": "x"}}, {}) is dynamic
