# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The ports of a bridge: VLANs and bonds. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import wish_words as words
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    Columns,
    InterfaceWish,
    PortWish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_interfaces import (
    MTU,
    check_together,
    parse_interface,
)

_ACCESS, _TRUNK, _TUNNELLED = "access", "trunk", "dot1q-tunnel"
_NATIVE = ("native-tagged", "native-untagged")
_BALANCE_TCP = "balance-tcp"
_NEGOTIATING = ("active", "passive")
_LONGEST_DELAY = 2**31 - 1
_FALLBACK = "lacp-fallback-ab"


def _delay(where: str, value: t.Any) -> int:
    """Return milliseconds; the column has no empty value, so that none is 0."""
    return words.number(0, _LONGEST_DELAY)(where, value) or 0


_COLUMNS: words.Table = {
    "tag": ("tag", words.optional(words.number(0, words.LAST_VLAN))),
    "trunks": ("trunks", words.vlans),
    "vlan_mode": ("vlan_mode", words.optional(words.choice(_ACCESS, _TRUNK, *_NATIVE, _TUNNELLED))),
    "bond_mode": (
        "bond_mode",
        words.optional(words.choice("active-backup", "balance-slb", _BALANCE_TCP)),
    ),
    "lacp": ("lacp", words.optional(words.choice(*_NEGOTIATING, "off"))),
    "bond_updelay": ("bond_updelay", _delay),
    "bond_downdelay": ("bond_downdelay", _delay),
    "other_config": ("other_config", words.text_map),
    "external_ids": ("external_ids", words.external_ids),
}
OPTIONS = ("name", "type", "members", "mtu", "options", "peer", *_COLUMNS)
"""The options of a port."""


def parse_ports(
    bridge: str, given: t.Any, datapath_type: str | None, allow: t.Collection[str]
) -> tuple[PortWish, ...]:
    """Return the ports of a bridge in the order in which they are given.

    :raises ParseError: a value has not its grammar.
    :raises Refusal: two ports exclude each other.
    """
    ports = tuple(_port(number, item) for number, item in enumerate(words.items("ports", given), 1))
    _distinct(bridge, ports)
    check_together(bridge, ports, datapath_type, allow)
    return ports


def is_bond(port: PortWish) -> bool:
    """Tell whether a port has several interfaces."""
    return len(port.interfaces) > 1


def _port(number: int, item: t.Any) -> PortWish:
    given = words.only(f"port {number}", item, OPTIONS)
    name = words.name(f"name of port {number}", given.get("name"))
    where = f"port {name}"
    columns = words.columns(where, given, _COLUMNS)
    _check_vlans(where, columns)
    if given.get("members") is None:
        _check_single(where, columns)
        interfaces: tuple[InterfaceWish, ...] = (parse_interface(name, where, given),)
    else:
        interfaces = _members(where, given)
        _check_bond(where, columns)
    return PortWish(name, interfaces, columns)


def _members(where: str, given: words.Given) -> tuple[InterfaceWish, ...]:
    option = f"members of {where}"
    names = [words.name(option, item) for item in words.items(option, given["members"])]
    if len(set(names)) < 2:
        raise words.wrong(
            option,
            f"a bond has at least two, and here is {names[0] if names else 'none'}",
            "name two or more, or leave members out for a port that is one device",
        )
    for other in ("type", "options", "peer"):
        if given.get(other) not in (None, "", "system", {}):
            raise words.wrong(
                f"{other} of {where}", "members of a bond are devices of the host", "leave it out of a bond"
            )
    mtu = {} if given.get("mtu") is None else {"mtu_request": MTU(f"mtu of {where}", given["mtu"])}
    return tuple(InterfaceWish(name, mtu) for name in names)


def _check_vlans(where: str, columns: Columns) -> None:
    mode, tag = (words.sole(columns.get(column)) for column in ("vlan_mode", "tag"))
    trunks = columns.get("trunks")
    if mode not in (None, _TRUNK) and tag is None:
        raise words.wrong(
            f"vlan_mode of {where}", f"{mode} needs a VLAN", "set tag, or leave out vlan_mode for a trunk"
        )
    if mode == _TRUNK and tag is not None:
        raise Contradiction(
            f"{words.sentence(where)} is a trunk and has tag {tag}, which a trunk must not have.",
            remedy=f"set vlan_mode: {_NATIVE[1]} for a trunk with a VLAN for untagged frames, or remove tag",
        )
    if trunks and tag is not None and mode not in _NATIVE:
        how = f"in mode {mode}" if mode else "and no vlan_mode"
        raise Contradiction(
            f"{words.sentence(where)} has trunks, and with tag {tag} {how} it carries that VLAN only.",
            remedy=f"set vlan_mode: {_NATIVE[1]}, or remove tag or trunks",
        )


def _check_single(where: str, columns: Columns) -> None:
    for column in ("bond_mode", "lacp", "bond_updelay", "bond_downdelay"):
        if columns.get(column) not in (None, 0, frozenset(), frozenset(("off",))):
            raise words.wrong(
                f"{column} of {where}",
                "it is for bonds, and this port is one device",
                "name two or more members, or leave it out",
            )


def _check_bond(where: str, columns: Columns) -> None:
    falls_back = (columns.get("other_config") or {}).get(_FALLBACK) == "true"
    if words.sole(columns.get("bond_mode")) != _BALANCE_TCP or falls_back:
        return
    if words.sole(columns.get("lacp")) not in _NEGOTIATING:
        raise words.wrong(
            f"bond_mode of {where}",
            f"{_BALANCE_TCP} works only with a switch that has agreed to it by LACP",
            f"set lacp: active or passive, other_config.{_FALLBACK}: true, or bond_mode: balance-slb",
        )


def _distinct(bridge: str, ports: t.Sequence[PortWish]) -> None:
    """Names are unique over the bridge, its ports and their interfaces.

    :raises Contradiction: one is there twice.
    """
    seen = {bridge: "the bridge itself"}
    for port in ports:
        if port.name == bridge:
            raise Contradiction(
                f"Port {bridge} has the name of its bridge, which has that port by itself.",
                remedy="use mtu and hwaddr of the bridge; for a VLAN of the host add an internal port with a tag",
            )
        names = [port.name, *(one.name for one in port.interfaces if is_bond(port))]
        for name in names:
            if name in seen:
                raise Contradiction(
                    f"{name} is there twice: as {seen[name]} and in port {port.name}.",
                    remedy="name each device once",
                )
            seen[name] = f"port {port.name}" if name == port.name else f"a member of {port.name}"
