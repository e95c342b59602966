# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The images on the disk: which there are, what they hold, and how the last one that booted is kept."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import posixpath
import re
import shutil
import stat
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal, VerifyError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._initramfs import tools
from ansible_collections.hearth.gpu_host.plugins.module_utils._initramfs.content import Content, stamps
from ansible_collections.hearth.gpu_host.plugins.module_utils._initramfs.tools import Tool, inside, sync
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config import kernel as kernels

LIST_TIMEOUT_S = 300.0
PREVIOUS = ".hearth-previous"
_BOOTED = re.compile(r"^btime (\d+)$", re.MULTILINE)
# A new image is about as large as the old one; what is added to it is small beside this.
_GROWTH, _SLACK = 1.25, 8 * 2**20


@dataclasses.dataclass(frozen=True)
class Found:
    """An image as it was read. ``listing`` is ``None`` when the lister could not make sense of it."""

    kernel: str
    path: str
    listing: str | None
    size: int
    changed: float


@dataclasses.dataclass(frozen=True)
class Kernel:
    """The modules of a kernel: as files, and as parts of itself."""

    files: frozenset[str] = frozenset()
    builtin: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Image:
    """An image and what it lacks of the wanted content. ``digests`` is ``None`` when it cannot be read."""

    kernel: str
    path: str
    digests: tuple[str, ...] | None
    missing: tuple[str, ...] = ()
    size: int = dataclasses.field(default=0, compare=False)
    changed: float = dataclasses.field(default=0.0, compare=False)


@dataclasses.dataclass(frozen=True)
class Room:
    """What a file system has left, in bytes."""

    free: int
    writable: bool


def read_images(host: Host, tool: Tool) -> tuple[Found, ...]:
    """List every image that belongs to an installed kernel; one process for each."""
    machine_id = host.text("/etc/machine-id") or ""
    found = []
    for kernel in kernels.installed_kernels(host):
        for path in tool.candidates(kernel, machine_id):
            # A link to nowhere is no image.
            if os.path.exists(host.path(path)):
                status = os.stat(host.path(path))
                answer = host.run((tool.lister, path), timeout_s=LIST_TIMEOUT_S, check=False)
                listing = answer.out if answer.rc == 0 else None
                found.append(Found(kernel, path, listing, status.st_size, status.st_mtime))
    return tuple(found)


def read_without(host: Host, images: t.Iterable[Found]) -> tuple[str, ...]:
    """Return the kernels that can be started and have no image, such as of a build that found no room."""
    known = {image.kernel for image in images}
    kernel = kernels.installed_kernels(host)
    return tuple(name for name in kernel if name not in known and host.exists(f"/boot/vmlinuz-{name}"))


def read_previous(host: Host, images: t.Iterable[Found]) -> frozenset[str]:
    """Return the images that were kept, and what a kept one left behind when it was interrupted."""
    folders = {"/boot", *(posixpath.dirname(image.path) for image in images)}
    return frozenset(
        f"{folder}/{name}" for folder in folders for name in host.listdir(folder) if PREVIOUS in name
    )


def read_rooms(host: Host, images: t.Iterable[Found]) -> dict[str, Room]:
    """Measure what the folders of the images have left."""
    rooms = {}
    for folder in {posixpath.dirname(image.path) for image in images}:
        status = os.statvfs(host.path(folder))
        rooms[folder] = Room(status.f_bavail * status.f_frsize, not status.f_flag & os.ST_RDONLY)
    return rooms


def read_kernels(host: Host) -> dict[str, Kernel]:
    """Read which modules each installed kernel has."""
    return {
        name: Kernel(kernels.loadable(host, name), kernels.builtin(host, name))
        for name in kernels.installed_kernels(host)
    }


def booted_at(host: Host) -> float:
    """Return when the host booted; 0 when that cannot be known."""
    match = _BOOTED.search(host.read("/proc/stat").text or "")
    return float(match.group(1)) if match else 0.0


def checksum(host: Host, path: str) -> str | None:
    """Return the SHA-256 of a regular file; ``None`` where there is none, as ``[ -f ]`` in the hook says."""
    content = host.read_bytes(path) if os.path.isfile(host.path(path)) else None
    return None if content is None else hashlib.sha256(content).hexdigest()


def read_sums(host: Host, content: Content) -> dict[str, str | None]:
    """Read the checksums of what is taken from the host: the declared files, and all of modprobe.d."""
    names = (f"{tools.MODPROBE_DIR}/{name}" for name in host.listdir(tools.MODPROBE_DIR))
    return {path: checksum(host, path) for path in (*content.files, *filter(tools.is_modprobe, names))}


