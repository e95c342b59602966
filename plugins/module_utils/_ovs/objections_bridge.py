# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What speaks against a change of the bridge itself: loops, an outage, ports of others, guests. Pure."""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    DATAPATH_CHANGE,
    GUEST_PORTS,
    LOOP,
    STEAL,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_model import (
    Change,
    Objection,
    liftable,
    listed,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_view import BridgeView


def about_the_bridge(change: Change) -> t.Iterator[Objection]:
    """Yield what speaks against the change on behalf of the network and of others."""
    if change.after is None:
        yield from _guests(change)
        return
    yield from _datapath(change, change.after)
    yield from _stolen(change)
    yield from _loops(change, change.after)


def _guests(change: Change) -> t.Iterator[Objection]:
    ports = change.before.ports.values() if change.before else ()
    guests = sorted(port.name for port in ports if port.guest)
    if guests:
        yield liftable(
            GUEST_PORTS,
            f"Guests are on {change.name} with {listed(guests)}; they would be cut off.",
            "shut them down or move them to another network before",
        )


def _datapath(change: Change, after: BridgeView) -> t.Iterator[Objection]:
    before = change.before
    if before is not None and before.datapath != after.datapath:
        yield liftable(
            DATAPATH_CHANGE,
            f"Datapath {after.datapath} in place of {before.datapath} makes every port of {change.name} anew: all"
            " traffic stops meanwhile, and guests lose theirs.",
            f"leave datapath_type as it is, or make another bridge with {after.datapath}",
        )


def _stolen(change: Change) -> t.Iterator[Objection]:
    for port in change.wish.ports or ():
        for name in dict.fromkeys((port.name, *(interface.name for interface in port.interfaces))):
            other = change.holders.get(name, "")
            if other not in ("", change.name):
                yield liftable(
                    STEAL,
                    f"{name} is a port of bridge {other}.",
                    f"take it off {other} before, or list another",
                )


def _loops(change: Change, after: BridgeView) -> t.Iterator[Objection]:
    known = _pairs(change.before, change) if change.before else {}
    new = {
        pair: vlans for pair, vlans in _pairs(after, change).items() if not vlans <= known.get(pair, set())
    }
    for (one, other), vlans in new.items():
        which = (
            "every VLAN" if len(vlans) > 1 else f"VLAN {min(vlans)}" if min(vlans) else "frames without a tag"
        )
        yield liftable(
            LOOP,
            f"{one} and {other} both carry {which} out of {change.name}. If they lead to the same switch, the first"
            " broadcast goes round for ever.",
            "make a bond of them, turn rstp on, or give them different VLANs",
        )


def _pairs(view: BridgeView, change: Change) -> dict[tuple[str, str], t.AbstractSet[int]]:
    """Return the pairs of cables that a frame could go round through, with the VLANs in which it could."""
    if view.stp or view.rstp:
        return {}
    cables = [
        (port.nics[0], port.vlans)
        for port in view.ports.values()
        if len(port.nics) == 1 == len(port.members) and _is_cable(change, port.nics[0])
    ]
    pairs = itertools.combinations(sorted(cables, key=lambda cable: cable[0]), 2)
    return {(one, other): vlans & more for (one, vlans), (other, more) in pairs if vlans & more}


def _is_cable(change: Change, name: str) -> bool:
    nic = change.nic(name)
    return nic.physical and nic.carrier is not False
