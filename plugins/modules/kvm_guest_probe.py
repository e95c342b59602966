#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kvm_guest_probe
short_description: Prove that a host runs KVM guests by running one
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Starts a guest of 64 MiB without disk, network or display through libvirt, reads back that it runs, and ends it.
  - The guest is transient and bound to the module's connection, so that it ends however the module ends.
  - In check mode no guest is started, and the answer is V(unknown).
extends_documentation_fragment:
  - hearth.gpu_host._attributes.info
requirements:
  - python3-libvirt on the host
options:
  missing_kvm:
    description:
      - What a host without C(/dev/kvm), such as a container, means. V(fail) fails, V(report) answers V(na).
    type: str
    choices: [fail, report]
    default: fail
  cpu_mode:
    description:
      - The CPU that the guest sees. V(default) works everywhere; V(host-passthrough) is what GPU guests use, and what a
        nested KVM may refuse.
    type: str
    choices: [default, host-model, host-passthrough, maximum]
    default: default
  timeout_s:
    description: Time limit in seconds of each call to libvirt. Starting the guest takes a minute under emulation.
    type: int
    default: 120
  uri:
    description: Where libvirt listens.
    type: str
    default: qemu:///system
"""

EXAMPLES = r"""
- name: Prove that guests run
  hearth.gpu_host.kvm_guest_probe:

- name: Prove it as GPU guests need it, where there is KVM at all
  hearth.gpu_host.kvm_guest_probe:
    cpu_mode: host-passthrough
    missing_kvm: report
"""

RETURN = r"""
status:
  description: V(pass), V(na) where there is no KVM, or V(unknown) in check mode.
  type: str
  returned: success
  sample: pass
why:
  description: What the status rests on.
  type: str
  returned: success
  sample: a KVM guest started, ran and ended in 1.42 s
seconds:
  description: How long it took.
  type: float
  returned: success
  sample: 1.42
capabilities:
  description: What libvirt says of the emulator; empty when it was not asked.
  type: dict
  returned: success
  sample:
    domain_types: [kvm, qemu]
    machine_types: [pc-i440fx-7.2, pc-q35-7.2]
    domain_type: kvm
    emulator: /usr/bin/qemu-system-x86_64
    machine: pc-i440fx-7.2
    arch: x86_64
    vcpu_max: 255
    firmware: [efi]
    cpu_modes: [host-passthrough, maximum, host-model, custom]
    sev: false
    hostdev: true
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.connection import (
    DEFAULT_URI,
    Link,
    open_libvirt,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.probe import explain, probe
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import failing_politely

ARGUMENTS = {
    "missing_kvm": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
    "cpu_mode": {
        "type": "str",
        "choices": ["default", "host-model", "host-passthrough", "maximum"],
        "default": "default",
    },
    "timeout_s": {"type": "int", "default": 120},
    "uri": {"type": "str", "default": DEFAULT_URI},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    link = Link(module.params["uri"], open_libvirt, module.params["timeout_s"])
    with failing_politely(module):
        try:
            verdict = probe(Host(), link, module.params["cpu_mode"], start=not module.check_mode)
        except CommandError as error:
            raise explain(error) from error
        if verdict.status == "na" and module.params["missing_kvm"] == "fail":
            raise CommandError(
                f"{verdict.why}.",
                remedy="turn on virtualisation in the firmware and load kvm_intel or kvm_amd; or missing_kvm=report",
            )
        module.exit_json(changed=False, **dataclasses.asdict(verdict))


if __name__ == "__main__":
    main()
