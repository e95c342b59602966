#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: kernel arguments in the boot menu, and whether they are effective."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_args
short_description: Kernel arguments in the boot menu, and whether they are effective
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Puts kernel arguments into every entry of the boot menu, those of kernels to come included, and compares them with
    the command line that the kernel runs with. Recovery entries stay without them.
  - The words of others stay as they are, in their order. What others say already is not said twice; what they say
    otherwise is refused with both owners named, unless it is listed in O(remove).
  - Arguments are compared as the kernel reads them. These are whole words, C(-) and C(_) are equal in names, the last
    word of a name wins, lists such as C(vfio-pci.ids) are united with those of others, and huge pages are one
    ordered block.
  - The boot menu is changed only when an entry is not as wished.
  - When an argument waits for a reboot, the request C(kernel-args) stands in the reboot ledger before the first
    change. An argument whose purpose is served already, such as C(intel_iommu=on) where the IOMMU works, asks for
    none. A request that a reboot did not fulfil stays, has failed, and asks for no further reboot.
  - Refused before anything is written is C(isolcpus) that covers CPU 0, huge pages that leave less than 2 GiB of
    memory, a command line of 2048 characters or more, what defeats SEV-SNP, and characters that the shell or the
    boot loader would change.
extends_documentation_fragment: [hearth.gpu_host._attributes]
options:
  args:
    description:
      - Arguments as they stand on the command line, such as V(intel_iommu=on). Huge pages are V(hugepagesz=1G)
        followed by V(hugepages=64).
      - Left out, those that this module wrote stay as they are. An empty list takes them away.
    type: list
    elements: str
  remove:
    description:
      - Words of others that are taken out of the command line. V(name) is every word of that name, V(name=value)
        that word.
      - Left out, what this module takes out stays taken out. An empty list takes out nothing, and the words of
        others come back.
    type: list
    elements: str
  owners:
    description: The roles that want an argument, by its name or by one of its words. For messages and results.
    type: dict
    default: {}
  backend:
    description:
      - The boot loader. V(auto) looks for proxmox-boot-tool, systemd-boot, GRUB with Boot Loader Specification entries
        (Fedora, Enterprise Linux), and GRUB with C(/etc/default/grub.d) (Debian, Ubuntu), in this order, and refuses a
        host that starts in another way, with the manual instruction, unless nothing is wished and nothing is ours.
    type: str
    choices: [auto, grub, bls, systemd-boot, proxmox]
    default: auto
  running:
    description:
      - Whether the root is the running system. With V(false), as for an image that is being baked, nothing is compared
        with the running kernel and no reboot is asked for.
    type: bool
    default: true
  sev_snp:
    description: Whether SEV-SNP is wanted on this host, so that arguments that defeat it are refused.
    type: bool
    default: false
  planned:
    description:
      - Requests that earlier tasks of a check mode run would have entered or dropped, as they returned them in
        C(requests). They count as if they were in the ledger. Refused outside check mode.
    type: list
    elements: dict
    default: []
seealso:
  - module: hearth.gpu_host.declarations
"""

EXAMPLES = r"""
- name: Devices for guests, and memory in huge pages
  hearth.gpu_host.kernel_args:
    args: [intel_iommu=on, hugepagesz=1G, hugepages=64]
    remove: [iommu=pt]
    owners:
      intel_iommu: [vfio]
      hugepages: [kvm]
  register: result

- name: Show configured and effective side by side
  ansible.builtin.debug:
    msg: "{{ item.wanted }}: {{ item.configured }}, {{ item.effective }} ({{ item.status }}: {{ item.why }})"
  loop: "{{ result.arguments }}"

- name: Take everything back
  hearth.gpu_host.kernel_args:
    args: []
    remove: []
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: str
  sample: [write /etc/default/grub.d/zz-hearth.cfg (0644), generate /boot/grub/grub.cfg]
backend:
  description: The boot loader. Empty where none that is managed here was found, and nothing is wished.
  returned: success
  type: str
  sample: grub
arguments:
  description: Each wished argument, as it will stand after this task.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name; C(hugepages) stands for the whole block.
      type: str
    wanted:
      description: Its words.
      type: str
    configured:
      description: What the boot menu has of it; null when that is unknown.
      type: str
    effective:
      description: What C(/proc/cmdline) has of it; null when nothing, or with O(running=false).
      type: str
    status:
      description:
        - V(effective), V(pending) until the next boot, V(not_needed) as its purpose is served without it, V(failed)
          as a reboot did not help or it is in effect and does not work, or V(unknown).
      type: str
    why:
      description: By what this was seen.
      type: str
    owners:
      description: The roles that want it.
      type: list
      elements: str
  sample:
    - name: intel_iommu
      wanted: intel_iommu=on
      configured: intel_iommu=on
      effective:
      status: pending
      why: it takes effect with the next boot
      owners: [vfio]
notices:
  description:
    - Arguments that do nothing, and why. Wished ones are not written; those of others stay.
    - Also the entry that the host starts by itself, where that is none that gets the arguments.
  returned: success
  type: list
  elements: str
  sample: ['amd_iommu=on does nothing: the kernel ignores this value.']
entries:
  description:
    - The entries of the boot menu, as they will be after this task. C(bare) ones are for recovery and are left alone;
      C(complete) ones have every argument. Empty when they cannot be read.
  returned: success
  type: list
  elements: dict
  sample: [{name: gnulinux-simple-1234, bare: false, complete: true}]
requests:
  description:
    - The request in the reboot ledger as it will stand after this task. One that this task takes out is C(fulfilled) or
      C(withdrawn). Empty when there was none and none is needed.
  returned: success
  type: list
  elements: dict
  sample:
    - name: kernel-args
      reason: 'kernel arguments: hugepagesz=1G hugepages=64 to come in'
      requested_by: kvm
      since: '2026-01-31T12:00:00Z'
      status: pending
      lacking: [hugepagesz=1G hugepages=64 is not in /proc/cmdline]
"""

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.kernel_args import KernelArgs
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.registry import CHOICES
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability


def main() -> None:
    """Run the module."""
    run_capability(
        KernelArgs,
        {
            "args": {"type": "list", "elements": "str"},
            "remove": {"type": "list", "elements": "str"},
            "owners": {"type": "dict", "default": {}},
            "backend": {"type": "str", "choices": CHOICES, "default": "auto"},
            "running": {"type": "bool", "default": True},
            "sev_snp": {"type": "bool", "default": False},
            "planned": {"type": "list", "elements": "dict", "default": []},
        },
    )


if __name__ == "__main__":
    main()
