# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""From decisions to effects. Pure.

The record is written before the first device is touched and the rules after the last one; what is given back goes
out of the rules first and out of the record last. So whatever a run leaves behind says what is left to do.

Imported when something is to be done: a run that changes nothing needs none of the steps.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model, record, rules
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.keeping import SetFile, SetRecord
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.plan import (
    TYPE1,
    Loaded,
    Texts,
    wanted_record,
    wanted_rules,
    wanted_text,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.proof import ProveGroup
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.scene import (
    BIND,
    FORGET,
    RETURN,
    Decision,
    Scene,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.steps import (
    LoadFor,
    LoadModule,
    Probe,
    ReleaseConsole,
    SetOverride,
    Unbind,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.task import Task


def plan_effects(
    task: Task,
    scene: Scene,
    decisions: t.Sequence[Decision],
    texts: Texts,
    loaded: Loaded,
    consoles: t.Mapping[str, str],
) -> tuple[Action, ...]:
    """Return the effects in their order; ``consoles`` are those to be released, each with a device that shows it."""
    last = wanted_record(scene, decisions)
    leaving = {
        # What is given back in a later boot than it was to be must outlast a death half-way, as all else does.
        d.address: dataclasses.replace(d.entry, boot_id=scene.boot_id)
        if d.live and d.entry.boot_id
        else d.entry
        for d in decisions
        if d.verb in (RETURN, FORGET) and d.entry is not None
    }
    first = {**last, **leaving}
    final = wanted_rules(task, scene, decisions, texts, last)
    between = _without(task, texts, scene, leaving)
    text = texts.record if first == scene.record else record.render_record(first)
    end = wanted_text(task, scene, texts, last)
    added = tuple(d.after for d in decisions if d.verb == BIND and d.after and d.entry is None)
    return (
        *([SetRecord(text, texts.record, added)] if text != texts.record else ()),
        *([SetFile(rules.PATH, between, texts.rules)] if between != texts.rules else ()),
        *_returning(decisions, loaded, task.deadline_s),
        *_binding(scene, decisions, loaded, consoles, task.deadline_s),
        *([SetFile(rules.PATH, final, between)] if final != between else ()),
        *([SetRecord(end, text)] if end != text else ()),
    )


def _without(task: Task, texts: Texts, scene: Scene, leaving: t.Container[str]) -> str:
    """Return the rules without what is given back, which must not be bound again should the host die meanwhile."""
    if not task.persistent or not any(address in leaving for address in scene.rules):
        return texts.rules
    return rules.render_rules(rule for rule in scene.rules.values() if rule.address not in leaving)


def _returning(decisions: t.Sequence[Decision], loaded: Loaded, deadline_s: float) -> t.Iterator[Action]:
    """Give back in the reverse of the order of binding: a display comes before its companions."""
    for decision in reversed(decisions):
        if decision.verb == RETURN and decision.live and decision.entry is not None:
            yield from _return(decision, decision.entry, loaded, deadline_s)


def _return(decision: Decision, entry: model.Entry, loaded: Loaded, deadline_s: float) -> list[Action]:
    address = entry.address
    steps: list[Action] = []
    if decision.overridden:
        steps.append(SetOverride(address, entry.origin_override, decision.override, deadline_s))
    if decision.held:
        steps.append(Unbind(address, entry.driver, deadline_s))
    if entry.origin and (decision.held or decision.missed):
        if entry.origin not in loaded.drivers:
            steps.append(LoadFor(address, entry.origin))
        steps.append(Probe(address, entry.origin, deadline_s))
    return steps


def _binding(
    scene: Scene,
    decisions: t.Sequence[Decision],
    loaded: Loaded,
    consoles: t.Mapping[str, str],
    deadline_s: float,
) -> t.Iterator[Action]:
    live = [decision for decision in decisions if decision.verb == BIND and decision.live]
    if not live:
        return
    wanted = dict.fromkeys(decision.member.driver for decision in live)
    yield from (LoadModule(driver) for driver in wanted if driver not in loaded.drivers)
    if not loaded.interface:
        yield LoadModule(TYPE1)
    yield from (ReleaseConsole(console, address, deadline_s) for console, address in consoles.items())
    for decision in live:
        yield from _bind(decision, deadline_s)
    moved = [d for d in live if d.moves and "vfio" in d.member.driver]
    for group in dict.fromkeys(scene.snapshot.devices[decision.address].group for decision in moved):
        if group is not None:
            yield ProveGroup(group, _members(scene, group))


def _bind(decision: Decision, deadline_s: float) -> t.Iterator[Action]:
    address, driver = decision.address, decision.member.driver
    if decision.override != driver:
        yield SetOverride(address, driver, decision.override, deadline_s)
    if decision.before and decision.moves:
        yield Unbind(address, decision.before, deadline_s)
    if decision.moves:
        yield Probe(address, driver, deadline_s)


def _members(scene: Scene, number: str) -> tuple[str, ...]:
    group = (scene.snapshot.groups or {}).get(number)
    return (*group.devices, *group.others) if group else ()
