#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: give devices to VFIO, and back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vfio_bind
short_description: Give PCI devices to VFIO, whole groups of them, and back
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Binds devices to C(vfio-pci), or to the variant of it that a device has, so that guests can have them. Whatever
    selects them, the result is a list of exact addresses, each with its vendor, device and subsystem ids. Ids are
    never bound. One of two identical cards can stay with the host.
  - A decision is about whole IOMMU groups and whole cards. Companions, such as the audio function of a GPU, come along,
    because a guest cannot be started and a card cannot be reset without them. Bridges stay with the host. The result
    tells of each device why it is in.
  - Has two parts. The I(runtime) part sets C(driver_override), takes the device from its driver and lets it be bound
    anew, companions first. The I(persistent) part writes C(/etc/udev/rules.d/10-hearth-vfio.rules). With that file in
    the initramfs no driver of the host ever touches the device. A rule that finds another device at its address does
    nothing.
  - C(/var/lib/hearth/vfio) records what each device was before. It is written before the first device is touched, the
    rules after the last one. So a run that dies at any point is completed, or taken back, by the next one.
  - Before the first write everything that speaks against it is collected, for all devices, and refused in one message.
    What cannot work is final. What would hurt the host, such as its root disk or the network card of this connection,
    can be lifted one by one, by name, for the devices of one selector. Devices that are bound already are not judged
    again.
  - A write that the kernel does not end is left alone after O(deadline). The device is then marked in
    C(/run/hearth/vfio-hung), and neither it nor its group is touched again before the next boot, which is requested as
    C(vfio-hung) in the reboot ledger.
  - When a step fails, what this task did to devices is taken back in reverse order.
extends_documentation_fragment: [hearth.gpu_host._attributes]
options:
  devices:
    description:
      - Selectors of the devices. Each selects by exactly one of C(address), C(vendor_device), C(class), C(slot),
        C(iommu_group), C(parent), C(virtfns_of) and C(gpu_uuid).
      - Left out, nothing is bound, and what is bound by this module is reported. An empty list means none.
    type: list
    elements: dict
    suboptions:
      address:
        description: The address of a function, such as V(0000:3b:00.0) or V(3b:00.0).
        type: str
      vendor_device:
        description: The ids of vendor and device, such as V(10de:2330), or of all four, such as V(10de:2330:10de:16c1).
        type: str
      class:
        description: The class code or its beginning, such as V('0302').
        type: str
      slot:
        description: The slot as printed on the board, from C(/sys/bus/pci/slots).
        type: str
      iommu_group:
        description: The number of an IOMMU group. It may be another one after a reboot.
        type: str
      parent:
        description: The address of a bridge, for all devices below it.
        type: str
      virtfns_of:
        description: The address of a physical function, for all of its virtual functions.
        type: str
      gpu_uuid:
        description: The UUID of a GPU, as its driver tells it or, once the GPU is bound, as it is on record.
        type: str
      expect:
        description:
          - The ids that the device must have, C(vendor:device) or all four. Guards an address against a bus that was
            renumbered.
        type: str
      count:
        description: How many devices the selector must match. With it a GPU that died is noticed.
        type: int
      allow_missing:
        description: Whether the selector may match nothing.
        type: bool
        default: false
      allow:
        description:
          - Refusals that are lifted for the devices of this selector and their companions.
          - With V(storage), V(network) or V(display) the host loses a disk in use, a network card in use, its console.
          - With V(opened) processes that have the device open lose it, with V(guest) guests do.
          - V(chipset) and V(management_controller) are devices that a guest has no use for.
          - V(identity) takes a device for the one meant though its ids, or those on record, are others.
          - V(known_bad) are devices known to fail when they are passed through.
          - With V(unsafe_interrupts) guests can raise any interrupt of the host.
        type: list
        elements: str
        default: []
      driver:
        description:
          - The driver to bind to. V(auto) takes the best one that the kernel has for this device, which is
            C(vfio-pci) for most.
        type: str
        default: auto
  exclude:
    description: Selectors of devices that are not bound, whatever O(devices) says. They may match nothing.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: As in O(devices).
        type: str
      vendor_device:
        description: As in O(devices).
        type: str
      class:
        description: As in O(devices).
        type: str
      slot:
        description: As in O(devices).
        type: str
      iommu_group:
        description: As in O(devices).
        type: str
      parent:
        description: As in O(devices).
        type: str
      virtfns_of:
        description: As in O(devices).
        type: str
      gpu_uuid:
        description: As in O(devices).
        type: str
  state:
    description:
      - With V(absent) the selected devices get back the driver that they had, and with it their whole groups and
        cards. All of ours do when O(devices) is left out.
    type: str
    choices: [present, absent]
    default: present
  exclusive:
    description:
      - Whether devices that this module bound before, and that are no longer selected, are given back. Others are
        never touched.
    type: bool
    default: false
  parts:
    description:
      - What this task does. The role runs V(persistent) before the initramfs is built, and V(runtime) after the reboot.
        One after the other does the same as both at once.
      - A device that only the V(runtime) part binds is bound until the next boot.
    type: list
    elements: str
    choices: [persistent, runtime]
    default: [persistent, runtime]
  rebind:
    description:
      - When a device that has a driver changes it. With V(live) now, with V(boot) at the next boot, for which a reboot
        is requested.
      - V(auto) is V(live), except for drivers that are known to hang when they are asked to let go, such as
        C(nvidia).
    type: str
    choices: [auto, live, boot]
    default: auto
  running:
    description:
      - Whether the root is the running system. With V(false), as for an image that is being baked, only the
        V(persistent) part is done. Every selector must then be an O(devices[].address) with all four ids in
        O(devices[].expect), and no groups are known.
    type: bool
    default: true
  contents:
    description:
      - The text of files that earlier tasks of this play have written, by path, and empty where they have removed one,
        as in RV(files). In check mode these are not on the disk yet. Counts in check mode only.
    type: dict
    default: {}
  rebooted:
    description:
      - Take the devices that the rules bind for bound, because a reboot before this task was only predicted. Refused
        outside check mode.
    type: bool
    default: false
  deadline:
    description:
      - Seconds that the kernel has for one write, such as taking a device from its driver.
      - A driver that takes a device has 180 seconds even so, because it may start firmware or reset the device first,
        and a larger O(deadline) where it is more.
    type: int
    default: 30
