# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action beside the module; what it does is tested with the class that it is made of."""

from __future__ import annotations

from ansible_collections.hearth.gpu_host.plugins.action import iptables_baseline
from ansible_collections.hearth.gpu_host.plugins.plugin_utils._guard import GuardedAction


def test_the_firewall_is_confirmed_as_every_guarded_change_is() -> None:
    action = iptables_baseline.ActionModule
    assert issubclass(action, GuardedAction)
    assert action.MODULE == "hearth.gpu_host.iptables_baseline"
    assert action._supports_check_mode
