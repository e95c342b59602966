# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half, with a connection and a host that are played."""

from __future__ import annotations

import signal
import socket
import threading
import time
import typing as t

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.hearth.gpu_host.plugins.action import iptables_baseline
from ansible_collections.hearth.gpu_host.plugins.plugin_utils import _guard

GUARD = {
    "token": "firewall-1",
    "what": "firewall",
    "window_s": 90,
    "confirm": ["/usr/local/libexec/hearth-guard", "confirm", "firewall-1"],
    "rollback": ["/usr/local/libexec/hearth-guard", "rollback", "firewall-1"],
}
MADE = {"changed": True, "actions": ["guard"], "guard": GUARD}
UNREACHABLE = AnsibleConnectionFailure("ssh: connect to host gpu01 port 22: Connection timed out")


class Connection:
    """A connection that counts: options, resets, and the time it was told to have for each attempt."""

    def __init__(self, transport: str = "ssh", **options: t.Any) -> None:
        self.transport = transport
        self.options = {"timeout": 10, "reconnection_retries": 3, "host": "gpu01", "port": None, **options}
        self.address: str | None = "192.0.2.1"
        self.resets = 0

    def get_option(self, name: str) -> t.Any:
        return self.options[name]

    def set_option(self, name: str, value: t.Any) -> None:
        self.options[name] = value

    def reset(self) -> None:
        self.resets += 1


class Action(iptables_baseline.ActionModule):
    """The action on a played host: ``answers`` are what it says to one command after the other."""

    def __init__(self, answers: t.Sequence[t.Any], connection: Connection, made: t.Any = None) -> None:
        self.answers, self.made = list(answers), made or MADE
        self.commands: list[str] = []
        self.seen: list[tuple[t.Any, t.Any]] = []
        self.given: dict[str, t.Any] = {}
        self._connection = connection
        self._play_context = type("PlayContext", (), {"remote_addr": connection.address, "port": None})()
        self._task = type("Task", (), {"args": {"state": "present"}, "check_mode": False})()

    def _execute_module(self, name: str, module_args: dict[str, t.Any], **_rest: t.Any) -> t.Any:
        assert name == "hearth.gpu_host.iptables_baseline"
        self.given = dict(module_args)
        if isinstance(self.made, Exception):
            raise self.made
        return dict(self.made)

    def _low_level_execute_command(self, cmd: str, sudoable: bool = False) -> t.Any:
        assert sudoable, "the guard speaks with root only"
        self.commands.append(cmd)
        options = self._connection.options
        self.seen.append((options.get("timeout"), options.get("reconnection_retries")))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        rc, text = answer
        return {"rc": rc, "stdout": text, "stderr": ""}


