# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action: the controller's half of iptables_baseline, which proves that a new connection still works."""

from __future__ import annotations

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._guard import GuardedAction


class ActionModule(GuardedAction):
    """Confirm a firewall over a new connection."""

    MODULE = "hearth.gpu_host.iptables_baseline"
