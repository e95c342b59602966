# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The managed part of a bridge as plain data: for the proof, and for people. Pure.

It has what the wish is about and nothing else, so that what belongs to others may change at any time. What is empty is
not in it.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    BRIDGE,
    CONTROLLER,
    INTERFACE,
    MIRROR,
    OWNER,
    PORT,
    QOS,
    QUEUE,
    ROOT,
    Columns,
    Database,
    InterfaceWish,
    PortWish,
    Wish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_columns import EXTERNAL_IDS, Rules
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_diff import STATUS
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_draft import HELD, WEAK, orphans
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_mirrors import goes as mirror_goes
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_vsctl import (
    HIDDEN,
    SECRETS,
    as_vsctl,
    redacted,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.purge import goes

__all__ = ["State", "as_vsctl", "redacted", "show", "state_of"]

State = dict[str, t.Any]

_LISTS = frozenset(
    ("cvlans", "flood_vlans", "protocols", "select_dst_port", "select_src_port", "select_vlan", "trunks")
)
_REFERENCES = frozenset(("qos", "queues", *(column for _table, column in HELD.values())))
_SIMPLE = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+-]*|[0-9a-f]{2}(:[0-9a-f]{2}){5}|[0-9]+(\.[0-9]+){3}")


def state_of(database: Database, wish: Wish) -> State:
    """Return the managed part of the bridge; nothing but leftovers of ours when the bridge is not there."""
    view = _View(database, wish)
    leftovers = sorted(f"{table} {row}" for table, row in orphans(database, view.rules.marks))
    state = view.bridge()
    return {**state, "leftovers": leftovers} if leftovers else state


def show(state: State) -> str:
    """Render a state for a diff. Secrets do not appear."""
    return "".join(f"{line}\n" for line in _lines(state, ""))


class _View:
    """What a wish is about, looked up in a database."""

    def __init__(self, database: Database, wish: Wish) -> None:
        self._tables = {table: database.tables.get(table, {}) for table in (*HELD, QOS, QUEUE)}
        self._wish = wish
        self.rules = Rules(wish.name, wish.replace)
        linked = {key for row in database.rows(ROOT) for key in row.columns.get("bridges", ())}
        self._bridges = {
            row.columns["name"]: row.columns for row in database.rows(BRIDGE) if row.uuid in linked
        }
        self._at = {
            self._name(PORT, port): name
            for name, columns in self._bridges.items()
            for port in columns.get("ports", ())
        }
        self._ports = {row.columns.get("name", ""): row.columns for row in self._tables[PORT].values()}

    def bridge(self) -> State:
        """Return all of it."""
        wish, columns = self._wish, self._bridges.get(self._wish.name)
        if columns is None:
            return {}
        if not wish.present:
            state: State = {"bridge": self._whole(BRIDGE, columns), "ports": self._leaving(columns)}
        else:
            state = {
                "bridge": self.rules.managed(BRIDGE, columns, wish.bridge),
                "local": self._local(),
                "ports": self._managed_ports(columns),
                "mirrors": self._mirrors(columns),
                "controllers": self._controllers(columns),
            }
        return {key: _plain(part) for key, part in state.items() if part or key == "bridge"}

    def _local(self) -> State:
        """Return the bridge's own interface; its MTU is looked after whether the wish has one or not."""
        local = self._wish.local
        row = next((row for row in self._rows(INTERFACE) if row.get("name") == self._wish.name), {})
        if local is None:
            return {"mtu_request": row["mtu_request"]} if row.get("mtu_request") else {}
        return self.rules.managed(INTERFACE, row, {"mtu_request": frozenset(), **local.columns})

    def _managed_ports(self, bridge: Columns) -> State:
        if self._wish.ports is None:
            return {}
        listed = {port.name: port for port in self._wish.ports}
        found = {name: part for name, part in self._leaving(bridge).items() if name not in listed}
        for port, interface in self._held_elsewhere(listed):
            found.setdefault(port, {"bridge": self._at[port], "interfaces": {}})
            found[port]["interfaces"][interface] = {}
        found.update({name: self._port(port) for name, port in listed.items() if name in self._at})
        return found

    def _leaving(self, bridge: Columns) -> State:
        """Return the ports that go when nobody lists them: all of them with the bridge."""
        interfaces = {key: row.columns for key, row in self._tables[INTERFACE].items()}
        names = [self._name(PORT, port) for port in bridge.get("ports", ())]
        return {
            name: {
                **self._whole(PORT, self._ports[name]),
                "interfaces": {
                    row["name"]: self._whole(INTERFACE, row) for row in self._interfaces(self._ports[name])
                },
            }
            for name in names
            if name != self._wish.name
            and (not self._wish.present or goes(self._ports[name], interfaces, self._wish))
        }

    def _held_elsewhere(self, listed: t.Collection[str]) -> t.Iterator[tuple[str, str]]:
        """Yield the ports that are not listed and have an interface that a listed one shall have."""
        wanted = {one.name for port in self._wish.ports or () for one in port.interfaces}
        others = self._at.keys() - {*listed, self._wish.name}
        for port in sorted(others):
            held = {row["name"] for row in self._interfaces(self._ports[port])}
            yield from ((port, interface) for interface in sorted(held & wanted))

    def _port(self, wish: PortWish) -> State:
        columns = self._ports[wish.name]
        at = self._at[wish.name]
        wishes = {one.name: one for one in wish.interfaces}
        found = self.rules.managed(PORT, columns, wish.columns)
        found["interfaces"] = {
            row["name"]: self.rules.managed(
                INTERFACE, row, wishes.get(row["name"], InterfaceWish("")).columns
            )
            for row in self._interfaces(columns)
        }
        qos = self._qos(columns, wish) if wish.qos is not None else {}
        return {**found, **({"bridge": at} if at != self._wish.name else {}), **({"qos": qos} if qos else {})}

    def _qos(self, port: Columns, wish: PortWish) -> State:
        row = next((self._columns(QOS, key) for key in port.get("qos", ())), None)
        if row is None or wish.qos is None:
            return {}
        found = self.rules.managed(QOS, row, {**wish.qos.columns, "type": wish.qos.type})
        queues = {
            number: self.rules.managed(QUEUE, self._columns(QUEUE, key), wish.qos.queues.get(number, {}))
            for number, key in row.get("queues", {}).items()
        }
        return {**found, "queues": queues} if queues else found

    def _mirrors(self, bridge: Columns) -> State:
        wishes = {mirror.name: mirror.columns for mirror in self._wish.mirrors or ()}
        rows = [self._columns(MIRROR, key) for key in bridge.get("mirrors", ())]
        if self._wish.mirrors is None:
            return {}
        return {
            row["name"]: {
                column: frozenset(self._name(PORT, port) for port in value) if column in WEAK else value
                for column, value in self.rules.managed(MIRROR, row, wishes.get(row["name"], {})).items()
            }
            for row in rows
            if row["name"] in wishes or mirror_goes(self.rules.marks(row), self._wish)
        }

    def _controllers(self, bridge: Columns) -> list[str]:
        if self._wish.controllers is None:
            return []
        return sorted(
            str(self._columns(CONTROLLER, key).get("target")) for key in bridge.get("controller", ())
        )

    def _interfaces(self, port: Columns) -> list[Columns]:
        rows = (self._columns(INTERFACE, key) for key in port.get("interfaces", ()))
        return [row for row in rows if "name" in row]

    def _whole(self, table: str, columns: Columns) -> State:
        """Return all of the configuration of a row that goes, but for what has its default."""
        left_out = STATUS.get(table, frozenset()) | _REFERENCES | {"name"}
        return {name: value for name, value in columns.items() if value and name not in left_out}

    def _columns(self, table: str, key: str) -> Columns:
        row = self._tables[table].get(key)
        return row.columns if row else {}

    def _rows(self, table: str) -> t.Iterator[Columns]:
        return (row.columns for row in self._tables[table].values())

    def _name(self, table: str, key: str) -> str:
        return str(self._columns(table, key).get("name", ""))


