# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lab_forward against a server that speaks slirp4netns' protocol on a real socket."""

from __future__ import annotations

import json
import socket
import threading
import typing as t
from pathlib import Path

import lab_main
import pytest

from ansible_collections.hearth.gpu_host.plugins.modules import lab_forward

WISH = [{"host_port": 40123, "guest_port": 22}]


class Slirp:
    """Answers one request per connection, as slirp4netns(1) describes it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.forwards: list[dict[str, t.Any]] = []
        self.refuse = ""
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self.path)
        self._server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _peer = self._server.accept()
            except OSError:
                return
            with connection:
                request = json.loads(connection.makefile("rb").read())
                connection.sendall(json.dumps(self._answer(request)).encode())

    def _answer(self, request: dict[str, t.Any]) -> dict[str, t.Any]:
        if request["execute"] == "list_hostfwd":
            return {"entries": self.forwards}
        if self.refuse:
            return {"error": {"desc": self.refuse}}
        self.forwards.append(request["arguments"])
        return {"return": {"id": 1}}


@pytest.fixture(name="slirp")
def _slirp(tmp_path: Path) -> t.Iterator[Slirp]:
    server = Slirp(tmp_path / "s")
    yield server
    server.close()


def test_missing_arguments_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert "api_socket" in lab_main.run(lab_forward, capsys)["msg"]


def test_staircase(slirp: Slirp, capsys: pytest.CaptureFixture[str]) -> None:
    predicted = lab_main.run(lab_forward, capsys, check=True, api_socket=slirp.path, forwards=WISH)
    assert slirp.forwards == []
    real = lab_main.run(lab_forward, capsys, api_socket=slirp.path, forwards=WISH)
    assert (predicted["actions"], predicted["diff"]) == (real["actions"], real["diff"])
    assert slirp.forwards[0]["host_addr"] == "127.0.0.1"
    assert lab_main.run(lab_forward, capsys, api_socket=slirp.path, forwards=WISH)["changed"] is False


def test_forwards_of_others_stay(slirp: Slirp, capsys: pytest.CaptureFixture[str]) -> None:
    slirp.forwards.append({"host_port": 8188, "guest_port": 8188})
    result = lab_main.run(lab_forward, capsys, api_socket=slirp.path, forwards=WISH)
    assert "8188" in result["diff"]["after"]
    assert len(slirp.forwards) == 2


def test_a_refusal_is_one_clear_error(slirp: Slirp, capsys: pytest.CaptureFixture[str]) -> None:
    slirp.refuse = "port in use"
    result = lab_main.run(lab_forward, capsys, api_socket=slirp.path, forwards=WISH)
    assert "port in use" in result["msg"]
    assert "exception" not in result


def test_nothing_runs_yet_in_check_mode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "none")
    assert lab_main.run(lab_forward, capsys, check=True, api_socket=missing, forwards=WISH)["changed"] is True
