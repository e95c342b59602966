# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the files of a host with many PCI functions, a few of them with guests for good; no kernel behind them.

What is in a device's folder, and how it is written, is what Linux 6.1 shows of one.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import posixpath
import struct
import typing as t

BUS, GROUPS = "/sys/bus/pci", "/sys/kernel/iommu_groups"
RULES, RECORD = "/etc/udev/rules.d/10-hearth-vfio.rules", "/var/lib/hearth/vfio"
VFIO = "vfio-pci"
PORT = "8086:3420:8086:0000"
PER_PORT = 8

# What a namespace of mounts makes of the machine: sysfs is the tree's alone; the rest has its files on top.
MOUNTS = """\
tree=$1
shift
mount --bind "$tree/sys" /sys
for place in etc var/lib; do
    mount -t overlay -o "lowerdir=$tree/$place:/$place" hearth-bench "/$place"
done
exec "$@"
"""


def inside(root: pathlib.Path) -> list[str]:
    """Return the words before a command that is to find the tree in the place of this machine's files."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *user, "sh", "-euc", MOUNTS, "sh", str(root)]


@dataclasses.dataclass(frozen=True)
class Function:
    """One PCI function: where it is, the port that it is behind, its ids, class, driver and group."""

    address: str
    port: str
    ids: str
    class_code: str
    driver: str
    group: int
    origin: str = ""

    @property
    def folder(self) -> str:
        """Where the kernel shows it."""
        return "/".join(filter(None, ("/sys/devices/pci0000:00", self.port, self.address)))

    @property
    def ours(self) -> bool:
        """Tell whether it is with guests."""
        return bool(self.origin)


# A graphics card and its sound function, each with the driver it had.
_CARD = (("10de:2484:1043:87d9", "030000", "nouveau"), ("10de:228b:1043:87d9", "040300", "snd_hda_intel"))
_VF = ("15b3:1018:15b3:0058", "020000", "mlx5_core")
GIVEN = 4
# What a playbook says: the cards by what they are; their other functions follow.
SELECTORS = [{"vendor_device": "10de:2484"}]


def functions(count: int) -> list[Function]:
    """Lay out ``count`` functions behind ports; those of the first graphics cards, ``GIVEN``, are with guests."""
    found: list[Function] = []
    while len(found) < count:
        bus = len({one.port for one in found if one.port}) + 1
        port = f"0000:00:{(bus - 1) >> 3:02x}.{(bus - 1) & 7}"
        found.append(Function(port, "", PORT, "060400", "pcieport", len(found)))
        place = f"0000:{bus:02x}:00"
        if sum(one.ours for one in found) < GIVEN:
            group = len(found)
            found += [
                Function(f"{place}.{number}", port, ids, code, VFIO, group, origin)
                for number, (ids, code, origin) in enumerate(_CARD)
            ]
            continue
        room = min(PER_PORT, count - len(found))
        found += [Function(f"{place}.{number}", port, *_VF, len(found) + number) for number in range(room)]
    return found


def build(root: pathlib.Path, laid_out: t.Sequence[Function]) -> None:
    """Write the files of a host on which everything is as it should be."""
    for one in laid_out:
        _device(root, one)
    for folder in ("/sys/bus/pci/slots", "/sys/module/vfio_pci", "/sys/module/vfio_iommu_type1"):
        (root / folder.lstrip("/")).mkdir(parents=True)
    _put(root, RECORD, record(laid_out))
    _put(root, RULES, rules(laid_out))


def _device(root: pathlib.Path, one: Function) -> None:
    for name, content in _attributes(one).items():
        _put(root, f"{one.folder}/{name}", content)
    group, driver = f"{GROUPS}/{one.group}", f"{BUS}/drivers/{one.driver}"
    for place, target in (
        (f"{BUS}/devices/{one.address}", one.folder),
        (f"{driver}/{one.address}", one.folder),
        (f"{group}/devices/{one.address}", one.folder),
        (f"{one.folder}/driver", driver),
        (f"{one.folder}/iommu_group", group),
        (f"{one.folder}/subsystem", BUS),
    ):
        _link(root, place, target)
    _put(root, f"{group}/type", "DMA-FQ\n")
    _put(root, f"{group}/reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n")


def _attributes(one: Function) -> dict[str, str | bytes]:
    vendor, device, subvendor, subdevice = one.ids.split(":")
    alias = _modalias(one)
    return {
        "vendor": f"0x{vendor}\n",
        "device": f"0x{device}\n",
        "subsystem_vendor": f"0x{subvendor}\n",
        "subsystem_device": f"0x{subdevice}\n",
        "class": f"0x{one.class_code}\n",
        "revision": "0x01\n",
        "irq": "0\n",
        "enable": "1\n",
        "numa_node": "0\n",
        "local_cpulist": "0-15\n",
        "current_link_speed": "16.0 GT/s PCIe\n",
        "current_link_width": "16\n",
        "max_link_speed": "16.0 GT/s PCIe\n",
        "max_link_width": "16\n",
        "reset_method": "flr bus\n",
        "driver_override": f"{VFIO if one.ours else '(null)'}\n",
        "modalias": f"{alias}\n",
        "uevent": f"DRIVER={one.driver}\nPCI_SLOT_NAME={one.address}\nMODALIAS={alias}\n",
        "resource": "0x0000000000000000 0x0000000000000000 0x0000000000000000\n" * 13,
        "config": _config(one),
    }


def _modalias(one: Function) -> str:
    """Return what modalias_show() of drivers/pci/pci-sysfs.c prints."""
    vendor, device, subvendor, subdevice = (f"{int(part, 16):08X}" for part in one.ids.split(":"))
    base, sub, interface = (one.class_code[at : at + 2].upper() for at in (0, 2, 4))
    return f"pci:v{vendor}d{device}sv{subvendor}sd{subdevice}bc{base}sc{sub}i{interface}"


def _config(one: Function) -> bytes:
    """Build a configuration space (PCI Local Bus 3.0 chapter 6)."""
    vendor, device, subvendor, subdevice = (int(part, 16) for part in one.ids.split(":"))
    space = bytearray(256)
    struct.pack_into("<HH", space, 0, vendor, device)
    space[9:12] = bytes(reversed(bytes.fromhex(one.class_code)))
    space[0x0E] = 0 if one.port else 1
    struct.pack_into("<HH", space, 0x2C, subvendor, subdevice)
    return bytes(space)


def record(laid_out: t.Iterable[Function]) -> str:
    """Return the collection's record of the functions that guests have."""
    lines = [f"{one.address} {one.ids} {VFIO} {one.origin} - - -\n" for one in laid_out if one.ours]
    return "".join(
        ["# hearth vfio 1: address identity driver origin origin_override gpu_uuid boot_id\n", *lines]
    )


