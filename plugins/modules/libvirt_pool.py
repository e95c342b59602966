#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_pool
short_description: Declare storage pools of libvirt
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Defines, builds, starts, stops and undefines storage pools, all of them in one call.
  - A pool is compared by what is declared of it, not by its XML. What libvirt fills in stays as it is.
  - No volume is ever deleted.
  - What is ours, and how adopted pools were before, is on record in C(/var/lib/hearth/libvirt.json), since libvirt
    keeps no metadata for pools. Other pools are never touched.
  - A pool that is declared, and that somebody else made, is adopted if it is already as declared. Any other is refused
    before anything is written, unless O(pools[].adopt=true). A definition that is replaced or removed is kept in
    C(/var/lib/hearth/backup).
extends_documentation_fragment:
  - hearth.gpu_host._attributes
requirements:
  - python3-libvirt on the host
notes:
  - Where libvirt is not installed yet, or its daemon is down, check mode predicts from the definitions that libvirt
    will load when it starts. On a bare host there are none. The real run fails there with what to do.
options:
  pools:
    description: The pools, in the order in which they are handled.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the pool.
        type: str
        required: true
      state:
        description:
          - V(present) defines the pool.
          - V(absent) stops and undefines a pool that we made, gives an adopted one back as it was, and leaves one that
            is not ours alone (RV(left)). The files in it stay.
        type: str
        choices: [present, absent]
        default: present
      adopt:
        description: Whether to take over a pool of this name that somebody else made and that differs.
        type: bool
        default: false
      type:
        description:
          - V(dir) is a directory, made when it is missing.
          - V(logical) is a volume group that exists.
          - V(netfs) is an exported directory of another host, mounted at O(pools[].path).
        type: str
        choices: [dir, logical, netfs]
        default: dir
      path:
        description: The directory, or where it is mounted. Needed by V(dir) and V(netfs).
        type: str
      source:
        description: The volume group of a V(logical) pool, or the exported directory of a V(netfs) pool.
        type: str
      source_host:
        description: The host that exports the directory of a V(netfs) pool.
        type: str
      mode:
        description: Mode of the directory, such as V('0711'). Left out, it is not managed.
        type: str
      autostart:
        description: Whether the pool starts with the host.
        type: bool
        default: true
      started:
        description:
          - Whether the pool runs now. A running pool whose definition changes is restarted, and this is refused while
            a guest has a disk in it.
        type: bool
        default: true
  uri:
    description: Where libvirt listens.
    type: str
    default: qemu:///system
"""

EXAMPLES = r"""
- name: The default pool, and one on a volume group
  hearth.gpu_host.libvirt_pool:
    pools:
      - name: default
        path: /var/lib/libvirt/images
      - name: fast
        type: logical
        source: vg_nvme

- name: No pool of that name
  hearth.gpu_host.libvirt_pool:
    pools:
      - name: fast
        state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode what would be done, in order.
  type: list
  elements: str
  returned: always
  sample:
    - record what is ours in /var/lib/hearth/libvirt.json
    - define pool default
    - set autostart of pool default
    - build pool default
    - start pool default
left:
  description: Objects that should be absent and are left alone, because they are not ours.
  type: list
  elements: dict
  returned: success
  sample: [{name: lan, reason: this pool is not ours}]
unavailable:
  description: Why libvirt did not answer; empty when it did.
  type: str
  returned: success
  sample: ''
"""

from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.connection import DEFAULT_URI
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.objects import Pools
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability

POOL = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "adopt": {"type": "bool", "default": False},
    "type": {"type": "str", "choices": ["dir", "logical", "netfs"], "default": "dir"},
    "path": {"type": "str"},
    "source": {"type": "str"},
    "source_host": {"type": "str"},
    "mode": {"type": "str"},
    "autostart": {"type": "bool", "default": True},
    "started": {"type": "bool", "default": True},
}


def main() -> None:
    """Run the module."""
    run_capability(
        Pools,
        {
            "pools": {"type": "list", "elements": "dict", "required": True, "options": POOL},
            "uri": {"type": "str", "default": DEFAULT_URI},
        },
    )


if __name__ == "__main__":
    main()
