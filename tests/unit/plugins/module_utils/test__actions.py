# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import dataclasses
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
    Untouchable,
    WriteFile,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    CommandError,
    EffectError,
    Refusal,
)
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


@dataclasses.dataclass(frozen=True)
class Turn(Action):
    """Turn a named switch on or off; some break, before or after they turned."""

    name: str
    on: bool = True
    breaks: type[Exception] | None = None
    late: bool = False
    undo_breaks: type[Exception] | None = None

    def describe(self) -> str:
        return f"turn {self.name} {'on' if self.on else 'off'}"

    def perform(self, host: Host) -> None:
        if self.breaks and not self.late:
            raise self._error()
        switch = pathlib.Path(host.path(f"/etc/{self.name}"))
        if self.on:
            switch.write_text("")
        else:
            switch.unlink(missing_ok=True)
        if self.breaks:
            raise self._error()

    def undo(self) -> Action:
        return Turn(self.name, not self.on, self.undo_breaks)

    def touches(self) -> frozenset[str]:
        return frozenset({self.name[0]})

    def _error(self) -> Exception:
        if self.breaks is Untouchable:
            return Untouchable(f"{self.name} hangs.", "reboot", {self.name[0]})
        assert self.breaks is not None
        return self.breaks(f"{self.name} broke.")


def fail(host: Host, *plan: Action) -> tuple[Gate, Exception]:
    gate = Gate(host, check_mode=False)
    with pytest.raises(Exception) as caught:
        gate.apply(plan)
    return gate, caught.value


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("error", [OSError, Refusal, ValueError])
def test_what_was_done_is_taken_back_in_reverse_order_with_what_failed(
    host: Host, error: type[Exception], late: bool
) -> None:
    before = host.listdir("/etc")
    gate, raised = fail(host, Turn("a1"), Turn("b1"), Turn("c1", breaks=error, late=late), Turn("d1"))
    assert gate.undone == ["turn c1 off", "turn b1 off", "turn a1 off"]
    assert gate.actions == ["turn a1 on", "turn b1 on", "turn c1 on"]
    assert host.listdir("/etc") == before
    assert gate.rollback == {"attempted": True, "ok": True, "undone": gate.undone, "failed": []}
    assert isinstance(raised, EffectError if error is OSError else error)


def test_the_error_tells_how_the_rollback_went(host: Host) -> None:
    gate, raised = fail(host, Turn("a1"), Turn("b1", breaks=OSError))
    assert isinstance(raised, EffectError)
    assert raised.as_result()["rollback"] == gate.rollback
    assert raised.message == "Cannot turn b1 on: b1 broke.. What was done before was taken back."
    assert raised.remedy == "remove the cause and run again", "nothing stays, so nothing is said to stay"


def test_one_that_cannot_be_taken_back_does_not_stop_the_others(host: Host) -> None:
    for error in (OSError, Refusal, ValueError):
        gate, raised = fail(host, Turn("a1"), Turn("b1", undo_breaks=error), Turn("c1", breaks=Refusal))
        assert gate.undone == ["turn c1 off", "turn a1 off"]
        assert len(gate.undo_failed) == 1 and gate.undo_failed[0].startswith("turn b1 off: ")
        assert gate.rollback["ok"] is False
        assert "Not everything could be taken back: turn b1 off: " in str(t.cast(Refusal, raised).message)


def test_what_hangs_is_not_touched_again_and_the_rest_is_taken_back(host: Host) -> None:
    plan = (Turn("a1"), Turn("b1"), Turn("a2", breaks=Untouchable))
    gate, raised = fail(host, *plan)
    assert gate.undone == ["turn b1 off"]
    assert gate.undo_failed == [
        "turn a2 off: not tried, see the error",
        "turn a1 off: not tried, see the error",
    ]
    assert host.exists("/etc/a1")
    assert isinstance(raised, Untouchable) and raised.message.startswith("a2 hangs. ")
    assert raised.remedy == "reboot"


def test_what_hangs_while_it_is_taken_back_is_not_touched_again(host: Host) -> None:
    plan = (Turn("a1"), Turn("a2", undo_breaks=Untouchable), Turn("b1", breaks=Refusal))
    gate, _raised = fail(host, *plan)
    assert gate.undone == ["turn b1 off"]
    assert gate.undo_failed == ["turn a2 off: a2 hangs.", "turn a1 off: not tried, see the error"]


def test_a_plan_that_cannot_be_undone_fails_as_it_always_did(host: Host) -> None:
    plan = (WriteFile("/etc/new", "x"), WriteFile("/etc/there/below-a-file", "x"))
    gate, raised = fail(host, *plan)
    assert host.exists("/etc/new")
    assert gate.rollback == {} and gate.undone == []
    assert "rollback" not in t.cast(EffectError, raised).as_result()
    assert t.cast(EffectError, raised).remedy.endswith("what was done before stays and is not done twice")


def test_a_failure_before_anything_that_can_be_undone_says_so(host: Host) -> None:
    gate, raised = fail(host, WriteFile("/etc/there/below-a-file", "x"), Turn("a1"))
    assert gate.rollback == {"attempted": False, "ok": None, "undone": [], "failed": []}
    assert t.cast(EffectError, raised).message.endswith("Nothing had to be taken back.")


def test_files_between_stay_when_devices_are_taken_back(host: Host) -> None:
    gate, _raised = fail(host, WriteFile("/etc/new", "x"), Turn("a1"), Turn("b1", breaks=Refusal))
    assert gate.undone == ["turn b1 off", "turn a1 off"]
    assert host.exists("/etc/new")


def test_the_host_is_held_until_all_is_taken_back(host: Host) -> None:
    seen: list[list[str]] = []

    @contextlib.contextmanager
    def lock(_host: Host) -> t.Iterator[None]:
        try:
            yield
        finally:
            seen.append(list(gate.undone))

    gate = Gate(host, check_mode=False, lock=lock)
    with pytest.raises(Refusal):
        gate.apply([Turn("a1"), Turn("b1", breaks=Refusal)])
    assert seen == [["turn b1 off", "turn a1 off"]]


def test_an_interrupt_takes_nothing_back(host: Host) -> None:
    class Interrupted(Turn):
        def perform(self, host: Host) -> None:
            raise KeyboardInterrupt

    gate = Gate(host, check_mode=False)
    with pytest.raises(KeyboardInterrupt):
        gate.apply([Turn("a1"), Interrupted("b1")])
    assert gate.undone == [] and gate.rollback == {} and host.exists("/etc/a1")
