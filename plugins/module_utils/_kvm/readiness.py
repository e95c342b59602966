# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Is each device fit to be handed to a guest? One judge per aspect, pure: device in, answer out."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    UNKNOWN,
    WARN,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci.framebuffers import Framebuffer, held_by

_GIB = 1 << 30
_VF_WINDOWS = range(7, 13)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one judge says of one device."""

    status: str
    value: t.Any = None
    why: str = ""
    hint: str = ""
    fix: str = ""


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What a judge may look at besides the device; ``framebuffers`` is ``None`` when hidden."""

    snapshot: pci.PciSnapshot
    framebuffers: tuple[Framebuffer, ...] | None = None
    nodes: int = 1

    def upstream(self, device: pci.PciDevice) -> list[pci.PciDevice]:
        """Return the bridges above ``device``, nearest first."""
        devices = self.snapshot.devices
        return [devices[address] for address in reversed(device.parents) if address in devices]


def reserved_regions(device: pci.PciDevice, around: Surroundings) -> Answer:
    """A ``direct`` region pins the device to the host; ``direct-relaxable`` does not."""
    group = around.snapshot.group_of(device)
    if group is None or group.fake:
        return _groupless(around.snapshot, "it is in no IOMMU group")
    if group.reserved is None:
        why = f"reserved_regions of group {group.number} cannot be read"
        return Answer(UNKNOWN, None, why, "Look on the host itself, as root.", "host")
    value = [f"{region.start:#x}-{region.end:#x}" for region in group.direct]
    if not value:
        return Answer(PASS, value)
    return Answer(
        FAIL,
        value,
        f"the firmware keeps {', '.join(value)} mapped for group {group.number} (RMRR), so VFIO refuses it",
        "Switch the firmware's use of the device off: on HPE servers 'Shared Memory Features' of the slot "
        "(conrep or BMC). No kernel argument helps.",
        "firmware",
    )


def isolation(device: pci.PciDevice, around: Surroundings) -> Answer:
    """A group goes to a guest whole: strangers in it must come along."""
    snapshot = around.snapshot
    if not any(not group.fake for group in (snapshot.groups or {}).values()):
        return _groupless(snapshot, "no IOMMU group can be seen; iommu.groups says why")
    group = snapshot.group_of(device)
    if group is None or group.fake:
        return _ungrouped(device)
    members = snapshot.endpoints(group)
    companions = [m.address for m in members if m.card == device.card and m.address != device.address]
    strangers = [m.address for m in members if m.card != device.card] + list(group.others)
    value = {"group": group.number, "companions": companions, "others": strangers}
    if not strangers:
        return Answer(PASS, value)
    return Answer(
        WARN,
        value,
        f"group {group.number} also holds {', '.join(strangers)}",
        "Use another slot, enable ACS in the firmware setup, or give the whole group to one guest.",
        "hardware",
    )


def _groupless(snapshot: pci.PciSnapshot, why: str) -> Answer:
    status = UNKNOWN if snapshot.groups is None else NOT_APPLICABLE
    return Answer(status, None, why, "See iommu.active and iommu.groups for the way to IOMMU groups.")


def _ungrouped(device: pci.PciDevice) -> Answer:
    if device.vendor == "8086" and device.is_gpu and not device.parents:
        hint = "Add intel_iommu=on: some kernels, Debian's for one, leave integrated graphics out by default."
        return Answer(FAIL, {"group": None}, "the IOMMU leaves it out", hint, "cmdline")
    hint = "Use another slot, or look for an IOMMU bypass of its host bridge in the firmware setup."
    return Answer(FAIL, {"group": None}, "it bypasses the IOMMU", hint, "firmware")


def reset(device: pci.PciDevice, around: Surroundings) -> Answer:
    """A device that cannot be reset carries one guest's state into the next."""
    methods = around.snapshot.resets_alone(device)
    if methods is None:
        return Answer(UNKNOWN, None, "the kernel does not say how it can be reset")
    value = list(methods)
    if value:
        return Answer(PASS, value)
    companions = around.snapshot.bus_mates(device)
    why = "it cannot be reset on its own"
    if companions:
        why += f" and shares its bus with {', '.join(companions)}: a bus reset needs them all"
    hint = "Pass all functions of the card to the same guest, and test a second start of that guest."
    return Answer(WARN, value, why, hint, "hardware")


def bars(device: pci.PciDevice, around: Surroundings) -> Answer:
    """Every memory window needs an address; large ones need firmware that maps above 4 GiB."""
    if device.bars is None:
        return Answer(UNKNOWN, None, "resource cannot be read", "Look on the host itself, as root.", "host")
    value = {window.index: window.size for window in device.bars if window.unmapped}
    if not value:
        return Answer(PASS, value)
    named = ", ".join(f"BAR {index} ({_size(size)})" for index, size in value.items())
    large = [
        window
        for window in device.bars
        if window.unmapped and (window.large_capable or window.size >= 4 * _GIB)
    ]
    if set(value) <= set(_VF_WINDOWS):
        hint = "Enable SR-IOV and Above 4G Decoding in the firmware setup; else try pci=realloc."
        return Answer(WARN, value, f"no room for its virtual functions: {named}", hint, "firmware")
    if large:
        hint = "Enable Above 4G Decoding (and Resizable BAR where it is needed) in the firmware setup."
        return Answer(FAIL, value, f"the firmware gave no address to {named}", hint, "firmware")
    hint = "Try the kernel argument pci=realloc; the kernel log has a line with the same BAR."
    return Answer(FAIL, value, f"no address was given to {named}", hint, "cmdline")