class Clock:
    """A time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_guard.ActionBase, "run", lambda self, tmp, task_vars: {})
    monkeypatch.setattr(_guard.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(_guard.time, "sleep", clock.sleep)
    return clock


def run(answers: t.Sequence[t.Any], connection: Connection | None = None, made: t.Any = None) -> t.Any:
    action = Action(answers, connection or Connection(), made)
    return action.run(None, {}), action


def test_one_new_login_and_one_command_confirm() -> None:
    connection = Connection()
    result, action = run([(0, "confirmed\n")], connection)
    assert result == {**MADE, "confirmed": True, "confirmed_by": "new connection"}
    assert action.commands == ["/usr/local/libexec/hearth-guard confirm firewall-1"]
    assert connection.resets == 1
    assert action.given == {"state": "present", "transport": "ssh"}


def test_attempts_are_impatient_and_the_connection_is_afterwards_as_it_was() -> None:
    connection = Connection(timeout=60)
    _result, action = run([UNREACHABLE, (0, "confirmed")], connection)
    assert action.seen == [(30, 0), (30, 0)], "a slow link keeps a third of the window"
    assert (connection.options["timeout"], connection.options["reconnection_retries"]) == (60, 3)


def test_the_options_come_back_after_an_error_too() -> None:
    connection = Connection()
    with pytest.raises(ZeroDivisionError):
        run([ZeroDivisionError()], connection)
    assert connection.options["reconnection_retries"] == 3


@pytest.mark.parametrize(
    "made",
    [{"changed": False}, {"changed": True, "actions": []}, {"failed": True, "msg": "refused"}],
)
def test_where_no_guard_is_armed_nothing_is_asked(made: dict[str, t.Any]) -> None:
    connection = Connection()
    result, action = run([], connection, made)
    assert result == made and action.commands == [] and connection.resets == 0


def test_check_mode_confirms_nothing() -> None:
    action = Action([], Connection())
    action._task.check_mode = True
    assert action.run(None, {}) == MADE


def test_unreachable_for_a_while_and_then_back_is_confirmed() -> None:
    connection = Connection()
    result, _action = run([UNREACHABLE, UNREACHABLE, (75, "busy"), (0, "confirmed")], connection)
    assert result["confirmed"] and connection.resets == 4, "each attempt is a connection of its own"


def test_what_was_rolled_back_fails_the_task_with_the_reason() -> None:
    said = "rolled back at 2026-11-22T11:00:00Z: nobody confirmed it within 90 s"
    result, _action = run([UNREACHABLE, UNREACHABLE, (3, said)])
    assert result["failed"] and result["rolled_back"] is True and result["changed"] is False
    assert result["confirmed"] is False and "confirmed_by" not in result
    for part in (
        "change of firewall",
        "2 attempts",
        "Connection timed out",
        said,
        "reachable again",
        "Remedy: ",
    ):
        assert part in result["msg"]


def test_a_host_that_stays_away_is_waited_for_until_the_deadline_and_no_longer(clock: Clock) -> None:
    result, action = run([UNREACHABLE] * 1000)
    assert 90 < clock.now <= 90 + _guard.GRACE_S
    assert result["failed"] and result["rolled_back"] is None
    assert "still not reachable" in result["msg"] and "hearth-guard list" in result["msg"]
    assert len(result["attempts"]) == len(action.commands)


def test_what_works_but_cannot_be_kept_fails_and_says_both() -> None:
    result, _action = run([(6, "confirmed, not kept: No space left")])
    assert result["failed"] and result["changed"] and result["confirmed"] and not result["rolled_back"]
    assert "works, but the host cannot keep it" in result["msg"] and "No space left" in result["msg"]


def test_a_host_that_does_not_know_the_change_is_not_asked_twice() -> None:
    result, action = run([(4, "unknown: no such change waits here")])
    assert result["failed"] and len(action.commands) == 1 and "does not know firewall-1" in result["msg"]


def test_a_command_that_fails_is_no_lost_connection() -> None:
    result, _action = run([(1, "sudo: a password is required")] * 1000)
    assert "The host was reached" in result["msg"] and "a password is required" in result["msg"]
    assert result["rolled_back"] is None, "by now it may have taken the change back by itself"


def test_a_module_that_failed_under_the_guard_is_taken_back_at_once() -> None:
    failed = {**MADE, "failed": True, "msg": "The host is not as planned after the change."}
    connection = Connection()
    result, action = run([(0, "rolled back")], connection, failed)
    assert result == {**failed, "taken_back": "rolled back"} and connection.resets == 0
    assert action.commands == ["/usr/local/libexec/hearth-guard rollback firewall-1 'the task failed'"]


def test_a_module_that_failed_and_cannot_be_reached_is_the_hosts_own_business() -> None:
    result, _action = run([UNREACHABLE], None, {**MADE, "failed": True})
    assert result["failed"] and "timed out" in result["taken_back"]


def test_a_module_that_was_killed_says_what_the_host_will_do() -> None:
    result, _action = run(
        [], None, {"failed": True, "rc": 137, "msg": "MODULE FAILURE", "module_stdout": "Killed"}
    )
    assert result["msg"].startswith("MODULE FAILURE") and "takes back by itself" in result["msg"]


def test_a_connection_that_is_lost_under_the_module_stays_a_lost_connection() -> None:
    with pytest.raises(AnsibleConnectionFailure, match="timed out.*takes back by itself"):
        run([], None, UNREACHABLE)


@pytest.mark.parametrize(
    ("transport", "way"),
    [
        ("ssh", "new connection"),
        ("paramiko", "new connection"),
        ("ansible.netcommon.libssh", "new connection"),
        ("local", "command"),
        ("community.docker.docker", "command"),
        ("community.general.chroot", "command"),
        ("containers.podman.podman", "command"),
        ("mitogen_ssh", "tcp"),
        ("ansible.builtin.winrm", "tcp"),
    ],
)
def test_how_a_connection_is_proven_depends_on_what_it_goes_through(transport: str, way: str) -> None:
    assert _guard.way_of(transport) == way


def test_what_has_no_network_is_confirmed_by_the_command_and_says_so() -> None:
    connection = Connection("community.docker.docker")
    result, action = run([(0, "confirmed")], connection)
    assert result["confirmed_by"] == "command" and connection.resets == 0
    assert action.commands == ["/usr/local/libexec/hearth-guard confirm firewall-1 command"]


@pytest.fixture
def sshd(monkeypatch: pytest.MonkeyPatch) -> list[t.Any]:
    """Be whoever listens at the host's port; what was connected to is written down."""
    seen: list[t.Any] = []

    def connect(address: t.Any, timeout: float) -> t.Any:
        seen.append((address, timeout))
        return type("Socket", (), {"close": lambda self: None})()

    monkeypatch.setattr(_guard.socket, "create_connection", connect)
    return seen


