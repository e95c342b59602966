# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Captures for the tests: the one of a real card, and small ones that are built."""

from __future__ import annotations

import pathlib
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.capture import parse_read
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import (
    Address,
    Capture,
    Client,
    Route,
)

TEXT = (pathlib.Path(__file__).parents[3] / "fixtures" / "hostnet" / "card.txt").read_text()
NIC, BRIDGE = "eth9", "br-ex"
MAC = "52:54:00:aa:bb:01"

DHCLIENT = Client(
    814,
    (
        *("/sbin/dhclient", "-4", "-v", "-i", "-pf", "/run/dhclient.eth9.pid"),
        *(
            "-lf",
            "/var/lib/dhcp/dhclient.eth9.leases",
            "-I",
            "-df",
            "/var/lib/dhcp/dhclient6.eth9.leases",
            "eth9",
        ),
    ),
)
"""As ifupdown 0.8.41 starts it: ``ifup -nv`` prints this command."""


def card() -> Capture:
    """Return what the real card has."""
    found = parse_read(TEXT, NIC)
    assert found is not None
    return found


def plain(**fields: t.Any) -> Capture:
    """Return a card with an address and a route of each family."""
    given = {
        "mac": MAC,
        "up": True,
        "addresses": (
            Address(4, "192.0.2.11", ("192.0.2.11/24", "broadcast", "192.0.2.255", "scope", "0")),
            Address(6, "2001:db8:1::11", ("2001:db8:1::11/64", "scope", "0")),
        ),
        "routes": (
            Route(4, ("unicast", "default", "table", "254", "via", "192.0.2.1", "dev", NIC)),
            Route(6, ("unicast", "default", "table", "254", "via", "fe80::1", "dev", NIC)),
        ),
        "sysctls": {"ipv4/conf/%/rp_filter": "2", "ipv6/conf/%/accept_dad": "1"},
        **fields,
    }
    return Capture(NIC, **given)
