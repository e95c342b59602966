# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What the kernel and ``ip`` list about addresses, routes and connections, as values. Pure."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import re
import typing as t

SSH_PORT = 22

_ESTABLISHED = "01"
_RTF_UP, _RTF_REJECT, _RTF_ANYCAST, _RTF_LOCAL = 0x1, 0x200, 0x100000, 0x80000000
_ALL = "0" * 8
_ALL6 = "0" * 32
# Every interface that is up has these routes and such an address, whether it is used or not.
_ALWAYS6 = ("ff", "fe8", "fe9", "fea", "feb")
_LINK, _HOST = 0x20, 0x10
_ADDRESS6 = re.compile(r"[0-9a-f]{32}", re.ASCII | re.IGNORECASE)
_ADDRESS = re.compile(r"[0-9a-f]{8}|[0-9a-f]{32}", re.ASCII | re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Route:
    """A route through an interface."""

    name: str
    family: str
    default: bool


@dataclasses.dataclass(frozen=True)
class Session:
    """Where on this host the SSH connection ends that this process was started through."""

    address: str
    port: int


def parse_routes(ipv4: str, ipv6: str) -> tuple[Route, ...]:
    """Parse ``/proc/net/route`` and ``/proc/net/ipv6_route``; lines of another grammar are left out.

    Left out, too, is what the kernel makes for every interface, and what goes nowhere.
    """
    rows4 = [line.split() for line in ipv4.splitlines()[1:]]
    rows6 = [line.split() for line in ipv6.splitlines()]
    found = [
        Route(row[0], "IPv4", row[1] == row[7] == _ALL)
        for row in rows4
        if len(row) >= 8 and _goes_out(_hexadecimal(row[3]))
    ]
    found += [
        Route(row[9], "IPv6", row[1] == "00" and row[0] == _ALL6)
        for row in rows6
        if len(row) == 10 and _goes_out(_hexadecimal(row[8])) and not row[0].startswith(_ALWAYS6)
    ]
    return tuple(found)


def _goes_out(flags: int) -> bool:
    return bool(flags & _RTF_UP) and not flags & (_RTF_REJECT | _RTF_ANYCAST | _RTF_LOCAL)


def _hexadecimal(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def parse_addresses(text: str) -> dict[str, tuple[str, ...]] | None:
    """Parse ``ip -json address show``: the addresses of each interface but IPv6's link-local ones.

    ``None`` when it is of another form: then no address is known, which is not the same as none.
    """
    try:
        listed = json.loads(text)
        return {
            entry["ifname"]: tuple(filter(None, map(_address, entry.get("addr_info", ()))))
            for entry in listed
            if entry
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _address(entry: t.Mapping[str, t.Any]) -> str:
    """Return one address; empty for one that says nothing about use."""
    if entry["family"] not in ("inet", "inet6") or (entry["family"] == "inet6" and entry["scope"] == "link"):
        return ""
    return str(ipaddress.ip_address(entry["local"]))


def parse_addresses6(text: str, *, link_local: bool = False) -> dict[str, tuple[str, ...]]:
    """Parse ``/proc/net/if_inet6``, which needs no tool: the addresses but the link-local ones, or only these."""
    wanted = _LINK if link_local else 0
    found: dict[str, tuple[str, ...]] = {}
    for row in map(str.split, text.splitlines()):
        known = len(row) == 6 and _ADDRESS6.fullmatch(row[0])
        if known and _hexadecimal(row[3]) & (_LINK | _HOST) == wanted:
            found[row[5]] = (*found.get(row[5], ()), _ipv6(bytes.fromhex(row[0])))
    return found


def parse_session(text: str) -> Session | None:
    """Parse ``SSH_CONNECTION``, see ssh(1): two addresses, each with a port."""
    words = text.split()
    if len(words) != 4 or not words[3].isdecimal():
        return None
    return Session(words[2].partition("%")[0], int(words[3]))


def parse_established(texts: t.Iterable[str], ports: t.Container[int]) -> set[str]:
    """Return the local addresses of established connections to ``ports``, of ``/proc/net/tcp`` and ``tcp6``."""
    found = set()
    for row in (line.split() for text in texts for line in text.splitlines()[1:]):
        address, _colon, port = row[1].partition(":") if len(row) > 3 else ("", "", "")
        if _ADDRESS.fullmatch(address) and row[3] == _ESTABLISHED and _hexadecimal(port) in ports:
            found.add(_local(address))
    return found


def _local(text: str) -> str:
    """Return an address that the kernel wrote in words of its own byte order, which is little on all we run on."""
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    raw = b"".join(words)
    return str(ipaddress.IPv4Address(raw)) if len(raw) == 4 else _ipv6(raw)


def _ipv6(raw: bytes) -> str:
    address = ipaddress.IPv6Address(raw)
    return str(address.ipv4_mapped or address)
