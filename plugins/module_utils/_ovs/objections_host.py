# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What would cut the host off, or take an address from it, by way of the bridge that it hangs on. Pure.

Each of these was measured on a live session; STP takes half a minute, a dead controller a quarter of one, and the rest
is for good. Only what the change brings is objected to: a bridge that is as it shall be is nobody's lock-out.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_model import (
    Change,
    Objection,
    Words,
    against,
    listed,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_view import (
    UNTAGGED,
    BridgeView,
    PortView,
    view_of,
    wire_between,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import AUTO, primary_controllers

_NO_PORT = -1
"""In place of a VLAN: the device is no port of the bridge any more."""


def about_the_host(change: Change) -> t.Iterator[Objection]:
    """Yield what speaks against the change on behalf of the host itself."""
    if change.after is None:
        yield from _left_without(change)
        return
    ends = change.ends_after()
    yield from _taken_devices(change, change.after)
    yield from _taken_uplinks(change, change.after)
    yield from _removed_ends(change, change.after)
    yield from _aimless_move(change, change.after)
    yield from _other_vlan(change, change.after)
    if ends:
        words = tuple(dict.fromkeys(word for port in ends.values() for word in port))
        yield from _standing_still(change, change.after, words)
        yield from _spanning_tree(change, change.after, words)
        yield from _mirrored_away(change, change.after, words)
    yield from _other_mac(change, change.after, ends.get(change.name, ()))


def stands(change: Change) -> bool:
    """Tell whether what decides about forwarding as such stays as it is, under a host that stays where it is."""
    before, after = change.before, change.after
    if before is None or after is None or change.moves:
        return False
    return (before.secure, set(before.controllers)) == (after.secure, set(after.controllers))


# --- devices --------------------------------------------------------------------------------


def _taken_devices(change: Change, after: BridgeView) -> t.Iterator[Objection]:
    have = change.before.nics() if change.before else ()
    for name in after.nics():
        words = change.nic(name).carries
        if words and name not in (*have, change.moves):
            yield against(
                words,
                f"{name} carries {listed(words)}, and as a port of {change.name} it would carry that no longer.",
                "let host_network move it on to the bridge, or list another device",
            )


def _taken_uplinks(change: Change, after: BridgeView) -> t.Iterator[Objection]:
    for name in after.nics():
        other = change.holders.get(name, "")
        if other in ("", change.name):
            continue
        view = view_of(other, change.database)
        words = tuple(dict.fromkeys(word for end in change.ends_of(view).values() for word in end))
        if words:
            yield against(
                words,
                f"{name} is a way out of {other}, which carries {listed(words)}.",
                f"leave {name} to {other}, or move the host off {other} before",
            )


def _aimless_move(change: Change, after: BridgeView) -> t.Iterator[Objection]:
    words = change.nic(change.moves).carries if change.moves else ()
    if words and change.moves not in after.nics():
        yield against(
            words,
            f"{change.moves} carries {listed(words)}. That would move on to {change.name}, of which"
            f" {change.moves} is no port: nothing would reach it there.",
            f"list {change.moves} in ports, or name in host_network the device that is a port",
        )


def _removed_ends(change: Change, after: BridgeView) -> t.Iterator[Objection]:
    for name, words in change.ends_before().items():
        if name not in after.ports:
            yield against(
                words,
                f"Port {name} of {change.name} would go, and with it {listed(words)}.",
                "list it in ports, or take the addresses off it before",
            )


# --- VLANs ----------------------------------------------------------------------------------


def _other_vlan(change: Change, after: BridgeView) -> t.Iterator[Objection]:
    """Object where what the host sends would leave with another tag than now, or not at all."""
    uplink = after.port_of(change.moves) if change.moves else None
    if uplink is not None:
        # A device that is no port sends what it is given: without a tag.
        wire = wire_between(after.ports[change.name], uplink)
        if wire != UNTAGGED:
            yield _rewired(change, change.nic(change.moves).carries, change.name, uplink, UNTAGGED, wire)
    for end, words in change.ends_before().items():
        if end not in after.ports or change.before is None:
            continue
        for port in change.before.ports.values():
            old = wire_between(change.before.ports[end], port)
            found = [
                wire_between(after.ports[end], other)
                for other in after.ports.values()
                if set(other.nics) & set(port.nics)
            ]
            if port.nics and old is not None and old not in found:
                yield _rewired(change, words, end, port, old, found[0] if found else _NO_PORT)


def _rewired(change: Change, words: Words, end: str, port: PortView, old: int, new: int | None) -> Objection:
    if new == _NO_PORT:
        return against(
            words,
            f"{port.name} is a way out of {change.name} for {listed(words)} on {end}, and would be no port any more.",
            f"list {port.name} in ports, or take it off purge",
        )
    return against(
        words,
        f"What {end} sends, with {listed(words)} on it, leaves {port.name} {_told(old)}. With the ports as wished"
        f" it would leave {_told(new)}.",
        f"leave tag, trunks and vlan_mode of {port.name} as they are, or give the host an internal port with that tag",
    )


def _told(wire: int | None) -> str:
    if wire is None:
        return "not at all"
    return f"in VLAN {wire}" if wire else "without a tag"


# --- forwarding -----------------------------------------------------------------------------


def _standing_still(change: Change, after: BridgeView, words: Words) -> t.Iterator[Objection]:
    if stands(change):
        return
    controllers = primary_controllers(after.controllers)
    if not controllers and after.secure:
        # Those that it listens for set up no flows.
        yield against(
            words,
            f"With fail_mode secure and no controller to connect to, {change.name} would forward nothing, and it"
            f" carries {listed(words)}.",
            "use fail_mode: standalone, or name a controller",
        )
    if controllers and not any(change.answers.get(target) for target in controllers):
        until = "for good" if after.secure else "until it falls back after a quarter of a minute"
        yield against(
            words,
            f"No controller of {change.name} answers ({', '.join(controllers)}): it would forward nothing {until}, and"
            f" it carries {listed(words)}.",
            "start the controller, or correct its address",
        )


def _spanning_tree(change: Change, after: BridgeView, words: Words) -> t.Iterator[Objection]:
    had = change.before is not None and change.before.stp and not change.moves
    # A bond takes no part in it.
    uplinks = [port.name for port in after.ports.values() if port.nics and len(port.members) == 1]
    if after.stp and not after.rstp and not had and uplinks:
        yield against(
            words,
            f"STP holds {listed(uplinks)} back for half a minute before a frame passes, and {change.name} carries"
            f" {listed(words)}.",
            "use rstp, which takes two or three seconds, or turn stp off",
        )


def _mirrored_away(change: Change, after: BridgeView, words: Words) -> t.Iterator[Objection]:
    known = change.before.outputs if change.before else frozenset()
    ways = {name for name, port in after.ports.items() if port.nics or name in change.ends_after()}
    for name in sorted((after.outputs - known) & ways):
        yield against(
            words,
            f"A mirror that writes to {name} leaves it nothing else to carry, and {change.name} needs it for"
            f" {listed(words)}.",
            "let the mirror write to another port",
        )


def _other_mac(change: Change, after: BridgeView, words: Words) -> t.Iterator[Objection]:
    """Neighbours, DHCP and the switch know the host by its address."""
    old = change.nic(change.moves or change.name).mac.lower()
    unchanged = change.before is not None and change.before.hwaddr == after.hwaddr and not change.moves
    if not words or not old or unchanged or after.hwaddr in (AUTO, old):
        return
    if after.hwaddr:
        message = f"{change.name} would have the address {after.hwaddr}, and the host is known by {old}"
    elif change.moves:
        message = f"Nothing pins the address of {change.name}: it would get another one than {old}"
    else:
        return
    yield against(words, f"{message}; it carries {listed(words)}.", f"use hwaddr: auto, or {old}")


# --- absent ---------------------------------------------------------------------------------


def _left_without(change: Change) -> t.Iterator[Objection]:
    before = change.before
    if before is None:
        return
    for end, words in change.ends_before().items():
        uplink = before.port_of(change.moves) if end == change.name else None
        if uplink is None:
            yield against(
                words,
                f"{end} of {change.name} carries {listed(words)}, which would go with the bridge.",
                "say in host_network which of its devices gets that back, or move it elsewhere before",
            )
            continue
        wire = wire_between(before.ports[end], uplink)
        if wire != UNTAGGED:
            yield against(
                words,
                f"What {end} sends, with {listed(words)} on it, leaves {uplink.name} {_told(wire)}, and the device"
                " alone would send it without a tag.",
                "change the switch first, or keep the bridge",
            )
