# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The firewall of a host as a capability: both tables, the block lists, and what the boot loads."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ansible.module_utils.common.warnings import warn

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import HearthError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall import facts, judge, plan
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.bundle import digest
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.disk import Disk
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import Jump, Ruleset
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.scene import (
    Scene,
    Wish,
    is_guarded,
    parse_wish,
    read_scene,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import ours, predict
from ansible_collections.hearth.gpu_host.plugins.module_utils._lock import own_play
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Plan

if t.TYPE_CHECKING:
    from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.model import Spec


@dataclasses.dataclass(frozen=True)
class State:
    """What there is of ours.

    ``live`` is ``None`` where no kernel is looked at. ``boot`` names the rules that the diff shows for the boot.
    """

    live: plan.Live | None
    disk: Disk
    boot: str = dataclasses.field(compare=False)
    scene: Scene = dataclasses.field(compare=False)


class Firewall(Capability[Scene, State]):
    """The baseline of a host: present or absent, guarded."""

    _rules: t.Mapping[int, Ruleset] | None = None
    _armed: Spec | None = None
    _looking = False

    def execute(self, gate: Gate) -> dict[str, t.Any]:
        """Run the four verbs; a change that does not read back as planned is taken back at once."""
        self._looking = gate.check_mode
        self._settle(gate)
        settled = bool(gate.actions)
        try:
            result = super().execute(gate)
        except HearthError as error:
            if self._armed is not None and gate.performed and not gate.rollback:
                self._take_back(gate, error)
            raise
        for caution in result["cautions"]:
            warn(caution)
        if gate.check_mode:
            # Nothing was armed, and there is nothing to confirm.
            result["guard"] = None
        return {**result, "changed": result["changed"] or settled}

    def _settle(self, gate: Gate) -> None:
        if is_guarded(self.host):
            from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.actions import settle_dead

            settle_dead(gate, self.host)

    def _take_back(self, gate: Gate, error: HearthError) -> None:
        from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.actions import TakeBack

        try:
            gate.apply((TakeBack(self._token, plan.WHAT),))
            error.message += " The change was taken back."
        except HearthError as second:
            error.message += (
                f" It could not be taken back at once, and the guard goes on trying: {second.message}"
            )

    def read(self) -> Scene:
        """Read the tables, the files, and who else is there. What is wanted is worked out once."""
        scene = read_scene(self.host, self._wish, self._rules, self._looking)
        self._rules = scene.rules
        return scene

    def parse(self, raw: Scene) -> State:
        """Compare the tables with what is wanted: rules are as wanted, places included, or as they are."""
        boot = digest(raw.disk.current) if raw.disk.current else ""
        if raw.backend is None:
            return State(None, raw.disk, boot, raw)
        rules = {family: _found(raw, family) for family in raw.rules}
        return State(plan.Live(rules, raw.sets, raw.strays), raw.disk, boot, raw)

    def plan(self, current: State) -> Plan[State]:
        """Decide; refuse what would lock somebody out."""
        scene, wish = current.scene, self._wish
        self._refuse_pending(scene)
        goal = judge.goal_of(wish, scene)
        guarding = plan.Guarding(lambda: judge.snapshot_of(wish, scene), lambda: self._token, _who(scene))
        actions, spec = plan.plan_effects(current.live, current.disk, goal, guarding)
        tables = judge.foretold(scene) if actions else scene.tables
        found = judge.objections(wish, scene, tables) if actions else ()
        judge.refuse(found, wish)
        self._armed = spec
        live, disk = plan.after(current.live, current.disk, goal, spec is not None)
        after = State(live, disk, digest(goal.bundle) if goal.disk else "", scene)
        told = {
            **facts.scene_facts(scene),
            "objections": facts.objection_facts(found, wish.allow),
            "cautions": judge.warnings(wish, scene, tables),
            "guard": self._guard_fact(spec, scene) if spec else None,
        }
        return Plan(actions, after, told)

    def _refuse_pending(self, scene: Scene) -> None:
        if scene.pending:
            from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.actions import refuse_pending

            refuse_pending(scene.pending, plan.WHAT)

    def _guard_fact(self, spec: Spec, scene: Scene) -> dict[str, t.Any]:
        from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.actions import guard_fact

        return guard_fact(spec, self._token, scene.now)

    def show(self, model: State) -> str:
        """Render our part of both tables, the block lists and what the boot loads."""
        return facts.show(model.live, model.disk, model.boot)

    @functools.cached_property
    def _wish(self) -> Wish:
        return parse_wish(self.params)

    @functools.cached_property
    def _token(self) -> str:
        from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.model import new_token

        return new_token(plan.WHAT, self.host.now())


def _who(scene: Scene) -> str:
    where = f" from {scene.caller.address}" if scene.caller else ""
    return f"{own_play() or 'a task'}{where}"


def _found(scene: Scene, family: int) -> Ruleset:
    """Return what a table has of ours. What is not as wanted never looks as if it were."""
    wanted, table = scene.rules[family], scene.tables[family]
    goal = predict(table, wanted, scene.made[family])
    if table == goal:
        return wanted
    found = ours(table)
    managed = {chain for chain, _policy in wanted.policies}
    policies = tuple((chain, policy) for chain, policy in table.policies if chain in managed)
    numbered = dataclasses.replace(found, policies=policies)
    placed = tuple(_placed(jump, wanted, ours(goal)) for jump in found.jumps)
    named = dataclasses.replace(numbered, jumps=placed, needs=wanted.needs)
    return numbered if named == wanted else named


def _placed(jump: Jump, wanted: Ruleset, goal: Ruleset) -> Jump:
    """Return a jump with the place that it is wanted in, where its number is the one that it would get there."""
    places = {(wish.source, wish.chain): wish for wish in wanted.jumps}
    return places.get((jump.source, jump.chain), jump) if jump in goal.jumps else jump
