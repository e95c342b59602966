# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Choose how to speak to a database of Open vSwitch, by its address."""

from __future__ import annotations

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.ovsdb import (
    ABORT,
    DEFAULT_TIMEOUT_S,
    Client,
    DatabaseError,
    JsonRpc,
    Unreachable,
)

DEFAULT_REMOTE = "unix:/run/openvswitch/db.sock"


def open_client(host: Host, remote: str = DEFAULT_REMOTE, timeout_s: float = DEFAULT_TIMEOUT_S) -> Client:
    """Connect to ``unix:PATH``, ``tcp:ADDRESS:PORT`` or ``ssl:ADDRESS:PORT``; the caller closes it.

    :raises Unreachable: nothing answers there.
    :raises ParseError: that is no address.
    """
    kind, _colon, rest = remote.partition(":")
    if kind == "unix" and rest.startswith("/"):
        return _open_socket(host, remote, rest, timeout_s)
    address, _colon, port = rest.rpartition(":")
    if kind not in ("tcp", "ssl") or not address or not port.isdecimal():
        raise ParseError(
            f"{remote!r} is no address of an OVSDB server.",
            remedy="write unix:/PATH, tcp:ADDRESS:PORT or ssl:ADDRESS:PORT",
        )
    if kind == "tcp":
        return JsonRpc((address.strip("[]"), int(port)), timeout_s)
    return _tool(host, remote, timeout_s)


def _open_socket(host: Host, remote: str, path: str, timeout_s: float) -> Client:
    try:
        return JsonRpc(host.path(path), timeout_s)
    except Unreachable as error:
        if remote != DEFAULT_REMOTE or not error.details["missing"]:
            raise
        # An Open vSwitch that was built by hand has its socket elsewhere, and its own tools know where.
        elsewhere = _tool(host, "", timeout_s)
        try:
            elsewhere.transact([ABORT])
        except DatabaseError:
            raise error from None
        return elsewhere


def _tool(host: Host, remote: str, timeout_s: float) -> Client:
    # Hardly ever needed, and every import is time of every task.
    from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.vsctl import ToolClient

    return ToolClient(remote, timeout_s, host.run)
