# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What the module tells about each device, group by group. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.hostdev import render_hostdev
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.plan import Seats
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.scene import (
    BIND,
    FORGET,
    RETURN,
    STAY,
    Decision,
    Scene,
)

_VFIO = "vfio"


class Telling(t.NamedTuple):
    """What is told from: the decisions, the devices afterwards, and what was found on the way."""

    scene: Scene
    decisions: tuple[Decision, ...]
    seats: Seats
    lifted: tuple[model.Obstacle, ...]
    builtin: frozenset[str]
    cdevs: t.Mapping[str, str]
    rivals: t.Mapping[str, tuple[str, ...]]


def devices(telling: Telling) -> list[dict[str, t.Any]]:
    """Return the facts of each device that is there."""
    return [
        _device(telling, d, d.device) for d in telling.decisions if d.device is not None and d.verb != FORGET
    ]


def _device(telling: Telling, decision: Decision, device: pci.PciDevice) -> dict[str, t.Any]:
    address = decision.address
    group = telling.scene.snapshot.group_of(device)
    driver, override = telling.seats.get(address, (decision.before, decision.override))
    known = decision.after or decision.entry
    stays_ours = decision.verb != RETURN and (decision.verb == BIND or known is not None)
    return {
        "address": address,
        **{
            name: getattr(device, name)
            for name in ("vendor", "device", "subsystem_vendor", "subsystem_device")
        },
        "class": device.class_code,
        "iommu_group": device.group,
        "group_members": [*group.devices, *group.others] if group else [],
        "chosen": decision.member.chosen,
        "binds": stays_ours,
        "why": decision.member.why,
        "driver_before": known.origin if known else decision.before,
        "driver": decision.before,
        "driver_after": driver,
        "driver_override": override,
        "persistent": bool(_at_boot(decision)),
        "driver_at_boot": _at_boot(decision),
        "waits_for_reboot": bool(decision.waits),
        "reset_methods": None if device.reset_methods is None else list(device.reset_methods),
        "numa_node": device.numa_node,
        "vfio_group_dev": f"/dev/vfio/{device.group}" if device.group and _VFIO in driver else "",
        "vfio_cdev": telling.cdevs.get(address, "") if _VFIO in driver else "",
        "hostdev": render_hostdev(address) if stays_ours else "",
        "warnings": list(_warnings(telling, decision, device)),
        "obstacles": [dataclasses.asdict(one) for one in telling.lifted if one.address == address],
    }


def _at_boot(decision: Decision) -> str:
    """Return the driver that the rules give it at every boot, whenever it gets it for the first time."""
    return decision.after.driver if decision.after and not decision.after.boot_id else ""


def groups(told: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return the groups of ``told``, in its order."""
    found: dict[str, dict[str, t.Any]] = {}
    for device in told:
        number = device["iommu_group"]
        if number is not None:
            empty = {"group": number, "members": device["group_members"], "binds": []}
            group = found.setdefault(number, empty)
            group["binds"] += [device["address"]] if device["binds"] else []
    return list(found.values())


def _warnings(telling: Telling, decision: Decision, device: pci.PciDevice) -> t.Iterator[str]:
    yield from telling.rivals.get(decision.address, ())
    if decision.verb == BIND:
        yield from _of_bound(telling, decision, device)
    elif decision.verb == RETURN and decision.entry and decision.before not in ("", *_ends(decision.entry)):
        yield f"{decision.before} has taken it since, and keeps it"
    elif decision.verb == STAY and decision.entry and telling.scene.stranger(decision.address):
        yield f"{decision.entry.identity} is on record here, and this is another device: it is not touched"
    elif decision.verb == STAY and decision.entry and decision.before != decision.entry.driver:
        yield f"it is on record as bound to {decision.entry.driver}, and is not: select it to have it bound again"


def _ends(entry: model.Entry) -> tuple[str, str]:
    return entry.driver, entry.origin


def _of_bound(telling: Telling, decision: Decision, device: pci.PciDevice) -> t.Iterator[str]:
    origin = decision.after.origin if decision.after else ""
    if decision.waits:
        yield f"waits for the next boot: {decision.waits}"
    if telling.scene.snapshot.resets_alone(device) == ():
        yield "no reset: the kernel cannot reset this function alone, and a guest may find it as the last one left it"
    if origin in telling.builtin:
        yield (
            f"{origin} is part of the kernel and has the device at boot before any rule does; the check at boot tells"
            " whether it was bound"
        )
    if decision.entry is None and decision.before == decision.member.driver:
        yield f"it was bound to {decision.before} before, by something else; it stays so when it is given back"
    if not decision.member.chosen and decision.entry is None and _knows_group(telling.scene, device):
        yield f"is new among devices that are bound already: {decision.member.why}"
    if decision.after and not decision.after.boot_id and _is_probed(telling.scene, device):
        yield (
            f"{device.physfn} lets drivers of the host have its virtual functions as they come, and at boot one may"
            " have this before the rule does: set autoprobe to false with hearth.gpu_host.sriov_vfs"
        )
    if not telling.scene.snapshot.groups:
        yield "no IOMMU is active: its group is known after the boot that has one"


def _is_probed(scene: Scene, device: pci.PciDevice) -> bool:
    """Tell whether the kernel offers a virtual function to drivers before udev hears of it."""
    physfn = scene.snapshot.devices.get(device.physfn or "")
    return bool(physfn and physfn.sriov and physfn.sriov.autoprobe)


def _knows_group(scene: Scene, device: pci.PciDevice) -> bool:
    """Tell whether another device of the group or card is on record."""
    others = (scene.snapshot.devices.get(address) for address in scene.record)
    return any(
        other is not None and (other.card == device.card or (device.group and other.group == device.group))
        for other in others
    )


def told(scene: Scene, decisions: t.Iterable[Decision], stuck: bool) -> list[str]:
    """Return what else to know, about devices that are not there in particular."""
    decisions = tuple(decisions)
    found = [*_left(scene, decisions)]
    for decision in decisions:
        entry = decision.entry
        if entry is None or decision.verb not in (FORGET, STAY):
            continue
        end = "it is forgotten" if decision.verb == FORGET else "state: absent with this address forgets it"
        if decision.device is None:
            found.append(f"{entry.address} ({entry.identity}) is on record and gone; {end}")
        elif scene.stranger(entry.address):
            found.append(f"{entry.address} is on record as {entry.identity} and is another device now; {end}")
    if stuck:
        found.append(
            "the host has booted since, and not all devices have the driver that they wait for: see"
            " journalctl --unit hearth-vfio-check, and whether the initramfs has the rules"
        )
    return found


def told_of_others(telling: Telling) -> list[str]:
    """Return what is to be known of devices that this task is not about."""
    ours = {decision.address for decision in telling.decisions}
    return [
        f"{address}: {what}"
        for address in sorted(set(telling.rivals) - ours)
        for what in telling.rivals[address]
    ]


def _left(scene: Scene, decisions: t.Iterable[Decision]) -> t.Iterator[str]:
    """Yield what an earlier boot was the last to have bound, and this one has bound again all the same."""
    for decision in decisions:
        entry = decision.entry
        if (
            entry
            and decision.verb != BIND
            and entry.boot_id not in ("", scene.boot_id)
            and decision.before == entry.driver
        ):
            yield (
                f"{entry.address} was to have {entry.origin or 'no driver'} again with this boot, and has"
                f" {entry.driver}: see whether the initramfs still has the rules; state: absent gives it back"
            )
