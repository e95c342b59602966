# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib
import typing as t

import policies
import pytest
from hypothesis import given, settings

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.evaluate import evaluate
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    DOCKER,
    EARLY,
    FORWARD,
    INPUT,
    Jump,
    Packet,
    Ruleset,
    Table,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy import parse_policy
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.render import render, rescue, sets

# See README.md there for what iptables and ipset printed these.
CAPTURED = pathlib.Path(__file__).parents[3] / "fixtures/policy"
OPTIONS = json.loads((CAPTURED / "options.json").read_text(encoding="utf-8"))
FAMILIES = (4, 6)
INSIDE = {4: "192.0.2.7", 6: "2001:db8:1::7"}
STRANGER = {4: "198.51.100.99", 6: "2001:db8:99::99"}
ZONES = {"mgmt": {"sources": ["192.0.2.0/24", "2001:db8:1::/64"]}}
COMFYUI = {"name": "comfyui", "ports": ["8188/tcp"], "zones": ["mgmt"], "published_by": "docker"}


def captured(name: str) -> str:
    return (CAPTURED / name).read_text(encoding="utf-8")


def as_saved(chains: t.Iterable[tuple[str, t.Sequence[str]]]) -> str:
    """Print chains as iptables-save does, with nobody else in the table."""
    found = list(chains)
    lines = [":INPUT ACCEPT [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]"]
    lines += [f":{name} - [0:0]" for name, _rules in found]
    lines += [f"-A {name} {rule}" for name, rules in found for rule in rules]
    return "\n".join(["*filter", *lines, "COMMIT", ""])


@pytest.mark.parametrize("family", FAMILIES)
def test_rules_are_spelled_as_iptables_save_prints_them(family):
    """Rules that the kernel spells differently are changed in every run; see 27 in the table of pitfalls."""
    assert as_saved(render(parse_policy(OPTIONS), family).chains) == captured(f"rules.v{family}.save")


@pytest.mark.parametrize("family", FAMILIES)
def test_rules_for_a_broken_boot_are_spelled_so_too(family):
    assert as_saved(rescue(parse_policy(OPTIONS), family)) == captured(f"rescue.v{family}.save")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_block_list_has_the_members_that_ipset_prints(family):
    printed = captured(f"blocklist.v{family}.ipset").splitlines()
    mine = sets(parse_policy(OPTIONS), family).splitlines()
    assert sorted(mine[1:]) == sorted(printed[1:])
    # ipset adds what it chose itself.
    assert set(mine[0].split()) <= set(printed[0].split())


def test_a_list_too_long_for_the_usual_set_gets_a_larger_one():
    sources = [
        f"198.{18 + high}.{low}.{last}"
        for high in range(2)
        for low in range(256)
        for last in range(0, 256, 2)
    ]
    text = sets(parse_policy({"blocklist": {"sources": [*sources, *(f"192.0.2.{n}" for n in (1, 3))]}}), 4)
    assert text.startswith("create hearth-block4 hash:net family inet maxelem 131072\n")
    assert len(text.splitlines()) == 65536 + 3


def test_nothing_is_blocked_in_a_family_that_is_left_out():
    policy = parse_policy({"families": ["ipv4"], "blocklist": {"sources": ["2001:db8::/32"]}})
    assert sets(policy, 6) == sets(policy, 4) == ""


def test_a_family_that_is_left_out_gets_nothing():
    policy = parse_policy({**OPTIONS, "families": ["ipv4"]})
    assert render(policy, 6) == Ruleset()
    assert rescue(policy, 6) == ()
    assert render(policy, 4) == render(parse_policy(OPTIONS), 4)


def test_only_what_the_policy_manages_is_touched():
    ruleset = render(parse_policy({}), 4)
    assert [name for name, _rules in ruleset.chains] == [EARLY, INPUT]
    assert ruleset.jumps == (Jump("INPUT", EARLY, "first"), Jump("INPUT", INPUT, "last"))
    assert ruleset.policies == ()
    assert ruleset.needs == ()


