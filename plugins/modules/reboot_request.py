#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: ask for a reboot, and see whether it helped."""

from __future__ import annotations

DOCUMENTATION = r"""
module: reboot_request
short_description: Ask for a reboot, and see whether it helped
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Keeps the reboot ledger of a host, C(/var/lib/hearth/reboot.json), who asked for a reboot, why, since when, in which
    boot, and by what one sees that it helped. It survives a run that died. This module never reboots.
  - Where a request stands is measured each time. It is I(fulfilled) when all that it expects holds, whoever rebooted,
    I(pending) while the host still runs the boot in which it was asked for, and I(failed) when the host has booted
    since and something is still missing. Another reboot would not help a failed request, so it never leads to one.
  - A request whose evidence cannot be read, such as the id of the boot, is I(unknown), neither fulfilled nor a
    reason to reboot.
  - Two views follow the ledger, the local fact C(ansible_local.hearth_reboot) and the metrics file
    C(hearth_reboot.prom) in O(metrics_dir). They go with the last request.
  - Enter a request before the change that makes it necessary, so that a run that dies in between cannot lose it.
extends_documentation_fragment: [hearth.gpu_host._attributes]
options:
  state:
    description:
      - With V(present), the request O(name) is entered, unless what it expects holds already. The same request, with
        the same O(expect), keeps its date and its boot.
      - With V(absent), the request O(name) is withdrawn; with V(cleared), all of them.
      - With V(settled), requests that are fulfilled leave the ledger, and the rest is reported.
    type: str
    choices: [present, absent, cleared, settled]
    default: present
  name:
    description: A stable name of the request, in lower-case letters, digits, dots, dashes and underscores.
    type: str
  reason:
    description: Why the host must reboot, for people.
    type: str
  requested_by:
    description: Who asks, such as the name of a role.
    type: str
    default: operator
  expect:
    description:
      - By what one sees that the reboot helped. Left out, any later boot will do.
      - A request for any later boot is a new one each time it is entered. Enter it only when something has changed.
    type: dict
    suboptions:
      present:
        description: Words that C(/proc/cmdline) must have.
        type: list
        elements: str
      absent:
        description: Words that C(/proc/cmdline) must not have, as C(name) or C(name=value).
        type: list
        elements: str
      checks:
        description: What files and folders of the running kernel must say.
        type: list
        elements: dict
        suboptions:
          path:
            description: Absolute path, such as V(/sys/class/iommu).
            type: str
            required: true
          operator:
            description:
              - V(at_least) compares numbers, V(equals) the text, where C(Y) equals C(1) and C(N) equals C(0),
                V(matches) searches a regular expression, and V(filled) wants a folder that has entries.
            type: str
            choices: [at_least, equals, matches, filled]
            required: true
          value:
            description: What to compare with.
            type: str
            default: ''
          label:
            description: What to call it in messages, instead of the path.
            type: str
            default: ''
      boot:
        description: Whether the host must have booted since.
        type: bool
        default: false
  renew:
    description:
      - Whether what fulfils the request was changed just now. The request then counts from now, so a failed one may be
        tried again.
    type: bool
    default: false
  planned:
    description:
      - Requests that earlier tasks of a check mode run would have entered, as they returned them in RV(requests). They
        count as if they were in the ledger. Refused outside check mode.
    type: list
    elements: dict
    default: []
  predict:
    description:
      - Take pending requests for fulfilled, because the reboot before this task was only predicted. Refused outside
        check mode.
    type: bool
    default: false
  metrics_dir:
    description: The folder of the metrics file, such as the one that node-exporter reads.
    type: path
    default: /var/lib/hearth/metrics
seealso:
  - module: hearth.gpu_host.play_lock
"""

