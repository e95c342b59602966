# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Modules, their options and sysctls as a capability: files, the running kernel, a reboot where only that helps."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, RemoveFile, WriteFile
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config import files, kernel
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config import running as now
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config.wish import (
    MODULES,
    OPTIONS,
    SYSCTL,
    Item,
    Wish,
    parse_wish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Plan
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot import book as books
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot import ledger

REQUEST = "module-options"


@dataclasses.dataclass(frozen=True)
class Raw:
    """What was read; the running kernel and the ledger only where the root is the running system."""

    texts: t.Mapping[str, Reading]
    foreign: files.Foreign
    builtin: t.Mapping[str, frozenset[str]]
    running: now.Running | None
    book: books.RawBook | None


@dataclasses.dataclass(frozen=True)
class State:
    """The managed files by path, the modules that are loaded, the sysctls by key, the ledger."""

    texts: t.Mapping[str, str]
    loaded: frozenset[str] = frozenset()
    sysctl: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    book: books.Book | None = None
    running: now.Running | None = dataclasses.field(default=None, compare=False)


class KernelConfig(Capability[Raw, State]):
    """What the kernel loads, with which options, and how it is set."""

    def read(self) -> Raw:
        """Read the files, ours and others', and what of the running kernel the wish is about."""
        texts = {files.PATHS[kind]: self.host.read(files.PATHS[kind]) for kind in self._wish}
        foreign = files.read_foreign(self.host, self._wish)
        if not self.params["running"]:
            kernels = kernel.installed_kernels(self.host) if self._wish.get(OPTIONS) else ()
            builtin = {release: kernel.builtin(self.host, release) for release in kernels}
            return Raw(texts, foreign, builtin, None, None)
        running = now.read_running(self.host, self._wish)
        return Raw(texts, foreign, {running.release: running.builtin}, running, self._read_book(running))

    def _read_book(self, running: now.Running) -> books.RawBook | None:
        if OPTIONS not in self._wish:
            return None
        return books.read_book(self.host, _checks(self._wish, running), own=REQUEST)

    def parse(self, raw: Raw) -> State:
        """Parse it, and refuse what would be configured in vain."""
        for path, reading in raw.texts.items():
            if reading.unknown:
                raise ParseError(f"{reading.why}.", remedy=f"make {path} readable, or remove it")
        files.check(self._wish, raw.foreign)
        now.refuse_builtin(self._wish, raw.builtin)
        texts = {path: reading.text or "" for path, reading in raw.texts.items()}
        if raw.running is None:
            return State(texts)
        now.refuse_modules(self._wish, raw.running)
        return State(
            texts,
            raw.running.loaded & {item.name for item in self._wish.get(MODULES, ())},
            now.values_of(self._wish, raw.running),
            books.parse_book(raw.book) if raw.book else None,
            raw.running,
        )

    def plan(self, current: State) -> Plan[State]:
        """Files first, then the running kernel; before both the request for what only a reboot can do."""
        wanted = {files.PATHS[kind]: files.render(kind, items) for kind, items in self._wish.items()}
        actions = [
            WriteFile(path, wanted[path]) if wanted[path] else RemoveFile(path)
            for path in files.PATHS.values()
            if path in wanted and current.texts[path] != wanted[path]
        ]
        after = State(wanted)
        facts: dict[str, t.Any] = {"files": wanted, "requests": [], "unseen": []}
        if current.running is None:
            return Plan(tuple(actions), after, facts)
        now_actions, loaded, values = self._plan_running(current, current.running)
        book_actions, book = self._plan_book(current, current.running, wanted)
        after = dataclasses.replace(after, loaded=loaded, sysctl=values, book=book)
        if current.book and book:
            facts["requests"] = books.outcome(current.book, book, REQUEST)
        facts["unseen"] = [item.label for item in _unseen(self._wish, current.running)]
        return Plan((*book_actions, *actions, *now_actions), after, facts)

    def _plan_running(
        self, current: State, running: now.Running
    ) -> tuple[list[Action], frozenset[str], dict[str, str]]:
        missing = [item for item in self._wish.get(MODULES, ()) if item.name not in current.loaded]
        for item in self._wish.get(SYSCTL, ()):
            # A key that is not there yet may come with one of the modules.
            if item.name not in current.sysctl and not missing:
                raise now.no_such_key(item)
        actions = [*map(now.LoadModule, missing), *now.differing(self._wish, running)]
        values = {item.name: item.value for item in self._wish.get(SYSCTL, ())}
        return actions, current.loaded | {item.name for item in missing}, values

    def _plan_book(
        self, current: State, running: now.Running, wanted: t.Mapping[str, str]
    ) -> tuple[tuple[Action, ...], books.Book | None]:
        if current.book is None:
            return (), None
        path = files.PATHS[OPTIONS]
        changed = current.texts[path] != wanted[path]
        known = current.book.ledger.get(REQUEST)
        evidence = current.book.evidence
        lacking = tuple(check for check in _checks(self._wish, running) if not evidence.held[check][0])
        # What cannot be seen is taken for not effective until the next boot.
        waiting = bool(known and known.expect.boot and not _has_booted(known, evidence))
        text = current.texts[path]
        unseen = [item for item in _unseen(self._wish, running) if waiting or _is_new(text, item)]
        if not lacking and not unseen:
            return books.plan_book(current.book, ledger.drop(current.book.ledger, {REQUEST}))
        if known and not changed and set(lacking) <= set(known.expect.checks) and (waiting or not unseen):
            return (), current.book
        request = self._request(lacking, unseen, evidence.boot_id)
        return books.plan_book(current.book, ledger.enter(current.book.ledger, request, renew=changed))

    def _request(
        self, lacking: tuple[ledger.Check, ...], unseen: t.Sequence[Item], boot_id: str
    ) -> ledger.Request:
        labels = {check.label for check in lacking} | {item.label for item in unseen}
        owners = {owner for item in self._wish[OPTIONS] if item.label in labels for owner in item.owners}
        return ledger.Request(
            REQUEST,
            f"loaded modules have other options than configured: {', '.join(sorted(labels))}",
            ", ".join(sorted(owners)) or "boot",
            ledger.moment(self.host.now()),
            boot_id,
            ledger.Expect(checks=lacking, boot=bool(unseen)),
        )

    def show(self, model: State) -> str:
        """Render the files and what differs on the running kernel."""
        lines = [f"# {path}\n{text}" for path, text in model.texts.items() if text]
        lines += [f"{path} = {value}\n" for path, value in sorted(model.sysctl.items())]
        lines += [f"module {name} is loaded\n" for name in sorted(model.loaded)]
        return "".join(lines) + (books.show_book(model.book) if model.book else "")

    @functools.cached_property
    def _wish(self) -> Wish:
        return parse_wish(self.params)


def _checks(wish: Wish, running: now.Running) -> tuple[ledger.Check, ...]:
    """Return the checks of the options that can be seen."""
    found = []
    for item in wish.get(OPTIONS, ()):
        reading = running.parameters.get((item.name, item.option))
        if reading and reading.text is not None:
            found.append(now.check_of(item, reading.text.strip()))
    return tuple(found)


def _unseen(wish: Wish, running: now.Running) -> tuple[Item, ...]:
    """Return the options of loaded modules that the kernel does not show."""
    unseen = {key for key, reading in running.parameters.items() if reading.text is None}
    return tuple(item for item in wish.get(OPTIONS, ()) if (item.name, item.option) in unseen)


def _has_booted(known: ledger.Request, evidence: ledger.Evidence) -> bool:
    """Tell whether the boot has come that a request waits for; falling back from a trial is none."""
    boot = dataclasses.replace(known, expect=ledger.Expect(boot=True))
    return ledger.judge(boot, evidence).status == ledger.FULFILLED


def _is_new(text: str, item: Item) -> bool:
    return files.render(OPTIONS, [item]).splitlines()[-1] not in text.splitlines()
