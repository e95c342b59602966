# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lab_accelerator through main(); the choice is tested with the function."""

from __future__ import annotations

import lab_main
import pytest

from ansible_collections.hearth.gpu_host.plugins.modules import lab_accelerator


def test_missing_arguments_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert "kernel" in lab_main.run(lab_accelerator, capsys)["msg"]


def test_says_what_it_chose_and_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_accelerator, "choose", lambda host, kernel: ("tcg", f"{kernel} did not boot"))
    result = lab_main.run(lab_accelerator, capsys, kernel="/vmlinuz")
    assert (result["changed"], result["accelerator"]) == (False, "tcg")
    assert result["why"] == "/vmlinuz did not boot"
