# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Virtual functions as a capability: their number, who takes them, what is set of each, now and at every boot."""

from __future__ import annotations

import dataclasses
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
class RawDevice:
    """A device that the task is about; who uses its VFs is only read when they would go."""

    function: RawFunction | None = None
    uses: use.RawUses | None = None


@dataclasses.dataclass(frozen=True)
class Raw:
    """What was read: our files, the devices, and only when VFs would go what is bound to VFIO."""

    texts: t.Mapping[str, Reading]
    devices: tuple[RawDevice, ...]
    given: Reading = dataclasses.field(default_factory=lambda: Reading(missing=True))


@dataclasses.dataclass(frozen=True)
class State:
    """Our files by path, and those settings of the running devices that the wishes are about, wish by wish."""

    files: t.Mapping[str, str]
    running: tuple[models.Settings, ...]
    rules: Entries = dataclasses.field(compare=False)
    record: Entries = dataclasses.field(compare=False)
    scenes: tuple[plans.Scene, ...] = dataclasses.field(compare=False)


class SriovVfs(Capability[Raw, State]):
    """The virtual functions of one device; or of all that are ours and not to be kept, which are given back."""

    _found: tuple[models.Wish, ...] | None = None

    def read(self) -> Raw:
        """Read the files and the devices; who uses VFs only when they would be taken away."""
        texts = {path: self._reading(path) for path in (files.RULES, files.RECORD)}
        rules, recorded = _entries(_texts(texts))
        devices = tuple(self._read_device(wish, rules, recorded) for wish in self._wishes(rules, recorded))
        if any(device.uses for device in devices):
            return Raw(texts, devices, self._reading(record.PATH))
        return Raw(texts, devices)

    def parse(self, raw: Raw) -> State:
        """Parse it."""
        texts = _texts({**raw.texts, record.PATH: raw.given})
        given = frozenset(record.parse_record(texts.pop(record.PATH)))
        rules, recorded = _entries(texts)
        wishes = self._wishes(rules, recorded)
        scenes = []
        for wish, device in zip(wishes, raw.devices):
            scene = _scene(wish, device, rules, recorded)
            if device.uses is not None:
                uses = use.parse_uses(device.uses, self._going(wish, scene))
                scene = dataclasses.replace(scene, uses=uses, given=given)
            scenes.append(scene)
        running = tuple(self._managed(wish, scene.function) for wish, scene in zip(wishes, scenes))
        return State(texts, running, rules, recorded, tuple(scenes))

    def plan(self, current: State) -> Plan[State]:
        """Record first, then the devices, the rules of the boot last; the other way round for what is let go."""
        wishes = self._wishes(current.rules, current.record)
        planned = [self._plan_running(*each) for each in zip(wishes, current.scenes, current.running)]
        lifted = [one for _steps, _running, found in planned for one in found]
        allowed = {name for wish in wishes for name in wish.allow}
        gates.refuse([one for one in lifted if one.kind not in allowed])
        steps = [step for found, _running, _lifted in planned for step in found]
        wanted = self._wanted(current, wishes)
        record_steps = _change(files.RECORD, current.files, wanted)
        rules_steps = _change(files.RULES, current.files, wanted)
        first, last = (rules_steps, record_steps) if self._absent else (record_steps, rules_steps)
        return Plan(
            (*first, *steps, *last),
            dataclasses.replace(current, files=wanted, running=tuple(running for _s, running, _l in planned)),
            {
                **self._outcome(wishes, current, bool(steps)),
                "files": wanted,
                "obstacles": [dataclasses.asdict(one) for one in lifted],
                "runtime_changed": bool(steps),
                "persistent_changed": bool(rules_steps),
            },
        )

    def execute(self, gate: Gate) -> dict[str, t.Any]:
        """Run the four verbs; what came into being is only known after that."""
        result = super().execute(gate)
        if gate.performed and result["runtime_changed"] and not self._sweeps:
            result.update(facts.of_function(self.parse(self.read()).scenes[0].function))
        return result

    def show(self, model: State) -> str:
        """Render the files, and what the running devices are set to."""
        lines = [f"# {path}\n{text}" for path, text in model.files.items() if text]
        for wish, running in zip(self._wishes(model.rules, model.record), model.running):
            lines += [f"{wish.address} {key} = {value}\n" for key, value in models.in_order(running)]
        return "".join(lines)

    def _read_device(self, wish: models.Wish, rules: Entries, recorded: Entries) -> RawDevice:
        if not self.params["running"] and (wish.absent or wish.expect.count(":") == _COLONS):
            return RawDevice()
        raw = RawDevice(read_function(self.host, wish.address))
        going = self._going(wish, _scene(wish, raw, rules, recorded))
        if not going or raw.function is None or any(one in raw.function.hung for one in going):
            return raw
        return dataclasses.replace(raw, uses=use.read_uses(self.host, raw.function.snapshot, going))

    def _plan_running(
        self, wish: models.Wish, scene: plans.Scene, now: models.Settings
    ) -> tuple[list[Action], models.Settings, tuple[Obstacle, ...]]:
        """Return what is done to a device, what it is set to then, and what speaks against it."""
        function = scene.function
        if not self.params["running"]:
            return [], {}, ()
        check.refuse_hung(function)
        if not wish.absent:
            check.refuse_missing(wish.address, function)
            plans.identity(wish, function)
        target = plans.target_of(wish, scene)
        check.refuse_hung(function, plans.going(function, target))
        if function is None or (wish.absent and not target):
            return [], now, ()
        check.check(wish, function, target)
        found = check.obstacles(scene.uses, scene.given, plans.going(function, target))
        steps = plans.running_steps(function, target, self.params["deadline"])
        return steps, {**now, **(models.own(target) if wish.absent else target)}, found

    def _wanted(self, current: State, wishes: t.Sequence[models.Wish]) -> dict[str, str]:
        """Return the text of both files as it will be."""
        rules, recorded = current.rules, current.record
        for wish, scene in zip(wishes, current.scenes):
            who = plans.identity(wish, scene.function) if not wish.absent else None
            block = plans.block_after(wish, scene.block, who) if who and self.params["persistent"] else None
            entry = plans.record_after(wish, scene, who) if who else None
            rules = plans.with_entry(rules, wish.address, block)
            recorded = plans.with_entry(recorded, wish.address, entry)
        wanted = dict(current.files)
        if self.params["persistent"] and wishes:
            wanted[files.RULES] = files.render_rules(rules)
        if self.params["running"] and wishes:
            wanted[files.RECORD] = files.render_record(recorded)
        return wanted

    def _outcome(self, wishes: t.Sequence[models.Wish], current: State, changes: bool) -> dict[str, t.Any]:
        """Return what is told of the device; of several that are given back, which they are."""
        if self._sweeps:
            return {**facts.of_function(None), "given_back": [wish.address for wish in wishes]}
        function = current.scenes[0].function
        target = plans.target_of(wishes[0], current.scenes[0]) if changes else {}
        return {**facts.of_plan(function, target), "given_back": []}

    def _managed(self, wish: models.Wish, function: Function | None) -> models.Settings:
        """Return what is set now of what the wish is about; what is set of VFs goes with what it was before."""
        if function is None or not self.params["running"]:
            return {}
        keys = models.DEFAULTS if wish.absent else wish.settings
        return {key: function.settings[key] for key in keys if key in function.settings}

    def _going(self, wish: models.Wish, scene: plans.Scene) -> tuple[str, ...]:
        if not self.params["running"]:
            return ()
        return plans.going(scene.function, plans.target_of(wish, scene))

    def _reading(self, path: str) -> Reading:
        """Read a file, or take what an earlier task of the play says it has written: in check mode it has not."""
        text = (self.params.get("contents") or {}).get(path)
        return self.host.read(path) if text is None else Reading(text=str(text))

    def _wishes(self, rules: Entries, recorded: Entries) -> tuple[models.Wish, ...]:
        """Return what is wanted of which devices.

        Those that are ours are known from the files as the task found them, and asked about until its end.
        """
        if self._found is None:
            addresses = (
                sorted({*rules, *recorded} - models.parse_keep(self.params))
                if self._sweeps
                else [self.params["address"]]
            )
            self._found = tuple(models.parse_wish({**self.params, "address": one}) for one in addresses)
        return self._found

    @property
    def _absent(self) -> bool:
        return self.params.get("state") == "absent"

    @property
    def _sweeps(self) -> bool:
        return self.params.get("address") is None


def _scene(wish: models.Wish, raw: RawDevice, rules: Entries, recorded: Entries) -> plans.Scene:
    function = parse_function(raw.function, wish.address) if raw.function else None
    return plans.Scene(function, rules.get(wish.address), recorded.get(wish.address))


def _texts(readings: t.Mapping[str, Reading]) -> dict[str, str]:
    """Return the texts of our files, empty for one that is not there.

    :raises ParseError: one cannot be read.
    """
    for path, reading in readings.items():
        if reading.unknown:
            raise ParseError(f"{reading.why}.", remedy=f"make {path} readable, or remove it")
    return {path: reading.text or "" for path, reading in readings.items()}


def _entries(texts: t.Mapping[str, str]) -> tuple[Entries, Entries]:
    """Return what both files say."""
    return files.parse_rules(texts[files.RULES]), files.parse_record(texts[files.RECORD])


def _change(path: str, before: t.Mapping[str, str], after: t.Mapping[str, str]) -> tuple[Action, ...]:
    if before[path] == after[path]:
        return ()
    return (WriteFile(path, after[path]) if after[path] else RemoveFile(path),)
