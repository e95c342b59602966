# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Which storage below a device is in use: mounted, swap, held, claimed or exported.

A disk is in use when the kernel says that somebody has claimed it, whoever that is; mounts, swap and holders are
followed to say by whom.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import STORAGE, Use
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.places import Places, read_things

_BLOCKS = "/sys/class/block"
_MOUNTS = "/proc/self/mountinfo"
_SWAPS = "/proc/swaps"
_TARGETS = "/sys/kernel/config/nvmet/subsystems"
# What an operator calls these; the rest is named by its mount point.
_CALLED = {
    "/": "the root file system",
    "/boot": "the boot files",
    "/boot/efi": "the boot files",
    "/efi": "the boot files",
}
_SHOWN_MOUNTS = 3
# The prefix of a device-mapper UUID tells who made the device.
_MAKERS = {"LVM": "LVM", "CRYPT": "encrypted", "mpath": "multipath"}
_LOOP = re.compile(r"loop\d+", re.ASCII)
_ESCAPE = re.compile(r"\\([0-7]{3})", re.ASCII)
_NO_MEDIUM = (0, errno.ENOMEDIUM)


@dataclasses.dataclass(frozen=True)
class Block:
    """A block device: a disk, a partition, or what was made of some.

    ``number`` is empty for one that cannot be opened, such as one path of an NVMe disk with several. ``claim`` is 0
    when nobody claimed it, else the errno of the attempt; it is asked for disks and partitions of a device only.
    """

    name: str
    path: str
    number: str = ""
    node: str = ""
    holders: tuple[str, ...] = ()
    label: str = ""
    claim: int = 0
    why: str = ""


@dataclasses.dataclass(frozen=True)
class RawStorage:
    """What was read: the block devices of each address, and everything that may use one.

    ``numbers`` are the device numbers of nodes that others name, ``backs`` is what has such a node behind it.
    """

    owned: t.Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    blocks: t.Mapping[str, Block] = dataclasses.field(default_factory=dict)
    mounts: Reading = Reading(missing=True)
    swaps: Reading = Reading(missing=True)
    numbers: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    backs: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    why: str = ""


@dataclasses.dataclass(frozen=True)
class _Mount:
    number: str
    point: str
    source: str


def read_storage(host: Host, places: Places) -> RawStorage:
    """Read the storage below the devices; the rest only when there is any."""
    things, why = read_things(host, _BLOCKS)
    paths = {thing.name: thing.path for thing in things}
    owned = {address: tuple(thing.name for thing in own) for address, own in places.sort(things).items()}
    why = why or places.why
    wanted = [name for names in owned.values() for name in names]
    if not wanted:
        return RawStorage(owned, why=why)
    blocks = _read_blocks(host, paths, wanted)
    mounts, swaps = host.read(_MOUNTS), host.read(_SWAPS)
    backs = _read_backs(host, paths)
    named = {mount.source for mount in parse_mounts(mounts.text or "") if mount.number.startswith("0:")}
    nodes = sorted(name for name in {*named, *backs.values()} if name.startswith("/dev/"))
    numbers = {node: host.device_number(node) for node in nodes}
    return RawStorage(owned, blocks, mounts, swaps, numbers, backs, why)


def _read_blocks(host: Host, paths: t.Mapping[str, str], wanted: t.Iterable[str]) -> dict[str, Block]:
    blocks: dict[str, Block] = {}
    pending = list(wanted)
    own = set(pending)
    while pending:
        name = pending.pop()
        if name not in blocks:
            blocks[name] = _read_block(host, name, paths.get(name, f"{_BLOCKS}/{name}"), name in own)
            pending += blocks[name].holders
    return blocks


def _read_block(host: Host, name: str, path: str, own: bool) -> Block:
    event = host.read(f"{path}/uevent")
    facts = dict(line.partition("=")[::2] for line in (event.text or "").splitlines())
    number = f"{facts['MAJOR']}:{facts['MINOR']}" if "MAJOR" in facts and "MINOR" in facts else ""
    node = f"/dev/{facts.get('DEVNAME') or name.replace('!', '/')}"
    holders = host.listing(f"{path}/holders")
    return Block(
        name=name,
        path=path,
        number=number,
        node=node,
        holders=holders.names,
        label=_label(host.text(f"{path}/dm/name") or "", host.text(f"{path}/dm/uuid") or ""),
        claim=host.open_exclusive(node) if own and number else 0,
        why=next((had.why for had in (event, holders) if had.unknown), ""),
    )


def _label(name: str, uuid: str) -> str:
    maker = _MAKERS.get(uuid.partition("-")[0], "")
    return " ".join(word for word in (maker, name) if word)


