# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What a wish may say and hardly means. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import known
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import wish_words as words
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    BRIDGE,
    PORT,
    InterfaceWish,
    PortWish,
    QosWish,
    Wish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import uplinks
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_interfaces import type_of
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_ports import is_bond

_LEAST_IPV6_MTU = 1280
_RESERVED = (0, words.LAST_VLAN)


def warnings_of(wish: Wish) -> tuple[str, ...]:
    """Return a sentence for each thing that Open vSwitch would take and that would not do what it seems to."""
    found = [
        *known.doubts(f"other_config of bridge {wish.name}", _map(wish.bridge), known.OTHER_CONFIG[BRIDGE])
    ]
    found += _spanning_tree(wish)
    if wish.local:
        found += _mtu(f"bridge {wish.name}", wish.local)
    for port in wish.ports or ():
        found += _port(port)
    return tuple(found)


def _map(columns: t.Mapping[str, t.Any], column: str = "other_config") -> t.Mapping[str, str | None]:
    return columns.get(column) or {}


def _port(port: PortWish) -> list[str]:
    where = f"port {port.name}"
    found = [*known.doubts(f"other_config of {where}", _map(port.columns), known.OTHER_CONFIG[PORT])]
    tag = words.sole(port.columns.get("tag"))
    if tag in _RESERVED:
        found.append(f"tag of {where}: {tag} is reserved; VLANs have the numbers 1 to 4094.")
    for interface in port.interfaces:
        keys = known.OPTIONS[type_of(interface)]
        found += known.doubts(f"options of {where}", _map(interface.columns, "options"), keys)
        found += _mtu(where, interface)
    return found + (_qos(f"qos of {where}", port.qos) if port.qos and port.qos.type else [])


def _mtu(where: str, interface: InterfaceWish) -> list[str]:
    mtu = words.sole(interface.columns.get("mtu_request"))
    if mtu is None or mtu >= _LEAST_IPV6_MTU:
        return []
    return [f"mtu of {where}: {mtu} is less than IPv6 needs, which the kernel turns off there."]


def _qos(where: str, qos: QosWish) -> list[str]:
    found = [*known.doubts(f"other_config in {where}", _map(qos.columns), known.QOS_TYPES[qos.type])]
    for number, queue in sorted(qos.queues.items()):
        keys = known.QUEUED[qos.type]
        found += known.doubts(f"other_config of queue {number} in {where}", _map(queue), keys)
    most = _map(qos.columns).get("max-rate") or ""
    least = [_map(queue).get("min-rate") or "" for queue in qos.queues.values()]
    promised = sum(int(rate) for rate in least if rate.isdigit())
    if most.isdigit() and promised > int(most):
        found.append(f"{where}: its queues are promised {promised} bit/s, and all of it has {most}.")
    return found


def _spanning_tree(wish: Wish) -> list[str]:
    bonds = [port for port in wish.ports or () if is_bond(port)]
    alone = bonds and set(uplinks(wish)) == {one.name for port in bonds for one in port.interfaces}
    if not alone or not (wish.bridge.get("stp_enable") or wish.bridge.get("rstp_enable")):
        return []
    return [
        f"Bridge {wish.name}: all its ways out are bonds, which take no part in STP and RSTP. A loop behind them "
        "would not be found."
    ]
