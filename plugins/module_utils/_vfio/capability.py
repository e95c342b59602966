# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Giving devices to VFIO as a capability: the record, the devices, the rules, and a reboot where only that helps."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Gate, Untouchable
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import HearthError, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Plan
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import (
    facts,
    model,
    record,
    rules,
    survey,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.plan import (
    Loaded,
    Seats,
    Texts,
    wanted_record,
    wanted_rules,
    wanted_seats,
    wanted_text,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.scene import (
    BIND,
    Decision,
    Scene,
    changing,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.task import (
    LEDGER,
    REQUEST,
    Task,
    parse_task,
)

if t.TYPE_CHECKING:
    from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.judge import Evidence
    from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.request import Desk, RawDesk

HANGS = "its driver does not let go of it"


@dataclasses.dataclass(frozen=True)
class Raw:
    """What was read. The evidence is of devices that are about to change, the ledger only there when it matters."""

    texts: Texts
    scene: Scene
    decisions: tuple[Decision, ...]
    loaded: Loaded = Loaded()
    builtin: frozenset[str] = frozenset()
    evidence: Evidence | None = None
    cdevs: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    rivals: t.Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    desk: RawDesk | None = None


@dataclasses.dataclass(frozen=True)
class State:
    """The record, the rules, where each device is, and the ledger; ``raw`` is what they were taken from."""

    record: model.Record
    rules: str
    seats: Seats
    desk: Desk | None
    raw: Raw = dataclasses.field(compare=False)


class VfioBind(Capability[Raw, State]):
    """Devices that are given to guests."""

    _foretells = False
    _booked = False
    _watched: frozenset[str] = frozenset()

    def execute(self, gate: Gate) -> dict[str, t.Any]:
        """Run the four verbs; what is only foretold counts in check mode only.

        :raises Refusal: a reboot is taken for done in a run that is no prediction.
        """
        if self._task.rebooted and not gate.check_mode:
            raise Refusal(
                "rebooted foretells a reboot, and this run is no prediction.",
                remedy="give it in check mode only, such as rebooted: '{{ ansible_check_mode }}'",
            )
        self._foretells = gate.check_mode
        try:
            result = super().execute(gate)
        except Untouchable as error:
            self._ask_for_boot(gate, error)
            raise
        for device in result["devices"]:
            if device["vfio_group_dev"]:
                _name_nodes(self.host, device, gate.performed)
        return result

    def read(self) -> Raw:
        """Read the files and the devices; of those that will change, everything that speaks against it."""
        task = self._task
        texts = survey.read_texts(self.host, self.params["contents"] if self._foretells else {})
        scene = survey.read_scene(self.host, task, texts, self._watched)
        scene, decisions = survey.read_decisions(self.host, task, scene)
        self._watched |= {decision.address for decision in decisions}
        if not task.running:
            return Raw(texts, scene, decisions)
        addresses = changing(decisions) if task.manages else ()
        return Raw(
            texts,
            scene,
            decisions,
            loaded=survey.read_loaded(self.host, decisions),
            builtin=survey.read_builtin(self.host, decisions),
            evidence=_read_evidence(self.host, scene, addresses) if addresses else None,
            cdevs={
                d.address: survey.read_cdev(self.host, d.address) for d in decisions if "vfio" in d.before
            },
            rivals=_read_rivals(self.host, scene, decisions) if task.manages else {},
            desk=self._read_desk(decisions) if task.manages else None,
        )

    def _read_desk(self, decisions: t.Sequence[Decision]) -> RawDesk | None:
        ledger = self.host.read(LEDGER)
        asked = ledger.unknown or f'"{REQUEST}"' in (ledger.text or "")
        self._booked = self._booked or asked or any(decision.waits for decision in decisions)
        if not self._booked:
            return None
        from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import request

        return request.read_desk(self.host, decisions)

    def _ask_for_boot(self, gate: Gate, error: Untouchable) -> None:
        from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import request

        # What hangs is the news; that the ledger is broken as well can wait.
        with contextlib.suppress(HearthError):
            gate.apply(request.ask_for_boot(self.host, error))

    def parse(self, raw: Raw) -> State:
        """Take the state out of it."""
        devices = raw.scene.snapshot.devices
        seats = {
            address: (devices[address].driver or "", devices[address].driver_override or "")
            for address in sorted(self._watched)
            if address in devices
        }
        return State(raw.scene.record, raw.texts.rules, seats, self._desk(raw), raw)

    def _desk(self, raw: Raw) -> Desk | None:
        if raw.desk is None:
            return None
        found = raw.desk.parse()
        assumes = self._foretells and (self.params["contents"] or self._task.rebooted)
        return found.assumed(self._task.rebooted, self.host.now()) if assumes else found

    def plan(self, current: State) -> Plan[State]:
        """Refuse, or decide in which order everything happens."""
        raw, task = current.raw, self._task
        lifted = self._judge(raw) if task.manages else ()
        wanted = wanted_record(raw.scene, raw.decisions)
        after = State(
            wanted,
            wanted_rules(task, raw.scene, raw.decisions, raw.texts, wanted)
            if task.manages
            else raw.texts.rules,
            {**current.seats, **wanted_seats(raw.decisions)},
            current.desk,
            raw,
        )
        if not task.manages:
            return Plan((), current, self._facts(current, current, ()))
        actions = self._effects(raw, after)
        if current.desk is not None:
            changed = any(decision.waits and decision.fresh for decision in raw.decisions)
            asked, desk = current.desk.plan(changed, self.host.now())
            actions, after = (*asked, *actions), dataclasses.replace(after, desk=desk)
        return Plan(actions, after, self._facts(current, after, lifted))

    def _judge(self, raw: Raw) -> tuple[model.Obstacle, ...]:
        # Where nothing changes, nothing is judged: such a run, which most are, goes without compiling all of that.
        if all(decision.settled for decision in raw.decisions):
            return ()
        from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import judge as judges

        return judges.judge(self._task, raw.scene, raw.decisions, raw.evidence or judges.Evidence())

    def _effects(self, raw: Raw, after: State) -> tuple[Action, ...]:
        text = wanted_text(self._task, raw.scene, raw.texts, after.record)
        # As above: the steps and what they need are only for a run that takes some.
        if Texts(text, after.rules) == raw.texts and not any(decision.changes for decision in raw.decisions):
            return ()
        from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import effects

        return effects.plan_effects(
            self._task, raw.scene, raw.decisions, raw.texts, raw.loaded, _consoles(raw)
        )

    def _facts(self, current: State, after: State, lifted: tuple[model.Obstacle, ...]) -> dict[str, t.Any]:
        raw = current.raw
        telling = facts.Telling(
            raw.scene, raw.decisions, after.seats, lifted, raw.builtin, raw.cdevs, raw.rivals
        )
        devices = facts.devices(telling)
        stuck = after.desk is not None and after.desk.stuck
        waiting = [f"{d.address} ({d.waits})" for d in raw.decisions if d.waits]
        hung = [f"{d.address} ({HANGS})" for d in raw.decisions if d.address in raw.scene.hung]
        return {
            "devices": devices,
            "groups": facts.groups(devices),
            "runtime_changed": after.seats != current.seats,
            "persistent_changed": after.rules != current.rules,
            "reboot_required": bool(hung or (waiting and not stuck)),
            "reason": ", ".join([*waiting, *hung]),
            "requests": after.desk.outcome(current.desk) if after.desk and current.desk else [],
            "files": {
                record.PATH: wanted_text(self._task, raw.scene, raw.texts, after.record),
                rules.PATH: after.rules,
            },
            "told": [*facts.told(raw.scene, raw.decisions, stuck), *facts.told_of_others(telling)],
        }

    def show(self, model: State) -> str:
        """Render each device with its driver, what every boot does, and the requests for a reboot."""
        ruled = {rule.address: rule.driver for rule in rules.parse_rules(model.rules)}
        lines = [
            f"{address}:\n  driver: {driver or 'none'}\n  driver_override: {override or 'none'}\n"
            f"  at boot: {ruled.get(address, 'any')}\n"
            for address, (driver, override) in sorted(model.seats.items())
        ]
        lines += [
            f"{entry.address} was {entry.origin or 'without a driver'}\n" for entry in model.record.values()
        ]
        return "".join(lines) + (model.desk.show() if model.desk else "")

    @functools.cached_property
    def _task(self) -> Task:
        return parse_task(self.params)


def _read_evidence(host: Host, scene: Scene, addresses: t.Sequence[str]) -> Evidence:
    from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import evidence

    return evidence.read_evidence(host, scene.snapshot, addresses, scene.hung)


def _read_rivals(
    host: Host, scene: Scene, decisions: t.Sequence[Decision]
) -> t.Mapping[str, tuple[str, ...]]:
    if not any(decision.changes for decision in decisions):
        return {}
    from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import rivals

    return rivals.find_rivals(rivals.read_rivals(host), scene.snapshot, decisions)


def _name_nodes(host: Host, device: dict[str, t.Any], performed: bool) -> None:
    """Complete what is told of a bound device: its nodes are only known when they are there."""
    if performed:
        device["vfio_cdev"] = survey.read_cdev(host, device["address"])
    if device["vfio_cdev"] and not host.exists(device["vfio_group_dev"]):
        device["vfio_group_dev"] = ""
        device["warnings"].append(
            f"this kernel has no nodes for groups: that VFIO made {device['vfio_cdev']} is the proof, and guests need"
            " IOMMUFD"
        )


def _consoles(raw: Raw) -> dict[str, str]:
    """Return the console drivers that have to let go of displays that are taken now, each with such a display."""
    if raw.evidence is None:
        return {}
    live = [d.address for d in raw.decisions if d.verb == BIND and d.moves and d.before]
    return {name: address for address in reversed(live) for name in raw.evidence.consoles.get(address, ())}
