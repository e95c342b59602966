# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.hearth.gpu_host.plugins.module_utils import _lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.modules import play_lock

NOON = 1_800_000_000.0


class Task:
    """Runs the module's real main() on an injected root, as a play of one's choice."""

    def __init__(
        self, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.root, self._monkeypatch, self._capsys = root, monkeypatch, capsys
        monkeypatch.setattr(play_lock, "Host", lambda: Host(root=str(root), now=lambda: NOON))

    def __call__(self, play: str, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        self._monkeypatch.setenv(_lock.PLAY_VARIABLE, play)
        options.setdefault("who", f"{play}'s play")
        with patch_module_args({**options, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            play_lock.main()
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return result

    @property
    def holder(self) -> str:
        """Who holds the host, by the text of the lock file."""
        path = self.root / _lock.LOCK_FILE.lstrip("/")
        text = path.read_text() if path.exists() else ""
        return json.loads(text)["play"] if text else ""


@pytest.fixture
def task(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    return Task(tmp_path, monkeypatch, capsys)


def test_hold_then_release_never_says_changed(task: Task) -> None:
    assert task("ann")["changed"] is False
    assert task.holder == "ann"
    assert task("ann")["changed"] is False
    assert task("ann", state="released")["changed"] is False
    assert task.holder == ""


def test_minutes_end_the_lease(task: Task) -> None:
    task("ann", minutes=30)
    lease = json.loads((task.root / "run/hearth/lock").read_text())
    assert lease == {"play": "ann", "who": "ann's play", "since": NOON, "expires": NOON + 1800}


def test_the_second_play_is_refused_in_check_mode_too(task: Task) -> None:
    task("ann")
    for check in (False, True):
        result = task("bob", check=check)
        assert result["failed"] is True
        assert "held by ann's play since 2027-01-15 08:00:00 UTC" in result["msg"]
        assert result["holder"]["play"] == "ann"
    assert task.holder == "ann"


def test_takeover_lifts_the_refusal(task: Task) -> None:
    task("ann")
    task("bob", takeover=True)
    assert task.holder == "bob"
    task("ann", state="released")
    assert task.holder == "bob", "the one that was thrown out does not release its successor"


def test_a_dead_run_is_replaced_only_if_it_still_is_the_holder(task: Task) -> None:
    task("ann")
    assert task("bob", instead_of="carol")["failed"] is True
    assert "failed" not in task("bob", instead_of="ann")
    assert task.holder == "bob"


def test_check_mode_writes_nothing(task: Task) -> None:
    task("ann", check=True)
    task("ann", check=True, state="released")
    assert os.listdir(task.root) == []
    task("ann")
    task("bob", check=True, takeover=True)
    task("ann", check=True, state="released")
    assert task.holder == "ann"


def test_without_an_identity_there_is_no_lock(task: Task) -> None:
    result = task("")
    assert result["failed"] is True
    assert "HEARTH_PLAY is not set" in result["msg"] and "hearth.gpu_host.play_id" in result["remedy"]


@pytest.mark.parametrize("minutes", [0, -5, 1441])
def test_a_lease_is_neither_empty_nor_eternal(task: Task, minutes: int) -> None:
    assert f"minutes is {minutes}" in task("ann", minutes=minutes)["msg"]
