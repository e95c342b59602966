# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import multiprocessing
import os
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.plugin_utils import _play


@pytest.fixture
def sleeper() -> t.Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def id_of(pid: int) -> str:
    return f"{_play._where('/proc')}/{pid}/{_play._start('/proc', pid)}"


def _tell(queue: t.Any) -> None:
    queue.put(_play.play_id())


def test_a_forked_worker_has_the_identity_of_its_run() -> None:
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    workers = [context.Process(target=_tell, args=(queue,)) for _unused in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {queue.get(), queue.get(), _play.play_id()} == {id_of(os.getpid())}


def test_a_living_run_is_not_dead(sleeper: subprocess.Popen[bytes]) -> None:
    assert not _play.is_dead(_play.play_id())
    assert not _play.is_dead(id_of(sleeper.pid))


def test_a_killed_run_is_dead_before_and_after_its_parent_noticed(sleeper: subprocess.Popen[bytes]) -> None:
    play = id_of(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert _play.is_dead(play), "a zombie has ended"
    sleeper.wait()
    assert _play.is_dead(play)


def test_a_pid_that_was_given_to_another_process_is_another_run(sleeper: subprocess.Popen[bytes]) -> None:
    where_and_pid, _unused, start = id_of(sleeper.pid).rpartition("/")
    assert _play.is_dead(f"{where_and_pid}/{int(start) - 1}")


@pytest.mark.parametrize("play", ["", "x", "//", "a/b/c/d", "other-boot/4026531836/1/1", "other/0/999999/1"])
def test_a_run_that_cannot_be_seen_from_here_is_not_called_dead(play: str) -> None:
    assert not _play.is_dead(play)


def test_another_pid_namespace_is_another_place(sleeper: subprocess.Popen[bytes]) -> None:
    boot, _namespace, pid, start = id_of(sleeper.pid).split("/")
    sleeper.kill()
    sleeper.wait()
    assert not _play.is_dead(f"{boot}/1/{pid}/{start}")


def test_a_process_that_proc_hides_is_alive(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under hidepid=2 another user's process has no folder in /proc, and may not be signalled."""
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text("boot\n")
    (tmp_path / "self/ns").mkdir(parents=True)
    os.symlink("pid:[42]", tmp_path / "self/ns/pid")

    def forbidden(pid: int, number: int) -> None:
        assert (pid, number) == (4711, 0)
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert not _play.is_dead("boot/42/4711/7", proc=str(tmp_path))


def test_without_proc_nobody_is_called_dead(tmp_path: pathlib.Path) -> None:
    assert not _play.is_dead("/999999/1", proc=str(tmp_path))


def test_the_start_is_found_behind_any_command_name(tmp_path: pathlib.Path) -> None:
    rest = " ".join(["S", *map(str, range(1, 50))])
    (tmp_path / "7").mkdir()
    (tmp_path / "7/stat").write_text(f"7 (evil) name) {rest}\n")
    assert _play._start(str(tmp_path), 7) == "19"
