# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Draw the QoS of a port and its queues. Pure.

Their rows outlive every reference to them: they are changed in place, or one more would be left with each change.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    PORT,
    QOS,
    QUEUE,
    Columns,
    QosWish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_columns import Rules
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_draft import Draft


def draw_qos(draft: Draft, rules: Rules, port: str, wish: QosWish) -> tuple[str, ...]:
    """Draw the QoS of one port, and return warnings. A row that is not ours, or not this port's alone, is left."""
    name = draft.row(PORT, port)["name"]
    current = next(iter(draft.row(PORT, port).get("qos") or ()), "")
    warnings: tuple[str, ...] = ()
    if current in draft.rows(QOS) and not rules.marks(draft.row(QOS, current)):
        warnings = (
            f"The QoS row {current} of port {name} was not made by this module: it is left behind, unused by"
            f" the port. Nobody needing it, ovs-vsctl destroy QoS {current} removes it.",
        )
    if not wish.type:
        draft.change(PORT, port, {"qos": frozenset()})
        return warnings
    alone = _ports_with(draft, current) == {port}
    row = current if alone and not warnings else draft.add(QOS, name, {})
    target = rules.target(QOS, draft.row(QOS, row), {**wish.columns, "type": wish.type})
    draft.change(QOS, row, {**target, "queues": _draw_queues(draft, rules, row, wish, f"{name}/")})
    draft.change(PORT, port, {"qos": frozenset((row,))})
    return warnings


def _draw_queues(draft: Draft, rules: Rules, qos: str, wish: QosWish, key: str) -> dict[int, str]:
    before: t.Mapping[int, str] = draft.row(QOS, qos).get("queues") or {}
    queues = {}
    for number, columns in sorted(wish.queues.items()):
        row = before.get(number, "")
        if not (row in draft.rows(QUEUE) and rules.marks(draft.row(QUEUE, row)) and _uses(draft, row) == 1):
            row = draft.add(QUEUE, f"{key}{number}", {})
        _draw_queue(draft, rules, row, columns)
        queues[number] = row
    return queues


def _draw_queue(draft: Draft, rules: Rules, row: str, columns: Columns) -> None:
    draft.change(QUEUE, row, rules.target(QUEUE, draft.row(QUEUE, row), columns))


def _ports_with(draft: Draft, qos: str) -> set[str]:
    return {row for row, port in draft.rows(PORT).items() if qos in port.get("qos", ())}


def _uses(draft: Draft, queue: str) -> int:
    return sum(list(row.get("queues", {}).values()).count(queue) for row in draft.rows(QOS).values())
