# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The PCI devices and IOMMU groups of a host as values, and the grammar of their texts. Pure."""

from __future__ import annotations

import dataclasses
import re
import struct
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError

_ADDRESS = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([01][0-9a-f])\.([0-7])", re.ASCII | re.IGNORECASE)
_INTEGER = re.compile(r"-?(0x[0-9a-f]{1,16}|\d{1,19})", re.ASCII | re.IGNORECASE)
_NOIOMMU = "vfio-noiommu"
# Baseboard management controllers bring a display for the remote console; nobody passes it on.
# ASPEED, Matrox, XGI, and Huawei's Hi1710.
_BMC_DISPLAYS = re.compile(r"1a03:|102b:|18ca:|19e5:1711")
_BRIDGE_HEADERS = (1, 2)
_BRIDGE_CLASSES = ("0604", "0607", "0609")

# Resource flags, include/linux/ioport.h of the kernel.
_FLAG_MEMORY, _FLAG_PREFETCH, _FLAG_64BIT, _FLAG_UNSET = 0x200, 0x2000, 0x100000, 0x20000000
_NO_FLAGS = "0x0000000000000000"
_ROM = 6
_BAR_REGISTERS, _BAR_COUNT = 0x10, 6
_SERIAL_CAPABILITY = 0x0003
_EXTENDED_START, _CONFIG_END = 0x100, 0x1000


# Named tuples where they do: a dataclass takes five times as long to make, and every run makes all of them anew.
# Not for Bar, as a tuple has an ``index`` of its own, nor for what is replaced field by field.


@dataclasses.dataclass(frozen=True)
class Bar:
    """One memory or I/O window of a device; indexes 0-5 are its own, 7-12 those of its VFs."""

    index: int
    start: int
    end: int
    flags: int

    @property
    def size(self) -> int:
        """Return the size in bytes; 0 when the kernel gave the window up without saying."""
        return self.end - self.start + 1 if self.end > self.start else 0

    @property
    def large_capable(self) -> bool:
        """Tell whether firmware may place it above 4 GiB: a 64-bit prefetchable window."""
        return bool(self.flags & _FLAG_64BIT and self.flags & _FLAG_PREFETCH)

    @property
    def unmapped(self) -> bool:
        """Tell whether it is a memory window without an address."""
        return bool(self.flags & _FLAG_MEMORY) and (self.start == 0 or bool(self.flags & _FLAG_UNSET))


class Link(t.NamedTuple):
    """A PCI Express link: speeds in GT/s, widths in lanes, ``None`` when not known."""

    speed: float | None = None
    width: int | None = None
    max_speed: float | None = None
    max_width: int | None = None


class Sriov(t.NamedTuple):
    """What a physical function says of its virtual functions."""

    total: int
    number: int
    autoprobe: bool | None = None


@dataclasses.dataclass(frozen=True)
class PciDevice:
    """One PCI function. Ids are lower-case hexadecimal without ``0x``; ``None`` is not known."""

    address: str
    root: str = ""
    parents: tuple[str, ...] = ()
    vendor: str | None = None
    device: str | None = None
    subsystem_vendor: str | None = None
    subsystem_device: str | None = None
    class_code: str | None = None
    driver: str | None = None
    driver_override: str | None = None
    group: str | None = None
    header_type: int | None = None
    numa_node: int | None = None
    bars: tuple[Bar, ...] | None = None
    link: Link | None = None
    reset_methods: tuple[str, ...] | None = None
    sriov: Sriov | None = None
    physfn: str | None = None
    virtfns: tuple[str, ...] = ()
    aer: t.Mapping[str, t.Mapping[str, int]] | None = None
    slot: str | None = None
    label: str | None = None
    serial: str | None = None
    boot_vga: bool | None = None

    @property
    def ids(self) -> str:
        """Return ``vendor:device``."""
        return f"{self.vendor}:{self.device}"

    @property
    def card(self) -> str:
        """Return the address without the function: what the functions of one card share."""
        return self.address.rpartition(".")[0]

    @property
    def is_gpu(self) -> bool:
        """Tell whether it is a display, 3D or accelerator function; not a VF, not a BMC's."""
        wanted = (self.class_code or "").startswith(("03", "1200"))
        return wanted and self.physfn is None and not _BMC_DISPLAYS.match(self.ids)


