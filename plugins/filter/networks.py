# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter: addresses and networks in their canonical form."""

from __future__ import annotations

DOCUMENTATION = r"""
name: networks
short_description: Addresses and networks in their canonical form
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Takes IPv4 and IPv6 addresses and networks, in any mixture, and returns each as a network, spelled as the kernel
    spells it, once, in the order given. An address becomes a network of one address.
  - Refuses what a firewall could not load or would misread. That is a name, a network with bits set outside its
    prefix (the message has the corrected one), a netmask instead of a prefix, an address that is cut short.
requirements:
  - The Python package C(netaddr) on the controller
options:
  _input:
    description: Addresses and networks.
    type: list
    elements: str
    required: true
  where:
    description: What they belong to, for the message of a refusal.
    type: str
    default: the list
"""

EXAMPLES = r"""
- name: Let the other hypervisors migrate guests to this one
  ansible.builtin.set_fact:
    firewall_zones:
      peers:
        sources: "{{ groups['hypervisors'] | map('extract', hostvars, 'ansible_host') | hearth.gpu_host.networks }}"

- name: Refuse a wrong network before anything is sent to a host
  ansible.builtin.assert:
    that: "['192.0.2.7/24'] | hearth.gpu_host.networks(where='my_networks') | length > 0"
"""

RETURN = r"""
_value:
  description: The networks.
  type: list
  elements: str
  sample: [192.0.2.7/32, "2001:db8::/32"]
"""

import typing as t

from ansible_collections.hearth.gpu_host.plugins.plugin_utils import _networks


class FilterModule:
    """The filter by its name."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return it."""
        return {"networks": _networks.canonical}
