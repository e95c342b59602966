# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The controller's half of a guarded change: prove that a new connection works, or say what became of it.

The host waits for one command. It comes over a connection that was made after the change; that the old one still
works proves nothing, since a firewall lets established connections pass.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import signal
import socket
import threading
import time
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

CONFIRMED, ROLLED_BACK, UNKNOWN, SAME_CONNECTION, NOT_KEPT = 0, 3, 4, 5, 6
# Nothing that is asked again would be answered differently.
FINAL = (CONFIRMED, ROLLED_BACK, UNKNOWN, NOT_KEPT)

CONNECT_S = 10
COMMAND_S = 20
PAUSE_S = 2.0
# After the window the host needs a moment to take everything back; it is worth waiting for what it says then.
GRACE_S = 30.0

# Connections that are made through the network of the host, and that reset() really ends.
_NETWORK = frozenset({"ssh", "paramiko", "paramiko_ssh", "ansible.netcommon.libssh", "libssh"})
# Connections that do not go through the host's network at all: there is none that could be proven.
_DIRECT = frozenset(
    ("local", "chroot", "buildah", "docker", "docker_api", "incus", "jail", "kubectl", "lxc", "lxd")
    + ("machinectl", "nspawn", "oc", "podman", "qubes", "zone")
)

_BY_ITSELF = "the host takes back by itself when the time of its guard is over; see hearth-guard list there."

