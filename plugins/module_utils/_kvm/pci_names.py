# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Names of PCI ids: from the distribution's list where it is installed, classes always."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci

_LISTS = ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids")
# Products are indented below their maker, comments are not.
_NEXT_MAKER = re.compile(r"\n[^\t#\n]")
# PCI Code and ID Assignment Specification: the classes that matter here, then the base classes.
_CLASSES = {
    "0101": "IDE controller",
    "0104": "RAID controller",
    "0106": "SATA controller",
    "0107": "SAS controller",
    "0108": "NVMe controller",
    "0200": "Ethernet controller",
    "0207": "InfiniBand controller",
    "0300": "VGA controller",
    "0302": "3D controller",
    "0380": "display controller",
    "0401": "audio device",
    "0403": "audio device",
    "0600": "host bridge",
    "0601": "ISA bridge",
    "0604": "PCI bridge",
    "0680": "bridge",
    "0806": "IOMMU",
    "0c03": "USB controller",
    "0c05": "SMBus",
    "1200": "processing accelerator",
    "00": "unclassified device",
    "01": "storage controller",
    "02": "network controller",
    "03": "display controller",
    "04": "multimedia controller",
    "05": "memory controller",
    "06": "bridge",
    "07": "communication controller",
    "08": "system peripheral",
    "09": "input device",
    "0a": "docking station",
    "0b": "processor",
    "0c": "serial bus controller",
    "0d": "wireless controller",
    "0e": "intelligent controller",
    "0f": "satellite controller",
    "10": "encryption controller",
    "11": "signal processing controller",
    "12": "processing accelerator",
    "13": "non-essential instrumentation",
}


@dataclasses.dataclass(frozen=True)
class Names:
    """The names of the ids of one host; keys are ``10de`` and ``10de:2330``."""

    ids: t.Mapping[str, str] = dataclasses.field(default_factory=dict)

    def vendor(self, device: pci.PciDevice) -> str | None:
        """Return the maker's name, if known."""
        return self.ids.get(device.vendor or "")

    def device(self, device: pci.PciDevice) -> str | None:
        """Return the product's name, if known."""
        return self.ids.get(device.ids)

    def class_name(self, device: pci.PciDevice) -> str | None:
        """Return what kind of device it is."""
        code = device.class_code or ""
        return _CLASSES.get(code[:4]) or _CLASSES.get(code[:2])


def read(host: Host, devices: t.Iterable[pci.PciDevice]) -> Names:
    """Look the ids of ``devices`` up, without a pass over every line of the list."""
    texts = (host.read(path).text for path in _LISTS)
    return Names(parse(next((text for text in texts if text), ""), devices))


def parse(text: str, devices: t.Iterable[pci.PciDevice]) -> dict[str, str]:
    """Pick the names of ``devices`` out of ``pci.ids``, 40000 lines of which a host needs a few. Pure."""
    text = f"\n{text}"
    wanted: dict[str, set[str]] = {}
    for device in devices:
        if device.vendor and device.device:
            wanted.setdefault(device.vendor, set()).add(device.device)
    names: dict[str, str | None] = {}
    for vendor, products in wanted.items():
        start = text.find(f"\n{vendor} ")
        if start >= 0:
            end = _NEXT_MAKER.search(text, start + 1)
            section = text[start : end.start() if end else len(text)]
            names[vendor] = _named(section, vendor)
            names.update({f"{vendor}:{product}": _named(section, f"\t{product}") for product in products})
    return {key: name for key, name in names.items() if name}


def _named(section: str, key: str) -> str | None:
    """Return what stands after ``key`` at the start of a line."""
    _before, found, after = section.partition(f"\n{key} ")
    return after.partition("\n")[0].strip() if found else None
