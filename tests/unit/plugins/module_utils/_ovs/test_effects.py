# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two effects: a transaction, and a move."""

from __future__ import annotations

import fakeovsdb
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.effects import (
    MoveAddresses,
    Transact,
    Unrealised,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.scene import Server

REMOTE = "unix:/run/openvswitch/db.sock"
TAG = {"op": "update", "table": "Port", "where": [["name", "==", "eth1"]], "row": {"tag": 10}}


@pytest.fixture
def engine():
    found = fakeovsdb.new_database()
    fakeovsdb.add_bridge(found, "br0")
    fakeovsdb.add_port(found, "br0", "eth1")
    return found


@pytest.fixture
def host(tmp_path, engine):
    with fakeovsdb.FakeOvsdb(tmp_path / "run/openvswitch/db.sock", engine):
        yield Host(root=str(tmp_path))


def test_a_transaction_is_done_and_waited_for(host, engine):
    Transact("change it", (TAG,), Server(REMOTE, 5)).perform(host)
    assert fakeovsdb.row(engine, "Port", "eth1")["tag"] == frozenset([10])


@pytest.mark.parametrize("timeout_s", [0.2, 1])
def test_without_the_daemon_it_stands_and_is_not_carried_out(host, engine, timeout_s):
    engine.settle = None
    with pytest.raises(Unrealised, match="did not carry it out within"):
        Transact("change it", (TAG,), Server(REMOTE, timeout_s)).perform(host)
    assert fakeovsdb.row(engine, "Port", "eth1")["tag"] == frozenset([10])


def test_a_move_is_one_shell_that_reads_its_script():
    asked = []

    def run(argv, *, stdin=None, timeout_s=60.0, check=True):
        asked.append((argv, stdin, timeout_s, check))
        return Completed(0, "", "")

    action = MoveAddresses("eno1", "br0", "ip link\n", 15)
    action.perform(Host(run=run))
    assert asked == [(("sh", "-s"), "ip link\n", 15, True)]
    assert action.describe() == "move addresses, routes and rules of eno1 to br0"
