# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Whether what was decided may happen: everything that speaks against it, before the first write. Pure.

Imported when a decision is not settled, which is what :class:`Decision` tells: nothing speaks against leaving
everything as it is.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import gates, model
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.decide import clusters, rule_of
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.scene import (
    BIND,
    RETURN,
    STAY,
    Decision,
    Scene,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.task import (
    BOOT,
    LIVE,
    PERSISTENT,
    RUNTIME,
    Task,
)

# What is over when the host has booted, so that it is nothing to a device that waits for that.
_ENDS_WITH_BOOT = frozenset({model.OPENED, model.GUEST, model.HUNG})
# What may be otherwise in the boot in which a device is bound, where this one has no IOMMU at all.
_BEFORE_IOMMU = frozenset({model.NO_IOMMU, model.NO_GROUP, model.UNSAFE_INTERRUPTS})
# A device that goes back is no longer the host's: its disks and networks are not either.
_HINDERS_RETURN = frozenset({model.OPENED, model.GUEST, model.HUNG, model.DEAD})


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was found about devices that are about to change; ``consoles`` are those whose text they show."""

    situation: gates.Situation = dataclasses.field(default_factory=gates.Situation)
    uses: model.Uses = dataclasses.field(default_factory=dict)
    consoles: t.Mapping[str, t.Sequence[str]] = dataclasses.field(default_factory=dict)


def judge(
    task: Task,
    scene: Scene,
    decisions: t.Sequence[Decision],
    evidence: Evidence,
) -> tuple[model.Obstacle, ...]:
    """Return the obstacles that are lifted.

    :raises Refusal: others stand; all are named.
    :raises Contradiction: a device could be bound at the next boot only, and nothing is to bind it there.
    """
    members = [decision.member for decision in decisions]
    found = [*_strangers(scene, decisions), *_of_binding(task, scene, decisions, evidence)]
    found += _of_returning(scene, decisions, evidence)
    standing = gates.standing(members, found)
    gates.refuse(standing)
    if not task.persistent:
        _refuse_in_vain(scene, decisions)
    return tuple(dict.fromkeys(found))


def _strangers(scene: Scene, decisions: t.Iterable[Decision]) -> t.Iterator[model.Obstacle]:
    for decision in decisions:
        if decision.verb == BIND and scene.stranger(decision.address):
            known = scene.record[decision.address].identity
            found = "another device" if decision.after is None else str(decision.after.identity)
            yield model.Obstacle(
                decision.address,
                model.IDENTITY,
                f"{known} is on record here, and now there is {found}: the bus was renumbered, or a card replaced",
                "select the device that is meant where it is now; state: absent with this address forgets the one on"
                f" record; to take the new one for it, put {model.IDENTITY} into allow of the selector",
            )


def _of_binding(
    task: Task,
    scene: Scene,
    decisions: t.Sequence[Decision],
    evidence: Evidence,
) -> list[model.Obstacle]:
    judged = {d.address: d for d in decisions if d.verb == BIND and d.judged}
    members = [d.member for d in decisions if d.address in judged or _closes(scene, d, judged)]
    static = gates.static_uses(scene.snapshot, members)
    every = {m.address: [*static.get(m.address, ()), *evidence.uses.get(m.address, ())] for m in members}
    found = [
        *gates.final_obstacles(scene.snapshot, members, evidence.situation),
        *gates.use_obstacles(members, every),
        *_beside_hung(scene, judged),
    ]
    early = not task.runtime and not scene.snapshot.groups
    return [
        obstacle
        for obstacle in found
        if not (early and obstacle.kind in _BEFORE_IOMMU)
        if not (_waits(judged.get(obstacle.address)) and obstacle.kind in _ENDS_WITH_BOOT)
    ]


def _beside_hung(scene: Scene, judged: t.Collection[str]) -> t.Iterator[model.Obstacle]:
    """Yield a device whose group or card has one that hangs: to it, too, nothing may be done."""
    for cluster in clusters(scene.snapshot, sorted({*judged, *scene.hung})):
        for hung in sorted(cluster.intersection(scene.hung)):
            for address in sorted(cluster.intersection(judged) - set(scene.hung)):
                what = f"{hung}, which is in one group or card with it, has a driver that does not let go"
                yield model.Obstacle(address, model.HUNG, what, "reboot the host")


def _closes(scene: Scene, decision: Decision, judged: t.Collection[str]) -> bool:
    """Tell whether what stays with the host is looked at: a bridge that was chosen, or one in a group that goes."""
    if decision.verb != STAY or decision.member.binds or decision.device is None:
        return False
    groups = {scene.snapshot.devices[address].group for address in judged} - {None}
    return decision.member.chosen or decision.device.group in groups


def _waits(decision: Decision | None) -> bool:
    return decision is not None and bool(decision.waits)


def _of_returning(
    scene: Scene,
    decisions: t.Iterable[Decision],
    evidence: Evidence,
) -> list[model.Obstacle]:
    members = [d.member for d in decisions if d.verb == RETURN and d.judged]
    found = [
        *gates.final_obstacles(scene.snapshot, members, evidence.situation),
        *gates.use_obstacles(members, evidence.uses),
        *_beside_hung(scene, [member.address for member in members]),
    ]
    return [_told_how(obstacle) for obstacle in found if obstacle.kind in _HINDERS_RETURN]


def _told_how(obstacle: model.Obstacle) -> model.Obstacle:
    return dataclasses.replace(obstacle, what=f"{obstacle.what}, so that it cannot be given back now")


def _refuse_in_vain(scene: Scene, decisions: t.Iterable[Decision]) -> None:
    for decision in decisions:
        rule = scene.rules.get(decision.address)
        ours = decision.after is not None and rule == rule_of(decision.after)
        if decision.verb == BIND and decision.waits and not ours:
            raise Contradiction(
                f"{decision.address} changes its driver at the next boot only ({decision.waits}), and no rule binds"
                f" it there: parts is [{RUNTIME}].",
                remedy=f"add {PERSISTENT} to parts, or set rebind to {LIVE} instead of {BOOT}",
            )
