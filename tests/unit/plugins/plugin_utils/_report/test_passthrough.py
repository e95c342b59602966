# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices for guests in the report: nothing counts as kept whose driver was not seen."""

from __future__ import annotations

import typing as t

import pytest
import report_samples
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import machine, model, passthrough

NOWHERE = machine.Machine((), ())


def row(**more: t.Any) -> passthrough.Row:
    (found,) = passthrough.build({"devices": [report_samples.guest_device(**more)]}, NOWHERE).rows
    return found


@pytest.mark.parametrize(
    ("said", "level", "state"),
    [
        ({}, model.PASS, "kept for guests"),
        ({"persistent": False}, model.WARN, "kept for guests until the next boot"),
        ({"waits_for_reboot": True, "driver_after": "nvidia"}, model.WARN, "waits for a reboot"),
        ({"driver_after": "nvidia"}, model.FAIL, "not as wished"),
        ({"driver_after": ""}, model.FAIL, "not as wished"),
        ({"driver_override": "", "driver_after": ""}, model.FAIL, "not as wished"),
        ({"driver_override": None, "driver_after": None}, model.FAIL, "not as wished"),
        ({"binds": False}, model.NOT_APPLICABLE, "stays with the host"),
        ({"binds": False, "waits_for_reboot": True}, model.NOT_APPLICABLE, "stays with the host"),
    ],
)
def test_a_device_is_kept_only_when_it_was_seen_to_be(said: dict[str, t.Any], level: str, state: str) -> None:
    found = row(**said)
    assert (found.level, found.state) == (level, state)


def test_a_device_is_called_what_the_drawing_calls_it() -> None:
    known = machine.Machine((), (machine.Device("0000:3b:00.0", "3D controller", "gpu", name="GH100"),))
    devices = [report_samples.guest_device(), report_samples.guest_device("0001:3b:00.0")]
    named, unnamed = passthrough.build({"devices": devices}, known).rows
    assert (named.title, named.short) == ("3D controller GH100", "3b:00.0")
    assert (unnamed.title, unnamed.short) == ("10de:2330", "0001:3b:00.0")
    assert row(vendor="", device=None).title == "0000:3b:00.0"


def test_why_says_that_it_was_chosen_or_what_it_came_along_with() -> None:
    assert row().why == "chosen"
    assert row(chosen=False, why="shares the card").why == "shares the card"
    assert row(chosen=False).why == ""


def test_warnings_and_what_was_lifted_are_told() -> None:
    found = row(warnings=["no reset"], obstacles=[{"kind": "display", "what": "the console"}, "odd"])
    assert found.remarks == ("no reset", "display was lifted: the console")


def test_a_bridge_wants_no_driver_of_ours() -> None:
    assert row(binds=False, driver_override="").wanted == ""


def test_without_the_role_there_is_no_section() -> None:
    assert not passthrough.build({}, NOWHERE)
    assert not passthrough.build({"devices": [], "reason": "x"}, NOWHERE)
    assert passthrough.build(report_samples.VFIO, NOWHERE).reason.startswith("0000:86:00.0")


@given(st.dictionaries(st.sampled_from(sorted(report_samples.guest_device())), st.none()))
def test_a_field_that_is_missing_or_null_hides_no_device(nothing: dict[str, None]) -> None:
    nothing.pop("address", None)
    whole = {**report_samples.guest_device(), **nothing}
    for data in (whole, {key: value for key, value in whole.items() if key not in nothing}):
        (shown,) = passthrough.build({"devices": [data]}, NOWHERE).rows
        assert shown.title and shown.level in model.STATUSES
