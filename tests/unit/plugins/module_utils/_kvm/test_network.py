# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import socket
import threading
import typing as t

import hosts
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import network
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

IPUTILS = """PING 192.0.2.1 (192.0.2.1) 56(84) bytes of data.

--- 192.0.2.1 ping statistics ---
5 packets transmitted, 5 received, 0% packet loss, time 805ms
rtt min/avg/max/mdev = 0.091/0.152/0.211/0.044 ms
"""
BUSYBOX = (
    "5 packets transmitted, 5 packets received, 0% packet loss\nround-trip min/avg/max = 0.066/0.080/0.1 ms\n"
)
LOST = "5 packets transmitted, 0 received, 100% packet loss, time 4089ms\n"


@pytest.mark.parametrize(("output", "average"), [(IPUTILS, 152), (BUSYBOX, 80), (LOST, None), ("", None)])
def test_the_average_of_ping(output: str, average: int | None) -> None:
    assert network.parse_ping(output) == average


def test_ping_comes_first_and_is_bounded(tmp_path: pathlib.Path) -> None:
    machine = hosts.Machine(tmp_path, commands={"ping": Completed(0, IPUTILS, "")})
    assert network.rtt_us(machine.host, "192.0.2.1", lambda address: pytest.fail("no need to connect")) == 152
    assert machine.calls == [("ping", "-n", "-q", "-c", "5", "-i", "0.2", "-W", "1", "192.0.2.1")]


@pytest.mark.parametrize("commands", [{}, {"ping": Completed(1, LOST, "")}], ids=["no ping", "all lost"])
def test_without_an_answer_a_handshake_is_timed(
    commands: dict[str, Completed], tmp_path: pathlib.Path
) -> None:
    host = hosts.Machine(tmp_path, commands=commands).host
    assert network.rtt_us(host, "192.0.2.1", lambda address: 0.00025) == 250
    assert network.rtt_us(host, "192.0.2.1", lambda address: None) is None


PEERS = (("a", 200), ("b", 100))


@pytest.mark.parametrize(
    ("measured", "status"),
    [
        ({"a": 200, "b": 100}, "pass"),
        ({"a": 201, "b": 1}, "fail"),
        ({"a": 1, "b": None}, "unknown"),
        ({"a": 201, "b": None}, "fail"),
    ],
)
def test_each_peer_has_its_own_limit(measured: dict[str, int | None], status: str) -> None:
    assert network.judge(PEERS, measured).status == status


def test_the_slow_peer_is_named_with_both_numbers() -> None:
    why = network.judge(PEERS, {"a": 1, "b": 150}).why
    assert all(word in why for word in ("b", "150", "100"))


def test_nobody_asked(tmp_path: pathlib.Path) -> None:
    machine = hosts.Machine(tmp_path)
    assert [finding.status for finding in network.checks(machine.host, Policy())] == ["na"]
    assert machine.calls == []


def test_a_handshake_with_a_real_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(network, "_TCP_PORT", server.getsockname()[1])
        accepting = threading.Thread(target=lambda: [server.accept()[0].close() for _attempt in range(3)])
        accepting.start()
        assert 0 < (network.tcp_seconds("127.0.0.1") or 0) < 1
        accepting.join()


def test_a_refused_handshake_is_a_round_trip_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(network, "_TCP_PORT", server.getsockname()[1])
    assert 0 < (network.tcp_seconds("127.0.0.1") or 0) < 1


@pytest.mark.parametrize("failing", ["getaddrinfo", "connect"])
def test_a_peer_that_cannot_be_reached_stays_unknown(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: t.Any, **options: t.Any) -> None:
        raise OSError("unreachable")

    if failing == "getaddrinfo":
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
    else:
        monkeypatch.setattr(socket.socket, "connect", refuse)
    assert network.tcp_seconds("127.0.0.1") is None
