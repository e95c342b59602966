# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The interfaces of a port, and what each type of them must have. Pure.

Open vSwitch takes a tunnel without its other end, a patch without its peer or a second tunnel to the same end without
a word, and only its log says that they do not work.
"""

from __future__ import annotations

import re
import socket
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    Contradiction,
    Refusal,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import known
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import wish_words as words
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    LOOP,
    Columns,
    InterfaceWish,
    PortWish,
)

FLOW = "flow"
USERSPACE = "netdev"

MTU = words.optional(words.number(words.LEAST_MTU, words.MOST_MTU))

# What Open vSwitch calls an error of the interface, with how the user writes it.
_REQUIRED: t.Mapping[str, tuple[str, str]] = {
    **{
        tunnel: ("remote_ip", "options.remote_ip to the address of the other end") for tunnel in known.TUNNELS
    },
    known.PATCH: ("peer", "peer to the name of the patch port at the other end"),
    known.DPDK: ("dpdk-devargs", "options.dpdk-devargs to the PCI address of the device"),
    known.VHOST_CLIENT: ("vhost-server-path", "options.vhost-server-path to the socket of the guest"),
}
_NO_MTU = frozenset((known.PATCH, *known.TUNNELS))
_KEY_BITS = {"vxlan": 24, "geneve": 24, "lisp": 24, "gtpu": 32, "gre": 32, "ip6gre": 32, "stt": 64}
_KEYS = ("key", "in_key", "out_key")
_DEFAULT_PORT = {"vxlan": 4789, "geneve": 6081, "lisp": 4341, "stt": 7471, "gtpu": 2152}
_INTEGER = re.compile("0[xX][0-9a-fA-F]{1,16}|0|[1-9][0-9]{0,19}", re.ASCII)


def _type(where: str, value: t.Any) -> str:
    """Return the type of an interface; an ordinary device has the empty text, as a new row does."""
    if value in ("", words.NONE, "system"):
        return known.SYSTEM
    return str(words.choice("system", *filter(None, known.OPTIONS))(where, value))


_COLUMNS: words.Table = {
    "type": ("type", _type),
    "mtu": ("mtu_request", MTU),
    "options": ("options", words.text_map),
}


def type_of(interface: InterfaceWish) -> str:
    """Return the type that the wish speaks of; without one it is an ordinary device."""
    return str(interface.columns.get("type", known.SYSTEM))


def parse_interface(name: str, where: str, given: words.Given) -> InterfaceWish:
    """Return the only interface of a port.

    :raises ParseError: a value has not its grammar, or the type needs something that is not there.
    """
    columns = words.columns(where, given, _COLUMNS)
    if given.get("peer") is not None:
        columns["options"] = _with_peer(where, columns.get("options", {}), given["peer"])
    interface = InterfaceWish(name, columns)
    _complete(where, interface)
    return interface


def check_together(
    name: str, ports: t.Sequence[PortWish], datapath_type: str | None, allow: t.Collection[str]
) -> None:
    """Look at what interfaces of one bridge are to each other and to its datapath.

    :raises Refusal: two of them exclude each other, or one cannot be in this bridge.
    """
    interfaces = [interface for port in ports for interface in port.interfaces]
    tunnels: dict[tuple[t.Any, ...], str] = {}
    peers = {one.name: one.columns["options"]["peer"] for one in interfaces if type_of(one) == known.PATCH}
    for interface in interfaces:
        kind = type_of(interface)
        if kind in known.USERSPACE and datapath_type != USERSPACE:
            raise Contradiction(
                f"Port {interface.name} of type {kind} needs the userspace datapath, and bridge {name} "
                f"{f'has datapath_type {datapath_type}' if datapath_type else 'says no datapath_type'}.",
                remedy=f"set datapath_type: {USERSPACE}, or use a port of the kernel",
            )
        if kind in known.TUNNELS:
            other = tunnels.setdefault(_identity(interface), interface.name)
            if other != interface.name:
                raise Contradiction(
                    f"Ports {other} and {interface.name} are the same tunnel: type, ends and key are equal.",
                    remedy="give them different keys, or leave one out; Open vSwitch would use one of them",
                )
        if peers.get(peers.get(interface.name, "")) == interface.name and LOOP not in allow:
            raise Refusal(
                f"Patch ports {interface.name} and {peers[interface.name]} have both ends in bridge {name}, which "
                "is a loop.",
                remedy=f"put one of them into another bridge, or allow {LOOP} where flows keep frames apart",
            )


def _with_peer(where: str, options: Columns, value: t.Any) -> dict[str, t.Any]:
    # Names of patch ports are no devices, but OpenFlow and this bridge's own ports have the same limit.
    peer = words.name(f"peer of {where}", value)
    if options.get("peer", peer) != peer:
        raise Contradiction(
            f"{words.sentence(where)} has peer {peer} and options.peer {options['peer']}.",
            remedy="leave one of them out",
        )
    return {**options, "peer": peer}


def _complete(where: str, interface: InterfaceWish) -> None:
    kind, options = type_of(interface), interface.columns.get("options") or {}
    _required(where, interface.name, kind, options)
    if options and not known.OPTIONS[kind]:
        raise words.wrong(
            f"options of {where}",
            f"a port of type {kind or 'system'} has none, and there are {', '.join(sorted(options))}",
            "set type to what the port is, such as vxlan or patch, or leave them out",
        )
    if kind in _NO_MTU and interface.columns.get("mtu_request"):
        raise words.wrong(
            f"mtu of {where}",
            f"a port of type {kind} has no MTU of its own",
            "leave it out; give room for the tunnel's headers with the mtu of the bridge and of its internal ports",
        )
    if kind in known.TUNNELS:
        _check_tunnel(where, kind, options)


def _required(where: str, name: str, kind: str, options: Columns) -> None:
    key, how = _REQUIRED.get(kind, ("", ""))
    if key and not options.get(key):
        raise words.wrong(f"type of {where}", f"a port of type {kind} needs {key}", f"set {how}")
    if kind == known.PATCH and options["peer"] == name:
        raise words.wrong(
            f"peer of {where}", "a patch port cannot be its own peer", "name the patch port at the other end"
        )
    if kind == known.PATCH and len(options) > 1:
        raise words.wrong(
            f"options of {where}", "Open vSwitch takes a patch port with a peer only", "leave out all others"
        )


def _check_tunnel(where: str, kind: str, options: Columns) -> None:
    remote = _end(f"remote_ip of {where}", options["remote_ip"])
    local = _end(f"local_ip of {where}", options.get("local_ip"))
    if local == FLOW != remote:
        raise words.wrong(f"local_ip of {where}", "flow needs remote_ip flow", "give an address")
    if local and FLOW not in (local, remote) and len(local) != len(remote):
        raise Contradiction(
            f"remote_ip and local_ip of {where} are of different families.",
            remedy="use two IPv4 addresses or two IPv6 addresses",
        )
    if remote != FLOW and _no_host(remote):
        raise words.wrong(
            f"remote_ip of {where}",
            f"{options['remote_ip']!r} is no address of one host",
            "give the address of the other end, or flow where a controller sets it",
        )
    for key in _KEYS:
        bits = _KEY_BITS.get(kind, 32)
        if options.get(key) not in (None, FLOW) and not 0 <= _integer(options[key]) < 2**bits:
            raise words.wrong(
                f"{key} of {where}",
                f"{options[key]!r} is no key of a {kind} tunnel",
                f"give a whole number of at most {bits} bits, or {FLOW}",
            )
    if options.get("dst_port") is not None:
        words.number(1, 65535)(f"dst_port of {where}", options["dst_port"])


def _end(where: str, value: str | None) -> str:
    """Return an end of a tunnel as hexadecimal digits, as the word ``flow``, or empty when it is not given."""
    if value in (None, FLOW):
        return value or ""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_pton(family, value).hex()
        except (OSError, ValueError):
            continue
    raise words.wrong(
        where, f"{value!r} is no address", "give an IPv4 or IPv6 address: Open vSwitch looks up no names"
    )


def _no_host(digits: str) -> bool:
    """Tell whether an address is that of a group, or of nobody."""
    group = digits.startswith("ff") if len(digits) == 32 else digits[0] in "ef"
    return group or not digits.strip("0")


def _integer(value: str) -> int:
    return int(value, 0) if _INTEGER.fullmatch(value) else -1


def _identity(interface: InterfaceWish) -> tuple[t.Any, ...]:
    """Return what Open vSwitch tells tunnels apart by; a key of 0 is the same as none."""
    kind, options = type_of(interface), interface.columns["options"]
    key = options.get("in_key") or options.get("key") or "0"
    return (
        kind,
        int(options.get("dst_port") or _DEFAULT_PORT.get(kind, 0)),
        _end("", options["remote_ip"]),
        _end("", options.get("local_ip")),
        key if key == FLOW else _integer(key),
        options.get("egress_pkt_mark"),
    )
