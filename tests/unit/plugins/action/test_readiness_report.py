# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action: where it writes, what it refuses, what it returns."""

from __future__ import annotations

import os
import pathlib
import stat
import types
import typing as t

import pytest
import report_samples
from ansible.errors import AnsibleActionFail
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.action import readiness_report


def run(host: str, check: bool = False, **args: t.Any) -> dict[str, t.Any]:
    """Run the action without a connection, as the task would."""
    action = readiness_report.ActionModule.__new__(readiness_report.ActionModule)
    action._task = types.SimpleNamespace(args=args, check_mode=check, action="readiness_report", async_val=0)
    action._connection = types.SimpleNamespace(_shell=types.SimpleNamespace(tmpdir=None))
    result: dict[str, t.Any] = action.run(None, {"inventory_hostname": host})
    return result


@pytest.mark.parametrize("check", [False, True])
def test_it_writes_three_files_and_changes_nothing(tmp_path: pathlib.Path, check: bool) -> None:
    result = run("gpu01", check, dest=str(tmp_path), preflight=report_samples.checked())
    assert result["changed"] is False
    assert (result["verdict"], result["headline"]) == ("fail", "Not ready")
    assert {kind: pathlib.Path(path).name for kind, path in result["paths"].items()} == {
        "html": "readiness.html",
        "json": "readiness.json",
        "md": "readiness.md",
    }
    assert all(pathlib.Path(path).parent == tmp_path / "gpu01" for path in result["paths"].values())
    page = (tmp_path / "gpu01/readiness.html").read_text(encoding="utf-8")
    assert ("Predicted readiness" in page) is check


def test_a_pending_reboot_is_the_headline(tmp_path: pathlib.Path) -> None:
    preflight = report_samples.checked("pass", report_samples.FINDINGS[:3])
    given = {"preflight": preflight, "boot": report_samples.BOOT, "reboots": [report_samples.reboot()]}
    result = run("gpu01", dest=str(tmp_path), **given)
    assert (result["verdict"], result["headline"]) == ("warn", "A reboot is pending")
    for path in result["paths"].values():
        text = pathlib.Path(path).read_text(encoding="utf-8")
        assert "hugepagesz=1G hugepages=16 is not in /proc/cmdline" in text


def test_a_second_report_takes_the_place_of_the_first(tmp_path: pathlib.Path) -> None:
    run("gpu01", dest=str(tmp_path), preflight=report_samples.checked())
    run("gpu01", dest=str(tmp_path))
    assert len(list((tmp_path / "gpu01").iterdir())) == 3
    assert "Not checked" in (tmp_path / "gpu01/readiness.md").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "reports").write_text("a file", encoding="utf-8")
    with pytest.raises(AnsibleActionFail, match=r"cannot be written: .*Remedy: set report_dest"):
        run("gpu01", dest=str(tmp_path / "reports"))


def test_a_report_that_cannot_take_its_place_leaves_the_old_one_whole(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("gpu01", dest=str(tmp_path))
    before = {path.name: path.read_bytes() for path in (tmp_path / "gpu01").iterdir()}

    def full(*_args: t.Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(AnsibleActionFail, match="No space left"):
        run("gpu01", dest=str(tmp_path), preflight=report_samples.checked())
    assert {path.name: path.read_bytes() for path in (tmp_path / "gpu01").iterdir()} == before


def test_files_are_readable_for_colleagues(tmp_path: pathlib.Path) -> None:
    path = run("gpu01", dest=str(tmp_path))["paths"]["html"]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o644


@pytest.mark.parametrize("host", ["gpu01", "gpu-01.rack4.example.org", "192.0.2.1"])
def test_plain_names_are_folders_as_they_are(host: str) -> None:
    assert readiness_report.folder_of(host) == host


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_name_is_one_folder_below_and_two_names_are_two(one: str, other: str) -> None:
    """Named for inventories with hosts such as ``../etc`` or ``[::1]``."""
    folders = [readiness_report.folder_of(name) for name in (one, other)]
    for folder in folders:
        assert pathlib.PurePath(folder).parts == (folder,)
        assert not folder.startswith(".")
    assert (folders[0] == folders[1]) is (one == other)