def test_jumps_policies_and_hooks_follow_the_policy():
    ruleset = render(parse_policy({**OPTIONS, "input_policy": "drop"}), 6)
    assert ruleset.jumps[2:] == (
        Jump("FORWARD", FORWARD, "last"),
        Jump("DOCKER-USER", DOCKER, "first"),
    )
    assert ruleset.policies == (("INPUT", "DROP"),)
    assert ruleset.needs == ("DOCKER-USER",)


def test_a_raw_rule_for_docker_makes_its_chain_in_its_family():
    policy = parse_policy({"extra_rules": [{"where": "docker", "rule": "-s 192.0.2.1 -j DROP"}]})
    assert DOCKER in dict(render(policy, 4).chains)
    assert DOCKER not in dict(render(policy, 6).chains)
    # A jump of the bundle never lacks its chain.
    assert DOCKER in dict(rescue(policy, 4)) or render(policy, 4).needs == ()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_published_port_is_for_its_zones_and_opens_nothing_on_the_host(family):
    """Docker forwards published ports, so that a deny in INPUT does not protect them (pitfall 22)."""
    options = {"zones": ZONES, "services": [COMFYUI]}
    ruleset = render(parse_policy(options), family)
    assert not any("comfyui" in rule for rule in dict(ruleset.chains)[INPUT])
    rules = [rule for rule in dict(ruleset.chains)[DOCKER] if "comfyui" in rule]
    match = "-p tcp -m conntrack --ctstate DNAT --ctorigdstport 8188 --ctdir ORIGINAL"
    source = {4: "192.0.2.0/24", 6: "2001:db8:1::/64"}[family]
    assert rules == [
        f'-s {source} {match} -m comment --comment "hearth:comfyui" -j RETURN',
        f'{match} -m comment --comment "hearth:comfyui" -j DROP',
    ]


def test_two_services_may_publish_one_port_to_two_zones():
    zones = {**ZONES, "lan": {"sources": ["203.0.113.0/24"]}}
    services = [COMFYUI, {**COMFYUI, "name": "again", "zones": ["lan"]}]
    rules = dict(render(parse_policy({"zones": zones, "services": services}), 4).chains)[DOCKER]
    assert [rule.rpartition(" ")[2] for rule in rules] == ["RETURN", "RETURN", "RETURN", "DROP", "DROP"]


def test_a_port_that_is_published_to_everybody_is_not_dropped_and_one_for_nobody_is():
    for zones, last in ((["any"], "RETURN"), ([], "DROP")):
        rules = dict(render(parse_policy({"services": [{**COMFYUI, "zones": zones}]}), 4).chains)[DOCKER]
        assert [rule.rpartition(" ")[2] for rule in rules] == ["RETURN", last]


def test_a_published_port_can_have_a_rate():
    options = {"services": [{**COMFYUI, "zones": ["any"], "rate_limit": {"new": "1/second", "burst": 3}}]}
    rules = dict(render(parse_policy(options), 6).chains)[DOCKER]
    assert "--hashlimit-above 1/sec" in rules[1]
    assert [rule.rpartition(" ")[2] for rule in rules] == ["RETURN", "DROP", "RETURN"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("interface", "state", "expected"),
    [
        ("virbr0", "NEW", "ACCEPT"),
        ("eno1", "ESTABLISHED", "ACCEPT"),
        ("eno1", "RELATED", "ACCEPT"),
        ("eno1", "NEW", "DROP"),
    ],
)
def test_guests_go_out_and_are_answered_when_forwarding_is_denied(family, interface, state, expected):
    ruleset = render(parse_policy({"default_forward": "drop", "guest_networks": ["virbr+"]}), family)
    # The evaluator does not know bridges; a packet that is routed is none of theirs.
    rules = tuple(rule for rule in dict(ruleset.chains)[FORWARD] if "physdev" not in rule)
    table = Table((("FORWARD", "ACCEPT"),), (("FORWARD", rules),))
    packet = Packet(family, STRANGER[family], "tcp", 443, interface, destination=INSIDE[family], state=state)
    assert evaluate(table, packet, {}, "FORWARD").verdict == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_nobody_else_is_forwarded_and_bridged_guests_are_left_alone(family):
    """docker/for-linux#949: with br_netfilter a deny in FORWARD cuts guests on a bridge."""
    rules = dict(render(parse_policy({"default_forward": "drop", "log": {}}), family).chains)[FORWARD]
    assert rules[1] == '-m physdev --physdev-is-bridged -m comment --comment "hearth:bridged" -j ACCEPT'
    assert rules[-2].endswith('-j LOG --log-prefix "hearth-drop: "')
    assert rules[-1] == '-m comment --comment "hearth:default" -j DROP'


