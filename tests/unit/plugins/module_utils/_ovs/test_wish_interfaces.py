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
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import known
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    LOOP,
    InterfaceWish,
    PortWish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_interfaces import (
    check_together,
    parse_interface,
    type_of,
)

FAR, NEAR = "192.0.2.2", "192.0.2.1"
FAR6, NEAR6 = "2001:db8::2", "2001:db8::1"


def interface(**given: t.Any) -> InterfaceWish:
    return parse_interface("p0", "port p0", given)


def tunnel(kind: str = "vxlan", **options: t.Any) -> InterfaceWish:
    return interface(type=kind, options={"remote_ip": FAR, **options})


def together(
    *interfaces: tuple[str, dict[str, t.Any]], datapath_type: str | None = None, allow: tuple[str, ...] = ()
) -> None:
    ports = [PortWish(name, (parse_interface(name, f"port {name}", given),)) for name, given in interfaces]
    check_together("br0", ports, datapath_type, allow)


def test_what_is_omitted_is_no_column() -> None:
    assert interface() == InterfaceWish("p0", {})
    assert type_of(interface()) == known.SYSTEM


@pytest.mark.parametrize("kind", ["system", "", "none"])
def test_an_ordinary_device_has_the_type_that_a_new_row_has(kind: str) -> None:
    assert interface(type=kind).columns == {"type": ""}


def test_columns_have_what_the_database_has() -> None:
    assert interface(type="internal", mtu=9000).columns == {
        "type": "internal",
        "mtu_request": frozenset((9000,)),
    }
    assert interface(mtu="none").columns == {"mtu_request": frozenset()}
    assert tunnel(key=100, dst_port=4789, csum=True).columns["options"] == {
        "remote_ip": FAR,
        "key": "100",
        "dst_port": "4789",
        "csum": "true",
    }


def test_peer_is_an_option_of_a_patch_port() -> None:
    for given in ({"peer": "p1"}, {"options": {"peer": "p1"}}, {"peer": "p1", "options": {"peer": "p1"}}):
        assert interface(type="patch", **given).columns == {"type": "patch", "options": {"peer": "p1"}}


@pytest.mark.parametrize(
    ("given", "message", "remedy"),
    [
        ({"type": "vxlam"}, "type of port p0: 'vxlam' is not known", "Did you mean 'vxlan'"),
        ({"mtu": 67}, "mtu of port p0: 67 is no whole number from 68 to 65535", "none to clear"),
        ({"type": "patch"}, "type of port p0: a port of type patch needs peer", "set peer to the name"),
        ({"type": "patch", "options": {"peer": None}}, "needs peer", "set peer"),
        ({"type": "patch", "peer": "p0"}, "a patch port cannot be its own peer", "the other end"),
        ({"type": "patch", "peer": "a" * 16}, "peer of port p0: .* has 16 characters", "at most 15"),
        ({"type": "patch", "peer": "p1", "options": {"key": 1}}, "with a peer only", "leave out all others"),
        ({"peer": "p1"}, "a port of type system has none, and there are peer", "set type"),
        ({"options": {"remote_ip": FAR}}, "has none, and there are remote_ip", "such as vxlan"),
        ({"type": "internal", "options": {"key": 1}}, "a port of type internal has none", "leave them out"),
        ({"type": "dpdk"}, "a port of type dpdk needs dpdk-devargs", "PCI address"),
        ({"type": "dpdkvhostuserclient"}, "needs vhost-server-path", "the socket of the guest"),
        ({"type": "patch", "peer": "p1", "mtu": 1500}, "type patch has no MTU", "mtu of the bridge"),
        (
            {"type": "vxlan", "options": {"remote_ip": FAR}, "mtu": 1400},
            "type vxlan has no MTU",
            "of its internal",
        ),
        (
            {"type": "vxlan", "options": {"remote_ip": FAR, "dst_port": 0}},
            "dst_port of port p0",
            "give one",
        ),
    ],
)
def test_what_open_vswitch_would_take_without_effect_is_refused(
    given: dict[str, t.Any], message: str, remedy: str
) -> None:
    with pytest.raises(ParseError, match=message) as error:
        interface(**given)
    assert remedy in error.value.remedy


@pytest.mark.parametrize("kind", sorted(known.TUNNELS))
def test_every_tunnel_needs_its_other_end(kind: str) -> None:
    assert type_of(tunnel(kind)) == kind
    for options in ({}, {"remote_ip": ""}, {"remote_ip": None}):
        with pytest.raises(ParseError, match=f"a port of type {kind} needs remote_ip") as error:
            interface(type=kind, options=options)
        assert "address of the other end" in error.value.remedy


def test_two_peers_of_one_port_are_refused_with_both() -> None:
    with pytest.raises(Contradiction, match="Port p0 has peer p1 and options.peer p2"):
        interface(type="patch", peer="p1", options={"peer": "p2"})


@pytest.mark.parametrize(
    "options",
    [
        {"remote_ip": "flow", "local_ip": "flow"},
        {"remote_ip": "flow", "local_ip": NEAR},
        {"remote_ip": FAR, "local_ip": NEAR},
        {"remote_ip": FAR6, "local_ip": NEAR6},
        {"key": "flow"},
        {"key": "0"},
        {"key": 2**24 - 1},
        {"key": "0xff"},
        {"key": None, "in_key": 1, "out_key": "flow"},
    ],
)
def test_ends_and_keys_of_tunnels_are_addresses_numbers_or_flow(options: dict[str, t.Any]) -> None:
    assert set(tunnel(**options).columns["options"]) == {"remote_ip", *options}


