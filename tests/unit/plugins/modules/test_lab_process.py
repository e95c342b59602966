# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The staircase of lab_process: through main(), with real processes."""

from __future__ import annotations

import typing as t
from pathlib import Path

import lab_main
import pytest

from ansible_collections.hearth.gpu_host.plugins.modules import lab_process


@pytest.fixture(name="main")
def _main(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> t.Iterator[t.Callable[..., dict[str, t.Any]]]:
    def main(**params: t.Any) -> dict[str, t.Any]:
        base = {"name": "p", "directory": str(tmp_path), "argv": ["sleep", "60"]}
        return lab_main.run(lab_process, capsys, **{**base, **params})

    yield main
    main(state="stopped")


def test_missing_arguments_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert "missing required arguments" in lab_main.run(lab_process, capsys)["msg"]


def test_staircase(main: t.Callable[..., dict[str, t.Any]]) -> None:
    predicted, real, again = main(check=True), main(), main()
    assert [result["changed"] for result in (predicted, real, again)] == [True, True, False]
    assert (predicted["actions"], predicted["diff"]) == (real["actions"], real["diff"])
    assert main(state="stopped", check=True)["actions"] == ["stop p"]
    assert main()["changed"] is False
    assert main(state="stopped")["changed"] is True
    assert main(state="stopped")["changed"] is False


def test_missing_tool_is_one_clear_error(main: t.Callable[..., dict[str, t.Any]]) -> None:
    failed = main(argv=["/no/such/emulator"])
    assert failed["failed"] is True
    assert "/no/such/emulator" in failed["msg"]
    assert "exception" not in failed
