# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of an action plugin: it must say what the plugin takes and gives."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import report_samples
import yaml

from ansible_collections.hearth.gpu_host.plugins.action import readiness_report as action
from ansible_collections.hearth.gpu_host.plugins.modules import readiness_report as module


class Spied(Exception):
    """Ends the action once its argument specification is known."""


def test_options_are_those_that_the_action_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, t.Any] = {}

    def spy(_self: t.Any, spec: dict[str, t.Any]) -> None:
        known.update(spec)
        raise Spied

    monkeypatch.setattr(action.ActionBase, "run", lambda *_args: {})
    monkeypatch.setattr(action.ActionModule, "validate_argument_spec", spy)
    with pytest.raises(Spied):
        action.ActionModule.__new__(action.ActionModule).run(None, {})
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    for option in documented.values():
        del option["description"]
    assert documented == known


def test_returned_values_are_documented(tmp_path: pathlib.Path) -> None:
    report = report_samples.build()
    returned = yaml.safe_load(module.RETURN)
    assert set(returned) == {"paths", "verdict", "headline"}
    assert set(returned["paths"]["sample"]) == set(action.RENDERERS)
    assert report.verdict.level in returned["verdict"]["description"]
