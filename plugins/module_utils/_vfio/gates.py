# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What speaks against giving devices to VFIO: what cannot work, and what would hurt the host. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.gates_static import static_uses

__all__ = ["Situation", "final_obstacles", "refuse", "standing", "static_uses", "use_obstacles"]

# How to get rid of what is in the way; lifting comes on top.
_REMEDIES = {
    model.STORAGE: "unmount it and take it out of whatever claims it, or choose another device",
    model.NETWORK: "move the traffic to another interface first, or choose another device",
    model.DISPLAY: "make another display the firmware's first one, or use the serial console",
    model.OPENED: "stop the processes that hold it",
    model.GUEST: "shut the guest down, or detach the device from it",
    model.CHIPSET: "leave it to the host and choose a device behind a port of its own",
    model.MANAGEMENT: "leave it to the host: the console of the management controller goes through it",
    model.IDENTITY: "correct the address or the expected ids",
    model.KNOWN_BAD: "give away virtual functions, or another device",
    model.UNSAFE_INTERRUPTS: "switch interrupt remapping on in the firmware (VT-d or AMD-Vi with x2APIC)",
}


@dataclasses.dataclass(frozen=True)
class Situation:
    """What the host says besides the tree of its PCI devices; addresses are those of PCI functions.

    ``interrupt_remapping`` is ``None`` when it cannot be told. ``unsafe_interrupts`` says that the kernel was told to
    do without it. ``dead`` devices read as all ones, ``hung`` ones have a driver that did not let go (with what is
    known of it), ``mediated`` ones are virtual GPUs that their driver keeps. ``foreign_drivers`` has the drivers of
    members of groups that are no PCI devices, by name; a member without one is not in it.
    """

    iommu_groups: bool = True
    interrupt_remapping: bool | None = True
    unsafe_interrupts: bool = False
    enabled_vfs: t.Mapping[str, int] = dataclasses.field(default_factory=dict)
    dead: frozenset[str] = frozenset()
    hung: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    mediated: frozenset[str] = frozenset()
    foreign_drivers: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


def final_obstacles(
    snapshot: pci.PciSnapshot, members: t.Sequence[model.Member], situation: Situation
) -> tuple[model.Obstacle, ...]:
    """Return why ``members`` cannot be used by a guest at all.

    Pass whole groups: a member that stays is looked at, too. All are final but the missing interrupt remapping,
    which one can do without at one's own risk.
    """
    obstacles: list[model.Obstacle] = []
    for member in members:
        device = snapshot.devices.get(member.address)
        if device is None:
            obstacles.append(_gone(member.address))
        elif not member.binds:
            obstacles.extend(_of_bridge(snapshot, member, device))
        else:
            obstacles.extend(_of_device(device, situation))
            obstacles.extend(_of_group(snapshot, device, situation))
            obstacles.extend(_of_interrupts(device, situation))
    return tuple(obstacles)


def use_obstacles(members: t.Sequence[model.Member], uses: model.Uses) -> tuple[model.Obstacle, ...]:
    """Return what needs ``members`` where they are; each can be lifted by the name of its kind."""
    return tuple(
        model.Obstacle(member.address, use.kind, use.what, _liftable(use.kind))
        for member in members
        if member.binds
        for use in dict.fromkeys(uses.get(member.address, ()))
    )


def standing(
    members: t.Sequence[model.Member], obstacles: t.Iterable[model.Obstacle]
) -> tuple[model.Obstacle, ...]:
    """Return the obstacles that are not lifted for their device."""
    allowed = {member.address: member.allow for member in members}
    return tuple(
        obstacle
        for obstacle in obstacles
        if obstacle.final or obstacle.kind not in allowed.get(obstacle.address, ())
    )


def refuse(obstacles: t.Sequence[model.Obstacle]) -> None:
    """Refuse, naming every obstacle of every device; without any, do nothing.

    :raises Refusal: there are obstacles; ``obstacles`` of the result has them one by one.
    """
    if not obstacles:
        return
    devices: dict[tuple[str, str], list[str]] = {}
    for obstacle in obstacles:
        devices.setdefault((obstacle.kind, obstacle.what), []).append(obstacle.address)
    reasons = [
        f"{', '.join(dict.fromkeys(addresses))}: {what} ({kind})"
        for (kind, what), addresses in devices.items()
    ]
    remedies = dict.fromkeys(obstacle.remedy for obstacle in obstacles)
    raise Refusal(
        f"Nothing was changed, because of {len(reasons)} obstacle{'s' * (len(reasons) > 1)}: {'; '.join(reasons)}.",
        remedy=f"{'; '.join(remedies)}.",
        obstacles=[{**dataclasses.asdict(obstacle), "final": obstacle.final} for obstacle in obstacles],
    )