# The rescue rules


def rescued(options: t.Mapping[str, t.Any], packet: Packet) -> str:
    jumps = (("INPUT", (f"-j {EARLY}", f"-j {INPUT}")),)
    chains = rescue(parse_policy(dict(options)), packet.family)
    return evaluate(Table((("INPUT", "ACCEPT"),), (*jumps, *chains)), packet, {}).verdict


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "options",
    [
        {"zones": ZONES, "management": ["mgmt"]},
        # Without management, who may reach SSH as a service.
        {"zones": ZONES, "services": [{"name": "ssh", "ports": ["20-30/tcp"], "zones": ["mgmt"]}]},
        {
            "zones": ZONES,
            "services": [{"name": "ssh", "ports": ["ssh"], "zones": ["mgmt"], "rate_limit": {}}],
        },
        {"zones": ZONES, "management": ["mgmt"], "management_ports": []},
    ],
)
def test_a_broken_boot_lets_management_in_and_nobody_else(family, options):
    assert rescued(options, Packet(family, INSIDE[family], "tcp", 22)) == "ACCEPT"
    assert rescued(options, Packet(family, STRANGER[family], "tcp", 22)) == "DROP"
    assert rescued(options, Packet(family, INSIDE[family], "tcp", 80)) == "DROP"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_broken_boot_of_a_policy_without_management_lets_everybody_to_ssh(family):
    options = {"services": [{"name": "web", "ports": ["80/tcp"]}]}
    assert rescued(options, Packet(family, STRANGER[family], "tcp", 22)) == "ACCEPT"
    assert rescued(options, Packet(family, STRANGER[family], "tcp", 80)) == "DROP"


def test_neighbours_are_found_after_a_broken_boot_whatever_the_policy_says():
    packet = Packet(6, "fe80::1", "ipv6-icmp", icmp_type=135, state="UNTRACKED", hop_limit=255)
    assert rescued({"essential_icmp": False}, packet) == "ACCEPT"


@settings(max_examples=50)
@given(policies.policies())
def test_rescue_rules_have_a_chain_for_every_jump_and_nothing_that_may_be_missing(policy):
    for family in policy.families:
        chains = dict(rescue(policy, family))
        assert {jump.chain for jump in render(policy, family).jumps} == set(chains)
        every = " ".join(rule for rules in chains.values() for rule in rules)
        assert not any(word in every for word in ("hashlimit", "match-set", "LOG", "ANTISPOOF"))


@settings(max_examples=50)
@given(policies.policies())
def test_every_rule_says_which_service_it_is_for(policy):
    for family in policy.families:
        ruleset = render(policy, family)
        for _name, rules in ruleset.chains:
            assert all(
                rule.count(' -m comment --comment "hearth:') + rule.startswith("-m comment") == 1
                for rule in rules
            )
        assert [name for name, _rules in ruleset.chains] == sorted(name for name, _rules in ruleset.chains)
        assert {jump.chain for jump in ruleset.jumps} <= {name for name, _rules in ruleset.chains}
