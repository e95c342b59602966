# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    Contradiction,
    ParseError,
    Refusal,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import InterfaceWish, PortWish
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_ports import (
    OPTIONS,
    is_bond,
    parse_ports,
)

EMPTY: frozenset[t.Any] = frozenset()


def parse(*ports: t.Any) -> tuple[PortWish, ...]:
    return parse_ports("br0", list(ports), None, ())


def port(**given: t.Any) -> PortWish:
    return parse({"name": "p0", **given})[0]


def bond(**given: t.Any) -> PortWish:
    return parse({"name": "bond0", "members": ["e0", "e1"], **given})[0]


def test_a_name_alone_manages_nothing_of_the_port() -> None:
    wish = PortWish("p0", (InterfaceWish("p0", {}),), {}, None)
    assert port() == wish
    # As Ansible hands it over: every option is there, and what is omitted is None.
    assert port(**{option: None for option in OPTIONS if option != "name"}) == wish


@pytest.mark.parametrize(
    ("given", "columns"),
    [
        ({"tag": 40}, {"tag": frozenset((40,))}),
        ({"tag": "40"}, {"tag": frozenset((40,))}),
        ({"tag": "none"}, {"tag": EMPTY}),
        ({"trunks": [20, "30-32"]}, {"trunks": frozenset((20, 30, 31, 32))}),
        ({"trunks": []}, {"trunks": EMPTY}),
        ({"vlan_mode": "trunk", "trunks": [1]}, {"vlan_mode": {"trunk"}, "trunks": {1}}),
        ({"vlan_mode": "none"}, {"vlan_mode": EMPTY}),
        (
            {"vlan_mode": "native-untagged", "tag": 10, "trunks": [20]},
            {"vlan_mode": {"native-untagged"}, "tag": {10}, "trunks": {20}},
        ),
        ({"tag": 10, "trunks": []}, {"tag": {10}, "trunks": EMPTY}),
        ({"vlan_mode": "dot1q-tunnel", "tag": 7}, {"vlan_mode": {"dot1q-tunnel"}, "tag": {7}}),
        ({"other_config": {"priority-tags": True}}, {"other_config": {"priority-tags": "true"}}),
        ({"external_ids": {}}, {"external_ids": {}}),
        (
            {"bond_mode": "none", "lacp": "off", "bond_updelay": 0, "bond_downdelay": "none"},
            {"bond_mode": EMPTY, "lacp": {"off"}, "bond_updelay": 0, "bond_downdelay": 0},
        ),
    ],
)
def test_each_option_of_a_port_is_its_column(given: dict[str, t.Any], columns: dict[str, t.Any]) -> None:
    assert port(**given).columns == columns


def test_a_bond_has_its_members_and_its_columns() -> None:
    wish = bond(
        bond_mode="balance-tcp",
        lacp="active",
        bond_updelay=200,
        bond_downdelay=0,
        mtu=9000,
        other_config={"lacp-time": "fast", "bond-miimon-interval": 100},
    )
    mtu = {"mtu_request": frozenset((9000,))}
    assert wish == PortWish(
        "bond0",
        (InterfaceWish("e0", mtu), InterfaceWish("e1", mtu)),
        {
            "bond_mode": frozenset(("balance-tcp",)),
            "lacp": frozenset(("active",)),
            "bond_updelay": 200,
            "bond_downdelay": 0,
            "other_config": {"lacp-time": "fast", "bond-miimon-interval": "100"},
        },
    )
    assert is_bond(wish)
    assert not is_bond(port())


@pytest.mark.parametrize(
    ("given", "message", "remedy"),
    [
        ({"tag": 4096}, "tag of port p0: 4096 is no whole number from 0 to 4095", "none to clear"),
        ({"tag": True}, "tag of port p0: True", "none to clear"),
        ({"trunks": ["9-1"]}, "trunks of port p0: '9-1' is neither", "the smaller first"),
        ({"vlan_mode": "native"}, "vlan_mode of port p0: 'native' is not known", "native-tagged"),
        ({"vlan_mode": "access"}, "vlan_mode of port p0: access needs a VLAN", "set tag"),
        ({"vlan_mode": "native-tagged", "tag": "none"}, "native-tagged needs a VLAN", "set tag"),
        ({"vlan_mode": "dot1q-tunnel"}, "dot1q-tunnel needs a VLAN", "leave out vlan_mode"),
        ({"bond_mode": "active-backup"}, "bond_mode of port p0: it is for bonds", "two or more members"),
        ({"lacp": "active"}, "lacp of port p0: it is for bonds", "two or more members"),
        ({"bond_updelay": 1}, "bond_updelay of port p0: it is for bonds", "leave it out"),
        ({"bond_downdelay": 1}, "bond_downdelay of port p0: it is for bonds", "leave it out"),
        ({"bond_updelay": -1}, "bond_updelay of port p0: -1", "none to clear"),
        ({"members": []}, "a bond has at least two, and here is none", "leave members out"),
        ({"members": ["e0"]}, "a bond has at least two, and here is e0", "name two or more"),
        ({"members": ["e0", "e0"]}, "a bond has at least two, and here is e0", "name two or more"),
        ({"members": "e0"}, "members of port p0: 'e0' is no list", "give a list"),
        ({"members": ["e0", "e/1"]}, "members of port p0: 'e/1' is no name", "at most 15"),
        ({"members": ["e0", "e1"], "type": "dpdk"}, "type of port p0: members of a bond", "leave it out"),
        ({"members": ["e0", "e1"], "peer": "p1"}, "peer of port p0: members of a bond", "leave it out"),
        ({"members": ["e0", "e1"], "options": {"a": 1}}, "options of port p0: members", "leave it out"),
        ({"members": ["e0", "e1"], "mtu": 1}, "mtu of port p0: 1 is no whole number", "none to clear"),
        ({"trunk": [1]}, "port 1: 'trunk' is no option", "Did you mean 'trunks'?"),
        ({"external_ids": {"hearth-owner": "x"}}, "hearth-owner marks", "leave it out"),
        ({"type": "vxlan"}, "type of port p0: a port of type vxlan needs remote_ip", "set options.remote_ip"),
    ],
)
def test_a_port_that_could_not_work_is_refused_by_its_name(
    given: dict[str, t.Any], message: str, remedy: str
) -> None:
    with pytest.raises(ParseError, match=message) as error:
        port(**given)
    assert remedy in error.value.remedy


