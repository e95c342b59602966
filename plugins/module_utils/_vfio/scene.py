# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What decisions are made from, and what a decision is. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.rules import Bound
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.selection import identity

BIND, RETURN, FORGET, STAY = "bind", "return", "forget", "stay"


@dataclasses.dataclass(frozen=True)
class Scene:
    """What decisions are made from.

    ``record`` is without the bindings that ended with an earlier boot. ``drivers`` has the best driver of each device
    where that had to be looked up. Of ``hung`` devices little is known, as little can be read without hanging, too.
    """

    snapshot: pci.PciSnapshot
    record: model.Record
    rules: t.Mapping[str, Bound]
    boot_id: str
    uuids: t.Mapping[str, str]
    drivers: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    hung: frozenset[str] = frozenset()

    def stranger(self, address: str) -> bool:
        """Tell whether another device is where the record has one."""
        entry, device = self.record.get(address), self.snapshot.devices.get(address)
        return bool(entry and device and identity(device) != entry.identity)


@dataclasses.dataclass(frozen=True)
class Decision:
    """What becomes of one device: the verb, its line of the record before and after, and when.

    ``live`` says that it changes its driver in this task, ``waits`` why it does so at the next boot only.
    """

    verb: str
    member: model.Member
    device: pci.PciDevice | None = None
    entry: model.Entry | None = None
    after: model.Entry | None = None
    live: bool = False
    waits: str = ""
    fresh: bool = False

    @property
    def address(self) -> str:
        """Return the address."""
        return self.member.address

    @property
    def before(self) -> str:
        """Return the driver that the device has now, empty for none."""
        return (self.device.driver if self.device else None) or ""

    @property
    def override(self) -> str:
        """Return its ``driver_override`` now, empty for none."""
        return (self.device.driver_override if self.device else None) or ""

    @property
    def overridden(self) -> bool:
        """Tell whether its ``driver_override`` is our doing.

        It may name the old driver: it does while that one is put back, and a run can die there.
        """
        entry = self.entry
        return entry is not None and self.override in {entry.driver, entry.origin} - {
            "",
            entry.origin_override,
        }

    @property
    def held(self) -> bool:
        """Tell whether our driver has it, and that is not the one that it had before."""
        entry = self.entry
        return entry is not None and self.before == entry.driver != entry.origin

    @property
    def missed(self) -> bool:
        """Tell whether nothing has it now, and a driver had it before."""
        return self.entry is not None and bool(self.entry.origin) and not self.before

    @property
    def moves(self) -> bool:
        """Tell whether a device that is bound gets another driver now, and not only its override back."""
        return self.live and self.before != self.member.driver

    @property
    def changes(self) -> bool:
        """Tell whether this task changes anything about it: its driver, or what every boot does."""
        return self.live or self.fresh

    @property
    def judged(self) -> bool:
        """Tell whether it has to be judged, as it loses a driver: what is bound already is not judged again."""
        if self.verb == BIND:
            return self.changes and self.before != self.member.driver
        return self.verb == RETURN and self.live

    @property
    def settled(self) -> bool:
        """Tell whether nothing can speak against it: nothing changes or waits, and it is no bridge that was chosen."""
        return not (self.changes or self.waits or (self.member.chosen and not self.member.binds))


def changing(decisions: t.Iterable[Decision]) -> tuple[str, ...]:
    """Return the devices to look at: those that lose a driver, now or at the next boot."""
    return tuple(decision.address for decision in decisions if decision.judged)
