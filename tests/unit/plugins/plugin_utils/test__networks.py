# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks as people write them: canonical, or refused with what to write instead."""

from __future__ import annotations

import ipaddress
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.plugin_utils import _networks

NETWORKS = st.one_of(
    st.builds(
        lambda n, p: ipaddress.ip_network((n, p), strict=False), st.ip_addresses(v=4), st.integers(0, 32)
    ),
    st.builds(
        lambda n, p: ipaddress.ip_network((n, p), strict=False), st.ip_addresses(v=6), st.integers(0, 128)
    ),
)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("2001:DB8:0::/48", "2001:db8::/48"),
        ("2001:db8:0:0::0007", "2001:db8::7/128"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_a_network_is_spelled_as_the_kernel_spells_it(written: str, canonical: str) -> None:
    assert _networks.network(written) == canonical


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("192.0.2.77/24", "write 192.0.2.0/24 for the network, or 192.0.2.77 for the one address"),
        ("2001:db8::1/64", "write 2001:db8::/64 for the network"),
        ("mon1.example.com", "Names are not looked up"),
        ("192.0.2/24", "no address and no network"),
        ("192.0.2.0/255.255.255.0", "no address and no network"),
        ("192.0.2.0/0.0.0.255", "no address and no network"),
        ("192.0.2.0/", "no address and no network"),
        ("192.0.2.0/24/8", "no address and no network"),
        ("192.0.2.0/33", "0 to 32 for IPv4"),
        ("2001:db8::/129", "0 to 128 for IPv6"),
        ("192.0.2.0/²4", "no address and no network"),
        ("fe80::1%eth0", "no address and no network"),
        ("192.0.2.256", "no address and no network"),
        ("010.0.0.1", "no address and no network"),
        ("", "no address and no network"),
        (None, "no address and no network"),
        (24, "no address and no network"),
        (True, "no address and no network"),
    ],
)
def test_what_is_none_is_refused_with_what_to_write(written: t.Any, says: str) -> None:
    with pytest.raises(AnsibleFilterError) as refused:
        _networks.network(written, "firewall_zones: mgmt")
    assert says in str(refused.value)
    assert "firewall_zones: mgmt has" in str(refused.value)


def test_a_list_keeps_its_order_and_has_each_network_once() -> None:
    given_list = ["2001:db8::/32", "192.0.2.9", "192.0.2.9/32", "2001:DB8::/32"]
    assert _networks.canonical(given_list) == ["2001:db8::/32", "192.0.2.9/32"]


@pytest.mark.parametrize("value", ["192.0.2.0/24", b"192.0.2.0/24", 7, None])
def test_one_network_is_no_list(value: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="give a list of networks"):
        _networks.canonical(value)


@given(NETWORKS)
def test_it_agrees_with_the_standard_library_that_the_host_checks_with(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> None:
    found = _networks.network(network.exploded)
    assert ipaddress.ip_network(found) == network
    assert _networks.network(found) == found


@given(st.text(max_size=24))
def test_no_text_gets_through_that_the_host_would_not_take(text: str) -> None:
    try:
        found = _networks.network(text)
    except AnsibleFilterError:
        return
    assert ipaddress.ip_network(found) == ipaddress.ip_network(text)


def test_without_netaddr_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_networks, "netaddr", None)
    with pytest.raises(AnsibleFilterError, match="pip install netaddr"):
        _networks.canonical(["192.0.2.0/24"])
