# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Files that are put back as they were when a later step fails."""

from __future__ import annotations

import dataclasses

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, RemoveFile, WriteFile
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import EffectError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import record
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.device import driver_of, override_of
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import Entry


@dataclasses.dataclass(frozen=True)
class SetFile(Action):
    """Replace a whole file, or with an empty ``content`` remove it; ``previous`` is what it holds now."""

    path: str
    content: str
    previous: str
    mode: int = 0o644

    def describe(self) -> str:
        return self._effect().describe()

    def perform(self, host: Host) -> None:
        # The lock of the host is not held while a task decides: another one may have written in between.
        if (host.read(self.path).text or "") not in (self.previous, self.content):
            raise EffectError(
                f"{self.path} has changed since this task read it: another one is about the same devices.",
                remedy="let one play at a time manage them, and run again",
            )
        self._effect().perform(host)

    def undo(self) -> Action:
        return SetFile(self.path, self.previous, self.content, self.mode)

    def _effect(self) -> Action:
        return WriteFile(self.path, self.content, self.mode) if self.content else RemoveFile(self.path)


@dataclasses.dataclass(frozen=True)
class SetRecord(Action):
    """Write the record; ``added`` are the entries that are new in it."""

    content: str
    previous: str
    added: tuple[Entry, ...] = ()

    def describe(self) -> str:
        return SetFile(record.PATH, self.content, self.previous).describe()

    def perform(self, host: Host) -> None:
        SetFile(record.PATH, self.content, self.previous).perform(host)

    def undo(self) -> Action:
        return ForgetAdded(self.previous, self.content, self.added)


@dataclasses.dataclass(frozen=True)
class ForgetAdded(SetRecord):
    """Put the record back, if the devices are what they were: else it is all that tells what they were."""

    def perform(self, host: Host) -> None:
        for entry in self.added:
            found = (driver_of(host, entry.address), override_of(host, entry.address))
            if found != (entry.origin, entry.origin_override):
                raise EffectError(
                    f"the record is kept, as {entry.address} is not back at {entry.origin or 'no driver'}"
                )
        super().perform(host)

    def touches(self) -> frozenset[str]:
        return frozenset(entry.address for entry in self.added)
