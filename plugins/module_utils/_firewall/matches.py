# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Does a packet match a rule? Yes, no, or only the kernel can tell (``None``). Pure.

What is known of the packet decides; what is not known, and every match that is not in the tables below, is ``None``.
Some things are taken for granted, because the question is always what becomes of an ordinary first packet:

* a rate is not exceeded and a limit is not used up (``limit``, ``hashlimit``, ``connlimit``, ``recent`` with a count);
* the packet is whole, carries no routing header, and was not translated (no DNAT, no SNAT) on its way to the host;
* a packet whose destination is not said goes to an address of the host itself.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import Packet
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import words

Sets = t.Mapping[str, t.Collection[str]]
"""What is in an ``ipset``: its name, then networks."""
Answer = t.Optional[bool]

LOOPBACK = "lo"
SOMEWHERE = ""
"""The interface of a packet that comes from outside, nobody knows where."""

_PROTOCOLS = {
    "icmpv6": "ipv6-icmp",
    "icmp6": "ipv6-icmp",
    "1": "icmp",
    "6": "tcp",
    "17": "udp",
    "58": "ipv6-icmp",
}
_MODULES = re.compile(
    "addrtype|comment|connlimit|conntrack|hashlimit|hl|icmp6?|iprange|limit|multiport|pkttype|recent|rt|sctp|set|state"
    "|tcp|ttl|udp"
)
# These take one word, whatever it looks like: iptables-save does not quote `-x`.
_TEXTS = frozenset(["--comment", "--string", "--hex-string"])


@dataclasses.dataclass(frozen=True)
class Match:
    """One condition: an option with its values; ``inverted`` by an exclamation mark."""

    option: str
    values: tuple[str, ...] = ()
    inverted: bool = False

    @property
    def value(self) -> str:
        """The first value, empty for a switch."""
        return self.values[0] if self.values else ""


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule: its conditions, where it leads, and whether it does not come back from there (``-g``)."""

    matches: tuple[Match, ...] = ()
    target: str = ""
    leaves: bool = False


@functools.cache
def parse_rule(text: str) -> Rule:
    """Read a rule as ``iptables-save`` prints it, without ``-A CHAIN``; the target's own options are left out."""
    parts = words(text)
    matches: list[Match] = []
    inverted = False
    at = 0
    while at < len(parts):
        word = parts[at]
        if word in ("-j", "-g"):
            return Rule(tuple(matches), "".join(parts[at + 1 : at + 2]), word == "-g")
        end = _end_of_values(parts, at)
        if word == "!":
            inverted, end = True, at + 1
        else:
            values = tuple(part.strip('"') for part in parts[at + 1 : end])
            matches.append(Match(word, values, inverted))
            inverted = False
        at = end
    return Rule(tuple(matches))


def _end_of_values(parts: t.Sequence[str], at: int) -> int:
    if parts[at] in _TEXTS:
        return at + 2
    end = at + 1
    while end < len(parts) and parts[end] != "!" and not parts[end].startswith("-"):
        end += 1
    return end


def holds(rule: Rule, packet: Packet, sets: Sets) -> Answer:
    """Tell whether a packet matches all conditions of a rule."""
    answers = [_holds(match, rule, packet, sets) for match in rule.matches]
    if False in answers:
        return False
    return None if None in answers else True


def _holds(match: Match, rule: Rule, packet: Packet, sets: Sets) -> Answer:
    if _NO_CONDITIONS.fullmatch(match.option):
        return True
    if match.option == "-m":
        return True if _MODULES.fullmatch(match.value) else None
    if match.option in ("--rcheck", "--update"):
        counted = any(other.option == "--hitcount" for other in rule.matches)
        answer: Answer = False if counted else None
    elif match.option == "--match-set":
        answer = _in_set(match, packet, sets)
    else:
        answer = _QUESTIONS[match.option](match, packet) if match.option in _QUESTIONS else None
    return answer if answer is None else answer is not match.inverted


# --- addresses and interfaces ----------------------------------------------------------------


@functools.cache
def _network(text: str) -> t.Any:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:  # A mask such as 255.0.255.0, which iptables takes.
        return None


def within(address: str, network: str) -> Answer:
    """Tell whether an address is in a network."""
    net = _network(network)
    return None if net is None else ipaddress.ip_address(address) in net


def _source(match: Match, packet: Packet) -> Answer:
    return within(packet.source, match.value)


def _destination(match: Match, packet: Packet) -> Answer:
    net = _network(match.value)
    if packet.destination or net is None:
        return None if net is None else within(packet.destination, match.value)
    if net.prefixlen == 0:
        return True
    return False if net.is_multicast or (net.is_loopback and packet.interface != LOOPBACK) else None


def _range(address: str, match: Match) -> Answer:
    low, _dash, high = match.value.partition("-")
    there = ipaddress.ip_address(address)
    return ipaddress.ip_address(low).packed <= there.packed <= ipaddress.ip_address(high or low).packed


def _source_range(match: Match, packet: Packet) -> Answer:
    return _range(packet.source, match)


def _destination_range(match: Match, packet: Packet) -> Answer:
    return _range(packet.destination, match) if packet.destination else None


