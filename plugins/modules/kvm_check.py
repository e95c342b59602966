#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kvm_check
short_description: Check whether a host is ready for KVM and GPU passthrough
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Asks the host what it can do instead of inferring it. C(/dev/kvm) is opened and a virtual machine created and
    closed; the IOMMU is read from C(/sys/class/iommu) and its groups; firmware, Secure Boot, memory and CPU settings
    from the files in which the kernel publishes them.
  - Every answer is a finding with a stable id, a status, its evidence, and the next step.
  - What cannot be read is V(unknown), which is neither V(pass) nor V(fail).
  - Only reads. In particular, no kernel module is loaded.
options:
  require:
    description:
      - What the host must have; the task fails with the remedy of everything that is missing.
      - Only a finding with the status V(pass) meets a requirement. V(unknown) does not, and the message says so.
      - V(min_kernel), V(bios_date), V(smt), V(peer_rtt), V(gpu_count) and V(devices) need the option they compare with.
    type: list
    elements: str
    default: []
    choices:
      - kvm
      - nested
      - ept
      - iommu
      - intremap
      - isolation
      - sriov
      - hugepages_2m
      - hugepages_1g
      - sev
      - sev_es
      - sev_snp
      - tdx
      - secure_boot_off
      - min_kernel
      - bios_date
      - smt
      - peer_rtt
      - gpu_count
      - devices
  probe_vm:
    description: Create and close an empty virtual machine, the only proof that KVM works. Takes no memory and no time.
    type: bool
    default: true
  read_msr:
    description:
      - With V(auto), read the CPU's virtualisation switch from C(/dev/cpu/*/msr) when that device is there.
      - With V(never), judge by the kernel log alone.
    type: str
    default: auto
    choices: [auto, never]
  devices:
    description: PCI addresses to check, such as V(0000:3b:00.0). Empty means every display and 3D device.
    type: list
    elements: str
    default: []
  expected_gpus:
    description: How many GPUs the host should show.
    type: int
  min_kernel:
    description: The oldest kernel that is accepted, such as V(6.1). Compared number by number.
    type: str
  min_bios_date:
    description: The oldest firmware date that is accepted, as V(YYYY-MM-DD).
    type: str
  smt:
    description: Whether simultaneous multithreading should be on or off.
    type: str
    choices: ['on', 'off']
  peers:
    description: Hosts to which the average round-trip time is measured, by ping or, failing that, TCP handshakes.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: Host name or IP address.
        type: str
        required: true
      max_rtt_us:
        description: The longest average round-trip time that is accepted, in microseconds.
        type: int
        required: true
extends_documentation_fragment:
  - hearth.gpu_host._attributes.info
notes:
  - Needs root for firmware tables, C(/dev/kvm) and the kernel log; without it the findings concerned are V(unknown).
"""

EXAMPLES = r"""
- name: See what the host can do
  hearth.gpu_host.kvm_check:
  register: readiness

- name: Refuse hosts that cannot pass devices through
  hearth.gpu_host.kvm_check:
    require: [kvm, iommu, intremap]

- name: Check a host against the checklist for new machines
  hearth.gpu_host.kvm_check:
    require: [kvm, iommu, min_kernel, bios_date, smt, gpu_count, peer_rtt]
    min_kernel: "6.1"
    min_bios_date: "2023-06-01"
    smt: "off"
    expected_gpus: 8
    peers:
      - address: 192.0.2.20
        max_rtt_us: 200
"""

RETURN = r"""
verdict:
  description:
    - V(pass), V(fail) or V(unknown); whether virtual machines can run and every requirement is met.
    - Findings that nothing requires do not change it.
  returned: always
  type: str
  sample: pass
summary:
  description: What kind of host this is, in a few sentences.
  returned: always
  type: str
  sample: >-
    KVM creates virtual machines although the CPU shows neither vmx nor svm: this machine has paravirtual KVM. Tools
    that look at CPU flags, virt-host-validate among them, wrongly report a failure here. The hardware is emulated
    (unnamed hypervisor).
counts:
  description: How many findings have each status.
  returned: always
  type: dict
  sample: {pass: 14, warn: 3, fail: 2, unknown: 6, na: 11}
checks:
  description: The findings.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: The stable name of the check. A check of devices is one finding, whose value has an answer for each
        address.
      type: str
    status:
      description: V(pass), V(warn), V(fail), V(unknown), or V(na) for what does not apply or was not asked.
      type: str
    value:
      description: What was found.
      type: raw
    expected:
      description: What is wanted.
      type: raw
    source:
      description: Where it was read.
      type: str
    why:
      description: What it means.
      type: str
    hint:
      description: The operator's next step.
      type: str
    fix:
      description: What kind of step that is - V(firmware), V(cmdline), V(module), V(package), V(hardware) or V(host).
      type: str
    needs_reboot:
      description: Whether that step takes effect only after a reboot.
      type: bool
  sample:
    - id: kvm.virtualisation
      status: fail
      value: firmware_disabled
      expected: a working KVM
      source: "/dev/cpu/0/msr: 0x3a is 0x1"
      why: The CPU is capable and the firmware switched virtualisation off.
      hint: >-
        Enable Intel Virtualization Technology (VT-x, VMX) in the firmware setup (Redfish attribute ProcVirtualization
        or alike), then power-cycle.
      fix: firmware
      needs_reboot: true
facts:
  description: The answers that roles decide by; V(null) where the answer is unknown.
  returned: always
  type: dict
  sample: {arch: x86, kvm: true, virtualisation: paravirtual, emulated: true, container: docker, kernel: 6.18.44}
topology:
  description: CPU sockets, NUMA nodes, PCI devices and IOMMU groups, as the readiness report draws them.
  returned: always
  type: dict
unmet:
  description: The requirements that are not met, each with the finding that says so.
  returned: always
  type: list
  elements: dict
  sample: [{requirement: kvm, id: kvm.virtualisation, status: fail}]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.gate import REQUIREMENTS
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import from_params
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.report import examine
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import failing_politely

PEER = {
    "address": {"type": "str", "required": True},
    "max_rtt_us": {"type": "int", "required": True},
}
ARGUMENT_SPEC = {
    "require": {"type": "list", "elements": "str", "default": [], "choices": list(REQUIREMENTS)},
    "probe_vm": {"type": "bool", "default": True},
    "read_msr": {"type": "str", "default": "auto", "choices": ["auto", "never"]},
    "devices": {"type": "list", "elements": "str", "default": []},
    "expected_gpus": {"type": "int"},
    "min_kernel": {"type": "str"},
    "min_bios_date": {"type": "str"},
    "smt": {"type": "str", "choices": ["on", "off"]},
    "peers": {"type": "list", "elements": "dict", "default": [], "options": PEER},
}


def main() -> None:
    """Examine the host; fail when a requirement is not met."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    with failing_politely(module):
        result = examine(Host(), from_params(module.params, module.check_mode))
        if result["unmet"]:
            module.fail_json(**result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
