# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lab_network through main(); what it plans is tested with the capability."""

from __future__ import annotations

import lab_main
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.modules import lab_network


def test_missing_arguments_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert "name" in lab_main.run(lab_network, capsys)["msg"]


def test_check_mode_lists_the_commands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_module, "Host", lambda: Host(run=lambda argv, **options: Completed(0, "[]", "")))
    result = lab_main.run(lab_network, capsys, check=True, name="lab", vms=["gpu01"])
    assert result["actions"][0] == "run ip netns add lab"
    assert result["diff"]["after"] == "namespace lab\nport gpu01\n"


def test_a_failing_ip_is_one_clear_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_ip(argv: object, **options: object) -> Completed:
        raise CommandError("ip cannot be run: No such file or directory.", remedy="install iproute2")

    monkeypatch.setattr(_module, "Host", lambda: Host(run=no_ip))
    result = lab_main.run(lab_network, capsys, name="lab")
    assert "install iproute2" in result["msg"]
    assert "exception" not in result
