#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_forward
short_description: Forward TCP ports of 127.0.0.1 into a lab container's user-mode network
version_added: 0.1.0
description:
  - Adds port forwards to a running slirp4netns over its API socket. Forwards end with that process.
  - For the machine that the lab runs on, not for managed hosts.
extends_documentation_fragment:
  - hearth.gpu_host._attributes
author:
  - hearth.gpu_host maintainers (@hearth)
options:
  api_socket:
    description: Path that slirp4netns was given as C(--api-socket).
    type: path
    required: true
  forwards:
    description: The forwards that must be in force. Others are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      host_port:
        description: TCP port on 127.0.0.1 of this machine.
        type: int
        required: true
      guest_port:
        description: TCP port in the container's network.
        type: int
        required: true
"""

EXAMPLES = r"""
- name: Reach the container's SSH server
  hearth.gpu_host.lab_forward:
    api_socket: /var/tmp/lab/gpu02/slirp.sock
    forwards:
      - host_port: 40123
        guest_port: 22
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be.
  type: list
  elements: str
  returned: always
  sample: ["forward 127.0.0.1:40123 to port 22"]
"""

from ansible_collections.hearth.gpu_host.plugins.module_utils._lab.capability import LabForward
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability


def main() -> None:
    """Run the module."""
    run_capability(
        LabForward,
        {
            "api_socket": {"type": "path", "required": True},
            "forwards": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "host_port": {"type": "int", "required": True},
                    "guest_port": {"type": "int", "required": True},
                },
            },
        },
    )


if __name__ == "__main__":
    main()
