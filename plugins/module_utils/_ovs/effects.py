# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What a change of a bridge does to the host: one transaction, and the move of what hangs on a device."""

from __future__ import annotations

import contextlib
import dataclasses

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import EffectError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.connect import open_client
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import Operation
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan import transaction
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.realise import wait_realised
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.scene import Server

# While it waits for ovs-vswitchd, the database answers after a second each time: that must not be too late.
_LONGER_S = 2.0


class Unrealised(EffectError):
    """The database has the change, and Open vSwitch does not do what it says."""


@dataclasses.dataclass(frozen=True)
class Transact(Action):
    """Change the database in one transaction, and wait until Open vSwitch has taken that in."""

    what: str
    operations: tuple[Operation, ...]
    server: Server

    def describe(self) -> str:
        return self.what

    def perform(self, host: Host) -> None:
        client = open_client(host, self.server.remote, self.server.timeout_s + _LONGER_S)
        with contextlib.closing(client):
            results = client.transact(transaction(self.operations))
            number = int(results[-2]["rows"][0]["next_cfg"])
            if not wait_realised(client, number, self.server.timeout_s):
                raise Unrealised(
                    f"The database has the change, and ovs-vswitchd did not carry it out within"
                    f" {self.server.timeout_s:g} s.",
                    remedy="see that ovs-vswitchd runs (systemctl status ovs-vswitchd), or give it more time with"
                    " timeout; then run again",
                )


@dataclasses.dataclass(frozen=True)
class MoveAddresses(Action):
    """Move addresses, routes and rules from one device to another."""

    device: str
    to: str
    script: str
    timeout_s: float

    def describe(self) -> str:
        return f"move addresses, routes and rules of {self.device} to {self.to}"

    def perform(self, host: Host) -> None:
        # Not as an argument: the message of a failure quotes those.
        host.run(("sh", "-s"), stdin=self.script, timeout_s=self.timeout_s)
