# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The tools that build initramfs images: what we write for them, and how an image is listed and built."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import os
import re
import shutil
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils import _textfile
from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Run
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._initramfs.content import (
    STAMP_DIR,
    STAMP_FUNCTION,
    Content,
    note,
)

BUILD_TIMEOUT_S = 900.0
MODPROBE_DIR = "/etc/modprobe.d"
_FOLDER = "99hearth"
_GLOB = f"{MODPROBE_DIR}/*.conf"
_OURS = "# Written by Ansible (hearth.gpu_host). The role boot owns this file.\n"
_ROOTS = ("/boot", "/boot/efi", "/efi")
_NO_UPDATE = re.compile(r"^\s*update_initramfs\s*=\s*[\"']?no\b", re.MULTILINE)
# Permissions, links, owner, group, size or device numbers, month, day, time or year, name (cpio --verbose --list).
_LONG = re.compile(
    r"^[-dlbcps][-rwxsStT]{9}\s+(?:\S+\s+){3}(?:\d+,\s*)?\d+\s+(?:\S+\s+){3}(?P<name>.+?)(?: -> .*)?$"
)

_PREREQUISITES = r"""
case "${1:-}" in
    prereqs) exit 0 ;;
esac
"""

# copy_file ends with 1 when the file is in the image already. A hook that fails breaks the installation
# of a kernel; what is missing is found by our next run instead.
_COPY_FUNCTION = r"""
. /usr/share/initramfs-tools/hook-functions
LC_ALL=C
export LC_ALL

hearth_copy() {
    copy_file config "$1" || [ $? = 1 ] || echo "W: hearth: $1 cannot be copied" >&2
}
"""


@dataclasses.dataclass(frozen=True)
class OwnFile:
    """A file of ours."""

    text: str
    mode: int = 0o644


class Tool(abc.ABC):
    """A tool that builds images. ``record`` is the file of ours by which a later run knows what was done."""

    name: t.ClassVar[str]
    record: t.ClassVar[str]
    paths: t.ClassVar[tuple[str, ...]]
    lister: t.ClassVar[str]

    @abc.abstractmethod
    def own_files(self, content: Content) -> dict[str, OwnFile]:
        """Return our files; for no content a record that adds nothing, not even a stamp."""

    @abc.abstractmethod
    def candidates(self, kernel: str, machine_id: str) -> tuple[str, ...]:
        """Return where the images of a kernel may lie."""

    @abc.abstractmethod
    def build(self, kernel: str, image: str) -> Action:
        """Return what builds the image anew, so that at any time either the old or the new one has its name."""

    @abc.abstractmethod
    def obstacle(self, host: Host) -> str:
        """Say why the tool would not build; empty when it would. Reads only."""

    @abc.abstractmethod
    def names(self, listing: str) -> frozenset[str]:
        """Return the paths in a listing as the lister prints it, without a leading slash."""


class InitramfsTools(Tool):
    """initramfs-tools, of Debian and Ubuntu."""

    name = "initramfs-tools"
    record = "/etc/initramfs-tools/hooks/hearth"
    paths = (record,)
    lister = "lsinitramfs"

    def own_files(self, content: Content) -> dict[str, OwnFile]:
        text = f"#!/bin/sh\n{_OURS}{note(content)}{_PREREQUISITES}"
        if not content:
            return {self.record: OwnFile(text, 0o755)}
        inputs = " ".join((self.record, *content.files, _GLOB))
        wishes = [f"force_load {module}" for module in content.modules]
        wishes += [f"hearth_copy {path}" for path in content.files]
        stamp = f': > "$DESTDIR/{STAMP_DIR}/initramfs.$(hearth_digest {inputs})"\n'
        text += f"{_COPY_FUNCTION}\n{STAMP_FUNCTION}\n" + "".join(f"{wish}\n" for wish in wishes)
        text += f'mkdir -p "$DESTDIR/{STAMP_DIR}"\n{stamp}'
        return {self.record: OwnFile(text, 0o755)}

    def candidates(self, kernel: str, machine_id: str) -> tuple[str, ...]:
        return (f"/boot/initrd.img-{kernel}",)

    def build(self, kernel: str, image: str) -> Action:
        # It builds beside the image and renames (generate_initramfs), then tells the boot loaders.
        return Run(("update-initramfs", "-u", "-k", kernel), timeout_s=BUILD_TIMEOUT_S)

    def obstacle(self, host: Host) -> str:
        path = "/etc/initramfs-tools/update-initramfs.conf"
        return f"{path} says update_initramfs=no" if _NO_UPDATE.search(host.read(path).text or "") else ""

    def names(self, listing: str) -> frozenset[str]:
        return frozenset(map(_plain, listing.splitlines()))


