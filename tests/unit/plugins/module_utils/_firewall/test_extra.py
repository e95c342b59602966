# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.extra import extra_rule
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import ExtraRule

EXTRA = '-m comment --comment "hearth:extra"'

# what is given, what becomes of it
GOOD: list[tuple[dict[str, t.Any], ExtraRule]] = [
    (
        {"where": "input", "rule": "-p tcp -m tcp --dport 25 -j ACCEPT"},
        ExtraRule("input", (4, 6), f"-p tcp -m tcp --dport 25 {EXTRA} -j ACCEPT"),
    ),
    (
        {"where": "first", "rule": "-s 192.0.2.1/32  -j DROP ", "comment": "old printer"},
        ExtraRule("first", (4,), '-s 192.0.2.1/32 -m comment --comment "hearth:old printer" -j DROP'),
    ),
    (
        {"where": "docker", "rule": "! -d 2001:db8::/32 -g SOMEWHERE", "families": ["ipv6"]},
        ExtraRule("docker", (6,), f"! -d 2001:db8::/32 {EXTRA} -g SOMEWHERE"),
    ),
    (
        {"where": "input", "rule": "-p icmpv6 -j ACCEPT"},
        ExtraRule("input", (6,), f"-p icmpv6 {EXTRA} -j ACCEPT"),
    ),
    (
        {"where": "input", "rule": "-p icmp -j ACCEPT", "families": None},
        ExtraRule("input", (4,), f"-p icmp {EXTRA} -j ACCEPT"),
    ),
    (
        {"where": "forward", "rule": "-i virbr+ -o eno1 -j ACCEPT", "families": ["ipv6", "ipv4"]},
        ExtraRule("forward", (4, 6), f"-i virbr+ -o eno1 {EXTRA} -j ACCEPT"),
    ),
    # A comment of its own stays where it is; quotes keep words together.
    (
        {"where": "input", "rule": '-m comment --comment "not ours" -j LOG --log-prefix "two words "'},
        ExtraRule("input", (4, 6), '-m comment --comment "not ours" -j LOG --log-prefix "two words "'),
    ),
    (
        {
            "where": "input",
            "rule": "-p tcp -m multiport --dports 1,2,3,4,5,6,7,8,9,10,11,12,13,14:15 -j DROP",
        },
        ExtraRule(
            "input",
            (4, 6),
            f"-p tcp -m multiport --dports 1,2,3,4,5,6,7,8,9,10,11,12,13,14:15 {EXTRA} -j DROP",
        ),
    ),
]

ANY_RULE = "-p tcp -j ACCEPT"
# what is given, what the message says
BAD: list[tuple[dict[str, t.Any], str]] = [
    ({"where": "output", "rule": ANY_RULE}, "use one of first, input, forward, docker"),
    ({"rule": ANY_RULE}, "use one of first, input, forward, docker"),
    ({"where": "input"}, "is no rule"),
    ({"where": "input", "rule": "  "}, "is no rule"),
    ({"where": "input", "rule": "-p tcp\n-j ACCEPT"}, "is no rule"),
    ({"where": "input", "rule": "-j DROP\nCOMMIT"}, "is no rule"),
    ({"where": "input", "rule": "-A INPUT -j ACCEPT"}, "-A names a command"),
    ({"where": "input", "rule": "-t nat -j ACCEPT"}, "-t names a command"),
    ({"where": "input", "rule": "--flush -j ACCEPT"}, "--flush names a command"),
    # iptables-restore makes '\'ceph\'' of it.
    ({"where": "input", "rule": "-m comment --comment 'ceph' -j ACCEPT"}, "pairs of double quotes only"),
    ({"where": "input", "rule": '-m comment --comment "ceph -j ACCEPT'}, "pairs of double quotes only"),
    ({"where": "input", "rule": "-p tcp"}, "it has 0 targets"),
    ({"where": "input", "rule": "-p tcp -j"}, "end the rule with one -j TARGET"),
    ({"where": "input", "rule": "-j ACCEPT -j DROP"}, "it has 2 targets"),
    ({"where": "input", "rule": "-j HEARTH-EARLY"}, "which is rendered"),
    ({"where": "input", "rule": "-s host.example.org -j ACCEPT"}, "names are not looked up"),
    ({"where": "input", "rule": "-s 192.0.2.9/24 -j ACCEPT"}, "write 192.0.2.0/24"),
    ({"where": "input", "rule": "-s 192.0.2.1,192.0.2.2 -j ACCEPT"}, "is no network"),
    ({"where": "input", "rule": "-j ACCEPT -s"}, "is no network"),
    (
        {"where": "input", "rule": "-s 192.0.2.0/24 -j ACCEPT", "families": ["ipv6"]},
        "do not fit the addresses",
    ),
    (
        {"where": "input", "rule": "-s 192.0.2.0/24 -j ACCEPT", "families": ["ipv4", "ipv6"]},
        "one rule for each family",
    ),
    ({"where": "input", "rule": "-s 192.0.2.1 -d 2001:db8::1 -j ACCEPT"}, "do not fit the addresses"),
    ({"where": "input", "rule": ANY_RULE, "families": ["inet"]}, "names no family"),
    ({"where": "input", "rule": ANY_RULE, "families": []}, "names no family"),
    ({"where": "input", "rule": "-i abcdefghijklmnop -j ACCEPT"}, "has 16 characters"),
    ({"where": "input", "rule": f'-m comment --comment "{"x" * 256}" -j ACCEPT'}, "after 255"),
    ({"where": "input", "rule": f'-j LOG --log-prefix "{"x" * 30}"'}, "after 29"),
    ({"where": "input", "rule": ANY_RULE, "comment": "x" * 249}, "after 248"),
    ({"where": "input", "rule": ANY_RULE, "comment": "it's"}, "use letters, digits"),
    (
        {"where": "input", "rule": '-m comment --comment "a" -j DROP', "comment": "b"},
        "leave one of the two out",
    ),
    (
        {
            "where": "input",
            "rule": "-p tcp -m multiport --dports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16 -j DROP",
        },
        "more than 15 ports",
    ),
    (
        {
            "where": "input",
            "rule": "-p tcp -m multiport --ports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15:16 -j DROP",
        },
        "more than 15 ports",
    ),
]


@pytest.mark.parametrize(("given", "expected"), GOOD)
def test_a_raw_rule_gets_a_comment_and_the_families_it_can_be_meant_for(given, expected):
    assert extra_rule("extra_rules[0]", given) == expected


@pytest.mark.parametrize(("given", "said"), BAD)
def test_a_raw_rule_that_iptables_would_change_cut_or_misread_is_refused(given, said):
    with pytest.raises(ParseError) as caught:
        extra_rule("extra_rules[0]", given)
    assert caught.value.message.startswith("extra_rules[0]")
    assert said in caught.value.as_result()["msg"]