EXAMPLES = r"""
- name: Ask for the reboot that huge pages need, before they are configured
  hearth.gpu_host.reboot_request:
    name: huge-pages
    reason: huge pages of 1 GiB are set aside when the kernel starts
    requested_by: vfio
    expect:
      present: [hugepagesz=1G, hugepages=64]
      checks:
        - path: /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages
          operator: at_least
          value: '64'

- name: See what is left to do, and forget what is done
  hearth.gpu_host.reboot_request:
    state: settled
  register: result

- name: Say what holds a reboot back
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.reason }}"
  loop: "{{ result.holders }}"

- name: Withdraw a request by hand
  hearth.gpu_host.reboot_request:
    name: huge-pages
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: str
  sample: [write /var/lib/hearth/reboot.json (0644)]
requests:
  description:
    - With O(state=settled), all requests that are not fulfilled. Otherwise what becomes of those that this task names,
      where C(status=withdrawn) is one that leaves unfulfilled.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: The request's name., type: str}
    reason: {description: Why the host must reboot., type: str}
    requested_by: {description: Who asks., type: str}
    since: {description: 'Since when, UTC.', type: str}
    boot_id: {description: In which boot it was asked for., type: str}
    expect: {description: By what one sees that the reboot helped., type: dict}
    status: {description: 'C(pending), C(failed), C(fulfilled), C(unknown) or C(withdrawn).', type: str}
    lacking: {description: What is missing or cannot be known., type: list, elements: str}
  sample:
    - name: kernel-args
      reason: hugepagesz=1G hugepages=64
      requested_by: vfio
      since: '2026-01-31T23:59:59Z'
      boot_id: 65b9a1e7-6d1c-4a07-9d6c-2c1d9e3b2a10
      expect: {present: [hugepagesz=1G, hugepages=64], absent: [], checks: [], boot: false}
      status: pending
      lacking: [hugepagesz=1G hugepages=64 is not in /proc/cmdline]
pending:
  description: Those of RV(requests) that the next boot may fulfil.
  returned: success
  type: list
  elements: dict
unfulfilled:
  description: Those whose boot has come and did not help, C(status=failed).
  returned: success
  type: list
  elements: dict
undecided:
  description: Those of which nothing is known, C(status=unknown).
  returned: success
  type: list
  elements: dict
fulfilled:
  description: Those that hold and leave the ledger.
  returned: success
  type: list
  elements: dict
holders:
  description:
    - What holds a reboot back, by name. A running guest is C(guest:NAME), and a file in C(/run/hearth/reboot-holds)
      goes by its own name. C(libvirt) means that guests could not be listed.
    - Looked for only while the ledger holds a request.
  returned: with O(state=settled)
  type: list
  elements: dict
  sample: [{name: 'guest:web1', reason: the guest runs (libvirt)}]
trial:
  description: Whether a trial boot of the module C(boot_trial) is armed and not yet committed.
  returned: with O(state=settled)
  type: bool
fell_back:
  description: Whether the host runs the fallback of a trial boot, because the new arguments did not start it.
  returned: with O(state=settled)
  type: bool
cmdline:
  description: The command line of the running kernel.
  returned: with O(state=settled)
  type: str
foretold:
  description: Whether O(planned) has a request that stays and that the ledger does not have in this form yet.
  returned: with O(state=settled)
  type: bool
play:
  description: Whether this task belongs to a run that may hold the host's lock. A reboot takes the lock away.
  returned: with O(state=settled)
  type: bool
"""

from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.ledger import OPERATORS
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.look import RebootRequest

CHECK = {
    "path": {"type": "str", "required": True},
    "operator": {"type": "str", "choices": list(OPERATORS), "required": True},
    "value": {"type": "str", "default": ""},
    "label": {"type": "str", "default": ""},
}
EXPECT = {
    "present": {"type": "list", "elements": "str"},
    "absent": {"type": "list", "elements": "str"},
    "checks": {"type": "list", "elements": "dict", "options": CHECK},
    "boot": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    states = ["present", "absent", "cleared", "settled"]
    run_capability(
        RebootRequest,
        {
            "state": {"type": "str", "choices": states, "default": "present"},
            "name": {"type": "str"},
            "reason": {"type": "str"},
            "requested_by": {"type": "str", "default": "operator"},
            "expect": {"type": "dict", "options": EXPECT},
            "renew": {"type": "bool", "default": False},
            "planned": {"type": "list", "elements": "dict", "default": []},
            "predict": {"type": "bool", "default": False},
            "metrics_dir": {"type": "path", "default": "/var/lib/hearth/metrics"},
        },
        required_if=[("state", "present", ("name", "reason")), ("state", "absent", ("name",))],
    )


if __name__ == "__main__":
    main()