def _plain(value: t.Any, column: str = "") -> t.Any:
    """Turn sets into sorted lists, or into their only value where there never is another."""
    if isinstance(value, dict):
        # Queues have numbers, everything else has names.
        return {key: _plain(value[key], str(key)) for key in sorted(value)}
    if isinstance(value, frozenset):
        items = sorted(value)
        return items if column in _LISTS or len(items) > 1 else items[0]
    return value


def _lines(value: State, indent: str) -> t.Iterator[str]:
    for key, part in value.items():
        if isinstance(part, dict) and part and not _is_mark(key, part):
            yield f"{indent}{_word(key)}:"
            yield from _lines(part, f"{indent}  ")
        else:
            yield f"{indent}{_word(key)}: {HIDDEN if key in SECRETS else _inline(part)}"


def _is_mark(key: t.Any, part: State) -> bool:
    """Tell whether a map is the mark and no more: every row has that, and it shall not take two lines."""
    return key == EXTERNAL_IDS and list(part) == [OWNER]


def _inline(part: t.Any) -> str:
    if isinstance(part, dict):
        return "{" + ", ".join(f"{_word(key)}: {_word(word)}" for key, word in part.items()) + "}"
    if isinstance(part, list):
        return f"[{', '.join(_ranges(part))}]"
    return _word(part)


def _ranges(items: t.Sequence[t.Any]) -> list[str]:
    """Write runs of numbers as ranges: a trunk can have four thousand of them."""
    runs: list[list[t.Any]] = []
    for item in items:
        if runs and isinstance(item, int) and item == runs[-1][-1] + 1:
            runs[-1].append(item)
        else:
            runs.append([item])
    return [
        word
        for run in runs
        for word in ([f"{run[0]}-{run[-1]}"] if len(run) > 2 else [_word(item) for item in run])
    ]


def _word(value: t.Any) -> str:
    if isinstance(value, str) and _SIMPLE.fullmatch(value) and value not in ("true", "false", "null"):
        return value
    return json.dumps(value)
