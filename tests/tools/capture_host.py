# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack the files that kvm_check reads on a host, to look at that host again in a test.

Run as root: ``ssh HOST python3 - NAME 'what the host is' < tests/tools/capture_host.py > NAME.tar.gz``.

Files keep their content, links stay links, so that the tree below ``NAME/`` can stand for the root of the host.
Nothing else is taken: no host name, no network, no serial number but those of PCI devices. Of ACPI tables that
do not describe an IOMMU, and of EFI variables that do not tell of Secure Boot, only the names.
"""

from __future__ import annotations

import datetime
import glob
import gzip
import io
import os
import platform
import sys
import tarfile

_DEVICE = (
    *("vendor", "device", "subsystem_vendor", "subsystem_device", "class", "config", "resource", "numa_node"),
    *("driver", "driver_override", "iommu_group", "physfn", "virtfn*", "sriov_*", "label", "boot_vga"),
    *("current_link_*", "max_link_*", "reset_method", "aer_dev_*"),
)
_DMI = ("sys_vendor", "product_name", "board_name", "board_vendor", "bios_*", "ec_firmware_release")
_NODE = ("cpulist", "meminfo", "distance", "hugepages/*/*_hugepages")
WHOLE = (
    "/proc/cpuinfo",
    "/proc/cmdline",
    "/proc/iomem",
    "/proc/interrupts",
    "/proc/1/environ",
    "/proc/self/mounts",
    "/proc/sys/kernel/osrelease",
    "/run/systemd/container",
    "/sys/hypervisor/type",
    "/sys/firmware/acpi/tables/DMAR",
    "/sys/firmware/acpi/tables/IVRS",
    "/sys/firmware/acpi/tables/IORT",
    "/sys/firmware/acpi/tables/VIOT",
    "/sys/firmware/efi/efivars/SecureBoot-*",
    "/sys/firmware/efi/efivars/SetupMode-*",
    "/sys/firmware/efi/efivars/MokSBStateRT-*",
    "/sys/kernel/security/lockdown",
    "/sys/kernel/mm/hugepages/*/*_hugepages",
    "/sys/kernel/mm/transparent_hugepage/*enabled",
    "/sys/kernel/mm/transparent_hugepage/defrag",
    "/sys/kernel/iommu_groups/*/*",
    "/sys/kernel/iommu_groups/*/devices/*",
    "/sys/class/iommu/*/*-iommu/*",
    "/sys/class/ipmi/*/device/bmc/firmware_revision",
    "/sys/bus/pci/slots/*/address",
    "/sys/module/kvm*/parameters/*",
    "/sys/module/vfio*/parameters/*",
    "/sys/devices/system/cpu/smt/*",
    "/sys/devices/system/cpu/vulnerabilities/*",
    "/sys/devices/system/cpu/cpu*/topology/physical_package_id",
    "/sys/devices/system/cpu/cpu*/microcode/version",
    "/sys/devices/system/node/online",
    *(f"/sys/class/dmi/id/{name}" for name in _DMI),
    *(f"/sys/bus/pci/devices/*/{name}" for name in _DEVICE),
    *(f"/sys/devices/system/node/node[0-9]*/{name}" for name in _NODE),
)
NAMES = (
    "/sys/firmware/acpi/tables/[A-Z]*",
    "/sys/firmware/devicetree",
    "/sys/firmware/efi/efivars",
    "/sys/class/iommu",
    "/sys/class/ipmi",
    "/sys/bus/pci/devices",
    "/sys/bus/pci/devices/*/reset",
    "/sys/bus/pci/slots",
    "/sys/kernel/iommu_groups",
    "/sys/kernel/security",
    "/sys/module/*",
    "/run/systemd/system",
)
_LARGEST = 1 << 20


class Capture:
    """A part of the file system below ``root``, packed into a tar archive below ``name``."""

    def __init__(self, name: str, tar: tarfile.TarFile, root: str = "/") -> None:
        self.name = name
        self.root = root
        self.tar = tar
        self.taken: set[str] = set()

    def take(self, pattern: str, content: bool) -> None:
        """Add what the pattern matches; without ``content`` only the names."""
        for match in sorted(glob.glob(self.root + pattern.lstrip("/"))):
            path = self._through_links("/" + os.path.relpath(match, self.root))
            if path not in self.taken:
                self.taken.add(path)
                self._add(path, content)

    def note(self, text: str) -> None:
        """Add the file that says where the capture comes from."""
        self._file("PROVENANCE", text.encode())

    def _through_links(self, path: str) -> str:
        """Return the path without links above its last part, having added those links."""
        here = "/"
        *above, last = path.strip("/").split("/")
        for part in above:
            here = os.path.join(here, part)
            # /proc/self is another process for each reader.
            while os.path.islink(self._real(here)) and here != "/proc/self":
                if here not in self.taken:
                    self.taken.add(here)
                    self._link(here)
                here = os.path.normpath(os.path.join(os.path.dirname(here), os.readlink(self._real(here))))
        return os.path.join(here, last)

    def _add(self, path: str, content: bool) -> None:
        real = self._real(path)
        if os.path.islink(real):
            self._link(path)
        elif os.path.isdir(real):
            self._folder(path)
        elif not content:
            self._file(path, b"")
        else:
            try:
                with open(real, "rb") as stream:
                    self._file(path, stream.read(_LARGEST))
            except OSError as error:
                print(f"{path}: {error.strerror}", file=sys.stderr)

    def _real(self, path: str) -> str:
        return os.path.join(self.root, path.lstrip("/"))

    def _member(self, path: str) -> tarfile.TarInfo:
        return tarfile.TarInfo(os.path.join(self.name, path.lstrip("/")))

    def _link(self, path: str) -> None:
        member = self._member(path)
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(self._real(path))
        self.tar.addfile(member)

    def _folder(self, path: str) -> None:
        member = self._member(path)
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        self.tar.addfile(member)

    def _file(self, path: str, content: bytes) -> None:
        member = self._member(path)
        member.size = len(content)
        self.tar.addfile(member, io.BytesIO(content))


def provenance(what: str) -> str:
    """Return what the host is, its kernel, and when it was captured."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    return f"{what}\nkernel: {platform.release()} {platform.version()} {platform.machine()}\ndate: {now}\n"


def capture(name: str, what: str, root: str = "/") -> bytes:
    """Return the archive, compressed; equal trees give equal bytes."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        taken = Capture(name, tar, root)
        taken.note(provenance(what))
        for pattern in WHOLE:
            taken.take(pattern, content=True)
        for pattern in NAMES:
            taken.take(pattern, content=False)
    return gzip.compress(plain.getvalue(), 9, mtime=0)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: capture_host.py NAME 'what the host is' > NAME.tar.gz")
    sys.stdout.buffer.write(capture(*sys.argv[1:]))
