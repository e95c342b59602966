# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Which changes of a bridge the guard watches, and how it takes them back or keeps them. Pure.

The transaction of a guarded change leaves a mark in the database. Only while it is there is there anything to take
back: a run that died before its transaction changed nothing, and the same rollback must not be done twice.
"""

from __future__ import annotations

import json
import shlex
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.model import Spec
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.rollback import rollback_text
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    HOST_ADDRESS,
    LOCKOUT,
    ROOT,
    Operation,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections import Objection, object_to
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_model import make_change
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_view import BridgeView
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan import transaction

if t.TYPE_CHECKING:
    from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Capture
    from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.scene import Scene

WHAT = "ovs-bridge"
MARK = "hearth-guard"
"""The key in ``external_ids`` of the root row while a change waits to be confirmed; its value is the token."""

_OPEN_VSWITCH = "Open_vSwitch"
_SOCKET = "/db.sock"
_NONE = "hearth-none"
"""In place of a second device where there is none: no device has this name."""

_TELL_WHERE = "OVS_RUNDIR={folder}\nexport OVS_RUNDIR\n"
# The file is asked, not the server: at boot there is none yet. Who cannot be asked has to be taken back.
_LOOK = """\
conf=${{OVS_DBDIR:-/etc/openvswitch}}/conf.db
if made=$(ovsdb-tool query "$conf" {query} 2> /dev/null); then
    case $made in *'"rows":[]'*) : > ./restored ;; esac
fi
"""
_FORGET = """\
if [ "${{1:-now}}" = now ]; then
    ovs-vsctl --db="unix:${{OVS_RUNDIR:-/run/openvswitch}}/db.sock" --no-wait -t 5 \\
        remove Open_vSwitch . external_ids {mark} || echo 'the mark in the database stays'
fi
"""


def objections_in(scene: Scene) -> tuple[Objection, ...]:
    """Return what speaks against the change, lifted or not."""
    return object_to(scene.wish, scene.database, scene.nics or {}, scene.moves, scene.answers)


def endangered(scene: Scene) -> str:
    """Return the device that the host may be cut off with by the change, or nothing where it needs no guard."""
    if scene.move:
        return scene.move.capture.device
    carrying = [nic for nic in (scene.nics or {}).values() if nic.carries]
    if not carrying or not _touches_host(scene):
        return ""
    from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.hostmove import weight

    members = {
        member.name for view in _views(scene) for port in view.ports.values() for member in port.members
    }
    near = [nic for nic in carrying if nic.name in members]
    return min(near or carrying, key=weight).name


def _views(scene: Scene) -> list[BridgeView]:
    """Return the bridge before and after."""
    change = make_change(scene.wish, scene.database, scene.nics or {})
    return [view for view in (change.before, change.after) if view is not None]


def _touches_host(scene: Scene) -> bool:
    if any(objection.name in (LOCKOUT, HOST_ADDRESS) for objection in objections_in(scene)):
        return True
    change = make_change(scene.wish, scene.database, scene.nics or {}, "", scene.answers)
    ends = {*change.ends_before(), *change.ends_after()}
    if not ends:
        return False
    ways = {port.name for view in _views(scene) for port in view.ports.values() if port.nics}
    return bool({*ends, *ways, scene.wish.name} & {*scene.planned.ports})


def marked(operations: t.Sequence[Operation], token: str) -> tuple[Operation, ...]:
    """Return the operations with the mark that they were done under this guard."""
    fresh = [
        ["external_ids", "delete", ["set", [MARK]]],
        ["external_ids", "insert", ["map", [[MARK, token]]]],
    ]
    return (*operations, {"op": "mutate", "table": ROOT, "where": [], "mutations": fresh})


def taking_back(inverse: t.Sequence[Operation], token: str) -> tuple[Operation, ...]:
    """Return the transaction that takes a marked one back, and fails where there is none to take back."""
    wait = {
        "op": "wait",
        "table": ROOT,
        "where": _of(token),
        "columns": ["external_ids"],
        "until": "!=",
        "rows": [],
        "timeout": 0,
    }
    gone = [["external_ids", "delete", ["set", [MARK]]]]
    forget = {"op": "mutate", "table": ROOT, "where": [], "mutations": gone}
    return (wait, *transaction((*inverse, forget)))


def _of(token: str) -> list[t.Any]:
    return [["external_ids", "includes", ["map", [[MARK, token]]]]]


def guard_of(scene: Scene, token: str, window_s: int, remote: str) -> Spec:
    """Return the guard of a change.

    :raises Refusal: the database is not on this host, or not where a script finds it.
    """
    folder = _folder(remote)
    # Only what the host hangs on is guarded, and that was captured.
    captured = t.cast("Capture", scene.capture)
    bridge, device = scene.wish.name, captured.device
    query = json.dumps(
        [_OPEN_VSWITCH, {"op": "select", "table": ROOT, "where": _of(token), "columns": ["_uuid"]}]
    )
    where = _TELL_WHERE.format(folder=shlex.quote(folder)) if folder else ""
    move = scene.move
    rollback = rollback_text(
        captured,
        bridge,
        move.nic if move else _other(scene, device),
        taking_back(scene.planned.inverse, token),
        move.persistence if move else None,
    )
    kept = move or scene.leftover
    return Spec(
        WHAT,
        window_s,
        dict(kept.files) if kept else {},
        where + _LOOK.format(query=shlex.quote(query)) + rollback,
        where + _FORGET.format(mark=MARK) + ((kept.commit if kept else "") or "exit 0\n"),
    )


def _folder(remote: str) -> str:
    kind, _colon, path = remote.partition(":")
    if kind != "unix" or not path.endswith(_SOCKET):
        raise Refusal(
            "The host hangs on this bridge, so the change needs a guard, and a guard cannot use the database at"
            f" {remote}: it must work on a host that nobody reaches.",
            remedy=f"use db: unix:/run/openvswitch{_SOCKET}",
        )
    folder = path[: -len(_SOCKET)]
    return "" if folder == "/run/openvswitch" else folder


def _other(scene: Scene, device: str) -> str:
    """Return the device that is, or may have become, a port: it is the one that was captured, or another one."""
    nics = [nic for view in _views(scene) for nic in view.nics()]
    if device in nics or not nics:
        return device if nics else _NONE
    return nics[0]
