# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot import ledger
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import task

DEFAULTS: dict[str, t.Any] = {
    "devices": None,
    "exclude": [],
    "state": "present",
    "exclusive": False,
    "parts": ["persistent", "runtime"],
    "rebind": "auto",
    "running": True,
    "contents": {},
    "rebooted": False,
    "deadline": 30,
}
DESCRIBED = {"address": "3b:00.0", "expect": "10de:2330:10de:16c1"}


def parsed(**options: t.Any) -> task.Task:
    return task.parse_task({**DEFAULTS, **options})


@pytest.mark.parametrize(
    ("options", "manages"),
    [({}, False), ({"exclusive": True}, False), ({"devices": []}, True), ({"state": "absent"}, True)],
)
def test_left_out_is_unmanaged_and_empty_is_not(options: dict[str, t.Any], manages: bool) -> None:
    assert parsed(**options).manages is manages


def test_where_nothing_runs_only_the_rules_are_written() -> None:
    found = parsed(devices=[DESCRIBED], running=False)
    assert (found.persistent, found.runtime) == (True, False)


@pytest.mark.parametrize(
    "options",
    [
        {"parts": []},
        {"deadline": 0},
        {"state": "absent", "exclusive": True},
        {"devices": [{"address": "3b:00.0"}], "running": False},
        {"devices": [{"address": "3b:00.0", "expect": "10de:2330"}], "running": False},
        {"devices": [{"class": "03"}], "running": False},
        {"devices": [DESCRIBED], "exclude": [{"class": "03"}], "running": False},
    ],
)
def test_what_means_nothing_is_refused_with_a_remedy(options: dict[str, t.Any]) -> None:
    with pytest.raises(ParseError) as caught:
        parsed(**options)
    assert caught.value.remedy


def test_the_ledger_is_where_the_ledger_says() -> None:
    """Named twice, so that a run that needs nothing of it does not import it."""
    assert task.LEDGER == ledger.LEDGER
