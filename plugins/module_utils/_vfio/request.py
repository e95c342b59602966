# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The one request in the reboot ledger, for all devices that change their driver at the next boot only.

Imported when something waits or the ledger has the request: a run without either needs none of it.
"""

from __future__ import annotations

import dataclasses
import posixpath
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Untouchable
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot import book as books
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot import ledger
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.device import DRIVERS
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.scene import BIND, STAY, Decision
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.task import REQUEST

HUNG_REQUEST = "vfio-hung"


@dataclasses.dataclass(frozen=True)
class Wish:
    """What waits: a check for each device by which one sees that the boot did it, and whether any boot is needed.

    ``managed`` are the devices that this is the whole truth about.
    """

    checks: tuple[ledger.Check, ...]
    boot: bool
    managed: frozenset[str]


@dataclasses.dataclass(frozen=True)
class RawDesk:
    """What was read."""

    book: books.RawBook
    wish: Wish

    def parse(self) -> Desk:
        """Parse the ledger."""
        return Desk(books.parse_book(self.book), self.wish)


@dataclasses.dataclass(frozen=True)
class Desk:
    """The ledger, and what waits."""

    book: books.Book
    wish: Wish = dataclasses.field(compare=False)

    def plan(self, changed: bool, now: float) -> tuple[tuple[Action, ...], Desk]:
        """Plan that the ledger has the request when something waits, and has it no longer when nothing does.

        ``changed`` tells whether what the next boot does is another thing than before: then it is a new request.
        """
        known = self.book.ledger.get(REQUEST)
        others = [check for check in known.expect.checks if self._is_foreign(check)] if known else []
        checks = tuple(sorted({*self.wish.checks, *others}, key=lambda check: check.path))
        if not checks and not self.wish.boot:
            return self._with(ledger.drop(self.book.ledger, {REQUEST}))
        if (
            known
            and not changed
            and set(checks) <= set(known.expect.checks)
            and known.expect.boot >= self.wish.boot
        ):
            return (), self
        request = ledger.Request(
            REQUEST,
            f"devices change their driver at boot: {', '.join(check.label for check in checks) or 'to none'}",
            REQUEST,
            ledger.moment(now),
            self.book.evidence.boot_id,
            ledger.Expect(checks=checks, boot=self.wish.boot),
        )
        return self._with(ledger.enter(self.book.ledger, request, renew=changed))

    def assumed(self, rebooted: bool, now: float) -> Desk:
        """Return the ledger as earlier tasks of a run in check mode leave it, which did not write it."""
        if rebooted:
            return self._with(ledger.drop(self.book.ledger, {REQUEST}))[1]
        return self.plan(False, now)[1]

    def outcome(self, before: Desk) -> list[dict[str, t.Any]]:
        """Return what becomes of the request."""
        return books.outcome(before.book, self.book, REQUEST)

    @property
    def stuck(self) -> bool:
        """Tell whether the host has booted since, and what was to happen then did not."""
        known = self.book.ledger.get(REQUEST)
        return known is not None and ledger.judge(known, self.book.evidence).status == ledger.FAILED

    def show(self) -> str:
        """Render the requests for the diff."""
        return books.show_book(self.book)

    def _with(self, wanted: ledger.Ledger) -> tuple[tuple[Action, ...], Desk]:
        actions, book = books.plan_book(self.book, wanted)
        return actions, dataclasses.replace(self, book=book)

    def _is_foreign(self, check: ledger.Check) -> bool:
        """Tell whether a check is about a device of another task that still waits."""
        holds, _found = self.book.evidence.held.get(check, (None, ""))
        return posixpath.basename(check.path) not in self.wish.managed and holds is not True


def read_desk(host: Host, decisions: t.Iterable[Decision]) -> RawDesk:
    """Read the ledger, and the evidence for what ``decisions`` wait for."""
    decisions = tuple(decisions)
    waiting = {decision.address: _driver(decision) for decision in decisions if decision.waits}
    checks = tuple(_check(address, waiting[address]) for address in sorted(waiting) if waiting[address])
    managed = frozenset(decision.address for decision in decisions if decision.verb != STAY)
    wish = Wish(checks, len(checks) < len(waiting), managed)
    return RawDesk(books.read_book(host, wish.checks, own=REQUEST), wish)


def ask_for_boot(host: Host, error: Untouchable) -> tuple[Action, ...]:
    """Plan a request for any boot at all: nothing else frees a device whose driver does not let go."""
    book = books.parse_book(books.read_book(host, own=HUNG_REQUEST))
    request = ledger.Request(
        HUNG_REQUEST,
        f"a driver does not let go of {error.details.get('hung', {}).get('address', 'a device')}",
        REQUEST,
        ledger.moment(host.now()),
        book.evidence.boot_id,
        ledger.Expect(boot=True),
    )
    return books.plan_book(book, ledger.enter(book.ledger, request, renew=False))[0]


def _driver(decision: Decision) -> str:
    if decision.verb == BIND:
        return decision.member.driver
    return decision.entry.origin if decision.entry else ""


def _check(address: str, driver: str) -> ledger.Check:
    return ledger.Check(f"{DRIVERS}/{driver}/{address}", ledger.FILLED, label=f"{address} at {driver}")
