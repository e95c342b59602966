#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: the firewall of a host as one policy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: iptables_baseline
short_description: Keep the firewall of a host as one policy that cannot lock you out
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Computes the rules for IPv4 and IPv6 from zones and services, compares them with the live ones, and loads each
    family in one transaction when they differ. Only chains whose names begin with C(HEARTH-) and the jumps to them
    are touched, so that the rules of Docker, libvirt, fail2ban, Kubernetes and of people stay byte for byte.
  - Before anything is loaded, the tables that would result are evaluated. A policy that would cut off the connection
    this play came over, the management networks, loopback, established connections or the neighbour discovery of IPv6
    is refused, and so is one whose rules a foreign rule makes dead. The message names the rule and the remedy.
  - A change is guarded. The host itself takes it back after O(rollback_timeout), unless the controller has confirmed
    over a new connection that it still gets in. It does so as well when the module is killed, when the controller is
    gone, and when the host boots in between. Only after that the next boot loads the new rules.
  - At boot, C(hearth-firewall.service) loads the rules before the network is up. Rules that cannot be loaded then are
    replaced by a minimum that lets the management networks in, and the unit fails.
  - Ports that Docker publishes never pass the INPUT chain. Services with O(services[].published_by=docker) are filtered
    where Docker lets users filter, in C(DOCKER-USER).
extends_documentation_fragment: [hearth.gpu_host._attributes]
options:
  state:
    description:
      - With V(absent), all chains and jumps of this module go, the loader and its unit as well, and built-in policies
        that this module had changed become what they were. Of the other options, only O(backend), O(running),
        O(rollback_timeout), O(controller) and O(allow) matter then.
    type: str
    choices: [present, absent]
    default: present
  families:
    description:
      - For which families there are rules. A family that is left out has no rules of this module, and what it had goes.
    type: list
    elements: str
    choices: [ipv4, ipv6]
    default: [ipv4, ipv6]
  backend:
    description:
      - Which implementation of iptables is used. V(auto) is the one that C(iptables) of the host leads to, which
        Docker and libvirt use too. When the other one has rules, the task is refused as C(mixed_backends).
    type: str
    choices: [auto, nft, legacy]
    default: auto
  default_input:
    description:
      - What becomes of a packet to this host that nothing has let in. It is the last rule of our own chain, so that
        flushing everything never closes the host.
    type: str
    choices: [drop, reject, accept]
    default: drop
  input_policy:
    description: The policy of the built-in chain INPUT. What it was is kept, and comes back with O(state=absent).
    type: str
    choices: [leave, accept, drop]
    default: leave
  default_forward:
    description: What becomes of packets that this host forwards and nothing has let through.
    type: str
    choices: [leave, drop]
    default: leave
  zones:
    description:
      - Where packets come from, by name; each has C(sources), networks such as V(192.0.2.0/24), C(interfaces), or
        both, of which both have to match. Names of hosts are refused, and so are networks with bits set behind their
        length.
      - The zone V(any) is always there.
    type: dict
    default: {}
  services:
    description: What may be reached, and from where. Names are unique.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name, which stands in the comment of each of its rules.
        type: str
        required: true
      ports:
        description: Ports such as V(22/tcp) and V(6800-7568/tcp), or names of well-known services such as V(ssh).
        type: list
        elements: str
        required: true
      zones:
        description: Zones or networks that may reach it. An empty list closes it.
        type: list
        elements: str
        default: [any]
      rate_limit:
        description: How many new connections one source may make.
        type: dict
        suboptions:
          new:
            description: A number per second, minute, hour or day.
            type: str
            default: 10/minute
          burst:
            description: How many may come at once.
            type: int
            default: 20
      published_by:
        description:
          - Who publishes the port. With V(docker), nobody else than O(services[].zones) reaches the port that Docker
            publishes on the host, whatever port the container has; nothing is opened in INPUT.
        type: str
        choices: [docker]
  management:
    description:
      - Zones or networks that always get in, before everything else but loopback and established connections, and
        when the rules cannot be loaded at boot. Give at least the network that the controller is in.
    type: list
    elements: str
    default: []
  management_ports:
    description: The ports that they reach.
    type: list
    elements: str
    default: [22/tcp]
  guest_networks:
    description:
      - Bridges of libvirt's NAT networks, such as V(virbr+), where C(+) stands for any end. Guests there get
        addresses and names from this host.
    type: list
    elements: str
    default: []
  blocklist:
    description: Sources that never get in, kept as an ipset.
    type: dict
    suboptions:
      sources:
        description: Networks and addresses.
        type: list
        elements: str
        default: []
  anti_spoof:
    description: Which sources belong to which interface.
    type: dict
    suboptions:
      interfaces:
        description:
          - By interface, the networks behind it. Other sources are dropped there, and these sources are dropped
            everywhere else.
        type: dict
        default: {}
  log:
    description: How packets are logged that are dropped in the end. Left out, they are not.
    type: dict
    suboptions:
      drops:
        description: Whether they are logged.
        type: bool
        default: true
      prefix:
        description: What each line begins with, at most 29 characters.
        type: str
        default: 'hearth-drop: '
      limit:
        description: How many lines there are per second, minute, hour or day.
        type: str
        default: 5/minute
      burst:
        description: How many lines may come at once.
        type: int
        default: 10
  essential_icmp:
    description:
      - Whether the ICMP that networks need is let in, such as path MTU discovery. Without the neighbour discovery of
        IPv6 a policy that denies is refused.
    type: bool
    default: true
  extra_rules:
    description: Rules as iptables has them, for what zones and services cannot say.
    type: list
    elements: dict
    default: []
    suboptions:
      where:
        description:
          - V(first) is before all other rules of this module, V(input) after the services, V(forward) and V(docker)
            where forwarded packets and published ports are filtered.
        type: str
        choices: [first, input, forward, docker]
        required: true
      families:
        description: For which families. Left out, it is the family of the addresses and of the protocol, or both.
        type: list
        elements: str
        choices: [ipv4, ipv6]
      rule:
        description: The words after C(-A CHAIN), such as V(-s 192.0.2.9/32 -p gre -j ACCEPT).
        type: str
        required: true
      comment:
        description: What its comment says, unless the rule has one. Left out, it says V(extra).
        type: str
  allow:
    description:
      - Refusals to lift, by the names that stand in the message. The guard stays, so that a change that cuts the
        controller off is taken back.
    type: list
    elements: str
    choices:
      - controller
      - management
      - loopback
      - established
      - neighbour_discovery
      - foreign_above
      - mixed_backends
      - other_firewall
    default: []
  rollback_timeout:
    description:
      - Seconds after which the host takes a change back that the controller has not confirmed, 45 to 3600. V(0) is no
        guard at all.
    type: int
    default: 90
  persist:
    description:
      - Whether a unit of our own loads the rules at boot. With V(none), nothing is left for the boot; what was there
        goes.
    type: str
    choices: [unit, none]
    default: unit
  running:
    description:
      - Whether the tables of the running kernel are managed. With V(false), as for an image that is being baked, only
        the files for the boot are.
    type: bool
    default: true
  awaited:
    description:
      - Where iptables is missing, count the tables as empty. For check mode, where an earlier task installs it.
    type: bool
    default: false
  controller:
    description:
      - The address that the controller comes from. Left out, it is measured from the SSH session of this task.
    type: str
    default: ''
  transport:
    description: How the controller is connected. Set by the action plugin.
    type: str
    default: ''