class Region(t.NamedTuple):
    """A reserved address range of a group; kind is direct, direct-relaxable, reserved or msi."""

    start: int
    end: int
    kind: str


class IommuGroup(t.NamedTuple):
    """What the IOMMU cannot tell apart. ``others`` are its members that are not PCI devices."""

    number: str
    devices: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    domain: str | None = None
    name: str | None = None
    reserved: tuple[Region, ...] | None = None

    @property
    def fake(self) -> bool:
        """Tell whether VFIO made the group up without an IOMMU: it isolates nothing."""
        return self.name == _NOIOMMU

    @property
    def direct(self) -> tuple[Region, ...]:
        """Return the ranges that bind the members to the host: they cannot be passed through."""
        return tuple(region for region in self.reserved or () if region.kind == "direct")


@dataclasses.dataclass(frozen=True)
class PciSnapshot:
    """All PCI devices and IOMMU groups, read at one moment; ``None`` when not to be had."""

    devices: t.Mapping[str, PciDevice] = dataclasses.field(default_factory=dict)
    groups: t.Mapping[str, IommuGroup] | None = None
    present: bool = True

    def is_bridge(self, device: PciDevice) -> bool:
        """Tell bridges by their header, as VFIO does; an NVSwitch has a bridge's class only."""
        if device.header_type is not None:
            return device.header_type in _BRIDGE_HEADERS
        return (device.class_code or "")[:4] in _BRIDGE_CLASSES

    def group_of(self, device: PciDevice) -> IommuGroup | None:
        """Return the IOMMU group of ``device``, if it has one."""
        return (self.groups or {}).get(device.group or "")

    def bus_mates(self, device: PciDevice) -> tuple[str, ...]:
        """Return the other functions on the bus of ``device``: a reset of the bus resets them too."""
        bus = device.address.rpartition(":")[0]
        mates = (name for name in self.devices if name.rpartition(":")[0] == bus and name != device.address)
        return tuple(sorted(mates))

    def resets_alone(self, device: PciDevice) -> tuple[str, ...] | None:
        """Return the ways to reset this function and no other, ``None`` when nobody knows.

        Of several functions on a bus the kernel lists ``bus`` for the first, which it looks at before it has
        found the others (``pci_init_reset_methods``), and refuses it later (``pci_parent_bus_reset``).
        """
        if device.reset_methods is None or not self.bus_mates(device):
            return device.reset_methods
        return tuple(method for method in device.reset_methods if method != "bus")

    def endpoints(self, group: IommuGroup) -> list[PciDevice]:
        """Return the PCI members of ``group`` that are not bridges."""
        members = [self.devices[address] for address in group.devices if address in self.devices]
        return [device for device in members if not self.is_bridge(device)]

    def any(self, attribute: str) -> bool:
        """Tell whether any device knows ``attribute``: whether the kernel offers it at all."""
        return any(getattr(device, attribute) is not None for device in self.devices.values())

    def candidates(self, addresses: t.Sequence[str]) -> list[PciDevice]:
        """Return the named devices that exist, or every GPU when none is named."""
        if addresses:
            wanted = [normalise(address) for address in addresses]
            return [self.devices[address] for address in wanted if address in self.devices]
        return [device for device in self.devices.values() if device.is_gpu]


