# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What speaks against a change, and the change that it speaks against."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    HOST_ADDRESS,
    LOCKOUT,
    Database,
    Nic,
    Wish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.nics import DEFAULT_ROUTE, SSH
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_view import (
    INTERNAL,
    BridgeView,
    holders_in,
    view_after,
    view_of,
)

NEVER = ""
"""The name of what nothing lifts: Open vSwitch cannot do it, or says that it does and does not."""
_MANY = 4

Words = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Objection:
    """Something that would lock somebody out, hurt a guest or not work: its name in ``allow``, why, the remedy."""

    name: str
    message: str
    remedy: str


@dataclasses.dataclass(frozen=True)
class Change:
    """A bridge before and after, on its host. ``before`` is ``None`` for a new one, ``after`` when it is to go.

    ``moves`` is the device whose addresses go on to the bridge in this run, or come back from it when the bridge goes;
    empty when they stay where they are. ``answers`` says of controllers whether they were seen to answer, and
    ``holders`` of ports and interfaces which bridge has them.
    """

    wish: Wish
    database: Database
    nics: t.Mapping[str, Nic]
    moves: str
    answers: t.Mapping[str, bool]
    before: BridgeView | None
    after: BridgeView | None
    holders: t.Mapping[str, str]

    @property
    def name(self) -> str:
        """Return the name of the bridge."""
        return self.wish.name

    def nic(self, name: str) -> Nic:
        """Return a device, one that has nothing when it is not there."""
        return self.nics.get(name) or Nic(name)

    def ends_before(self) -> dict[str, Words]:
        """Return the ports of the bridge that the host hangs on now, each with what depends on it."""
        return self.ends_of(self.before)

    def ends_of(self, view: BridgeView | None, seen: frozenset[str] = frozenset()) -> dict[str, Words]:
        """Return the ports of a bridge behind which the host is: its own devices, and patches to such bridges."""
        found: dict[str, Words] = {}
        for port in view.ports.values() if view else ():
            words = [
                word
                for member in port.members
                if member.type == INTERNAL
                for word in self.nic(member.name).carries
            ]
            for peer in filter(None, (member.peer for member in port.members)):
                words += self._beyond(peer, seen | {view.name if view else ""})
            if words:
                found[port.name] = tuple(dict.fromkeys(words))
        return found

    def _beyond(self, peer: str, seen: frozenset[str]) -> list[str]:
        other = self.holders.get(peer, "")
        if not other or other in seen:
            return []
        ends = self.ends_of(view_of(other, self.database), seen)
        return [word for words in ends.values() for word in words]

    def ends_after(self) -> dict[str, Words]:
        """Return the ports that the host will hang on, the ones included that it moves to."""
        if self.after is None:
            return {}
        found = self.ends_of(self.after)
        if self.moves:
            moved = (*found.get(self.name, ()), *self.nic(self.moves).carries)
            found[self.name] = tuple(dict.fromkeys(moved))
        return found


def make_change(
    wish: Wish,
    database: Database,
    nics: t.Mapping[str, Nic],
    moves: str = "",
    answers: t.Mapping[str, bool] | None = None,
) -> Change:
    """Put together what the objections look at."""
    after = view_after(wish, database) if wish.present else None
    before = view_of(wish.name, database)
    return Change(wish, database, nics, moves, answers or {}, before, after, holders_in(database))


def against(words: Words, message: str, remedy: str) -> Objection:
    """Object on behalf of what depends on a device or port: by its weight a lock-out, or an address less."""
    heavy = any(word.startswith((SSH, DEFAULT_ROUTE)) for word in words)
    return liftable(LOCKOUT if heavy else HOST_ADDRESS, message, remedy)


def liftable(name: str, message: str, remedy: str) -> Objection:
    """Return an objection that says how it is lifted."""
    return Objection(name, message, f"{remedy}; allow: [{name}] lifts this one refusal")


def listed(words: t.Sequence[str]) -> str:
    """Return some words as a part of a sentence; many are counted."""
    shown = (
        [*words[:_MANY]] if len(words) <= _MANY else [*words[: _MANY - 1], f"{len(words) - _MANY + 1} more"]
    )
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else "".join(shown)
