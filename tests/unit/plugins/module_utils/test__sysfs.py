# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils import _sysfs
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

# Like the module of a task: an open lock, output that Ansible reads to its end, and a write that never ends.
# A FIFO that nobody reads keeps its writer as an unbind does that a driver does not end.
TASK = """
import fcntl, os, sys
from ansible_collections.hearth.gpu_host.plugins.module_utils import _sysfs
lock = open(sys.argv[2], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
try:
    _sysfs.write_attribute(sys.argv[1], "0000:01:00.0", 0.2)
except _sysfs.WriteBlocked as blocked:
    print(blocked.pid)
"""
CHILD = """
import os, sys
from ansible_collections.hearth.gpu_host.plugins.module_utils import _sysfs
lock = open(sys.argv[1], "w")
kept = os.open(os.devnull, os.O_WRONLY)
_sysfs._let_go(kept)
os.write(kept, b"x")
try:
    os.fstat(lock.fileno())
    held = 1
except OSError:
    held = 0
null = os.stat(os.devnull).st_rdev
open(sys.argv[2], "w").write(f"{held} {all(os.fstat(stream).st_rdev == null for stream in range(3))} {os.getcwd()}")
"""


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code in another process, waiting for the end of its output as Ansible does."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_a_word_is_written_and_the_child_is_gone(tmp_path: pathlib.Path) -> None:
    attribute = tmp_path / "driver_override"
    attribute.write_text("")
    Host().write_sysfs(str(attribute), "vfio-pci\n", 5)
    assert attribute.read_text() == "vfio-pci\n"
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_the_error_of_the_kernel_arrives_with_its_number(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OSError) as caught:
        _sysfs.write_attribute(str(tmp_path / "gone" / "unbind"), "x", 5)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(tmp_path / "gone" / "unbind"))


def test_what_the_kernel_says_to_the_write_itself_is_told_too() -> None:
    with pytest.raises(OSError) as caught:
        _sysfs.write_attribute("/dev/full", "x", 5)
    assert caught.value.errno == errno.ENOSPC


def test_a_child_that_is_killed_has_failed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sysfs, "attempt", lambda path, text: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(InterruptedError):
        _sysfs.write_attribute(str(tmp_path), "x", 5)


def test_attempt_returns_the_number_of_the_error(tmp_path: pathlib.Path) -> None:
    attribute = tmp_path / "bind"
    attribute.write_text("(null)")
    assert _sysfs.attempt(str(attribute), "x") == 0
    assert attribute.read_text() == "xnull)", "nothing is truncated or replaced: sysfs has no such thing"
    assert _sysfs.attempt(str(tmp_path), "x") == errno.EISDIR


def test_a_write_that_never_ends_is_reported_in_time_and_its_child_holds_nothing(
    tmp_path: pathlib.Path,
) -> None:
    fifo, lock = tmp_path / "unbind", tmp_path / "lock"
    os.mkfifo(fifo)
    start = time.monotonic()
    pid = int(python(TASK, fifo, lock).stdout)
    try:
        # The task has ended although the child lives: no output stream of it is held open.
        assert time.monotonic() - start < 10
        os.kill(pid, 0)
        with open(lock, "w", encoding="ascii") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_the_child_keeps_one_descriptor_and_no_folder(tmp_path: pathlib.Path) -> None:
    found = tmp_path / "found"
    assert python(CHILD, tmp_path / "lock", found).stdout == ""
    assert found.read_text() == "0 True /"


def test_the_child_answers_and_leaves_without_tidying_up(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    left: list[t.Any] = []
    monkeypatch.setattr(_sysfs, "_let_go", left.append)
    monkeypatch.setattr(os, "_exit", left.append)
    _sysfs._be_the_child(str(tmp_path / "gone"), "x", writing)
    assert os.read(reading, 16) == str(errno.ENOENT).encode()
    assert left == [writing, 0]
    os.close(reading)
    os.close(writing)


def test_it_is_the_child_that_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Left(Exception):
        """The child does not come back."""

    def leave(*given: t.Any) -> None:
        raise Left(*given)

    ends = os.pipe()
    monkeypatch.setattr(os, "pipe", lambda: ends)
    monkeypatch.setattr(os, "fork", lambda: 0)
    monkeypatch.setattr(_sysfs, "_be_the_child", leave)
    with pytest.raises(Left) as caught:
        _sysfs.write_attribute("/sys/x", "word", 5)
    assert caught.value.args == ("/sys/x", "word", ends[1])
    for end in ends:
        os.close(end)


def test_files_that_never_answer_are_named_and_the_others_read_on(tmp_path: pathlib.Path) -> None:
    """A FIFO that nobody writes keeps its reader, as an attribute does under a lock that is never given back."""
    files = [str(tmp_path / name) for name in ("a", "b", "c", "d", "e")]
    for path in (files[0], files[2]):
        pathlib.Path(path).write_text("vfio-pci\n")
    for path in (files[1], files[4]):
        os.mkfifo(path)
    start = time.monotonic()
    assert _sysfs.unanswered(files, 0.2) == (files[1], files[4]), "one that is missing has answered"
    assert time.monotonic() - start < 5


def test_nothing_to_read_needs_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("it forks"))
    assert _sysfs.unanswered((), 1) == ()


def test_a_reader_that_somebody_killed_says_nothing_about_the_files(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sysfs, "_let_go", lambda keep: os.kill(os.getpid(), signal.SIGKILL))
    assert _sysfs.unanswered([str(tmp_path / "a"), str(tmp_path / "b")], 5) == ()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
