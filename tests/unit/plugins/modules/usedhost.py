# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host whose devices are in use: disks, interfaces, framebuffers, nodes and the processes that hold them.

Forms follow Linux 6.1: block/genhd.c, net/core/net-sysfs.c, drivers/base/core.c (the links in /sys/dev), fs/proc.
"""

from __future__ import annotations

import dataclasses
import os
import struct
import typing as t

import trees

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci, pci_sysfs
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import places

CARD, TWIN = "0000:01:00.0", "0000:02:00.0"
UP, DOWN = 0x1003, 0x1002
# What `ip -json address show` (iproute2 6.1, Debian 12) says of an interface, shortened to what is read.
NO_ADDRESSES = "[{},{}]"
SOURCE = "see the head of this file"


@dataclasses.dataclass(frozen=True)
class UsedHost(Host):
    """A host whose device nodes are what a table says: no test can make real ones."""

    numbers: t.Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)
    claims: t.Mapping[str, int] = dataclasses.field(default_factory=dict, compare=False)
    terminals: t.Sequence[int] | None = dataclasses.field(default=None, compare=False)

    def device_number(self, path: str) -> str:
        return self.numbers.get(self.target(path) or path, "")

    def open_exclusive(self, path: str) -> int:
        return self.claims.get(path, 0)

    def ioctl(self, path: str, request: int, arguments: t.Sequence[bytes]) -> tuple[bytes, ...] | None:
        if self.terminals is None:
            return None
        assert request == 0x460F, "FBIOGET_CON2FBMAP of include/uapi/linux/fb.h"
        asked = [struct.unpack("=II", argument)[0] for argument in arguments]
        return tuple(struct.pack("=II", number, self.terminals[number - 1]) for number in asked)


@dataclasses.dataclass
class Used(trees.Tree):
    """Builds such a host."""

    numbers: dict[str, str] = dataclasses.field(default_factory=dict)
    claims: dict[str, int] = dataclasses.field(default_factory=dict)
    terminals: t.Sequence[int] | None = None
    session: str = ""

    def card(self, address: str = CARD, class_code: str = "030200", **options: t.Any) -> str:
        """Add a PCI device; return its folder."""
        self.device(address, "10de:2330", class_code, source=trees.SYSFS, **options)
        return f"/sys/devices/pci0000:00/{address}"

    def block(
        self,
        path: str,
        number: str = "",
        *,
        holders: t.Sequence[str] = (),
        dm: tuple[str, str] | None = None,
        name: str | None = None,
    ) -> str:
        """Add a block device at a path of sysfs; return its name."""
        entry = os.path.basename(path)
        major, _colon, minor = number.partition(":")
        known = f"MAJOR={major}\nMINOR={minor}\n" if number else ""
        self.put(f"{path}/uevent", f"{known}DEVNAME={name or entry}\nDEVTYPE=disk\n", source=SOURCE)
        self.folder(f"{path}/holders", source=SOURCE)
        for holder in holders:
            self.link(f"{path}/holders/{holder}", f"/sys/devices/virtual/block/{holder}", source=SOURCE)
        for attribute, text in zip(("name", "uuid"), dm or ()):
            self.put(f"{path}/dm/{attribute}", f"{text}\n", source="drivers/md/dm-sysfs.c")
        self.link(f"/sys/class/block/{entry}", path, source=SOURCE)
        if number:
            self.link(f"/sys/dev/block/{number}", path, source=SOURCE)
            self.numbers[f"/dev/{name or entry}"] = f"b{number}"
        return entry

    def mounted(self, *lines: str) -> Used:
        """Write ``mountinfo``; each line is ``number mount-point type source``."""
        rows = [line.split() for line in lines]
        text = "".join(
            f"36 25 {n} / {point} rw,relatime shared:1 - {kind} {src} rw\n" for n, point, kind, src in rows
        )
        self.put("/proc/self/mountinfo", text, source="proc(5)")
        return self

    def swapped(self, *nodes: str) -> Used:
        rows = "".join(f"{node}\t\tpartition\t1000\t\t0\t\t-2\n" for node in nodes)
        self.put(
            "/proc/swaps", f"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n{rows}", source="mm/swapfile.c"
        )
        return self

    def interface(self, path: str, flags: int = UP, *, master: str = "", uppers: t.Sequence[str] = ()) -> str:
        """Add a network interface at a path of sysfs; return its name."""
        name = os.path.basename(path)
        self.put(f"{path}/flags", f"0x{flags:x}\n", source=SOURCE)
        self.link(f"/sys/class/net/{name}", path, source=SOURCE)
        for link in [f"upper_{upper}" for upper in uppers] + (
            ["master", f"upper_{master}"] if master else []
        ):
            target = master if link == "master" else link.partition("_")[2]
            self.link(f"{path}/{link}", f"/sys/devices/virtual/net/{target}", source=SOURCE)
        return name

    def node(self, number: str, name: str, path: str) -> Used:
        """Add a device node, ``number`` such as ``c226:0``, with its folder in sysfs."""
        kind = {"c": "char", "b": "block"}[number[0]]
        self.put(f"{path}/uevent", f"MAJOR=0\nMINOR=0\nDEVNAME={name}\n", source=SOURCE)
        self.link(f"/sys/dev/{kind}/{number[1:]}", path, source=SOURCE)
        self.numbers[f"/dev/{name}"] = number
        return self

    def process(
        self, pid: int, name: str, *files: str, maps: t.Sequence[str] = (), argv: t.Sequence[str] = ()
    ) -> Used:
        """Add a process with these files open; ``maps`` are mapped."""
        self.put(f"/proc/{pid}/comm", f"{name}\n", source="proc(5)")
        self.put(f"/proc/{pid}/cmdline", "".join(f"{word}\0" for word in argv or (name,)), source="proc(5)")
        rows = "".join(
            f"7f00{n:04x}-7f01{n:04x} rw-s 00000000 00:05 395   {path}\n" for n, path in enumerate(maps)
        )
        self.put(f"/proc/{pid}/maps", rows + "7ffe-7fff rw-p 00000000 00:00 0\n", source="proc(5)")
        self.folder(f"/proc/{pid}/fd", source="proc(5)")
        for number, path in enumerate(files):
            os.symlink(path, self.root / f"proc/{pid}/fd/{number}")
        return self

    def buffer(self, name: str, path: str) -> Used:
        self.put(f"{path}/name", "bochs-drmdrmfb\n", source="drivers/video/fbdev/core/fbsysfs.c")
        self.link(f"/sys/class/graphics/{name}", path, source=SOURCE)
        return self

    def console(self, name: str, told: str = "(M) frame buffer device", bound: str = "1") -> Used:
        for attribute, text in (("name", told), ("bind", bound)):
            path = f"/sys/class/vtconsole/{name}/{attribute}"
            self.put(path, f"{text}\n", source="drivers/tty/vt/vt.c show_name(), show_bind()")
        return self

    @property
    def host(self) -> UsedHost:
        environ = {"SSH_CONNECTION": self.session} if self.session else {}
        return UsedHost(
            root=str(self.root),
            run=self.run,
            environ=environ.get,
            numbers=self.numbers,
            claims=self.claims,
            terminals=self.terminals,
        )

    @property
    def snapshot(self) -> pci.PciSnapshot:
        return pci_sysfs.read_pci(self.host)

    def places(self, *addresses: str) -> places.Places:
        return places.read_places(self.host, addresses or (CARD,))
