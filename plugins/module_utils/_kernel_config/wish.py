# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What the module ``kernel_config`` is asked for: modules, their options, sysctls, each with its owners. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.model import normal
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.parse import parse_declaration
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction, ParseError

MODULES, OPTIONS, SYSCTL = "modules", "modprobe_options", "sysctl"
KINDS = (OPTIONS, MODULES, SYSCTL)


@dataclasses.dataclass(frozen=True)
class Item:
    """One module, one option of a module, or one sysctl.

    ``name`` is the module in normal form, or the key of the sysctl in its dotted form.
    """

    name: str
    option: str = ""
    value: str = ""
    owners: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name the item."""
        return f"{self.name}.{self.option}" if self.option else self.name

    @property
    def who(self) -> str:
        """Name who asked for it."""
        roles = " and ".join(f"role {owner}" for owner in self.owners)
        return roles or "this task"


Wish = t.Mapping[str, tuple[Item, ...]]
"""The items of each kind that is managed; a kind that is left out stays as it is."""


def parse_wish(params: t.Mapping[str, t.Any]) -> dict[str, tuple[Item, ...]]:
    """Parse the options of the task, by the grammar of the declarations.

    :raises ParseError: an item is not what its kind takes.
    :raises Contradiction: one name has two values.
    """
    parsers = {MODULES: _module, OPTIONS: _option, SYSCTL: _sysctl}
    return {
        kind: _merged(kind, [parsers[kind](item) for item in params[kind]])
        for kind in KINDS
        if params.get(kind) is not None
    }


def _module(item: t.Any) -> Item:
    given = item if isinstance(item, dict) else {"name": item}
    if set(given) - {"name", "owners"} or "name" not in given:
        raise ParseError(f"A module is {item!r}.", remedy="write its name, or name and owners")
    owners = tuple(given.get("owners") or ())
    found = parse_declaration(_speaker(owners), {MODULES: [given["name"]]})
    return Item(found.modules[0], owners=owners)


def _option(item: t.Mapping[str, t.Any]) -> Item:
    owners = tuple(item.get("owners") or ())
    wish = {item["module"]: {item["option"]: item["value"]}}
    module, option, value = parse_declaration(_speaker(owners), {OPTIONS: wish}).modprobe_options[0]
    return Item(module, normal(option), value, owners)


def _sysctl(item: t.Mapping[str, t.Any]) -> Item:
    owners = tuple(item.get("owners") or ())
    key, value = parse_declaration(_speaker(owners), {SYSCTL: {item["key"]: item["value"]}}).sysctl[0]
    return Item(key, value=value, owners=owners)


def _speaker(owners: tuple[str, ...]) -> str:
    return Item("", owners=owners).who


def _merged(kind: str, items: t.Iterable[Item]) -> tuple[Item, ...]:
    found: dict[str, Item] = {}
    for item in items:
        other = found.get(item.label, item)
        if other.value != item.value:
            raise Contradiction(
                f"{kind} {item.label} is wished as {other.value!r} by {other.who} and as {item.value!r} by {item.who}.",
                remedy="let them agree",
            )
        owners = tuple(dict.fromkeys(other.owners + item.owners))
        found[item.label] = dataclasses.replace(item, owners=owners)
    return tuple(found[label] for label in sorted(found))