def _read_backs(host: Host, names: t.Iterable[str]) -> dict[str, str]:
    """Return what uses a block device without claiming it: loop devices and exports over NVMe."""
    loops = [name for name in names if _LOOP.fullmatch(name)]
    found = {f"{_BLOCKS}/{name}/loop/backing_file": f"the loop device {name}" for name in loops}
    for target in host.listdir(_TARGETS):
        for space in host.listdir(f"{_TARGETS}/{target}/namespaces"):
            path = f"{_TARGETS}/{target}/namespaces/{space}/device_path"
            found[path] = f"namespace {space} of the NVMe target {target}"
    nodes = {what: host.text(path) or "" for path, what in found.items()}
    return {what: node for what, node in nodes.items() if node}


def parse_mounts(text: str) -> tuple[_Mount, ...]:
    """Parse ``mountinfo``, see proc(5); lines of another grammar are left out."""
    mounts = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if separator and len(fields) >= 6 and len(kind) >= 2:
            mounts.append(_Mount(fields[2], unescape(fields[4]), unescape(kind[1])))
    return tuple(mounts)


def parse_swaps(text: str) -> tuple[str, ...]:
    """Return what ``/proc/swaps`` lists: files and nodes of block devices."""
    return tuple(unescape(line.split()[0]) for line in text.splitlines()[1:] if line.strip())


def unescape(text: str) -> str:
    """Take back what the kernel writes for blanks and backslashes: ``\\040`` and the like."""
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), text)


def parse_storage(raw: RawStorage, address: str) -> tuple[Use, ...]:
    """Say what uses the storage of ``address``."""
    if raw.why:
        return (Use(STORAGE, f"cannot be told: {raw.why}"),)
    names = [name for name in raw.owned.get(address, ()) if name in raw.blocks]
    found = {name: _stories(name, raw, ()) for name in names}
    lines = [line for name in names for line in found[name]]
    lines += [line for name in names for line in _claim(raw.blocks[name], found, raw)]
    return tuple(Use(STORAGE, line) for line in dict.fromkeys([*lines, *_unknowns(names, raw)]))


def _unknowns(names: t.Sequence[str], raw: RawStorage) -> t.Iterator[str]:
    if names and raw.mounts.text is None:
        yield f"cannot be told: {raw.mounts.why or _MOUNTS}"
    if names and raw.swaps.unknown:
        yield f"cannot be told: {raw.swaps.why}"
    for block in raw.blocks.values():
        if block.name in names and block.why:
            yield f"cannot be told: {block.why}"


def _stories(name: str, raw: RawStorage, above: tuple[str, ...]) -> list[str]:
    """Follow a block device up to what needs it; each line is the way to one end."""
    block = raw.blocks.get(name)
    if block is None or name in above:
        return []
    told = f"{name} ({block.label})" if block.label else name
    ends = [f"{told}, {what}" for what in _direct(block, raw)]
    for holder in block.holders:
        further = _stories(holder, raw, (*above, name))
        ends += [f"{told} > {line}" for line in further or [_named(holder, raw)]]
    return ends


def _named(name: str, raw: RawStorage) -> str:
    label = raw.blocks[name].label if name in raw.blocks else ""
    return f"{name} ({label})" if label else name


def _direct(block: Block, raw: RawStorage) -> list[str]:
    mounts = parse_mounts(raw.mounts.text or "")
    points = [m.point for m in mounts if m.number == block.number or _same(m.source, block, raw)]
    uses = [_mounted(points)] if points else []
    if any(_same(path, block, raw) for path in parse_swaps(raw.swaps.text or "")):
        uses.append("in use as swap")
    return uses + [f"behind {what}" for what, node in sorted(raw.backs.items()) if _same(node, block, raw)]


def _same(node: str, block: Block, raw: RawStorage) -> bool:
    return node == block.node or bool(block.number) and raw.numbers.get(node) == f"b{block.number}"


def _mounted(points: t.Sequence[str]) -> str:
    ordered = sorted(set(points), key=lambda point: (point not in _CALLED, len(point), point))
    told = [f"{point} ({_CALLED[point]})" if point in _CALLED else point for point in ordered[:_SHOWN_MOUNTS]]
    more = len(ordered) - len(told)
    return f"mounted on {', '.join(told)}" + (f" and {more} more" if more else "")


def _claim(block: Block, found: t.Mapping[str, t.Sequence[str]], raw: RawStorage) -> list[str]:
    """Say that a device is claimed, unless that is told already, of itself or of a partition."""
    if block.claim in _NO_MEDIUM or found[block.name]:
        return []
    if block.claim != errno.EBUSY:
        return [f"cannot be told: {block.node} cannot be opened: {os.strerror(block.claim)}"]
    parts = [raw.blocks[name] for name in found if raw.blocks[name].path.startswith(f"{block.path}/")]
    if any(found[part.name] or part.claim == errno.EBUSY for part in parts):
        return []
    return [f"{block.name} is claimed by a file system or a program (ZFS, a Ceph OSD, a cluster file system)"]
