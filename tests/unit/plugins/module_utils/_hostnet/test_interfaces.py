# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of ifupdown: what they say of a card, and how that is switched off and on."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet import interfaces

# What the installer of Debian 12 writes, and a card with all the grammar of interfaces(5).
TEXT = """\
# This file describes the network interfaces available on your system
# and how to activate them. For more information, see interfaces(5).

source /etc/network/interfaces.d/*

# The loopback network interface
auto lo
iface lo inet loopback

# The primary network interface \\
allow-hotplug eth1
auto eth10
iface eth1 inet static
    address 192.0.2.11/24
    # a comment
    up ip route add 198.18.0.0/15 \\
        via 192.0.2.3 dev eth1

    mtu 1400
iface eth1 inet6 auto
iface eth10 inet dhcp
"""
LINES = st.sampled_from(
    [*TEXT.splitlines(), "  iface eth1 inet manual", "", "\\", "mapping eth*", "up eth1 \\"]
)


def test_a_file_is_split_into_stanzas() -> None:
    assert [one.words for one in interfaces.parse_interfaces(TEXT)] == [
        ("source", "/etc/network/interfaces.d/*"),
        ("auto", "lo"),
        ("iface", "lo", "inet", "loopback"),
        ("allow-hotplug", "eth1"),
        ("auto", "eth10"),
        ("iface", "eth1", "inet", "static"),
        ("iface", "eth1", "inet6", "auto"),
        ("iface", "eth10", "inet", "dhcp"),
    ]


def test_options_of_a_stanza_are_whole_lines_without_comments() -> None:
    first, second = interfaces.stanzas_of(TEXT, "eth1")
    assert [name for name, _value in first.options] == ["address", "up", "mtu"]
    assert first.options[1][1].split() == [
        "ip",
        "route",
        "add",
        "198.18.0.0/15",
        "via",
        "192.0.2.3",
        "dev",
        "eth1",
    ]
    assert second.options == ()


def test_an_option_before_any_stanza_belongs_to_nobody() -> None:
    assert interfaces.parse_interfaces("    address 192.0.2.1\n") == ()


def test_only_the_stanzas_of_the_card_become_comments() -> None:
    off = interfaces.switched_off(TEXT, "eth1", "br-ex")
    assert interfaces.stanzas_of(off, "eth1") == ()
    assert interfaces.stanzas_of(off, "eth10") == interfaces.parse_interfaces(
        "\n" * 20 + "iface eth10 inet dhcp\n"
    )
    assert interfaces.is_started(off, "eth1")
    assert sorted(set(off.splitlines()) - set(TEXT.splitlines())) == [
        "#hearth:br-ex#         via 192.0.2.3 dev eth1",
        "#hearth:br-ex#     address 192.0.2.11/24",
        "#hearth:br-ex#     mtu 1400",
        "#hearth:br-ex#     up ip route add 198.18.0.0/15 \\",
        "#hearth:br-ex# iface eth1 inet static",
        "#hearth:br-ex# iface eth1 inet6 auto",
    ]


@hypothesis.given(st.lists(LINES).map("\n".join), st.booleans())
def test_what_was_switched_off_can_be_switched_on_again(text: str, included: bool) -> None:
    off = interfaces.switched_off(text, "eth1", "br-ex")
    off = interfaces.with_source(off, "/etc/network/interfaces.d/hearth-br-ex", "br-ex") if included else off
    end = "\n" if included and text and not text.endswith("\n") else ""
    assert interfaces.switched_on(off, "br-ex") == text + end


def test_what_a_person_changed_meanwhile_stays_when_it_is_switched_on_again() -> None:
    off = interfaces.switched_off(TEXT, "eth1", "br-ex").replace("eth10", "eth11")
    assert (
        interfaces.switched_on(f"{off}auto eth12\n", "br-ex")
        == TEXT.replace("eth10", "eth11") + "auto eth12\n"
    )


def test_another_bridge_is_another_business() -> None:
    off = interfaces.switched_off(TEXT, "eth1", "br-ex")
    assert interfaces.switched_on(off, "br-ex2") == off


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("source interfaces.d/*", ["a.cfg", "b"]),
        ("source /etc/network/interfaces.d/*.cfg", ["a.cfg"]),
        ("source-directory interfaces.d", ["b"]),
        ("source /etc/other/*", []),
        ("source interfaces.d/.*", [".hidden"]),
    ],
)
def test_other_files_are_included_as_a_shell_would(line: str, found: list[str]) -> None:
    names = {"/etc/network/interfaces.d": ["a.cfg", "b", ".hidden"]}
    paths = interfaces.included(interfaces.MAIN, line, lambda folder: names.get(folder, []))
    assert paths == tuple(f"/etc/network/interfaces.d/{name}" for name in found)


@pytest.mark.parametrize(
    ("text", "started"),
    [
        ("auto eth1", True),
        ("allow-auto eth0 eth1", True),
        ("allow-hotplug eth1", True),
        ("allow-ovs eth1", False),
        ("auto eth10", False),
    ],
)
def test_a_card_is_started_when_a_line_says_so(text: str, started: bool) -> None:
    assert interfaces.is_started(text, "eth1") is started


@pytest.mark.parametrize(
    "line",
    [
        "mapping eth1",
        "mapping eth*",
        "rename eth1=wan",
        "rename /eth*=wan",
        "iface eth* inet dhcp",
        "iface /eth* inet dhcp",
        "iface eth1 inherits uplink",
    ],
)
def test_what_hides_how_a_card_is_configured_is_found(line: str) -> None:
    assert interfaces.oddities(f"{line}\n", "eth1") == (line,)


@pytest.mark.parametrize(
    "line", ["mapping eth2", "rename eth2=eth1", "iface en* inet dhcp", "iface eth1 inet dhcp", "iface"]
)
def test_what_is_plain_is_not_odd(line: str) -> None:
    assert interfaces.oddities(f"{line}\n", "eth1") == ()
