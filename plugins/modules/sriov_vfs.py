#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: virtual functions of a PCI device."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sriov_vfs
short_description: Make virtual functions of a PCI device, now and at every boot
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Sets how many virtual functions (VFs) a device with SR-IOV has, whether drivers of the host take them, and for
    network devices the address, VLAN, rates and rights of each VF. One task is about one device, or
    with O(keep) about all that are given back.
  - The kernel goes from one number of VFs to another only by taking all of them away first. That is refused as long as
    any VF is in use by a guest, a process, a mounted file system or a network, or is kept for guests by
    M(hearth.gpu_host.vfio_bind). The message names each of them. A device that has the wanted number already is left
    alone, so that VFs are never made anew under those who use them.
  - Every boot starts without VFs. With O(persistent) they are made again by rules in
    C(/etc/udev/rules.d/11-hearth-sriov.rules), as soon as the driver of the device is there. A rule holds for the
    device at this address with these four ids only, and acts only where there are no VFs.
  - What the device was set to before is kept in C(/var/lib/hearth/sriov), so that O(state=absent) gives it back.
  - When a step fails, the steps before it are taken back in reverse order.
extends_documentation_fragment: [hearth.gpu_host._attributes]
options:
  address:
    description:
      - The physical function, such as V(0000:3b:00.0). The domain may be left out.
      - Needed, unless O(keep) tells which devices the task is about.
    type: str
  expect:
    description:
      - The ids that the device must have, V(vendor:device) or all four as in V(8086:1572:8086:0001). Addresses move
        when cards are added.
      - All four are needed for a device that is not there yet, with O(running=false).
    type: str
  number:
    description:
      - How many VFs there are. Left out, the number stays as it is; the same holds for the options that follow.
      - With V(0) there are none, and no rule for the boot.
    type: int
  autoprobe:
    description:
      - Whether a driver of the host takes each VF as soon as it is made. V(false) is for VFs that go to guests.
        A VF with a C(driver_override), such as those of M(hearth.gpu_host.vfio_bind), goes to that driver in any case.
    type: bool
  vfs:
    description:
      - What is set of the VFs of a network device, by its driver's means (C(ip link set DEVICE vf)). What is left out
        of a VF is not touched.
      - For the boot this is the whole list. An empty one takes all such settings out of the rules; VFs that are there
        keep theirs.
      - To be kept over a boot it needs O(number).
    type: list
    elements: dict
    suboptions:
      index:
        description: The VF, from 0.
        type: int
        required: true
      mac:
        description: Its hardware address. Only zeros leave it to the driver of the VF.
        type: str
      vlan:
        description: The VLAN that its frames go to without the guest knowing. V(0) is none.
        type: int
      qos:
        description: The priority in this VLAN, 0 to 7.
        type: int
      max_tx_rate:
        description: Its limit for sending in Mbit/s. V(0) is none.
        type: int
      min_tx_rate:
        description: What it can always send in Mbit/s.
        type: int
      spoofchk:
        description: Whether frames with another sender than its address are dropped.
        type: bool
      trust:
        description: Whether its guest may do what changes the network for others, such as changing its address.
        type: bool
      link_state:
        description: Whether the guest sees the link as it is, or always up or down.
        type: str
        choices: [auto, enable, disable]
  state:
    description:
      - With V(absent), what was set of the device before is set again, and the device goes out of both files.
        Only O(address) or O(keep) matters then, and O(allow) where VFs would be taken away.
    type: str
    choices: [present, absent]
    default: present
  keep:
    description:
      - In place of O(address), with O(state=absent), gives back every device that is in either file and not in this
        list, whoever asked for its VFs. An empty list gives all of them back. Devices that are in neither file are
        never touched.
      - All of them are refused, or none. In RV(given_back) stands which they are.
    type: list
    elements: str
  allow:
    description:
      - Refusals to lift, by the names that stand in the message. V(bound) is for VFs that M(hearth.gpu_host.vfio_bind)
        keeps. Its rules take them again when they come back at the same addresses.
    type: list
    elements: str
    choices: [storage, network, display, opened, guest, bound]
    default: []
  persistent:
    description: Whether the rules for the boot are managed.
    type: bool
    default: true
  running:
    description:
      - Whether the running device and the record are managed. With V(false), as for an image that is being baked, only
        the rules are written.
    type: bool
    default: true
  contents:
    description:
      - Text of files that earlier tasks of the play have written or, in check mode, would have, by path, as in their
        RV(files). With several devices in one play, each task needs what the one before it says.
    type: dict
    default: {}
  deadline:
    description:
      - Seconds that the kernel may take for one step. Drivers look after VFs one by one, so that many take minutes.
        After that the device is marked in C(/run/hearth/vfio-hung) and left alone until a reboot.
    type: int
    default: 300
