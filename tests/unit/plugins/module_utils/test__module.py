# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate, WriteFile, no_lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal, VerifyError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Plan

FILE = "/etc/greeting"


class Greeting(Capability[str, str]):
    """The smallest capability there can be: a file with a word."""

    lock = staticmethod(no_lock)

    def read(self) -> str:
        return self.host.read(FILE).text or ""

    def parse(self, raw: str) -> str:
        if raw.startswith("!"):
            raise Refusal("The greeting shouts.", remedy="remove the exclamation mark", found=raw)
        return raw.strip()

    def plan(self, current: str) -> Plan[str]:
        word: str = self.params["word"]
        actions = () if current == word else (WriteFile(FILE, f"{word}\n"),)
        return Plan(actions, word, {"length": len(word)})

    def show(self, model: str) -> str:
        return f"{model}\n"


class Forgetful(Greeting):
    """Plans one word and writes another, as a bug or a racing program would."""

    def plan(self, current: str) -> Plan[str]:
        return Plan((WriteFile(FILE, "other\n"),), self.params["word"])


class Exit(BaseException):
    """How a task ends, with its result; no Exception, as SystemExit is none."""

    def __init__(self, failed: bool, result: dict[str, t.Any]) -> None:
        super().__init__(result)
        self.failed = failed
        self.result = result


class FakeAnsible:
    """AnsibleModule as far as the base module uses it."""

    def __init__(self, params: dict[str, t.Any], check_mode: bool = False, diff: bool = True) -> None:
        self.params, self.check_mode, self._diff = params, check_mode, diff

    def exit_json(self, **result: t.Any) -> t.NoReturn:
        raise Exit(False, result)

    def fail_json(self, **result: t.Any) -> t.NoReturn:
        raise Exit(True, result)


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(root=str(tmp_path))


def run(
    monkeypatch: pytest.MonkeyPatch, host: Host, capability: type[Greeting] = Greeting, **options: t.Any
) -> Exit:
    ansible = FakeAnsible({"word": "hello"}, **options)
    monkeypatch.setattr(_module, "AnsibleModule", lambda **_spec: ansible)
    monkeypatch.setattr(_module, "Host", lambda: host)
    with pytest.raises(Exit) as ended:
        _module.run_capability(capability, {"word": {"type": "str"}})
    return ended.value


def test_check_mode_predicts_the_real_run_word_for_word(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    predicted = run(monkeypatch, host, check_mode=True)
    assert not host.exists("/etc")
    real = run(monkeypatch, host)
    assert not predicted.failed and predicted.result == real.result == {
        "changed": True,
        "actions": ["write /etc/greeting (0644)"],
        "diff": {"before": "\n", "after": "hello\n"},
        "length": 5,
    }
    assert host.text(FILE) == "hello"


def test_second_run_changes_nothing(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, host)
    again = run(monkeypatch, host)
    assert (again.result["changed"], again.result["actions"]) == (False, [])
    assert again.result["diff"]["before"] == again.result["diff"]["after"]


def test_diff_is_returned_only_when_asked_for(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "diff" not in run(monkeypatch, host, diff=False).result


def test_success_is_read_back_never_assumed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = run(monkeypatch, host, Forgetful)
    assert ended.failed
    assert ended.result["error"] == "VerifyError"
    assert (ended.result["expected"], ended.result["found"]) == ("hello\n", "other\n")
    assert ended.result["actions"] == ["write /etc/greeting (0644)"]


def test_check_mode_reads_nothing_back(host: Host) -> None:
    capability = Forgetful({"word": "hello"}, host)
    assert capability.execute(Gate(host, check_mode=True))["changed"] is True
    with pytest.raises(VerifyError):
        capability.execute(Gate(host, check_mode=False))


def test_an_expected_error_has_remedy_and_actions_and_no_traceback(
    host: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/greeting").write_text("!hello")
    ended = run(monkeypatch, host)
    assert ended.failed
    assert ended.result == {
        "msg": "The greeting shouts. Remedy: remove the exclamation mark",
        "error": "Refusal",
        "remedy": "remove the exclamation mark",
        "found": "!hello",
        "actions": [],
    }


def test_a_full_disk_is_no_bug_report(
    host: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").write_text("a file where a folder should be")
    ended = run(monkeypatch, host)
    assert ended.failed and "exception" not in ended.result
    assert ended.result["error"] == "EffectError"
    assert ended.result["msg"].startswith("Cannot write /etc/greeting (0644): ")


def test_a_bug_says_so_and_carries_its_traceback(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Greeting, "parse", lambda self, raw: raw / 0)
    ended = run(monkeypatch, host)
    assert ended.failed
    assert ended.result["msg"].startswith("Internal error, please report it: TypeError")
    assert "Traceback" in ended.result["exception"]
    assert ended.result["actions"] == []
    assert "rollback" not in ended.result


def test_a_bug_in_the_midst_of_a_plan_tells_what_was_taken_back(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Undone(WriteFile):
        def perform(self, host: Host) -> None:
            raise TypeError("a bug")

        def undo(self) -> WriteFile:
            return WriteFile(FILE, "hello again")

    monkeypatch.setattr(Greeting, "plan", lambda self, current: Plan((Undone(FILE, "x"),), "x"))
    ended = run(monkeypatch, host)
    assert ended.result["msg"] == "Internal error, please report it: TypeError: a bug"
    assert ended.result["rollback"]["undone"] == ["write /etc/greeting (0644)"]
    assert host.text(FILE) == "hello again"


def test_a_capability_holds_the_host_unless_it_says_otherwise() -> None:
    assert Capability.lock is _module.hold_host
