# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Where in sysfs a PCI device has what hangs on it: its own folder, and those of its NVMe subsystems.

Links are resolved as text, so that a captured tree is never left. No subtree is walked: every thing that can be in
use has a link in a list of its kind, and the path behind the link tells whose it is.
"""

from __future__ import annotations

import dataclasses
import posixpath
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

_DEVICES = "/sys/bus/pci/devices"
_SUBSYSTEMS = "/sys/class/nvme-subsystem"


@dataclasses.dataclass(frozen=True)
class Thing:
    """An entry of a list in sysfs: its name, and the folder behind its link."""

    name: str
    path: str


@dataclasses.dataclass(frozen=True)
class Places:
    """The folders of each address, and which of them could not be looked for, with the reason."""

    folders: t.Mapping[str, tuple[str, ...]]
    why: str = ""

    def owners(self, path: str) -> tuple[str, ...]:
        """Return the addresses that ``path`` hangs on: one, or several for a disk with two controllers."""
        return tuple(
            address
            for address, folders in self.folders.items()
            if any(path == folder or path.startswith(f"{folder}/") for folder in folders)
        )

    def sort(self, things: t.Iterable[Thing]) -> dict[str, tuple[Thing, ...]]:
        """Return what hangs on each address."""
        found: dict[str, list[Thing]] = {address: [] for address in self.folders}
        for thing in things:
            for address in self.owners(thing.path):
                found[address].append(thing)
        return {address: tuple(own) for address, own in found.items()}


def read_places(host: Host, addresses: t.Iterable[str]) -> Places:
    """Find the folders of ``addresses``."""
    own = Places({address: (resolved(host, _DEVICES, address),) for address in addresses})
    if not own.folders:
        return own
    # With native multipath the disk of an NVMe controller does not lie below it, but beside all controllers.
    subsystems, why = read_things(host, _SUBSYSTEMS)
    found = {address: list(folders) for address, folders in own.folders.items()}
    for subsystem in subsystems:
        for name in host.listdir(subsystem.path):
            target = host.target(f"{subsystem.path}/{name}")
            controller = posixpath.normpath(posixpath.join(subsystem.path, target)) if target else ""
            for address in own.owners(controller):
                found[address].append(subsystem.path)
    return Places({address: tuple(dict.fromkeys(folders)) for address, folders in found.items()}, why)


def read_things(host: Host, folder: str) -> tuple[tuple[Thing, ...], str]:
    """List a folder of links, such as ``/sys/class/net``; what is returned second says why it cannot be told."""
    listing = host.listing(folder)
    things = tuple(Thing(name, resolved(host, folder, name)) for name in listing.names)
    return things, listing.why if listing.unknown else ""


def resolved(host: Host, folder: str, name: str) -> str:
    """Return the path behind a link; that of the entry itself when it is none."""
    return posixpath.normpath(posixpath.join(folder, host.target(f"{folder}/{name}") or name))
