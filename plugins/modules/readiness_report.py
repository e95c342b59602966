#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: readiness_report
short_description: Write the readiness report of a host on the controller
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Writes C(readiness.json), C(readiness.md) and one self-contained page C(readiness.html) about a host on the
    controller. The verdict comes first, then every finding with its remedy, then how the host boots, then the devices
    that guests get, then who may reach which service, then a drawing of the machine, then what this run changed.
  - What this run changed is known from the callback C(hearth.gpu_host.changes). Without it the report says that
    changes were not recorded, which does not mean that there were none.
notes:
  - Runs on the controller and does not touch the host. It therefore writes in check mode too; the title then says
    that it is a prediction.
  - Reports C(changed=false) always, since a report is no change of the host.
extends_documentation_fragment: [hearth.gpu_host._attributes.info]
attributes:
  check_mode:
    support: full
    description: The host is never touched; the report of a run in check mode is marked as a prediction.
  platform:
    support: full
    platforms: posix
    description: Runs on the controller, whatever the host is.
options:
  dest:
    description:
      - Folder on the controller; each host gets a folder of its own in it, named like the host. What cannot stand in
        the name of a folder becomes an underscore, and a short mark keeps such names apart.
    type: path
    required: true
  preflight:
    description: The result of M(hearth.gpu_host.kvm_check).
    type: dict
    default: {}
  verify:
    description: What the roles proved at the end, by role; each with C(status), C(why) and C(seconds).
    type: dict
    default: {}
  declared:
    description: What M(hearth.gpu_host.declarations) returns as C(merged).
    type: dict
    default: {}
  boot:
    description:
      - How the host boots, as the role C(boot) exports it in C(boot_state).
      - The report shows what is wanted, configured and effective side by side.
    type: dict
    default: {}
  vfio:
    description: The devices that guests get, as the role C(vfio) exports them in C(vfio_state).
    type: dict
    default: {}
  firewall:
    description: Who may reach what, as the role C(firewall) exports it in C(firewall_state).
    type: dict
    default: {}
  reboots:
    description:
      - The requests of the reboot ledger with their status, as the role C(reboot) exports them in C(reboot_ledger).
      - While one is pending, no host is called ready; one that a reboot did not fulfil fails the report's verdict.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: See what the host can do
  hearth.gpu_host.kvm_check:
  register: readiness

- name: Write the report
  hearth.gpu_host.readiness_report:
    dest: "{{ lookup('ansible.builtin.env', 'PWD') }}/reports"
    preflight: "{{ readiness }}"
"""

RETURN = r"""
paths:
  description: The files by kind, with their whole path.
  type: dict
  returned: success
  sample:
    html: /srv/reports/gpu01/readiness.html
    json: /srv/reports/gpu01/readiness.json
    md: /srv/reports/gpu01/readiness.md
verdict:
  description: C(pass), C(warn), C(unknown) or C(fail).
  type: str
  returned: success
  sample: pass
headline:
  description: The verdict in words.
  type: str
  returned: success
  sample: Ready
"""
