#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_network
short_description: Declare virtual networks of libvirt
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Defines, starts, stops and undefines virtual networks, all of them in one call.
  - A network is compared by what is declared of it, not by its XML. What libvirt fills in (uuid, MAC address, bridge
    name) and what others added (DHCP hosts, DNS entries, port groups) stays as it is.
  - A network of ours carries a mark in its metadata. Others are never touched.
  - A network that is declared, and that somebody else made, is adopted if nothing of it gets lost. It is if it is the
    C(default) of the distribution, untouched, or if it is already as declared. It is then defined anew with our mark,
    and keeps running. Any other is refused before anything is written, unless O(networks[].adopt=true).
  - What is ours, and how adopted networks were before, is on record in C(/var/lib/hearth/libvirt.json). A definition
    that is replaced or removed is kept in C(/var/lib/hearth/backup).
extends_documentation_fragment:
  - hearth.gpu_host._attributes
requirements:
  - python3-libvirt on the host
notes:
  - Where libvirt is not installed yet, or its daemon is down, check mode predicts from the definitions that libvirt
    will load when it starts. On a bare host there are none. The real run fails there with what to do.
options:
  networks:
    description: The networks, in the order in which they are handled.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the network.
        type: str
        required: true
      state:
        description:
          - V(present) defines the network.
          - V(absent) stops and undefines a network that we made, gives an adopted one back as it was, and leaves one
            that is not ours alone (RV(left)).
        type: str
        choices: [present, absent]
        default: present
      adopt:
        description: Whether to take over a network of this name that somebody else made and that differs.
        type: bool
        default: false
      forward:
        description:
          - How guests reach the outside. V(none) isolates them, V(open) leaves the firewall alone.
          - V(bridge) puts guests on a bridge that the host already has.
        type: str
        choices: [nat, route, open, bridge, none]
        default: nat
      bridge:
        description:
          - Name of the bridge. Needed with O(networks[].forward=bridge); otherwise libvirt picks one if left out.
        type: str
      virtualport:
        description:
          - Type of the bridge's ports. V(openvswitch) for a bridge of Open vSwitch, empty for none.
          - Left out, it is not managed.
        type: str
        choices: ['', openvswitch]
      domain:
        description: DNS domain of the network. Empty clears it; left out, it is not managed.
        type: str
      mtu:
        description: MTU in bytes. V(0) clears it; left out, it is not managed.
        type: int
      ips:
        description:
          - Addresses of the host on the network. An empty list clears them; left out, they are not managed.
        type: list
        elements: dict
        suboptions:
          address:
            description: IPv4 or IPv6 address with its prefix, such as V(192.168.122.1/24).
            type: str
            required: true
          dhcp:
            description: Ranges that DHCP gives out. None, and there is no DHCP.
            type: list
            elements: dict
            suboptions:
              start:
                description: First address.
                type: str
                required: true
              end:
                description: Last address.
                type: str
                required: true
      autostart:
        description: Whether the network starts with the host.
        type: bool
        default: true
      started:
        description:
          - Whether the network runs now. A running network whose definition changes is restarted, and this is refused
            while a guest runs on it.
        type: bool
        default: true
  uri:
    description: Where libvirt listens.
    type: str
    default: qemu:///system
"""

EXAMPLES = r"""
- name: Guests behind NAT
  hearth.gpu_host.libvirt_network:
    networks:
      - name: default
        ips:
          - address: 192.168.122.1/24
            dhcp:
              - start: 192.168.122.2
                end: 192.168.122.254

- name: Guests on a bridge of Open vSwitch
  hearth.gpu_host.libvirt_network:
    networks:
      - name: lan
        forward: bridge
        bridge: br-lan
        virtualport: openvswitch

- name: No network of that name
  hearth.gpu_host.libvirt_network:
    networks:
      - name: lan
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
    - define network default
    - set autostart of network default
    - start network default
left:
  description: Objects that should be absent and are left alone, because they are not ours.
  type: list
  elements: dict
  returned: success
  sample: [{name: lan, reason: this network is not ours}]
unavailable:
  description: Why libvirt did not answer; empty when it did.
  type: str
  returned: success
  sample: ''
"""

from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.connection import DEFAULT_URI
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.objects import Networks
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability

SPAN = {"start": {"type": "str", "required": True}, "end": {"type": "str", "required": True}}
IP = {
    "address": {"type": "str", "required": True},
    "dhcp": {"type": "list", "elements": "dict", "options": SPAN},
}
NETWORK = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "adopt": {"type": "bool", "default": False},
    "forward": {"type": "str", "choices": ["nat", "route", "open", "bridge", "none"], "default": "nat"},
    "bridge": {"type": "str"},
    "virtualport": {"type": "str", "choices": ["", "openvswitch"]},
    "domain": {"type": "str"},
    "mtu": {"type": "int"},
    "ips": {"type": "list", "elements": "dict", "options": IP},
    "autostart": {"type": "bool", "default": True},
    "started": {"type": "bool", "default": True},
}


def main() -> None:
    """Run the module."""
    run_capability(
        Networks,
        {
            "networks": {"type": "list", "elements": "dict", "required": True, "options": NETWORK},
            "uri": {"type": "str", "default": DEFAULT_URI},
        },
    )


if __name__ == "__main__":
    main()
