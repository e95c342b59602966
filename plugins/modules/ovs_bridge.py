#!/usr/bin/python
# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: one bridge of Open vSwitch, whole."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ovs_bridge
short_description: Keep a bridge of Open vSwitch, whole, and the host's own address on it
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Manages one bridge with its ports, VLANs, bonds, tunnels, patches, mirrors, QoS and controllers. It is read in one
    round trip, compared, and changed in one transaction that fails whole if anybody else changed the bridge meanwhile.
  - An option that is left out, or null, is not managed. An empty one (V([]), V({}), V(''), V(none)) clears. A value is
    enforced. In mappings only the keys that are given are compared, and a key with null is deleted, unless the
    option with C(_mode) says V(replace).
  - Open vSwitch takes much that does not work, such as a port without a device, a tunnel without its other end, or a
    patch without a peer, and its tools end with success. So each changed port is looked at afterwards. When one does
    not work, the task fails with its name, and the bridge is what it was before.
  - Rows that the module makes carry C(hearth-owner) in their C(external_ids). Ports that libvirt, OpenStack, OVN or LXD
    have made for guests are never touched.
  - What would cut off the host, the controller or a guest is refused before anything is written. The message has a
    name for it in brackets, and O(allow) lifts that one.
  - With O(host_network), the addresses, routes, rules and the MAC address of a device of the host move on to the bridge
    when the device becomes a port, and come back from it with O(state=absent).
  - A change that the host itself hangs on is guarded. The host takes it back after
    O(host_network.rollback_timeout), unless the controller has confirmed over a new connection that it still
    gets in. It does so as well when the module is killed, when the controller is gone, and when the host boots in
    between. What the next boot needs is written after that only.
  - In check mode the server itself judges the transaction, and drops it.
