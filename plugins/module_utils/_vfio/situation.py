# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What decides whether devices can be given to VFIO at all, besides the tree of PCI devices."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import cpu
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.iommu_evidence import read_remapped
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.device import hung_marks
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.gates import Situation
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.places import resolved

_DEVICES = "/sys/bus/pci/devices"
_GROUPS = "/sys/kernel/iommu_groups"
_UNSAFE = "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
# The standard part of the configuration space; the ids in it are all ones for a virtual function that works, too.
_HEADER_BYTES = 64
_SILENT = "what the kernel shows of it cannot be read, as somebody else is at it and does not come back"


def read_situation(
    host: Host, snapshot: pci.PciSnapshot, addresses: t.Sequence[str], hung: t.Collection[str] = ()
) -> Situation:
    """Read the situation of ``addresses`` and their groups; ``hung`` may be some without a mark."""
    devices = [snapshot.devices[address] for address in addresses if address in snapshot.devices]
    marks = {**dict.fromkeys(hung, _SILENT), **hung_marks(host)}
    return Situation(
        iommu_groups=any(not group.fake for group in (snapshot.groups or {}).values()),
        interrupt_remapping=_remaps(host),
        unsafe_interrupts=host.text(_UNSAFE) == "Y",
        enabled_vfs={d.address: d.sriov.number for d in devices if d.sriov and d.sriov.number},
        dead=frozenset(d.address for d in devices if d.address not in marks and _is_dead(host, d.address)),
        hung={address: marks[address] for address in addresses if address in marks},
        mediated=frozenset(d.address for d in devices if _is_mediated(host, d)),
        foreign_drivers=_foreign_drivers(host, snapshot, devices),
    )


def _remaps(host: Host) -> bool | None:
    """Tell whether interrupts of devices are remapped, by the rule of ``kvm_check``.

    On Arm the ITS does so. It is seen once a device of the host uses it, so that there not to see it tells nothing;
    on x86 the chips that are seen instead tell that nothing is remapped.
    """
    remapped = read_remapped(host)
    if not remapped and cpu.read(host).arch == "arm64":
        return None
    return None if remapped is None else bool(remapped)


def _is_dead(host: Host, address: str) -> bool:
    """Tell whether a device fell off the bus: then every byte reads as ones, or none can be read."""
    path = f"{resolved(host, _DEVICES, address)}/config"
    config = host.read_bytes(path)
    if config is None:
        return host.exists(path)
    return not config[:_HEADER_BYTES].strip(b"\xff")


def _is_mediated(host: Host, device: pci.PciDevice) -> bool:
    """Tell whether a virtual function is one of NVIDIA's virtual GPUs, which only its own driver can serve."""
    path = f"{resolved(host, _DEVICES, device.address)}/nvidia/current_vgpu_type"
    return device.physfn is not None and host.exists(path)


def _foreign_drivers(
    host: Host, snapshot: pci.PciSnapshot, devices: t.Iterable[pci.PciDevice]
) -> dict[str, str]:
    """Return the drivers of those members of the groups that are no PCI devices."""
    groups = {group.number: group for group in map(snapshot.group_of, devices) if group}
    folders = {
        name: f"{_GROUPS}/{number}/devices" for number, group in groups.items() for name in group.others
    }
    drivers = {name: host.link(f"{resolved(host, folder, name)}/driver") for name, folder in folders.items()}
    return {name: driver for name, driver in drivers.items() if driver}