seealso:
  - module: hearth.gpu_host.declarations
  - module: hearth.gpu_host.undo_script
"""

EXAMPLES = r"""
- name: Web server that is managed from one network
  hearth.gpu_host.iptables_baseline:
    management: [192.0.2.0/24, '2001:db8:1::/64']
    services:
      - {name: http, ports: [80/tcp]}
      - {name: https, ports: [443/tcp]}

- name: Hypervisor with a storage network and a published container
  hearth.gpu_host.iptables_baseline:
    zones:
      mgmt: {sources: [192.0.2.0/24, '2001:db8:1::/64']}
      storage: {sources: [198.51.100.0/24], interfaces: [storage0]}
    management: [mgmt]
    guest_networks: [virbr+]
    services:
      - {name: ssh, ports: [22/tcp], rate_limit: {new: 10/minute, burst: 20}}
      - {name: ceph-osd, ports: [6800-7568/tcp], zones: [storage]}
      - {name: comfyui, ports: [8188/tcp], zones: [mgmt], published_by: docker}
    blocklist: {sources: [203.0.113.0/24]}

- name: Give the host back without a firewall of ours
  hearth.gpu_host.iptables_baseline:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: str
  sample:
    - write /usr/local/libexec/hearth-firewall (0755)
    - write /etc/systemd/system/hearth-firewall.service (0644)
    - stage the rules in /etc/hearth/firewall/0f3c9a1b22d4
    - run sh /usr/local/libexec/hearth-firewall load /etc/hearth/firewall/0f3c9a1b22d4
