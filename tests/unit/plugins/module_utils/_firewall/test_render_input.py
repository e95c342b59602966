# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import policies
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.evaluate import evaluate
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    BLOCK_SETS,
    EARLY,
    INPUT,
    Packet,
    Table,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy import parse_policy
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import ANY, Policy, Zone
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.render import render
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.render_input import (
    ANTISPOOF,
    early,
    input_rules,
)

STRANGER = {4: "198.51.100.99", 6: "2001:db8:99::99"}
# The article: loopback, established, 22, 80, 443, the rest dropped.
ARTICLE = {"services": [{"name": "web", "ports": ["ssh", "http", "https"]}]}
MANAGED = {
    "zones": {"mgmt": {"sources": ["192.0.2.0/24", "2001:db8:1::/64"]}},
    "management": ["mgmt"],
    "blocklist": {"sources": ["192.0.2.0/24", "203.0.113.0/24", "2001:db8:1::/64"]},
}


def table(policy: Policy, family: int) -> Table:
    """Return the filter table as it is when nobody else has rules."""
    ruleset = render(policy, family)
    jumps = tuple(f"-j {jump.chain}" for jump in ruleset.jumps if jump.source == "INPUT")
    return Table((("INPUT", "ACCEPT"),), (("INPUT", jumps), *ruleset.chains))


def verdict(policy: Policy, packet: Packet) -> str:
    listed = {BLOCK_SETS[family]: policy.blocklist.of(family) for family in (4, 6)}
    return evaluate(table(policy, packet.family), packet, listed).verdict


def asked(options: t.Mapping[str, t.Any], family: int = 4, **packet: t.Any) -> str:
    fields = {"source": STRANGER[family], "proto": "tcp", "interface": "eno1", **packet}
    return verdict(parse_policy(dict(options)), Packet(family=family, **fields))


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        ({"port": 22}, "ACCEPT"),
        ({"port": 80}, "ACCEPT"),
        ({"port": 443}, "ACCEPT"),
        ({"port": 25}, "DROP"),
        ({"port": 443, "proto": "udp"}, "DROP"),
        ({"port": 25, "interface": "lo"}, "ACCEPT"),
        ({"port": 25, "state": "ESTABLISHED"}, "ACCEPT"),
        ({"port": 25, "state": "RELATED"}, "ACCEPT"),
        ({"port": 22, "state": "INVALID"}, "DROP"),
    ],
)
def test_the_policy_of_the_article_does_what_it_says(family, packet, expected):
    assert asked(ARTICLE, family, **packet) == expected


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("default", "expected"), [("drop", "DROP"), ("reject", "REJECT"), ("accept", "ACCEPT")]
)
def test_what_nothing_lets_in_meets_the_default(family, default, expected):
    for proto in ("tcp", "udp"):
        assert asked({"default_input": default}, family, port=25, proto=proto) == expected


@pytest.mark.parametrize("family", [4, 6])
def test_nobody_comes_from_the_loopback_network_over_a_wire(family):
    source = {4: "127.0.0.1", 6: "::1"}[family]
    assert asked({"default_input": "accept"}, family, source=source, port=22) == "DROP"


@pytest.mark.parametrize(("family", "source"), [(4, "192.0.2.7"), (6, "2001:db8:1::7")])
def test_management_gets_in_before_every_list_that_could_name_it(family, source):
    spoofed = {"anti_spoof": {"interfaces": {"eno2": ["192.0.2.0/24", "2001:db8:1::/64"]}}}
    assert asked({**MANAGED, **spoofed}, family, source=source, port=22) == "ACCEPT"
    assert asked({**MANAGED, **spoofed}, family, source=source, port=80) == "DROP"
    assert asked(MANAGED, family, port=22) == "DROP"


@pytest.mark.parametrize("family", [4, 6])
def test_management_stands_right_after_what_is_established(family):
    notes = [rule.partition('"hearth:')[2].partition('"')[0] for rule in early(parse_policy(MANAGED), family)]
    assert notes[:3] == ["loopback", "established", "management"]


def test_a_raw_rule_comes_first_when_it_says_so_and_else_before_the_default():
    policy = parse_policy(
        {
            "extra_rules": [
                {"where": "first", "rule": "-j DROP"},
                {"where": "input", "rule": "-p udp -j ACCEPT"},
            ],
            "log": {},
        }
    )
    assert early(policy, 4)[0] == '-m comment --comment "hearth:extra" -j DROP'
    assert "-p udp" in input_rules(policy, 4)[-3]
    assert input_rules(policy, 4)[-2].endswith('-j LOG --log-prefix "hearth-drop: "')


