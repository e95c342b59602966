# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger and SIGKILL: whatever is written last, the next run knows what is left to do."""

from __future__ import annotations

import os
import pathlib
import signal
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from machine import Machine

from ansible_collections.hearth.gpu_host.plugins.module_utils import _textfile
from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Gate, no_lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.look import RebootRequest

DEFAULTS = {
    "state": "present",
    "name": "huge-pages",
    "reason": "huge pages",
    "requested_by": "vfio",
    "expect": {"present": ["hugepages=2"], "absent": None, "checks": None, "boot": False},
    "renew": False,
    "planned": [],
    "predict": False,
    "metrics_dir": "/var/lib/hearth/metrics",
}
EFFECTS = 3


def run(machine: Machine, before: int = -1, after: int = -1, **params: t.Any) -> dict[str, t.Any]:
    """Run the capability; die before or after the effect of a number."""
    gate = Gate(machine.host, check_mode=False, lock=no_lock)
    perform = gate._perform

    def deadly(action: Action) -> None:
        number = len(gate.actions) - 1
        if number == before:
            os.kill(os.getpid(), signal.SIGKILL)
        perform(action)
        if number == after:
            os.kill(os.getpid(), signal.SIGKILL)

    gate._perform = deadly  # type: ignore[method-assign]
    return RebootRequest({**DEFAULTS, **params}, machine.host).execute(gate)


def die(machine: Machine, **params: t.Any) -> None:
    """Let a run be killed."""
    child = os.fork()
    if child == 0:
        try:
            run(machine, **params)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


when = pytest.mark.parametrize("moment", ["before", "after"])
effect = pytest.mark.parametrize("number", range(EFFECTS))


@when
@effect
def test_killed_while_entering_the_next_run_enters_the_same(
    tmp_path: pathlib.Path, moment: str, number: int
) -> None:
    undisturbed, machine = Machine(tmp_path / "a"), Machine(tmp_path / "b")
    run(undisturbed)
    die(machine, **{moment: number})
    known = run(machine, state="settled")["pending"]
    assert len(known) == (0 if (moment, number) == ("before", 0) else 1), (
        "known as soon as the ledger is written"
    )
    run(machine)
    assert machine.ours() == undisturbed.ours()
    assert run(machine)["changed"] is False


@when
@effect
def test_killed_while_settling_the_next_run_settles(tmp_path: pathlib.Path, moment: str, number: int) -> None:
    machine = Machine(tmp_path)
    run(machine)
    machine.boot("hugepages=2")
    die(machine, state="settled", **{moment: number})
    result = run(machine, state="settled")
    assert (result["pending"], result["unfulfilled"]) == ([], [])
    assert machine.ours() == {}
    assert run(machine, state="settled")["changed"] is False


@pytest.mark.parametrize("point", ["fsync", "rename"])
def test_killed_within_a_write_no_file_is_torn(
    tmp_path: pathlib.Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path)
    run(machine)
    before = machine.ours()

    def die_here(*unused: t.Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(_textfile.os, point, die_here)
        die(machine, name="other")
    assert {path: machine.ours()[path] for path in before} == before
    assert len(run(machine, name="other")["pending"]) == 1
    assert [item["name"] for item in run(machine, state="settled")["pending"]] == ["huge-pages", "other"]


def test_the_ledger_is_on_disk_before_anything_that_follows_it(tmp_path: pathlib.Path) -> None:
    """A module enters its request as the first action of its plan: killed at the next, the wish is known."""
    machine = Machine(tmp_path)

    class Change(Action):
        def describe(self) -> str:
            return "change the boot configuration"

        def perform(self, host: Host) -> None:
            raise AssertionError("killed before")

    capability = RebootRequest(DEFAULTS, machine.host)
    plan = capability.plan(capability.parse(capability.read()))
    gate = Gate(machine.host, check_mode=False, lock=no_lock)
    with pytest.raises(AssertionError):
        gate.apply((*plan.actions, Change()))
    assert len(run(machine, state="settled")["pending"]) == 1
