# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The words that a policy is made of: networks, interfaces, ports, rates, texts. Pure.

Everything that iptables would change, cut or look up by itself is refused here, with the word that would be right: a
rule that the kernel stores differently could never be compared with the wish.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.names import (
    PORTLESS,
    PROTOCOLS,
    SERVICES,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import (
    Limit,
    Networks,
    Ports,
)

Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

COMMENT_LENGTH = 255
LOG_PREFIX_LENGTH = 29
INTERFACE_LENGTH = 15
LIMIT_SCALE = 10_000
"""Ticks a second of the match ``limit``; a rate is stored as a whole number of ticks."""
HASHLIMIT_SCALE = 1_000_000
MOST_BURST = 10_000

_TEXT = re.compile(r"[A-Za-z0-9 :._/-]*")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_ZONE = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_INTERFACE = re.compile(r"[A-Za-z0-9_.@-]+")
_NETWORK = re.compile(r"[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?")
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?/([a-z]+)")
_RATE = re.compile(r"([1-9][0-9]{0,4})/(s|sec|second|m|min|minute|h|hour|d|day)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_UNITS = (("day", 86400), ("hour", 3600), ("min", 60), ("sec", 1))


def wrong(where: str, what: str, remedy: str) -> ParseError:
    """Return the error for a word of the policy; ``where`` is the path of the option."""
    return ParseError(f"{where}: {what}.", remedy=remedy)


def text(where: str, value: t.Any, longest: int) -> str:
    """Return a text for a comment or a log prefix that the kernel stores as it is.

    :raises ParseError: it would be cut, or needs quoting that iptables-restore does not know.
    """
    if not isinstance(value, str) or not _TEXT.fullmatch(value):
        raise wrong(
            where,
            f"{value!r} has characters that iptables-restore does not keep as they are",
            "use letters, digits, spaces and the characters : . _ / -",
        )
    if len(value) > longest:
        raise wrong(
            where,
            f"{value!r} has {len(value)} characters, and iptables cuts it silently after {longest}",
            f"use at most {longest} characters",
        )
    return value


def name(where: str, value: t.Any) -> str:
    """Return the name of a service.

    :raises ParseError: it is too long for a comment and a hash table's name, or has odd characters.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise wrong(
            where,
            f"{value!r} is no name of a service",
            "use at most 63 lower-case letters, digits and the characters . _ -",
        )
    return value


def zone_name(where: str, value: t.Any) -> str:
    """Return the name of a zone.

    :raises ParseError: it could be an address, or has odd characters.
    """
    if not isinstance(value, str) or not _ZONE.fullmatch(value):
        raise wrong(
            where,
            f"{value!r} is no name of a zone",
            "use at most 31 lower-case letters, digits and the characters _ -, a letter first",
        )
    return value


def is_zone_name(value: t.Any) -> bool:
    """Tell a zone's name from a network, of which every spelling has a digit first or a colon."""
    return isinstance(value, str) and bool(_ZONE.fullmatch(value))


def interface(where: str, value: t.Any, *, pattern: bool = False) -> str:
    """Return the name of an interface; with ``pattern`` it may end in ``+``.

    :raises ParseError: it is too long, has odd characters, or matches more than one interface.
    """
    shown = value if isinstance(value, str) else ""
    stem = shown[:-1] if pattern and shown.endswith("+") else shown
    if len(shown) > INTERFACE_LENGTH:
        raise wrong(
            where,
            f"{shown!r} has {len(shown)} characters",
            f"the kernel's names of interfaces have at most {INTERFACE_LENGTH}",
        )
    if not _INTERFACE.fullmatch(stem):
        also = (
            ", with + at the end for all that begin so" if pattern else "; patterns with + are not taken here"
        )
        raise wrong(where, f"{value!r} is no name of an interface", f"give one name such as eno1{also}")
    return shown


def network(where: str, value: t.Any) -> Network:
    """Return an address or a network.

    :raises ParseError: it is a host name, or has bits set behind the mask.
    """
    shown = value.strip() if isinstance(value, str) else ""
    if not _NETWORK.fullmatch(shown):
        raise wrong(
            where,
            f"{value!r} is no network",
            "give an address or a network such as 192.0.2.0/24 or 2001:db8::/64; names are not looked up, because a"
            " firewall must load without a resolver",
        )
    try:
        found = ipaddress.ip_network(shown)
    except ValueError as error:
        raise _no_network(where, shown, error) from error
    if isinstance(found, ipaddress.IPv6Network) and found.network_address.ipv4_mapped:
        raise wrong(
            where, f"{shown!r} is IPv4 inside IPv6, which no packet carries", "write the IPv4 network"
        )
    return found


def _no_network(where: str, shown: str, error: ValueError) -> ParseError:
    try:
        masked = ipaddress.ip_network(shown, strict=False)
    except ValueError:
        return wrong(where, f"{shown!r} is no network ({error})", "give an address or a network")
    return wrong(where, f"{shown!r} has host bits set", f"write {masked}, or the address without /…")


def networks(where: str, values: t.Iterable[t.Any]) -> Networks:
    """Return networks, split by family, merged where they overlap or touch, in the kernel's spelling.

    :raises ParseError: see :func:`network`.
    """
    found = [network(where, value) for value in values]
    ipv4 = [item for item in found if isinstance(item, ipaddress.IPv4Network)]
    ipv6 = [item for item in found if isinstance(item, ipaddress.IPv6Network)]
    return Networks(
        tuple(map(spelled, ipaddress.collapse_addresses(ipv4))),
        tuple(map(spelled, ipaddress.collapse_addresses(ipv6))),
    )


def spelled(net: Network) -> str:
    """Spell a network as iptables-save does: by the C library, always with the prefix."""
    kind = socket.AF_INET if net.version == 4 else socket.AF_INET6
    return f"{socket.inet_ntop(kind, net.network_address.packed)}/{net.prefixlen}"


def ports(where: str, values: t.Iterable[t.Any]) -> tuple[Ports, ...]:
    """Return ports, merged for each protocol.

    :raises ParseError: a port is out of range, a name is not known, a protocol is missing.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for value in values:
        for word in SERVICES.get(value, (value,)) if isinstance(value, str) else (value,):
            proto, span = _port(where, word)
            found.setdefault(proto, []).extend(span)
    return tuple(Ports(proto, _merged(spans)) for proto, spans in sorted(found.items()))


def _port(where: str, word: t.Any) -> tuple[str, list[tuple[int, int]]]:
    if word in PORTLESS:
        return word, []
    match = _PORT.fullmatch(word) if isinstance(word, str) else None
    if match is None or match.group(3) not in PROTOCOLS:
        raise wrong(
            where,
            f"{word!r} is no port",
            f"write 22/tcp or 6800-7568/tcp ({', '.join(PROTOCOLS)}), or a name: {', '.join(sorted(SERVICES))}",
        )
    low, high = int(match.group(1)), int(match.group(2) or match.group(1))
    if not 1 <= low <= high <= 65535:
        raise wrong(where, f"{word!r} is no port", "ports go from 1 to 65535, the lower one first")
    return match.group(3), [(low, high)]


def _merged(spans: t.Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def limit(where: str, rate: t.Any, burst: t.Any, scale: int) -> Limit:
    """Return a rate as the kernel will print it.

    :raises ParseError: the kernel cannot store it exactly, or would refuse it.
    """
    match = _RATE.fullmatch(rate.replace(" ", "")) if isinstance(rate, str) else None
    if match is None or int(match.group(1)) > LIMIT_SCALE:
        raise wrong(where, f"{rate!r} is no rate", "write 10/minute; the units are second, minute, hour, day")
    count, seconds = int(match.group(1)), _SECONDS[match.group(2)[0]]
    if isinstance(burst, bool) or not isinstance(burst, int) or not 1 <= burst <= MOST_BURST:
        raise wrong(where, f"burst {burst!r} is not possible", f"give a number from 1 to {MOST_BURST}")
    stored, unit = _printed(scale * seconds // count, scale)
    if stored * seconds != count * dict(_UNITS)[unit]:
        raise wrong(where, f"the kernel would make {stored}/{unit} of {rate!r}", f"write {stored}/{unit}")
    if burst * seconds > 86400 * count:
        raise wrong(
            where,
            f"a burst of {burst} at {rate} fills up in more than a day, which overflows the kernel's counter",
            "give a lower burst or a higher rate",
        )
    return Limit(f"{stored}/{unit}", burst)


def _printed(period: int, scale: int) -> tuple[int, str]:
    """Mirror ``print_rate`` of libxt_limit.c and libxt_hashlimit.c: the smallest unit that loses nothing."""
    chosen = _UNITS[0]
    for unit, seconds in _UNITS[1:]:
        ticks = seconds * scale
        if period > ticks or ticks // period < ticks % period:
            break
        chosen = (unit, seconds)
    return chosen[1] * scale // period, chosen[0]
