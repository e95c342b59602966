#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_process
short_description: Start and stop a process of the lab by its recorded pid
version_added: 0.1.0
description:
  - Starts an emulator, a container or a user-mode network detached from Ansible, records its pid together with
    its start time, and stops exactly that process later. Nothing is ever stopped by name.
  - For the machine that the lab runs on, not for managed hosts.
extends_documentation_fragment:
  - hearth.gpu_host._attributes
author:
  - hearth.gpu_host maintainers (@hearth)
options:
  name:
    description: Name of the process; the record is C(NAME.json) and the output C(NAME.log) in O(directory).
    type: str
    required: true
  directory:
    description: Directory of the record and the output.
    type: path
    required: true
  state:
    description: Whether the process runs.
    type: str
    choices: [started, stopped]
    default: started
  argv:
    description:
      - Program and arguments.
      - C({port.NAME}) stands for an allocated port, C({tap.NAME}) for the file descriptor of a tap.
      - A process that already runs is left as it is, even when its arguments differ.
    type: list
    elements: str
    default: []
  ports:
    description: Names of free TCP ports on 127.0.0.1 to allocate; a free port of the last start is used again.
    type: list
    elements: str
    default: []
  taps:
    description: Tap devices to open for the process.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the tap device, at most 15 characters.
        type: str
        required: true
      namespace:
        description: Path of the network namespace that it lies in.
        type: path
        required: true
"""

EXAMPLES = r"""
- name: Start the emulator
  hearth.gpu_host.lab_process:
    name: qemu
    directory: /var/tmp/lab/gpu01
    argv: [qemu-system-x86_64, -netdev, "user,id=mgmt,hostfwd=tcp:127.0.0.1:{port.ssh}-:22"]
    ports: [ssh]

- name: Stop it
  hearth.gpu_host.lab_process:
    name: qemu
    directory: /var/tmp/lab/gpu01
    state: stopped
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be.
  type: list
  elements: str
  returned: always
  sample: [start qemu]
pid:
  description: Process id; 0 when it is not running.
  type: int
  returned: always
  sample: 4711
ports:
  description: The allocated ports by name.
  type: dict
  returned: always
  sample: {ssh: 40123}
"""

from ansible_collections.hearth.gpu_host.plugins.module_utils._lab.capability import LabProcess
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability


def main() -> None:
    """Run the module."""
    run_capability(
        LabProcess,
        {
            "name": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "argv": {"type": "list", "elements": "str", "default": []},
            "ports": {"type": "list", "elements": "str", "default": []},
            "taps": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "namespace": {"type": "path", "required": True},
                },
            },
        },
    )


if __name__ == "__main__":
    main()
