# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The host as modules see it: a root, a command runner, a clock, a kernel to write to: all injectable."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import posixpath
import stat
import time
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Runner, run_command
from ansible_collections.hearth.gpu_host.plugins.module_utils._sysfs import (
    Writer,
    unanswered,
    write_attribute,
)

# ESRCH is what the folder of a process says that has ended since it was listed.
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.ESRCH)


# Named tuples: a dataclass takes five times as long to make, and every run makes all of them anew.


class Reading(t.NamedTuple):
    """One attempt to read: the text, or why there is none.

    ``missing`` says that the file is not there; a file that is there but cannot be read has
    neither ``text`` nor ``missing``: unknown, which is no answer in either direction.
    """

    text: str | None = None
    missing: bool = False
    why: str = ""

    @property
    def unknown(self) -> bool:
        """Tell whether nothing is known: there is something, and it could not be read."""
        return self.text is None and not self.missing


class Listing(t.NamedTuple):
    """One attempt to list a directory: the sorted names, or why there are none."""

    names: tuple[str, ...] = ()
    missing: bool = False
    why: str = ""

    @property
    def unknown(self) -> bool:
        """Tell whether nothing is known: there is a directory, and it could not be listed."""
        return bool(self.why) and not self.missing


@dataclasses.dataclass(frozen=True)
class Host:
    """Everything a module may touch. Paths are absolute on the host and re-rooted here."""

    root: str = "/"
    run: Runner = run_command
    now: t.Callable[[], float] = time.time
    environ: t.Callable[[str], str | None] = os.environ.get
    write_sysfs: Writer = write_attribute

    def path(self, path: str) -> str:
        """Return where ``path`` of the host lies for this process."""
        return os.path.join(self.root, path.lstrip("/"))

    def read(self, path: str) -> Reading:
        """Read a text file, telling missing from unreadable."""
        try:
            with open(self.path(path), "rb") as stream:
                return Reading(text=stream.read().decode(errors="replace"))
        except OSError as error:
            return Reading(missing=error.errno in _MISSING, why=f"{path}: {error.strerror}")

    def read_bytes(self, path: str) -> bytes | None:
        """Read a binary file; ``None`` when it is missing or unreadable."""
        try:
            with open(self.path(path), "rb") as stream:
                return stream.read()
        except OSError:
            return None

    def text(self, path: str) -> str | None:
        """Return the stripped text of ``path``, or ``None`` when it cannot be had."""
        text = self.read(path).text
        return None if text is None else text.strip()

    def listdir(self, path: str) -> list[str]:
        """Return the sorted names in a directory; empty when it is missing."""
        return list(self.listing(path).names)

    def listing(self, path: str) -> Listing:
        """List a directory, telling missing from unreadable."""
        try:
            return Listing(tuple(sorted(os.listdir(self.path(path)))))
        except OSError as error:
            return Listing(missing=error.errno in _MISSING, why=f"{path}: {error.strerror}")

    def link(self, path: str) -> str | None:
        """Return the last component of a symbolic link's target.

        Never resolves the whole path: sysfs links of a captured tree point outside it.
        """
        target = self.target(path)
        return None if target is None else os.path.basename(target)

    def target(self, path: str) -> str | None:
        """Return a symbolic link's target as it is written, or ``None`` when there is no such link."""
        try:
            return os.readlink(self.path(path))
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        """Tell whether ``path`` is there, dangling links included."""
        return os.path.lexists(self.path(path))

    def unanswered(self, paths: t.Sequence[str], patience_s: float) -> tuple[str, ...]:
        """Return those of ``paths`` that cannot be read, as they are, within ``patience_s`` each."""
        places = {self.path(path): path for path in paths}
        return tuple(places[place] for place in unanswered(tuple(places), patience_s))

    def device_number(self, path: str) -> str:
        """Return what a device node or a link to one leads to, such as ``c195:0`` or ``b8:1``; empty for no device.

        The number stays what it is where a container gave the node another name.
        """
        place = self.path(path)
        target = self.target(path) if self.root != "/" else None
        if target is not None:
            # What a re-rooted tree links to lies in it, too; a link in /proc is more than its text.
            place = self.path(posixpath.join(posixpath.dirname(path), target))
        try:
            found = os.stat(place)
        except OSError:
            return ""
        kind = "b" if stat.S_ISBLK(found.st_mode) else "c" if stat.S_ISCHR(found.st_mode) else ""
        return f"{kind}{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}" if kind else ""

    def open_exclusive(self, path: str) -> int:
        """Try to have a block device alone, for a moment and without writing: return 0, or the errno.

        ``EBUSY`` says that somebody claimed it: a mount, device-mapper, md, ZFS or a program.
        """
        try:
            os.close(os.open(self.path(path), os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def ioctl(self, path: str, request: int, arguments: t.Sequence[bytes]) -> tuple[bytes, ...] | None:
        """Ask a device node one thing about several arguments; ``None`` when it does not answer."""
        try:
            descriptor = os.open(self.path(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return tuple(fcntl.ioctl(descriptor, request, argument) for argument in arguments)
        except OSError:
            return None
        finally:
            os.close(descriptor)
