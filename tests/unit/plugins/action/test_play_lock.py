# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible import context
from ansible.module_utils.common.collections import ImmutableDict

from ansible_collections.hearth.gpu_host.plugins.action import play_lock
from ansible_collections.hearth.gpu_host.plugins.lookup import play_id
from ansible_collections.hearth.gpu_host.plugins.plugin_utils import _play

REFUSED = {"failed": True, "msg": "held", "holder": {"play": "the-other"}}


class Action(play_lock.ActionModule):
    """The action without a connection: answers are given, calls are written down."""

    def __init__(self, answers: list[dict[str, t.Any]], **args: t.Any) -> None:
        self.answers, self.calls = answers, []  # type: list[dict[str, t.Any]], list[dict[str, t.Any]]
        self._task = type("Task", (), {"args": args})()

    def _execute_module(self, name: str, module_args: dict[str, t.Any], **_rest: t.Any) -> dict[str, t.Any]:
        assert name == "hearth.gpu_host.play_lock"
        self.calls.append(dict(module_args))
        return self.answers.pop(0)


@pytest.fixture(autouse=True)
def base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play_lock.ActionBase, "run", lambda self, tmp, task_vars: {})
    monkeypatch.setattr(context, "CLIARGS", ImmutableDict(args=("playbooks/site.yml",)))
    monkeypatch.setattr(play_lock.platform, "node", lambda: "deploy1")
    monkeypatch.setattr(play_lock.getpass, "getuser", lambda: "ann")


def run(action: Action, dead: bool, monkeypatch: pytest.MonkeyPatch) -> dict[str, t.Any]:
    monkeypatch.setattr(play_lock, "is_dead", lambda play: dead and play == "the-other")
    return action.run(None, {})


def test_a_free_host_takes_one_call_and_says_who_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action([{"changed": False}], minutes=5)
    assert run(action, True, monkeypatch) == {"changed": False}
    assert action.calls == [
        {"minutes": 5, "who": f"site.yml, run by ann on deploy1 (pid {_play.controller_pid()})"}
    ]


def test_a_dead_holder_is_replaced_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action([dict(REFUSED), {"changed": False}])
    assert run(action, True, monkeypatch) == {"changed": False}
    assert action.calls[1]["instead_of"] == "the-other"


def test_a_living_holder_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    action = Action([dict(REFUSED)])
    assert run(action, False, monkeypatch) == REFUSED


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(play_lock.getpass, "getuser", nameless)
    assert "run by user " in play_lock.who()


def test_the_lookup_returns_one_text() -> None:
    assert play_id.LookupModule().run([]) == [_play.play_id()]
