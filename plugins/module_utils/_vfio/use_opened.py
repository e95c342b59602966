# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Which processes use a device: its nodes, open or mapped, and the nodes of VFIO that a guest holds.

Processes are read once for all devices. A node is known by its number, since a container may give it another name.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Listing, Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.holders import guest_of
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import GUEST, OPENED, Use
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.places import Places, Thing, read_things
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.uuids import read_information

_NUMBERS = {"c": "/sys/dev/char", "b": "/sys/dev/block"}
_MEDIATED = "/sys/bus/mdev/devices"
_GROUPS = "/sys/class/vfio"
_VFIO_NODES = "/dev/vfio/"
# Major number 195 is NVIDIA's (Documentation/admin-guide/devices.txt); these nodes are not made by the kernel.
_NVIDIA_MAJOR = 195
_VFIO_FILE = "anon_inode:[vfio-device"
_BORING = re.compile(
    r"/dev/(null|zero|full|u?random|tty|ptmx|console|kmsg|pts/.*|shm/.*|hugepages.*|mqueue/.*)", re.ASCII
)
_DELETED = " (deleted)"
_PATIENCE_S = 5.0


@dataclasses.dataclass(frozen=True)
class Shared:
    """Nodes that all devices of a driver share, and those that tell which device their holder uses."""

    nodes: re.Pattern[str]
    telling: re.Pattern[str]


_SHARED = {
    "nvidia": Shared(
        re.compile(r"/dev/nvidia(ctl|-uvm|-uvm-tools|-modeset|-caps/.+)", re.ASCII),
        re.compile(r"/dev/nvidia\d+", re.ASCII),
    ),
    "amdgpu": Shared(re.compile(r"/dev/kfd"), re.compile(r"/dev/dri/renderD\d+", re.ASCII)),
    "vfio": Shared(
        re.compile(re.escape(_VFIO_FILE) + ".*"), re.compile(r"/dev/vfio/(\d+|devices/.+)", re.ASCII)
    ),
}


@dataclasses.dataclass(frozen=True)
class Node:
    """A device node: its name, and its number such as ``c226:0`` where that is known."""

    name: str
    number: str = ""


@dataclasses.dataclass(frozen=True)
class Held:
    """A file that a process has open or mapped: the text of the link, and the number if it is a device."""

    text: str
    number: str = ""
    mapped: bool = False


@dataclasses.dataclass(frozen=True)
class Process:
    """A process and the device nodes it holds; ``guest`` is the name of the guest that it runs."""

    pid: str
    name: str = ""
    guest: str = ""
    held: tuple[Held, ...] = ()

    def __str__(self) -> str:
        return (
            f"guest {self.guest} (process {self.pid})" if self.guest else f"{self.name} (process {self.pid})"
        )


@dataclasses.dataclass(frozen=True)
class RawOpened:
    """What was read: nodes and folders of each address, the processes, and what could not be read."""

    nodes: t.Mapping[str, tuple[Node, ...]] = dataclasses.field(default_factory=dict)
    folders: t.Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    drivers: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    processes: tuple[Process, ...] = ()
    whys: tuple[str, ...] = ()


def read_opened(host: Host, places: Places, snapshot: pci.PciSnapshot) -> RawOpened:
    """Read the nodes of the devices, then all processes once."""
    if not places.folders:
        return RawOpened()
    found: dict[str, list[Node]] = {address: [] for address in places.folders}
    whys = [places.why] if places.why else []
    for kind, folder in _NUMBERS.items():
        things, why = read_things(host, folder)
        whys += [why] if why else []
        for address, own in places.sort(things).items():
            found[address] += [_node(host, kind, thing) for thing in own]
    for address, nodes in found.items():
        nodes += [*_nvidia(host, address), *_vfio_groups(host, places, snapshot, address)]
    processes, unread = _read_processes(host)
    return RawOpened(
        nodes={address: tuple(nodes) for address, nodes in found.items()},
        folders=places.folders,
        drivers={a: snapshot.devices[a].driver or "" for a in places.folders if a in snapshot.devices},
        processes=processes,
        whys=(*whys, *unread),
    )


def _node(host: Host, kind: str, thing: Thing) -> Node:
    lines = (host.text(f"{thing.path}/uevent") or "").splitlines()
    names = [line.partition("=")[2] for line in lines if line.startswith("DEVNAME=")]
    return Node(f"/dev/{names[0]}" if names else f"device {kind}{thing.name}", f"{kind}{thing.name}")


def _nvidia(host: Host, address: str) -> list[Node]:
    minor = read_information(host, address).get("Device Minor", "")
    return [Node(f"/dev/nvidia{minor}", f"c{_NVIDIA_MAJOR}:{minor}")] if minor.isdecimal() else []


def _vfio_groups(host: Host, places: Places, snapshot: pci.PciSnapshot, address: str) -> list[Node]:
    """Return the nodes of the group of a device, and of those of the mediated devices on it."""
    device = snapshot.devices.get(address)
    groups = [device.group] if device and device.group else []
    mediated, _why = read_things(host, _MEDIATED)
    groups += [host.link(f"{thing.path}/iommu_group") or "" for thing in places.sort(mediated)[address]]
    numbers = {group: host.text(f"{_GROUPS}/{group}/dev") for group in groups if group}
    return [
        Node(f"{_VFIO_NODES}{group}", f"c{number}" if number else "") for group, number in numbers.items()
    ]


