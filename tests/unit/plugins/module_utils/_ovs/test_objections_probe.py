# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controllers are asked only when it matters, and one answer is enough."""

from __future__ import annotations

import socket

import pytest
from bridgescenes import (
    CONTROLLER,
    Network,
    Scene,
    carrying,
    carrying_bridge,
    standing_alone,
    with_controller,
)

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_probe import (
    address_of,
    answers_of,
    connect_to,
    is_connected,
)

OTHER = "ssl:192.0.2.2:6654"


def connected(engine, target=CONTROLLER):
    row = {"is_connected": True}
    engine.transact(
        [{"op": "update", "table": "Controller", "where": [["target", "==", target]], "row": row}]
    )
    return engine


def test_a_controller_that_answers_is_found_and_the_rest_is_left_alone():
    network = Network(OTHER)
    change = carrying().change(controllers=[CONTROLLER, OTHER, "tcp:192.0.2.3"])
    assert answers_of(change, network) == {CONTROLLER: False, OTHER: True}
    assert network.tried == [CONTROLLER, OTHER]


def test_one_that_open_vswitch_is_connected_to_is_not_asked():
    network = Network()
    engine = connected(with_controller(fail_mode=frozenset(["standalone"])))
    change = carrying(engine).change(fail_mode="secure")
    assert answers_of(change, network) == {CONTROLLER: True}
    assert network.tried == []


def test_one_that_open_vswitch_has_lost_is_asked():
    scene = carrying(with_controller())
    assert not is_connected(scene.database, CONTROLLER)
    assert answers_of(scene.change(fail_mode="secure"), Network(CONTROLLER)) == {CONTROLLER: True}


@pytest.mark.parametrize(
    ("scene", "params"),
    [
        (Scene(carrying_bridge()), {"controllers": [CONTROLLER]}),
        (carrying(with_controller()), {"controllers": [CONTROLLER]}),
        (carrying(with_controller()), {"state": "absent"}),
        (carrying(), {"controllers": ["ptcp:6653"]}),
    ],
    ids=["the host is elsewhere", "nothing changes", "the bridge goes", "it listens"],
)
def test_nobody_is_asked_where_it_does_not_matter(scene, params):
    network = Network()
    assert answers_of(scene.change(**params), network) == {}
    assert network.tried == []


def test_the_host_that_moves_on_to_a_bridge_with_a_controller_asks_it():
    change = standing_alone(engine=with_controller()).change(moves="eno1")
    assert answers_of(change, Network()) == {CONTROLLER: False}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", ("192.0.2.1", 6653)),
        ("192.0.2.1:6633", ("192.0.2.1", 6633)),
        ("[2001:db8::1]", ("2001:db8::1", 6653)),
        ("[2001:db8::1]:6633", ("2001:db8::1", 6633)),
        ("controller.example", ("controller.example", 6653)),
    ],
)
def test_a_target_is_an_address_with_or_without_a_port(text, address):
    assert address_of(text) == address


def test_a_listening_controller_is_reached_and_a_dead_one_is_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        connect_to(f"tcp:127.0.0.1:{port}", 5)
    with pytest.raises(OSError, match="refused"):
        connect_to(f"tcp:127.0.0.1:{port}", 5)


def test_a_controller_on_this_host_is_reached_by_its_socket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("controller.sock")
        server.listen()
        connect_to("unix:controller.sock", 5)
    with pytest.raises(FileNotFoundError):
        connect_to("unix:nowhere.sock", 5)


def test_the_real_network_is_asked_where_nothing_else_is_said(tmp_path):
    target = f"unix:{tmp_path}/nobody"
    assert answers_of(carrying().change(controllers=[target])) == {target: False}
