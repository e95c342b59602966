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
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Params, Plan

Config = t.TypeVar("Config")
Declared = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Model(t.Generic[Config]):
    """The declared names that exist, and why libvirt did not answer, if it did not."""

    items: t.Mapping[str, Item[Config]]
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

    def owned(self, xml: str) -> bool:
        """Tell whether a definition carries our mark. Pure."""
        return True

    def builds(self, declared: Declared) -> bool:
        """Tell whether it must be built before it can be started. Pure."""
        return False

    def read(self) -> Inventory:
        return read_inventory(self.host, self._link, self.kind, list(self._declared))

    def parse(self, raw: Inventory) -> Model[Config]:
        return Model(
            {name: self._item(found, self._declared[name]) for name, found in raw.found.items()},
            why=raw.why,
        )

    def plan(self, current: Model[Config]) -> Plan[Model[Config]]:
        actions: list[Action] = []
        after: dict[str, Item[Config]] = {}
        for name, declared in self._declared.items():
            item = current.items.get(name)
            if declared["state"] == "absent":
                actions += planning.plan_absent(self._link, self.kind, name, item)
                continue
            wanted = self.wanted(declared, item.source if item else None)
            steps, after[name] = planning.plan_present(
                self._link, self.kind, name, item, wanted, self.builds(declared)
            )
            actions += steps
        return Plan(tuple(actions), Model(after), {"unavailable": current.why})

    def show(self, model: Model[Config]) -> str:
        lines: list[str] = []
        for name, item in sorted(model.items.items()):
            lines.append(f"{self.kind.noun} {name}:")
            lines += [f"  {key}: {value}" for key, value in _terms(item).items()]
        return "".join(f"{line}\n" for line in lines)

    def _item(self, found: Found, declared: Declared) -> Item[Config]:
        inactive, live = found.inactive, found.live
        return Item(
            config=None if inactive is None else self.managed(inactive, declared),
            live=None if live is None else self.managed(live, declared),
            autostart=found.autostart,
            owned=inactive is not None and self.owned(inactive),
            users=found.users,
            source=inactive if inactive is not None else live,
        )


def _terms(item: Item[t.Any]) -> dict[str, str]:
    """Return the managed terms of one item; what is not managed does not appear."""
    config = item.config if item.config is not None else item.live
    terms = {
        key: value if isinstance(value, str) else json.dumps(value, default=vars)
        for key, value in vars(config).items()
        if value is not None
    }
    stale = item.live is not None and item.live != item.config
    return {
        **terms,
        "owned": json.dumps(item.owned),
        "autostart": json.dumps(item.autostart),
        "running": "with another definition" if stale else json.dumps(item.live is not None),
    }
