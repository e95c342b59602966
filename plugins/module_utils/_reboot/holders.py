# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What holds a reboot back: running guests, and whoever has left a note that says so.

The note is a file in ``/run/hearth/reboot-holds``: its name says who, its text why. A rollback that
nobody has confirmed yet, of the firewall or of a bridge, leaves one while it waits. ``/run`` is
emptied by a reboot, so a note never outlives what it is about.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

HOLDS = "/run/hearth/reboot-holds"
# Of the daemon that serves guests: libvirtd, or virtqemud where each driver has its own.
SOCKETS = ("/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock")
LIST_GUESTS = ("virsh", "--connect", "qemu:///system", "list", "--name")

_EMULATOR = re.compile(r"qemu-system-.+|qemu-kvm|kvm")


@dataclasses.dataclass(frozen=True, order=True)
class Holder:
    """Who holds a reboot back, and why. Guests are named ``guest:NAME``."""

    name: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """Return it as plain data."""
        return dataclasses.asdict(self)


def read_holders(host: Host) -> tuple[Holder, ...]:
    """Look for everything that holds a reboot back."""
    # The processes first: asking libvirt may start its daemon, which tries its emulators.
    found = (*_processes(host), *_libvirt(host), *_notes(host))
    return tuple(sorted({holder.name: holder for holder in found}.values()))


def _processes(host: Host) -> t.Iterator[Holder]:
    for pid in filter(str.isdecimal, host.listdir("/proc")):
        raw = host.read_bytes(f"/proc/{pid}/cmdline") or b""
        name = guest_of(raw.decode(errors="replace").split("\0"), pid)
        if name:
            yield Holder(f"guest:{name}", f"the guest runs (process {pid})")


def guest_of(argv: t.Sequence[str], pid: str) -> str:
    """Return the name of the guest that a process runs; empty when it runs none. Pure."""
    if not _EMULATOR.fullmatch(posixpath.basename(argv[0])):
        return ""
    if (_option(argv, "machine") or _option(argv, "M")).split(",")[0] == "none":
        # libvirt asks an emulator so what it can do.
        return ""
    fields = re.split(r"(?<!,),(?!,)", _option(argv, "name"))
    names = [field[len("guest=") :] for field in fields if field.startswith("guest=")]
    name = names[0] if names else "" if "=" in fields[0] else fields[0]
    return name.replace(",,", ",") or f"pid-{pid}"


def _option(argv: t.Sequence[str], name: str) -> str:
    """Return the value of an option of QEMU, which takes one dash and two for the same."""
    for word, value in zip(argv, argv[1:]):
        if word in (f"-{name}", f"--{name}"):
            return value
    return ""


def _libvirt(host: Host) -> t.Iterator[Holder]:
    if not any(map(host.exists, SOCKETS)):
        return
    try:
        listed = host.run(LIST_GUESTS)
    except CommandError as error:
        # Unknown is not none.
        yield Holder("libvirt", f"its guests could not be listed: {error.message}")
        return
    for name in filter(None, map(str.strip, listed.out.splitlines())):
        yield Holder(f"guest:{name}", "the guest runs (libvirt)")


def _notes(host: Host) -> t.Iterator[Holder]:
    for name in host.listdir(HOLDS):
        if not name.startswith("."):
            reading = host.read(f"{HOLDS}/{name}")
            said = " ".join((reading.text or "").split())[:200]
            yield Holder(name, said or reading.why or f"{HOLDS}/{name} says nothing more")
