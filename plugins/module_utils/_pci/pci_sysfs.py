# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Read the PCI devices and IOMMU groups of a host from sysfs, each file at most once.

All of it at once, or first who is there and then the rest of the few that matter: on a host with
hundreds of functions that is the difference between a second and some milliseconds.
"""

from __future__ import annotations

import dataclasses
import functools
import posixpath
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci.unreadable import unreadable

_DEVICES = "/sys/bus/pci/devices"
_SLOTS = "/sys/bus/pci/slots"
_GROUPS = "/sys/kernel/iommu_groups"
_AER_FILES = {"correctable": "aer_dev_correctable", "nonfatal": "aer_dev_nonfatal", "fatal": "aer_dev_fatal"}
_NO_WIDTH = (0, 63, 255)
_UNSET = "(null)"
# modalias_show() of the kernel's pci-sysfs.c: all ids in one file, without waking the device or taking its lock.
_HEX4, _HEX2 = "([0-9A-Fa-f]{4})", "([0-9A-Fa-f]{2})"
_MODALIAS = re.compile(
    f"pci:v0000{_HEX4}d0000{_HEX4}sv0000{_HEX4}sd0000{_HEX4}bc{_HEX2}sc{_HEX2}i{_HEX2}", re.ASCII
)


def read_pci(host: Host) -> pci.PciSnapshot:
    """Read everything now."""
    names = [name for name in host.listdir(_DEVICES) if pci.is_address(name)]
    folders = [_Folder(host, name) for name in names]
    reset_known = any({"reset_method", "reset"} & folder.names for folder in folders)
    slots = _slots(host)
    silent = unreadable(host, names)
    devices = {
        one.address: _known(one, slots) if one.address in silent else _device(one, slots, reset_known)
        for one in folders
    }
    return pci.PciSnapshot(devices, _groups(host, devices), present=host.exists(_DEVICES))


@functools.lru_cache(maxsize=1)
def read_pci_once(host: Host) -> pci.PciSnapshot:
    """Read on the first call and remember: for modules that change nothing."""
    return read_pci(host)


def read_pci_ids(host: Host) -> pci.PciSnapshot:
    """Read who is there: place, ids, class, driver, group, slot and physical function of each device.

    Nothing that is read here takes the lock of a device, which the driver may hold for ever, or wakes one up. The
    groups have their PCI members only.
    """
    names = [name for name in host.listdir(_DEVICES) if pci.is_address(name)]
    slots = _slots(host)
    devices = {name: _known(_Folder(host, name), slots) for name in names}
    members: dict[str, list[str]] = {}
    for device in devices.values():
        if device.group:
            members.setdefault(device.group, []).append(device.address)
    groups = {
        number: pci.IommuGroup(number, tuple(members[number])) for number in sorted(members, key=_by_number)
    }
    known = groups if groups or host.exists(_GROUPS) else None
    return pci.PciSnapshot(devices, known, present=bool(names) or host.exists(_DEVICES))


def complete(
    host: Host, snapshot: pci.PciSnapshot, addresses: t.Iterable[str], untouched: t.Container[str] = ()
) -> pci.PciSnapshot:
    """Return ``snapshot`` with everything about the named devices and about their groups.

    :param untouched: devices of which nothing more is read, such as those whose driver hangs: reading
        ``driver_override`` would wait for it.
    """
    wanted = [address for address in dict.fromkeys(addresses) if address in snapshot.devices]
    folders = [_Folder(host, address) for address in wanted if address not in untouched]
    slots = {device.card: device.slot for device in snapshot.devices.values() if device.slot}
    reset_known = bool(folders) and _knows_resets(host, snapshot, folders)
    devices = {**snapshot.devices, **{f.address: _device(f, slots, reset_known) for f in folders}}
    if snapshot.groups is None:
        return dataclasses.replace(snapshot, devices=devices)
    groups = dict(snapshot.groups)
    for number in {snapshot.devices[address].group for address in wanted}:
        if number is not None:
            members = {*groups[number].devices, *host.listdir(f"{_GROUPS}/{number}/devices")}
            groups[number] = _group(host, number, members)
    return dataclasses.replace(snapshot, devices=devices, groups=groups)


def _knows_resets(host: Host, snapshot: pci.PciSnapshot, folders: t.Sequence[_Folder]) -> bool:
    """Tell whether this kernel shows for any device how it can be reset."""
    if any({"reset_method", "reset"} & folder.names for folder in folders):
        return True
    paths = (_Folder(host, address).path for address in snapshot.devices)
    return any(host.exists(f"{path}/reset_method") or host.exists(f"{path}/reset") for path in paths)


def _known(folder: _Folder, slots: t.Mapping[str, str]) -> pci.PciDevice:
    host, path = folder.host, folder.path
    root, parents = folder.ancestry
    found = _MODALIAS.match(host.text(f"{path}/modalias") or "")
    ids = [part.lower() for part in found.groups()] if found else []
    return pci.PciDevice(
        address=folder.address,
        root=root,
        parents=parents,
        driver=host.link(f"{path}/driver"),
        group=host.link(f"{path}/iommu_group"),
        physfn=host.link(f"{path}/physfn"),
        slot=slots.get(folder.address.rpartition(".")[0]),
        vendor=ids[0] if ids else folder.code("vendor", 4),
        device=ids[1] if ids else folder.code("device", 4),
        subsystem_vendor=ids[2] if ids else folder.code("subsystem_vendor", 4),
        subsystem_device=ids[3] if ids else folder.code("subsystem_device", 4),
        class_code="".join(ids[4:]) if ids else folder.code("class", 6),
    )


class _Folder:
    """One device's folder: only files that are listed are opened.

    The link in ``/sys/bus/pci/devices`` is resolved as text, so that a captured tree is never
    left, wherever its links point.
    """

    def __init__(self, host: Host, address: str) -> None:
        self.host = host
        self.address = address
        entry = f"{_DEVICES}/{address}"
        self.path = posixpath.normpath(posixpath.join(_DEVICES, host.target(entry) or entry))

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """Return what the folder holds."""
        return frozenset(self.host.listdir(self.path))

    def text(self, name: str) -> str | None:
        return self.host.text(f"{self.path}/{name}") if name in self.names else None

    def number(self, name: str) -> int | None:
        return pci.parse_int(self.text(name))

    def code(self, name: str, digits: int) -> str | None:
        """Return a hexadecimal id with exactly ``digits`` digits."""
        value = self.number(name)
        return None if value is None or not 0 <= value < 16**digits else f"{value:0{digits}x}"

    def link(self, name: str) -> str | None:
        return self.host.link(f"{self.path}/{name}") if name in self.names else None

    def switch(self, name: str) -> bool | None:
        return {"1": True, "0": False}.get(self.text(name) or "")

    @property
    def ancestry(self) -> tuple[str, tuple[str, ...]]:
        """Return the host bridge and the bridges from there to the device."""
        parts = self.path.split("/")
        roots = [part for part in parts if part.startswith("pci") and ":" in part]
        return (roots[-1] if roots else ""), tuple(part for part in parts[:-1] if pci.is_address(part))


def _device(folder: _Folder, slots: t.Mapping[str, str], reset_known: bool) -> pci.PciDevice:
    config = folder.host.read_bytes(f"{folder.path}/config") if "config" in folder.names else None
    resource = folder.text("resource")
    root, parents = folder.ancestry
    override = folder.text("driver_override")
    virtfns = [folder.link(name) for name in sorted(folder.names) if name.startswith("virtfn")]
    return pci.PciDevice(
        address=folder.address,
        root=root,
        parents=parents,
        vendor=folder.code("vendor", 4),
        device=folder.code("device", 4),
        subsystem_vendor=folder.code("subsystem_vendor", 4),
        subsystem_device=folder.code("subsystem_device", 4),
        class_code=folder.code("class", 6),
        driver=folder.link("driver"),
        driver_override=None if override in ("", _UNSET) else override,
        group=folder.link("iommu_group"),
        header_type=config[0x0E] & 0x7F if config and len(config) > 0x0E else None,
        numa_node=_node(folder.number("numa_node")),
        bars=None if resource is None else pci.parse_bars(resource, config),
        link=_link(folder),
        reset_methods=_reset_methods(folder, reset_known),
        sriov=_sriov(folder),
        physfn=folder.link("physfn"),
        virtfns=tuple(sorted(name for name in virtfns if name)),
        aer=_aer(folder),
        slot=slots.get(folder.address.rpartition(".")[0]),
        label=folder.text("label") or None,
        serial=pci.parse_serial(config),
        boot_vga=folder.switch("boot_vga"),
    )


def _node(number: int | None) -> int | None:
    """Return the NUMA node; the kernel writes -1 when the firmware does not say."""
    return None if number is None or number < 0 else number


def _link(folder: _Folder) -> pci.Link | None:
    if "current_link_width" not in folder.names:
        return None
    widths = (folder.number("current_link_width"), folder.number("max_link_width"))
    width, max_width = (None if value in _NO_WIDTH else value for value in widths)
    return pci.Link(
        speed=pci.parse_speed(folder.text("current_link_speed")),
        width=width,
        max_speed=pci.parse_speed(folder.text("max_link_speed")),
        max_width=max_width,
    )


def _reset_methods(folder: _Folder, known: bool) -> tuple[str, ...] | None:
    """Return the ways to reset the function: empty for none, ``None`` when nobody knows.

    The kernel hides the file of a device that cannot be reset; that is an answer only if it
    shows the file of another. Before 5.15 there is ``reset`` alone, without the names.
    """
    if "reset_method" in folder.names:
        text = folder.text("reset_method")
        return None if text is None else tuple(text.split())
    if "reset" in folder.names:
        return ("unnamed",)
    return () if known else None


def _sriov(folder: _Folder) -> pci.Sriov | None:
    total = folder.number("sriov_totalvfs")
    if not total or total < 0:
        return None
    return pci.Sriov(total, folder.number("sriov_numvfs") or 0, folder.switch("sriov_drivers_autoprobe"))


def _aer(folder: _Folder) -> dict[str, dict[str, int]] | None:
    """Return the error counters that are not zero, by severity."""
    if not folder.names.intersection(_AER_FILES.values()):
        return None
    return {kind: _counters(folder.text(name) or "") for kind, name in _AER_FILES.items()}


def _counters(text: str) -> dict[str, int]:
    counters = {}
    for line in text.splitlines():
        name, _unused, number = line.strip().rpartition(" ")
        count = pci.parse_int(number)
        if name and count and not name.startswith("TOTAL"):
            counters[name] = count
    return counters


def _slots(host: Host) -> dict[str, str]:
    """Return the printed slot of each card: ``{"0000:3b:00": "5"}``."""
    slots = {}
    for name in host.listdir(_SLOTS):
        card = host.text(f"{_SLOTS}/{name}/address")
        if card:
            slots[card.lower()] = name
    return slots


def _groups(host: Host, devices: t.Mapping[str, pci.PciDevice]) -> dict[str, pci.IommuGroup] | None:
    """Return the groups, from their own folders and from the links of the devices."""
    members: dict[str, set[str]] = {number: set() for number in host.listdir(_GROUPS)}
    for number in members:
        members[number].update(host.listdir(f"{_GROUPS}/{number}/devices"))
    for device in devices.values():
        if device.group:
            members.setdefault(device.group, set()).add(device.address)
    if not members and not host.exists(_GROUPS):
        return None
    return {number: _group(host, number, members[number]) for number in sorted(members, key=_by_number)}


def _group(host: Host, number: str, members: t.Iterable[str]) -> pci.IommuGroup:
    folder = f"{_GROUPS}/{number}"
    reserved = host.text(f"{folder}/reserved_regions")
    names = sorted(members)
    return pci.IommuGroup(
        number=number,
        devices=tuple(name for name in names if pci.is_address(name)),
        others=tuple(name for name in names if not pci.is_address(name)),
        domain=host.text(f"{folder}/type") or None,
        name=host.text(f"{folder}/name") or None,
        reserved=None if reserved is None else pci.parse_regions(reserved),
    )


def _by_number(name: str) -> tuple[int, str]:
    return (int(name) if name.isdecimal() else 0, name)