def _liftable(kind: str) -> str:
    return f"{_REMEDIES[kind]}; to do it all the same, put {kind} into allow of the selector"


def _gone(address: str) -> model.Obstacle:
    what = "it is not there any more"
    return model.Obstacle(
        address, model.DEAD, what, "look at the hardware and the kernel's log, then run again"
    )


def _of_bridge(
    snapshot: pci.PciSnapshot, member: model.Member, device: pci.PciDevice
) -> t.Iterator[model.Obstacle]:
    """Yield what is wrong with a bridge: that it was chosen, or that its driver closes the group."""
    if not snapshot.is_bridge(device):
        return
    if member.chosen:
        what = f"it is a bridge (header type {device.header_type}), which vfio-pci does not take"
        yield model.Obstacle(
            device.address, model.BRIDGE, what, "choose the devices below it: parent selects them"
        )
    elif device.driver and device.driver not in model.PORT_DRIVERS and "vfio" not in device.driver:
        what = f"its driver {device.driver} keeps VFIO from opening IOMMU group {device.group}"
        remedy = f"blacklist {device.driver}, or put the card behind another port"
        yield model.Obstacle(device.address, model.BRIDGE, what, remedy)


def _of_device(device: pci.PciDevice, situation: Situation) -> t.Iterator[model.Obstacle]:
    address = device.address
    if address in situation.dead:
        what = "it reads as all ones: it fell off the bus"
        yield model.Obstacle(
            address, model.DEAD, what, "reboot; if it stays so, power the host off and look at the card"
        )
    if address in situation.hung:
        remedy = "reboot the host; do not reset, remove or rescan the device"
        yield model.Obstacle(
            address, model.HUNG, f"its driver did not let go: {situation.hung[address]}", remedy
        )
    if address in situation.mediated:
        what = "it is a virtual GPU that its driver has to keep"
        yield model.Obstacle(
            address, model.MEDIATED, what, "give the guest the virtual GPU with its own driver"
        )
    number = max(situation.enabled_vfs.get(address, 0), device.sriov.number if device.sriov else 0)
    if number:
        what = f"it has {number} virtual functions, so that vfio-pci refuses it"
        remedy = "give away the virtual functions (virtfns_of), or remove them first with hearth.gpu_host.sriov_vfs"
        yield model.Obstacle(address, model.VIRTUAL_FUNCTIONS, what, remedy)


def _of_group(
    snapshot: pci.PciSnapshot, device: pci.PciDevice, situation: Situation
) -> t.Iterator[model.Obstacle]:
    address, group = device.address, snapshot.group_of(device)
    if not situation.iommu_groups:
        what = "the kernel drives no IOMMU, so that nothing would keep a guest from the host's memory"
        yield model.Obstacle(
            address, model.NO_IOMMU, what, "see hearth.gpu_host.kvm_check for what is missing"
        )
    elif group is None:
        remedy = "see hearth.gpu_host.kvm_check; an IOMMU may leave out devices, as Intel's its own graphics"
        yield model.Obstacle(address, model.NO_GROUP, "it is in no IOMMU group", remedy)
    elif group.fake:
        what = f"IOMMU group {group.number} was made up by VFIO's no-IOMMU mode and isolates nothing"
        yield model.Obstacle(
            address, model.NO_ISOLATION, what, "load vfio without enable_unsafe_noiommu_mode"
        )
    elif group.direct:
        regions = ", ".join(f"{region.start:#x}-{region.end:#x}" for region in group.direct)
        what = f"the firmware keeps {regions} mapped for IOMMU group {group.number} (RMRR)"
        remedy = "switch off what shares memory with the device in the firmware (HPE: Shared Memory Features)"
        yield model.Obstacle(address, model.DIRECT_REGIONS, what, remedy)
    for name in group.others if group else ():
        if name in situation.foreign_drivers:
            what = f"{name}, no PCI device, is in its IOMMU group with the driver {situation.foreign_drivers[name]}"
            remedy = f"unbind {name} for good, or choose another device"
            yield model.Obstacle(address, model.FOREIGN_MEMBER, what, remedy)


def _of_interrupts(device: pci.PciDevice, situation: Situation) -> t.Iterator[model.Obstacle]:
    if situation.interrupt_remapping:
        return
    told = situation.interrupt_remapping is not None
    what = "interrupts are not remapped" if told else "it cannot be told whether interrupts are remapped"
    means = "a guest could raise any interrupt of the host"
    if not situation.unsafe_interrupts:
        means += ", and the kernel lets no guest start unless vfio_iommu_type1 has allow_unsafe_interrupts"
    yield model.Obstacle(
        device.address, model.UNSAFE_INTERRUPTS, f"{what}: {means}", _liftable(model.UNSAFE_INTERRUPTS)
    )
