# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the real main() of a lab module and return what it says."""

from __future__ import annotations

import json
import typing as t
from types import ModuleType

import pytest
from ansible.module_utils.testing import patch_module_args


def run(
    module: ModuleType, capsys: pytest.CaptureFixture[str], check: bool = False, **params: t.Any
) -> dict[str, t.Any]:
    """Return the JSON that the module leaves with."""
    arguments = {**params, "_ansible_check_mode": check, "_ansible_diff": True}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        module.main()
    result: dict[str, t.Any] = json.loads(capsys.readouterr().out)
    return result