seealso:
  - module: hearth.gpu_host.kvm_check
  - module: hearth.gpu_host.sriov_vfs
  - module: hearth.gpu_host.initramfs
  - module: hearth.gpu_host.reboot_request
"""

EXAMPLES = r"""
- name: Give one of two identical cards to guests, with all its functions
  hearth.gpu_host.vfio_bind:
    devices:
      - {address: '3b:00.0', expect: '10de:2330'}

- name: Give all eight accelerators to guests, and notice when one is dead
  hearth.gpu_host.vfio_bind:
    devices:
      - {vendor_device: '10de:2330', count: 8}
    exclusive: true

- name: Take the console from the only display, on purpose
  hearth.gpu_host.vfio_bind:
    devices:
      - {address: '0000:01:00.0', allow: [display]}
    rebind: live

- name: Two virtual functions of a network card
  hearth.gpu_host.vfio_bind:
    devices:
      - {virtfns_of: '0000:03:00.0'}
    exclude:
      - {address: '0000:03:00.1'}

- name: Give one device back
  hearth.gpu_host.vfio_bind:
    devices:
      - {address: '3b:00.0'}
    state: absent

- name: See what is bound
  hearth.gpu_host.vfio_bind:
  register: vfio
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: str
  sample:
    - write /var/lib/hearth/vfio (0644)
    - write /etc/udev/rules.d/10-hearth-vfio.rules (0644)
devices:
  description:
    - The selected devices, what shares a group or a card with them, and everything else that is bound by this module,
      in the order in which they are bound.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address.
      type: str
    vendor:
      description: The id of the vendor.
      type: str
    device:
      description: The id of the device.
      type: str
    subsystem_vendor:
      description: The id of the subsystem's vendor.
      type: str
    subsystem_device:
      description: The id of the subsystem.
      type: str
    class:
      description: The class code, six digits.
      type: str
    iommu_group:
      description: The number of its IOMMU group in this boot.
      type: str
    group_members:
      description: All members of that group.
      type: list
      elements: str
    chosen:
      description: Whether a selector names it.
      type: bool
    binds:
      description: Whether it is, or becomes, a device for guests. Bridges do not.
      type: bool
    why:
      description: Why it is in though it is not chosen, or why it does not bind.
      type: str
    driver_before:
      description: The driver that it had before it was ours, empty for none. It gets this one back.
      type: str
    driver:
      description: The driver that it had when this task began, empty for none.
      type: str
    driver_after:
      description: The driver that it has after this task, empty for none.
      type: str
    driver_override:
      description: Its C(driver_override) after this task, empty for none.
      type: str
    persistent:
      description: Whether every boot binds it.
      type: bool
    driver_at_boot:
      description:
        - The driver that every boot gives it, empty when none is given. It is known while RV(devices[].driver_after)
          still is another one, so that it can be put into the initramfs in time.
      type: str
    waits_for_reboot:
      description: Whether its driver only changes at the next boot.
      type: bool
    reset_methods:
      description: How it can be reset. Empty for not at all, V(null) when the kernel does not tell.
      type: list
      elements: str
    numa_node:
      description: Its NUMA node, if there is one.
      type: int
    vfio_group_dev:
      description: The device node of its group, empty when it is not bound.
      type: str
    vfio_cdev:
      description: Its own device node where the kernel has IOMMUFD, empty otherwise. Not known in check mode before it
        is bound.
      type: str
    hostdev:
      description: The element of a libvirt domain that gives it to a guest, empty when it is not for guests.
      type: str
    warnings:
      description: What to know of it.
      type: list
      elements: str
    obstacles:
      description: What spoke against it, all of it lifted by name.
      type: list
      elements: dict
  sample:
    - address: 0000:3b:00.0
      vendor: 10de
      device: '2330'
      subsystem_vendor: 10de
      subsystem_device: 16c1
      class: '030200'
      iommu_group: '15'
      group_members: ['0000:3b:00.0']
      chosen: true
      binds: true
      why: ''
      driver_before: nouveau
      driver: nouveau
      driver_after: vfio-pci
      driver_override: vfio-pci
      persistent: true
      driver_at_boot: vfio-pci
      waits_for_reboot: false
      reset_methods: [flr, bus]
      numa_node: 1
      vfio_group_dev: /dev/vfio/15
      vfio_cdev: ''
      hostdev: <hostdev mode='subsystem' type='pci' managed='no'>...</hostdev>
      warnings: []
      obstacles: []
