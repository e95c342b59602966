# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import policies
import pytest
from hypothesis import given

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall import rulewords, words
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import (
    Limit,
    Log,
    Networks,
    Policy,
    Ports,
    Service,
)


def test_the_comment_stands_before_the_target_and_words_that_are_not_there_leave_no_gap():
    assert (
        rulewords.rule("", "-i eno1", note="web", to="ACCEPT")
        == '-i eno1 -m comment --comment "hearth:web" -j ACCEPT'
    )
    assert rulewords.rule(note="default", to="DROP") == '-m comment --comment "hearth:default" -j DROP'


# ports, the words of each rule
PORTS = [
    (Ports("gre"), ["-p gre"]),
    (Ports("tcp", ((22, 22),)), ["-p tcp -m tcp --dport 22"]),
    (Ports("udp", ((6800, 7568),)), ["-p udp -m udp --dport 6800:7568"]),
    (Ports("sctp", ((1, 1), (3, 5))), ["-p sctp -m multiport --dports 1,3:5"]),
    (
        Ports("tcp", tuple((port, port) for port in range(1, 33, 2))),
        [
            "-p tcp -m multiport --dports 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29",
            "-p tcp -m tcp --dport 31",
        ],
    ),
    # A range counts twice: seven of them and one port are fifteen.
    (
        Ports("tcp", tuple((port, port + 1) for port in range(1, 25, 3))),
        ["-p tcp -m multiport --dports 1:2,4:5,7:8,10:11,13:14,16:17,19:20", "-p tcp -m tcp --dport 22:23"],
    ),
    (
        Ports("tcp", (*((port, port + 1) for port in range(1, 20, 3)), (25, 25))),
        ["-p tcp -m multiport --dports 1:2,4:5,7:8,10:11,13:14,16:17,19:20,25"],
    ),
]


@pytest.mark.parametrize(("ports", "expected"), PORTS)
def test_ports_are_split_where_multiport_would_refuse_them(ports, expected):
    assert list(rulewords.port_matches(ports)) == expected


@given(policies.ports)
def test_no_port_is_lost_between_the_rules(drawn):
    for ports in words.ports("x", drawn):
        texts = [match.rpartition(" ")[2] for match in rulewords.port_matches(ports)]
        assert ",".join(texts) == ",".join(rulewords.span(*item) for item in ports.ranges)
        assert all(text.count(",") + text.count(":") < rulewords.MOST_PORTS for text in texts)


def test_a_rate_is_counted_for_each_source_and_for_each_network_of_one_host_in_ipv6():
    ssh = Service("ssh", (), limit=Limit("10/min", 20))
    four = "-m hashlimit --hashlimit-above 10/min --hashlimit-burst 20 --hashlimit-mode srcip"
    assert rulewords.above(ssh, 4) == f"{four} --hashlimit-name hearth-ssh-10-min-20"
    assert rulewords.above(ssh, 6) == f"{four} --hashlimit-name hearth-ssh-10-min-20 --hashlimit-srcmask 64"
    assert rulewords.above(Service("ssh", ()), 4) == ""


def test_another_rate_is_another_table_of_the_kernel():
    names = {
        rulewords.above(Service("ssh", (), limit=limit), 4).rpartition(" ")[2]
        for limit in (Limit("10/min", 20), Limit("10/sec", 20), Limit("10/min", 21))
    }
    assert len(names) == 3


def test_only_the_burst_that_iptables_does_not_print_is_left_out():
    assert rulewords.within(Limit("5/min", 10)) == "-m limit --limit 5/min --limit-burst 10"
    assert rulewords.within(Limit("5/min", 5)) == "-m limit --limit 5/min"
    assert "--hashlimit-burst 5 " in rulewords.above(Service("ssh", (), limit=Limit("5/min", 5)), 4)


@pytest.mark.parametrize(
    ("prefix", "target"),
    [
        ("hearth-drop: ", 'LOG --log-prefix "hearth-drop: "'),
        ("a.b", 'LOG --log-prefix "a.b"'),
        ("hearth_drop-1", "LOG --log-prefix hearth_drop-1"),
        ("", "LOG"),
    ],
)
def test_a_log_prefix_is_quoted_where_iptables_save_quotes_it(prefix, target):
    (rule,) = rulewords.logged(Log(prefix, Limit("5/min", 5)))
    assert rule == f'-m limit --limit 5/min -m comment --comment "hearth:log" -j {target}'
    assert rulewords.logged(None) == ()


def test_a_block_list_is_one_rule_in_the_families_that_have_one():
    policy = Policy(blocklist=Networks(("203.0.113.0/24",)))
    assert rulewords.blocked(policy, 4) == (
        '-m set --match-set hearth-block4 src -m comment --comment "hearth:blocklist" -j DROP',
    )
    assert rulewords.blocked(policy, 6) == ()
