# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values in words."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import model, words

VALUES: list[tuple[t.Any, str]] = [
    (None, "nothing"),
    ("", "nothing"),
    ([], "nothing"),
    ({}, "nothing"),
    (True, "yes"),
    (False, "no"),
    (0, "0"),
    ("text", "text"),
    (["a", "b"], "a, b"),
    ({"total": 0, "mounts": []}, "total: 0"),
    ({"one": {"two": 1}}, "one: (two: 1)"),
]


@pytest.mark.parametrize(("value", "text"), VALUES)
def test_shown(value: t.Any, text: str) -> None:
    assert words.shown(value) == text


def test_what_was_found_on_several_devices_has_a_line_for_each() -> None:
    part = {"status": "warn", "value": 4, "why": "half of its lanes"}
    item = model.Finding(
        "device.link_width", "pass", {"0000:01:00.0": part, "0000:02:00.0": {**part, "why": ""}}
    )
    assert words.found(item) == ["0000:01:00.0: half of its lanes", "0000:02:00.0: 4"]


def test_the_reason_of_the_finding_is_not_said_again_for_each_device() -> None:
    """Once `Found` repeated what stood above it."""
    part = {"status": "unknown", "value": None, "why": "the firmware does not say"}
    assert words.found(model.Finding("device.numa_node", "unknown", {"a": part, "b": part})) == []
    failed = {"status": "fail", "value": [], "why": "no method"}
    assert words.found(model.Finding("device.reset", "fail", {"a": failed})) == ["nothing"]
    passed = {"status": "pass", "value": ["flr"], "why": ""}
    assert words.found(model.Finding("device.reset", "fail", {"a": failed, "b": passed})) == ["b: flr"]


def test_no_answer_is_not_nothing() -> None:
    assert "nothing" not in words.found(model.Finding("a.b", "unknown"))
    assert words.found(model.Finding("a.b", "pass")) == ["nothing"]


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"actions": ["run a", "run b"], "files": ["/x"]}, ["run a", "run b"]),
        ({"files": ["/x"]}, ["write /x"]),
        ({}, ["no details given"]),
        ({"hidden": True, "files": ["/x"]}, ["not shown: the task has no_log"]),
    ],
)
def test_a_change_in_words(change: dict[str, t.Any], lines: list[str]) -> None:
    assert words.describe_change({"actions": [], "files": [], "hidden": False, **change}) == lines