def _in_set(match: Match, packet: Packet, sets: Sets) -> Answer:
    addresses = {"src": packet.source, "dst": packet.destination}
    address = addresses.get("".join(match.values[1:2]), "")
    if not address or match.value not in sets:
        return None
    answers = [within(address, network) for network in sets[match.value]]
    return True if True in answers else None if None in answers else False


def _interface(match: Match, packet: Packet) -> Answer:
    name, pattern = match.value.rstrip("+"), match.value.endswith("+")
    if pattern and not name:
        return True
    if packet.interface == SOMEWHERE:
        return False if LOOPBACK in (match.value, name) else None
    return packet.interface.startswith(name) if pattern else packet.interface == name


def _type_of_destination(match: Match, packet: Packet) -> Answer:
    wanted = match.value.split(",")
    if packet.destination and ipaddress.ip_address(packet.destination).is_multicast:
        return "MULTICAST" in wanted
    if packet.destination == "255.255.255.255":
        return "BROADCAST" in wanted
    return "LOCAL" in wanted or ("UNICAST" in wanted and packet.family == 6)


def _type_of_packet(match: Match, packet: Packet) -> Answer:
    if packet.destination and ipaddress.ip_address(packet.destination).is_multicast:
        return match.value == "multicast"
    return match.value == "unicast"


# --- protocols -------------------------------------------------------------------------------


def _protocol(match: Match, packet: Packet) -> Answer:
    if match.value in ("all", "0"):
        return True
    return _PROTOCOLS.get(match.value, match.value) == _PROTOCOLS.get(packet.proto, packet.proto)


def _in_ports(port: int | None, match: Match) -> Answer:
    if port is None:
        return None
    spans = (item.partition(":") for item in match.value.split(","))
    return any(int(low or 0) <= port <= int((high or 65535) if colon else low) for low, colon, high in spans)


def _either_port(match: Match, packet: Packet) -> Answer:
    answers = (_in_ports(packet.port, match), _in_ports(packet.source_port, match))
    return True if True in answers else None if None in answers else False


def _flags(match: Match, packet: Packet) -> Answer:
    looked_at, wanted = (set(value.split(",")) - {"NONE"} for value in match.values)
    if looked_at == {"ALL"}:
        looked_at = {"FIN", "SYN", "RST", "PSH", "ACK", "URG"}
    if packet.state != "NEW":
        return False if "SYN" in wanted and "SYN" in looked_at else None
    return {"SYN"} & looked_at == wanted


def _icmp(match: Match, packet: Packet) -> Answer:
    kind, slash, _code = match.value.partition("/")
    if kind == "any" or packet.icmp_type is None:
        return True if kind == "any" else None
    same = int(kind) == packet.icmp_type
    return None if same and slash else same


def _state(match: Match, packet: Packet) -> Answer:
    return packet.state in match.value.split(",")


def _direction(match: Match, packet: Packet) -> Answer:
    return match.value == "ORIGINAL" if packet.state == "NEW" else None


def _hops(compare: t.Callable[[int, int], bool]) -> t.Callable[[Match, Packet], Answer]:
    return lambda match, packet: compare(packet.hop_limit, int(match.value))


def _always(answer: bool) -> t.Callable[[Match, Packet], Answer]:
    return lambda match, packet: answer


_QUESTIONS: t.Mapping[str, t.Callable[[Match, Packet], Answer]] = {
    "-s": _source,
    "-d": _destination,
    "-i": _interface,
    "-p": _protocol,
    "-f": _always(False),
    "--sport": lambda match, packet: _in_ports(packet.source_port, match),
    "--dport": lambda match, packet: _in_ports(packet.port, match),
    "--sports": lambda match, packet: _in_ports(packet.source_port, match),
    "--dports": lambda match, packet: _in_ports(packet.port, match),
    "--ports": _either_port,
    "--tcp-flags": _flags,
    "--icmp-type": _icmp,
    "--icmpv6-type": _icmp,
    "--ctstate": _state,
    "--state": _state,
    "--ctdir": _direction,
    "--ctproto": _protocol,
    "--ctorigdstport": lambda match, packet: _in_ports(packet.port, match),
    "--src-range": _source_range,
    "--dst-range": _destination_range,
    "--dst-type": _type_of_destination,
    "--pkt-type": _type_of_packet,
    "--hl-eq": _hops(lambda have, wish: have == wish),
    "--hl-lt": _hops(lambda have, wish: have < wish),
    "--hl-gt": _hops(lambda have, wish: have > wish),
    "--ttl-eq": _hops(lambda have, wish: have == wish),
    "--ttl-lt": _hops(lambda have, wish: have < wish),
    "--ttl-gt": _hops(lambda have, wish: have > wish),
    "--limit": _always(True),
    "--hashlimit-upto": _always(True),
    "--hashlimit-above": _always(False),
    "--connlimit-upto": _always(True),
    "--connlimit-above": _always(False),
    "--rt-type": _always(False),
}
# Settings of a match, not questions.
_NO_CONDITIONS = re.compile(
    "--(comment|limit-burst|hashlimit-(burst|mode|name|srcmask|dstmask|htable-.*|rate-.*)|connlimit-(mask|saddr|daddr)"
    "|set|seconds|hitcount|name|mask|rsource|rdest|reap)"
)
