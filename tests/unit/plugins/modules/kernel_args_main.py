# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the real ``main()`` of kernel_args on an injected root."""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_boot"))

from fakegrub import GrubHost

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.modules import kernel_args


class Task:
    """Runs the module's real main() on an injected root."""

    def __init__(
        self, fake: GrubHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.fake = fake
        self._capsys = capsys
        monkeypatch.setattr(_module, "Host", lambda: fake.host)

    def __call__(self, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        with (
            patch_module_args({**options, "_ansible_check_mode": check, "_ansible_diff": True}),
            pytest.raises(SystemExit),
        ):
            kernel_args.main()
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return {key: value for key, value in result.items() if key != "invocation"}

    def predicted(self, **options: t.Any) -> dict[str, t.Any]:
        """Run in check mode, then for real; both must say the same, and the first touch nothing."""
        before, ran = self.fake.tree(), list(self.fake.ran)
        foretold = self(check=True, **options)
        assert self.fake.tree() == before
        assert not {"grub-mkconfig", "grub-script-check"} & set(self.fake.ran[len(ran) :])
        result = self(**options)
        assert foretold == result
        assert "failed" not in result, result
        return result

    def settled(self, **options: t.Any) -> dict[str, t.Any]:
        """Run, and run again, which must change nothing."""
        result = self.predicted(**options)
        again = self.predicted(**options)
        assert (again["changed"], again["actions"]) == (False, [])
        for key in ("arguments", "entries", "notices", "backend"):
            assert again[key] == result[key], key
        gone = ("fulfilled", "withdrawn")
        assert again["requests"] == [item for item in result["requests"] if item["status"] not in gone]
        return result

    def refused(self, **options: t.Any) -> dict[str, t.Any]:
        """Run; it must fail and touch nothing."""
        before = self.fake.tree()
        result = self(**options)
        assert result["failed"] is True
        assert self.fake.tree() == before
        return result