rules:
  description: The wanted policies, jumps and chains of this module, by family.
  returned: success
  type: dict
  contains:
    v4: {description: 'Lines for IPv4.', type: list, elements: str}
    v6: {description: 'Lines for IPv6.', type: list, elements: str}
  sample: {v4: ['-A HEARTH-EARLY -i lo -m comment --comment "hearth:loopback" -j ACCEPT'], v6: []}
backend:
  description: The implementation of iptables. Null with O(running=false).
  returned: success
  type: str
  sample: nft
foreign:
  description: Chains that are not of this module, with their likely owners. They are never touched.
  returned: success
  type: list
  elements: dict
  sample: [{family: 4, chain: DOCKER-USER, owner: docker}]
objections:
  description:
    - What speaks against a change, with C(name), C(family) (0 for both), C(message), C(remedy), and whether it was
      C(allowed). Empty when nothing changes.
  returned: success, or refusal because of them
  type: list
  elements: dict
  sample: []
cautions:
  description: What makes the policy worth less, now or after the next boot. Each is shown as a warning, too.
  returned: success
  type: list
  elements: str
  sample: []
caller:
  description: Where the controller comes from, as far as it is known.
  returned: success
  type: dict
  sample: {address: 192.0.2.7, server_address: 192.0.2.11, server_port: 22}
guard:
  description:
    - The guard that waits for a confirmation, with C(token), C(what), C(window_s), C(deadline) and C(confirm), the
      command that confirms. Null where nothing has to be confirmed, and in check mode.
  returned: success
  type: dict
  sample: null
confirmed:
  description: Whether the controller has confirmed a guarded change over a new connection. Set by the action plugin.
  returned: when a guarded change was made
  type: bool
rollback:
  description: How taking back went, with C(attempted), C(ok), C(undone) and C(failed).
  returned: failure of a step
  type: dict
"""

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.capability import Firewall
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import LIFTABLE
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability

STR = {"type": "str", "default": ""}
WORDS = {"type": "list", "elements": "str", "default": []}
FAMILIES = {**WORDS, "choices": ["ipv4", "ipv6"], "default": ["ipv4", "ipv6"]}
RATE = {"new": {"type": "str", "default": "10/minute"}, "burst": {"type": "int", "default": 20}}
SERVICE = {
    "name": {"type": "str", "required": True},
    "ports": {"type": "list", "elements": "str", "required": True},
    "zones": {**WORDS, "default": ["any"]},
    "rate_limit": {"type": "dict", "options": RATE},
    "published_by": {"type": "str", "choices": ["docker"]},
}
LOG = {
    "drops": {"type": "bool", "default": True},
    "prefix": {"type": "str", "default": "hearth-drop: "},
    "limit": {"type": "str", "default": "5/minute"},
    "burst": {"type": "int", "default": 10},
}
EXTRA = {
    "where": {"type": "str", "choices": ["first", "input", "forward", "docker"], "required": True},
    "families": {"type": "list", "elements": "str", "choices": ["ipv4", "ipv6"]},
    "rule": {"type": "str", "required": True},
    "comment": {"type": "str"},
}


def choice(*choices: str) -> dict[str, object]:
    """Return the specification of an option whose first choice is the default."""
    return {"type": "str", "choices": list(choices), "default": choices[0]}


def main() -> None:
    """Run the module."""
    dicts = {"type": "list", "elements": "dict", "default": []}
    spec = {
        "state": choice("present", "absent"),
        "families": FAMILIES,
        "backend": choice("auto", "nft", "legacy"),
        "default_input": choice("drop", "reject", "accept"),
        "input_policy": choice("leave", "accept", "drop"),
        "default_forward": choice("leave", "drop"),
        "zones": {"type": "dict", "default": {}},
        "services": {**dicts, "options": SERVICE},
        "management": WORDS,
        "management_ports": {**WORDS, "default": ["22/tcp"]},
        "guest_networks": WORDS,
        "blocklist": {"type": "dict", "options": {"sources": WORDS}},
        "anti_spoof": {"type": "dict", "options": {"interfaces": {"type": "dict", "default": {}}}},
        "log": {"type": "dict", "options": LOG},
        "essential_icmp": {"type": "bool", "default": True},
        "extra_rules": {**dicts, "options": EXTRA},
        "allow": {**WORDS, "choices": list(LIFTABLE)},
        "rollback_timeout": {"type": "int", "default": 90},
        "persist": choice("unit", "none"),
        "running": {"type": "bool", "default": True},
        "awaited": {"type": "bool", "default": False},
        "controller": STR,
        "transport": STR,
    }
    run_capability(Firewall, spec)


if __name__ == "__main__":
    main()
