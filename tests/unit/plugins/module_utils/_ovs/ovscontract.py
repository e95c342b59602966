# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task of the contract: every kind of port, a mirror and QoS in one bridge."""

from __future__ import annotations

import typing as t

# The example of the contract, with addresses for documentation.
CONTRACT: dict[str, t.Any] = {
    "name": "br-ex",
    "state": "present",
    "datapath_type": "netdev",
    "fail_mode": "standalone",
    "stp": False,
    "rstp": False,
    "mcast_snooping": True,
    "protocols": ["OpenFlow10", "OpenFlow13"],
    "controllers": [],
    "hwaddr": "auto",
    "mtu": 9000,
    "other_config": {"mcast-snooping-disable-flood-unregistered": True},
    "external_ids": {},
    "ports": [
        {"name": "eno1"},
        {"name": "eno2", "tag": 40},
        {"name": "eno3", "vlan_mode": "native-untagged", "tag": 10, "trunks": [20, "30-32"]},
        {
            "name": "bond0",
            "members": ["ens1f0", "ens1f1"],
            "bond_mode": "balance-tcp",
            "lacp": "active",
            "bond_updelay": 200,
            "bond_downdelay": 0,
            "other_config": {"lacp-time": "fast", "bond-miimon-interval": 100},
        },
        {"name": "storage0", "type": "internal", "tag": 30, "mtu": 9000},
        {
            "name": "vx-host2",
            "type": "vxlan",
            "options": {"remote_ip": "192.0.2.2", "key": 100, "dst_port": 4789},
        },
        {"name": "gnv-host3", "type": "geneve", "options": {"remote_ip": "192.0.2.3", "key": "flow"}},
        {"name": "p-to-int", "type": "patch", "peer": "p-to-ex"},
        {"name": "dpdk0", "type": "dpdk", "options": {"dpdk-devargs": "0000:01:00.0"}},
    ],
    "mirrors": [
        {
            "name": "span0",
            "select_src_port": ["eno2"],
            "select_dst_port": ["eno2"],
            "output_port": "storage0",
        }
    ],
    "qos": {
        "eno1": {
            "type": "linux-htb",
            "max_rate": 10_000_000_000,
            "queues": {0: {"min_rate": 1_000_000_000}},
        }
    },
    "purge": "owned",
}
