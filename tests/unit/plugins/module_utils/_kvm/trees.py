# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builders of PCI and IOMMU trees as the kernel shows them. Every value names where its form comes from."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import struct
import typing as t

import hosts

SYSFS = "Linux 6.1 drivers/pci/pci-sysfs.c"
IOMMU = "Linux 6.1 drivers/iommu/iommu.c"
LAB = "seen in the lab VM: QEMU 7.2, q35 with intel-iommu, Debian 12"
MSI = "0x00000000fee00000 0x00000000feefffff msi"
BRIDGE, ENDPOINT = 1, 0
# include/linux/ioport.h: IORESOURCE_MEM, plus MEM_64 and PREFETCH as lspci -vv calls them.
MEM32, MEM64_PREFETCH = 0x40200, 0x14220C


def config(header_type: int = ENDPOINT, *, serial: bytes | None = None, bars: t.Sequence[int] = ()) -> bytes:
    """Build a configuration space (PCI Local Bus 3.0 chapter 6; PCIe 5.0 7.9.3 for the serial number)."""
    space = bytearray(4096 if serial else 64)
    space[0:4] = struct.pack("<HH", 0x10DE, 0x2330)
    space[0x0E] = header_type
    for index, register in enumerate(bars):
        struct.pack_into("<I", space, 0x10 + 4 * index, register)
    if serial:
        # An unrelated capability (AER) first, so that the list has to be walked.
        struct.pack_into("<I", space, 0x100, 0x140 << 20 | 1 << 16 | 0x0001)
        struct.pack_into("<I", space, 0x140, 1 << 16 | 0x0003)
        space[0x144:0x14C] = serial
    return bytes(space)


def resource(*windows: tuple[int, int, int]) -> str:
    """Build a ``resource`` file: start, end and flags of BAR 0 and on; see resource_show()."""
    lines = [*windows, *[(0, 0, 0)] * (13 - len(windows))]
    return "".join(f"0x{start:016x} 0x{end:016x} 0x{flags:016x}\n" for start, end, flags in lines)


def dmar(flags: int = 1, *, width: int = 39, kinds: t.Sequence[int] = (0,)) -> bytes:
    """Build a DMAR table (Intel VT-d specification, chapter 8.1)."""
    structures = b"".join(struct.pack("<HH12x", kind, 16) for kind in kinds)
    header = struct.pack("<4sI28x", b"DMAR", 48 + len(structures))
    return header + bytes([width - 1, flags]) + bytes(10) + structures


def iort(*kinds: int) -> bytes:
    """Build an IORT table (Arm DEN 0049): node types 0 ITS, 2 root complex, 4 SMMUv3."""
    nodes = b"".join(struct.pack("<BH13x", kind, 16) for kind in kinds)
    return struct.pack("<4sI28xII4x", b"IORT", 48 + len(nodes), len(kinds), 48) + nodes


