# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Draw what watches and what steers a bridge: its mirrors and its controllers. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    ALL,
    BRIDGE,
    CONTROLLER,
    MIRROR,
    OWNED,
    OWNER,
    PORT,
    MirrorWish,
    Wish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_columns import EXTERNAL_IDS, Rules
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_draft import WEAK, Draft


def draw_mirrors(draft: Draft, bridge: str, wish: Wish) -> tuple[str, ...]:
    """Draw the mirrors, if they are managed, and return warnings. Those that are not ours go with ``all`` only.

    :raises Refusal: a mirror names a port that is not on the bridge.
    """
    if wish.mirrors is None:
        return ()
    rules, warnings = Rules(wish.name, wish.replace), []
    there = {draft.row(MIRROR, row)["name"]: row for row in _held(draft, bridge, "mirrors")}
    listed = {mirror.name for mirror in wish.mirrors}
    for name in sorted(there.keys() - listed):
        if goes(rules.marks(draft.row(MIRROR, there[name])), wish):
            draft.let_go(MIRROR, there[name])
        elif not wish.mirrors:
            warnings.append(
                f"Mirror {name} of {wish.name} stays: it was not made by this module, and purge is {wish.purge}."
                f" purge: {ALL} removes it."
            )
    ports = {draft.row(PORT, row)["name"]: row for row in _held(draft, bridge, "ports")}
    for mirror in wish.mirrors:
        row = there.get(mirror.name) or draft.add(MIRROR, f"{wish.name}/{mirror.name}", {"name": mirror.name})
        columns = _resolved(mirror, ports, wish.name)
        draft.change(MIRROR, row, rules.target(MIRROR, draft.row(MIRROR, row), columns))
        draft.hold(MIRROR, bridge, row)
    return tuple(warnings)


def goes(ours: bool, wish: Wish) -> bool:
    """Tell whether a mirror that is not listed is removed."""
    return wish.purge == ALL or (ours and wish.purge == OWNED)


def draw_controllers(draft: Draft, bridge: str, wish: Wish) -> None:
    """Draw the controllers, if they are managed: these and no others, the rows of those that stay untouched."""
    if wish.controllers is None:
        return
    there: dict[str, str] = {}
    for row in _held(draft, bridge, "controller"):
        there.setdefault(draft.row(CONTROLLER, row)["target"], row)
    rows = frozenset(
        there.get(target)
        or draft.add(
            CONTROLLER,
            f"{wish.name}/{target}",
            {"target": target, EXTERNAL_IDS: {OWNER: wish.name}},
        )
        for target in wish.controllers
    )
    draft.change(BRIDGE, bridge, {"controller": rows})


def _held(draft: Draft, bridge: str, column: str) -> list[str]:
    return sorted(draft.row(BRIDGE, bridge).get(column) or ())


def _resolved(mirror: MirrorWish, ports: t.Mapping[str, str], bridge: str) -> dict[str, t.Any]:
    """Return the columns with the rows of the ports in place of their names."""
    columns = dict(mirror.columns)
    for column in WEAK:
        names = columns.get(column) or ()
        missing = sorted(set(names) - ports.keys())
        if missing:
            raise Refusal(
                f"Mirror {mirror.name} of {bridge}: {', '.join(missing)} in {column} is no port of the bridge.",
                remedy=f"name some of {', '.join(sorted(ports))}",
            )
        if column in columns:
            columns[column] = frozenset(ports[name] for name in names)
    return columns
