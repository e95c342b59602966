# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Kernel arguments as a capability: the boot menu as it is wished, and the reboot that makes it effective."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import demand, goal, registry
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Backend, Menu
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.capability import checks, default_page_kib
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.machine import Machine, read_machine
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Plan
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot import book, ledger, planned

Facts = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Raw:
    """What the host says: its boot loader's configuration, the machine, the ledger (``None``: not running)."""

    backend: Backend
    menu: t.Any
    machine: Machine
    book: book.RawBook | None
    now: float


@dataclasses.dataclass(frozen=True)
class Model:
    """Our files, what is wrong with the entries, and the ledger; the rest is what the plan is made from."""

    files: t.Mapping[str, str]
    faults: tuple[str, ...]
    book: book.Book | None
    menu: Menu = dataclasses.field(compare=False)
    goal: goal.Goal = dataclasses.field(compare=False)
    raw: Raw = dataclasses.field(compare=False)


class KernelArgs(Capability[Raw, Model]):
    """The kernel's command line, configured and effective."""

    def execute(self, gate: Gate) -> dict[str, t.Any]:
        """Run the four verbs; a prediction is refused where it would be carried out."""
        planned.refuse_real_run(gate, bool(self.params["planned"]))
        return super().execute(gate)

    def read(self) -> Raw:
        wanted = bool(self.params["args"] or self.params["remove"])
        backend = registry.choose(self.host, self.params["backend"], wanted)
        menu = backend.read(self.host)
        machine = read_machine(self.host) if self.params["running"] else Machine()
        return Raw(backend, menu, machine, self._read_book(backend.parse(menu), machine), self.host.now())

    def parse(self, raw: Raw) -> Model:
        menu = raw.backend.parse(raw.menu)
        target = goal.set_goal(self.params, menu, raw.machine)
        # What is planned counts as if it were in the ledger, which is so in check mode only.
        coming = planned.parse_planned(self.params["planned"])
        read = None if raw.book is None else planned.assume(book.parse_book(raw.book), coming)
        return Model(menu.files, goal.faults(menu, target), read, menu, target, raw)

    def plan(self, current: Model) -> Plan[Model]:
        self._refuse_empty_menu(current)
        files = current.raw.backend.files_after(current.menu, current.goal.wish)
        steps: tuple[Action, ...] = ()
        if current.faults or _differ(current, files):
            steps = current.raw.backend.plan(current.menu, current.goal.wish)
            _refuse_incurable(current, steps)
        else:
            files = dict(current.files)
        facts: Facts = {
            "backend": current.raw.backend.name,
            "notices": [*current.goal.notices, *_wrong_default(current)],
            "entries": _entries(current, bool(steps)),
        }
        if current.book is None:
            facts.update(requests=[], arguments=_arguments(current, bool(steps), None, ()))
            return Plan(steps, dataclasses.replace(current, files=files, faults=()), facts)
        situation = self._situation(current, current.book, bool(steps))
        requests, judged = demand.plan_request(current.book.ledger, situation)
        entered, book_after = book.plan_book(current.book, requests)
        facts.update(
            requests=book.outcome(current.book, book_after, demand.NAME),
            arguments=_arguments(current, bool(steps), situation, judged),
        )
        # The request comes first: a run that dies after it cannot have lost it.
        after = dataclasses.replace(current, files=files, faults=(), book=book_after)
        return Plan((*entered, *steps), after, facts)

    def show(self, model: Model) -> str:
        texts = [f"{path}:\n{text}" for path, text in sorted(model.files.items())]
        texts += [f"entry {fault}\n" for fault in model.faults]
        return "".join(texts) + (book.show_book(model.book) if model.book else "")

    def _read_book(self, menu: Menu, machine: Machine) -> book.RawBook | None:
        if not self.params["running"]:
            return None
        found = self._checks(menu, machine)
        every = [check for group in found.values() for check in group]
        return book.read_book(self.host, every, own=demand.NAME)

    def _checks(self, menu: Menu, machine: Machine) -> demand.Checks:
        wishes, _notices = goal.wished(self.params, menu, machine.arch)
        words = (*menu.given_words, *(word for wish in wishes for word in wish.words))
        page_kib = default_page_kib(words, machine)
        return {wish: checks(wish, machine, page_kib) for wish in wishes}

    def _situation(self, current: Model, read: book.Book, changes: bool) -> demand.Situation:
        return demand.Situation(
            goal=current.goal,
            checks=self._checks(current.menu, current.raw.machine),
            evidence=read.evidence,
            former=(*current.menu.ours, *current.menu.leaving),
            changes=changes,
            now=current.raw.now,
        )

    def _refuse_empty_menu(self, current: Model) -> None:
        wish = current.goal.wish
        if self.params["running"] and current.menu.entries == () and (current.goal.wishes or wish.removed):
            raise Refusal(
                f"The boot menu ({current.raw.backend.name}) has no entry for an installed kernel: the host does not"
                " start by it.",
                remedy="install the boot loader (for GRUB: grub-install, then update-grub), name the right one with"
                " backend, or say running=false while an image is baked",
            )


def _differ(current: Model, files: t.Mapping[str, str]) -> bool:
    """Tell whether our files are to be changed. With nothing to configure, none is begun."""
    wish, menu = current.goal.wish, current.menu
    if not (wish.ours or wish.removed or menu.ours or menu.removed):
        return any(files.get(path) != text for path, text in current.files.items())
    return dict(current.files) != dict(files)


def _wrong_default(current: Model) -> list[str]:
    name = current.menu.other_default
    if not (name and current.goal.wishes):
        return []
    return [f"The boot menu starts {name} by itself, which does not get these arguments: see GRUB_DEFAULT."]


def _refuse_incurable(current: Model, steps: t.Sequence[Action]) -> None:
    if current.faults and not steps:
        raise Refusal(
            f"The boot menu is not as configured, and nothing of ours is to be changed: {'; '.join(current.faults)}.",
            remedy="have the boot loader's own tool make the entries anew, and run again",
        )


def _entries(current: Model, changes: bool) -> list[Facts]:
    return [
        {
            "name": entry.name,
            "bare": entry.bare,
            "complete": not entry.bare and (changes or goal.is_complete(entry, current.goal)),
        }
        for entry in current.menu.entries or ()
    ]


def _arguments(
    current: Model,
    changes: bool,
    situation: demand.Situation | None,
    judged: t.Sequence[ledger.Judgement],
) -> list[Facts]:
    target, entries = current.goal, [entry for entry in current.menu.entries or () if not entry.bare]
    found = []
    for wish in target.wishes:
        standing = demand.Standing(demand.UNKNOWN, "the root is not the running system")
        effective = None
        if situation:
            standing = demand.final_standing(wish, situation, judged)
            effective = target.text_of(wish, situation.evidence.words)
        configured = target.text_of(wish, target.line if changes else entries[0].words) if entries else None
        found.append(
            {
                **goal.as_result(wish, target),
                "configured": configured,
                "effective": effective,
                "status": standing.status,
                "why": standing.why,
            }
        )
    return found
