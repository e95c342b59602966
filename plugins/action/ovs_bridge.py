# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action: the controller's half of ovs_bridge: it keeps secrets out of sight, and proves that a new login works."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.conceal import without_secrets
from ansible_collections.hearth.gpu_host.plugins.plugin_utils._guard import GuardedAction


class ActionModule(GuardedAction):
    """Confirm a bridge that carries the host over a new connection."""

    MODULE = "hearth.gpu_host.ovs_bridge"

    def run(self, tmp: t.Any = None, task_vars: t.Any = None) -> dict[str, t.Any]:
        """Run the module with the keys of tunnels where Ansible does not write them down."""
        self._task.args = without_secrets(self._task.args)
        return super().run(tmp, task_vars)
