# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from captures import ODD

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.matches import (
    Match,
    Rule,
    holds,
    parse_rule,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import Packet
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import parse_save

# rule -> its conditions, its target, whether it leaves
PARSED = [
    ("", Rule()),
    ("-j DROP", Rule((), "DROP")),
    ("-g mine", Rule((), "mine", leaves=True)),
    ("! -i lo -j DROP", Rule((Match("-i", ("lo",), inverted=True),), "DROP")),
    (
        "-p tcp -m tcp ! --dport 22",
        Rule((Match("-p", ("tcp",)), Match("-m", ("tcp",)), Match("--dport", ("22",), True))),
    ),
    (
        "-m comment --comment -x -j DROP",
        Rule((Match("-m", ("comment",)), Match("--comment", ("-x",))), "DROP"),
    ),
    ('-m comment --comment "" -j DROP', Rule((Match("-m", ("comment",)), Match("--comment", ("",))), "DROP")),
    ("-j REJECT --reject-with tcp-reset", Rule((), "REJECT")),
    ("-m set --match-set x src,dst", Rule((Match("-m", ("set",)), Match("--match-set", ("x", "src,dst"))))),
]


@pytest.mark.parametrize(("text", "rule"), PARSED)
def test_a_rule_is_read_as_iptables_save_prints_it(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule


SSH = Packet(4, "198.51.100.7", "tcp", 22)
SSH6 = Packet(6, "2001:db8::7", "tcp", 22)
PING = Packet(4, "198.51.100.7", "icmp", icmp_type=8)
ND = Packet(6, "fe80::1", "ipv6-icmp", icmp_type=135, hop_limit=255, state="UNTRACKED")
LO = Packet(4, "127.0.0.1", "tcp", 53, "lo", "127.0.0.1")
WHERE = Packet(4, "198.51.100.7", "tcp", 22, "")
MDNS = Packet(4, "198.51.100.7", "udp", 5353, destination="224.0.0.251")
CAST = Packet(4, "198.51.100.7", "udp", 9, destination="255.255.255.255")
KNOWN = Packet(4, "198.51.100.7", "tcp", 40000, state="ESTABLISHED", source_port=443)
HERE = Packet(4, "198.51.100.7", "tcp", 22, destination="192.0.2.1")

ODD_PACKET = Packet(4, "192.0.2.7", "udp", 53, "", source_port=5353)

# conditions, packet -> answer
ANSWERS: list[tuple[str, Packet, bool | None]] = [
    ("", SSH, True),
    ("-s 198.51.100.0/24", SSH, True),
    ("-s 192.0.2.0/24", SSH, False),
    ("! -s 192.0.2.0/24", SSH, True),
    ("-s 2001:db8::/32", SSH6, True),
    ("-s 198.51.0.7/255.255.0.255", SSH, None),
    ("-d 192.0.2.1/32", HERE, True),
    ("-d 192.0.2.2/32", HERE, False),
    ("-d 192.0.2.2/32", SSH, None),
    ("-d 224.0.0.251/32", SSH, False),
    ("-d 224.0.0.251/32", MDNS, True),
    ("-d 0.0.0.0/0", SSH, True),
    ("-d 127.0.0.0/8", SSH, False),
    ("-d 192.0.2.0/255.0.255.0", SSH, None),
    ("-i eth0", SSH, True),
    ("-i eth", SSH, False),
    ("-i eth+", SSH, True),
    ("-i +", WHERE, True),
    ("! -i lo", WHERE, True),
    ("-i lo", LO, True),
    ("-i l+", WHERE, None),
    ("-i eth0", WHERE, None),
    ("! -i eth0", WHERE, None),
    ("-o eth0", SSH, None),
    ("-p tcp", SSH, True),
    ("-p udp", SSH, False),
    ("! -p udp", SSH, True),
    ("-p 6", SSH, True),
    ("-p all", SSH, True),
    ("-p icmpv6", ND, True),
    ("-p 58", ND, True),
    ("-p gre", SSH, False),
    ("-f", SSH, False),
    ("-p tcp -m tcp --dport 22", SSH, True),
    ("-p tcp -m tcp --dport 20:23", SSH, True),
    ("-p tcp -m tcp --dport 23:", SSH, False),
    ("-p tcp -m tcp ! --dport 22", SSH, False),
    ("-p tcp -m tcp --sport 443", KNOWN, True),
    ("-p tcp -m tcp --sport 443", SSH, None),
    ("-p tcp -m multiport --dports 80,20:22", SSH, True),
    ("-p tcp -m multiport ! --dports 80,443", SSH, True),
    ("-p tcp -m multiport --sports 80,443", KNOWN, True),
    ("-p tcp -m multiport --ports 443", KNOWN, True),
    ("-p tcp -m multiport --ports 80", KNOWN, False),
    ("-p tcp -m multiport --ports 80", SSH, None),
    ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", SSH, True),
    ("-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN", SSH, False),
    ("-p tcp -m tcp --tcp-flags ALL NONE", SSH, False),
    ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", KNOWN, False),
    ("-p tcp -m tcp --tcp-flags RST RST", KNOWN, None),
    ("-p icmp -m icmp --icmp-type 8", PING, True),
    ("-p icmp -m icmp --icmp-type 3", PING, False),
    ("-p icmp -m icmp --icmp-type 8/0", PING, None),
    ("-p icmp -m icmp --icmp-type 3/4", PING, False),
    ("-p icmp -m icmp --icmp-type any", PING, True),
    ("--icmp-type 8", SSH, None),
    ("-p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255", ND, True),
    ("-p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-lt 255", ND, False),
    ("-m ttl --ttl-gt 4", SSH, True),
    ("-m ttl --ttl-lt 4", SSH, False),
    ("-m ttl --ttl-eq 64", SSH, True),
    ("-m hl --hl-gt 254", ND, True),
    ("-m conntrack --ctstate RELATED,ESTABLISHED", SSH, False),
    ("-m conntrack --ctstate RELATED,ESTABLISHED", KNOWN, True),
    ("-m conntrack --ctstate RELATED,ESTABLISHED,DNAT", SSH, False),
    ("-m conntrack ! --ctstate NEW,DNAT", SSH, False),
    ("-m conntrack --ctstate UNTRACKED", ND, True),
    ("-m state --state NEW", SSH, True),
    ("-m conntrack --ctorigdstport 22 --ctdir ORIGINAL", SSH, True),
    ("-m conntrack --ctorigdstport 8188 --ctdir ORIGINAL", SSH, False),
    ("-m conntrack --ctdir REPLY", SSH, False),
    ("-m conntrack --ctdir REPLY", KNOWN, None),
    ("-m conntrack --ctproto 6", SSH, True),
    ("-m conntrack --ctstatus ASSURED", SSH, None),
    ("-m iprange --src-range 198.51.100.1-198.51.100.9", SSH, True),
    ("-m iprange --src-range 198.51.100.8-198.51.100.9", SSH, False),
    ("-m iprange ! --src-range 198.51.100.7", SSH, False),
    ("-m iprange --dst-range 192.0.2.1-192.0.2.2", HERE, True),
    ("-m iprange --dst-range 192.0.2.1-192.0.2.2", SSH, None),
    ("-m addrtype --dst-type LOCAL", SSH, True),
    ("-m addrtype --dst-type MULTICAST", SSH, False),
    ("-m addrtype --dst-type MULTICAST", MDNS, True),
    ("-m addrtype --dst-type LOCAL", MDNS, False),
    ("-m addrtype --dst-type BROADCAST", CAST, True),
    ("-m addrtype ! --src-type LOCAL", SSH, None),
    ("-m pkttype --pkt-type multicast", SSH, False),
    ("-m pkttype --pkt-type multicast", MDNS, True),
    ("-m pkttype --pkt-type unicast", SSH, True),
    ("-m rt --rt-type 0", SSH6, False),
    ("-m limit --limit 5/min --limit-burst 7", SSH, True),
    (
        "-m hashlimit --hashlimit-above 10/min --hashlimit-burst 20 --hashlimit-mode srcip --hashlimit-name x",
        SSH,
        False,
    ),
    ("-m hashlimit --hashlimit-upto 10/min --hashlimit-srcmask 64 --hashlimit-name x", SSH6, True),
    ("-m connlimit --connlimit-above 3 --connlimit-mask 32 --connlimit-saddr", SSH, False),
    ("-m connlimit --connlimit-upto 3 --connlimit-mask 32 --connlimit-saddr", SSH, True),
    ("-m recent --set --name x --mask 255.255.255.255 --rsource", SSH, True),
    ("-m recent --update --seconds 30 --hitcount 6 --name x --mask 255.255.255.255 --rsource", SSH, False),
    ("-m recent --rcheck --seconds 30 --name x --mask 255.255.255.255 --rsource", SSH, None),
    ("-m recent ! --rcheck --name x --rsource", SSH, None),
    ("-m set --match-set bad src", SSH, True),
    ("-m set ! --match-set bad src", SSH, False),
    ("-m set --match-set bad dst", HERE, False),
    ("-m set --match-set bad dst", SSH, None),
    ("-m set --match-set bad src,dst", SSH, None),
    ("-m set --match-set other src", SSH, None),
    ("-m set --match-set odd src", SSH, None),
    ("-m socket", SSH, None),
    ("-m socket -p udp", SSH, False),
]
SETS = {"bad": ("203.0.113.0/24", "198.51.100.7"), "odd": ("198.51.0.7/255.255.0.255",)}


@pytest.mark.parametrize(("text", "packet", "answer"), ANSWERS)
def test_a_packet_matches_or_not_or_nobody_can_tell(text: str, packet: Packet, answer: bool | None) -> None:
    assert holds(parse_rule(text), packet, SETS) is answer


ONLY_THE_KERNEL = [
    "-i eth0",
    "-s 198.51.0.0/",
    "length",
    "mac",
    "mark",
    "physdev",
    "quota",
    "rcheck",
    "src-type",
]
ONLY_THE_KERNEL += ["statistic", "string", "time"]


def test_every_odd_rule_that_a_real_tool_printed_can_be_asked() -> None:
    rules = parse_save(ODD).rules("zz")
    unknown = [text for text in rules if holds(parse_rule(text), ODD_PACKET, {}) is None]
    assert sorted(word for word in ONLY_THE_KERNEL for text in unknown if word in text) == ONLY_THE_KERNEL
    assert len(unknown) == len(ONLY_THE_KERNEL)
