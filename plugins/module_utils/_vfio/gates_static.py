# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What a PCI device is, as far as that alone speaks against giving it away. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model

_CHIPSET = {
    "0600": "a host bridge",
    "0601": "an ISA bridge",
    "0604": "a PCI bridge",
    "0780": "a communication controller of the chipset",
    "0806": "an IOMMU",
    "0c05": "an SMBus controller",
}
_IPMI = "0c07"
# The processors of HPE's iLO, as drivers/misc/hpilo.c knows them.
_MANAGEMENT_PROCESSORS = ("0e11:b204", "103c:3307")

# drivers/vfio/pci/vfio_pci.c vfio_pci_dev_in_denylist(): QuickAssist, then DSA and IAA of Sapphire Rapids.
_DENIED = frozenset(
    f"8086:{device}" for device in ("19e2", "19e3", "37c8", "37c9", "0435", "0443", "0b25", "0cfe")
)
# github.com/amd/MxGPU-Virtualization/issues/25
_LOST_BY_RESET = {"1002:74a1": "MI300X", "1002:75a3": "MI355X"}


def static_uses(snapshot: pci.PciSnapshot, members: t.Sequence[model.Member]) -> dict[str, list[model.Use]]:
    """Return what follows for ``members`` from what they are; of the boot display as well."""
    devices = [snapshot.devices[m.address] for m in members if m.binds and m.address in snapshot.devices]
    return {device.address: uses for device in devices if (uses := list(_uses(device)))}


def _uses(device: pci.PciDevice) -> t.Iterator[model.Use]:
    code = (device.class_code or "")[:4]
    if code in _CHIPSET:
        yield model.Use(model.CHIPSET, f"it is {_CHIPSET[code]} (class {code}), a part of the machine")
    if _is_management(device, code):
        yield model.Use(model.MANAGEMENT, f"it belongs to the management controller ({device.ids})")
    if device.boot_vga:
        yield model.Use(model.DISPLAY, "the firmware booted with it as the display (boot_vga)")
    if device.ids in _DENIED:
        what = f"vfio-pci has {device.ids} on its list of devices that misbehave (vfio-pci.disable_denylist)"
        yield model.Use(model.KNOWN_BAD, what)
    if device.ids in _LOST_BY_RESET and device.physfn is None:
        model_name = _LOST_BY_RESET[device.ids]
        what = f"an Instinct {model_name} is lost until a reboot when VFIO resets it (amd/MxGPU-Virtualization#25)"
        yield model.Use(model.KNOWN_BAD, what)


def _is_management(device: pci.PciDevice, code: str) -> bool:
    """Tell whether it is of a management controller; the display of one is no GPU to :mod:`pci`."""
    bmc_display = code.startswith("03") and device.physfn is None and not device.is_gpu
    return bmc_display or code == _IPMI or device.ids in _MANAGEMENT_PROCESSORS
