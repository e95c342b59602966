# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The capabilities behind the lab's modules."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate, no_lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._lab import process, slirp
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Plan

Forwards = frozenset[slirp.Forward]


class LabProcess(Capability[bool, bool]):
    """A detached process; the model is whether it runs."""

    lock = staticmethod(no_lock)

    def read(self) -> bool:
        """Look the recorded process up."""
        record = process.load_record(self.host, self._spec())
        return record is not None and process.alive(self.host, record)

    def parse(self, raw: bool) -> bool:
        """Return the answer as it is."""
        return raw

    def plan(self, current: bool) -> Plan[bool]:
        """Start it or stop it when it is not as wished."""
        wanted = self.params["state"] == "started"
        spec = self._spec()
        step = process.Start(spec) if wanted else process.Stop(spec)
        return Plan((step,) if wanted != current else (), wanted)

    def show(self, model: bool) -> str:
        """Say whether it runs."""
        return f"{self.params['name']} {'started' if model else 'stopped'}\n"

    def execute(self, gate: Gate) -> dict[str, t.Any]:
        """Add pid and ports, which only exist afterwards, to the result."""
        result = super().execute(gate)
        record = process.load_record(self.host, self._spec())
        running = record is not None and process.alive(self.host, record)
        result["pid"] = record.pid if record and running else 0
        result["ports"] = record.ports if record else {}
        return result

    def _spec(self) -> process.Spec:
        return process.Spec(
            name=self.params["name"],
            directory=self.params["directory"],
            argv=tuple(self.params["argv"]),
            ports=tuple(self.params["ports"]),
            taps=tuple((tap["name"], tap["namespace"]) for tap in self.params["taps"]),
        )


class LabForward(Capability[Forwards, Forwards]):
    """TCP forwards of a user-mode network; the model is the set that is in force."""

    lock = staticmethod(no_lock)

    def read(self) -> Forwards:
        """Ask the running slirp4netns; one that has not started yet has none."""
        socket_path = self.params["api_socket"]
        return slirp.forwards(socket_path) if os.path.exists(socket_path) else frozenset()

    def parse(self, raw: Forwards) -> Forwards:
        """Return the answer as it is."""
        return raw

    def plan(self, current: Forwards) -> Plan[Forwards]:
        """Add what is missing; forwards of others stay."""
        wanted = frozenset(
            slirp.Forward(item["host_port"], item["guest_port"]) for item in self.params["forwards"]
        )
        missing = sorted(wanted - current, key=lambda item: item.host_port)
        steps = tuple(slirp.AddForward(self.params["api_socket"], item) for item in missing)
        return Plan(steps, current | wanted)

    def show(self, model: Forwards) -> str:
        """List the forwards, one a line."""
        lines = sorted(f"127.0.0.1:{item.host_port} -> {item.guest_port}" for item in model)
        return "".join(f"{line}\n" for line in lines)