@pytest.mark.parametrize(
    ("options", "message", "remedy"),
    [
        ({"remote_ip": "host2.example.org"}, "is no address", "looks up no names"),
        ({"remote_ip": "192.0.2.300"}, "remote_ip of port p0: '192.0.2.300' is no address", "IPv4 or IPv6"),
        ({"remote_ip": "192.0.2.1\0"}, "is no text", "in quotes"),
        ({"remote_ip": "224.0.0.1"}, "is no address of one host", "or flow"),
        ({"remote_ip": "ff02::1"}, "is no address of one host", "or flow"),
        ({"remote_ip": "0.0.0.0"}, "is no address of one host", "or flow"),
        ({"remote_ip": "::"}, "is no address of one host", "or flow"),
        ({"local_ip": "flow"}, "flow needs remote_ip flow", "give an address"),
        ({"local_ip": "near"}, "local_ip of port p0: 'near' is no address", "IPv4 or IPv6"),
        ({"key": "1x"}, "key of port p0: '1x' is no key of a vxlan tunnel", "at most 24 bits, or flow"),
        ({"in_key": 2**24}, "in_key of port p0", "24 bits"),
        ({"out_key": "-1"}, "out_key of port p0", "24 bits"),
        ({"key": ""}, "key of port p0: '' is no key", "24 bits"),
    ],
)
def test_an_end_or_a_key_that_no_tunnel_can_have_is_refused(
    options: dict[str, t.Any], message: str, remedy: str
) -> None:
    with pytest.raises(ParseError, match=message) as error:
        tunnel(**options)
    assert remedy in error.value.remedy


def test_the_keys_of_other_tunnels_are_longer() -> None:
    assert tunnel("gre", key=2**32 - 1)
    with pytest.raises(ParseError, match="is no key of a gre tunnel"):
        tunnel("gre", key=2**32)
    assert tunnel("stt", key=2**64 - 1)


def test_ends_of_two_families_are_refused() -> None:
    with pytest.raises(Contradiction, match="remote_ip and local_ip of port p0 are of different families"):
        tunnel(local_ip=NEAR6)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {}),
        ({"key": 0}, {}),
        ({"key": 16}, {"in_key": "0x10", "out_key": 3}),
        ({"dst_port": 4789}, {}),
        ({"remote_ip": "2001:db8::2"}, {"remote_ip": "2001:DB8:0::0:2"}),
        ({"remote_ip": "flow", "key": "flow"}, {"remote_ip": "flow", "key": "flow"}),
    ],
)
def test_a_tunnel_that_is_there_twice_is_refused_with_both_names(
    one: dict[str, t.Any], other: dict[str, t.Any]
) -> None:
    ports = [
        (name, {"type": "vxlan", "options": {"remote_ip": FAR, **options}})
        for name, options in (("vx0", one), ("vx1", other))
    ]
    with pytest.raises(Contradiction, match="Ports vx0 and vx1 are the same tunnel") as error:
        together(*ports)
    assert "different keys" in error.value.remedy


@pytest.mark.parametrize(
    "other", [{"key": 1}, {"key": "flow"}, {"dst_port": 8472}, {"local_ip": NEAR}, {"egress_pkt_mark": 1}]
)
def test_tunnels_that_open_vswitch_tells_apart_are_two(other: dict[str, t.Any]) -> None:
    together(
        ("vx0", {"type": "vxlan", "options": {"remote_ip": FAR}}),
        ("vx1", {"type": "vxlan", "options": {"remote_ip": FAR, **other}}),
        ("gnv0", {"type": "geneve", "options": {"remote_ip": FAR}}),
    )


@pytest.mark.parametrize("kind", sorted(known.USERSPACE))
@pytest.mark.parametrize(
    ("datapath_type", "words"), [(None, "says no datapath_type"), ("system", "has datapath_type system")]
)
def test_a_port_of_the_userspace_datapath_needs_it_to_be_said(
    kind: str, datapath_type: str | None, words: str
) -> None:
    port = ("d0", {"type": kind, "options": {"dpdk-devargs": "0000:01:00.0", "vhost-server-path": "x"}})
    if not known.USERSPACE[kind]:
        port[1].pop("options")
    with pytest.raises(Contradiction, match=f"Port d0 of type {kind} needs .* bridge br0 {words}") as error:
        together(port, datapath_type=datapath_type)
    assert "set datapath_type: netdev" in error.value.remedy
    together(port, datapath_type="netdev")


def test_a_patch_with_both_ends_in_one_bridge_is_a_loop_unless_it_is_allowed() -> None:
    ends = (("pa", {"type": "patch", "peer": "pb"}), ("pb", {"type": "patch", "peer": "pa"}))
    with pytest.raises(Refusal, match="pa and pb have both ends in bridge br0, which is a loop") as error:
        together(*ends)
    assert "allow loop" in error.value.remedy
    together(*ends, allow=(LOOP,))
    together(ends[0], ("pb", {"type": "patch", "peer": "pc"}))
