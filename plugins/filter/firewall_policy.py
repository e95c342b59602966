# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter: services of the inventory merged with the ports that roles declared."""

from __future__ import annotations

DOCUMENTATION = r"""
name: firewall_policy
short_description: Services of the inventory merged with the ports that roles declared
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Makes zones and services of M(hearth.gpu_host.iptables_baseline) of what roles declared and what the inventory adds.
    The role C(firewall) uses it.
  - Ports of one name that are open to the same zones become one service. A service of the inventory with the name of
    a declared one is laid over it, key by key, so that a rate limit is added without listing ports again. Where
    nobody declares it, and it has no ports of its own, it opens nothing and is named in C(unused).
  - The zone V(any) always exists. The zone V(mgmt) is who manages the host, unless O(zones) has one of that name.
  - Refuses a zone that does not exist, with the name of the role that declared it, and addresses that are none.
requirements:
  - The Python package C(netaddr) on the controller
options:
  _input:
    description: Services of the inventory.
    type: list
    elements: dict
    required: true
  declared:
    description: What roles declared, the C(ports) of RV(hearth.gpu_host.declarations#module:merged).
    type: list
    elements: dict
    default: []
  zones:
    description: Zones by name, each with C(sources) or C(interfaces).
    type: dict
    default: {}
  management:
    description: Names of zones, or networks, that manage the host.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: See which services a host has
  ansible.builtin.debug:
    msg: >-
      {{ [{'name': 'web', 'ports': ['443/tcp']}]
         | hearth.gpu_host.firewall_policy(declared=declare_merged.ports, management=['192.0.2.0/24']) }}
"""

RETURN = r"""
_value:
  description: C(zones), C(services), C(management), C(owners), the roles that declared each service, and C(unused).
  type: dict
  sample:
    management: [192.0.2.0/24]
    owners: {ssh: [firewall]}
    services: [{name: ssh, ports: [22/tcp], zones: [mgmt]}]
    unused: []
    zones: {mgmt: {sources: [192.0.2.0/24]}}
"""

import typing as t

from ansible_collections.hearth.gpu_host.plugins.plugin_utils import _firewall


class FilterModule:
    """The filter by its name."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return it."""
        return {"firewall_policy": _firewall.policy}
