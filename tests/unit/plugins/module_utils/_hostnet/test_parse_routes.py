# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routes and rules: which of them must be moved, and in which words."""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cards import NIC, card

from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Address
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.parse_routes import (
    parse_routes,
    parse_rules,
)

HERE = Address(4, "192.0.2.11", ("192.0.2.11/24",), route=("192.0.2.0/24", "192.0.2.11", "0"))


def route(**fields: t.Any) -> dict[str, t.Any]:
    """Build a row of ip route."""
    return {
        "type": "1",
        "dst": "198.18.0.0/15",
        "dev": NIC,
        "table": "254",
        "protocol": "3",
        "flags": [],
        **fields,
    }


def words(raw: dict[str, t.Any], *addresses: Address, family: int = 4) -> tuple[list[str], list[str]]:
    """Return the words of a route, with what is not understood of it."""
    unknown: list[str] = []
    found = parse_routes({family: json.dumps([raw])}, NIC, addresses, unknown)
    return [" ".join(one.words) for one in found], unknown


def test_all_routes_of_the_real_card_are_there_in_their_words() -> None:
    found = {" ".join(one.words) for one in card().routes if one.family == 4}
    assert found == {
        "unicast default table 254 proto 3 scope 0 metric 100 via 192.0.2.1 dev eth9",
        "unicast default table 254 proto 4 scope 0 metric 200 via 192.0.2.253 dev eth9",
        "unicast default table 254 proto 4 scope 0 metric 200 via 192.0.2.254 dev eth9",
        "unicast 198.18.8.0/24 table 254 proto 3 scope 0 src 192.0.2.11 mtu 1300 via 192.0.2.3 dev eth9",
        "unicast 198.18.9.0/24 table 100 proto 3 scope 0 via 198.18.55.1 dev eth9 onlink",
        "unicast 198.18.10.0/24 table 254 proto 3 scope 253 dev eth9",
        "unicast 198.18.11.0/24 table 254 proto 3 scope 0 via 198.18.10.1 dev eth9",
        "unicast 198.18.12.0/24 table 254 proto 2 scope 253 src 192.0.2.13 metric 1024 dev eth9",
        "unicast 198.18.66.0/24 table 254 proto 3 scope 0 nexthop via 192.0.2.3 dev eth9 weight 2"
        " nexthop via 192.0.2.4 dev eth9 weight 1",
        "unicast 198.18.67.0/24 table 254 proto 3 scope 0 via inet6 fe80::1 dev eth9",
        "unicast 198.18.77.0/24 table 254 proto 3 scope 253 src 192.0.2.11 dev wg9",
    }


@pytest.mark.parametrize(
    "raw",
    [
        route(dst="192.0.2.0/24", protocol="2", prefsrc="192.0.2.11"),
        route(type="2", dst="192.0.2.11", protocol="2", table="255", prefsrc="192.0.2.11"),
        route(dev="wg9"),
    ],
    ids=["network", "local", "another device"],
)
def test_what_comes_by_itself_or_is_not_ours_is_not_moved(raw: dict[str, t.Any]) -> None:
    assert words(raw, HERE) == ([], [])


@pytest.mark.parametrize(
    "raw",
    [
        # NetworkManager 1.42 and networkd make the route of an address themselves, and call it the kernel's.
        route(dst="192.0.2.0/24", protocol="2", prefsrc="192.0.2.11", metric=100),
        route(dst="192.0.2.0/24", protocol="2", prefsrc="192.0.2.11", table="100"),
        route(dst="192.0.3.0/24", protocol="2", prefsrc="192.0.2.11"),
        route(dst="default", protocol="2"),
        route(dst="192.0.2.0/24", protocol="2", prefsrc="192.0.2.11", gateway="192.0.2.1"),
        route(dev="wg9", prefsrc="192.0.2.11"),
    ],
)
def test_what_only_looks_as_if_it_came_by_itself_is_moved(raw: dict[str, t.Any]) -> None:
    assert len(words(raw, HERE)[0]) == 1


@pytest.mark.parametrize(
    ("fields", "noted"),
    [
        ({"nhid": 7}, "route 198.18.0.0/15: nhid"),
        ({"encap": "mpls"}, "route 198.18.0.0/15: encap"),
        ({"flags": ["pervasive"]}, "route 198.18.0.0/15: pervasive"),
        ({"metrics": [{"rto_min": 7}]}, "route 198.18.0.0/15: rto_min"),
        ({"nexthops": [{"dev": NIC, "weight": 1, "flags": [], "mpls": 7}]}, "route 198.18.0.0/15: mpls"),
    ],
)
def test_what_is_not_known_of_a_route_is_noted(fields: dict[str, t.Any], noted: str) -> None:
    assert words(route(**fields))[1] == [noted]


def test_the_state_of_a_route_is_not_part_of_it() -> None:
    assert words(route(flags=["linkdown", "dead"])) == (
        ["unicast 198.18.0.0/15 table 254 proto 3 dev eth9"],
        [],
    )


def test_rules_that_name_the_card_are_in_words_that_ip_takes_back() -> None:
    assert [" ".join(one.words) for one in card().rules] == [
        "not pref 1002 from 198.51.100.0/28 to 198.18.0.0/15 oif eth9 ipproto 6 dport 80-90 lookup 100 protocol 4",
        "pref 1001 from all fwmark 0x10/0xff iif eth9 lookup 100",
        "pref 1001 from all iif eth9 lookup 101",
    ]


@pytest.mark.parametrize(
    ("fields", "spoken"),
    [
        ({"fwmark": "0x7"}, "pref 9 from all fwmark 0x7 iif eth9"),
        ({"uid_start": 5, "uid_end": 7, "table": "9"}, "pref 9 from all iif eth9 uidrange 5-7 lookup 9"),
        ({"suppress_prefixlen": 0, "dport": 22}, "pref 9 from all iif eth9 dport 22 suppress_prefixlen 0"),
    ],
)
def test_a_rule_is_said_in_the_words_of_ip(fields: dict[str, t.Any], spoken: str) -> None:
    unknown: list[str] = []
    raw = {"priority": 9, "src": "all", "iif": NIC, **fields}
    found = parse_rules({4: json.dumps([raw, {"priority": 10, "src": "all"}])}, NIC, unknown)
    assert ([" ".join(one.words) for one in found], unknown) == ([spoken], [])


def test_what_is_not_known_of_a_rule_is_noted() -> None:
    unknown: list[str] = []
    parse_rules({6: json.dumps([{"priority": 9, "iif": NIC, "goto": 100}])}, NIC, unknown)
    assert unknown == ["rule 9: goto"]