seealso:
  - module: hearth.gpu_host.vfio_bind
"""

EXAMPLES = r"""
- name: Four virtual functions for guests
  hearth.gpu_host.sriov_vfs:
    address: '0000:3b:00.0'
    expect: '8086:1572'
    number: 4
    autoprobe: false
    vfs:
      - {index: 0, mac: '52:54:00:3b:00:00', vlan: 100}
      - {index: 1, mac: '52:54:00:3b:00:01', vlan: 200, max_tx_rate: 1000, trust: false}

- name: Give the device back as it was
  hearth.gpu_host.sriov_vfs:
    address: '0000:3b:00.0'
    state: absent

- name: Give back all devices but those that are still listed
  hearth.gpu_host.sriov_vfs:
    keep: "{{ my_functions | map(attribute='address') | list }}"
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: str
  sample:
    - write /var/lib/hearth/sriov (0644)
    - set sriov_drivers_autoprobe of 0000:3b:00.0 to 0
    - set sriov_numvfs of 0000:3b:00.0 to 4
    - 'set VF 0 of ens1f0: mac 52:54:00:3b:00:00, vlan 100, qos 0'
    - write /etc/udev/rules.d/11-hearth-sriov.rules (0644)
physical:
  description: The device. Null with O(running=false) where nobody had to look at it, when it is gone, or with O(keep).
  returned: success
  type: dict
  sample:
    address: '0000:3b:00.0'
    ids: '8086:1572'
    driver: i40e
    netdev: ens1f0
    total: 64
    number: 4
    autoprobe: false
vfs:
  description:
    - Its VFs. Addresses, groups and drivers of VFs that this task would make are not known before, and null in check
      mode. Settings that the driver does not tell are null.
  returned: success
  type: list
  elements: dict
  sample:
    - index: 0
      address: '0000:3b:02.0'
      iommu_group: '61'
      driver: null
      mac: 52:54:00:3b:00:00
      vlan: 100
      qos: 0
      max_tx_rate: 0
      min_tx_rate: 0
      spoofchk: true
      trust: false
      link_state: auto
given_back:
  description: With O(keep), the devices of ours that are not kept. With O(running=false) it tells them as well.
  returned: success
  type: list
  elements: str
  sample: []
runtime_changed:
  description: Whether something of the running device was changed.
  returned: success
  type: bool
persistent_changed:
  description: Whether the rules for the boot were changed.
  returned: success
  type: bool
obstacles:
  description: What spoke against taking VFs away, and was allowed.
  returned: success
  type: list
  elements: dict
  sample: []
files:
  description: Both files as they will stand after this task, by path; empty where there is none.
  returned: success
  type: dict
  sample: {/var/lib/hearth/sriov: '', /etc/udev/rules.d/11-hearth-sriov.rules: ''}
rollback:
  description: How taking back went, with C(attempted), C(ok), C(undone) and C(failed).
  returned: failure of a step
  type: dict
"""

from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.capability import SriovVfs
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.model import LIFTABLE

INT = {"type": "int"}
BOOL = {"type": "bool"}
STR = {"type": "str"}
VF = {
    "index": {"type": "int", "required": True},
    "mac": STR,
    "vlan": INT,
    "qos": INT,
    "max_tx_rate": INT,
    "min_tx_rate": INT,
    "spoofchk": BOOL,
    "trust": BOOL,
    "link_state": {"type": "str", "choices": ["auto", "enable", "disable"]},
}


def main() -> None:
    """Run the module."""
    run_capability(
        SriovVfs,
        {
            "address": STR,
            "expect": STR,
            "number": INT,
            "autoprobe": BOOL,
            "vfs": {"type": "list", "elements": "dict", "options": VF},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "keep": {"type": "list", "elements": "str"},
            "allow": {"type": "list", "elements": "str", "choices": list(LIFTABLE), "default": []},
            "persistent": {"type": "bool", "default": True},
            "running": {"type": "bool", "default": True},
            "contents": {"type": "dict", "default": {}},
            "deadline": {"type": "int", "default": 300},
        },
        required_one_of=[("address", "keep")],
        mutually_exclusive=[("address", "keep")],
        required_if=[("state", "present", ["address"])],
    )


if __name__ == "__main__":
    main()