class Dracut(Tool):
    """dracut, of EL and its relatives, and of Debian and Ubuntu where somebody chose it."""

    name = "dracut"
    record = "/etc/dracut.conf.d/90-hearth.conf"
    module = f"/usr/lib/dracut/modules.d/{_FOLDER}/module-setup.sh"
    paths = (record, module)
    lister = "lsinitrd"

    def own_files(self, content: Content) -> dict[str, OwnFile]:
        conf = f"{_OURS}{note(content)}"
        if not content:
            return {self.record: OwnFile(conf)}
        modules, files = " ".join(content.modules), " ".join(content.files)
        # Without hostonly dracut leaves modprobe.d out.
        conf += f'install_optional_items+=" {_GLOB} "\n'
        conf += f'add_drivers+=" {modules} "\nforce_drivers+=" {modules} "\n' if modules else ""
        conf += f'install_items+=" {files} "\n' if files else ""
        inputs = " ".join((self.record, self.module, *content.files, _GLOB))
        setup = (
            f"#!/bin/bash\n{_OURS}\n{STAMP_FUNCTION}\n"
            "check() {\n    return 0\n}\n\n"
            "depends() {\n    return 0\n}\n\n"
            "install() {\n    local LC_ALL=C\n"
            f'    mkdir -p "${{initdir:?}}/{STAMP_DIR}"\n'
            f'    : > "${{initdir:?}}/{STAMP_DIR}/initramfs.$(hearth_digest {inputs})"\n}}\n'
        )
        return {self.record: OwnFile(conf), self.module: OwnFile(setup, 0o755)}

    def candidates(self, kernel: str, machine_id: str) -> tuple[str, ...]:
        entries = tuple(f"{root}/{machine_id}/{kernel}/initrd" for root in _ROOTS) if machine_id else ()
        return (f"/boot/initramfs-{kernel}.img", f"/boot/initrd.img-{kernel}", *entries)

    def build(self, kernel: str, image: str) -> Action:
        return DracutBuild(kernel, image)

    def obstacle(self, host: Host) -> str:
        return ""

    def names(self, listing: str) -> frozenset[str]:
        found = map(_LONG.match, listing.splitlines())
        return frozenset(_plain(match.group("name")) for match in found if match)


@dataclasses.dataclass(frozen=True)
class DracutBuild(Action):
    """Build beside the image and rename: dracut itself copies over the old image, which a crash would tear."""

    kernel: str
    image: str

    def describe(self) -> str:
        return f"run dracut --force {self.image} {self.kernel}"

    def perform(self, host: Host) -> None:
        new = f"{self.image}.hearth-new"
        try:
            host.run(("dracut", "--quiet", "--force", new, self.kernel), timeout_s=BUILD_TIMEOUT_S)
        except CommandError:
            # Half an image is of no use, and /boot is small.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(host.path(new))
            raise
        shutil.copymode(host.path(self.image), host.path(new))
        sync(host.path(new))
        os.rename(host.path(new), host.path(self.image))
        sync(os.path.dirname(host.path(self.image)))


@dataclasses.dataclass(frozen=True)
class RemoveOwn(Action):
    """Remove a file of ours, and the folder that we made for it."""

    path: str

    def describe(self) -> str:
        return f"remove {self.path}"

    def perform(self, host: Host) -> None:
        _textfile.remove(host, self.path)
        folder = os.path.dirname(host.path(self.path))
        if os.path.basename(folder) == _FOLDER and os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)


def sync(path: str) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_modprobe(path: str) -> bool:
    """Tell whether the pattern of the hook names a file: the shell leaves out what begins with a dot."""
    folder, name = os.path.split(path)
    return folder == MODPROBE_DIR and name.endswith(".conf") and not name.startswith(".")


def _plain(name: str) -> str:
    """Return a path as it is in a merged /usr, without what leads to the root."""
    name = re.sub(r"^(\./|/)+", "", name)
    return re.sub(r"^(bin|sbin|lib|lib64)(?=/)", r"usr/\1", name)


def inside(path: str) -> str:
    """Return the name under which an image lists a file of the host."""
    return _plain(path)


def detect(host: Host) -> Tool | None:
    """Return the tool that owns the images of this host, found by what is there."""
    # A wrapper around dracut, and what live systems put in its place, does not mention mkinitramfs.
    if "mkinitramfs" in (host.read("/usr/sbin/update-initramfs").text or ""):
        return InitramfsTools()
    if any(host.exists(f"{folder}/dracut") for folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin")):
        return Dracut()
    return None
