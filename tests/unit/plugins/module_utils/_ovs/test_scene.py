# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which address a bridge has when nobody says one."""

from __future__ import annotations

import pytest
from bridgescenes import HOST, card, carrying_bridge, nics, software
from fakeovsdb import EngineClient, new_database

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.read import read_database
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.scene import (
    own_address,
    with_pinned_address,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import parse_wish

FIRST, SECOND, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:99"


def address(ports, engine=None, devices=None, moves=""):
    wish = parse_wish(
        {"name": "br-ex", "hwaddr": "auto", "ports": ports and [{"name": name} for name in ports]}
    )
    database = read_database(EngineClient(engine or new_database()))
    return own_address(wish, database, devices or nics(), moves)


def pinned(mac):
    return carrying_bridge(other_config={"hwaddr": mac})


def test_the_device_that_moves_counts_before_all_others():
    assert address(["eno1", "eno2"], moves="eno2") == SECOND


def test_else_it_is_the_first_device():
    assert address(["eno2", "eno1"]) == SECOND


def test_a_device_that_is_not_there_has_none():
    assert address(["eno9", "eno2"]) == SECOND
    assert address(["eno9"]) == ""


def test_what_is_pinned_to_one_of_its_devices_stays():
    assert address(["eno1", "eno2"], pinned(SECOND)) == SECOND


def test_what_is_pinned_to_a_card_that_is_gone_does_not():
    assert address(["eno1", "eno2"], pinned(OTHER)) == FIRST


def test_without_ports_what_is_pinned_stays():
    assert address(None, pinned(OTHER)) == OTHER


def test_the_host_keeps_the_address_that_it_is_known_by():
    local = software("br-ex", "openvswitch", mac=OTHER, carries=HOST)
    assert address(["eno1"], carrying_bridge(), nics(local)) == OTHER


def test_a_card_without_an_address_is_passed_over():
    assert address(["eno8", "eno2"], devices=nics(card("eno8", mac=""))) == SECOND


@pytest.mark.parametrize(
    ("params", "pins"),
    [
        ({"host_network": {"mode": "auto"}}, True),
        ({"host_network": {}}, True),
        ({"host_network": {}, "other_config": {}}, True),
        ({}, False),
        ({"host_network": None}, False),
        ({"host_network": {"mode": "off"}}, False),
        ({"host_network": {}, "hwaddr": "none"}, False),
        ({"host_network": {}, "other_config": {"hwaddr": OTHER}}, False),
    ],
)
def test_the_address_is_pinned_where_the_host_may_move_and_nothing_is_said(params, pins):
    assert (with_pinned_address(params).get("hwaddr") == "auto") is pins