@pytest.mark.parametrize("kind", [133, 134, 135, 136])
def test_neighbours_are_found_whatever_is_dropped_and_only_on_the_link(kind):
    for state in ("UNTRACKED", "INVALID"):
        packet = {"proto": "ipv6-icmp", "icmp_type": kind, "state": state, "source": "fe80::1"}
        assert asked({}, 6, **packet, hop_limit=255) == "ACCEPT"
        assert asked({}, 6, **packet, hop_limit=254) == "DROP"
        assert asked({"essential_icmp": False}, 6, **packet, hop_limit=255) == "DROP"


@pytest.mark.parametrize(
    ("family", "kind", "expected"),
    [
        (4, 3, "ACCEPT"),  # code 4: fragmentation needed
        (4, 8, "ACCEPT"),
        (4, 11, "ACCEPT"),
        (4, 5, "DROP"),
        (4, 13, "DROP"),
        (6, 1, "ACCEPT"),
        (6, 2, "ACCEPT"),  # packet too big
        (6, 3, "ACCEPT"),
        (6, 4, "ACCEPT"),
        (6, 128, "ACCEPT"),
        (6, 137, "DROP"),
        (6, 130, "DROP"),  # only from the link
    ],
)
def test_the_icmp_that_networks_need_gets_in(family, kind, expected):
    proto = {4: "icmp", 6: "ipv6-icmp"}[family]
    assert asked({}, family, proto=proto, icmp_type=kind) == expected
    assert asked({"essential_icmp": False}, family, proto=proto, icmp_type=kind) == "DROP"


def test_multicast_listeners_are_asked_on_the_link_and_redirects_are_never_taken():
    for kind in (130, 131, 132, 143):
        assert asked({}, 6, proto="ipv6-icmp", icmp_type=kind, source="fe80::1") == "ACCEPT"
    assert asked({"default_input": "accept"}, 6, proto="ipv6-icmp", icmp_type=137, source="fe80::1") == "DROP"


def test_the_answer_of_a_dhcpv6_server_gets_in_from_the_link_alone():
    answer = {"proto": "udp", "source_port": 547, "port": 546}
    assert asked({"essential_icmp": False}, 6, source="fe80::1", **answer) == "ACCEPT"
    assert asked({}, 6, **answer) == "DROP"
    assert asked({}, 4, **answer) == "DROP"


@pytest.mark.parametrize(
    ("family", "proto", "port", "expected"),
    [
        (4, "udp", 67, "ACCEPT"),
        (4, "udp", 53, "ACCEPT"),
        (4, "tcp", 53, "ACCEPT"),
        (4, "udp", 547, "DROP"),
        (6, "udp", 547, "ACCEPT"),
        (6, "udp", 53, "ACCEPT"),
        (6, "tcp", 53, "ACCEPT"),
        (6, "udp", 67, "DROP"),
    ],
)
def test_guests_get_addresses_and_names_from_the_host(family, proto, port, expected):
    """AshleyYakeley/NixVirt#91, vagrant-libvirt#1839: a default deny took DHCP from the guests of a NAT network."""
    options = {"guest_networks": ["virbr+"]}
    assert asked(options, family, proto=proto, port=port, interface="virbr0") == expected
    assert asked(options, family, proto=proto, port=port, interface="eno1") == "DROP"


SPOOF = {
    "default_input": "accept",
    "anti_spoof": {
        "interfaces": {
            "eno1": ["192.0.2.0/24", "2001:db8:1::/64"],
            "eno2": ["192.0.2.128/25"],
            "eno3": ["0.0.0.0/0"],
        }
    },
}


@pytest.mark.parametrize(
    ("family", "source", "interface", "expected"),
    [
        (4, "192.0.2.1", "eno1", "ACCEPT"),
        (4, "192.0.2.1", "eno2", "DROP"),
        (4, "192.0.2.1", "eno3", "DROP"),
        (4, "192.0.2.1", "eno4", "DROP"),
        # The narrower network decides, as in a routing table.
        (4, "192.0.2.129", "eno2", "ACCEPT"),
        (4, "192.0.2.129", "eno1", "DROP"),
        (4, "203.0.113.1", "eno1", "DROP"),
        (4, "203.0.113.1", "eno2", "DROP"),
        (4, "203.0.113.1", "eno3", "ACCEPT"),
        (4, "203.0.113.1", "eno4", "ACCEPT"),
        (6, "2001:db8:1::1", "eno1", "ACCEPT"),
        (6, "2001:db8:1::1", "eno2", "DROP"),
        (6, "2001:db8:2::1", "eno1", "DROP"),
        # Nothing is said about IPv6 behind eno2.
        (6, "2001:db8:2::1", "eno2", "ACCEPT"),
        (6, "fe80::1", "eno1", "ACCEPT"),
    ],
)
def test_a_source_comes_over_the_interface_it_lives_behind(family, source, interface, expected):
    assert asked(SPOOF, family, source=source, interface=interface, port=80) == expected


