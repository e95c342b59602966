# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action beside the module: what it adds to the class that it is made of."""

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.action import ovs_bridge
from ansible_collections.hearth.gpu_host.plugins.plugin_utils._guard import GuardedAction


def test_a_bridge_is_confirmed_as_every_guarded_change_is() -> None:
    action = ovs_bridge.ActionModule
    assert issubclass(action, GuardedAction)
    assert action.MODULE == "hearth.gpu_host.ovs_bridge"
    assert action._supports_check_mode


def test_the_key_of_a_tunnel_is_handed_over_where_ansible_shows_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, t.Any] = {"ports": [{"name": "vx0", "options": {"psk": "swordfish"}}]}
    action = ovs_bridge.ActionModule.__new__(ovs_bridge.ActionModule)
    action._task = types.SimpleNamespace(args=given)
    monkeypatch.setattr(GuardedAction, "run", lambda self, tmp, task_vars: self._task.args)
    handed = action.run()
    assert handed == {"ports": [{"name": "vx0", "options": {}}], "secrets": {"vx0": {"psk": "swordfish"}}}
