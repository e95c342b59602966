# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action: the controller's half of play_lock; only here can be seen whether another run is alive."""

from __future__ import annotations

import getpass
import os
import platform
import typing as t

from ansible import context
from ansible.plugins.action import ActionBase

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._play import controller_pid, is_dead

MODULE = "hearth.gpu_host.play_lock"


class ActionModule(ActionBase):
    """Run the module; when a dead run of this controller holds the host, take it over."""

    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: t.Any = None, task_vars: t.Any = None) -> dict[str, t.Any]:
        """Run the module, a second time if the first was refused for the sake of a dead run."""
        super().run(tmp, task_vars)
        given = {"who": who(), **self._task.args}
        result: dict[str, t.Any] = self._execute_module(MODULE, module_args=given, task_vars=task_vars)
        holder = (result.get("holder") or {}).get("play", "")
        if result.get("failed") and is_dead(holder):
            given["instead_of"] = holder
            result = self._execute_module(MODULE, module_args=given, task_vars=task_vars)
        return result


def who() -> str:
    """Say for people who runs what, where."""
    playbooks = ", ".join(os.path.basename(name) for name in context.CLIARGS.get("args") or ())
    return f"{playbooks or 'a play'}, run by {_user()} on {platform.node()} (pid {controller_pid()})"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
