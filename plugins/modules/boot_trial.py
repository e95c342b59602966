#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: boot new kernel arguments once, on trial."""

from __future__ import annotations

DOCUMENTATION = r"""
module: boot_trial
short_description: Boot new kernel arguments once, on trial
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Lets a host that boots by GRUB try what has just been configured in one boot, and go back by itself to what ran
    before when that boot does not end well.
  - Arming adds two entries to the menu. C(hearth-trial) is a copy of the entry that boots by itself, which has the new
    arguments, with C(panic) and the word C(hearth.trial) added. C(hearth-fallback) starts the kernel that runs now with
    the words of C(/proc/cmdline), and with the initial RAM disk that is kept beside one that was built in this boot.
    The fallback becomes what boots by itself, and GRUB is told to boot the trial once.
  - So a panic reboots into the fallback, and a host that hangs starts it when its power is switched off and on. Nothing
    is waited for in GRUB's menu for longer than some seconds.
  - Committing, after the reboot, looks where the host came from. When it was the trial, all of this is removed, and the
    menu boots the new arguments by itself. When it was the fallback, nothing is changed.
  - The settings of the operator, C(GRUB_DEFAULT) among them, stay as they are; a drop-in of our own wins over them as
    long as the trial lasts.
  - In a boot on trial the kernel has C(panic) set. The next regular boot is without it.
extends_documentation_fragment:
  - hearth.gpu_host._attributes
options:
  state:
    description:
      - V(armed) prepares a trial, after the boot configuration is in place and before the reboot. Nothing is changed
        when the host cannot do that, see RV(supported).
      - V(committed) ends a trial that the host came back from, or of which a run that died left something. One that has
        not begun, or that ended in the fallback, stays.
      - V(withdrawn) takes a trial back that nobody asks for any more. One that ended in the fallback stays as long as
        what did not start is configured, because that would boot next.
      - V(absent) takes a trial back in any case. What is configured then boots by itself.
    type: str
    choices: [armed, committed, withdrawn, absent]
    required: true
  predict:
    description:
      - Count with what earlier tasks of a check mode run have only predicted. With O(state=armed) and
        O(state=withdrawn), that what is configured has changed; with O(state=committed), that the trial was armed and
        that the host came back on it.
        Refused outside check mode.
    type: bool
    default: false
  panic:
    description: After how many seconds a kernel on trial that panics reboots.
    type: int
    default: 30
notes:
  - GRUB must be able to write its environment block at boot, or the trial would be booted for ever. It can on ext4, XFS
    and FAT, on a plain partition. It cannot on LVM, software RAID, Btrfs and ZFS.
seealso:
  - module: hearth.gpu_host.reboot_request
"""

EXAMPLES = r"""
- name: Try the new arguments once
  hearth.gpu_host.boot_trial:
    state: armed
  register: trial

- name: Reboot
  ansible.builtin.reboot:
    reboot_timeout: 1800
  when: trial.supported

- name: Keep the new arguments
  hearth.gpu_host.boot_trial:
    state: committed
  register: trial
  failed_when: trial.fell_back
"""

RETURN = r"""
actions:
  description: What was done, or in check mode what would be done, in order.
  returned: always
  type: list
  elements: str
  sample:
    - write /etc/grub.d/42_hearth (0755)
    - write /etc/default/grub.d/zz-hearth-trial.cfg (0644)
    - generate /boot/grub/grub.cfg
    - set next_entry=hearth-trial in /boot/grub/grubenv
supported:
  description: Whether this host can boot on trial. Whether GRUB can write is looked at with O(state=armed) only.
  returned: success
  type: bool
why:
  description: Why it cannot; empty when it can.
  returned: success
  type: str
  sample: /boot/grub is on lvm, which GRUB reads and cannot write
armed:
  description: Whether a trial is prepared, after this task.
  returned: success
  type: bool
outcome:
  description:
    - How the host came up, as found by this task before it changed anything.
    - V(none), there is no trial. V(waiting), it has not been rebooted since. V(trial), it came back. V(fallback), it
      did not come up with the new arguments. V(other), somebody booted another entry. V(unfinished), a run died while
      it prepared a trial or ended one.
  returned: success
  type: str
  sample: trial
fell_back:
  description: Whether RV(outcome) is V(fallback).
  returned: success
  type: bool
advice:
  description: What to do next, if there is something to do.
  returned: success
  type: str
trial:
  description: The kernel's words of the trial; empty when none is prepared.
  returned: success
  type: str
  sample: root=UUID=7c1f6f5e-2f1b-4c8e-9d53-0a4d9a1b6c01 ro quiet hugepages=64 panic=30 hearth.trial
difference:
  description: For people, what the trial has and the fallback has not, and the other way round; empty without a trial.
  returned: success
  type: str
  sample: with hugepages=64, without quiet
fallback:
  description: The kernel's words of the fallback; empty when none is prepared.
  returned: success
  type: str
  sample: root=UUID=7c1f6f5e-2f1b-4c8e-9d53-0a4d9a1b6c01 ro quiet hearth.fallback
"""

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.trial import STATES, BootTrial
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability


def main() -> None:
    """Run the module."""
    run_capability(
        BootTrial,
        {
            "state": {"type": "str", "choices": list(STATES), "required": True},
            "panic": {"type": "int", "default": 30},
            "predict": {"type": "bool", "default": False},
        },
    )


if __name__ == "__main__":
    main()
