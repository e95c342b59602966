# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Arm the guard before a change, and look whether another change still waits.

The host itself decides, in one program (``script.py``); this is how modules speak with it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import time
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils import _textfile
from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import EffectError, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._guard import script
from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.model import (
    ARMED,
    CONFIRMING,
    UNDOING,
    Outcome,
    Pending,
    Spec,
    parse_outcome,
    parse_pending,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

STATE = "/var/lib/hearth/guard"
NEW = f"{STATE}/new"

_PLACES = (ARMED, CONFIRMING, UNDOING)
_SYSTEMD = ("/run/systemd/system", "/etc/systemd/system")
_ANOTHER_WAITS = 7
_UNKNOWN = 4
# A lock of 20 s, systemd-run with 20 s, and each once more to take it back.
_ARM_S = 90.0
# A script has 120 s, and may have to wait for another that has them too.
_SETTLE_S = 300.0


@dataclasses.dataclass(frozen=True)
class Arm(Action):
    """Lay everything on the host that takes the change back, start the timer, and see that it runs.

    What is described does not hold the token, which is another one in each run.
    """

    spec: Spec
    token: str
    who: str

    def describe(self) -> str:
        return f"guard the change of {self.spec.what} for {self.spec.window_s} s"

    def perform(self, host: Host) -> None:
        install(host)
        try:
            _stage(host, self.spec, self.token, self.who)
            self._arm(host)
        finally:
            shutil.rmtree(host.path(f"{NEW}/{self.token}"), ignore_errors=True)
        _sync(host.path(f"{STATE}/{ARMED}"))

    def _arm(self, host: Host) -> None:
        done = host.run((script.PROGRAM, "arm", self.token), timeout_s=_ARM_S, check=False)
        if done.rc == _ANOTHER_WAITS:
            raise Refusal(
                f"The change of {self.spec.what} cannot be guarded: {_said(done.err)}",
                remedy="wait until it has ended, or end it: hearth-guard list",
            )
        waiting = parse_pending(done.out, host.now()) if done.rc == 0 else ()
        if not any(one.token == self.token and one.armed and one.state == ARMED for one in waiting):
            raise EffectError(
                f"The guard of {self.spec.what} is not armed, so nothing was changed:"
                f" {_said(done.err) or 'it does not say why.'}",
                remedy="see whether the host can start timers (systemctl status, or setsid and flock without systemd)",
            )

    def undo(self) -> Action:
        return TakeBack(self.token, self.spec.what)


@dataclasses.dataclass(frozen=True)
class TakeBack(Action):
    """Take the change back now; the guard is disarmed by that. One that was not armed changed nothing."""

    token: str
    what: str

    def describe(self) -> str:
        return f"take the change of {self.what} back"

    def perform(self, host: Host) -> None:
        armed = any(host.exists(f"{STATE}/{place}/{self.token}") for place in _PLACES)
        if not armed and not host.exists(script.PROGRAM):
            # It could not even be put there: nothing was changed.
            return
        argv = (script.PROGRAM, "rollback", self.token, "the task that made it failed")
        done = host.run(argv, timeout_s=_SETTLE_S, check=False)
        if done.rc not in (0, _UNKNOWN):
            raise EffectError(
                f"hearth-guard says: {_said(done.err) or _said(done.out)}",
                remedy=f"hearth-guard rollback {self.token}",
            )


@dataclasses.dataclass(frozen=True)
class Settle(Action):
    """End what a dead run left behind: keep what was confirmed, take back what was not."""

    token: str
    what: str

    def describe(self) -> str:
        return f"end the change of {self.what} that a dead run left behind"

    def perform(self, host: Host) -> None:
        host.run((script.PROGRAM, "settle", self.token), timeout_s=_SETTLE_S)


def install(host: Host) -> None:
    """Put the program, its name in the search path, and its unit where they belong."""
    _replace(host, script.PROGRAM, script.GUARD, 0o755)
    _link(host, script.COMMAND, script.PROGRAM)
    if any(map(host.exists, _SYSTEMD)):
        _replace(host, script.UNIT_FILE, script.UNIT, 0o644)
        _link(host, script.WANTED_BY, script.UNIT_FILE)


def read_pending(host: Host) -> tuple[Pending, ...]:
    """Return the changes that are not decided yet. Without any, which is the rule, no process is started."""
    if not any(host.listdir(f"{STATE}/{place}") for place in _PLACES):
        return ()
    return parse_pending(host.run((script.PROGRAM, "pending")).out, host.now())


def read_outcome(host: Host, what: str) -> Outcome | None:
    """Return how the last change of a kind ended."""
    return parse_outcome(what, host.read(f"{STATE}/outcome/{what}").text or "")


def settle_dead(gate: Gate, host: Host) -> None:
    """End what dead runs left, before the host is read: a change with nobody left who would take it back."""
    gate.apply([Settle(one.token, one.what) for one in read_pending(host) if not one.armed])


def refuse_pending(pending: t.Sequence[Pending], what: str) -> None:
    """Refuse to change ``what`` while any change waits: what it finds may be gone in a moment. Pure.

    :raises Refusal: with the age of the first one, and how to end it.
    """
    for one in pending:
        raise Refusal(
            f"{what} is not changed while a change of {one.what} by {one.who or 'somebody'}, made at"
            f" {_clock(one.since)}, {_stands(one)}",
            remedy=_way_out(one),
            pending=dataclasses.asdict(one),
        )


def guard_fact(spec: Spec, token: str, now: float) -> dict[str, t.Any]:
    """Return what the controller must know to confirm; the result of the task has it as ``guard``. Pure."""
    return {
        "token": token,
        "what": spec.what,
        "window_s": spec.window_s,
        "deadline": _clock(now + spec.window_s),
        "confirm": [script.PROGRAM, "confirm", token],
        "rollback": [script.PROGRAM, "rollback", token],
    }


def _stands(one: Pending) -> str:
    begun = {ARMED: "was not confirmed", CONFIRMING: "is not kept yet", UNDOING: "is not taken back yet"}
    if one.armed:
        return f"{begun[one.state]}; {one.left_s} s are left."
    return f"{begun[one.state]}, and nobody is left on the host who would end it."


def _way_out(one: Pending) -> str:
    end = "confirm" if one.state == CONFIRMING else "rollback"
    wait = "wait, or end it now" if one.armed else "end it"
    return f"{wait} on the host: hearth-guard {end} {one.token}"


def _stage(host: Host, spec: Spec, token: str, who: str) -> None:
    """Write the folder; what is read after a power cut must be on the disk before anything is changed."""
    os.makedirs(host.path(STATE), mode=0o700, exist_ok=True)
    shutil.rmtree(host.path(NEW), ignore_errors=True)
    folder = host.path(f"{NEW}/{token}")
    texts = {
        **spec.files,
        "rollback": spec.rollback,
        "commit": spec.commit,
        "guard.what": spec.what,
        "guard.who": " ".join(who.split()) or "somebody",
        "guard.window": str(spec.window_s),
    }
    for name in sorted(texts):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(texts[name])
            stream.flush()
            os.fsync(stream.fileno())
    for path in {os.path.dirname(os.path.join(folder, name)) for name in texts}:
        _sync(path)


def _sync(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _replace(host: Host, path: str, content: str, mode: int) -> None:
    if host.read(path).text != content:
        _textfile.replace(host, path, content, mode)


def _link(host: Host, path: str, to: str) -> None:
    """Make a symbolic link; what somebody else has put there stays."""
    os.makedirs(os.path.dirname(host.path(path)), exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.symlink(to, host.path(path))


def _said(text: str) -> str:
    return " ".join(line.rpartition("hearth-guard: ")[2] for line in text.splitlines())


def _clock(epoch: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(epoch))