extends_documentation_fragment: [hearth.gpu_host._attributes]
options:
  name:
    description: The name of the bridge, at most 15 characters.
    type: str
    required: true
  state:
    description:
      - With V(absent), the bridge goes with all its ports. It is refused while guests are on it, and while it carries
        addresses of the host and O(host_network) does not say that they move back. Of the other options, only
        O(host_network), O(allow), O(db), O(timeout), O(awaited) and O(on_realise_error) matter then.
    type: str
    choices: [present, absent]
    default: present
  datapath_type:
    description: V(system) is the datapath of the kernel, V(netdev) the one in userspace, which DPDK needs.
    type: str
    choices: [system, netdev]
  fail_mode:
    description:
      - What the bridge does while no controller answers. V(standalone) is an ordinary switch; with V(secure) nothing is
        forwarded.
    type: str
    choices: [standalone, secure, none]
  stp:
    description: Whether it speaks STP, which lets no frame pass for half a minute. Bonds take no part in it.
    type: bool
  rstp:
    description: Whether it speaks RSTP, which takes two or three seconds. It cannot be had together with O(stp).
    type: bool
  mcast_snooping:
    description: Whether multicast goes only where somebody listens.
    type: bool
  protocols:
    description: Versions of OpenFlow that it speaks, V(OpenFlow10) to V(OpenFlow15).
    type: list
    elements: str
  controllers:
    description: Targets such as V(tcp:192.0.2.1:6653) and V(ptcp:6653:127.0.0.1).
    type: list
    elements: str
  hwaddr:
    description:
      - The MAC address of the bridge. V(auto) is the one of the device whose addresses move on to it, or of the first
        device that it has. V(none) leaves it to Open vSwitch, which may change it with each port.
      - With O(host_network) it is V(auto) unless something else is given.
    type: str
  mtu:
    description: The MTU of the bridge's own port, or V(none).
    type: str
  other_config:
    description: Settings of the bridge, such as C(mac-aging-time). A key that Open vSwitch does not know is warned of.
    type: dict
  other_config_mode:
    description: Whether other keys stay in C(other_config) of the bridge, of ports, of QoS and of queues, or go.
    type: str
    choices: [merge, replace]
    default: merge
  external_ids:
    description: Marks of others at the bridge.
    type: dict
  external_ids_mode:
    description: Whether other keys stay in C(external_ids) of the bridge and of ports, or go.
    type: str
    choices: [merge, replace]
    default: merge
  options_mode:
    description: Whether other keys stay in C(options) of interfaces, or go.
    type: str
    choices: [merge, replace]
    default: merge
  ports:
    description:
      - All ports of the bridge but its own. O(purge) says what becomes of those that are not in it. Left out,
        ports are not managed.
    type: list
    elements: dict
    suboptions:
      name:
        description: Its name, for a device of the host the name of the device.
        type: str
        required: true
      type:
        description:
          - V(system) for a device of the host, V(internal) for one that Open vSwitch makes, or V(patch), V(vxlan),
            V(geneve), V(gre), V(dpdk) and what else Open vSwitch has. Left out, it is a device of the host.
        type: str
      members:
        description: Devices of a bond, at least two.
        type: list
        elements: str
      peer:
        description: The patch port at the other end of a patch port.
        type: str
      options:
        description:
          - Options of the interface, such as C(remote_ip) and C(key) of a tunnel. The value of C(psk) is a secret and
            appears nowhere.
        type: dict
      mtu:
        description: The MTU of its interfaces, or V(none).
        type: str
      tag:
        description: Its VLAN, or V(none).
        type: str
      trunks:
        description: VLANs that it carries with their tags, as numbers and as ranges such as V(30-35).
        type: list
        elements: str
      vlan_mode:
        description: What it does with tags. With V(native-untagged), O(ports[].tag) has none on the wire.
        type: str
        choices: [access, trunk, native-tagged, native-untagged, dot1q-tunnel, none]
      bond_mode:
        description: How a bond spreads frames. V(balance-tcp) needs O(ports[].lacp).
        type: str
        choices: [active-backup, balance-slb, balance-tcp, none]
      lacp:
        description: Whether a bond speaks LACP with its switch.
        type: str
        choices: [active, passive, 'off', none]
      bond_updelay:
        description: Milliseconds before a member that has come up is used.
        type: str
      bond_downdelay:
        description: Milliseconds before a member that has gone down is not used any more.
        type: str
      other_config:
        description: Settings of the port, such as C(lacp-time).
        type: dict
      external_ids:
        description: Marks of others at the port.
        type: dict
  mirrors:
    description: Copies of frames. Those of this module that are not in it go.
    type: list
    elements: dict
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      select_all:
        description: Whether frames of all ports are copied.
        type: bool
      select_src_port:
        description: Ports whose incoming frames are copied.
        type: list
        elements: str
      select_dst_port:
        description: Ports whose outgoing frames are copied.
        type: list
        elements: str
      select_vlan:
        description: Only frames of these VLANs.
        type: list
        elements: str
      output_port:
        description: Where the copies go. Nothing else goes there any more.
        type: str
      output_vlan:
        description: The VLAN that the copies go to.
        type: str
      snaplen:
        description: How many bytes of a frame are copied, or V(none) for all.
        type: str
  qos:
    description:
      - The QoS of ports by their names, each with C(type), C(max_rate) in bit/s, C(other_config), and C(queues) by
        number with C(min_rate), C(max_rate), C(burst), C(priority), C(dscp) and C(other_config).
      - It is the whole of it. A port of O(ports) that is not in it has none.
    type: dict
  purge:
    description:
      - Which ports go that are not in O(ports). V(owned) are those that this module has made, V(all) are all but those
        of guests.
    type: str
    choices: [none, owned, all]
    default: owned
  host_network:
    description: The host's own addresses. Left out, nothing of the host moves.
    type: dict
    suboptions:
      mode:
        description:
          - With V(auto), what a listed device carries of the host moves on to the bridge; V(required) fails if the
            bridge would carry nothing. With V(off) nothing moves.
        type: str
        choices: [auto, required, 'off']
        default: auto
      from:
        description:
          - The device. Left out, and with V(default_route), it is the listed one that the SSH connection or the default
            route is on. With O(state=absent) it is the one that gets the addresses back.
        type: str
      persist:
        description:
          - Who configures the bridge after a reboot. V(auto) is whoever configures the device now; two of them are
            refused. With V(none) nothing is written.
        type: str
        choices: [auto, none, networkd, netplan, ifupdown, networkmanager]
        default: auto
      rollback_timeout:
        description: Seconds after which the host takes a change back that the controller has not confirmed, 45 to 3600.
        type: int
        default: 90
  allow:
    description:
      - Refusals to lift, by the names that stand in the message. V(lockout) and V(host_address) do not lift the guard,
        so that a change that cuts the controller off is taken back.
      - With V(missing_nic), a device, or the other end of a patch port, may come later.
    type: list
    elements: str
    choices: [lockout, steal, datapath_change, missing_nic, loop, guest_ports, host_address]
    default: []
  on_realise_error:
    description:
      - What becomes of a change that Open vSwitch has taken and does not carry out. The task fails in both cases. A
        guarded change is always taken back.
    type: str
    choices: [revert, keep]
    default: revert
  db:
    description:
      - The database of Open vSwitch, V(unix:PATH), V(tcp:ADDRESS:PORT) or V(ssl:ADDRESS:PORT). What the host hangs on
        is changed over its own socket only.
    type: str
    default: unix:/run/openvswitch/db.sock
  timeout:
    description: Seconds that the database, and then C(ovs-vswitchd), may take for one change.
    type: int
    default: 15
  awaited:
    description:
      - Where there is no Open vSwitch, count its database as empty. For check mode, where an earlier task installs it.
    type: bool
    default: false
  secrets:
    description: Secret values of O(ports[].options) by port and key. Set by the action plugin.
    type: dict
    default: {}
  transport:
    description: How the controller is connected. Set by the action plugin.
    type: str
    default: ''