def normalise(text: str) -> str:
    """Return a PCI address as sysfs writes it.

    Accepts ``3b:00.0``, the eight upper-case digits of nvidia-smi (``00000000:3B:00.0``) and
    the five-digit domains of VMD (``10000:e1:00.0``).

    :raises ParseError: the text is no PCI address.
    """
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        raise ParseError(
            f"{text!r} is not a PCI address.",
            "Write domain:bus:device.function as in /sys/bus/pci/devices, for example 0000:3b:00.0.",
        )
    domain, bus, device, function = match.groups()
    return f"{int(domain or '0', 16):04x}:{bus}:{device}.{function}".lower()


def is_address(text: str) -> bool:
    """Tell whether ``text`` is a full PCI address (an ACPI name such as AMDI0020:00 is not)."""
    match = _ADDRESS.fullmatch(text)
    return match is not None and match.group(1) is not None


def parse_bars(resource: str, config: bytes | None = None) -> tuple[Bar, ...]:
    """Parse the ``resource`` file.

    A kernel may wipe the line of a window that found no room. The type bits of the register
    are wired, so ``config`` still tells a wiped 64-bit window from none.
    """
    bars = []
    for index, line in enumerate(resource.splitlines()):
        words = line.split()
        if len(words) != 3 or words[2] == _NO_FLAGS or index == _ROM:
            continue
        start, end, flags = (parse_int(word) for word in words)
        if start is not None and end is not None and flags:
            bars.append(Bar(index, start, end, flags))
    known = {window.index for window in bars}
    wiped = [Bar(index, 0, 0, flags) for index, flags in _wired_windows(config) if index not in known]
    return tuple(sorted(bars + wiped, key=lambda bar: bar.index))


def _wired_windows(config: bytes | None) -> t.Iterator[tuple[int, int]]:
    """Yield index and flags of the 64-bit memory windows that a type-0 device implements."""
    if config is None or len(config) < 0x40 or config[0x0E] & 0x7F or config[:2] == b"\xff\xff":
        return
    index = 0
    while index < _BAR_COUNT - 1:
        (register,) = struct.unpack_from("<I", config, _BAR_REGISTERS + 4 * index)
        is_64bit = register & 0b111 == 0b100
        if is_64bit:
            prefetch = _FLAG_PREFETCH if register & 0b1000 else 0
            yield index, _FLAG_MEMORY | _FLAG_64BIT | _FLAG_UNSET | prefetch
        index += 2 if is_64bit else 1


def parse_regions(text: str) -> tuple[Region, ...]:
    """Parse ``reserved_regions``; lines of another grammar are left out."""
    regions = []
    for line in text.splitlines():
        words = line.split()
        start, end = (parse_int(word) for word in words[:2]) if len(words) == 3 else (None, None)
        if start is not None and end is not None:
            regions.append(Region(start, end, words[2]))
    return tuple(regions)


def parse_speed(text: str | None) -> float | None:
    """Return GT/s of ``16.0 GT/s PCIe``, ``None`` for ``Unknown``."""
    match = re.match(r"(\d{1,4}(?:\.\d{1,4})?) GT/s", text or "", re.ASCII)
    return float(match.group(1)) if match else None


def parse_serial(config: bytes | None) -> str | None:
    """Return the device serial number from the extended capabilities, as lspci prints it."""
    offset = _EXTENDED_START
    seen = set()
    while config and offset not in seen and _EXTENDED_START <= offset <= min(len(config), _CONFIG_END) - 12:
        seen.add(offset)
        header, low, high = struct.unpack_from("<III", config, offset)
        if header & 0xFFFF == _SERIAL_CAPABILITY:
            return "-".join(f"{byte:02x}" for byte in struct.pack(">II", high, low))
        offset = header >> 20 & 0xFFC
    return None


def parse_int(text: str | None) -> int | None:
    """Return the integer that sysfs wrote, decimal or ``0x``; ``None`` for anything else."""
    if text is None or not _INTEGER.fullmatch(text):
        return None
    return int(text, 16 if "x" in text.lower() else 10)
