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

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.modules import undo_script

COMMAND, SCRIPT = "usr/local/sbin/hearth-undo", "etc/hearth/undo.d/boot-arguments"
WISH = {"name": "boot-arguments", "content": "#!/bin/sh\necho boot\n", "command": "#!/bin/sh\necho list\n"}
Run = t.Callable[..., dict[str, t.Any]]


@pytest.fixture(name="run")
def _run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setattr(_module, "Host", lambda: Host(root=str(tmp_path)))

    def run(check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        with (
            patch_module_args({**options, "_ansible_check_mode": check, "_ansible_diff": True}),
            pytest.raises(SystemExit),
        ):
            undo_script.main()
        result: dict[str, t.Any] = json.loads(capsys.readouterr().out)
        return result

    return run


def test_both_are_written_executable_and_the_command_comes_first(run: Run, tmp_path: pathlib.Path) -> None:
    foretold = run(check=True, **WISH)
    assert not (tmp_path / SCRIPT).exists()
    result = run(**WISH)
    assert result["actions"] == foretold["actions"] == [f"write /{COMMAND} (0755)", f"write /{SCRIPT} (0755)"]
    assert (tmp_path / SCRIPT).read_text() == WISH["content"]
    assert os.access(tmp_path / COMMAND, os.X_OK) and os.access(tmp_path / SCRIPT, os.X_OK)


def test_a_second_run_changes_nothing(run: Run) -> None:
    run(**WISH)
    assert run(**WISH)["changed"] is False


def test_a_run_that_died_after_the_command_is_finished(run: Run, tmp_path: pathlib.Path) -> None:
    run(**WISH)
    (tmp_path / SCRIPT).unlink()
    assert run(**WISH)["actions"] == [f"write /{SCRIPT} (0755)"]


def test_the_command_stays_while_another_script_needs_it(run: Run, tmp_path: pathlib.Path) -> None:
    run(**WISH)
    run(**{**WISH, "name": "firewall"})
    run(name="boot-arguments", state="absent")
    assert (tmp_path / COMMAND).exists() and not (tmp_path / SCRIPT).exists()
    assert run(name="firewall", state="absent")["actions"][-1] == f"remove /{COMMAND}"
    assert run(name="firewall", state="absent")["changed"] is False


@pytest.mark.parametrize("name", ["../escape", "", ".hidden", "Two Words", "a/b"])
def test_a_name_that_is_no_file_of_the_folder_is_refused(run: Run, tmp_path: pathlib.Path, name: str) -> None:
    result = run(**{**WISH, "name": name})
    assert result["failed"] and "no name of a script" in result["msg"]
    assert list(tmp_path.iterdir()) == []


def test_a_script_without_content_is_refused(run: Run) -> None:
    assert "content" in run(name="boot-arguments")["msg"]


def test_without_the_command_only_the_script_is_written(run: Run, tmp_path: pathlib.Path) -> None:
    """Two roles of one play leave scripts: only one writes the command, or check mode would foretell it twice."""
    result = run(name="vfio", content="#!/bin/sh\n")
    assert result["actions"] == ["write /etc/hearth/undo.d/vfio (0755)"]
    assert not (tmp_path / COMMAND).exists()
    run(**WISH)
    assert run(name="vfio", content="#!/bin/sh\n")["changed"] is False
    assert (tmp_path / COMMAND).read_text() == WISH["command"]