def _size(size: int) -> str:
    if not size:
        return "size unknown"
    return f"{size // _GIB} GiB" if size >= _GIB else f"{size // 1024} KiB"


def boot_framebuffer(device: pci.PciDevice, around: Surroundings) -> Answer:
    """The console's display may hold memory that VFIO needs, and goes dark."""
    known = around.framebuffers
    owners = held_by(device, known or ())
    value = {"boot_vga": device.boot_vga, "framebuffer": owners}
    if owners or device.boot_vga:
        why = f"it holds the boot framebuffer ({', '.join(owners)})" if owners else "it is the boot display"
        hint = (
            "Make another display primary in the firmware setup, or use the serial or BMC console; "
            "video=efifb:off or initcall_blacklist=sysfb_init frees the memory on most kernels."
        )
        return Answer(WARN, value, why, hint, "firmware")
    if known is None and device.boot_vga is None:
        return Answer(UNKNOWN, value, "neither boot_vga nor /proc/iomem tells")
    return Answer(PASS, value)


def link_width(device: pci.PciDevice, around: Surroundings) -> Answer:
    """Lanes in use against the lanes of the device and of the port above it."""
    return _link(device, around, "width", "lanes")


def link_speed(device: pci.PciDevice, around: Surroundings) -> Answer:
    """Speed in use against the speed of the device and of the port above it."""
    return _link(device, around, "speed", "GT/s")


def _link(device: pci.PciDevice, around: Surroundings, what: str, unit: str) -> Answer:
    if device.physfn:
        return Answer(NOT_APPLICABLE, None, f"its physical function {device.physfn} has the link")
    if device.link is None:
        known = around.snapshot.any("link")
        return Answer(NOT_APPLICABLE if known else UNKNOWN, None, "the kernel shows no PCI Express link")
    now, most = getattr(device.link, what), getattr(device.link, f"max_{what}")
    port = next((bridge.link for bridge in around.upstream(device) if bridge.link), None)
    slot = getattr(port, f"max_{what}") if port else None
    value = {"now": now, "max": most, "port_max": slot}
    if now is None or most is None:
        return Answer(UNKNOWN, value, f"the link's {what} cannot be read")
    if now >= most:
        return Answer(PASS, value)
    if slot is not None and slot <= now:
        why = f"{now} {unit} of {most}: the port above it offers no more"
        return Answer(WARN, value, why, "Use a slot that is wired for the device.", "hardware")
    hint = "Reseat the device, then check riser, cable and the slot's bifurcation in the firmware setup."
    if what == "speed":
        hint = f"An idle device may lower its speed: read it again under load. {hint}"
    return Answer(WARN, value, f"{now} {unit} of {most}", hint, "hardware")


def errors(device: pci.PciDevice, around: Surroundings) -> Answer:
    """AER counters of the device and of the ports above it: either end of a link notices."""
    path = [device, *around.upstream(device)]
    known = {member.address: member.aer for member in path if member.aer is not None}
    if not known:
        return Answer(UNKNOWN, None, "the kernel does not count errors (AER) here")
    value = {
        address: {kind: dict(counters) for kind, counters in severities.items() if counters}
        for address, severities in known.items()
        if any(severities.values())
    }
    if not value:
        return Answer(PASS, value)
    told = [
        f"{address} {kind} {name} {count}"
        for address, severities in value.items()
        for kind, counters in severities.items()
        for name, count in counters.items()
    ]
    hint = "See whether the counters grow under load; if so, reseat the device and check riser and cable."
    return Answer(WARN, value, f"errors since boot: {', '.join(told)}", hint, "hardware")


def numa_node(device: pci.PciDevice, around: Surroundings) -> Answer:
    """With several nodes, guests are pinned next to their device, so its node must be known."""
    if device.numa_node is not None or around.nodes < 2:
        return Answer(PASS, device.numa_node)
    hint = "Update the firmware; until then take the node of the socket that the slot is wired to."
    return Answer(UNKNOWN, None, "the firmware does not say which NUMA node it is on", hint, "firmware")


def identity(device: pci.PciDevice, around: Surroundings) -> Answer:
    """Serial, slot and address: which card to pull when this one fails."""
    bridges = around.upstream(device)
    slot = device.slot or next((bridge.slot for bridge in bridges if bridge.slot), None)
    value = {"ids": device.ids, "serial": device.serial, "slot": slot, "label": device.label}
    if device.serial or slot or device.label:
        return Answer(PASS, value)
    return Answer(UNKNOWN, value, "no serial number, slot or label can be read", "Look on the host as root.")
