# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Decide which libvirt calls lead from what is there to what is declared. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import actions, xmltext
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.connection import Link
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.inventory import Kind
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.model import (
    Item,
    Wanted,
    terms,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.record import Before, Entry

AnyItem = Item[t.Any]
AnyWanted = Wanted[t.Any]


@dataclasses.dataclass(frozen=True)
class Steps:
    """What is done about one name; the item and the entry of the record that follow, if any.

    ``left`` says why an object that should be absent is left alone.
    """

    actions: t.Sequence[actions.LibvirtAction] = ()
    after: AnyItem | None = None
    entry: Entry | None = None
    left: str = ""


def plan_present(
    link: Link, kind: Kind, name: str, current: AnyItem | None, wanted: AnyWanted, build: bool = False
) -> tuple[list[actions.LibvirtAction], AnyItem]:
    """Return the actions, and the item as it will be.

    :param build: make the storage before it is started.
    :raises Refusal: what runs must be stopped for it, and guests use it.
    """
    steps: list[actions.LibvirtAction] = []
    now = current or Item(config=None, live=None, autostart=False, owned=False)
    stops = now.live is not None and (not wanted.active or now.live != wanted.config)
    if stops:
        _refuse_in_use(kind, name, now)
    if now.config != wanted.config or now.owned != wanted.owned:
        steps.append(actions.Define(link, kind, name, now.source, wanted.xml))
    if now.autostart != wanted.autostart:
        steps.append(actions.SetAutostart(link, kind, name, wanted.autostart))
    if stops:
        steps.append(actions.Stop(link, kind, name))
    if wanted.active and (stops or now.live is None):
        steps += [actions.Build(link, kind, name)] if build else []
        steps.append(actions.Start(link, kind, name))
    after = Item(
        config=wanted.config,
        live=wanted.config if wanted.active else None,
        autostart=wanted.autostart,
        owned=wanted.owned,
    )
    return steps, after


def plan_absent(link: Link, kind: Kind, name: str, current: AnyItem | None) -> list[actions.LibvirtAction]:
    """Return the actions that make libvirt forget ``name``.

    :raises Refusal: guests use it.
    """
    if current is None:
        return []
    steps: list[actions.LibvirtAction] = []
    if current.live is not None:
        _refuse_in_use(kind, name, current)
        steps.append(actions.Stop(link, kind, name))
    if current.config is not None:
        steps.append(actions.Undefine(link, kind, name, current.source))
    return steps


def entry_for(current: AnyItem | None, entry: Entry | None, wanted: AnyWanted) -> Entry:
    """Return what is remembered of an object of ours: how it was, if it was there before us."""
    if entry is not None and current is not None and current.owned:
        return entry
    before = None
    if current is not None and current.source is not None and not current.owned:
        before = Before(current.source, current.autostart, current.live is not None)
    return Entry(xmltext.content(xmltext.parse(wanted.xml), "uuid"), before)


def refuse_foreign(kind: Kind, name: str, item: AnyItem, wanted: AnyWanted, shipped: bool) -> None:
    """Refuse to take over an object of somebody else, unless nothing of theirs gets lost.

    :param shipped: it is the one that the distribution ships, untouched.
    :raises Refusal: it differs from what is declared.
    """
    stored = item.config if item.config is not None else item.live
    as_stored = item.live is None or item.live == stored
    if as_stored and (shipped or stored == wanted.config):
        return
    found = stored if stored != wanted.config else item.live
    raise Refusal(
        f"The {kind.noun} {name} is not ours, and differs from what is declared."
        f" Found: {_words(found)}. Declared: {_words(wanted.config)}. It was not touched.",
        remedy=f"declare it as it is, or choose another name, or add 'adopt: true' to the {kind.noun} {name}:"
        " it is then changed, kept, and given back when it is removed",
        found=terms(found),
        declared=terms(wanted.config),
    )


def refuse_repeated(noun: str, names: t.Sequence[str]) -> None:
    """Refuse a list that declares one name twice.

    :raises Contradiction: it does.
    """
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise Contradiction(
            f"The {noun} {', '.join(repeated)} is declared more than once.",
            remedy="declare each name once",
        )


def _words(config: t.Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in terms(config).items() if value)


def _refuse_in_use(kind: Kind, name: str, item: AnyItem) -> None:
    if item.users:
        raise Refusal(
            f"The {kind.noun} {name} must be stopped for this change, and {', '.join(item.users)}"
            f" {'runs' if len(item.users) == 1 else 'run'} on it.",
            remedy="shut these guests down or move them away, then run again",
            guests=list(item.users),
        )
