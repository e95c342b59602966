# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from captures import CAPTURES
from hypothesis import given
from hypothesis import strategies as st
from placements import save_text

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.evaluate import DEEPEST, evaluate
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import Packet, Table, Verdict
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import parse_save


def tcp(port: int, source: str = "198.51.100.7", interface: str = "eth0", state: str = "NEW") -> Packet:
    return Packet(6 if ":" in source else 4, source, "tcp", port, interface, state=state)


def icmp(kind: int, source: str = "fe80::1") -> Packet:
    return Packet(6, source, "ipv6-icmp", icmp_type=kind, hop_limit=255, state="UNTRACKED")


LO = Packet(4, "127.0.0.1", "tcp", 53, "lo", "127.0.0.1")
OWN = "-A INPUT -j REJECT --reject-with icmp-host-prohibited"

# a real table, a packet -> what the program that made it documents
REAL = [
    ("ufw", tcp(22), "ACCEPT", "-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT"),
    ("ufw", tcp(2222), "ACCEPT", "-A ufw-user-limit-accept -j ACCEPT"),
    ("ufw", tcp(2222, "192.0.2.9"), "ACCEPT", "-A ufw-user-limit-accept -j ACCEPT"),
    ("ufw", tcp(80, "192.0.2.9"), "DROP", "-A ufw-user-input -s 192.0.2.0/24 -j DROP"),
    ("ufw", tcp(80), "DROP", "-P INPUT DROP"),
    ("ufw", tcp(139), "DROP", "-A ufw-skip-to-policy-input -j DROP"),
    ("ufw", LO, "ACCEPT", "-A ufw-before-input -i lo -j ACCEPT"),
    (
        "ufw",
        tcp(40000, state="ESTABLISHED"),
        "ACCEPT",
        "-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    ),
    ("ufw", tcp(22, state="INVALID"), "DROP", "-A ufw-before-input -m conntrack --ctstate INVALID -j DROP"),
    ("ufw", Packet(4, "198.51.100.7", "udp", 5353, destination="224.0.0.251"), "ACCEPT", None),
    ("ufw6", tcp(22, "2001:db8::7"), "ACCEPT", None),
    ("ufw6", tcp(80, "2001:db8::7"), "DROP", "-P INPUT DROP"),
    ("ufw6", icmp(135), "ACCEPT", None),
    ("firewalld", tcp(22), "ACCEPT", "-A IN_public_allow -p tcp -m tcp --dport 22 -j ACCEPT"),
    ("firewalld", tcp(8188, interface=""), "ACCEPT", None),
    ("firewalld", tcp(80), "REJECT", "-A IN_public -j REJECT --reject-with icmp-port-unreachable"),
    ("firewalld", tcp(80, interface="eth9"), "REJECT", None),
    ("firewalld", tcp(80, state="INVALID"), "DROP", "-A INPUT -m conntrack --ctstate INVALID -j DROP"),
    (
        "firewalld6",
        icmp(134),
        "ACCEPT",
        "-A IN_allow-host-ipv6_allow -p ipv6-icmp -m icmp6 --icmpv6-type 134 -j ACCEPT",
    ),
    ("firewalld6", icmp(133), "ACCEPT", "-A IN_public -p ipv6-icmp -j ACCEPT"),
    ("docker_fail2ban", tcp(22), "ACCEPT", "-P INPUT ACCEPT"),
    (
        "docker_fail2ban",
        tcp(22, "203.0.113.9"),
        "REJECT",
        "-A f2b-sshd -s 203.0.113.9/32 -j REJECT --reject-with icmp-port-unreachable",
    ),
    ("docker_fail2ban", tcp(80, "203.0.113.9"), "ACCEPT", "-P INPUT ACCEPT"),
    (
        "libvirt",
        Packet(4, "192.168.122.5", "udp", 53, "virbr0"),
        "ACCEPT",
        "-A LIBVIRT_INP -i virbr0 -p udp -m udp --dport 53 -j ACCEPT",
    ),
    ("libvirt", tcp(22), "ACCEPT", "-P INPUT ACCEPT"),
]


@pytest.mark.parametrize(("name", "packet", "verdict", "rule"), REAL)
def test_the_firewall_of_a_real_program_is_understood(
    name: str, packet: Packet, verdict: str, rule: str | None
) -> None:
    found = evaluate(parse_save(CAPTURES[name]), packet)
    assert (found.verdict, rule or found.rule) == (verdict, found.rule)
    assert found.accepted is (verdict == "ACCEPT")


def test_docker_forwards_nothing_that_no_container_wants() -> None:
    table = parse_save(CAPTURES["docker_fail2ban"])
    assert evaluate(table, tcp(8188), chain="FORWARD") == Verdict("DROP", "-P FORWARD DROP")
    # Where a packet is on its way to (-o) is not known.
    assert evaluate(table, tcp(8188, interface="docker0"), chain="FORWARD").verdict == "UNKNOWN"
    assert evaluate(table, tcp(8188), chain="DOCKER-USER") == Verdict("RETURN", "-A DOCKER-USER -j RETURN")


def ruled(*rules: str, policy: str = "ACCEPT") -> Table:
    lines = tuple(rule if rule.startswith(("-A ", ":")) else f"-A INPUT {rule}" for rule in rules)
    return parse_save(save_text(lines, {"INPUT": policy}))


MARK = "-m mark --mark 0x1"
# rules of INPUT (or of a chain), verdict, rule
WALKS = [
    ((), "ACCEPT", "-P INPUT ACCEPT"),
    (("-j DROP", "-j ACCEPT"), "DROP", "-A INPUT -j DROP"),
    (
        ("-j LOG", "-j MARK --set-xmark 0x1/0x1", "-m recent --set --name x --rsource", "-j ACCEPT"),
        "ACCEPT",
        "-A INPUT -j ACCEPT",
    ),
    (("-j RETURN", "-j DROP"), "ACCEPT", "-P INPUT ACCEPT"),
    (("-j a", "-j ACCEPT", "-A a -j RETURN", "-A a -j DROP"), "ACCEPT", "-A INPUT -j ACCEPT"),
    (("-j a", "-j ACCEPT", "-A a -p udp -j DROP"), "ACCEPT", "-A INPUT -j ACCEPT"),
    # What comes back from -g comes back to where the chain that said it was called from.
    (("-g a", "-j DROP", "-A a -p udp -j DROP"), "ACCEPT", "-P INPUT ACCEPT"),
    (("-j a", "-j ACCEPT", "-A a -g b", "-A a -j DROP", ":b"), "ACCEPT", "-A INPUT -j ACCEPT"),
    (("-j a", "-j ACCEPT", "-A a -g b", "-A b -j DROP"), "DROP", "-A b -j DROP"),
    # A doubt, and both ways end the same.
    ((f"{MARK} -j DROP", "-j ACCEPT"), "UNKNOWN", f"-A INPUT {MARK} -j DROP"),
    ((f"{MARK} -j DROP", "-j REJECT --reject-with tcp-reset"), "DROP", f"-A INPUT {MARK} -j DROP"),
    ((f"{MARK} -j LOG", "-j DROP"), "DROP", "-A INPUT -j DROP"),
    ((f"{MARK} -j a", "-j DROP", "-A a -p udp -j ACCEPT"), "DROP", "-A INPUT -j DROP"),
    ((f"{MARK} -j a", "-j DROP", "-A a -j ACCEPT"), "UNKNOWN", f"-A INPUT {MARK} -j a"),
    ((f"{MARK} -j RETURN", "-j DROP"), "UNKNOWN", f"-A INPUT {MARK} -j RETURN"),
    (("-j a", "-j DROP", f"-A a {MARK} -j RETURN", "-A a -j ACCEPT"), "UNKNOWN", f"-A a {MARK} -j RETURN"),
    # Targets that leave it to somebody else, or of which nothing is known.
    (("-j NFQUEUE --queue-num 0", "-j ACCEPT"), "UNKNOWN", "-A INPUT -j NFQUEUE --queue-num 0"),
    (("-j TARPIT", "-j DROP"), "UNKNOWN", "-A INPUT -j TARPIT"),
    # The kernel takes no table with a loop.
    (("-j a", "-j ACCEPT", "-A a -j a"), "UNKNOWN", "-A a -j a"),
    (("-j a", "-j DROP", "-A a -p udp -j b", "-A b -j a"), "DROP", "-A INPUT -j DROP"),
]


@pytest.mark.parametrize(("rules", "verdict", "rule"), WALKS)
def test_the_way_of_a_packet(rules: tuple[str, ...], verdict: str, rule: str) -> None:
    assert evaluate(ruled(*rules), tcp(22)) == Verdict(verdict, rule)


@pytest.mark.parametrize(("policy", "verdict"), [("ACCEPT", "ACCEPT"), ("DROP", "UNKNOWN")])
def test_both_ways_of_a_doubt_may_lead_in(policy: str, verdict: str) -> None:
    rule = f"{MARK} -j ACCEPT"
    assert evaluate(ruled(rule, policy=policy), tcp(22)) == Verdict(verdict, f"-A INPUT {rule}")


def test_a_block_list_is_asked_when_it_is_known() -> None:
    table = ruled("-m set --match-set hearth-block4 src -j DROP", "-j ACCEPT")
    assert evaluate(table, tcp(22)).verdict == "UNKNOWN"
    assert evaluate(table, tcp(22), {"hearth-block4": ("198.51.100.0/24",)}).verdict == "DROP"
    assert evaluate(table, tcp(22), {"hearth-block4": ()}).accepted


def test_jumps_are_followed_no_deeper_than_the_kernel_does() -> None:
    lines = [f"-A c{n} -j c{n + 1}" for n in range(2 * DEEPEST)]
    table = ruled("-j c0", *lines, f":c{2 * DEEPEST}")
    assert evaluate(table, tcp(22)).verdict == "UNKNOWN"


def test_a_chain_that_is_asked_from_many_places_is_walked_once() -> None:
    """Else the work doubles with every level."""
    lines = [line for n in range(40) for line in (f"-A c{n} {MARK} -j c{n + 1}", f"-A c{n} -j c{n + 1}")]
    assert evaluate(ruled("-j c0", *lines, ":c40"), tcp(22)).accepted


# --- property: the walk against a slow one that tries every answer ----------------------------

RULES = st.sampled_from(
    [
        f"{m}-j {to}"
        for m in ("", "-p udp ", f"{MARK} ", "-m mark --mark 0x2 ")
        for to in ("ACCEPT", "DROP", "RETURN", "a", "b")
    ]
    + ["-g b", f"{MARK} -g b"]
)
CHAINS = st.lists(RULES, max_size=5)


def _slow(chains: dict[str, list[str]], chain: str, marks: dict[str, bool]) -> str:
    for rule in chains[chain]:
        words = rule.split()
        if "udp" in words or ("-m" in words and not marks[words[3]]):
            continue
        target = words[-1]
        if target == "RETURN":
            return "RETURN"
        if target in ("ACCEPT", "DROP"):
            return target
        inner = _slow(chains, target, marks)
        if inner != "RETURN" or "-g" in words:
            return inner
    return "RETURN"


@given(CHAINS, CHAINS, CHAINS, st.sampled_from(["ACCEPT", "DROP"]))
def test_a_certain_verdict_is_the_one_of_every_possible_world(
    top: list[str], a: list[str], b: list[str], policy: str
) -> None:
    b = [rule for rule in b if rule.split()[-1] not in ("a", "b")]
    a = [rule for rule in a if rule.split()[-1] != "a"]
    chains = {"INPUT": top, "a": a, "b": b}
    worlds = [{"0x1": one, "0x2": other} for one in (False, True) for other in (False, True)]
    ends = {_slow(chains, "INPUT", marks) for marks in worlds}
    ends = {policy if end == "RETURN" else end for end in ends}
    table = Table((("INPUT", policy),), tuple((name, tuple(rules)) for name, rules in chains.items()))
    found = evaluate(table, tcp(22)).verdict
    assert found == "UNKNOWN" or ends == {found}
    if not any("mark" in rule for rules in chains.values() for rule in rules):
        assert found != "UNKNOWN"
