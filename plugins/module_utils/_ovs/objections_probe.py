# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Does a controller answer? A bridge under the host is not handed to one that does not."""

from __future__ import annotations

import contextlib
import socket
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import CONTROLLER, Database
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_host import stands
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_model import Change
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import primary_controllers

DEFAULT_PORT = 6653
PATIENCE_S = 3.0

Connect = t.Callable[[str, float], None]


def answers_of(change: Change, connect: Connect | None = None) -> dict[str, bool]:
    """Find out which controllers answer, as far as it matters; one that does is enough.

    Nobody is asked where the host does not hang on the bridge, or where nothing about them changes.
    """
    if change.after is None or stands(change) or not change.ends_after():
        return {}
    found: dict[str, bool] = {}
    for target in primary_controllers(change.after.controllers):
        found[target] = is_connected(change.database, target) or _answers(target, connect or connect_to)
        if found[target]:
            break
    return found


def is_connected(database: Database, target: str) -> bool:
    """Tell whether Open vSwitch is connected to it now, for whichever bridge."""
    return any(
        row.columns.get("target") == target and row.columns.get("is_connected") is True
        for row in database.rows(CONTROLLER)
    )


def _answers(target: str, connect: Connect) -> bool:
    try:
        connect(target, PATIENCE_S)
    except OSError:
        return False
    return True


def connect_to(target: str, patience_s: float) -> None:
    """Connect to a controller and hang up.

    :raises OSError: it does not answer.
    """
    kind, _colon, rest = target.partition(":")
    if kind == "unix":
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
            connection.settimeout(patience_s)
            connection.connect(rest)
        return
    socket.create_connection(address_of(rest), timeout=patience_s).close()


def address_of(text: str) -> tuple[str, int]:
    """Split ``HOST``, ``HOST:PORT``, ``[IPv6]`` or ``[IPv6]:PORT``. Pure."""
    if text.startswith("["):
        host, _bracket, rest = text[1:].partition("]")
    else:
        host, _colon, rest = text.partition(":")
    port = rest.lstrip(":")
    return host, int(port) if port else DEFAULT_PORT
