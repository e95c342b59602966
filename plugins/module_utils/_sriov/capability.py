# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Virtual functions as a capability: their number, who takes them, what is set of each, now and at every boot."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import (
    Action,
    Gate,
    RemoveFile,
    WriteFile,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Plan
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov import check, facts, files
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov import model as models
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov import plan as plans
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.files import Entries
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.read import (
    Function,
    RawFunction,
    parse_function,
    read_function,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import gates, record, use
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import Obstacle

_COLONS = 3


@dataclasses.dataclass(frozen=True)
class Raw:
    """What was read: our files, the device, and only when VFs would go who uses them and what is bound to VFIO."""

    texts: t.Mapping[str, Reading]
    function: RawFunction | None = None
    uses: use.RawUses | None = None
    given: Reading = dataclasses.field(default_factory=lambda: Reading(missing=True))


@dataclasses.dataclass(frozen=True)
class State:
    """Our files by path, and those settings of the running system that the wish is about."""

    files: t.Mapping[str, str]
    running: models.Settings
    rules: Entries = dataclasses.field(compare=False)
    record: Entries = dataclasses.field(compare=False)
    scene: plans.Scene = dataclasses.field(compare=False)


class SriovVfs(Capability[Raw, State]):
    """The virtual functions of one device."""

    def read(self) -> Raw:
        """Read the files and the device; who uses VFs only when they would be taken away."""
        texts = {path: self._reading(path) for path in (files.RULES, files.RECORD)}
        if not self.params["running"] and (self._wish.absent or self._wish.expect.count(":") == _COLONS):
            return Raw(texts)
        raw = Raw(texts, read_function(self.host, self._wish.address))
        going = self._going(self.parse(raw).scene)
        if not going or raw.function is None:
            return raw
        uses = use.read_uses(self.host, raw.function.snapshot, going)
        return dataclasses.replace(raw, uses=uses, given=self._reading(record.PATH))

    def parse(self, raw: Raw) -> State:
        """Parse it."""
        for path, reading in {**raw.texts, record.PATH: raw.given}.items():
            if reading.unknown:
                raise ParseError(f"{reading.why}.", remedy=f"make {path} readable, or remove it")
        texts = {path: reading.text or "" for path, reading in raw.texts.items()}
        rules, recorded = files.parse_rules(texts[files.RULES]), files.parse_record(texts[files.RECORD])
        address = self._wish.address
        function = parse_function(raw.function, address) if raw.function else None
        scene = plans.Scene(function, rules.get(address), recorded.get(address))
        if raw.uses is not None:
            uses = use.parse_uses(raw.uses, self._going(scene))
            given = frozenset(record.parse_record(raw.given.text or ""))
            scene = dataclasses.replace(scene, uses=uses, given=given)
        return State(texts, self._managed(function), rules, recorded, scene)

    def plan(self, current: State) -> Plan[State]:
        """Record first, then the device, the rules of the boot last; the other way round when it is let go."""
        wish, scene = self._wish, current.scene
        steps, running, lifted = self._plan_running(current)
        who = plans.identity(wish, scene.function) if not wish.absent else None
        wanted = dict(current.files)
        if self.params["persistent"]:
            block = plans.block_after(wish, scene.block, who) if who else None
            rules = plans.with_entry(current.rules, wish.address, block)
            wanted[files.RULES] = files.render_rules(rules)
        if self.params["running"]:
            entry = plans.record_after(wish, scene, who) if who else None
            wanted[files.RECORD] = files.render_record(plans.with_entry(current.record, wish.address, entry))
        record_steps = _change(files.RECORD, current.files, wanted)
        rules_steps = _change(files.RULES, current.files, wanted)
        first, last = (rules_steps, record_steps) if wish.absent else (record_steps, rules_steps)
        outcome = facts.of_plan(scene.function, plans.target_of(wish, scene) if steps else {})
        return Plan(
            (*first, *steps, *last),
            dataclasses.replace(current, files=wanted, running=running),
            {
                **outcome,
                "files": wanted,
                "obstacles": [dataclasses.asdict(one) for one in lifted],
                "runtime_changed": bool(steps),
                "persistent_changed": bool(rules_steps),
            },
        )

    def execute(self, gate: Gate) -> dict[str, t.Any]:
        """Run the four verbs; what came into being is only known after that."""
        result = super().execute(gate)
        if gate.performed and result["runtime_changed"]:
            result.update(facts.of_function(self.parse(self.read()).scene.function))
        return result

    def show(self, model: State) -> str:
        """Render the files, and what the running device is set to."""
        lines = [f"# {path}\n{text}" for path, text in model.files.items() if text]
        words = models.in_order(model.running)
        return "".join(lines) + "".join(f"{self._wish.address} {key} = {value}\n" for key, value in words)

    def _plan_running(self, current: State) -> tuple[list[Action], models.Settings, list[Obstacle]]:
        """Return what is done to the device, what it is set to then, and the refusals that were lifted."""
        wish, scene = self._wish, current.scene
        function = scene.function
        if not self.params["running"]:
            return [], {}, []
        check.refuse_hung(function)
        if not wish.absent:
            check.refuse_missing(wish.address, function)
            plans.identity(wish, function)
        target = plans.target_of(wish, scene)
        if function is None or (wish.absent and not target):
            return [], current.running, []
        check.check(wish, function, target)
        found = check.obstacles(scene.uses, scene.given, plans.going(function, target))
        gates.refuse([one for one in found if one.kind not in wish.allow])
        steps = plans.running_steps(function, target, self.params["deadline"])
        managed = {**current.running, **(models.own(target) if wish.absent else target)}
        return steps, managed, list(found)

    def _managed(self, function: Function | None) -> models.Settings:
        """Return what is set now of what the wish is about; what is set of VFs goes with what it was before."""
        if function is None or not self.params["running"]:
            return {}
        keys = models.DEFAULTS if self._wish.absent else self._wish.settings
        return {key: function.settings[key] for key in keys if key in function.settings}

    def _going(self, scene: plans.Scene) -> tuple[str, ...]:
        if not self.params["running"]:
            return ()
        return plans.going(scene.function, plans.target_of(self._wish, scene))

    def _reading(self, path: str) -> Reading:
        """Read a file, or take what an earlier task of the play says it has written: in check mode it has not."""
        text = (self.params.get("contents") or {}).get(path)
        return self.host.read(path) if text is None else Reading(text=str(text))

    @functools.cached_property
    def _wish(self) -> models.Wish:
        return models.parse_wish(self.params)


def _change(path: str, before: t.Mapping[str, str], after: t.Mapping[str, str]) -> tuple[Action, ...]:
    if before[path] == after[path]:
        return ()
    return (WriteFile(path, after[path]) if after[path] else RemoveFile(path),)