def _read_processes(host: Host) -> tuple[tuple[Process, ...], list[str]]:
    """Return the processes that hold device nodes, and why others could not be looked at."""
    listing = host.listing("/proc")
    found, unread = [], [listing.why] if listing.unknown else []
    pids = [*filter(str.isdecimal, listing.names)]
    # A process that is stuck in its own memory keeps everybody waiting who asks what is in there.
    stuck = frozenset(host.unanswered([f"/proc/{pid}/maps" for pid in pids], _PATIENCE_S))
    for pid in pids:
        silent = f"/proc/{pid}/maps" in stuck
        held, why = _read_held(host, f"/proc/{pid}", silent)
        if held:
            raw = (None if silent else host.read_bytes(f"/proc/{pid}/cmdline")) or b""
            guest = guest_of(raw.decode(errors="replace").split("\0"), pid)
            found.append(Process(pid, host.text(f"/proc/{pid}/comm") or "a process", guest, held))
        unread += [why] if why else []
    return tuple(found), unread


def _read_held(host: Host, process: str, silent: bool) -> tuple[tuple[Held, ...], str]:
    folder, opened = _descriptors(host, process)
    maps = Reading(why=f"{process}/maps: no answer") if silent else host.read(f"{process}/maps")
    found: dict[str, Held] = {}
    for name in opened.names:
        _note(host, found, f"{folder}/{name}", host.target(f"{folder}/{name}") or "", mapped=False)
    for line in (maps.text or "").splitlines():
        fields = line.split(None, 5)
        if len(fields) == 6:
            _note(host, found, f"{process}/map_files/{fields[0]}", fields[5], mapped=True)
    return tuple(found.values()), next((had.why for had in (opened, maps) if had.unknown), "")


def _descriptors(host: Host, process: str) -> tuple[str, Listing]:
    """Return the open files; where the first thread has ended those of another one that has not."""
    opened = host.listing(f"{process}/fd")
    if opened.names or opened.unknown or opened.missing:
        return f"{process}/fd", opened
    for thread in host.listdir(f"{process}/task"):
        others = host.listing(f"{process}/task/{thread}/fd")
        if others.names:
            return f"{process}/task/{thread}/fd", others
    return f"{process}/fd", opened


def _note(host: Host, found: dict[str, Held], link: str, text: str, *, mapped: bool) -> None:
    """Note a file that may be a device's. The number is asked of nodes only: a dead file server never answers."""
    text = text[: -len(_DELETED)] if text.endswith(_DELETED) else text
    if text in found or _BORING.fullmatch(text):
        return
    if text.startswith("/dev/"):
        found[text] = Held(text, host.device_number(link), mapped)
    elif "/dev/" in text or text.startswith(("/sys/devices/", _VFIO_FILE)):
        found[text] = Held(text, mapped=mapped)


def parse_opened(raw: RawOpened, address: str) -> tuple[Use, ...]:
    """Say which processes use ``address``, and which of them hold it for a guest."""
    uses = [use for process in raw.processes for use in _uses(process, raw, address)]
    if raw.whys and address in raw.nodes:
        more = f" and {len(raw.whys) - 1} more" if len(raw.whys) > 1 else ""
        uses.append(Use(OPENED, f"cannot be told: {raw.whys[0]}{more}"))
    return tuple(uses)


def _uses(process: Process, raw: RawOpened, address: str) -> t.Iterator[Use]:
    own = [(held, _owner(held, raw, address)) for held in process.held]
    for mapped in (False, True):
        names = [name for held, name in own if name and held.mapped == mapped]
        state = "mapped" if mapped else "open"
        for kind, part in ((GUEST, True), (OPENED, False)):
            told = [name for name in dict.fromkeys(names) if name.startswith(_VFIO_NODES) == part]
            if told:
                yield Use(kind, f"{process} has {', '.join(told)} {state}")
    if not any(name for _held, name in own):
        yield from _ambiguous(process, raw.drivers.get(address, ""))


def _owner(held: Held, raw: RawOpened, address: str) -> str:
    """Return the name of the device's node that is held, empty when it is none of its nodes."""
    for node in raw.nodes.get(address, ()):
        same = held.number == node.number if held.number and node.number else held.text.endswith(node.name)
        if same:
            return node.name
    if any(held.text.startswith(f"{folder}/resource") for folder in raw.folders.get(address, ())):
        return held.text
    return ""


def _ambiguous(process: Process, driver: str) -> t.Iterator[Use]:
    """A node of all devices of a driver says nothing about which one, unless another node of its holder does."""
    kind = "vfio" if "vfio" in driver else driver
    shared = _SHARED.get(kind)
    if shared is None or any(shared.telling.fullmatch(held.text) for held in process.held):
        return
    names = [held.text for held in process.held if shared.nodes.fullmatch(held.text)]
    if names:
        what = f"{process} has {', '.join(names)} open, and which device it uses cannot be told"
        yield Use(GUEST if kind == "vfio" else OPENED, what)
