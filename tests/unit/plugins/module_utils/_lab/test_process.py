# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of the lab are started once, known by pid and start time, and stopped by nothing else."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._lab import process
from ansible_collections.hearth.gpu_host.plugins.module_utils._lab.capability import LabProcess

SLEEP = ("sleep", "60")


@pytest.fixture(name="lab")
def _lab(tmp_path: Path) -> t.Iterator[t.Callable[..., dict[str, t.Any]]]:
    """Run the capability, and stop whatever it started."""

    def run(state: str = "started", check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        params = {"name": "p", "directory": str(tmp_path), "argv": SLEEP, "ports": [], "taps": []}
        params.update(options, state=state)
        return LabProcess(params, Host()).execute(Gate(Host(), check))

    yield run
    run("stopped")


def test_starts_once_and_stops_by_pid(lab: t.Callable[..., dict[str, t.Any]]) -> None:
    first, second = lab(), lab()
    assert (first["changed"], first["actions"]) == (True, ["start p"])
    assert (second["changed"], second["pid"]) == (False, first["pid"])
    assert lab("stopped")["actions"] == ["stop p"]
    assert process.start_time(Host(), first["pid"]) is None
    assert lab("stopped")["changed"] is False


def test_check_mode_starts_nothing(lab: t.Callable[..., dict[str, t.Any]], tmp_path: Path) -> None:
    predicted = lab(check=True)
    assert (predicted["changed"], predicted["actions"], predicted["pid"]) == (True, ["start p"], 0)
    assert list(tmp_path.iterdir()) == []


def test_a_stranger_with_the_recorded_pid_is_left_alone(
    lab: t.Callable[..., dict[str, t.Any]], tmp_path: Path
) -> None:
    stranger = subprocess.Popen(SLEEP)
    try:
        record = {"pid": stranger.pid, "start_time": "1", "ports": {}}
        (tmp_path / "p.json").write_text(json.dumps(record))
        assert lab("stopped")["changed"] is False
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_process_that_ignores_sigterm_is_killed(
    lab: t.Callable[..., dict[str, t.Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_TERM_S", 0.5)
    pid = lab(argv=["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])["pid"]
    lab("stopped")
    assert process.start_time(Host(), pid) is None


def test_a_process_that_ends_at_once_is_an_error_with_its_last_words(
    lab: t.Callable[..., dict[str, t.Any]],
) -> None:
    with pytest.raises(CommandError, match="no such disk"):
        lab(argv=["sh", "-c", "echo no such disk >&2; exit 1"])


def test_ports_are_free_filled_in_and_kept(lab: t.Callable[..., dict[str, t.Any]]) -> None:
    argv = ["sh", "-c", "exec sleep 6{port.ssh}"]
    first = lab(argv=argv, ports=["ssh"])
    command = Path(f"/proc/{first['pid']}/cmdline").read_text().split("\0")
    assert command[1] == f"6{first['ports']['ssh']}"
    lab("stopped", ports=["ssh"])
    assert lab(argv=argv, ports=["ssh"])["ports"] == first["ports"]


def test_a_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    spec = process.Spec("p", str(tmp_path), SLEEP, ports=("ssh",))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        taken = other.getsockname()[1]
        record = process.Record(1, "never", {"ssh": taken})
        (tmp_path / "p.json").write_text(json.dumps(dataclasses.asdict(record)))
        process.Start(spec).perform(Host())
    started = process.load_record(Host(), spec)
    assert started is not None
    try:
        assert started.ports["ssh"] != taken
    finally:
        os.kill(started.pid, signal.SIGKILL)
        os.waitpid(started.pid, 0)


def test_fill_leaves_other_braces_alone() -> None:
    argv = ["{port.ssh}:{tap.seg}", "{other}"]
    assert process.fill(argv, {"ssh": 22}, {"seg": 3}) == ["22:3", "{other}"]


def test_a_zombie_counts_as_dead() -> None:
    child = subprocess.Popen(["true"])
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and "Z" not in Path(f"/proc/{child.pid}/stat").read_text().split()[2]:
        time.sleep(0.01)
    assert process.start_time(Host(), child.pid) is None
    child.wait()
