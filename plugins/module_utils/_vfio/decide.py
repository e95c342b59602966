# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What becomes of each device: bound, given back, left as it is, or only forgotten. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.groups import expand
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.rules import Bound
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.scene import (
    BIND,
    FORGET,
    RETURN,
    STAY,
    Decision,
    Scene,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.selection import (
    excluded,
    identity,
    select,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.task import AUTO, BOOT, LIVE, Task

# The driver waits in its remove callback for users that it never sees leave, even after they were killed.
_HANGING = "nvidia"


def members_of(task: Task, scene: Scene) -> tuple[model.Member, ...]:
    """Return the selected devices and their companions, in the order of binding; drivers may be ``auto``."""
    selectors = task.selectors or ()
    if task.absent:
        # Who gives back takes what is there.
        selectors = tuple(
            dataclasses.replace(one, allow_missing=True, count=None, expect=None) for one in selectors
        )
    chosen = select(scene.snapshot, selectors, task.exclude, scene.uuids, scene.record)
    return expand(scene.snapshot, chosen, excluded(scene.snapshot, task.exclude, scene.uuids, scene.record))


def decide(task: Task, scene: Scene, members: t.Sequence[model.Member]) -> tuple[Decision, ...]:
    """Decide about ``members`` and about everything on record, in the order of binding."""
    if task.absent:
        leaving = _leaving(task, scene, members)
        bound: list[Decision] = [_stay(scene, member) for member in members if member.address not in leaving]
    else:
        bound = _bound(task, scene, members)
        listed = {decision.address for decision in bound if decision.verb == BIND}
        missed = _named(scene, task.selectors or ())
        leaving = (
            set(scene.record) - listed - missed if task.exclusive and task.selectors is not None else set()
        )
        bound = [decision for decision in bound if decision.address not in leaving]
    told = {decision.address for decision in bound} | leaving
    allowed = {member.address: member.allow for member in members}
    returned = [_returned(task, scene, member) for member in _on_record(scene, leaving, allowed)]
    others = [_stay(scene, member) for member in _on_record(scene, set(scene.record) - told, allowed)]
    return (*bound, *returned, *others)


def resolve(scene: Scene, member: model.Member) -> model.Member:
    """Return ``member`` with the driver that it is to have.

    What has a driver of VFIO's keeps it, whoever bound it: a better one that comes along later is no reason to take
    a device away from under a guest.
    """
    if member.driver != model.AUTO:
        return member
    entry, device = scene.record.get(member.address), scene.snapshot.devices.get(member.address)
    if entry is not None and not scene.stranger(member.address):
        return dataclasses.replace(member, driver=entry.driver)
    if device is not None and device.driver and "vfio" in device.driver:
        return dataclasses.replace(member, driver=device.driver)
    return dataclasses.replace(member, driver=scene.drivers.get(member.address, model.VFIO_PCI))


def clusters(snapshot: pci.PciSnapshot, addresses: t.Sequence[str]) -> tuple[frozenset[str], ...]:
    """Part ``addresses`` into what shares groups or cards."""
    found: list[tuple[set[str], set[str]]] = []
    for address in addresses:
        device = snapshot.devices.get(address)
        ties = {address.rpartition(".")[0], *((f"group {device.group}",) if device and device.group else ())}
        near = [one for one in found if one[0] & ties]
        found = [one for one in found if one not in near]
        found.append((ties.union(*(one[0] for one in near)), {address}.union(*(one[1] for one in near))))
    return tuple(frozenset(one) for _ties, one in found)


def _bound(task: Task, scene: Scene, members: t.Sequence[model.Member]) -> list[Decision]:
    resolved = [resolve(scene, member) for member in members]
    reasons = _reasons(task, scene, [member for member in resolved if member.binds])
    return [
        _bind(task, scene, member, reasons.get(member.address, "")) if member.binds else _stay(scene, member)
        for member in resolved
    ]


def _reasons(task: Task, scene: Scene, members: t.Sequence[model.Member]) -> dict[str, str]:
    """Return why devices change their driver at the next boot only: one of a group or card is reason enough."""
    own = {member.address: _reason(task, scene, member) for member in members}
    found = {}
    for cluster in clusters(scene.snapshot, list(own)):
        reason = next((own[address] for address in sorted(cluster) if own[address]), "")
        found.update(
            {address: own[address] or (reason and f"goes with the others: {reason}") for address in cluster}
        )
    return found


def _reason(task: Task, scene: Scene, member: model.Member) -> str:
    device = scene.snapshot.devices[member.address]
    if not device.driver or device.driver == member.driver or task.rebind == LIVE:
        return ""
    if task.rebind == BOOT:
        return f"{device.driver} is to keep it until then: rebind is {BOOT}"
    if task.rebind == AUTO and device.driver.startswith(_HANGING):
        return f"{device.driver} is known to hang when it has to let go"
    return ""


def _bind(task: Task, scene: Scene, member: model.Member, reason: str) -> Decision:
    device = scene.snapshot.devices[member.address]
    entry = None if scene.stranger(member.address) else scene.record.get(member.address)
    bound = (device.driver or "") == member.driver
    after = _line(task, scene, member, device, entry)
    # Whoever bound it: what is not our doing is left as it is.
    ours = entry is not None and entry.origin != member.driver and member.address not in scene.hung
    kept = bound and not (ours and device.driver_override != member.driver)
    return Decision(
        BIND,
        member,
        device,
        entry=entry,
        after=after,
        live=task.runtime and not kept and not reason,
        waits="" if bound else reason,
        fresh=entry != after or (task.persistent and scene.rules.get(member.address) != rule_of(after)),
    )


def _line(
    task: Task, scene: Scene, member: model.Member, device: pci.PciDevice, entry: model.Entry | None
) -> model.Entry:
    """Return the line of the record of a device that is bound: what it was stays what it was."""
    boot_id = "" if task.persistent else scene.boot_id
    if entry is not None:
        ends = "" if task.persistent else entry.boot_id and scene.boot_id
        return dataclasses.replace(entry, driver=member.driver, boot_id=ends)
    uuid = next((uuid for uuid, address in scene.uuids.items() if address == member.address), "")
    # Bound by a rule of ours whose record is lost: what it was is not known, and no driver is the safe answer.
    rule = scene.rules.get(member.address)
    ours = rule is not None and rule.identity == identity(device)
    origin = "" if ours and device.driver == member.driver else device.driver or ""
    override = "" if ours else device.driver_override or ""
    return model.Entry(member.address, identity(device), member.driver, origin, override, uuid, boot_id)


def rule_of(entry: model.Entry) -> Bound:
    """Return what the rule of an entry does."""
    return Bound(entry.address, entry.identity, entry.driver)


def _leaving(task: Task, scene: Scene, members: t.Sequence[model.Member]) -> set[str]:
    """Return what of the record is given back with state absent, though it may be gone or another device."""
    if task.selectors is None:
        return set(scene.record)
    strangers = {entry.address for entry in scene.record.values() if scene.stranger(entry.address)}
    named = _named(scene, task.selectors, strangers)
    return named | {member.address for member in members if member.binds and member.address in scene.record}


def _named(
    scene: Scene, selectors: t.Sequence[model.Selector], strangers: t.Collection[str] = ()
) -> set[str]:
    """Return what is on record and gone, or one of ``strangers``, and meant by a selector."""
    return {
        entry.address
        for entry in scene.record.values()
        if entry.address not in scene.snapshot.devices or entry.address in strangers
        if any(_names(selector, entry) for selector in selectors)
    }


def _names(selector: model.Selector, entry: model.Entry) -> bool:
    """Tell whether a selector means a device that is only on record."""
    ids = selector.vendor_device
    return (
        selector.address == entry.address
        or (ids is not None and f"{entry.identity}:".startswith(f"{ids}:"))
        or (selector.gpu_uuid is not None and selector.gpu_uuid.lower() == entry.gpu_uuid.lower())
    )


def _on_record(
    scene: Scene, addresses: t.Collection[str], allowed: t.Mapping[str, frozenset[str]]
) -> tuple[model.Member, ...]:
    """Return devices of the record in the order of binding."""
    known = [
        model.Member(a, binds=True, allow=allowed.get(a, frozenset()), driver=scene.record[a].driver)
        for a in sorted(addresses)
    ]
    gone = [member for member in known if member.address not in scene.snapshot.devices]
    there = [dataclasses.replace(member, chosen=True) for member in known if member not in gone]
    # Only the order is of interest: each is decided about for itself.
    order = [member.address for member in expand(scene.snapshot, there)]
    placed = sorted(there, key=lambda member: order.index(member.address))
    return (*gone, *(dataclasses.replace(member, chosen=False) for member in placed))


def _stay(scene: Scene, member: model.Member) -> Decision:
    entry = scene.record.get(member.address)
    return Decision(STAY, member, scene.snapshot.devices.get(member.address), entry=entry, after=entry)


def _returned(task: Task, scene: Scene, member: model.Member) -> Decision:
    entry, device = scene.record[member.address], scene.snapshot.devices.get(member.address)
    there = device is not None and not scene.stranger(member.address)
    decision = Decision(RETURN if there else FORGET, member, device, entry=entry)
    needs = there and is_ours(decision)
    waits = f"rebind is {BOOT}" if needs and task.rebind == BOOT else ""
    live = task.runtime and needs and not waits
    if task.persistent:
        after = dataclasses.replace(entry, boot_id=scene.boot_id) if needs and not live else None
    else:
        # The rules are not for this task, and what they bind is on record.
        after = None if entry.boot_id and (live or not needs) else entry
    return dataclasses.replace(decision, after=after, live=live, waits=waits, fresh=after != entry)


def is_ours(decision: Decision) -> bool:
    """Tell whether something of ours is on a device that goes back: our driver, our override, or no driver at all."""
    return decision.held or decision.overridden or decision.missed
