# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Plan a bridge: draw it on a copy of the database, and compare. Pure.

One comparison gives everything: the transaction, the one that takes it back, and what is there afterwards.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    BRIDGE,
    INTERFACE,
    PORT,
    ROOT,
    Columns,
    Database,
    Operation,
    Wish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_columns import Rules
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_diff import (
    UNREAD,
    changes,
    operations,
    waits,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_draft import Draft, orphans
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_mirrors import (
    draw_controllers,
    draw_mirrors,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_ports import Ports
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_touched import touched
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.state import State, state_of

MODULE = "hearth.gpu_host.ovs_bridge"


@dataclasses.dataclass(frozen=True)
class Planned:
    """What is to be sent, what takes it back, and what the managed part of the bridge is then.

    ``operations`` is empty when nothing changes. ``inverse`` rests on nothing that others may have done meanwhile.
    ``ports`` names the ports, those that go included, whose traffic the change may touch; the bridge's own name
    stands for its own port.
    """

    operations: tuple[Operation, ...]
    inverse: tuple[Operation, ...]
    after: State
    warnings: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()


def plan(database: Database, wish: Wish) -> Planned:
    """Plan that the bridge is as the wish wants it; the same input gives the same operations.

    :raises Refusal: a name is taken by something else, or a bond would lose what makes it one.
    """
    draft = Draft(database)
    warnings = _arrange(draft, wish) if wish.present else _remove(draft, wish)
    draft.collect()
    for table, row in orphans(draft.database(), Rules(wish.name).marks):
        draft.drop(table, row)
    after = draft.database()
    forward = changes(database, after)
    return Planned(
        operations=(*waits(forward, database, wish.name), *operations(forward)) if forward else (),
        inverse=operations(changes(after, database)),
        after=state_of(after, wish),
        warnings=warnings,
        ports=touched(forward, database, after),
    )


def transaction(planned: t.Sequence[Operation]) -> tuple[Operation, ...]:
    """Return what is sent: the operations, and the call for ovs-vswitchd to carry them out.

    The last but one result has the number, ``next_cfg``, that ``cur_cfg`` must reach.
    """
    return (
        *planned,
        {"op": "mutate", "table": ROOT, "where": [], "mutations": [["next_cfg", "+=", 1]]},
        {"op": "select", "table": ROOT, "where": [], "columns": ["next_cfg"]},
        {"op": "comment", "comment": MODULE},
    )


def rehearsal(planned: t.Sequence[Operation]) -> tuple[Operation, ...]:
    """Return what lets the server judge the operations and do nothing."""
    return (*planned, {"op": "abort"})


def _arrange(draft: Draft, wish: Wish) -> tuple[str, ...]:
    bridge = draft.find(BRIDGE, wish.name)
    if not bridge:
        _refuse_taken(draft, wish)
        bridge = draft.add(BRIDGE, wish.name, {"name": wish.name})
    root = next(iter(draft.rows(ROOT)), "") or draft.add(ROOT, "", {})
    draft.hold(BRIDGE, root, bridge)
    target = Rules(wish.name, wish.replace).target(BRIDGE, draft.row(BRIDGE, bridge), wish.bridge)
    draft.change(BRIDGE, bridge, target)
    warnings: list[str] = []
    Ports(draft, bridge, wish, warnings).draw()
    draw_controllers(draft, bridge, wish)
    return (*warnings, *draw_mirrors(draft, bridge, wish))


def _remove(draft: Draft, wish: Wish) -> tuple[str, ...]:
    bridge = draft.find(BRIDGE, wish.name)
    if not bridge:
        _refuse_taken(draft, wish)
        return ()
    warnings = (*_lost(draft.row(BRIDGE, bridge)), *_left_alone(draft, bridge))
    draft.let_go(BRIDGE, bridge)
    return warnings


def _refuse_taken(draft: Draft, wish: Wish) -> None:
    """Refuse a name that a port has; a VLAN bridge is a port, and no bridge of its own."""
    port = draft.find(PORT, wish.name)
    if not port:
        return
    columns = draft.row(PORT, port)
    parent = draft.row(BRIDGE, draft.holder(PORT, port))["name"]
    tag = max(columns.get("tag") or {0})
    kind = f"the VLAN bridge for tag {tag}" if columns.get("fake_bridge") else "a port"
    raise Refusal(
        f"{wish.name} is {kind} on the bridge {parent}.",
        remedy=f"manage it among the ports of {parent}, or give the bridge another name",
    )


def _lost(bridge: Columns) -> t.Iterator[str]:
    """Warn of what the inverse cannot bring back: rows of tables that are not read."""
    lost = sorted(column for column in UNREAD if bridge.get(column))
    if lost:
        yield f"With {bridge['name']} go its {', '.join(lost)}; a rollback does not bring them back."


def _left_alone(draft: Draft, bridge: str) -> t.Iterator[str]:
    """Warn of patch ports elsewhere that lead to ports of a bridge that goes."""
    ports = draft.row(BRIDGE, bridge).get("ports", frozenset())
    gone = {row for port in ports for row in draft.row(PORT, port)["interfaces"]}
    names = {draft.row(INTERFACE, row)["name"] for row in gone}
    for row, columns in sorted(draft.rows(INTERFACE).items()):
        peer = columns.get("options", {}).get("peer")
        if row not in gone and columns.get("type") == "patch" and peer in names:
            yield f"Patch port {columns['name']} leads to {peer}, which goes: it will carry nothing."