seealso:
  - module: hearth.gpu_host.libvirt_network
  - module: hearth.gpu_host.iptables_baseline
"""

EXAMPLES = r"""
- name: Uplink bridge that also carries the host's own address
  hearth.gpu_host.ovs_bridge:
    name: br-ex
    ports:
      - {name: eno1}
      - {name: storage0, type: internal, tag: 30, mtu: 9000}
    host_network:
      mode: auto

- name: Bond with VLANs, limited to 10 Gbit/s
  hearth.gpu_host.ovs_bridge:
    name: br-vm
    fail_mode: standalone
    rstp: false
    ports:
      - name: bond0
        members: [ens1f0, ens1f1]
        bond_mode: balance-tcp
        lacp: active
        trunks: [20, 30-35]
        other_config: {lacp-time: fast}
    qos:
      bond0: {type: linux-htb, max_rate: 10000000000, queues: {0: {min_rate: 1000000000}}}

- name: Tunnels to two other hosts
  hearth.gpu_host.ovs_bridge:
    name: br-tun
    rstp: true
    mtu: 1450
    ports:
      - {name: vx-host2, type: vxlan, options: {remote_ip: 192.0.2.2, key: 100}}
      - {name: gnv-host3, type: geneve, options: {remote_ip: 192.0.2.3, key: flow}}

- name: Give the device back what the bridge carries, and remove the bridge
  hearth.gpu_host.ovs_bridge:
    name: br-ex
    state: absent
    host_network:
      from: eno1
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: str
  sample:
    - guard the change of ovs-bridge for 90 s
    - 'create bridge br-ex in one transaction (operations: 7)'
    - move addresses, routes and rules of eno1 to br-ex
transaction:
  description: The operations of the transaction, as OVSDB has them. Secrets do not appear. Empty when nothing changes.
  returned: success
  type: list
  elements: dict
  sample: []
commands:
  description: One line of C(ovs-vsctl) that does the same, to be read by people.
  returned: success
  type: str
  sample: ovs-vsctl set Port eno2 tag=40
bridge:
  description:
    - The bridge with its ports and their interfaces as Open vSwitch has it at the end, with C(ofport), C(mtu),
      C(link_state) and C(error). In check mode, as it is now. Null where there is none.
  returned: success
  type: dict
  sample:
    name: br-ex
    ports: {eno1: {tag: null, interfaces: {eno1: {ofport: 1, mtu: 1500, error: null}}}}
