# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The host as modules see it: a file-system root, a command runner and a clock, all injectable."""

from __future__ import annotations

import dataclasses
import errno
import os
import time
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Runner, run_command

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO)


@dataclasses.dataclass(frozen=True)
class Reading:
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


@dataclasses.dataclass(frozen=True)
class Host:
    """Everything a module may touch. Paths are absolute on the host and re-rooted here."""

    root: str = "/"
    run: Runner = run_command
    now: t.Callable[[], float] = time.time

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
        try:
            return sorted(os.listdir(self.path(path)))
        except OSError:
            return []

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
