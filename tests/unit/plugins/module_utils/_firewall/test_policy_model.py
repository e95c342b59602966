# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import (
    ANY,
    ExtraRule,
    Networks,
    Policy,
    Ports,
    Service,
    Zone,
)

MIXED = Networks(("192.0.2.0/24", "198.51.100.1/32"), ("2001:db8::/64",))

# zone, the words for IPv4, the words for IPv6
SELECTORS: list[tuple[Zone, tuple[str, ...], tuple[str, ...]]] = [
    (ANY, ("",), ("",)),
    (Zone("lan", MIXED), ("-s 192.0.2.0/24", "-s 198.51.100.1/32"), ("-s 2001:db8::/64",)),
    (Zone("lan", None, ("eno1", "eno2")), ("-i eno1", "-i eno2"), ("-i eno1", "-i eno2")),
    # Both have to match; a family without a network of the zone has nobody in it, whatever the interface.
    (
        Zone("lan", Networks(("192.0.2.0/24", "198.51.100.1/32")), ("eno1", "eno2")),
        (
            "-s 192.0.2.0/24 -i eno1",
            "-s 192.0.2.0/24 -i eno2",
            "-s 198.51.100.1/32 -i eno1",
            "-s 198.51.100.1/32 -i eno2",
        ),
        (),
    ),
    (Zone("all4", Networks(("0.0.0.0/0",)), ("eno1",)), ("-i eno1",), ()),
]


@pytest.mark.parametrize(("zone", "words4", "words6"), SELECTORS)
def test_a_zone_is_matched_by_its_networks_and_its_interfaces(zone, words4, words6):
    assert zone.selectors(4) == words4
    assert zone.selectors(6) == words6


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (Ports("tcp", ((22, 22),)), Ports("tcp", ((20, 25),)), True),
        (Ports("tcp", ((22, 22), (80, 90))), Ports("tcp", ((90, 99),)), True),
        (Ports("tcp", ((22, 22),)), Ports("udp", ((22, 22),)), False),
        (Ports("tcp", ((22, 22),)), Ports("tcp", ((23, 25),)), False),
        (Ports("gre"), Ports("gre"), False),
    ],
)
def test_ports_overlap_when_one_packet_can_match_both(one, other, overlap):
    assert one.overlaps(other) is overlap
    assert other.overlaps(one) is overlap


def test_networks_are_false_when_there_is_none():
    assert not Networks()
    assert Networks((), ("::1/128",))


def test_a_policy_knows_its_published_services_and_its_raw_rules():
    web = Service("web", (Ports("tcp", ((80, 80),)),), published=True)
    ssh = Service("ssh", (Ports("tcp", ((22, 22),)),))
    rules = (
        ExtraRule("input", (4,), "-j A"),
        ExtraRule("input", (4, 6), "-j B"),
        ExtraRule("first", (4,), "-j C"),
    )
    policy = Policy(services=(ssh, web), extra_rules=rules)
    assert policy.published() == (web,)
    assert policy.extra("input", 4) == ("-j A", "-j B")
    assert policy.extra("input", 6) == ("-j B",)
    assert policy.extra("docker", 4) == ()
