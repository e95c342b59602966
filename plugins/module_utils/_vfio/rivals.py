# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Settings of others that bind devices as well: ids for vfio-pci, and driverctl. They are told, and left as they are.

Imported when something is about to change only.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.scene import BIND, STAY, Decision

CMDLINE = "/proc/cmdline"
# modprobe.d(5); the order does not matter, as nothing is decided by it.
MODPROBE = (
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
)
# driverctl 0.111: save_override() writes the driver to $confdir/$bus-$device.
DRIVERCTL = "/etc/driverctl.d"

_ANY = "ffffffff"


@dataclasses.dataclass(frozen=True)
class RawRivals:
    """What was read: text by path."""

    cmdline: str = ""
    modprobe: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    driverctl: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


def read_rivals(host: Host) -> RawRivals:
    """Read them; what cannot be read is not there."""
    return RawRivals(
        host.text(CMDLINE) or "",
        {
            path: host.text(path) or ""
            for folder in MODPROBE
            for path in (f"{folder}/{name}" for name in host.listdir(folder) if name.endswith(".conf"))
        },
        {
            name[len("pci-") :]: host.text(f"{DRIVERCTL}/{name}") or ""
            for name in host.listdir(DRIVERCTL)
            if name.startswith("pci-")
        },
    )


def find_rivals(
    raw: RawRivals, snapshot: pci.PciSnapshot, decisions: t.Sequence[Decision]
) -> dict[str, tuple[str, ...]]:
    """Return what contradicts the decisions, by address; such a device need not be one that was decided about."""
    wanted = {d.address: _driver(d) for d in decisions if d.verb != STAY or d.entry}
    ids = [(where, one) for where, text in _id_lists(raw) for one in text.split(",") if one]
    found: dict[str, list[str]] = {}
    for address, driver in raw.driverctl.items():
        if address in snapshot.devices and wanted.get(address, driver) != driver:
            found.setdefault(address, []).append(
                f"{DRIVERCTL}/pci-{address} gives it to {driver or 'nobody'} at every boot: run driverctl"
                f" unset-override {address}, which lets go of it for a moment"
            )
    for address, device in snapshot.devices.items():
        if "vfio" in wanted.get(address, ""):
            continue
        for where, one in ids:
            if _matches(one, device):
                found.setdefault(address, []).append(
                    f"{where} gives it to {model.VFIO_PCI} by its ids {one}, and nothing here does: take them out"
                    " there, as devices are bound by address"
                )
    return {address: tuple(dict.fromkeys(lines)) for address, lines in found.items()}


def _driver(decision: Decision) -> str:
    if decision.verb == BIND:
        return decision.member.driver
    if decision.verb == STAY and decision.entry:
        return decision.entry.driver
    return decision.entry.origin if decision.entry else ""


def _id_lists(raw: RawRivals) -> t.Iterator[tuple[str, str]]:
    """Yield the lists of ids for vfio-pci, each with where it stands."""
    for word in raw.cmdline.split():
        name, _equals, value = word.partition("=")
        if name.replace("-", "_") == "vfio_pci.ids":
            yield f"{name} in {CMDLINE}", value.strip('"')
    for path, text in raw.modprobe.items():
        for line in text.replace("\\\n", " ").splitlines():
            words = line.split()
            if words[:1] == ["options"] and [word.replace("-", "_") for word in words[1:2]] == ["vfio_pci"]:
                yield from (
                    (path, word[len("ids=") :].strip('"')) for word in words[2:] if word.startswith("ids=")
                )


def _matches(ids: str, device: pci.PciDevice) -> bool:
    """Tell whether an entry means a device: two ids or four, and maybe a class with its mask (vfio_pci.c)."""
    parts = ids.lower().split(":")
    own = (device.vendor, device.device, device.subsystem_vendor, device.subsystem_device)
    try:
        numbers = [int(part or _ANY, 16) for part in parts]
        same = all(number in (int(_ANY, 16), int(known or "0", 16)) for number, known in zip(numbers, own))
        kind, mask = (*numbers[4:6], *(0, 0)[len(numbers[4:6]) :])
        return len(numbers) > 1 and same and not (int(device.class_code or "0", 16) ^ kind) & mask
    except ValueError:
        return False