def test_a_client_without_an_address_may_ask_for_one():
    ask = {"source": "0.0.0.0", "proto": "udp", "source_port": 68, "port": 67}
    assert asked(SPOOF, 4, **ask) == "ACCEPT"
    assert asked(SPOOF, 4, **{**ask, "port": 80}) == "DROP"


def test_there_is_no_chain_for_spoofing_where_there_is_nothing_to_say():
    only4 = {"anti_spoof": {"interfaces": {"eno1": ["192.0.2.0/24"], "eno3": ["::/0"]}}}
    assert ANTISPOOF in dict(render(parse_policy(only4), 4).chains)
    assert ANTISPOOF not in dict(render(parse_policy(only4), 6).chains)
    assert not any(ANTISPOOF in rule for rule in early(parse_policy(only4), 6))


def test_who_comes_too_often_is_dropped_before_the_service_accepts():
    policy = parse_policy(
        {"services": [{"name": "ssh", "ports": ["ssh"], "rate_limit": {"new": "10/minute"}}]}
    )
    rules = [rule for rule in dict(render(policy, 4).chains)[INPUT] if '"hearth:ssh"' in rule]
    assert [rule.rpartition(" ")[2] for rule in rules] == ["DROP", "ACCEPT"]
    assert "--ctstate NEW -m hashlimit --hashlimit-above 10/min" in rules[0]


# Properties

_outside = st.sampled_from(policies.INTERFACES)


def _inside(zone: Zone, family: int, draw: t.Callable[..., t.Any]) -> tuple[str, str] | None:
    """Return an address of the zone and an interface of it."""
    if zone.sources is not None and not zone.sources.of(family):
        return None
    source = zone.sources.of(family)[0].partition("/")[0] if zone.sources else STRANGER[family]
    if zone is ANY:
        source = STRANGER[family]
    return source, zone.interfaces[0] if zone.interfaces else draw(_outside)


def _without_lists(options: policies.Options) -> Policy:
    """Return the policy without what may overrule a service: it is tested on its own."""
    return parse_policy({**options, "blocklist": None, "anti_spoof": None})


@settings(max_examples=30)
@given(policies.options(), st.data())
def test_a_declared_service_is_accepted_from_each_of_its_zones(options, data):
    policy = _without_lists(options)
    for service in policy.services:
        for zone, ports in ((zone, ports) for zone in service.zones for ports in service.ports):
            for family in policy.families:
                place = _inside(zone, family, data.draw)
                if service.published or place is None:
                    continue
                port = data.draw(st.sampled_from(ports.ranges))[0] if ports.ranges else None
                assert verdict(policy, Packet(family, place[0], ports.proto, port, place[1])) == "ACCEPT"


@settings(max_examples=30)
@given(policies.options(), st.data())
def test_what_no_service_declares_is_not_accepted(options, data):
    policy = parse_policy(options)
    opened = [ports for service in policy.services if not service.published for ports in service.ports]
    port = data.draw(st.integers(1, 65535))
    used = [*opened, *policy.management_ports]
    if any(ports.proto == "tcp" and low <= port <= high for ports in used for low, high in ports.ranges):
        return
    for family in policy.families:
        packet = Packet(family, STRANGER[family], "tcp", port, data.draw(_outside))
        wanted = {"ACCEPT"} if policy.default_input == "accept" else {"DROP", "REJECT"}
        found = verdict(policy, packet)
        assert found in wanted or (found == "DROP" and policy.anti_spoof)


@settings(max_examples=30)
@given(policies.options(), st.data())
def test_whatever_the_policy_is_loopback_and_what_is_established_live(options, data):
    policy = parse_policy(options)
    port = data.draw(st.integers(1, 65535))
    for family in policy.families:
        source = {4: "127.0.0.1", 6: "::1"}[family]
        assert verdict(policy, Packet(family, source, "tcp", port, "lo")) == "ACCEPT"
        packet = Packet(family, STRANGER[family], "tcp", port, data.draw(_outside), state="ESTABLISHED")
        assert verdict(policy, packet) == "ACCEPT"


@settings(max_examples=30)
@given(policies.options(), st.data())
def test_whatever_the_policy_is_management_gets_in(options, data):
    policy = parse_policy(options)
    for family in policy.families:
        for place in filter(None, (_inside(zone, family, data.draw) for zone in policy.management)):
            for ports in policy.management_ports:
                packet = Packet(family, place[0], ports.proto, ports.ranges[0][0], place[1])
                assert verdict(policy, packet) == "ACCEPT"


def test_every_chain_has_a_name_that_the_kernel_takes():
    assert all(len(name) <= 28 for name in (EARLY, INPUT, ANTISPOOF))
