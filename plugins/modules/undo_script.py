#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: leave on the host how to take something back without Ansible."""

from __future__ import annotations

DOCUMENTATION = r"""
module: undo_script
short_description: Leave on a host how to take something back without Ansible
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Puts a script into C(/etc/hearth/undo.d), and the command C(/usr/local/sbin/hearth-undo) that lists and runs such
    scripts. A person at the console of a host that nobody can reach any more needs neither Ansible nor Python.
  - A script is called with C(describe), and prints in one line what it takes back, or with C(undo), and does it.
  - The command goes with the last script.
extends_documentation_fragment: [hearth.gpu_host._attributes]
options:
  name:
    description: What is taken back, such as V(boot-arguments).
    type: str
    required: true
  content:
    description: The script. Needed with O(state=present).
    type: str
  command:
    description:
      - The command C(hearth-undo). Left out, it stays as it is, for a play in which another task writes it.
    type: str
  state:
    description: Whether the script is there.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: hearth.gpu_host.kernel_args
"""

EXAMPLES = r"""
- name: Leave on the host how to take its boot arguments back
  hearth.gpu_host.undo_script:
    name: boot-arguments
    content: "{{ lookup('ansible.builtin.file', 'hearth-undo-boot-arguments', rstrip=false) }}"
    command: "{{ lookup('ansible.builtin.file', 'hearth-undo', rstrip=false) }}"
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: str
  sample: [write /usr/local/sbin/hearth-undo (0755), write /etc/hearth/undo.d/boot-arguments (0755)]
"""

import re

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import RemoveFile, WriteFile
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Plan, run_capability

FOLDER = "/etc/hearth/undo.d"
COMMAND = "/usr/local/sbin/hearth-undo"
EXECUTABLE = 0o755
Texts = dict[str, str]


class UndoScript(Capability[Texts, Texts]):
    """The scripts in the folder, and the command."""

    def read(self) -> Texts:
        """Read them all: whether a script is the last one decides about the command."""
        names = [name for name in self.host.listdir(FOLDER) if not name.startswith(".")]
        paths = [COMMAND, *(f"{FOLDER}/{name}" for name in names)]
        return {path: self.host.read(path).text or "" for path in paths if self.host.exists(path)}

    def parse(self, raw: Texts) -> Texts:
        """The texts are the model."""
        return raw

    def plan(self, current: Texts) -> Plan[Texts]:
        """Write what differs; the command first, as a script without it helps nobody."""
        script = f"{FOLDER}/{self._name()}"
        after = {path: text for path, text in current.items() if path != script}
        if self.params["state"] == "present":
            command = self.params["command"]
            after = {**after, **({COMMAND: command} if command else {}), script: self.params["content"]}
        elif set(after) <= {COMMAND}:
            after = {}
        written = [
            WriteFile(p, after[p], EXECUTABLE)
            for p in sorted(after, key=self._last)
            if current.get(p) != after[p]
        ]
        removed = [RemoveFile(path) for path in sorted(current) if path not in after]
        return Plan((*written, *removed), after)

    def show(self, model: Texts) -> str:
        """Render all files."""
        return "".join(f"{path}:\n{text}" for path, text in sorted(model.items()))

    def _name(self) -> str:
        name: str = self.params["name"]
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
            raise ParseError(
                f"{name!r} is no name of a script.", remedy="use lower-case letters, digits and dashes"
            )
        return name

    @staticmethod
    def _last(path: str) -> bool:
        return path != COMMAND


def main() -> None:
    """Run the module."""
    text = {"type": "str"}
    states = {"type": "str", "choices": ["present", "absent"], "default": "present"}
    run_capability(
        UndoScript,
        {"name": {"type": "str", "required": True}, "content": text, "command": text, "state": states},
        required_if=[("state", "present", ("content",))],
    )


if __name__ == "__main__":
    main()
