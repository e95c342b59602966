#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_network
short_description: Build the lab's network segment in a namespace of its own
version_added: 0.1.0
description:
  - Creates a network namespace with a bridge C(seg0), a tap on it for every virtual machine, and for every container a
    namespace of its own with a cable to the bridge. The machine's own network namespace is left alone.
  - For the machine that the lab runs on, not for managed hosts.
extends_documentation_fragment:
  - hearth.gpu_host._attributes
author:
  - hearth.gpu_host maintainers (@hearth)
options:
  name:
    description: Name of the segment's namespace; the containers' are C(NAME-HOST).
    type: str
    required: true
  state:
    description: V(absent) removes the segment and every namespace that belongs to it.
    type: str
    choices: [present, absent]
    default: present
  addresses:
    description: Addresses with prefix length of the bridge, which is where a controller on the segment sits.
    type: list
    elements: str
    default: []
  vms:
    description: Virtual machines on the segment; the tap of each has its name. They configure their card themselves.
    type: list
    elements: str
    default: []
  containers:
    description: Containers on the segment, each with the list of addresses with prefix length of its card C(seg0).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: A segment with one virtual machine and one container
  hearth.gpu_host.lab_network:
    name: hearth-lab
    addresses: [192.0.2.1/24, "2001:db8:6:1::1/64"]
    vms: [gpu01]
    containers:
      gpu02: [192.0.2.12/24, "2001:db8:6:1::12/64"]
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be.
  type: list
  elements: str
  returned: always
  sample: [run ip netns add hearth-lab]
"""

from ansible_collections.hearth.gpu_host.plugins.module_utils._lab.network import LabNetwork
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability


def main() -> None:
    """Run the module."""
    run_capability(
        LabNetwork,
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "addresses": {"type": "list", "elements": "str", "default": []},
            "vms": {"type": "list", "elements": "str", "default": []},
            "containers": {"type": "dict", "default": {}},
        },
    )


if __name__ == "__main__":
    main()
