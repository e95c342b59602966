# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three values for each kind of column."""

from __future__ import annotations

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_columns import (
    Rules,
    canonical,
    is_empty,
)

MARK = {"hearth-owner": "br0"}
RULES = Rules("br0")


@pytest.mark.parametrize(
    ("value", "empty"),
    [
        (None, True),
        ("", True),
        (frozenset(), True),
        ({}, True),
        (0, False),
        (False, False),
        ("0", False),
        (frozenset([0]), False),
        ({"a": ""}, False),
    ],
)
def test_zero_and_false_are_values_and_what_holds_nothing_is_none(value, empty):
    assert is_empty(value) is empty


@pytest.mark.parametrize(
    ("table", "column", "value", "form"),
    [
        ("Bridge", "datapath_type", "", "system"),
        ("Interface", "type", "", "system"),
        ("Interface", "type", "internal", "internal"),
        ("QoS", "type", "", ""),
        ("Bridge", "fail_mode", frozenset(), frozenset()),
    ],
)
def test_an_empty_text_means_the_kernel_where_it_does(table, column, value, form):
    assert canonical(table, column, value) == form


@pytest.mark.parametrize(
    ("now", "wish", "target"),
    [
        # An optional value may come as itself.
        (frozenset([1]), 2, frozenset([2])),
        (frozenset([1]), None, frozenset()),
        (frozenset([1]), frozenset(), frozenset()),
        (5, 0, 0),
        (True, False, False),
        ({"a": "1"}, {"b": "2"}, {"a": "1", "b": "2"}),
        ({"a": "1"}, {"a": None}, {}),
        ({"a": "1"}, {"b": None}, {"a": "1"}),
        ({"a": "1"}, {}, {}),
        (None, {"a": "1", "b": None}, {"a": "1"}),
        (None, frozenset([1]), frozenset([1])),
    ],
)
def test_a_column_becomes_what_the_wish_says(now, wish, target):
    current = {} if now is None else {"x": now}
    assert RULES.target("Port", current, {"x": wish}) == {"x": target, "external_ids": MARK}


def test_the_mark_is_in_every_row_and_survives_all_that_is_done_to_external_ids():
    whole = Rules("br0", frozenset(["Port.external_ids"]))
    current = {"external_ids": {"a": "1", "hearth-owner": "br9"}}
    assert RULES.target("Port", current, {})["external_ids"] == {"a": "1", **MARK}
    assert RULES.target("Port", current, {"external_ids": {}})["external_ids"] == MARK
    assert whole.target("Port", current, {"external_ids": {"b": "2"}})["external_ids"] == {"b": "2", **MARK}
    assert not RULES.marks(current)
    assert RULES.marks({"external_ids": MARK})
    assert not RULES.marks({})
