# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The texts of the kernel, as machines gave them, and what the parsers make of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import network_tables as tables

# Captured on a machine with one interface (Linux 6.18), addresses replaced by those of RFC 5737 and RFC 3849.
ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""
NET = "20010db8000000000000000000000000"
NONE = "0" * 32
ROUTES6 = f"""\
{NET} 40 {NONE} 00 {NONE} 00000100 00000001 00000000 00000001     eth0
fe800000000000000000000000000000 40 {NONE} 00 {NONE} 00000100 00000002 00000000 00000001     eth0
{NONE} 00 {NONE} 00 20010db8000000000000000000000001 00000400 00000003 00000000 00000003     eth0
{NONE[:-1]}1 80 {NONE} 00 {NONE} 00000000 00000003 00000000 80200001       lo
20010db8000000000000000000000002 80 {NONE} 00 {NONE} 00000000 00000004 00000000 80200001     eth0
ff000000000000000000000000000000 08 {NONE} 00 {NONE} 00000100 00000003 00000000 00000001     eth0
{NONE} 00 {NONE} 00 {NONE} ffffffff 00000001 00000000 00200200       lo
"""
ADDRESSES6 = """\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000002 04 40 00 80     eth0
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
"""
SOCKETS = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1151 1 0 100 0 0 10 0
   1: 020200C0:0016 076433C6:DE63 01 00000000:00000000 00:00000000 00000000     0        0 1874 1 0 20 4 30 10 -1
   2: 0100007F:07E8 0100007F:DE64 01 00000000:00000000 00:00000000 00000000     0        0 1875 1 0 20 4 30 10 -1
"""
# Of net/ipv6/tcp_ipv6.c get_tcp6_sock(), the same connection as above seen by a socket of both families.
SOCKETS6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr
   0: 0000000000000000FFFF0000020200C0:0016 0000000000000000FFFF0000076433C6:DE63 01 00000000:00000000 00:00000000
   1: B80D0120000000000000000002000000:0016 B80D0120000000000000000007000000:DE63 01 00000000:00000000 00:00000000
"""


def test_routes_of_both_families() -> None:
    assert tables.parse_routes(ROUTES, ROUTES6) == (
        tables.Route("eth0", "IPv4", True),
        tables.Route("eth0", "IPv4", False),
        tables.Route("eth0", "IPv6", False),
        tables.Route("eth0", "IPv6", True),
    )


def test_what_the_kernel_makes_for_every_interface_is_no_route() -> None:
    local = "\n".join(
        line
        for line in ROUTES6.splitlines()
        if line.startswith(("fe8", "ff0", "2001")) and "80200001" in line
    )
    assert tables.parse_routes("", local) == ()


@pytest.mark.parametrize("flags", ["0000", "0201", "zzzz"])
def test_a_route_that_leads_nowhere_is_none(flags: str) -> None:
    assert (
        tables.parse_routes(
            ROUTES.replace("\t0003\t", f"\t{flags}\t").replace("\t0001\t", f"\t{flags}\t"), ""
        )
        == ()
    )


def test_addresses_as_ip_lists_them() -> None:
    # Of iproute2 6.1 on the same machine, shortened.
    text = json.dumps(
        [
            {"ifname": "lo", "addr_info": [{"family": "inet", "local": "127.0.0.1", "scope": "host"}]},
            {},
            {"ifname": "ifb0", "operstate": "DOWN", "addr_info": []},
            {
                "ifname": "eth0",
                "addr_info": [
                    {"family": "inet", "local": "192.0.2.2", "prefixlen": 24, "scope": "global"},
                    {"family": "inet6", "local": "2001:db8::2", "prefixlen": 64, "scope": "global"},
                    {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"},
                    {"family": "mctp", "local": "8"},
                ],
            },
        ]
    )
    found = tables.parse_addresses(text)
    assert found == {"lo": ("127.0.0.1",), "ifb0": (), "eth0": ("192.0.2.2", "2001:db8::2")}


@pytest.mark.parametrize(
    "text", ["", "{", "{}x", "[1]", '[{"a": 1}]', '[{"ifname": "a", "addr_info": [{}]}]', "3"]
)
def test_addresses_in_another_form_are_unknown(text: str) -> None:
    assert tables.parse_addresses(text) is None


def test_addresses_that_need_no_tool() -> None:
    assert tables.parse_addresses6(ADDRESSES6 + "garbage\n") == {"eth0": ("2001:db8::2",)}


@pytest.mark.parametrize(
    ("text", "session"),
    [
        ("198.51.100.7 56931 192.0.2.2 22", tables.Session("192.0.2.2", 22)),
        ("fe80::7%eth0 56931 fe80::2%eth0 2222", tables.Session("fe80::2", 2222)),
        ("", None),
        ("198.51.100.7 56931 192.0.2.2 ssh", None),
    ],
)
def test_the_session_names_the_address_it_ends_at(text: str, session: tables.Session | None) -> None:
    assert tables.parse_session(text) == session


def test_established_connections_to_a_port() -> None:
    assert tables.parse_established([SOCKETS, SOCKETS6], {22}) == {"192.0.2.2", "2001:db8::2"}
    assert tables.parse_established([SOCKETS], {2024}) == {"127.0.0.1"}
    assert tables.parse_established([SOCKETS], {23}) == set()


@given(st.text(), st.text())
def test_no_table_upsets_the_parsers_of_routes_and_sockets(one: str, other: str) -> None:
    tables.parse_routes(one, other)
    tables.parse_session(one)
    tables.parse_addresses(one)
    tables.parse_established([f"\n{one}"], {22})
    tables.parse_addresses6(one)


@given(st.text("0123456789ABCDEFz: \n", max_size=60))
def test_no_row_upsets_them_either(text: str) -> None:
    tables.parse_established([f"\n 0: {text} 01 01"], {22})
    tables.parse_addresses6(f"{text} 04 40 00 80 eth0")
