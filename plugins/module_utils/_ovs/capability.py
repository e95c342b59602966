# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""A bridge of Open vSwitch as a capability: the whole of it, and the host's own addresses on it."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ansible.module_utils.common.warnings import warn

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    HearthError,
    ParseError,
    VerifyError,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Params, Plan
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import facts, state
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.conceal import with_secrets
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.connect import open_client
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import Database, Wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.ovsdb import Client, Stale, Unreachable
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan import rehearsal
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.read import read_database
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.scene import (
    Scene,
    Server,
    is_guarded,
    read_again,
    read_scene,
    with_pinned_address,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import parse_wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_host import (
    DEFAULT_TIMEOUT,
    HostNetworkWish,
    parse_host_network,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_warnings import warnings_of

if t.TYPE_CHECKING:
    from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.model import Spec
    from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Capture

_ATTEMPTS = 3
_KEEP = "keep"


@dataclasses.dataclass(frozen=True)
class State:
    """The managed part of the bridge, what moves where it is now, and files of ours that outlived their bridge."""

    bridge: state.State
    network: Capture | None
    leftover: tuple[str, ...]
    scene: Scene = dataclasses.field(compare=False)


class OvsBridge(Capability[Scene, State]):
    """One bridge: present or absent, in one transaction, guarded where the host hangs on it."""

    def __init__(self, params: Params, host: Host) -> None:
        super().__init__(with_pinned_address(with_secrets(params)), host)
        self._seen = Database()
        self._client: Client | None = None
        self._changed: Scene | None = None
        self._armed: Spec | None = None
        self._token = ""

    def execute(self, gate: Gate) -> dict[str, t.Any]:
        """Run the four verbs; begin anew when somebody else changed the database in between."""
        try:
            self._settle(gate)
            return self._attempt(gate, len(gate.actions), _ATTEMPTS)
        finally:
            self._close()

    def _attempt(self, gate: Gate, settled: int, left: int) -> dict[str, t.Any]:
        try:
            return self._told(self._once(gate), gate, settled)
        except Stale:
            if left == 1 or gate.undo_failed:
                raise
        # Nothing was applied, and what was done for it was taken back.
        del gate.actions[settled:], gate.undone[:]
        gate.rollback = {}
        return self._attempt(gate, settled, left - 1)

    def _settle(self, gate: Gate) -> None:
        if is_guarded(self.host):
            from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.actions import settle_dead

            settle_dead(gate, self.host)

    def _once(self, gate: Gate) -> dict[str, t.Any]:
        self._changed = self._armed = None
        try:
            result = super().execute(gate)
            if gate.check_mode:
                self._rehearse()
        except HearthError as error:
            self._recover(gate, error)
            raise
        return result

    def _told(self, result: dict[str, t.Any], gate: Gate, settled: int) -> dict[str, t.Any]:
        for warning in result.pop("warnings"):
            warn(warning)
        result["bridge"] = facts.bridge_facts(self._seen, self._wish.name)
        result["changed"] = result["changed"] or settled > 0
        if gate.check_mode:
            # Nothing was armed, and there is nothing to confirm.
            result["guard"] = None
        return result

    # --- the four verbs ---

    def read(self) -> Scene:
        """Read the database; devices, and what hangs on them, where they matter."""
        database = self._database()
        self._seen = database or Database()
        if self._changed is not None:
            return read_again(self.host, self._changed, self._seen)
        return read_scene(self.host, self._wish, self._network, database)

    def parse(self, raw: Scene) -> State:
        """Take out what the task manages."""
        leftover = raw.leftover.paths if raw.leftover else ()
        return State(state.state_of(raw.database, raw.wish), raw.stands, leftover, raw)

    def plan(self, current: State) -> Plan[State]:
        """Decide; refuse what would lock somebody out."""
        scene = current.scene
        self._refuse_pending(scene)
        if not scene.changes and not scene.leftover:
            self._refuse_dead_ports(scene)
            return Plan((), current, self._facts(scene, []))
        from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import change

        objections = change.refuse_dangers(scene)
        self._token, self._armed = change.guarding(scene, self._window, self._server.remote)
        actions = change.actions(scene, self._server, self._armed, self._token)
        self._changed = scene
        after = State(
            scene.planned.after,
            scene.move.after if scene.move else None,
            current.leftover if self._armed else (),
            scene,
        )
        return Plan(actions, after, self._facts(scene, objections))

    def show(self, model: State) -> str:
        """Render the bridge, and what moves."""
        left = "".join(f"# {path} is left of it\n" for path in model.leftover)
        return state.show(model.bridge) + facts.show_network(model.network) + left

    def _verify(self, plan: Plan[State]) -> None:
        from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import change

        if self._changed is not None:
            change.refuse_faults(self._open(), self._changed)
        super()._verify(plan)

    # --- what plans rest on ---

    def _refuse_pending(self, scene: Scene) -> None:
        if scene.pending:
            from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.actions import refuse_pending

            refuse_pending(scene.pending, f"bridge {scene.wish.name}")

    def _refuse_dead_ports(self, scene: Scene) -> None:
        """Do not say that all is well when nothing is left to do and a port carries nothing."""
        dead = facts.faults_in(scene.database, scene.wish)
        if dead:
            raise VerifyError(
                f"Bridge {scene.wish.name} is configured as wished, and does not work so: {facts.told(dead)}",
                remedy="remove the cause, or take the port off the list",
                faults=[dataclasses.asdict(fault) for fault in dead],
            )

    def _facts(self, scene: Scene, objections: list[dict[str, t.Any]]) -> dict[str, t.Any]:
        operations = scene.planned.operations
        return {
            "transaction": list(state.redacted(operations)),
            "commands": state.as_vsctl(operations, scene.database) if operations else "",
            "host_network": facts.move_facts(scene.move),
            "objections": objections,
            "warnings": self._warnings(scene),
            "guard": self._guard_fact(scene),
        }

    def _warnings(self, scene: Scene) -> list[str]:
        found = [*warnings_of(scene.wish), *scene.planned.warnings]
        if scene.missing:
            found.append("Open vSwitch is not on this host yet, so it has not judged this plan.")
        if scene.nics is not None and scene.changes:
            from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import change

            found += change.warnings(scene)
        return list(dict.fromkeys(found))

    def _guard_fact(self, scene: Scene) -> dict[str, t.Any] | None:
        if self._armed is None:
            return None
        from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.actions import guard_fact

        return guard_fact(self._armed, self._token, scene.now)

    # --- the database ---

    def _open(self) -> Client:
        if self._client is None:
            self._client = open_client(self.host, self._server.remote, self._server.timeout_s)
        return self._client

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _database(self) -> Database | None:
        """Return what Open vSwitch has; ``None`` where it is only to come, and the task says so."""
        try:
            return read_database(self._open())
        except Unreachable as error:
            if self.params["awaited"] and error.details["missing"]:
                return None
            raise

    def _rehearse(self) -> None:
        """Let the server judge in check mode what it would be sent."""
        if self._changed is not None and self._changed.planned.operations and not self._changed.missing:
            self._open().transact(rehearsal(self._changed.planned.operations))

    # --- when something fails ---

    def _recover(self, gate: Gate, error: HearthError) -> None:
        if not gate.performed or gate.rollback or self._changed is None:
            return
        from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import change

        if self._armed is not None:
            change.take_back(gate, self._token, error)
        elif self.params["on_realise_error"] != _KEEP:
            change.revert(gate, self._changed, self._server, error)

    # --- what is wished ---

    @functools.cached_property
    def _wish(self) -> Wish:
        return parse_wish(self.params)

    @functools.cached_property
    def _network(self) -> HostNetworkWish | None:
        return parse_host_network(self.params, self._wish)

    @property
    def _window(self) -> int:
        return self._network.rollback_timeout if self._network else DEFAULT_TIMEOUT

    @functools.cached_property
    def _server(self) -> Server:
        timeout = self.params["timeout"]
        if timeout < 1:
            raise ParseError(
                f"timeout is {timeout}.", remedy="give the database at least one second to answer"
            )
        return Server(self.params["db"], timeout)
