# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""From a plan to what is done, and back when it does not work. Imported only when there is a change."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import HearthError
from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.actions import Arm, TakeBack
from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.model import Spec, new_token
from ansible_collections.hearth.gpu_host.plugins.module_utils._lock import own_play
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import facts, guarded, objections
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.effects import (
    MoveAddresses,
    Transact,
    Unrealised,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import BRIDGE
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.ovsdb import Client
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.realise import faults_of, read_settled
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.scene import Scene, Server


def refuse_dangers(scene: Scene) -> list[dict[str, t.Any]]:
    """Return what speaks against the change and was allowed. Pure.

    :raises Refusal: something was not.
    """
    if not scene.changes:
        return []
    found = guarded.objections_in(scene)
    objections.refuse(found, scene.wish)
    return objections.objection_facts(found, scene.wish.allow)


def warnings(scene: Scene) -> list[str]:
    """Return what is worth a word and no danger: of devices, of files, of listed ports that stay as they are. Pure."""
    found = [*objections.warnings_about(scene.wish, scene.database, scene.nics or {})]
    if scene.move and scene.move.persistence:
        found += scene.move.persistence.warnings
    for fault in facts.faults_in(scene.database, scene.wish):
        if fault.port not in scene.planned.ports:
            found.append(f"Port {fault.port} does not work, and nothing of it changes: {fault.message}")
    return found


def guarding(scene: Scene, window_s: int, remote: str) -> tuple[str, Spec | None]:
    """Return the guard that the change needs, with a name for it."""
    if scene.capture is None:
        return "", None
    token = new_token(guarded.WHAT, scene.now)
    return token, guarded.guard_of(scene, token, window_s, remote)


def actions(scene: Scene, server: Server, spec: Spec | None, token: str) -> tuple[Action, ...]:
    """Return the effects in their order. Pure.

    What moves does so as soon as there is something to move to; files for the next boot come with the confirmation.
    """
    operations, move = scene.planned.operations, scene.move
    found: list[Action] = []
    patience_s = server.timeout_s
    if spec:
        found.append(Arm(spec, token, own_play() or "a task"))
        operations = guarded.marked(operations, token) if operations else ()
        # What is still at work when the guard takes back would have the last word, and nobody would know.
        patience_s = spec.window_s / 3
        server = dataclasses.replace(server, timeout_s=min(server.timeout_s, patience_s))
    if operations:
        found.append(Transact(_what(scene), operations, server))
    if move:
        found.append(MoveAddresses(move.capture.device, move.after.device, move.script, patience_s))
    if scene.leftover and not spec:
        found += scene.leftover.actions
    return tuple(found)


def _what(scene: Scene) -> str:
    there = scene.database.named(BRIDGE, scene.wish.name) is not None
    verb = "remove" if not scene.wish.present else "change" if there else "create"
    number = sum(operation["op"] != "wait" for operation in scene.planned.operations)
    return f"{verb} bridge {scene.wish.name} in one transaction (operations: {number})"


def refuse_faults(client: Client, scene: Scene) -> None:
    """Look whether Open vSwitch does what it was told.

    :raises Unrealised: it does not, for a port that was changed.
    """
    ports = scene.planned.ports
    faults = faults_of(read_settled(client, ports), ports, facts.spared(scene.wish))
    if faults:
        raise Unrealised(
            f"Open vSwitch took the change of bridge {scene.wish.name}, and it does not work."
            f" {facts.told(faults)}",
            remedy="correct these ports and run again",
            faults=[dataclasses.asdict(fault) for fault in faults],
        )


def take_back(gate: Gate, token: str, error: HearthError) -> None:
    """Let the guard take the change back now, and tell how that went."""
    try:
        gate.apply((TakeBack(token, guarded.WHAT),))
        error.message += " The change was taken back."
    except HearthError as second:
        error.message += (
            f" It could not be taken back at once, and the guard goes on trying: {second.message}"
        )


def revert(gate: Gate, scene: Scene, server: Server, error: HearthError) -> None:
    """Send what brings the database back to where it was, and tell how that went; for an unrealised change only."""
    if not isinstance(error, Unrealised):
        return
    action = Transact(f"take the change of bridge {scene.wish.name} back", scene.planned.inverse, server)
    failed = ""
    try:
        gate.apply((action,))
    except Unrealised:
        # What does not carry out a change does not carry out its end either; the database is as it was.
        pass
    except HearthError as second:
        failed = second.message
    error.details["rollback"] = {
        "attempted": True,
        "ok": not failed,
        "undone": [] if failed else [action.describe()],
        "failed": [failed] if failed else [],
    }
    error.message += f" It could not be taken back: {failed}" if failed else " It was taken back."
