# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the real ``main()`` of boot_trial on an injected root."""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_boot"))

from faketrial import TrialHost

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.modules import boot_trial


class Task:
    """Runs the module's real main() on an injected root."""

    def __init__(
        self, grub: TrialHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.grub = grub
        self._capsys = capsys
        monkeypatch.setattr(_module, "Host", lambda: grub.host)

    def __call__(
        self, state: str, check: bool = False, diff: bool = False, **options: t.Any
    ) -> dict[str, t.Any]:
        with (
            patch_module_args(
                {"state": state, **options, "_ansible_check_mode": check, "_ansible_diff": diff}
            ),
            pytest.raises(SystemExit),
        ):
            boot_trial.main()
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return {key: value for key, value in result.items() if key != "invocation"}

    def predicted(self, state: str) -> dict[str, t.Any]:
        """Run in check mode, then for real; both must say the same, and the first touch nothing."""
        before = self.grub.tree()
        foretold = self(state, check=True, diff=True)
        assert self.grub.tree() == before
        result = self(state, diff=True)
        assert foretold == result
        return result

    def same(self, state: str) -> dict[str, t.Any]:
        """Run for real where there is nothing to do."""
        before = self.grub.tree()
        result = self(state)
        assert (result["changed"], result["actions"], self.grub.tree()) == (False, [], before)
        return result
