#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: kernel modules, their options, and sysctls."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_config
short_description: Kernel modules, their options, and sysctls
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Owns C(/etc/modules-load.d/hearth.conf), C(/etc/modprobe.d/hearth.conf) and C(/etc/sysctl.d/90-hearth.conf). Each
    line names the roles that want it. Files of others are read and never changed.
  - On a running system it also loads the modules that are missing, and writes the sysctls that differ.
  - An option that a loaded module has with another value takes a reboot, because unloading a module that is in use is
    no safe thing to do. The request C(module-options) then stands in the reboot ledger before the first change, with
    what the kernel must show afterwards.
  - A file of somebody else that says otherwise is refused by name before anything is written. For sysctls that is a
    file that sorts after C(90-hearth.conf), such as C(/etc/sysctl.d/99-sysctl.conf), which is C(/etc/sysctl.conf) on
    many hosts. For options it is any file in C(modprobe.d), for modules one that denies them with C(blacklist) or with
    an C(install) command that loads nothing.
  - What is taken back is taken out of the files. A module that is loaded, an option that it was loaded with, and the
    value of a sysctl stay as they are until the next boot.
extends_documentation_fragment: [hearth.gpu_host._attributes]
options:
  modules:
    description:
      - Modules to load at boot and now, by name, or as a mapping of C(name) and C(owners). C(-) and C(_) are equal.
      - Left out, the file stays as it is. An empty list removes it. The same holds for the other options.
    type: list
    elements: raw
  modprobe_options:
    description: Options that modules are loaded with.
    type: list
    elements: dict
    suboptions:
      module:
        description: The module.
        type: str
        required: true
      option:
        description: The name of the option.
        type: str
        required: true
      value:
        description: Its value, a text or an integer.
        type: raw
        required: true
      owners:
        description: The roles that want it.
        type: list
        elements: str
        default: []
  sysctl:
    description: Kernel settings.
    type: list
    elements: dict
    suboptions:
      key:
        description: The key, such as V(vm.swappiness). A C(*) stands for any name between two dots.
        type: str
        required: true
      value:
        description: Its value, a text or an integer.
        type: raw
        required: true
      owners:
        description: The roles that want it.
        type: list
        elements: str
        default: []
  running:
    description:
      - Whether the root is the running system. With V(false), as for an image that is being baked, nothing is compared
        with the running kernel and no reboot is asked for.
    type: bool
    default: true
seealso:
  - module: hearth.gpu_host.declarations
  - module: hearth.gpu_host.initramfs
"""

EXAMPLES = r"""
- name: What guests with devices need
  hearth.gpu_host.kernel_config:
    modules:
      - tun
      - {name: vfio_pci, owners: [vfio]}
    modprobe_options:
      - {module: vfio_pci, option: disable_vga, value: 1, owners: [vfio]}
    sysctl:
      - {key: vm.swappiness, value: 10, owners: [kvm]}

- name: Take everything back
  hearth.gpu_host.kernel_config:
    modules: []
    modprobe_options: []
    sysctl: []
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: str
  sample: [write /etc/modules-load.d/hearth.conf (0644), load module tun]
files:
  description: The managed files as they will stand after this task, by path; empty where there is none.
  returned: success
  type: dict
  sample: {/etc/modprobe.d/hearth.conf: ""}
requests:
  description:
    - The request in the reboot ledger as it will stand after this task. One that this task takes out is C(fulfilled) or
      C(withdrawn). Empty when there was none and none is needed.
  returned: success
  type: list
  elements: dict
  sample: []
unseen:
  description: Options of loaded modules that the kernel does not show. When one changes, a reboot is asked for.
  returned: success
  type: list
  elements: str
  sample: [vfio_pci.ids]
"""

from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config.capability import KernelConfig
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability

OWNERS = {"type": "list", "elements": "str", "default": []}
NAME = {"type": "str", "required": True}
VALUE = {"type": "raw", "required": True}
OPTION = {"module": NAME, "option": NAME, "value": VALUE, "owners": OWNERS}


def main() -> None:
    """Run the module."""
    run_capability(
        KernelConfig,
        {
            "modules": {"type": "list", "elements": "raw"},
            "modprobe_options": {"type": "list", "elements": "dict", "options": OPTION},
            "sysctl": {
                "type": "list",
                "elements": "dict",
                "options": {"key": {**NAME, "no_log": False}, "value": VALUE, "owners": OWNERS},
            },
            "running": {"type": "bool", "default": True},
        },
    )


if __name__ == "__main__":
    main()
