# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Columns of the database as the wire has them (RFC 7047 section 5.1), and as the planner has them.

On the wire a set of one element looks like the element itself, so what a column is must be known beforehand:
:data:`TYPES` says it, from the schema that Open vSwitch 3.1 ships (8.3.1). A column that only another version has
is decoded by its looks.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    BRIDGE,
    CONTROLLER,
    INTERFACE,
    MIRROR,
    PORT,
    QOS,
    QUEUE,
    ROOT,
    Columns,
    Value,
)

SCALAR, SET, MAP = "scalar", "set", "map"
TEXT, INTEGER, BOOLEAN, UUID = "string", "integer", "boolean", "uuid"


@dataclasses.dataclass(frozen=True)
class Column:
    """What a column holds: one value, a set of values (an optional value too), or a map."""

    kind: str
    key: str
    value: str = ""
    """What a map leads to; empty for all else."""


_TEXT, _INTEGER, _BOOLEAN = (Column(SCALAR, atom) for atom in (TEXT, INTEGER, BOOLEAN))
_TEXTS, _INTEGERS, _BOOLEANS, _REFERENCES = (Column(SET, atom) for atom in (TEXT, INTEGER, BOOLEAN, UUID))
_MAP, _COUNTERS = Column(MAP, TEXT, TEXT), Column(MAP, TEXT, INTEGER)
_NUMBERED = Column(MAP, INTEGER, UUID)


def _columns(**names: Column) -> dict[str, Column]:
    """Turn groups of names, joined by two underscores, into one table."""
    return {name: column for group, column in names.items() for name in group.split("__")}


TYPES: t.Mapping[str, t.Mapping[str, Column]] = {
    ROOT: {
        **_columns(cur_cfg__next_cfg=_INTEGER, dpdk_initialized=_BOOLEAN),
        **_columns(datapath_types__db_version__dpdk_version__iface_types__ovs_version=_TEXTS),
        **_columns(system_type__system_version=_TEXTS, bridges__manager_options__ssl=_REFERENCES),
        **_columns(external_ids__other_config__statistics=_MAP, datapaths=Column(MAP, TEXT, UUID)),
    },
    BRIDGE: {
        **_columns(name__datapath_type__datapath_version=_TEXT, datapath_id__fail_mode__protocols=_TEXTS),
        **_columns(mcast_snooping_enable__rstp_enable__stp_enable=_BOOLEAN, flood_vlans=_INTEGERS),
        **_columns(auto_attach__controller__ipfix__mirrors__netflow__ports__sflow=_REFERENCES),
        **_columns(external_ids__other_config__rstp_status__status=_MAP, flow_tables=_NUMBERED),
    },
    PORT: {
        **_columns(name=_TEXT, bond_active_slave__bond_mode__lacp__mac__vlan_mode=_TEXTS),
        **_columns(bond_downdelay__bond_updelay=_INTEGER, cvlans__tag__trunks=_INTEGERS),
        **_columns(bond_fake_iface__fake_bridge__protected=_BOOLEAN, interfaces__qos=_REFERENCES),
        **_columns(external_ids__other_config__rstp_status__status=_MAP),
        **_columns(rstp_statistics__statistics=_COUNTERS),
    },
    INTERFACE: {
        **_columns(name__type=_TEXT, admin_state__cfm_remote_opstate__duplex__error__link_state=_TEXTS),
        **_columns(mac__mac_in_use__cfm_fault_status=_TEXTS, cfm_fault__lacp_current=_BOOLEANS),
        **_columns(ingress_policing_burst__ingress_policing_rate=_INTEGER),
        **_columns(ingress_policing_kpkts_burst__ingress_policing_kpkts_rate=_INTEGER),
        **_columns(cfm_flap_count__cfm_health__cfm_mpid__cfm_remote_mpids__ifindex=_INTEGERS),
        **_columns(link_resets__link_speed__mtu__mtu_request__ofport__ofport_request=_INTEGERS),
        **_columns(bfd__bfd_status__external_ids__lldp__options__other_config__status=_MAP),
        **_columns(statistics=_COUNTERS),
    },
    MIRROR: {
        **_columns(name=_TEXT, select_all=_BOOLEAN, output_vlan__select_vlan__snaplen=_INTEGERS),
        **_columns(output_port__select_dst_port__select_src_port=_REFERENCES),
        **_columns(external_ids=_MAP, statistics=_COUNTERS),
    },
    QOS: _columns(type=_TEXT, external_ids__other_config=_MAP, queues=_NUMBERED),
    QUEUE: _columns(dscp=_INTEGERS, external_ids__other_config=_MAP),
    CONTROLLER: {
        **_columns(target=_TEXT, is_connected=_BOOLEAN, enable_async_messages=_BOOLEANS),
        **_columns(connection_mode__local_gateway__local_ip__local_netmask__role__type=_TEXTS),
        **_columns(controller_burst_limit__controller_queue_size__controller_rate_limit=_INTEGERS),
        **_columns(inactivity_probe__max_backoff=_INTEGERS, external_ids__other_config__status=_MAP),
    },
}

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def column_of(table: str, name: str) -> Column | None:
    """Return what the column holds, or ``None`` when this version of the schema does not have it."""
    return TYPES.get(table, {}).get(name)


def decode(wire: t.Any, column: Column | None = None) -> Value:
    """Turn a column from the wire into a scalar, a frozenset or a dict; a reference into the uuid's text."""
    tag = wire[0] if isinstance(wire, list) else ""
    if tag == "map":
        return {_atom(key): _atom(value) for key, value in wire[1]}
    if tag == "set":
        return frozenset(_atom(element) for element in wire[1])
    if column and column.kind == SET:
        return frozenset((_atom(wire),))
    return t.cast(Value, _atom(wire))


def decode_row(table: str, wire: t.Mapping[str, t.Any]) -> dict[str, Value]:
    """Decode the columns of a row, each by its type."""
    return {name: decode(value, column_of(table, name)) for name, value in wire.items()}


def encode(value: Value, column: Column | None = None) -> t.Any:
    """Turn a value into what the wire has; the order of sets and maps does not depend on the run.

    A reference that looks like a uuid is one; any other is the ``uuid-name`` of a row that the same transaction
    inserts. ``None`` is the empty set. Types are not checked: the server does that.
    """
    key = column.key if column else TEXT
    if isinstance(value, dict):
        leads_to = column.value if column else TEXT
        pairs = sorted(value.items(), key=lambda pair: _order(pair[0]))
        return ["map", [[_wire(name, key), _wire(element, leads_to)] for name, element in pairs]]
    if value is None or isinstance(value, frozenset):
        elements = [_wire(element, key) for element in sorted(value or (), key=_order)]
        return elements[0] if len(elements) == 1 else ["set", elements]
    return _wire(value, key)


def encode_row(table: str, columns: Columns) -> dict[str, t.Any]:
    """Encode the columns of a row, each by its type."""
    return {name: encode(value, column_of(table, name)) for name, value in columns.items()}


def _atom(wire: t.Any) -> t.Any:
    return wire[1] if isinstance(wire, list) else wire


def _wire(atom: t.Any, kind: str) -> t.Any:
    if kind != UUID:
        return atom
    return ["uuid" if _UUID.fullmatch(str(atom)) else "named-uuid", atom]


def _order(atom: t.Any) -> tuple[bool, t.Any]:
    """Numbers by value before texts: a set of unknown type may hold either."""
    return (isinstance(atom, str), atom)