def mode_of(host: Host, path: str) -> int:
    """Return the permissions of a file; 0 where there is none."""
    return stat.S_IMODE(os.stat(host.path(path)).st_mode) if os.path.exists(host.path(path)) else 0


def parse_image(found: Found, tool: Tool, content: Content, kernel: Kernel) -> Image:
    """Say what an image lacks. A module that its kernel does not have as a file cannot be in it."""
    if found.listing is None:
        return Image(found.kernel, found.path, None, (), found.size, found.changed)
    names = tool.names(found.listing)
    modules = {name for name in map(kernels.module_name, names) if name}
    missing = [name for name in content.modules if name in kernel.files and name not in modules]
    missing += [path for path in content.files if inside(path) not in names]
    return Image(found.kernel, found.path, stamps(names), tuple(missing), found.size, found.changed)


def check_room(images: t.Iterable[Image], rooms: t.Mapping[str, Room]) -> None:
    """Refuse to build where a new image would not fit beside the old one.

    :raises Refusal: the folder is named, with what it has and needs.
    """
    need: dict[str, float] = {}
    for image in images:
        folder = posixpath.dirname(image.path)
        need[folder] = need.get(folder, _SLACK) + image.size * _GROWTH
    for folder, size in need.items():
        if not rooms[folder].writable:
            raise Refusal(f"{folder} is mounted read-only.", remedy=f"mount -o remount,rw {folder}")
        if rooms[folder].free < size:
            raise _no_room(folder, rooms[folder].free, size)


def _no_room(folder: str, free: float, size: float) -> Refusal:
    return Refusal(
        f"{folder} has {free / 2**20:.0f} MiB left, and new images need {size / 2**20:.0f} MiB beside the old ones.",
        remedy="remove kernels that are not used any more (apt-get autoremove, dnf remove --oldinstallonly), "
        "or lift the keeping of the previous images with keep_previous=false",
    )


@dataclasses.dataclass(frozen=True)
class KeepImage(Action):
    """Keep an image under a second name: by a link, or by a copy where the file system has no links."""

    path: str

    def describe(self) -> str:
        return f"keep {self.path} as {self.path}{PREVIOUS}"

    def perform(self, host: Host) -> None:
        image, kept = host.path(self.path), host.path(f"{self.path}{PREVIOUS}")
        new = f"{kept}-new"
        _forget(new)
        try:
            os.link(image, new)
        except OSError:
            self._copy(image, new)
        os.rename(new, kept)
        # rename(2) does nothing when both are names of one file.
        _forget(new)
        sync(os.path.dirname(kept))

    def _copy(self, image: str, new: str) -> None:
        status = os.statvfs(os.path.dirname(image))
        free, need = status.f_bavail * status.f_frsize, os.path.getsize(image) * (1 + _GROWTH) + _SLACK
        if free < need:
            raise _no_room(posixpath.dirname(self.path), free, need)
        shutil.copy2(image, new)
        sync(new)


@dataclasses.dataclass(frozen=True)
class DropImage(Action):
    """Remove an image that was kept."""

    path: str

    def describe(self) -> str:
        return f"remove {self.path}"

    def perform(self, host: Host) -> None:
        _forget(host.path(self.path))


def _forget(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


@dataclasses.dataclass(frozen=True)
class RemoveRecord(Action):
    """Remove the record of what we did, once the images are proven to hold nothing of ours."""

    action: Action
    tool: Tool
    images: tuple[str, ...]

    def describe(self) -> str:
        return self.action.describe()

    def perform(self, host: Host) -> None:
        for image in self.images:
            answer = host.run((self.tool.lister, image), timeout_s=LIST_TIMEOUT_S)
            if stamps(self.tool.names(answer.out)):
                raise VerifyError(
                    f"{image} still holds what this module put into it, although it was built anew.",
                    remedy="look at what the tool says when it builds the image by hand; then run again",
                )
        self.action.perform(host)


@dataclasses.dataclass(frozen=True)
class Guarded(Action):
    """The first effect, and what must be there before it: an earlier task of the run may be about to write it."""

    action: Action
    needs: t.Mapping[str, str]

    def describe(self) -> str:
        return self.action.describe()

    def perform(self, host: Host) -> None:
        for path, who in self.needs.items():
            if not os.path.exists(host.path(path)) or not stat.S_ISREG(os.stat(host.path(path)).st_mode):
                raise Refusal(
                    f"{path}, wanted in the initramfs by {who}, is no file on this host.",
                    remedy="write it before the role boot runs, correct the path, or take the wish back",
                )
        self.action.perform(host)
