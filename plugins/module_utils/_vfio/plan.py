# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""From decisions to the state that follows from them; the effects are planned when there are any. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model, record, rules
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.scene import BIND, STAY, Decision, Scene
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.task import Task

TYPE1 = "vfio_iommu_type1"

Seats = t.Mapping[str, tuple[str, str]]
"""The driver and the ``driver_override`` of each device, empty for none."""


class Loaded(t.NamedTuple):
    """Which drivers of the PCI bus are there, of those that matter, and whether VFIO has its IOMMU interface."""

    drivers: frozenset[str] = frozenset()
    interface: bool = True


class Texts(t.NamedTuple):
    """The two managed files."""

    record: str
    rules: str


def wanted_record(scene: Scene, decisions: t.Iterable[Decision]) -> dict[str, model.Entry]:
    """Return the record as it is when all is done."""
    wanted = dict(scene.record)
    for decision in decisions:
        if decision.verb != STAY:
            wanted.pop(decision.address, None)
        if decision.after is not None:
            wanted[decision.address] = decision.after
    return wanted


def wanted_text(task: Task, scene: Scene, texts: Texts, wanted: model.Record) -> str:
    """Return the text of the record as it is when all is done.

    What ended with an earlier boot stays in it until something else changes, or nothing of ours is left.
    """
    same = wanted == scene.record and (wanted or not _is_whole(task))
    return texts.record if same else record.render_record(wanted)


def wanted_rules(
    task: Task, scene: Scene, decisions: t.Iterable[Decision], texts: Texts, wanted: model.Record
) -> str:
    """Return the text of the rules as it is when all is done.

    A rule whose line of the record was lost stays, unless this task is about everything.
    """
    if not task.persistent:
        return texts.rules
    whole = _is_whole(task)
    decided = {decision.address for decision in decisions}
    others = [
        rule
        for address, rule in scene.rules.items()
        if not whole and address not in decided and address not in scene.record
    ]
    return rules.render_rules([*wanted.values(), *others])


def _is_whole(task: Task) -> bool:
    """Tell whether the task is about everything of ours."""
    return task.exclusive or (task.absent and task.selectors is None)


def wanted_seats(decisions: t.Iterable[Decision]) -> dict[str, tuple[str, str]]:
    """Return where the devices are that change their driver now."""
    found = {}
    for decision in decisions:
        entry = decision.entry
        if decision.live and decision.verb == BIND:
            found[decision.address] = (decision.member.driver, decision.member.driver)
        elif decision.live and entry is not None:
            found[decision.address] = (
                entry.origin if decision.held or decision.missed else decision.before,
                entry.origin_override if decision.overridden else decision.override,
            )
    return found
