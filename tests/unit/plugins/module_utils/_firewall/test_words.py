# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import typing as t

import policies
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall import words
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import (
    Limit,
    Networks,
    Ports,
)

# words, networks
NETWORKS: list[tuple[list[str], Networks]] = [
    ([], Networks()),
    (["192.0.2.7"], Networks(("192.0.2.7/32",))),
    (["2001:DB8:0:0::1"], Networks((), ("2001:db8::1/128",))),
    (["192.0.2.0/25", "192.0.2.128/25"], Networks(("192.0.2.0/24",))),
    (["192.0.2.7", "192.0.2.0/24", "192.0.2.7/32"], Networks(("192.0.2.0/24",))),
    (
        ["2001:db8::/64", "198.51.100.0/24", "192.0.2.0/24"],
        Networks(("192.0.2.0/24", "198.51.100.0/24"), ("2001:db8::/64",)),
    ),
    (["0.0.0.0/0", "::/0"], Networks(("0.0.0.0/0",), ("::/0",))),
    # One group of zeros is not shortened, and an address in the first 96 bits of zeros is shown as the C library does.
    (["2001:db8:0:1:1:1:1:1", "::2"], Networks((), ("::2/128", "2001:db8:0:1:1:1:1:1/128"))),
]

# word, what the message says
BAD_NETWORKS: list[tuple[t.Any, str]] = [
    ("host.example.org", "names are not looked up"),
    ("localhost", "names are not looked up"),
    ("192.0.2.77/24", "write 192.0.2.0/24"),
    ("2001:db8::1/64", "write 2001:db8::/64"),
    ("192.0.2.0/255.255.255.0", "is no network"),
    ("192.0.2.0-192.0.2.9", "is no network"),
    ("192.0.2.0/33", "is no network"),
    ("192.0.2", "is no network"),
    ("010.0.0.1", "is no network"),
    ("fe80::1%eno1", "is no network"),
    ("::ffff:192.0.2.0/120", "write the IPv4 network"),
    ("", "is no network"),
    (3221225985, "is no network"),
    (None, "is no network"),
    ("192.0.2.1,192.0.2.2", "is no network"),
]

# words, ports
PORTS: list[tuple[list[t.Any], tuple[Ports, ...]]] = [
    (["22/tcp"], (Ports("tcp", ((22, 22),)),)),
    (["6800-7568/tcp"], (Ports("tcp", ((6800, 7568),)),)),
    (["ssh", "80/tcp"], (Ports("tcp", ((22, 22), (80, 80))),)),
    (["dns"], (Ports("tcp", ((53, 53),)), Ports("udp", ((53, 53),)))),
    (["gre", "4789/udp"], (Ports("gre"), Ports("udp", ((4789, 4789),)))),
    (["5900-5910/tcp", "5911/tcp", "5905/tcp"], (Ports("tcp", ((5900, 5911),)),)),
    (["7-7/sctp", "7/dccp"], (Ports("dccp", ((7, 7),)), Ports("sctp", ((7, 7),)))),
]

BAD_PORTS: list[tuple[t.Any, str]] = [
    (22, "write 22/tcp"),
    ("22", "write 22/tcp"),
    ("22/TCP", "write 22/tcp"),
    ("22/icmp", "write 22/tcp"),
    ("22:23/tcp", "write 22/tcp"),
    ("80,443/tcp", "write 22/tcp"),
    ("sshd", "or a name: "),
    ("0/tcp", "from 1 to 65535"),
    ("65536/tcp", "from 1 to 65535"),
    ("80-79/tcp", "the lower one first"),
    (None, "is no port"),
    (["22/tcp"], "is no port"),
]

