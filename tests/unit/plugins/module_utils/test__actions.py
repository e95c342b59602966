# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import (
    Action,
    Gate,
    RemoveFile,
    Run,
    WriteFile,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError, EffectError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

PLAN = (
    WriteFile("/etc/hearth/new", "new\n", 0o600),
    WriteFile("/etc/there", "changed\n"),
    RemoveFile("/etc/gone"),
    Run(("sysctl", "--system"), stdin="x", timeout_s=9),
)
DESCRIBED = [
    "write /etc/hearth/new (0600)",
    "write /etc/there (0644)",
    "remove /etc/gone",
    "run sysctl --system",
]


class Commands:
    """A runner that only writes down what it was asked."""

    def __init__(self, fails: bool = False) -> None:
        self.calls: list[tuple[tuple[str, ...], str | None, float]] = []
        self.fails = fails

    def __call__(
        self, argv: t.Sequence[str], *, stdin: str | None = None, timeout_s: float = 0, check: bool = True
    ) -> Completed:
        self.calls.append((tuple(argv), stdin, timeout_s))
        if self.fails:
            raise CommandError(f"{argv[0]} failed.")
        return Completed(0, "", "")


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def host(tmp_path: pathlib.Path, commands: Commands) -> Host:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/there").write_text("there\n")
    (tmp_path / "etc/gone").write_text("gone\n")
    return Host(root=str(tmp_path), run=commands)


def tree_hash(root: str) -> str:
    """Digest names, contents, modes and times of everything below ``root``."""
    digest = hashlib.sha256()
    for folder, folders, files in sorted(os.walk(root)):
        for name in sorted([*folders, *files]):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            digest.update(f"{path} {status.st_mode} {status.st_mtime_ns} {status.st_ino}".encode())
            if name in files:
                digest.update(pathlib.Path(path).read_bytes())
    return digest.hexdigest()


def test_check_mode_performs_nothing_and_records_everything(host: Host, commands: Commands) -> None:
    before = tree_hash(host.root)
    gate = Gate(host, check_mode=True)
    gate.apply(PLAN)
    assert tree_hash(host.root) == before
    assert commands.calls == []
    assert gate.actions == DESCRIBED
    assert not gate.performed and gate.check_mode


def test_the_real_run_records_what_check_mode_predicted(host: Host, commands: Commands) -> None:
    predicted, real = Gate(host, check_mode=True), Gate(host, check_mode=False)
    predicted.apply(PLAN)
    real.apply(PLAN)
    assert real.actions == predicted.actions
    assert real.performed and not real.check_mode
    assert host.text("/etc/hearth/new") == "new"
    assert host.text("/etc/there") == "changed"
    assert not host.exists("/etc/gone")
    assert commands.calls == [(("sysctl", "--system"), "x", 9)]


def test_check_mode_takes_no_lock_and_the_real_run_holds_it_throughout(host: Host) -> None:
    events: list[str] = []

    @contextlib.contextmanager
    def lock(_host: Host) -> t.Iterator[None]:
        events.append("locked")
        yield
        events.append("unlocked")

    class Note(Action):
        def describe(self) -> str:
            return "note"

        def perform(self, host: Host) -> None:
            events.append("effect")

    Gate(host, check_mode=True, lock=lock).apply([Note()])
    assert events == []
    Gate(host, check_mode=False, lock=lock).apply([Note(), Note()])
    assert events == ["locked", "effect", "effect", "unlocked"]


def test_an_empty_plan_needs_no_lock(host: Host) -> None:
    def lock(_host: Host) -> t.ContextManager[None]:
        raise AssertionError("locked for nothing")

    gate = Gate(host, check_mode=False, lock=lock)
    gate.apply(())
    assert gate.actions == [] and not gate.performed


def test_the_first_failure_stops_the_plan_and_is_the_last_record(host: Host) -> None:
    failing = Host(root=host.root, run=Commands(fails=True))
    gate = Gate(failing, check_mode=False)
    with pytest.raises(CommandError):
        gate.apply([Run(("false",)), RemoveFile("/etc/gone")])
    assert gate.actions == ["run false"]
    assert host.exists("/etc/gone")


def test_a_system_error_becomes_one_clear_error(host: Host) -> None:
    gate = Gate(host, check_mode=False)
    with pytest.raises(EffectError) as caught:
        gate.apply([WriteFile("/etc/there/below-a-file", "x")])
    assert caught.value.message.startswith("Cannot write /etc/there/below-a-file (0644): ")
    assert f"'{host.path('/etc/there')}'" in caught.value.message, "the one that is in the way is named"
    assert caught.value.remedy


def test_actions_are_plain_data() -> None:
    assert WriteFile("/x", "y") == WriteFile("/x", "y") != WriteFile("/x", "z")
    assert len({Run(("a",)), Run(("a",)), RemoveFile("/a")}) == 2
