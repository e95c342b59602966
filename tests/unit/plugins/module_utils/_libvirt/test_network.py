# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Networks: terms read from libvirt's XML, and edited into it."""

from __future__ import annotations

import typing as t
import xml.etree.ElementTree as ET

import pytest
from fakelibvirt import STOCK_NETWORK

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction, ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import network
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.network import Ip, NetworkConfig

BARE: dict[str, t.Any] = {
    "name": "n",
    "forward": "nat",
    "bridge": None,
    "virtualport": None,
    "domain": None,
    "mtu": None,
    "ips": None,
}
FULL = NetworkConfig(
    "nat", "virbr7", "", "lab.test", 1400, (Ip("192.0.2.1/24", (("192.0.2.2", "192.0.2.9"),)),)
)


def test_stock_network_is_read_with_its_netmask_as_prefix() -> None:
    assert network.from_xml(STOCK_NETWORK) == NetworkConfig(
        "nat", "virbr0", "", "", 0, (Ip("192.168.122.1/24", (("192.168.122.2", "192.168.122.254"),)),)
    )
    assert not network.owned(STOCK_NETWORK)


@pytest.mark.parametrize(
    "config",
    [
        FULL,
        NetworkConfig("none", "virbr1", "", "", 0, ()),
        NetworkConfig("open", "virbr1", "", "", 0, (Ip("fd00::1/64"), Ip("192.0.2.1/8"))),
        NetworkConfig("bridge", "br0", "openvswitch", "", 0, ()),
    ],
    ids=lambda config: config.forward,
)
@pytest.mark.parametrize(
    "base", [None, STOCK_NETWORK, network.render("n", FULL, None)], ids=["new", "stock", "full"]
)
def test_what_is_rendered_is_read_back_from_any_base(config: NetworkConfig, base: str | None) -> None:
    text = network.render("n", config, base)
    assert network.from_xml(text) == config
    assert network.owned(text)


def test_what_is_not_managed_stays() -> None:
    base = (
        network.render("n", FULL, None)
        .replace("<dhcp>", "<dhcp><host mac='52:54:00:00:00:01' ip='192.0.2.5'/>")
        .replace("</network>", "<uuid>u</uuid><mac address='m'/><portgroup name='p'/></network>")
    )
    declared = network.from_declared({**BARE, "ips": [{"address": "192.0.2.1/24", "dhcp": None}]})
    root = ET.fromstring(network.render("n", declared, base))
    assert [
        root.find(path) is not None for path in ("uuid", "mac", "portgroup", "domain", "ip/dhcp/host")
    ] == [True] * 5
    assert root.find("ip/dhcp/range") is None


def test_empty_clears_and_omitted_is_masked() -> None:
    declared = network.from_declared({**BARE, "domain": "", "mtu": 0})
    text = network.render("n", declared, network.render("n", FULL, None))
    assert network.masked(network.from_xml(text), declared) == declared
    assert (network.from_xml(text).domain, network.from_xml(text).ips) == ("", FULL.ips)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"forward": "bridge"}, "name of the host's bridge"),
        ({"forward": "bridge", "bridge": "br0", "mtu": 1500}, "mtu cannot be set"),
        ({"virtualport": "openvswitch"}, "needs forward=bridge"),
    ],
)
def test_contradictions_are_named(terms: dict[str, t.Any], words: str) -> None:
    with pytest.raises(Contradiction, match=words):
        network.from_declared({**BARE, **terms})


def test_a_bad_address_is_refused() -> None:
    with pytest.raises(ParseError, match="Not an address"):
        network.from_declared({**BARE, "ips": [{"address": "192.0.2.300/24", "dhcp": None}]})


def test_a_new_prefix_replaces_the_netmask_that_libvirt_would_refuse_beside_it() -> None:
    declared = network.from_declared({**BARE, "ips": [{"address": "192.168.122.1/25", "dhcp": None}]})
    element = ET.fromstring(network.render("default", declared, STOCK_NETWORK)).find("ip")
    assert element is not None
    assert element.attrib == {"address": "192.168.122.1", "prefix": "25"}
