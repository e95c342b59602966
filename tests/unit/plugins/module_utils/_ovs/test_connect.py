# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The address decides who speaks to the database."""

from __future__ import annotations

import json
import socket

import fakeovsdb
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.connect import DEFAULT_REMOTE, open_client
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.ovsdb import ABORT, JsonRpc, Unreachable
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.vsctl import ToolClient

SOCKET = "run/openvswitch/db.sock"


class Tool:
    """Stands in for ovsdb-client."""

    def __init__(self, rc=0, err=""):
        self.done = (rc, err)
        self.calls = []

    def __call__(self, argv, *, stdin=None, timeout_s=60.0, check=True):
        self.calls.append(list(argv))
        rc, err = self.done
        results = [{"error": "aborted"} if op == ABORT else {"rows": []} for op in json.loads(argv[-1])[1:]]
        return Completed(rc, "" if rc else json.dumps(results), err)


def test_the_default_is_the_local_socket_below_the_root_of_the_host(tmp_path):
    tool = Tool()
    with fakeovsdb.FakeOvsdb(tmp_path / SOCKET) as server:
        client = open_client(Host(root=str(tmp_path), run=tool))
        client.transact([])
        client.close()
    assert isinstance(client, JsonRpc)
    assert (server.transactions, tool.calls) == ([[]], [])


def test_a_missing_socket_is_looked_for_where_the_tools_know_it(tmp_path):
    tool = Tool()
    client = open_client(Host(root=str(tmp_path), run=tool), DEFAULT_REMOTE, 7)
    assert isinstance(client, ToolClient)
    assert tool.calls == [["ovsdb-client", "--timeout=7", "transact", '["Open_vSwitch",{"op":"abort"}]']]


def test_where_the_tools_know_of_none_either_the_socket_is_what_is_missing(tmp_path):
    tool = Tool(1, 'ovsdb-client: failed to connect to "unix:db.sock" (No such file or directory)\n')
    with pytest.raises(Unreachable, match="db.sock cannot be reached") as caught:
        open_client(Host(root=str(tmp_path), run=tool))
    assert caught.value.details["missing"] is True


def test_a_socket_of_another_name_is_not_replaced_by_any_other(tmp_path):
    tool = Tool()
    with pytest.raises(Unreachable):
        open_client(Host(root=str(tmp_path), run=tool), "unix:/run/other.sock")
    assert tool.calls == []


def test_a_socket_without_a_server_is_not_replaced_by_any_other(tmp_path):
    tool = Tool()
    with fakeovsdb.FakeOvsdb(tmp_path / SOCKET):
        pass
    with pytest.raises(Unreachable, match="refused"):
        open_client(Host(root=str(tmp_path), run=tool))
    assert tool.calls == []


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_tcp_is_spoken_directly(family, address):
    with socket.create_server((address, 0), family=family) as listener:
        port = listener.getsockname()[1]
        name = f"[{address}]" if ":" in address else address
        client = open_client(Host(run=Tool()), f"tcp:{name}:{port}")
        client.close()
    assert isinstance(client, JsonRpc)


def test_ssl_is_spoken_by_the_tool():
    tool = Tool()
    client = open_client(Host(run=tool), "ssl:192.0.2.1:6640")
    assert client.transact([{"op": "select", "table": "Bridge", "where": []}]) == [{"rows": []}]
    assert tool.calls[0][2:4] == ["transact", "ssl:192.0.2.1:6640"]


@pytest.mark.parametrize(
    "remote",
    [
        "",
        "unix:",
        "unix:db.sock",
        "/run/db.sock",
        "tcp:192.0.2.1",
        "tcp::6640",
        "tcp:host:port",
        "udp:a:1",
        "ssl:x",
    ],
)
def test_what_is_no_address_is_refused(remote):
    with pytest.raises(ParseError, match="no address") as caught:
        open_client(Host(run=Tool()), remote)
    assert "unix:/PATH" in caught.value.remedy