# rate, burst, scale, limit
LIMITS: list[tuple[str, int, int, Limit]] = [
    ("10/minute", 20, words.HASHLIMIT_SCALE, Limit("10/min", 20)),
    ("10 / m", 20, words.LIMIT_SCALE, Limit("10/min", 20)),
    ("1/second", 1, words.LIMIT_SCALE, Limit("1/sec", 1)),
    ("60/min", 1, words.LIMIT_SCALE, Limit("1/sec", 1)),
    ("1440/day", 1, words.LIMIT_SCALE, Limit("1/min", 1)),
    ("7/h", 5, words.LIMIT_SCALE, Limit("7/hour", 5)),
    # The finer clock of hashlimit stores what limit cannot.
    ("150/s", 5, words.HASHLIMIT_SCALE, Limit("150/sec", 5)),
]

BAD_LIMITS: list[tuple[t.Any, t.Any, str]] = [
    ("fast", 5, "write 10/minute"),
    ("10", 5, "write 10/minute"),
    ("0/minute", 5, "write 10/minute"),
    ("10/week", 5, "write 10/minute"),
    ("10001/second", 5, "write 10/minute"),
    (10, 5, "write 10/minute"),
    ("150/second", 5, "write 151/sec"),
    ("999/second", 5, "write 1000/sec"),
    ("10/minute", 0, "from 1 to 10000"),
    ("10/minute", 10_001, "from 1 to 10000"),
    ("10/minute", "20", "from 1 to 10000"),
    ("10/minute", True, "from 1 to 10000"),
    # xt_limit of the kernel: "Overflow, try lower: 864000000/5".
    ("1/day", 5, "overflows the kernel's counter"),
]


@pytest.mark.parametrize(("given_words", "expected"), NETWORKS)
def test_networks_are_split_by_family_merged_and_spelled_as_the_kernel_does(given_words, expected):
    assert words.networks("zones.lan.sources", given_words) == expected


@pytest.mark.parametrize(("word", "said"), BAD_NETWORKS)
def test_what_iptables_would_look_up_or_mask_is_refused_with_the_right_word(word, said):
    with pytest.raises(ParseError) as caught:
        words.networks("zones.lan.sources", [word])
    assert "zones.lan.sources" in caught.value.message
    assert said in caught.value.as_result()["msg"]


@given(st.lists(policies.networks))
def test_merging_networks_keeps_every_address_and_adds_none(drawn):
    found = words.networks("x", drawn)
    for family in (4, 6):
        wanted = [
            ipaddress.ip_network(word) for word in drawn if ipaddress.ip_network(word).version == family
        ]
        kept = [ipaddress.ip_network(word) for word in found.of(family)]
        assert all(any(net.subnet_of(one) for one in kept) for net in wanted)  # type: ignore[arg-type]
        assert sum(net.num_addresses for net in kept) == sum(
            net.num_addresses
            for net in ipaddress.collapse_addresses(wanted)  # type: ignore[type-var]
        )
    assert words.networks("x", [*found.ipv4, *found.ipv6]) == found


@pytest.mark.parametrize(("given_words", "expected"), PORTS)
def test_ports_are_merged_by_protocol(given_words, expected):
    assert words.ports("x", given_words) == expected


@pytest.mark.parametrize(("word", "said"), BAD_PORTS)
def test_what_is_no_port_is_refused_with_an_example(word, said):
    with pytest.raises(ParseError) as caught:
        words.ports("services[0].ports", [word])
    assert "services[0].ports" in caught.value.message
    assert said in caught.value.as_result()["msg"]


@given(st.lists(policies.port_words(), min_size=1))
def test_merging_ports_keeps_every_port_and_adds_none(drawn):
    def every(ranges: t.Iterable[tuple[int, int]]) -> set[int]:
        return {port for low, high in ranges for port in range(low, high + 1)}

    merged = {ports.proto: ports.ranges for ports in words.ports("x", drawn)}
    for proto, ranges in merged.items():
        spans = [word.partition("/")[0].split("-") for word in drawn if word.endswith(proto)]
        assert every(ranges) == every((int(span[0]), int(span[-1])) for span in spans)
        assert all(high + 1 < low for (_low, high), (low, _high) in zip(ranges, ranges[1:]))


