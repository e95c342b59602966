# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which device moves, and which one gets everything back; all else is shown where the module is."""

from __future__ import annotations

import pytest
from bridgescenes import HOST, STORAGE, card, nics, software
from fakeovsdb import EngineClient, new_database

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.hostmove import (
    TellManager,
    carrier,
    way_back,
    weight,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.nics import DEFAULT_ROUTE
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.read import read_database
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import parse_wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_host import HostNetworkWish

PORTS = ({"name": "eno1"}, {"name": "eno2"})


def moving(*devices, ports=PORTS, **network):
    wish = parse_wish({"name": "br-ex", "ports": list(ports)})
    database = read_database(EngineClient(new_database()))
    return carrier(wish, HostNetworkWish(**network), database, nics(*devices))


def test_what_carries_nothing_does_not_move():
    assert moving() == ""


def test_the_device_of_the_connection_moves_before_one_with_an_address_only():
    assert moving(card("eno1", carries=STORAGE), card("eno2", 2, carries=HOST)) == "eno2"


def test_the_device_of_the_default_route_comes_second():
    assert moving(card("eno1", carries=STORAGE), card("eno2", 2, carries=(DEFAULT_ROUTE,))) == "eno2"


def test_a_named_device_moves_whatever_others_carry():
    assert moving(card("eno1", carries=HOST), card("eno2", 2, carries=STORAGE), nic="eno2") == "eno2"


def test_a_device_that_is_not_listed_does_not_move():
    assert moving(card("eno3", 3, carries=HOST)) == ""


def test_a_member_of_a_bond_moves():
    ports = [{"name": "bond0", "members": ["eno1", "eno2"]}]
    assert moving(card("eno2", 2, carries=HOST), ports=ports) == "eno2"


def test_what_must_move_and_is_nowhere_is_refused_with_where_it_is():
    with pytest.raises(Refusal, match="eno3 carries the SSH connection, the default route"):
        moving(card("eno3", 3, carries=HOST), mode="required")


def test_what_must_move_may_have_moved():
    assert moving(software("br-ex", "openvswitch", carries=HOST), mode="required") == ""


def test_weights_are_in_the_order_of_what_is_lost():
    assert [weight(card("x", carries=words)) for words in (HOST, (DEFAULT_ROUTE,), STORAGE, ())] == [
        0,
        1,
        2,
        2,
    ]


LOCAL = software("br-ex", "openvswitch", mac="02:00:00:00:00:02", carries=HOST)


@pytest.mark.parametrize(
    ("named", "persisted", "ports", "found"),
    [
        ("eno1", "eno2", ("eno1", "eno2"), "eno1"),
        ("", "eno1", ("eno1", "eno2"), "eno1"),
        ("", "", ("eno1", "eno2"), "eno2"),
        ("", "eno9", ("eno1", "eno3"), None),
        ("", "", ("eno3",), "eno3"),
        ("eno9", "", ("eno3",), "eno3"),
        ("", "", (), None),
    ],
    ids=["named", "persisted", "same address", "which one", "the only one", "named is no port", "none"],
)
def test_the_way_back(named, persisted, ports, found):
    network = HostNetworkWish(nic=named)
    if found is None:
        with pytest.raises(Refusal, match="nothing tells which of its devices gets that back"):
            way_back(network, persisted, ports, LOCAL, nics(LOCAL))
    else:
        assert way_back(network, persisted, ports, LOCAL, nics(LOCAL)) == found


def test_a_manager_that_cannot_be_told_is_no_failure():
    asked = []

    def run(argv, *, stdin=None, timeout_s=60.0, check=True):
        asked.append((argv, stdin, check))
        return Completed(1, "", "no")

    TellManager("networkd", "networkctl reload\n").perform(Host(run=run))
    assert asked == [(("sh", "-s"), "networkctl reload\n", False)]