def test_a_connection_whose_reset_is_not_known_is_proven_by_one_of_our_own(sshd: list[t.Any]) -> None:
    connection = Connection("mitogen_ssh", port=2222)
    result, action = run([(0, "confirmed")], connection)
    assert result["confirmed_by"] == "tcp" and connection.resets == 0
    assert sshd == [(("192.0.2.1", 2222), 10)] and action.commands[0].endswith(" confirm firewall-1 tcp")


# mitogen-hq/mitogen#1343: meta: reset_connection, and so reset(), does not end its connections.
def test_a_reset_that_did_not_end_the_connection_is_noticed(sshd: list[t.Any]) -> None:
    result, action = run([(5, "refused: this came over the connection"), (0, "confirmed")])
    assert result["confirmed_by"] == "tcp" and sshd == [(("192.0.2.1", 22), 10)]
    assert [command.split()[-1] for command in action.commands] == ["firewall-1", "tcp"]


def test_a_port_that_refuses_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: t.Any, timeout: float) -> t.Any:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(_guard.socket, "create_connection", refuse)
    result, action = run([(3, "rolled back")], Connection("mitogen_ssh", host=None))
    assert result["failed"] and action.commands == [] and "Connection refused" in result["msg"]


def test_a_connection_without_such_options_is_left_alone() -> None:
    connection = Connection("local")
    connection.options = {}
    result, action = run([(0, "confirmed")], connection)
    assert result["confirmed"] and connection.options == {} and action.seen == [(None, None)]


# --- an attempt that hangs -------------------------------------------------------------------


def test_an_attempt_that_hangs_is_ended() -> None:
    begun = time.perf_counter()
    with pytest.raises(AnsibleConnectionFailure, match="no answer"), _guard.bounded(0.2):
        threading.Event().wait(10)
    assert time.perf_counter() - begun < 5
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_tasks_own_time_limit_stays_in_force() -> None:
    def tasks(_number: int, _frame: t.Any) -> None:
        raise TimeoutError("the task's own")

    signal.signal(signal.SIGALRM, tasks)
    try:
        with _guard.bounded(0.1):
            assert signal.getsignal(signal.SIGALRM) is tasks
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_a_real_socket_that_nobody_listens_at_is_a_failed_attempt() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    connection = Connection("mitogen_ssh", host="127.0.0.1", port=port)
    connection.address = None
    action = Action([], connection)
    answer = action._attempt(GUARD, "tcp", 2)
    assert answer.rc is None and "refused" in answer.text.lower()
