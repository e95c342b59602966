# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What Open vSwitch knows: types, keys of maps, and their values. Pure.

OVSDB takes any key and any value, and Open vSwitch leaves without a word what it does not know. So each key of a wish
is looked up here. The tables are the union of ovs-vswitchd.conf.db(5) of Open vSwitch 3.1.0, 3.5.0 and 4.0.0, as
Debian 12, Debian 13 and Debian unstable ship it, and of what the types of 3.1.0 add that later ones have dropped. A
key that a newer version brings is worth a warning, not a failure.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import BRIDGE, PORT, QUEUE
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_words import did_you_mean

Kind = t.Union[None, "tuple[int, int]", "tuple[str, ...]"]
"""The grammar of a value: any text, a whole number in a range, or one of some words."""
Keys = t.Mapping[str, Kind]

SECRETS = frozenset({"psk"})
"""Keys of ``options`` whose values may stand in no result, difference or log."""

_ANY = None
_SWITCH = ("true", "false")
_BYTE, _WORD, _MOST = 255, 65535, 2**32 - 1
_NUMBER, _POSITIVE, _RATE = (0, _MOST), (1, _MOST), (1, 2**63 - 1)
_KEY_OF_LACP = (1, _WORD)

OTHER_CONFIG: t.Mapping[str, Keys] = {
    BRIDGE: {
        "controller-queue-size": (1, 512),
        "datapath-id": _ANY,
        "disable-in-band": _SWITCH,
        "dp-desc": _ANY,
        "dp-sn": _ANY,
        "forward-bpdu": _SWITCH,
        "hwaddr": _ANY,
        "in-band-queue": _NUMBER,
        "mac-aging-time": _POSITIVE,
        "mac-table-size": _POSITIVE,
        "mcast-snooping-aging-time": _POSITIVE,
        "mcast-snooping-disable-flood-unregistered": _SWITCH,
        "mcast-snooping-table-size": _POSITIVE,
        "rstp-address": _ANY,
        "rstp-ageing-time": (10, 1_000_000),
        "rstp-force-protocol-version": _NUMBER,
        "rstp-forward-delay": (4, 30),
        "rstp-max-age": (6, 40),
        "rstp-priority": (0, 61_440),
        "rstp-transmit-hold-count": (1, 10),
        "stp-forward-delay": (4, 30),
        "stp-hello-time": (1, 10),
        "stp-max-age": (6, 40),
        "stp-priority": (0, _WORD),
        "stp-system-id": _ANY,
    },
    PORT: {
        "all-members-active": _SWITCH,
        "bond-detect-mode": ("carrier", "miimon"),
        "bond-hash-basis": _NUMBER,
        "bond-miimon-interval": _NUMBER,
        "bond-primary": _ANY,
        "bond-rebalance-interval": (0, 2**31 - 1),
        "lacp-fallback-ab": _SWITCH,
        "lacp-system-id": _ANY,
        "lacp-system-priority": _KEY_OF_LACP,
        "lacp-time": ("fast", "slow"),
        "lb-output-action": _SWITCH,
        "mcast-snooping-flood": _SWITCH,
        "mcast-snooping-flood-reports": _SWITCH,
        "priority-tags": ("always", "if-nonzero", "never", *_SWITCH),
        "qinq-ethtype": ("802.1ad", "802.1q"),
        "rstp-enable": _SWITCH,
        "rstp-path-cost": _NUMBER,
        "rstp-port-admin-edge": _SWITCH,
        "rstp-port-auto-edge": _SWITCH,
        "rstp-port-mcheck": _SWITCH,
        "rstp-port-num": (1, 4095),
        "rstp-port-priority": (0, 240),
        "stp-enable": _SWITCH,
        "stp-path-cost": (0, _WORD),
        "stp-port-num": (1, _BYTE),
        "stp-port-priority": (0, _BYTE),
        "transient": _SWITCH,
    },
    QUEUE: {"burst": _RATE, "max-rate": _RATE, "min-rate": _RATE, "priority": _NUMBER},
}
"""Keys of ``other_config`` by table. Those of interfaces are no option, and so no key is known as theirs."""

_IPSEC: Keys = {"psk": _ANY, "remote_cert": _ANY, "remote_name": _ANY}
_SUM: Keys = {"csum": _SWITCH}
_PACKETS: Keys = {"packet_type": ("legacy_l2", "legacy_l3", "ptap")}
_DESTINATION: Keys = {"dst_port": (1, _WORD)}
_ENDS: Keys = {
    "remote_ip": _ANY,
    "local_ip": _ANY,
    "tos": _ANY,
    "ttl": _ANY,
    "df_default": _SWITCH,
    "egress_pkt_mark": _ANY,
}
_TUNNEL: Keys = {**_ENDS, "in_key": _ANY, "out_key": _ANY, "key": _ANY}
_MIRRORED: Keys = {"erspan_dir": (0, 1), "erspan_hwid": _ANY, "erspan_idx": _ANY, "erspan_ver": (1, 2)}
_QUEUES: Keys = {"n_rxq": _POSITIVE}
_XDP: Keys = {
    **_QUEUES,
    "xdp-mode": ("best-effort", "generic", "native", "native-with-zerocopy"),
    "use-need-wakeup": _SWITCH,
}

