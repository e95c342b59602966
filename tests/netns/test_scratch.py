# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules read back from a namespace, tables and back ends of a real kernel."""

from __future__ import annotations

import dataclasses
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from conftest import Net

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.backend import read_backend
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import EARLY, Jump, Ruleset
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.read import plain_set, read_kernel
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.scratch import canonical

FAMILIES = pytest.mark.parametrize("family", [4, 6])


def ruleset(*rules: str) -> Ruleset:
    return Ruleset(
        ((EARLY, rules),),
        (Jump("INPUT", EARLY, "first"), Jump("DOCKER-USER", EARLY, "first")),
        (),
        ("DOCKER-USER",),
    )


@FAMILIES
def test_rules_come_back_in_the_kernels_spelling_and_the_host_is_left_alone(net: Net, family: int) -> None:
    backend = read_backend(net.host, net.kind)
    wish = ruleset("-p TCP --dport ssh -j ACCEPT", "-m comment --comment x -j mine", "-p udp -j REJECT")
    found = canonical(net.host, backend, wish, family, others=("mine", "unused"))
    reject = "icmp-port-unreachable" if family == 4 else "icmp6-port-unreachable"
    assert dict(found.chains)[EARLY] == (
        "-p tcp -m tcp --dport 22 -j ACCEPT",
        "-m comment --comment x -j mine",
        f"-p udp -j REJECT --reject-with {reject}",
    )
    assert dataclasses.replace(found, chains=wish.chains) == wish
    assert canonical(net.host, backend, found, family, others=("mine",)) == found
    assert net.run("nft", "list", "ruleset").out == ""
    assert net.run("cat", "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names").out == ""


@FAMILIES
@pytest.mark.parametrize(
    "rule",
    [
        "-p tcp --bogus",
        "-p tcp -j NOWHERE",
        "-m set --match-set nothing src -j DROP",
        "-s host.invalid -j DROP",
    ],
)
def test_a_rule_that_iptables_does_not_take_is_quoted(net: Net, family: int, rule: str) -> None:
    with pytest.raises(ParseError, match="iptables does not take") as caught:
        canonical(
            net.host, read_backend(net.host, net.kind), ruleset("-i lo -j ACCEPT", rule, "-j DROP"), family
        )
    assert caught.value.details["rule"] == f"-A {EARLY} {rule}"


@FAMILIES
def test_rules_may_ask_our_list_and_those_of_others(net: Net, family: int) -> None:
    kind = "inet" if family == 4 else "inet6"
    net.run("ipset", "create", "theirs", "hash:net,iface", "family", kind)
    wish = ruleset(
        f"-m set --match-set hearth-block{family} src -j DROP", "-m set --match-set theirs src,src -j DROP"
    )
    sets = f"create hearth-block{family} hash:net family {kind} maxelem 65536\nadd hearth-block{family} ignored\n"
    assert canonical(net.host, read_backend(net.host, net.kind), wish, family, sets) == wish
    assert "hearth" not in net.run("ipset", "save").out


def test_a_list_that_ipset_does_not_take_is_an_error(net: Net) -> None:
    with pytest.raises(ParseError, match="Syntax error|Unknown argument"):
        canonical(
            net.host,
            read_backend(net.host, net.kind),
            ruleset(),
            4,
            "create hearth-block4 hash:net nonsense 1\n",
        )


def test_reading_makes_no_table(net: Net) -> None:
    found = read_kernel(net.host, read_backend(net.host, net.kind))
    assert "HEARTH" not in "".join(found.tables.values())
    assert found.sets == {4: "", 6: ""}
    assert net.run("nft", "list", "ruleset").out == ""
    assert net.run("cat", "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names").out == ""


def test_tables_and_lists_are_read_in_one_go(net: Net) -> None:
    net.restore(4, "*filter\n-A INPUT -s 192.0.2.1 -j DROP\nCOMMIT\n")
    net.restore(6, "*filter\n-A INPUT -s 2001:db8::1 -j DROP\nCOMMIT\n")
    net.run(
        "ipset",
        "restore",
        stdin="create hearth-block6 hash:net family inet6\nadd hearth-block6 2001:db8::/32\n",
    )
    found = read_kernel(net.host, read_backend(net.host, net.kind))
    assert "-A INPUT -s 192.0.2.1/32 -j DROP\n" in found.tables[4]
    assert "-A INPUT -s 2001:db8::1/128 -j DROP\n" in found.tables[6]
    assert found.sets[4] == ""
    assert plain_set(found.sets[6]) == (
        "create hearth-block6 hash:net family inet6 maxelem 65536\nadd hearth-block6 2001:db8::/32\n"
    )


def test_rules_of_the_other_back_end_are_seen_and_ours_are_none(net: Net) -> None:
    other = Net(net.pid, net.root, "legacy" if net.kind == "nft" else "nft")
    assert read_backend(net.host, net.kind).other_has_rules == ()
    other.restore(
        4, "*filter\n:HEARTH-INPUT - [0:0]\n-A INPUT -j HEARTH-INPUT\n-A HEARTH-INPUT -j DROP\nCOMMIT\n"
    )
    assert read_backend(net.host, net.kind).other_has_rules == ()
    other.iptables(6, "-A", "INPUT", "-p", "udp", "-j", "DROP")
    found = read_backend(net.host, net.kind)
    assert (found.kind, found.tool4, found.tool6) == (
        net.kind,
        f"iptables-{net.kind}",
        f"ip6tables-{net.kind}",
    )
    assert [line.partition(":")[0] for line in found.other_has_rules] == [f"ip6tables-{other.kind}"]
