# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Everything that speaks against a change of a bridge, found before the first write.

``moves`` is the device whose addresses go on to the bridge in this run, or come back from it when the bridge goes;
empty when they stay where they are.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import Database, Nic, Wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_bridge import about_the_bridge
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_devices import (
    about_devices,
    wished_mtu,
    wished_nics,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_host import about_the_host
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_model import (
    NEVER,
    Objection,
    make_change,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_probe import (
    Connect,
    answers_of,
)

__all__ = [
    "ask_controllers",
    "NEVER",
    "Objection",
    "carriers",
    "object_to",
    "objection_facts",
    "refuse",
    "warnings_about",
]

Nics = t.Mapping[str, Nic]


def ask_controllers(
    wish: Wish, database: Database, nics: Nics, moves: str = "", connect: Connect | None = None
) -> dict[str, bool]:
    """Find out which controllers answer, if that matters to the host. Does I/O; all else here is pure."""
    return answers_of(make_change(wish, database, nics, moves), connect)


def object_to(
    wish: Wish,
    database: Database,
    nics: Nics,
    moves: str = "",
    answers: t.Mapping[str, bool] | None = None,
) -> tuple[Objection, ...]:
    """Return everything that speaks against the change, lifted or not.

    :param answers: what :func:`ask_controllers` found; a controller that is not in it does not answer.
    """
    change = make_change(wish, database, nics, moves, answers)
    found = (*about_devices(change), *about_the_host(change), *about_the_bridge(change))
    return tuple(dict.fromkeys(found))


def refuse(found: t.Iterable[Objection], wish: Wish) -> None:
    """Refuse with everything that speaks against the change and was not allowed.

    :raises Refusal: there is such a thing.
    """
    left = [objection for objection in found if objection.name not in wish.allow]
    if left:
        told = (
            f"[{objection.name}] {objection.message}" if objection.name else objection.message
            for objection in left
        )
        raise Refusal(
            f"Nothing was changed. {' '.join(told)}",
            remedy="; ".join(dict.fromkeys(objection.remedy for objection in left)),
            objections=objection_facts(left, wish.allow),
        )


def objection_facts(found: t.Iterable[Objection], allow: t.Container[str]) -> list[dict[str, t.Any]]:
    """Return objections for the result of a task."""
    return [{**dataclasses.asdict(objection), "allowed": objection.name in allow} for objection in found]


def carriers(wish: Wish, database: Database, nics: Nics) -> tuple[str, ...]:
    """Return the listed devices that carry something of the host now: what ``host_network: auto`` moves."""
    return tuple(
        name for name in wished_nics(make_change(wish, database, nics)) if name in nics and nics[name].carries
    )


def warnings_about(wish: Wish, database: Database, nics: Nics) -> tuple[str, ...]:
    """Return what makes the bridge worth less than it looks, and is no danger."""
    found = []
    change = make_change(wish, database, nics)
    local = wished_mtu(change, wish.name)
    for nic in map(change.nic, wished_nics(change)):
        mtu = wished_mtu(change, nic.name) or nic.mtu
        if nic.carrier is False:
            found.append(f"{nic.name} has no carrier: no cable is in it, or nobody is at its other end.")
        if local and mtu and mtu < local:
            found.append(
                f"{wish.name} has an MTU of {local}, and {nic.name} has {mtu}: longer frames do not get out that way."
            )
    return tuple(found)