@pytest.mark.parametrize("item", [{"tag": 1}, {"name": None}, {"name": "a b"}])
def test_a_port_without_a_name_is_told_by_its_place(item: dict[str, t.Any]) -> None:
    with pytest.raises(ParseError, match="name of port 2: "):
        parse({"name": "p0"}, item)
    with pytest.raises(ParseError, match="port 1: 'p0' is no mapping"):
        parse("p0")
    with pytest.raises(ParseError, match="ports: 'p0' is no list"):
        parse_ports("br0", "p0", None, ())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vlan_mode": "trunk", "tag": 5}, "Port p0 is a trunk and has tag 5"),
        ({"tag": 5, "trunks": [6]}, "Port p0 has trunks, and with tag 5 and no vlan_mode it carries that"),
        ({"tag": 5, "trunks": [6], "vlan_mode": "access"}, "with tag 5 in mode access it carries"),
        ({"tag": 5, "trunks": [6], "vlan_mode": "dot1q-tunnel"}, "with tag 5 in mode dot1q-tunnel"),
    ],
)
def test_vlans_that_exclude_each_other_are_refused_with_the_mode_that_has_both(
    given: dict[str, t.Any], message: str
) -> None:
    with pytest.raises(Contradiction, match=message) as error:
        port(**given)
    assert "set vlan_mode: native-untagged" in error.value.remedy


@pytest.mark.parametrize(
    "given",
    [
        {"lacp": "active"},
        {"lacp": "passive"},
        {"other_config": {"lacp-fallback-ab": True}},
        {"bond_mode": "balance-slb"},
    ],
)
def test_a_bond_whose_mode_can_work_is_taken(given: dict[str, t.Any]) -> None:
    assert is_bond(bond(**{"bond_mode": "balance-tcp", **given}))


@pytest.mark.parametrize("given", [{}, {"lacp": "off"}, {"lacp": False}, {"lacp": "none"}])
def test_balance_tcp_without_lacp_is_refused(given: dict[str, t.Any]) -> None:
    with pytest.raises(ParseError, match="bond_mode of port bond0: balance-tcp works only") as error:
        bond(bond_mode="balance-tcp", **given)
    assert error.value.remedy == (
        "set lacp: active or passive, other_config.lacp-fallback-ab: true, or bond_mode: balance-slb"
    )


@pytest.mark.parametrize(
    ("ports", "message"),
    [
        ([{"name": "p0"}, {"name": "p0"}], "p0 is there twice: as port p0 and in port p0"),
        (
            [{"name": "e1"}, {"name": "bond0", "members": ["e0", "e1"]}],
            "e1 is there twice: as port e1 and in port bond0",
        ),
        (
            [{"name": "bond0", "members": ["e0", "e1"]}, {"name": "e0"}],
            "e0 is there twice: as a member of bond0 and in port e0",
        ),
        (
            [{"name": "bond0", "members": ["e0", "e1"]}, {"name": "bond1", "members": ["e2", "e1"]}],
            "e1 is there twice: as a member of bond0 and in port bond1",
        ),
        ([{"name": "bond0", "members": ["bond0", "e1"]}], "bond0 is there twice: as port bond0"),
        ([{"name": "bond0", "members": ["br0", "e1"]}], "br0 is there twice: as the bridge itself"),
    ],
)
def test_a_name_that_is_there_twice_is_refused_with_both_places(
    ports: list[dict[str, t.Any]], message: str
) -> None:
    with pytest.raises(Contradiction, match=message) as error:
        parse(*ports)
    assert error.value.remedy == "name each device once"


def test_the_port_of_the_bridge_itself_is_not_listed() -> None:
    with pytest.raises(Contradiction, match="Port br0 has the name of its bridge") as error:
        parse({"name": "br0"})
    assert "use mtu and hwaddr of the bridge" in error.value.remedy


def test_what_ports_are_to_each_other_is_looked_at() -> None:
    vxlan = {"type": "vxlan", "options": {"remote_ip": "192.0.2.2"}}
    with pytest.raises(Refusal, match="vx0 and vx1 are the same tunnel"):
        parse({"name": "vx0", **vxlan}, {"name": "vx1", **vxlan})
