# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Devices that cannot be ports, whatever Open vSwitch says of them. Pure.

It takes a device that another bridge has, or that is not there, without a word and ends with status 0.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import MISSING_NIC, Nic
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.nics import OPENVSWITCH
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_model import (
    NEVER,
    Change,
    Objection,
    liftable,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_view import (
    INTERNAL,
    BridgeView,
    one,
)

_MAC = re.compile("[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_LOOPBACK_MAC = "00:00:00:00:00:00"
_OURS = (OPENVSWITCH, "tun")
"""What devices of Open vSwitch are: made by its kernel module, or by its daemon."""


def about_devices(change: Change) -> t.Iterator[Objection]:
    """Yield what speaks against devices that the wish lists, and against names that it gives to new ones."""
    if change.after is None:
        return
    for name in wished_nics(change):
        nic = change.nics.get(name)
        if nic is None:
            yield _missing(name, change)
        else:
            yield from _unfit(nic, change)
    yield from _taken_names(change, change.after)


def wished_nics(change: Change) -> tuple[str, ...]:
    """Return the devices of the host that the wish lists; those of ports that nobody manages are not its business."""
    listed = {port.name for port in change.wish.ports or ()}
    ports = change.after.ports.values() if change.after else ()
    return tuple(nic for port in ports if port.name in listed for nic in port.nics)


def _missing(name: str, change: Change) -> Objection:
    plain = sorted(nic.name for nic in change.nics.values() if nic.physical)
    there = f" There are {', '.join(plain)}." if plain else ""
    return liftable(
        MISSING_NIC,
        f"There is no device {name} on this host.{there} Open vSwitch would take the port without a word.",
        "correct the name; a card that a guest has, or that vfio-pci has, is no device of the host",
    )


def _unfit(nic: Nic, change: Change) -> t.Iterator[Objection]:
    if nic.master:
        yield Objection(
            NEVER,
            f"{nic.name} is a part of {nic.master}, which takes every frame of it.",
            f"take it out of {nic.master} before, where that is configured",
        )
    if nic.kind == OPENVSWITCH:
        yield Objection(
            NEVER, f"{nic.name} is a device that Open vSwitch made.", "join bridges by a pair of patch ports"
        )
    elif not _MAC.fullmatch(nic.mac) or nic.mac == _LOOPBACK_MAC:
        yield Objection(
            NEVER,
            f"{nic.name} is no Ethernet device ({nic.kind or nic.mac or 'it has no address'}).",
            "list another device",
        )
    if nic.wireless:
        yield Objection(
            NEVER,
            f"{nic.name} is wireless: its access point takes no frames of other devices than itself.",
            "use a wired device, or route",
        )
    mtu = wished_mtu(change, nic.name)
    if mtu and nic.max_mtu and mtu > nic.max_mtu:
        yield Objection(
            NEVER,
            f"{nic.name} cannot have an MTU of {mtu}; its driver takes {nic.max_mtu} at most, and Open vSwitch would"
            " leave it at that without a word.",
            f"ask for {nic.max_mtu} or less",
        )


def wished_mtu(change: Change, name: str) -> int:
    """Return the MTU that the wish has for an interface, 0 for none."""
    interfaces = [interface for port in change.wish.ports or () for interface in port.interfaces]
    if change.wish.local is not None:
        interfaces.append(change.wish.local)
    for interface in interfaces:
        if interface.name == name:
            return int(one(interface.columns.get("mtu_request")) or 0)
    return 0


def _taken_names(change: Change, after: BridgeView) -> t.Iterator[Objection]:
    """Object to devices that Open vSwitch would have to make and that somebody else has made."""
    there = change.before.ports if change.before else {}
    for port in after.ports.values():
        for member in port.members:
            nic = change.nics.get(member.name)
            new = port.name not in there or member not in there[port.name].members
            if nic and new and member.type == INTERNAL and nic.kind not in _OURS:
                what = f"a {nic.kind} device" if nic.kind else "a network card"
                yield Objection(
                    NEVER,
                    f"There is {what} of the name {nic.name}, which Open vSwitch would give to one of its own.",
                    "choose another name, or remove that device before",
                )
