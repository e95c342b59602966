# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ip prints, as a capture."""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cards import MAC, NIC, card

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Capture, Neighbour
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.parse import Said, parse_capture


def link(name: str = NIC, **fields: t.Any) -> dict[str, t.Any]:
    """Build a row of ip address."""
    return {
        "ifname": name,
        "ifindex": 3,
        "flags": ["UP"],
        "mtu": 1500,
        "address": MAC,
        "addr_info": [],
        **fields,
    }


def address(**fields: t.Any) -> dict[str, t.Any]:
    """Build an address of such a row."""
    return {
        "family": "inet",
        "local": "192.0.2.11",
        "prefixlen": 24,
        "scope": "0",
        "label": NIC,
        "valid_life_time": 4294967295,
        "preferred_life_time": 4294967295,
        **fields,
    }


def parsed(*links: dict[str, t.Any], **fields: t.Any) -> Capture:
    found = parse_capture(Said(json.dumps(links), {4: "[]"}, {}, **fields), NIC)
    assert found is not None
    return found


def test_the_real_card_is_understood_whole() -> None:
    assert card().unknown == ()
    assert (card().mac, card().up, card().kind, card().children) == (MAC, True, "veth", ())


def test_addresses_keep_all_that_a_person_said() -> None:
    assert {one.local: (*one.words[1:], one.label) for one in card().addresses if one.family == 4} == {
        "192.0.2.11": ("broadcast", "192.0.2.255", "scope", "0", ""),
        "198.51.100.5": ("scope", "0", ":svc"),
        "192.0.2.12": ("scope", "0", ""),
        "192.0.2.13": ("scope", "0", "noprefixroute", ""),
        "203.0.113.1": ("peer", "203.0.113.2/32", "scope", "0", "metric", "77", ""),
        "192.0.2.77": ("scope", "0", ""),
    }


def test_the_order_of_addresses_is_that_in_which_they_are_to_be_added() -> None:
    order = [one.local for one in card().every_address]
    assert order.index("192.0.2.11") < order.index("192.0.2.12"), "the first one is used as the source"
    assert order.index("fe80::1234") < order.index("2001:db8:1::11") < order.index("2001:db8:1::12")


def test_lifetimes_go_with_an_address_but_are_not_part_of_it() -> None:
    lifetimes = {one.local: one.lifetimes for one in card().every_address if one.lifetimes}
    assert set(lifetimes) == {"192.0.2.77", "2001:db8:1::99"}
    assert lifetimes["2001:db8:1::99"][2:] == ("preferred_lft", "0")


def test_half_a_lifetime_that_never_ends_is_said_so() -> None:
    found = parsed(link(addr_info=[address(preferred_life_time=7)]))
    assert found.addresses[0].lifetimes == ("valid_lft", "forever", "preferred_lft", "7")


def test_what_a_router_advertised_comes_and_goes() -> None:
    passing = card().passing
    assert [one.local for one in passing.addresses] == ["2001:db8:1::99"]
    assert [one.words[1] for one in passing.routes] == ["2001:db8:98::/48"]
    assert passing.routes[0].expires[0] == "expires"


def test_neighbours_that_a_person_wrote_down_stay_and_learned_ones_pass() -> None:
    assert card().neighbours == (
        Neighbour(("192.0.2.1", "lladdr", "52:54:00:00:00:01", "nud", "permanent"), True),
    )
    assert card().passing.neighbours == (
        Neighbour(("192.0.2.254", "lladdr", "52:54:00:00:00:02", "nud", "stale")),
    )


@pytest.mark.parametrize("states", [["FAILED"], ["INCOMPLETE"], []])
def test_a_neighbour_that_does_not_answer_is_none(states: list[str]) -> None:
    rows = json.dumps(
        [{"dst": "192.0.2.9", "lladdr": MAC, "state": states}, {"dst": "192.0.2.8", "state": ["STALE"]}]
    )
    assert parsed(link(), neighbours=rows).passing.neighbours == ()


@pytest.mark.parametrize(
    ("other", "children"),
    [
        (link("eth9.10", link=NIC, linkinfo={"info_kind": "vlan"}), ("eth9.10",)),
        (link("mac9", link=NIC, linkinfo={"info_kind": "macvlan"}), ("mac9",)),
        (link("vx9", linkinfo={"info_kind": "vxlan", "info_data": {"id": 7, "link": NIC}}), ("vx9",)),
        (link("p9", link=NIC, linkinfo={"info_kind": "veth"}), ()),
        (link("eth1"), ()),
    ],
)
def test_devices_on_top_of_the_card_are_found(other: dict[str, t.Any], children: tuple[str, ...]) -> None:
    assert parsed(link(), other).children == children


@pytest.mark.parametrize(
    ("row", "note"),
    [
        ({"anycast": "2001:db8::"}, "address 192.0.2.11: anycast"),
        ({"label": "uplink"}, "address 192.0.2.11: label uplink"),
    ],
)
def test_what_is_not_known_of_an_address_is_noted(row: dict[str, str], note: str) -> None:
    assert parsed(link(addr_info=[address(**row)])).unknown == (note,)


def test_an_address_without_a_local_end_is_none() -> None:
    assert parsed(link(addr_info=[{}])).addresses == ()


def test_no_such_device_is_none() -> None:
    assert parse_capture(Said(json.dumps([link("eth1"), {}]), {}, {}), NIC) is None


def test_what_is_not_json_is_refused_with_its_tool() -> None:
    with pytest.raises(ParseError, match="ip -j address did not print JSON"):
        parse_capture(Said("3: eth9", {}, {}), NIC)