@pytest.mark.parametrize(("rate", "burst", "scale", "expected"), LIMITS)
def test_a_rate_is_spelled_in_the_smallest_unit_that_loses_nothing(rate, burst, scale, expected):
    assert words.limit("x", rate, burst, scale) == expected


@pytest.mark.parametrize(("rate", "burst", "said"), BAD_LIMITS)
def test_a_rate_that_the_kernel_would_change_or_refuse_is_refused(rate, burst, said):
    with pytest.raises(ParseError) as caught:
        words.limit("log.limit", rate, burst, words.LIMIT_SCALE)
    assert "log.limit" in caught.value.message
    assert said in caught.value.as_result()["msg"]


@given(
    st.integers(1, 10_000),
    st.sampled_from(["second", "minute", "hour", "day"]),
    st.sampled_from([words.LIMIT_SCALE, words.HASHLIMIT_SCALE]),
)
def test_a_rate_that_is_taken_is_taken_again_as_it_is_printed(count, unit, scale):
    try:
        limit = words.limit("x", f"{count}/{unit}", 1, scale)
    except ParseError as error:
        limit = words.limit("x", error.remedy.replace("write ", ""), 1, scale)
    assert words.limit("x", limit.rate, 1, scale) == limit


def test_a_text_of_the_longest_length_is_kept_and_a_longer_one_is_refused():
    assert words.text("log.prefix", "x" * 29, words.LOG_PREFIX_LENGTH) == "x" * 29
    with pytest.raises(ParseError, match="cuts it silently after 29"):
        words.text("log.prefix", "x" * 30, words.LOG_PREFIX_LENGTH)
    with pytest.raises(ParseError, match="cuts it silently after 255"):
        words.text("comment", "x" * 256, words.COMMENT_LENGTH)


@pytest.mark.parametrize("value", ["it's", 'a"b', "a\\b", "line\nbreak", "naïve", None, 5])
def test_a_text_that_would_need_quoting_is_refused(value):
    with pytest.raises(ParseError, match="does not keep as they are"):
        words.text("comment", value, words.COMMENT_LENGTH)


@pytest.mark.parametrize("value", ["", "SSH", "-ssh", "a b", "x" * 64, None, 22])
def test_a_service_is_not_called_just_anything(value):
    with pytest.raises(ParseError, match="is no name of a service"):
        words.name("services[0].name", value)


def test_a_service_may_have_the_longest_name():
    assert words.name("x", "s" * 63) == "s" * 63


@pytest.mark.parametrize("value", ["", "Mgmt", "1st", "192.0.2.0/24", "2001:db8::", "x" * 32, None])
def test_a_zone_is_not_called_like_an_address(value):
    assert not words.is_zone_name(value)
    with pytest.raises(ParseError, match="is no name of a zone"):
        words.zone_name("zones", value)


@pytest.mark.parametrize("value", ["eno1", "bond0.40", "br-ex", "x" * 15, "veth_a@1"])
def test_names_of_interfaces_are_taken(value):
    assert words.interface("x", value) == value


@pytest.mark.parametrize(
    ("value", "pattern", "said"),
    [
        ("x" * 16, False, "has 16 characters"),
        ("virbr+", False, "patterns with + are not taken here"),
        ("+", True, "with + at the end"),
        ("vir+br", True, "with + at the end"),
        ("", False, "is no name of an interface"),
        ("a b", False, "is no name of an interface"),
        ("!eno1", False, "is no name of an interface"),
        ("eno1/2", False, "is no name of an interface"),
        (None, False, "is no name of an interface"),
    ],
)
def test_what_is_no_interface_is_refused(value, pattern, said):
    with pytest.raises(ParseError) as caught:
        words.interface("zones.lan.interfaces", value, pattern=pattern)
    assert said in caught.value.as_result()["msg"]


def test_a_pattern_is_taken_where_one_is_asked_for():
    assert words.interface("guest_networks", "virbr+", pattern=True) == "virbr+"
    assert words.interface("guest_networks", "virbr0", pattern=True) == "virbr0"
