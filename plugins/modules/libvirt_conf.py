#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_conf
short_description: Set options in configuration files of libvirt
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Keeps settings in files such as C(qemu.conf) and C(libvirtd.conf), in a block at the top of each file, several files
    in one call.
  - libvirt takes the first statement of a key, so the block wins over the rest of the file, of which every byte stays.
    Removing the block gives the file back as it was.
  - A file that is not in libvirt's grammar is refused with the line, before anything is written.
  - A daemon reads its files when it starts. One that runs with other settings than its files have is restarted at the
    end; guests keep running. This is measured each time, so that a run that died before the restart is finished by the
    next. A change of comments or of the order, or a setting that says what was so, restarts nothing.
  - What a daemon has read is known from a note below C(/run/hearth/libvirt), made before this module writes, or, where
    there is none, from the times of the file and of the start. When somebody else has changed a file after the start,
    nothing is known, and the daemon is restarted once.
extends_documentation_fragment:
  - hearth.gpu_host._attributes
options:
  files:
    description: The files, each named once.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path of the file. Made when it is missing and there is something to set.
        type: path
        required: true
      settings:
        description:
          - Settings by name. Values are numbers, strings, or lists of them; a boolean becomes C(1) or C(0).
          - A setting that is left out stays as it is. One that is null leaves the block, and what the rest of the file
            says holds again. Without O(files[].settings) the whole block goes.
          - Set C(no_log) on the task when a setting is a password. The diff hides settings named so.
        type: dict
      exclusive:
        description: Whether settings of the block that are left out go as well.
        type: bool
        default: false
      daemon:
        description:
          - The daemon that reads the file, by the name of its service, such as V(libvirtd). It is restarted if it runs;
            one that does not run, such as one that ended when it was idle, reads the file when it starts.
        type: str
        default: ''
  restart:
    description:
      - Whether daemons are looked at and restarted. Without a running systemd, as in an image that is being baked, they
        never are.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Guests run as their own user
  hearth.gpu_host.libvirt_conf:
    files:
      - path: /etc/libvirt/qemu.conf
        daemon: libvirtd
        settings:
          user: libvirt-qemu
          max_core: 0
          security_driver: [selinux, apparmor]

- name: Give the file back
  hearth.gpu_host.libvirt_conf:
    files:
      - path: /etc/libvirt/qemu.conf
        daemon: libvirtd
"""

RETURN = r"""
actions:
  description: What was done, or in check mode what would be done, in order.
  type: list
  elements: str
  returned: always
  sample:
    - note what libvirtd has read
    - write /etc/libvirt/qemu.conf (0600)
    - run systemctl try-restart libvirtd.service
    - note what libvirtd has read
restarted:
  description: The daemons that ran with other settings than their files have.
  type: list
  elements: str
  returned: success
  sample: [libvirtd]
shadowed:
  description: By file, the settings further down that the block wins over.
  type: dict
  returned: success
  sample: {/etc/libvirt/qemu.conf: [user]}
"""

from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.conf_files import ConfFiles
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability

FILE = {
    "path": {"type": "path", "required": True},
    "settings": {"type": "dict"},
    "exclusive": {"type": "bool", "default": False},
    "daemon": {"type": "str", "default": ""},
}


def main() -> None:
    """Run the module."""
    run_capability(
        ConfFiles,
        {
            "files": {"type": "list", "elements": "dict", "required": True, "options": FILE},
            "restart": {"type": "bool", "default": True},
        },
    )


if __name__ == "__main__":
    main()
