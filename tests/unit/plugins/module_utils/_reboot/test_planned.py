# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What earlier tasks of a run in check mode would have done to the ledger."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot import ledger, planned
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.book import (
    METRICS_DIR,
    Book,
    render_files,
)

NOW = ledger.Evidence("boot-1", ("ro",))
STATUSES = ("pending", "failed", "unknown", "fulfilled", "withdrawn")


def request(name: str) -> ledger.Request:
    return ledger.Request(name, "why", "who", "2026-01-31T12:00:00Z", "boot-1", ledger.Expect(boot=True))


def item(name: str, status: str = "pending") -> dict[str, t.Any]:
    return {**request(name).as_dict(), "status": status, "lacking": []}


def book_of(*names: str) -> Book:
    entered = {name: request(name) for name in names}
    return Book(entered, render_files(entered, METRICS_DIR) if entered else {}, NOW)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("before", [(), ("a",), ("a", "b"), ("b",)])
def test_a_request_that_stays_is_in_the_ledger_and_one_that_is_over_is_not(
    before: tuple[str, ...], status: str
) -> None:
    after = planned.assume(book_of(*before), planned.parse_planned([item("a", status)]))
    stays = status in ("pending", "failed", "unknown")
    assert after == book_of(*sorted({*before, "a"} if stays else {*before} - {"a"}))


def test_nothing_planned_leaves_the_files_as_they_were_read() -> None:
    read = Book({"a": request("a")}, {"/path": "edited by hand"}, NOW)
    assert planned.assume(read, planned.parse_planned([])) is read
    assert planned.assume(read, planned.parse_planned([item("a")])) is read


@pytest.mark.parametrize("wrong", [{}, {**item("a"), "name": "A b"}, {**item("a"), "more": 1}])
def test_what_is_no_request_is_refused(wrong: dict[str, t.Any]) -> None:
    with pytest.raises(ParseError, match="planned is no request"):
        planned.parse_planned([wrong])
