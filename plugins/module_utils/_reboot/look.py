# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The module ``reboot_request``: enter and withdraw requests, and settle the ledger."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils import _lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.trial_menu import FALLBACK_WORD
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.trial_scene import DROPIN, SCRIPT
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Plan
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot import ledger
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.book import (
    CMDLINE,
    Book,
    RawBook,
    outcome,
    parse_book,
    plan_book,
    read_book,
    show_book,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.holders import Holder, read_holders
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.planned import (
    Planned,
    assume,
    parse_item,
    parse_planned,
    refuse_real_run,
)

# What the module boot_trial leaves on the host while the new arguments are on trial.
TRIAL_FILES = (SCRIPT, DROPIN)


@dataclasses.dataclass(frozen=True)
class Raw:
    """What was read besides the ledger: what holds a reboot back, and where the host stands."""

    book: RawBook
    entered: ledger.Ledger
    holders: tuple[Holder, ...]
    trial: bool
    now: float
    cmdline: str


@dataclasses.dataclass(frozen=True)
class Look:
    """The ledger, and around it what decides whether and how the host may reboot."""

    book: Book
    around: Raw = dataclasses.field(compare=False)


class RebootRequest(Capability[Raw, Look]):
    """The reboot ledger of a host."""

    def execute(self, gate: Gate) -> dict[str, t.Any]:
        """Run the four verbs; a prediction is refused where it would be carried out.

        :raises Refusal: ``planned`` or ``predict`` are given outside check mode.
        """
        foretells = bool(self.params["planned"] or self.params["predict"])
        refuse_real_run(gate, foretells)
        if foretells and self._state != "settled":
            raise ParseError(
                f"planned and predict mean nothing with state {self._state}.", remedy="leave them out"
            )
        return super().execute(gate)

    def read(self) -> Raw:
        """Read the ledger and the evidence; look for holders only when there is something to hold back."""
        wanted = {**self._planned.requests, **({self._request.name: self._request} if self._enters else {})}
        checks = [check for request in wanted.values() for check in request.expect.checks]
        raw = read_book(self.host, checks, self.params["metrics_dir"])
        entered = ledger.parse_ledger(raw.files[ledger.LEDGER].text or "")
        asked = bool(self._planned.requests or entered)
        return Raw(
            book=raw,
            entered=entered,
            holders=read_holders(self.host) if asked and self._state == "settled" else (),
            trial=any(map(self.host.exists, TRIAL_FILES)),
            now=self.host.now(),
            cmdline=self.host.text(CMDLINE) or "",
        )

    def parse(self, raw: Raw) -> Look:
        """Parse the ledger. What is planned counts as if it were in it, which is so in check mode only."""
        return Look(assume(parse_book(raw.book), self._planned, self.params["metrics_dir"]), raw)

    def plan(self, current: Look) -> Plan[Look]:
        """Decide what the ledger holds, and say where each request stands."""
        if self._state == "settled":
            return self._settle(current)
        before = current.book
        wanted = self._wanted(current)
        actions, after = plan_book(before, wanted, self.params["metrics_dir"])
        names = [self._request.name] if self._enters else sorted(set(before.ledger) - set(wanted))
        told = [item for name in names for item in outcome(before, after, name)]
        return Plan(actions, Look(after, current.around), {"requests": told, **_sorted(told)})

    def _wanted(self, current: Look) -> dict[str, ledger.Request]:
        """Return the ledger with the request entered, or without those that are withdrawn."""
        before = current.book.ledger
        if not self._enters:
            return ledger.drop(before, before if self._state == "cleared" else [self.params["name"]])
        evidence = current.book.evidence
        own = dataclasses.replace(
            self._request, since=ledger.moment(current.around.now), boot_id=evidence.boot_id
        )
        known = before.get(own.name)
        # What is done and was not settled yet must not swallow a new wish for any boot.
        done = bool(known and ledger.judge(known, evidence).status == ledger.FULFILLED)
        entered = ledger.enter(before, own, renew=self.params["renew"] or done)
        judged = ledger.judge(entered[own.name], evidence)
        return ledger.drop(entered, [own.name]) if judged.status == ledger.FULFILLED else entered

    def _settle(self, current: Look) -> Plan[Look]:
        """Drop what is fulfilled, and report the rest."""
        metrics_dir = self.params["metrics_dir"]
        before = current.book
        judged = [self._predicted(judgement) for judgement in before.judgements()]
        done = [judgement.request.name for judgement in judged if judgement.status == ledger.FULFILLED]
        actions, after = plan_book(before, ledger.drop(before.ledger, done), metrics_dir)
        told = [judgement.as_dict() for judgement in judged]
        around = current.around
        coming = self._planned.requests
        planned = {name: coming[name] for name in coming.keys() & before.ledger.keys()}
        facts = {
            "requests": [item for item in told if item["status"] != ledger.FULFILLED],
            **_sorted(told),
            "holders": [holder.as_dict() for holder in around.holders],
            "trial": around.trial,
            "fell_back": FALLBACK_WORD in before.evidence.words,
            "cmdline": around.cmdline,
            "play": bool(_lock.own_play()),
            # The same request keeps its date and its boot, so one that differs comes with a change.
            "foretold": planned != {name: around.entered.get(name) for name in planned},
        }
        return Plan(actions, Look(after, around), facts)

    def _predicted(self, judgement: ledger.Judgement) -> ledger.Judgement:
        if self.params["predict"] and judgement.status == ledger.PENDING:
            return ledger.Judgement(judgement.request, ledger.FULFILLED)
        return judgement

    def show(self, model: Look) -> str:
        """Render the requests."""
        return show_book(model.book)

    @property
    def _state(self) -> str:
        return str(self.params["state"])

    @property
    def _enters(self) -> bool:
        return self._state == "present"

    @functools.cached_property
    def _request(self) -> ledger.Request:
        """Return the request of the options; when and in which boot it is asked for is yet to be read."""
        params = self.params
        expect = params["expect"] or {"boot": True}
        if not any(expect.values()):
            raise ParseError(
                "expect is empty: it would be fulfilled at once.",
                remedy="leave expect out where any boot will do, or say what the boot shall bring",
            )
        return parse_item(
            f"request {params['name']}",
            {
                **{key: params[key] for key in ("name", "reason", "requested_by")},
                "since": ledger.moment(0),
                "boot_id": "",
                "expect": {key: value for key, value in expect.items() if value is not None},
            },
        )

    @functools.cached_property
    def _planned(self) -> Planned:
        return parse_planned(self.params["planned"])


def _sorted(told: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, list[t.Mapping[str, t.Any]]]:
    """Sort requests by where they stand. No result may be named ``failed``: Ansible takes that for its own."""
    keys = {
        "pending": ledger.PENDING,
        "unfulfilled": ledger.FAILED,
        "fulfilled": ledger.FULFILLED,
        "undecided": ledger.UNKNOWN,
    }
    return {key: [item for item in told if item["status"] == status] for key, status in keys.items()}
