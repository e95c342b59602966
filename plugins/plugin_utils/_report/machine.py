# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The machine as the report draws it: NUMA nodes, PCI devices, IOMMU groups and their owners."""

from __future__ import annotations

import dataclasses
import typing as t

HOST, VFIO, UNBOUND, MIXED, PORTS, NO_GROUP = "host", "vfio", "unbound", "mixed", "ports", "none"
OWNERS = (HOST, VFIO, UNBOUND, MIXED, PORTS, NO_GROUP)
BRIDGE = "bridge"
Data = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Device:
    """One PCI function, or another member of an IOMMU group."""

    address: str
    label: str
    kind: str
    driver: str = ""
    group: str = ""
    node: int = -1
    parent: str = ""
    ids: str = ""
    name: str = ""
    note: str = ""

    @property
    def is_bridge(self) -> bool:
        """Tell whether this is part of the way to a device, not a device somebody owns."""
        return self.kind == BRIDGE

    @property
    def title(self) -> str:
        """Return what it is, in one line."""
        note = f" ({self.note})" if self.note else ""
        return f"{self.label}{note} {self.name}".strip()

    @property
    def short(self) -> str:
        """Return the address as people say it: without the domain when that is 0000."""
        return self.address[5:] if self.address.startswith("0000:") else self.address


@dataclasses.dataclass(frozen=True)
class Node:
    """One NUMA node."""

    number: int
    cpus: str = ""
    sockets: str = ""
    memory: str = ""


@dataclasses.dataclass(frozen=True)
class Machine:
    """What the drawing shows; ``claims`` says who holds each IOMMU group, as kvm_check sees it."""

    nodes: tuple[Node, ...]
    devices: tuple[Device, ...]
    claims: t.Mapping[str, str] = dataclasses.field(default_factory=dict)

    def owners(self) -> dict[str, str]:
        """Return the owner of every IOMMU group that has a device, and of the devices without a group."""
        ways: dict[str, bool] = {}
        for device in self.devices:
            ways[device.group] = ways.get(device.group, True) and device.is_bridge
        return {group: self._owner(group, only_ways) for group, only_ways in ways.items()}

    def _owner(self, group: str, only_ways: bool) -> str:
        if not group:
            return NO_GROUP
        return PORTS if only_ways else self.claims.get(group, UNBOUND)


def from_topology(topology: Data) -> Machine:
    """Build the machine from the ``topology`` that ``kvm_check`` returns.

    A group that VFIO made up without an IOMMU isolates nothing, so its devices are in no group.
    """
    sockets = topology.get("sockets") or []
    groups = [group for group in topology.get("groups") or [] if not group.get("fake")]
    claims = {str(group["group"]): str(group["owner"]) for group in groups}
    roots = (device for bus in topology.get("pci") or [] for device in bus["devices"])
    devices = [device for root in roots for device in _branch(root, "", claims)]
    return Machine(
        nodes=tuple(_node(data, sockets) for data in topology.get("nodes") or []),
        devices=(*devices, *_others(groups, {device.address for device in devices})),
        claims=claims,
    )


def _others(groups: t.Sequence[Data], known: set[str]) -> t.Iterator[Device]:
    """Name the members of groups that are no PCI devices."""
    for group in groups:
        for name in sorted(set(map(str, group.get("members") or [])) - known):
            yield Device(name, "Platform device", "", "not known", str(group["group"]))


def _node(data: Data, sockets: t.Sequence[Data]) -> Node:
    cpus = _numbers(str(data.get("cpus") or ""))
    memory = data.get("memory_bytes")
    return Node(
        number=int(data["node"]),
        cpus=str(data.get("cpus") or ""),
        sockets=", ".join(
            str(item["socket"]) for item in sockets if cpus & _numbers(str(item.get("cpus") or ""))
        ),
        memory=f"{memory / 2**30:.0f} GiB" if memory else "",
    )


def _numbers(cpulist: str) -> set[int]:
    """Return the CPUs of a list such as ``0-3,8``; anything else counts as none."""
    found: set[int] = set()
    for part in cpulist.split(","):
        first, _dash, last = part.partition("-")
        if first.strip().isdigit() and (last.strip() or first).isdigit():
            found.update(range(int(first), int(last or first) + 1))
    return found


def _branch(data: Data, parent: str, groups: t.Container[str]) -> t.Iterator[Device]:
    """Walk one branch of the PCI tree, a bridge before what is behind it."""
    node, code = data.get("numa_node"), str(data.get("class") or "")
    driver, group = str(data.get("driver") or ""), str(data.get("iommu_group") or "")
    # A host bridge has no driver and needs none: it is part of the way like any other bridge.
    way = data.get("bridge") or (code.startswith("0600") and not driver)
    yield Device(
        address=str(data["address"]),
        label=_capitalised(str(data.get("class_name") or "device")),
        kind=BRIDGE if way else "",
        driver=driver,
        group=group if group in groups else "",
        node=-1 if node is None else int(node),
        parent=parent,
        ids=f"{data.get('vendor') or '????'}:{data.get('device') or '????'}",
        name=str(data.get("device_name") or ""),
        note=", ".join(_notes(data)),
    )
    for child in data.get("children") or []:
        yield from _branch(child, str(data["address"]), groups)


def _notes(data: Data) -> t.Iterator[str]:
    if data.get("boot_vga"):
        yield "boot display"
    if data.get("physfn"):
        yield f"VF of {data['physfn']}"
    if data.get("slot"):
        yield f"slot {data['slot']}"


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
