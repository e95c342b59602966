# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The four verbs for a list of declared libvirt objects; networks and pools supply the terms."""

from __future__ import annotations

import abc
import dataclasses
import json
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import plan as planning
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import record
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.actions import Remember
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.connection import (
    Link,
    Opener,
    open_libvirt,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.inventory import Kind, read_inventory
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.model import (
    Found,
    Inventory,
    Item,
    Wanted,
    terms,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Params, Plan

Config = t.TypeVar("Config")
Declared = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Model(t.Generic[Config]):
    """The declared names that exist, what is ours, and why libvirt did not answer, if it did not."""

    items: t.Mapping[str, Item[Config]]
    book: record.Book
    why: str = dataclasses.field(default="", compare=False)


class LibvirtObjects(Capability[Inventory, Model[Config]], t.Generic[Config]):
    """A list of objects of one kind, declared as data and handled in one task call.

    Where libvirt is not installed yet the plan starts from nothing, or from the files of a
    daemon that is down. In a real run the first action then fails, with the remedy, before
    anything is changed; so check mode needs no path of its own.
    """

    kind: Kind
    option: str
    opener: Opener = staticmethod(open_libvirt)

    def __init__(self, params: Params, host: Host) -> None:
        super().__init__(params, host)
        self._link = Link(params["uri"], self.opener)
        self._declared: dict[str, Declared] = {item["name"]: item for item in params[self.option]}
        planning.refuse_repeated(self.kind.noun, [item["name"] for item in params[self.option]])
        for declared in self._declared.values():
            self.validate(declared)

    @abc.abstractmethod
    def validate(self, declared: Declared) -> None:
        """Raise a typed error when a declaration contradicts itself. Pure."""

    @abc.abstractmethod
    def managed(self, xml: str, declared: Declared) -> Config:
        """Return what the declaration manages of a definition. Pure."""

    @abc.abstractmethod
    def wanted(self, declared: Declared, base: str | None) -> Wanted[Config]:
        """Return what the declaration asks for, edited into the definition ``base``. Pure."""

    @abc.abstractmethod
    def owned(self, xml: str, entry: record.Entry | None) -> bool:
        """Tell by its definition and its entry in the record whether an object is ours. Pure."""

    def shipped(self, xml: str) -> bool:
        """Tell whether a definition is the distribution's own, untouched. Pure."""
        return False

    def builds(self, declared: Declared) -> bool:
        """Tell whether it must be built before it can be started. Pure."""
        return False

    def read(self) -> Inventory:
        return read_inventory(self.host, self._link, self.kind, list(self._declared))

    def parse(self, raw: Inventory) -> Model[Config]:
        book = record.parse(raw.record)
        entries = book.get(self.kind.noun, {})
        items = {
            name: self._item(found, self._declared[name], entries.get(name))
            for name, found in raw.found.items()
        }
        return Model(items, book, why=raw.why)

    def plan(self, current: Model[Config]) -> Plan[Model[Config]]:
        entries = current.book.get(self.kind.noun, {})
        steps = {
            name: self._steps(name, declared, current.items.get(name), entries.get(name))
            for name, declared in self._declared.items()
        }
        ours = {name: step.entry for name, step in steps.items() if step.entry}
        others = {name: entry for name, entry in entries.items() if name not in steps}
        # What is to be ours is recorded first, what is no more is forgotten last: a run that dies
        # in between leaves nothing of ours without an entry, and nothing adopted without its past.
        during, after = (
            {**current.book, self.kind.noun: kept} for kept in ({**entries, **ours}, {**others, **ours})
        )
        actions: list[Action] = [*self._remember(current.book, during)]
        actions += [action for step in steps.values() for action in step.actions]
        actions += self._remember(during, after)
        return Plan(
            tuple(actions),
            Model({name: step.after for name, step in steps.items() if step.after}, _tidy(after)),
            {
                "unavailable": current.why,
                "left": [{"name": name, "reason": step.left} for name, step in steps.items() if step.left],
            },
        )

    def show(self, model: Model[Config]) -> str:
        lines: list[str] = []
        for name, item in sorted(model.items.items()):
            lines.append(f"{self.kind.noun} {name}:")
            lines += [f"  {key}: {value}" for key, value in _terms(item).items()]
        return "".join(f"{line}\n" for line in lines)

    def _steps(
        self, name: str, declared: Declared, item: Item[Config] | None, entry: record.Entry | None
    ) -> planning.Steps:
        if declared["state"] == "absent":
            return self._give_back(name, declared, item, entry)
        wanted = self.wanted(declared, item.source if item else None)
        if item is not None and not item.owned and not declared["adopt"]:
            planning.refuse_foreign(self.kind, name, item, wanted, self.shipped(item.source or ""))
        actions, after = planning.plan_present(
            self._link, self.kind, name, item, wanted, self.builds(declared)
        )
        return planning.Steps(actions, after, planning.entry_for(item, entry, wanted))

    def _give_back(
        self, name: str, declared: Declared, item: Item[Config] | None, entry: record.Entry | None
    ) -> planning.Steps:
        if item is None:
            return planning.Steps()
        before = entry.before if entry else None
        if before is not None:
            config = self.managed(before.xml, declared)
            # Without our mark it may still be half given back, by a run that died.
            if item.owned or item.config == config:
                wanted = Wanted(config, before.xml, before.autostart, before.active, owned=False)
                return planning.Steps(*planning.plan_present(self._link, self.kind, name, item, wanted))
        if item.owned:
            return planning.Steps(planning.plan_absent(self._link, self.kind, name, item))
        return planning.Steps(after=item, left=f"this {self.kind.noun} is not ours")

    def _remember(self, now: record.Book, then: record.Book) -> list[Remember]:
        content = record.render(then)
        return [] if content == record.render(now) else [Remember(self._link, content)]

    def _item(self, found: Found, declared: Declared, entry: record.Entry | None) -> Item[Config]:
        inactive, live = found.inactive, found.live
        return Item(
            config=None if inactive is None else self.managed(inactive, declared),
            live=None if live is None else self.managed(live, declared),
            autostart=found.autostart,
            owned=inactive is not None and self.owned(inactive, entry),
            users=found.users,
            source=inactive if inactive is not None else live,
        )


def _tidy(book: record.Book) -> record.Book:
    """Return the record as it is read back: without kinds that have no entry."""
    return {noun: entries for noun, entries in book.items() if entries}


def _terms(item: Item[t.Any]) -> dict[str, str]:
    """Return one item as text."""
    stale = item.live is not None and item.live != item.config
    return {
        **terms(item.config if item.config is not None else item.live),
        "owned": json.dumps(item.owned),
        "autostart": json.dumps(item.autostart),
        "running": "with another definition" if stale else json.dumps(item.live is not None),
    }