SYSTEM, INTERNAL, PATCH, DPDK, VHOST_CLIENT = "", "internal", "patch", "dpdk", "dpdkvhostuserclient"

TUNNELS: t.Mapping[str, Keys] = {
    "bareudp": {**_ENDS, **_DESTINATION, **_SUM, "payload_type": _ANY},
    "erspan": {**_TUNNEL, **_MIRRORED},
    "geneve": {**_TUNNEL, **_DESTINATION, **_SUM, **_IPSEC, **_PACKETS},
    "gre": {**_TUNNEL, **_SUM, **_IPSEC, **_PACKETS, "seq": _SWITCH},
    "gtpu": {**_TUNNEL, **_DESTINATION, **_SUM},
    "ip6erspan": {**_TUNNEL, **_MIRRORED},
    "ip6gre": {**_TUNNEL, **_SUM},
    "lisp": {**_TUNNEL, **_DESTINATION},
    "srv6": {**_ENDS, "srv6_flowlabel": ("compute", "copy", "zero"), "srv6_segs": _ANY},
    "stt": {**_TUNNEL, **_DESTINATION, **_IPSEC},
    "vxlan": {**_TUNNEL, **_DESTINATION, **_SUM, **_IPSEC, **_PACKETS, "exts": _ANY},
}
"""Types of interfaces that are tunnels, each with its options."""

USERSPACE: t.Mapping[str, Keys] = {
    "afxdp": _XDP,
    "afxdp-nonpmd": _XDP,
    DPDK: {
        **_QUEUES,
        "dpdk-devargs": _ANY,
        "dpdk-lsc-interrupt": _SWITCH,
        "dpdk-vf-mac": _ANY,
        "flow-ctrl-autoneg": _SWITCH,
        "n_rxq_desc": _POSITIVE,
        "n_txq_desc": _POSITIVE,
        "rx-flow-ctrl": _SWITCH,
        "rx-steering": ("rss", "rss+lacp"),
        "tx-flow-ctrl": _SWITCH,
    },
    "dpdkvhostuser": {},
    VHOST_CLIENT: {
        "tx-retries-max": (0, 32),
        "vhost-max-queue-pairs": (1, 128),
        "vhost-server-path": _ANY,
    },
}
"""Types of interfaces that only the userspace datapath has."""

OPTIONS: t.Mapping[str, Keys] = {
    SYSTEM: {},
    INTERNAL: {},
    "tap": {},
    PATCH: {"peer": _ANY},
    **TUNNELS,
    **USERSPACE,
}
"""All types of interfaces, each with the keys of its ``options``."""

HTB, HFSC = "linux-htb", "linux-hfsc"
_ONE_BUCKET: Keys = {"cbs": _NUMBER, "cir": _NUMBER}

QOS_TYPES: t.Mapping[str, Keys] = {
    HTB: {"max-rate": _RATE},
    HFSC: {"max-rate": _RATE},
    "linux-sfq": {"perturb": _NUMBER, "quantum": _NUMBER},
    "linux-codel": {"interval": _NUMBER, "limit": _NUMBER, "target": _NUMBER},
    "linux-fq_codel": dict.fromkeys(("flows", "interval", "limit", "quantum", "target"), _NUMBER),
    "linux-netem": dict.fromkeys(("jitter", "latency", "limit", "loss"), _NUMBER),
    "linux-noop": {},
    "egress-policer": _ONE_BUCKET,
    "trtcm-policer": {**_ONE_BUCKET, "ebs": _NUMBER, "eir": _NUMBER},
}
"""Types of QoS, each with the keys of its ``other_config``."""

QUEUED: t.Mapping[str, Keys] = {
    HTB: OTHER_CONFIG[QUEUE],
    HFSC: {"max-rate": _RATE, "min-rate": _RATE},
    "trtcm-policer": QOS_TYPES["trtcm-policer"],
}
"""The types of QoS that have queues, each with the keys of a queue's ``other_config``."""


def doubts(where: str, given: t.Mapping[str, str | None], keys: Keys) -> tuple[str, ...]:
    """Return a sentence for each key that Open vSwitch does not know, and for each value that it would not use."""
    found = []
    for key, value in sorted(given.items()):
        if key not in keys:
            found.append(
                f"{where}: {key!r} is not known to Open vSwitch, which takes it and leaves it without effect."
                f"{did_you_mean(key, keys)}"
            )
        elif value is not None and not _fits(value, keys[key]):
            found.append(f"{where}: {key} is {value!r}, and Open vSwitch knows {_shown(keys[key])}.")
    return tuple(found)


def _fits(value: str, kind: Kind) -> bool:
    if kind is None:
        return True
    low, high = kind[0], kind[-1]
    if isinstance(low, int) and isinstance(high, int):
        return value.isascii() and value.isdigit() and low <= int(value) <= high
    return value in kind


def _shown(kind: Kind) -> str:
    words = kind or ()
    if words and isinstance(words[0], int):
        return f"whole numbers from {words[0]} to {words[-1]}"
    return "only " + ", ".join(map(str, words))
