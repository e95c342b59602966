# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Captures: what makes two of them the same."""

from __future__ import annotations

import dataclasses
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cards import BRIDGE, NIC, card, plain

from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import (
    Address,
    Capture,
    Passing,
    Route,
    Rule,
    renamed,
)


def test_a_name_is_replaced_only_where_a_device_is_named() -> None:
    words = (
        "from",
        "eth9",
        "iif",
        "eth9",
        "nexthop",
        "via",
        "192.0.2.1",
        "dev",
        "eth9",
        "proto",
        "dev",
        "eth90",
    )
    assert renamed(words, "eth9", "br") == (
        *("from", "eth9", "iif", "br", "nexthop", "via", "192.0.2.1", "dev", "br", "proto", "dev", "eth90"),
    )


def test_there_and_back_is_the_same() -> None:
    assert card().on(BRIDGE) != card()
    assert card().on(BRIDGE).on(NIC) == card()


def test_what_moves_names_the_new_device_and_nothing_else_does() -> None:
    there = card().on(BRIDGE)
    named = [word for one in (*there.every_route, *there.rules) for word in one.words]
    assert NIC not in named
    assert "wg9" in named


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"mac": "52:54:00:00:00:02"}, False),
        ({"up": False}, False),
        ({"addresses": ()}, False),
        ({"routes": ()}, False),
        ({"sysctls": {}}, False),
        ({"rules": (Rule(4, ("iif", NIC)),)}, False),
        ({"mtu": 9000, "index": 7, "kind": "openvswitch", "master": "ovs-system"}, True),
        ({"passing": Passing((Address(6, "2001:db8::2", ()),))}, True),
    ],
)
def test_what_the_network_and_the_host_can_see_must_be_the_same(
    fields: dict[str, object], same: bool
) -> None:
    assert (plain(**fields) == plain()) is same


def test_how_long_an_address_lives_and_a_route_lasts_does_not_count() -> None:
    address, route = plain().addresses[0], plain().routes[0]
    assert dataclasses.replace(address, lifetimes=("valid_lft", "7"), nth=3) == address
    assert dataclasses.replace(route, expires=("expires", "7"), nth=3) == route


@pytest.mark.parametrize(
    ("capture", "carries"),
    [
        (plain(), True),
        (plain(addresses=()), True),
        (plain(routes=()), True),
        (Capture(NIC), False),
        (Capture(NIC, addresses=(Address(6, "fe80::1", ("fe80::1/64",)),)), False),
        (Capture(NIC, passing=Passing((Address(6, "2001:db8::2", ()),))), True),
        (Capture(NIC, routes=(Route(4, ("198.18.0.0/15", "dev", "wg9"), own=False),)), False),
    ],
)
def test_a_card_carries_the_host_when_something_must_be_moved(capture: Capture, carries: bool) -> None:
    assert capture.carries is carries


def test_a_route_that_others_need_is_added_before_them() -> None:
    order = [one.words[1] for one in card().every_route]
    assert order.index("198.18.10.0/24") < order.index("198.18.11.0/24")
