# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What a task about a bridge tells: the bridge as it is, what moves, and what is wrong with ports. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.known import SECRETS
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    BRIDGE,
    INTERFACE,
    MISSING_NIC,
    PORT,
    Columns,
    Database,
    Wish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_vsctl import HIDDEN

if t.TYPE_CHECKING:
    from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Capture
    from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.hostmove import HostMove
    from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.realise import Fault

_OF_A_BRIDGE = (
    "datapath_type",
    "datapath_id",
    "fail_mode",
    "stp_enable",
    "rstp_enable",
    "mcast_snooping_enable",
    "protocols",
    "other_config",
    "external_ids",
)
_OF_A_PORT = ("tag", "trunks", "vlan_mode", "bond_mode", "lacp", "external_ids")
_OF_AN_INTERFACE = ("type", "ofport", "mtu", "mac_in_use", "link_state", "error", "options", "external_ids")
_ALWAYS_LISTS = ("trunks", "protocols")
_PATCH = "patch"
# As numbers: the whole world, the main table.
_USUAL = (("scope", "0"), ("table", "254"))


def bridge_facts(database: Database, name: str) -> dict[str, t.Any] | None:
    """Return a bridge with its ports and their interfaces; ``None`` where there is none. Secrets do not appear."""
    row = database.named(BRIDGE, name)
    if row is None:
        return None
    ports = _rows(database, PORT, row.columns.get("ports", ()))
    return {
        "name": name,
        **_shown(row.columns, _OF_A_BRIDGE),
        "ports": {
            port["name"]: {
                **_shown(port, _OF_A_PORT),
                "interfaces": {
                    found["name"]: _shown(found, _OF_AN_INTERFACE)
                    for found in _rows(database, INTERFACE, port.get("interfaces", ()))
                },
            }
            for port in ports
        },
    }


def _rows(database: Database, table: str, uuids: t.Collection[str]) -> list[Columns]:
    rows = database.tables.get(table, {})
    return sorted((rows[uuid].columns for uuid in uuids if uuid in rows), key=lambda row: str(row["name"]))


def _shown(columns: Columns, names: t.Iterable[str]) -> dict[str, t.Any]:
    return {name: _plain(name, columns[name]) for name in names if name in columns}


def _plain(name: str, value: t.Any) -> t.Any:
    if isinstance(value, dict):
        return {key: HIDDEN if key in SECRETS else value[key] for key in sorted(value)}
    if isinstance(value, frozenset):
        items = sorted(value)
        return items if name in _ALWAYS_LISTS or len(items) > 1 else next(iter(items), None)
    return value


# --- the host's own network ------------------------------------------------------------------


def move_facts(move: HostMove | None) -> dict[str, t.Any] | None:
    """Return what moves from where to where, and who keeps it over a reboot; ``None`` where nothing does."""
    if move is None:
        return None
    kept = move.persistence
    return {
        "from": move.capture.device,
        "to": move.after.device,
        "addresses": [_readable(one.words) for one in move.capture.every_address],
        "routes": [_readable(one.words) for one in move.capture.every_route],
        "rules": [_readable(one.words) for one in move.capture.rules],
        "persisted_by": kept.manager if kept else None,
        "files": sorted(kept.files) if kept else [],
    }


def show_network(capture: Capture | None) -> str:
    """Render for the diff what hangs on a device."""
    if capture is None:
        return ""
    lines = ["host_network:", f"  device: {capture.device}"]
    lines += [f"  address: {_readable(one.words)}" for one in capture.addresses]
    lines += [f"  route: {_readable(one.words)}" for one in capture.routes]
    lines += [f"  rule: {_readable(one.words)}" for one in capture.rules]
    return "".join(f"{line}\n" for line in lines)


def _readable(words: t.Sequence[str]) -> str:
    """Return the arguments of ``ip`` without those that say what goes without saying."""
    pairs = zip(words, (*words[1:], ""))
    usual = [number for number, pair in enumerate(pairs) if pair in _USUAL]
    left_out = {*usual, *(number + 1 for number in usual)}
    return " ".join(
        word for number, word in enumerate(words) if number not in left_out and (number or word != "unicast")
    )


# --- what does not work ----------------------------------------------------------------------


def spared(wish: Wish) -> tuple[str, ...]:
    """Return the sorts of faults that the task allows: what is to come later is not there now."""
    from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import realise

    return (realise.MISSING, realise.PEER) if MISSING_NIC in wish.allow else ()


def told(faults: t.Iterable[Fault]) -> str:
    """Return faults in one line."""
    return " ".join(f"Port {fault.port}: {fault.message}" for fault in faults)


def faults_in(database: Database, wish: Wish) -> tuple[Fault, ...]:
    """Return what is wrong with the bridge and with the ports that the task lists."""
    if not wish.present or not any(_is_odd(row.columns) for row in database.rows(INTERFACE)):
        return ()
    # Nearly every run ends above, and goes without what it takes to say what is wrong.
    from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.realise import faults_of

    names = (wish.name, *(port.name for port in wish.ports or ()))
    return faults_of(database, names, spared(wish))


def _is_odd(columns: Columns) -> bool:
    wanted, numbers = columns.get("mtu_request"), columns.get("ofport") or frozenset()
    return bool(
        columns.get("error")
        or not numbers
        or min(numbers) < 0
        or (wanted and wanted != columns.get("mtu"))
        or columns.get("type") == _PATCH
    )