def rules(laid_out: t.Iterable[Function]) -> str:
    """Return the rules that bind them at boot."""
    head = (
        "# Written by hearth.gpu_host; changes here are overwritten. The initramfs has a copy of this file.\n"
        "# The lines that begin with 'hearth:' are read by the check at boot.\n"
    )
    return head + "".join(map(_rule, (one for one in laid_out if one.ours)))


def _rule(one: Function) -> str:
    names = ("vendor", "device", "subsystem_vendor", "subsystem_device")
    words = [
        'ACTION=="add"',
        'SUBSYSTEM=="pci"',
        f'KERNEL=="{one.address}"',
        *(f'ATTR{{{name}}}=="0x{value}"' for name, value in zip(names, one.ids.split(":"))),
        f'ATTR{{driver_override}}="{VFIO}"',
        'ATTR{[subsystem/pci]drivers_probe}="$kernel"',
        f'RUN{{builtin}}+="kmod load {VFIO}"',
    ]
    return f"# hearth: {one.address} {one.ids} {VFIO}\n{', '.join(words)}\n"


def _put(root: pathlib.Path, path: str, content: str | bytes) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


def _link(root: pathlib.Path, path: str, target: str) -> None:
    """Make a relative link, as the kernel does."""
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(os.path.relpath(target, posixpath.dirname(path)))