Result = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the host said, or ``rc`` ``None`` and why it could not be asked."""

    rc: int | None
    text: str


class GuardedAction(ActionBase):
    """Run a module that arms the guard, then confirm what it did. A subclass names the module."""

    MODULE = ""
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: t.Any = None, task_vars: t.Any = None) -> Result:
        """Run the module; where it armed the guard, confirm over a new connection or fail with the reason."""
        super().run(tmp, task_vars)
        given = {**self._task.args, "transport": str(self._connection.transport)}
        try:
            result: Result = self._execute_module(self.MODULE, module_args=given, task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            raise AnsibleConnectionFailure(
                f"{error} The connection was lost while {self.MODULE} ran. What it may have changed, {_BY_ITSELF}"
            ) from error
        guard = result.get("guard")
        if "module_stdout" in result:
            # It was killed, or died before it could speak: what it did then, only the host knows.
            return {**result, "msg": f"{result.get('msg', '')} What it may have changed, {_BY_ITSELF}"}
        if not guard or self._task.check_mode:
            return result
        if result.get("failed"):
            return {**result, "taken_back": self._take_back(guard)}
        with impatient(self._connection, guard["window_s"]) as connect_s:
            return self._confirm(result, guard, connect_s)

    def _take_back(self, guard: Result) -> str:
        """Do not let the host wait for a confirmation that will not come; without an answer it does not need us."""
        with bounded(CONNECT_S + COMMAND_S):
            return self._ask([*guard["rollback"], "the task failed"]).text

    def _confirm(self, result: Result, guard: Result, connect_s: int) -> Result:
        end = time.monotonic() + guard["window_s"] + GRACE_S
        way = way_of(str(self._connection.transport))
        failures: list[str] = []
        while True:
            answer = self._attempt(guard, way, connect_s)
            if answer.rc in FINAL:
                return conclude(result, guard, answer, way, failures)
            if answer.rc == SAME_CONNECTION and way == "new connection":
                # reset() did not end it, as under Mitogen: the next attempt makes a connection of its own.
                way = "tcp"
                continue
            failures.append(answer.text)
            if time.monotonic() + PAUSE_S > end:
                return conclude(result, guard, answer, way, failures)
            time.sleep(PAUSE_S)

    def _attempt(self, guard: Result, way: str, connect_s: int) -> Answer:
        """Ask once. Over the network the connection is ended first, so that the one that is made is new."""
        argv = list(guard["confirm"])
        try:
            with bounded(connect_s + COMMAND_S):
                if way == "new connection":
                    self._connection.reset()
                if way == "tcp":
                    socket.create_connection(self._address(), connect_s).close()
                return self._ask(argv if way == "new connection" else [*argv, way])
        except (AnsibleError, OSError) as error:
            return Answer(None, str(error))

    def _ask(self, argv: t.Sequence[str]) -> Answer:
        try:
            execute: t.Any = self._low_level_execute_command
            done = execute(shlex.join(argv), sudoable=True)
        except AnsibleError as error:
            return Answer(None, str(error))
        said = (done.get("stdout") or "").strip() or (done.get("stderr") or "").strip()
        return Answer(int(done["rc"]), said)

    def _address(self) -> tuple[str, int]:
        """Return where the connection plugin connects to.

        The task's own values come first: a plugin whose options were never filled in has the default of ``host``,
        which is the name of a variable.
        """
        context = self._play_context
        host = context.remote_addr or _option(self._connection, "host")
        return str(host), int(context.port or _option(self._connection, "port") or 22)


def way_of(transport: str) -> str:
    """Tell how a change can be proven over a kind of connection. Pure.

    ``new connection``: by ending the one there is. ``command``: by the command alone. ``tcp``: what a ``reset()`` does
    is not known, so a connection to the same port is made first.
    """
    if transport in _NETWORK:
        return "new connection"
    return "command" if transport.rpartition(".")[2] in _DIRECT else "tcp"


def conclude(
    result: Result, guard: Result, answer: Answer, way: str, failures: t.Sequence[str] = ()
) -> Result:
    """Return the result of the task once it is known, or not to be known, how the change ended. Pure."""
    if answer.rc == CONFIRMED:
        return {**result, "confirmed": True, "confirmed_by": way}
    what, window = guard["what"], guard["window_s"]
    tried = f" ({len(failures)} attempts; the last one: {failures[-1]})" if failures else ""
    changed = (
        f"The change of {what} was made, and then it could not be confirmed over a new connection{tried}."
    )
    rolled_back = answer.rc == ROLLED_BACK
    if answer.rc == NOT_KEPT:
        said = f"The change of {what} works, but the host cannot keep it, and a reboot may undo it: {answer.text}"
        remedy = f"remove the cause, then {shlex.join(guard['confirm'])} on the host, or run again"
    elif rolled_back:
        said = f"{changed} The host took it back by itself ({answer.text}) and is reachable again, as it was before."
        remedy = "correct what keeps the controller out, then run again"
    elif answer.rc == UNKNOWN:
        said = f"The change of {what} could not be confirmed: the host does not know {guard['token']} ({answer.text})."
        remedy = "see hearth-guard list on the host, then run again"
    elif answer.rc is None:
        said = f"{changed} The host should have taken it back after {window} s, and is still not reachable."
        remedy = "on its console: hearth-guard list"
    else:
        said = f"{changed} The host was reached, and {guard['confirm'][0]} ended with status {answer.rc}."
        remedy = "see hearth-guard list on the host"
    return {
        **result,
        "failed": True,
        "changed": bool(result.get("changed")) and not rolled_back,
        "confirmed": answer.rc == NOT_KEPT,
        # A host that cannot write notes nothing, and takes back all the same.
        "rolled_back": True if rolled_back else False if answer.rc == NOT_KEPT else None,
        "msg": f"{said} Remedy: {remedy}",
        "remedy": remedy,
        "attempts": list(failures),
    }


@contextlib.contextmanager
def impatient(connection: t.Any, window_s: int) -> t.Iterator[int]:
    """Let attempts fail fast, and let the connection be afterwards what it was; return the time limit to connect.

    A link that is slow, and has a long time limit for that, keeps a third of the window for each attempt.
    """
    before = {name: _option(connection, name) for name in ("timeout", "reconnection_retries")}
    connect_s = min(int(before["timeout"] or CONNECT_S), max(CONNECT_S, window_s // 3))
    wanted = {"timeout": connect_s, "reconnection_retries": 0}
    known = [name for name, value in before.items() if value is not None]
    for name in known:
        connection.set_option(name, wanted[name])
    try:
        yield connect_s
    finally:
        for name in known:
            connection.set_option(name, before[name])


@contextlib.contextmanager
def bounded(seconds: float) -> t.Iterator[None]:
    """End an attempt that hangs in an established connection: no option of ssh bounds that.

    Where the task has a time limit of its own, that one is in force and stays so.
    """
    free = signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    if not free or threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_alarm(_number: int, _frame: t.Any) -> None:
        raise AnsibleConnectionFailure(f"no answer within {seconds:g} s")

    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _option(connection: t.Any, name: str) -> t.Any:
    try:
        return connection.get_option(name)
    except KeyError:
        return None
