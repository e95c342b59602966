#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_accelerator
short_description: Choose the emulator's accelerator by booting a kernel with it
version_added: 0.1.0
description:
  - Boots the given kernel under KVM for at most 30 seconds. If its banner appears on the serial line the answer is
    C(kvm), otherwise C(tcg), the software emulation. The existence of C(/dev/kvm) proves nothing.
  - For the machine that the lab runs on, not for managed hosts.
extends_documentation_fragment:
  - hearth.gpu_host._attributes.info
author:
  - hearth.gpu_host maintainers (@hearth)
options:
  kernel:
    description: Path of a Linux kernel image of this machine's architecture.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Find out how fast the lab can be
  hearth.gpu_host.lab_accelerator:
    kernel: /boot/vmlinuz
"""

RETURN = r"""
accelerator:
  description: C(kvm) or C(tcg).
  type: str
  returned: always
  sample: tcg
why:
  description: What the answer rests on.
  type: str
  returned: always
  sample: there is no /dev/kvm
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._lab.accelerator import choose
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import failing_politely


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"kernel": {"type": "path", "required": True}}, supports_check_mode=True
    )
    with failing_politely(module):
        accelerator, why = choose(Host(), module.params["kernel"])
        module.exit_json(changed=False, accelerator=accelerator, why=why)


if __name__ == "__main__":
    main()