@dataclasses.dataclass
class Tree(hosts.Machine):
    """A host with PCI devices and IOMMU groups."""

    def link(self, path: str, target: str, *, source: str) -> Tree:
        """Make a relative link, as the kernel does."""
        assert source, f"{path}: where does this link come from?"
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.path.relpath(target, os.path.dirname(path)))
        return self

    def folder(self, path: str, *, source: str) -> Tree:
        assert source, f"{path}: where does this folder come from?"
        (self.root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        return self

    def device(
        self,
        address: str,
        ids: str,
        class_code: str,
        *,
        source: str,
        under: t.Sequence[str] = (),
        root: str = "pci0000:00",
        group: str | None = None,
        driver: str | None = None,
        header: int = ENDPOINT,
        files: t.Mapping[str, str | bytes] | None = None,
        links: t.Mapping[str, str] | None = None,
    ) -> Tree:
        """Add a device; ``ids`` are vendor:device, ``under`` the bridges above it."""
        full = f"0000:{address}" if address.count(":") == 1 else address
        parents = [f"0000:{bridge}" if bridge.count(":") == 1 else bridge for bridge in under]
        folder = "/".join(["/sys/devices", root, *parents, full])
        vendor, device = ids.split(":")
        standard: dict[str, str | bytes] = {
            "vendor": f"0x{vendor}\n",
            "device": f"0x{device}\n",
            "class": f"0x{class_code}\n",
            "numa_node": "-1\n",
            "driver_override": "(null)\n",
            "config": config(header),
        }
        for name, content in {**standard, **(files or {})}.items():
            self.put(f"{folder}/{name}", content, source=source)
        self.link(f"/sys/bus/pci/devices/{full}", folder, source=SYSFS)
        if driver:
            self.folder(f"/sys/bus/pci/drivers/{driver}", source=SYSFS)
            self.link(f"{folder}/driver", f"/sys/bus/pci/drivers/{driver}", source=SYSFS)
        if group:
            self.member(group, full, folder)
            self.link(f"{folder}/iommu_group", f"/sys/kernel/iommu_groups/{group}", source=IOMMU)
        for name, target in (links or {}).items():
            self.link(f"{folder}/{name}", f"/sys/devices/{root}/{target}", source=source)
        return self

    def member(self, group: str, name: str, folder: str) -> Tree:
        """Put something into a group; ACPI names such as AMDI0020:00 are members, too."""
        return self.link(f"/sys/kernel/iommu_groups/{group}/devices/{name}", folder, source=IOMMU)

    def group(
        self, number: str, *, domain: str = "DMA-FQ", reserved: str = MSI, name: str | None = None
    ) -> Tree:
        """Give a group its files; ``reserved`` as Documentation/ABI/testing/sysfs-kernel-iommu_groups."""
        base = f"/sys/kernel/iommu_groups/{number}"
        self.put(f"{base}/type", f"{domain}\n", source=IOMMU)
        self.put(f"{base}/reserved_regions", f"{reserved}\n", source=IOMMU)
        if name:
            self.put(f"{base}/name", f"{name}\n", source="Linux 6.1 drivers/vfio/group.c")
        return self

    def unit(self, name: str = "dmar0", files: t.Mapping[str, str] | None = None) -> Tree:
        """Let the kernel drive an IOMMU."""
        self.folder(f"/sys/class/iommu/{name}", source="Linux 6.1 drivers/iommu/iommu-sysfs.c")
        for path, content in (files or {}).items():
            self.put(f"/sys/class/iommu/{name}/{path}", content, source="drivers/iommu/{intel,amd}/iommu.c")
        return self

    def table(self, name: str, content: bytes = b"") -> Tree:
        """Let the firmware publish an ACPI table."""
        return t.cast(
            Tree, self.put(f"/sys/firmware/acpi/tables/{name}", content, source="drivers/acpi/sysfs.c")
        )

    def cmdline(self, text: str) -> Tree:
        return t.cast(Tree, self.put("/proc/cmdline", f"{text}\n", source="fs/proc/cmdline.c"))

    def interrupts(self, *chips: str) -> Tree:
        rows = [f" {number:3}:         27          0  {chip}   1-edge" for number, chip in enumerate(chips)]
        text = "           CPU0       CPU1\n" + "\n".join(rows) + "\nNMI:   0   0   Non-maskable interrupts\n"
        return t.cast(Tree, self.put("/proc/interrupts", text, source="kernel/irq/proc.c show_interrupts()"))

    def nodes(self, *cpulists: str) -> Tree:
        """Add NUMA nodes of 1 GiB with these CPUs; each node is a socket."""
        base = "/sys/devices/system"
        self.put(
            f"{base}/node/online", f"0-{len(cpulists) - 1}\n" if len(cpulists) > 1 else "0\n", source=LAB
        )
        for node, cpulist in enumerate(cpulists):
            memory = f"Node {node} MemTotal:        1048576 kB\nNode {node} MemFree:          400000 kB\n"
            self.put(f"{base}/node/node{node}/cpulist", f"{cpulist}\n", source="drivers/base/node.c")
            self.put(f"{base}/node/node{node}/meminfo", memory, source="drivers/base/node.c")
            for cpu in cpulist.split(","):
                path = f"{base}/cpu/cpu{cpu}/topology/physical_package_id"
                self.put(path, f"{node}\n", source="drivers/base/topology.c")
        return self


def bare(root: pathlib.Path) -> Tree:
    """Return a physical x86 host without any sign of an IOMMU, and without PCI devices."""
    tree = Tree(root)
    tree.cpuinfo("GenuineIntel", "vmx")
    tree.table("FACP").table("APIC")
    tree.put("/sys/module/printk/parameters/time", "Y\n", source="kernel/printk/printk.c, always built in")
    tree.folder("/sys/class/iommu", source="drivers/iommu/iommu-sysfs.c: the class is there without a driver")
    tree.folder("/sys/kernel/iommu_groups", source="drivers/iommu/iommu.c iommu_init()")
    tree.folder("/sys/bus/pci/devices", source=SYSFS)
    return tree.cmdline("BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet").interrupts("IO-APIC", "PCI-MSI")


def translating(root: pathlib.Path) -> Tree:
    """Return a physical x86 host whose IOMMU works and remaps interrupts, without PCI devices."""
    return bare(root).table("DMAR", dmar()).unit().interrupts("IR-IO-APIC", "IR-PCI-MSIX-0000:01:00.0")


# Address, ids, class, bridges above, group, driver, header type.
Row = tuple[str, str, str, tuple[str, ...], str, t.Optional[str], int]
_SWITCH = ("00:10.3", "04:00.0")
LAB_DEVICES: tuple[Row, ...] = (
    ("00:00.0", "8086:29c0", "060000", (), "0", None, ENDPOINT),
    ("00:03.0", "1af4:1001", "010000", (), "1", "virtio-pci", ENDPOINT),
    ("00:04.0", "1af4:1000", "020000", (), "2", "virtio-pci", ENDPOINT),
    ("00:06.0", "1234:11e8", "00ff00", (), "3", None, ENDPOINT),
    ("00:06.1", "1234:11e8", "00ff00", (), "3", None, ENDPOINT),
    ("00:10.0", "1b36:000c", "060400", (), "4", "pcieport", BRIDGE),
    ("00:10.1", "1b36:000c", "060400", (), "5", "pcieport", BRIDGE),
    ("00:10.2", "1b36:000c", "060400", (), "6", "pcieport", BRIDGE),
    ("00:10.3", "1b36:000c", "060400", (), "7", "pcieport", BRIDGE),
    ("00:10.4", "1b36:000c", "060400", (), "8", "pcieport", BRIDGE),
    ("00:1f.0", "8086:2918", "060100", (), "9", "lpc_ich", ENDPOINT),
    ("00:1f.2", "8086:2922", "010601", (), "9", "ahci", ENDPOINT),
    ("00:1f.3", "8086:2930", "0c0500", (), "9", "i801_smbus", ENDPOINT),
    ("01:00.0", "1234:1111", "038000", ("00:10.0",), "10", "bochs-drm", ENDPOINT),
    ("01:00.1", "8086:293e", "040300", ("00:10.0",), "10", "snd_hda_intel", ENDPOINT),
    ("01:00.2", "1033:0194", "0c0330", ("00:10.0",), "10", "xhci_hcd", ENDPOINT),
    ("02:00.0", "1234:11e8", "00ff00", ("00:10.1",), "5", None, ENDPOINT),
    ("03:00.0", "1b36:0010", "010802", ("00:10.2",), "11", "nvme", ENDPOINT),
    ("04:00.0", "104c:8232", "060400", ("00:10.3",), "12", "pcieport", BRIDGE),
    ("05:00.0", "104c:8233", "060400", _SWITCH, "13", "pcieport", BRIDGE),
    ("05:01.0", "104c:8233", "060400", _SWITCH, "14", "pcieport", BRIDGE),
    ("06:00.0", "1234:11e8", "00ff00", (*_SWITCH, "05:00.0"), "13", None, ENDPOINT),
    ("07:00.0", "1234:11e8", "00ff00", (*_SWITCH, "05:01.0"), "14", None, ENDPOINT),
    ("08:00.0", "1b36:000e", "060400", ("00:10.4",), "15", None, BRIDGE),
    ("09:01.0", "8086:100e", "020000", ("00:10.4", "08:00.0"), "15", "e1000", ENDPOINT),
    ("09:02.0", "8086:100e", "020000", ("00:10.4", "08:00.0"), "15", "e1000", ENDPOINT),
)
_LAB_FILES: dict[str, dict[str, str | bytes]] = {
    "01:00.0": {"resource": resource((0xFD000000, 0xFDFFFFFF, MEM32)), "current_link_width": "1\n"},
    "02:00.0": {"reset_method": "bus\n"},
    "03:00.0": {"reset_method": "flr bus\n", "sriov_totalvfs": "4\n", "sriov_numvfs": "0\n"},
}


def lab(root: pathlib.Path) -> Tree:
    """Return the lab's virtual host, every device and group of it.

    QEMU 7.2 ``-machine q35 -cpu max -device intel-iommu,intremap=on`` with ``intel_iommu=on``: an AMD
    CPU under Intel's table, a three-function display, a port without ACS, an NVMe with SR-IOV, a
    switch, and a PCI bridge.
    """
    tree = translating(root).nodes("0", "1").cmdline("root=/dev/vda1 intel_iommu=on console=ttyS0")
    tree.cpuinfo("AuthenticAMD", "svm", "npt", "hypervisor")
    tree.put("/sys/class/dmi/id/sys_vendor", "QEMU\n", source=LAB)
    for address, ids, class_code, under, group, driver, header in LAB_DEVICES:
        files = _LAB_FILES.get(address)
        tree.device(
            address,
            ids,
            class_code,
            under=under,
            group=group,
            driver=driver,
            header=header,
            files=files,
            source=LAB,
        )
    for number in {row[4] for row in LAB_DEVICES}:
        tree.group(number)
    return tree