groups:
  description: The IOMMU groups of RV(devices), with all their members, and which of these guests get.
  returned: success
  type: list
  elements: dict
  sample: [{group: '15', members: ['0000:3a:00.0', '0000:3b:00.0'], binds: ['0000:3b:00.0']}]
runtime_changed:
  description: Whether a device changed its driver, or would.
  returned: success
  type: bool
persistent_changed:
  description: Whether the rules changed, or would. The initramfs must then be built anew.
  returned: success
  type: bool
reboot_required:
  description: Whether a device waits for the next boot, or hangs until then.
  returned: success
  type: bool
reason:
  description: Which devices wait for the next boot, and why; empty when none does.
  returned: success
  type: str
  sample: '0000:3b:00.0 (nvidia is known to hang when it has to let go)'
requests:
  description:
    - The request in the reboot ledger as it will stand after this task. One that this task takes out is C(fulfilled) or
      C(withdrawn). Empty when there was none and none is needed.
  returned: success
  type: list
  elements: dict
  sample: []
files:
  description: The managed files as they will stand after this task, by path; empty where there is none.
  returned: success
  type: dict
  sample: {/etc/udev/rules.d/10-hearth-vfio.rules: "", /var/lib/hearth/vfio: ""}
told:
  description: What else to know, such as devices on record that are gone.
  returned: success
  type: list
  elements: str
  sample: []
obstacles:
  description: Everything that speaks against it, by device.
  returned: when it was refused
  type: list
  elements: dict
  sample: [{address: '0000:00:04.0', kind: network, what: eth0 has the default route, remedy: use another card}]
hung:
  description: The device whose driver did not let go, the process that is stuck, and the mark for later runs.
  returned: when a write did not end
  type: dict
  sample: {address: '0000:3b:00.0', pid: 4242, wchan: nvidia_remove, mark: '/run/hearth/vfio-hung/0000:3b:00.0'}
rollback:
  description: What was taken back after a step failed.
  returned: when a step failed
  type: dict
  sample: {attempted: true, ok: true, undone: [], failed: []}
"""

from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.capability import VfioBind

SELECTS = ("address", "vendor_device", "class", "slot", "iommu_group", "parent", "virtfns_of", "gpu_uuid")
EXCLUDE = {name: {"type": "str"} for name in SELECTS}
SELECTOR = {
    **EXCLUDE,
    "expect": {"type": "str"},
    "count": {"type": "int"},
    "allow_missing": {"type": "bool", "default": False},
    "allow": {"type": "list", "elements": "str", "default": []},
    "driver": {"type": "str", "default": "auto"},
}
PARTS = ["persistent", "runtime"]


def main() -> None:
    """Run the module."""
    run_capability(
        VfioBind,
        {
            "devices": {"type": "list", "elements": "dict", "options": SELECTOR},
            "exclude": {"type": "list", "elements": "dict", "options": EXCLUDE, "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "exclusive": {"type": "bool", "default": False},
            "parts": {"type": "list", "elements": "str", "choices": PARTS, "default": PARTS},
            "rebind": {"type": "str", "choices": ["auto", "live", "boot"], "default": "auto"},
            "running": {"type": "bool", "default": True},
            "contents": {"type": "dict", "default": {}},
            "rebooted": {"type": "bool", "default": False},
            "deadline": {"type": "int", "default": 30},
        },
    )


if __name__ == "__main__":
    main()