host_network:
  description:
    - What moves, with C(from), C(to), C(addresses), C(routes), C(rules), C(persisted_by) and C(files). Null when
      nothing does.
  returned: success
  type: dict
  sample: {from: eno1, to: br-ex, addresses: [192.0.2.11/24], persisted_by: ifupdown}
objections:
  description:
    - What speaks against a change, with C(name), C(message), C(remedy), and whether it was C(allowed). Empty when
      nothing changes.
  returned: success, or refusal because of them
  type: list
  elements: dict
  sample: []
faults:
  description: Ports that do not work, with C(port), C(interface), C(kind) and C(message).
  returned: failure because of them
  type: list
  elements: dict
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

from ansible_collections.hearth.gpu_host.plugins.module_utils._module import run_capability
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.capability import OvsBridge
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import LIFTABLE

STR = {"type": "str"}
BOOL = {"type": "bool"}
DICT = {"type": "dict"}
WORDS = {"type": "list", "elements": "str"}
VLAN_MODES = ["access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel", "none"]
PORT = {
    "name": {**STR, "required": True},
    **dict.fromkeys(("type", "peer", "mtu", "tag", "bond_updelay", "bond_downdelay"), STR),
    **dict.fromkeys(("members", "trunks"), WORDS),
    **dict.fromkeys(("options", "other_config", "external_ids"), DICT),
    "vlan_mode": {**STR, "choices": VLAN_MODES},
    "bond_mode": {**STR, "choices": ["active-backup", "balance-slb", "balance-tcp", "none"]},
    "lacp": {**STR, "choices": ["active", "passive", "off", "none"]},
}
MIRROR = {
    "name": {**STR, "required": True},
    "select_all": BOOL,
    **dict.fromkeys(("select_src_port", "select_dst_port", "select_vlan"), WORDS),
    **dict.fromkeys(("output_port", "output_vlan", "snaplen"), STR),
}


def choice(*choices: str) -> dict[str, object]:
    """Return the specification of an option whose first choice is the default."""
    return {"type": "str", "choices": list(choices), "default": choices[0]}


def main() -> None:
    """Run the module."""
    network = {
        "mode": choice("auto", "required", "off"),
        "from": STR,
        "persist": choice("auto", "none", "networkd", "netplan", "ifupdown", "networkmanager"),
        "rollback_timeout": {"type": "int", "default": 90},
    }
    spec = {
        "name": {**STR, "required": True},
        "state": choice("present", "absent"),
        "datapath_type": {**STR, "choices": ["system", "netdev"]},
        "fail_mode": {**STR, "choices": ["standalone", "secure", "none"]},
        **dict.fromkeys(("stp", "rstp", "mcast_snooping"), BOOL),
        **dict.fromkeys(("protocols", "controllers"), WORDS),
        **dict.fromkeys(("hwaddr", "mtu"), STR),
        **dict.fromkeys(("other_config", "external_ids", "qos"), DICT),
        **dict.fromkeys(
            ("other_config_mode", "external_ids_mode", "options_mode"), choice("merge", "replace")
        ),
        "ports": {"type": "list", "elements": "dict", "options": PORT},
        "mirrors": {"type": "list", "elements": "dict", "options": MIRROR},
        "purge": {**choice("none", "owned", "all"), "default": "owned"},
        "host_network": {**DICT, "options": network},
        "allow": {**WORDS, "choices": list(LIFTABLE), "default": []},
        "on_realise_error": choice("revert", "keep"),
        "db": {**STR, "default": "unix:/run/openvswitch/db.sock"},
        "timeout": {"type": "int", "default": 15},
        "awaited": {**BOOL, "default": False},
        "secrets": {**DICT, "default": {}, "no_log": True},
        "transport": {**STR, "default": ""},
    }
    run_capability(OvsBridge, spec)


if __name__ == "__main__":
    main()
