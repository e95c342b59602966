# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A sysfs tree that reacts to writes as the PCI core of Linux 6.1 does, and can fail, block or die at each.

Reactions follow drivers/pci/{pci-driver,pci-sysfs,iov}.c, drivers/base/{bus,dd,driver}.c and
drivers/vfio/pci/vfio_pci_core.c. Not named fakekernel: tests share one namespace of helpers, and
`_kernel_config` has one of that name.
"""

from __future__ import annotations

import dataclasses
import errno
import itertools
import os
import pathlib
import posixpath
import shutil
import struct
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._sysfs import WriteBlocked

RELEASE = "6.1.0-50-amd64"
BOOT_ID = "5f0e8a2c-8c1f-4c57-9d0e-0d9a4d9f6a11"
NOW = 1_800_000_000.0
BLOCKED_PID = 4242
VFIO = "vfio-pci"
DEVICES, DRIVERS, GROUPS = "/sys/bus/pci/devices", "/sys/bus/pci/drivers", "/sys/kernel/iommu_groups"
ENDPOINT, BRIDGE = 0, 1


class Killed(BaseException):
    """SIGKILL: no Exception, nobody handles it."""


@dataclasses.dataclass
class Device:
    """One function; ``ids`` are vendor:device:subsystem_vendor:subsystem_device."""

    address: str
    ids: str
    class_code: str
    folder: str
    group: str | None
    header: int
    vfs: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Driver:
    """A driver of the PCI bus; ``matches`` are vendor:device pairs, ``module`` what modprobe has to load."""

    name: str
    matches: tuple[str, ...]
    module: str
    loaded: bool


@dataclasses.dataclass
class Injection:
    """What happens at one write: before its effect, or after it."""

    what: t.Callable[[str], BaseException]
    after: bool


class FakeKernel:
    """``host`` is the host to give to the code under test; every write of it is in ``writes``.

    ``held`` are devices that a driver does not let go: an unbind of one never ends, and then it is ``locked``:
    no other write to it ends. ``refuses`` maps (driver, address) to the errno of a probe.
    """

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.host = Host(root=str(root), run=self.run, now=lambda: NOW, write_sysfs=self.write_sysfs)
        self.devices: dict[str, Device] = {}
        self.drivers: dict[str, Driver] = {}
        self.writes: list[tuple[str, str]] = []
        self.calls: list[tuple[str, ...]] = []
        self.held: set[str] = set()
        self.locked: set[str] = set()
        self.refuses: dict[tuple[str, str], int] = {}
        self.broken_modules: set[str] = set()
        self.injections: dict[int, Injection] = {}
        for folder in (DEVICES, DRIVERS, GROUPS, "/sys/class/vtconsole", "/proc", "/dev"):
            (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
        self.put("/proc/sys/kernel/random/boot_id", f"{BOOT_ID}\n")
        self.put("/proc/sys/kernel/osrelease", f"{RELEASE}\n")
        self.put(f"/lib/modules/{RELEASE}/modules.alias", "# Aliases extracted from modules themselves.\n")
        self.put(f"{DRIVERS[:-8]}/drivers_probe", "")

    # -- building ---------------------------------------------------------------------------------

    def put(self, path: str, content: str | bytes) -> pathlib.Path:
        """Write a file of the host, beside all counting."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def text(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text()

    def link(self, path: str, target: str) -> None:
        """Make a relative link, as the kernel does."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.path.relpath(target, posixpath.dirname(path)))

    def driver(self, name: str, *matches: str, module: str = "", loaded: bool = True) -> Driver:
        """Let there be a driver; without ``loaded`` modprobe brings it, by name or by alias."""
        driver = Driver(name, matches, module or name.replace("-", "_"), loaded=False)
        self.drivers[name] = driver
        if loaded:
            self._load(driver)
        return driver

    def add(
        self,
        address: str,
        ids: str,
        class_code: str,
        *,
        driver: str | None = None,
        group: str | None = None,
        header: int = ENDPOINT,
        under: t.Sequence[str] = (),
        override: str = "",
        vfs: int = 0,
        reset: str | None = "flr",
        files: t.Mapping[str, str | bytes] | None = None,
    ) -> Device:
        """Add a device; ``vfs`` is how many virtual functions it can have. Its driver is made when it is new."""
        folder = "/".join(["/sys/devices/pci0000:00", *under, address])
        vendor, product, subvendor, subproduct = ids.split(":")
        device = Device(address, ids, class_code, folder, group, header)
        self.devices[address] = device
        standard: dict[str, str | bytes] = {
            "vendor": f"0x{vendor}\n",
            "device": f"0x{product}\n",
            "subsystem_vendor": f"0x{subvendor}\n",
            "subsystem_device": f"0x{subproduct}\n",
            "class": f"0x{class_code}\n",
            "modalias": f"{modalias(ids, class_code)}\n",
            "numa_node": "-1\n",
            "driver_override": f"{override or '(null)'}\n",
            "config": config(ids, class_code, header),
        }
        if reset is not None:
            standard["reset_method"] = f"{reset}\n"
        if vfs:
            standard.update(sriov_totalvfs=f"{vfs}\n", sriov_numvfs="0\n", sriov_drivers_autoprobe="1\n")
        for name, content in {**standard, **(files or {})}.items():
            self.put(f"{folder}/{name}", content)
        self.link(f"{DEVICES}/{address}", folder)
        if group is not None:
            self._join(device, group)
        if driver and driver not in self.drivers:
            self.driver(driver, f"{vendor}:{product}")
        if driver and self.driver_of(address) != driver:
            self._attach(device, driver)
        return device

    def adapter(self, bus: str = "01", group: str = "13", *, driver: bool = True) -> tuple[str, str, str]:
        """Add the three functions of a graphics card: display, audio, USB. Ids: QEMU 7.2, 10-host-and-vfio §7.2."""
        rows = (
            (f"0000:{bus}:00.0", "1234:1111:1af4:1100", "038000", "bochs-drm"),
            (f"0000:{bus}:00.1", "8086:293e:1af4:1100", "040300", "snd_hda_intel"),
            (f"0000:{bus}:00.2", "1033:0194:1af4:1100", "0c0330", "xhci_hcd"),
        )
        port = f"0000:00:{int(bus, 16) + 15:02x}.0"
        for address, ids, class_code, name in rows:
            self.add(
                address,
                ids,
                class_code,
                driver=name if driver else None,
                group=group,
                under=(port,),
                reset=None,
            )
        return tuple(row[0] for row in rows)  # type: ignore[return-value]

    def console(self, name: str, label: str = "(M) frame buffer device", bound: bool = True) -> None:
        """Add a vtconsole; the labels are those of drivers/tty/vt/vt.c show_name()."""
        self.put(f"/sys/class/vtconsole/{name}/name", f"{label}\n")
        self.put(f"/sys/class/vtconsole/{name}/bind", f"{int(bound)}\n")

    # -- looking ----------------------------------------------------------------------------------

    def driver_of(self, address: str) -> str | None:
        """Return the driver that holds a device."""
        link = self.root / self.devices[address].folder.lstrip("/") / "driver"
        return os.path.basename(os.readlink(link)) if link.is_symlink() else None

    def override_of(self, address: str) -> str:
        """Return the text of driver_override, empty when it is unset."""
        text = self.text(f"{self.devices[address].folder}/driver_override").strip()
        return "" if text == "(null)" else text

    def snapshot(self, below: str = "/") -> dict[str, str]:
        """Return every file and link of the host, but for the lock and the backups."""
        found = {}
        for path in sorted((self.root / below.lstrip("/")).rglob("*")):
            name = f"/{path.relative_to(self.root)}"
            if path.is_symlink():
                found[name] = f"-> {os.readlink(path)}"
            elif path.is_file() and not name.startswith(("/run/hearth/lock", "/var/lib/hearth/backup")):
                found[name] = path.read_bytes().decode("latin-1")
        return found

    # -- injecting --------------------------------------------------------------------------------

    def fail(self, number: int, code: int = errno.EIO, *, after: bool = False) -> None:
        """Let the write of this number (the first is 1) fail, before or after its effect."""
        self.injections[number] = Injection(lambda path: OSError(code, os.strerror(code), path), after)

    def block(self, number: int) -> None:
        """Let the write of this number never end; the simulator knows at once what the deadline would tell."""
        self.injections[number] = Injection(lambda path: WriteBlocked(path, 30, BLOCKED_PID), after=False)

    def kill(self, number: int, *, after: bool = True) -> None:
        """Let the process die at the write of this number, after its effect or before."""
        self.injections[number] = Injection(Killed, after)

    # -- what the host does -----------------------------------------------------------------------

    def write_sysfs(self, path: str, text: str, deadline_s: float) -> None:
        """Be the kernel that is written to: the field of the same name in Host."""
        place = self._on_host(path)
        self.writes.append((place, text))
        injection = self.injections.get(len(self.writes))
        if injection and not injection.after:
            raise injection.what(place)
        self._react(place, text.strip(), deadline_s)
        if injection:
            raise injection.what(place)

    def run(
        self, argv: t.Sequence[str], *, stdin: str | None = None, timeout_s: float = 60, check: bool = True
    ) -> Completed:
        """Be modprobe, by name and by alias; every other tool is missing."""
        self.calls.append(tuple(argv))
        if argv[0] != "modprobe":
            raise CommandError(f"{argv[0]} cannot be run: No such file or directory.")
        wanted = argv[-1]
        if wanted.replace("-", "_") in self.broken_modules:
            # The text of kmod 30, Debian 12.
            raise CommandError(f"modprobe: ERROR: could not insert '{wanted}': Operation not permitted")
        for driver in list(self.drivers.values()):
            by_alias = wanted.startswith("pci:") and any(_alias_has(wanted, ids) for ids in driver.matches)
            if by_alias or driver.module == wanted.replace("-", "_"):
                self._load(driver)
        if not wanted.startswith("pci:"):
            self.put(f"/sys/module/{wanted.replace('-', '_')}/initstate", "live\n")
        return Completed(0, "", "")

    def _on_host(self, path: str) -> str:
        """Return the path below the root, links of the tree resolved."""
        folder = os.path.realpath(os.path.dirname(path))
        return (
            f"/{os.path.relpath(os.path.join(folder, os.path.basename(path)), os.path.realpath(self.root))}"
        )

    def _react(self, path: str, text: str, deadline_s: float) -> None:
        if not (self.root / path.lstrip("/")).exists():
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        folder, name = posixpath.split(path)
        device = next((one for one in self.devices.values() if one.folder == folder), None)
        if name == "drivers_probe":
            self._drivers_probe(self._named(text))
        elif folder.startswith(DRIVERS) and name in ("bind", "unbind"):
            getattr(self, f"_{name}")(self._named(text), posixpath.basename(folder), path, deadline_s)
        elif device and name == "driver_override":
            self._stuck(device.address, path, deadline_s)
            self.put(path, f"{text or '(null)'}\n")
        elif device and name == "sriov_numvfs":
            self._numvfs(device, int(text))
        else:
            self.put(path, f"{text}\n")

    def _named(self, address: str) -> Device:
        if address not in self.devices:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return self.devices[address]

    def _stuck(self, address: str, path: str, deadline_s: float) -> None:
        """Block where the lock of the device is held by an unbind that never ended."""
        if address in self.locked:
            raise WriteBlocked(path, deadline_s, BLOCKED_PID)

    def _drivers_probe(self, device: Device) -> None:
        """Try the drivers one by one; an error of a probe is no error of the write."""
        self._stuck(device.address, "drivers_probe", 0)
        for name, driver in self.drivers.items():
            free = self.driver_of(device.address) is None
            if (
                free
                and driver.loaded
                and self._matches(device, driver)
                and not self._probe_error(device, name)
            ):
                self._attach(device, name)

    def _bind(self, device: Device, name: str, path: str, deadline_s: float) -> None:
        self._stuck(device.address, path, deadline_s)
        if not self._matches(device, self.drivers[name]):
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        code = errno.EBUSY if self.driver_of(device.address) else self._probe_error(device, name)
        if code:
            raise OSError(code, os.strerror(code))
        self._attach(device, name)

    def _unbind(self, device: Device, name: str, path: str, deadline_s: float) -> None:
        if self.driver_of(device.address) != name:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        if device.address in self.held:
            self.locked.add(device.address)
        self._stuck(device.address, path, deadline_s)
        self._detach(device)

    def _matches(self, device: Device, driver: Driver) -> bool:
        override = self.override_of(device.address)
        return override == driver.name if override else _pair(device.ids) in driver.matches

    def _probe_error(self, device: Device, name: str) -> int:
        if (name, device.address) in self.refuses:
            return self.refuses[name, device.address]
        if name != VFIO:
            return 0
        if device.header != ENDPOINT or device.group is None:
            return errno.EINVAL
        return errno.EBUSY if device.vfs else 0

    def _attach(self, device: Device, name: str) -> None:
        self.link(f"{device.folder}/driver", f"{DRIVERS}/{name}")
        self.link(f"{DRIVERS}/{name}/{device.address}", device.folder)
        if name == VFIO and device.group is not None:
            self.put(f"/dev/vfio/{device.group}", "")

    def _detach(self, device: Device) -> None:
        name = self.driver_of(device.address)
        (self.root / f"{device.folder}/driver".lstrip("/")).unlink()
        (self.root / f"{DRIVERS}/{name}/{device.address}".lstrip("/")).unlink()
        others = [one.address for one in self.devices.values() if one.group == device.group]
        if name == VFIO and not any(self.driver_of(address) == VFIO for address in others):
            (self.root / f"dev/vfio/{device.group}").unlink(missing_ok=True)

    def _join(self, device: Device, group: str) -> None:
        device.group = group
        self.link(f"{GROUPS}/{group}/devices/{device.address}", device.folder)
        self.link(f"{device.folder}/iommu_group", f"{GROUPS}/{group}")
        self.put(f"{GROUPS}/{group}/type", "DMA-FQ\n")
        self.put(f"{GROUPS}/{group}/reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n")

    def _load(self, driver: Driver) -> None:
        """Register a driver: it takes what it matches and nobody has."""
        if driver.loaded:
            return
        driver.loaded = True
        self.put(f"{DRIVERS}/{driver.name}/bind", "")
        self.put(f"{DRIVERS}/{driver.name}/unbind", "")
        self.put(f"/sys/module/{driver.module}/initstate", "live\n")
        for device in self.devices.values():
            free = self.driver_of(device.address) is None and self._matches(device, driver)
            if free and not self._probe_error(device, driver.name):
                self._attach(device, driver.name)

    def _numvfs(self, device: Device, number: int) -> None:
        """drivers/pci/iov.c sriov_numvfs_store()."""
        total = int(self.text(f"{device.folder}/sriov_totalvfs"))
        if number > total:
            raise OSError(errno.ERANGE, os.strerror(errno.ERANGE))
        if number == len(device.vfs):
            return
        if self.driver_of(device.address) in (None, VFIO):
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        if number and device.vfs:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        if not number:
            self._remove_vfs(device)
        for index in range(number):
            self._add_vf(device, index)
        self.put(f"{device.folder}/sriov_numvfs", f"{number}\n")

    def _add_vf(self, device: Device, index: int) -> None:
        card, _unused, _unused = device.address.rpartition(":")
        address = f"{card}:{(index + 1) >> 3:02x}.{(index + 1) & 7}"
        parent = device.folder.rpartition("/")[0].split("/")[4:]
        taken = {one.group for one in self.devices.values()}
        first = 1000 + len(self.devices)
        group = next(str(one) for one in itertools.count(first) if str(one) not in taken)
        vf = self.add(address, device.ids, device.class_code, group=group, under=parent)
        self.link(f"{vf.folder}/physfn", device.folder)
        self.link(f"{device.folder}/virtfn{index}", vf.folder)
        device.vfs.append(address)
        if self.text(f"{device.folder}/sriov_drivers_autoprobe").strip() == "1":
            self._drivers_probe(vf)

    def _remove_vfs(self, device: Device) -> None:
        for index, address in enumerate(device.vfs):
            vf = self.devices[address]
            if self.driver_of(address):
                self._detach(vf)
            del self.devices[address]
            (self.root / f"{device.folder}/virtfn{index}".lstrip("/")).unlink()
            (self.root / f"{DEVICES}/{address}".lstrip("/")).unlink()
            shutil.rmtree(self.root / f"{GROUPS}/{vf.group}".lstrip("/"))
            shutil.rmtree(self.root / vf.folder.lstrip("/"))
        device.vfs.clear()


def modalias(ids: str, class_code: str) -> str:
    """Return what drivers/pci/pci-sysfs.c modalias_show() prints."""
    vendor, device, subvendor, subdevice = (f"{int(part, 16):08X}" for part in ids.split(":"))
    base, sub, interface = (f"{int(class_code[at : at + 2], 16):02X}" for at in (0, 2, 4))
    return f"pci:v{vendor}d{device}sv{subvendor}sd{subdevice}bc{base}sc{sub}i{interface}"


def config(ids: str, class_code: str, header: int) -> bytes:
    """Build a configuration space (PCI Local Bus 3.0 chapter 6)."""
    vendor, device, subvendor, subdevice = (int(part, 16) for part in ids.split(":"))
    space = bytearray(64)
    struct.pack_into("<HH", space, 0, vendor, device)
    space[9:12] = bytes(reversed(bytes.fromhex(class_code)))
    space[0x0E] = header
    struct.pack_into("<HH", space, 0x2C, subvendor, subdevice)
    return bytes(space)


def _pair(ids: str) -> str:
    return ":".join(ids.split(":")[:2])


def _alias_has(alias: str, pair: str) -> bool:
    vendor, device = pair.split(":")
    return alias.startswith(f"pci:v{int(vendor, 16):08X}d{int(device, 16):08X}sv")
