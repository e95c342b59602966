# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""A drawing of the machine as data: sockets, NUMA nodes, the PCI tree and who owns each group."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import pci_names
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci, pci_sysfs

_NODES = "/sys/devices/system/node"
_CPUS = "/sys/devices/system/cpu"
_LIST_PART = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)
# Drivers that hold a device for a guest without being VFIO.
_PARKING = ("pci-stub",)

Json = dict[str, t.Any]


def topology(host: Host) -> Json:
    """Return the machine, ready for JSON."""
    snapshot = pci_sysfs.read_pci_once(host)
    names = pci_names.read(host, snapshot.devices.values())
    nodes = [_node(host, number) for number in online_nodes(host)]
    return {
        "sockets": _sockets(host),
        "nodes": nodes,
        "pci": _roots(snapshot, names),
        "groups": [_group(snapshot, group) for group in (snapshot.groups or {}).values()],
    }


def online_nodes(host: Host) -> list[int]:
    """Return the NUMA nodes that are online; a kernel without NUMA has none."""
    return parse_list(host.text(f"{_NODES}/online"))


def parse_list(text: str | None) -> list[int]:
    """Parse a list of numbers as the kernel writes it: ``0-3,8``."""
    numbers: list[int] = []
    for part in (text or "").split(","):
        match = _LIST_PART.fullmatch(part.strip())
        if match:
            first, last = int(match.group(1)), int(match.group(2) or match.group(1))
            numbers.extend(range(first, last + 1))
    return numbers


def format_list(numbers: t.Iterable[int]) -> str:
    """Write a list of numbers as the kernel does: ``0-3,8``."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def owner(snapshot: pci.PciSnapshot, group: pci.IommuGroup) -> str:
    """Tell who holds a group: ``vfio``, ``host``, ``mixed`` (no guest can have it), or ``unbound``.

    Bridges stay with the host whoever holds the devices below them, so they count only in a
    group of bridges.
    """
    members = [snapshot.devices[address] for address in group.devices if address in snapshot.devices]
    drivers = {member.driver for member in snapshot.endpoints(group) or members} - {None}
    ours = {driver for driver in drivers if driver and ("vfio" in driver or driver in _PARKING)}
    if ours:
        return "mixed" if drivers - ours else "vfio"
    return "host" if drivers else "unbound"


def _node(host: Host, number: int) -> Json:
    folder = f"{_NODES}/node{number}"
    match = re.search(r"MemTotal:\s*(\d{1,18}) kB", host.text(f"{folder}/meminfo") or "", re.ASCII)
    return {
        "node": number,
        "cpus": host.text(f"{folder}/cpulist") or "",
        "memory_bytes": int(match.group(1)) * 1024 if match else None,
    }


def _sockets(host: Host) -> list[Json]:
    """Return the sockets with their CPUs; CPUs of the same package share one."""
    packages: dict[int, list[int]] = {}
    for name in host.listdir(_CPUS):
        cpu = pci.parse_int(name[3:]) if name.startswith("cpu") else None
        package = (
            pci.parse_int(host.text(f"{_CPUS}/{name}/topology/physical_package_id"))
            if cpu is not None
            else None
        )
        if cpu is not None and package is not None:
            packages.setdefault(package, []).append(cpu)
    return [{"socket": package, "cpus": format_list(packages[package])} for package in sorted(packages)]


def _roots(snapshot: pci.PciSnapshot, names: pci_names.Names) -> list[Json]:
    """Return the host bridges, each with the tree below it."""
    children: dict[str, list[pci.PciDevice]] = {}
    for device in snapshot.devices.values():
        known = [address for address in device.parents if address in snapshot.devices]
        children.setdefault(known[-1] if known else device.root, []).append(device)

    def branch(device: pci.PciDevice) -> Json:
        below = children.get(device.address, ())
        return {**_device(snapshot, device, names), "children": [branch(child) for child in below]}

    roots = sorted({device.root for device in snapshot.devices.values()} & set(children))
    return [{"root": root, "devices": [branch(device) for device in children[root]]} for root in roots]


def _device(snapshot: pci.PciSnapshot, device: pci.PciDevice, names: pci_names.Names) -> Json:
    link = device.link or pci.Link()
    return {
        "address": device.address,
        "vendor": device.vendor,
        "device": device.device,
        "vendor_name": names.vendor(device),
        "device_name": names.device(device),
        "class": device.class_code,
        "class_name": names.class_name(device),
        "bridge": snapshot.is_bridge(device),
        "gpu": device.is_gpu,
        "driver": device.driver,
        "iommu_group": device.group,
        "numa_node": device.numa_node,
        "link": {
            "speed": link.speed,
            "width": link.width,
            "max_speed": link.max_speed,
            "max_width": link.max_width,
        },
        "sriov": {"total": device.sriov.total, "number": device.sriov.number} if device.sriov else None,
        "physfn": device.physfn,
        "slot": device.slot,
        "label": device.label,
        "boot_vga": device.boot_vga,
        "serial": device.serial,
    }


def _group(snapshot: pci.PciSnapshot, group: pci.IommuGroup) -> Json:
    return {
        "group": group.number,
        "owner": owner(snapshot, group),
        "domain": group.domain,
        "fake": group.fake,
        "members": [*group.devices, *group.others],
    }
