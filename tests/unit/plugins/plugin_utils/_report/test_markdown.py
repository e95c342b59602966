# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Markdown file: the same content in the same order, and text from the host stays text."""

from __future__ import annotations

import pathlib
import re

import report_samples
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import markdown


def test_every_finding_stands_there_once(tmp_path: pathlib.Path) -> None:
    report = report_samples.build(preflight=report_samples.lab(tmp_path))
    text = markdown.render(report).partition("## The machine")[0]
    assert sorted(re.findall(r"`([a-z_0-9]+\.[a-z_0-9]+)`", text)) == sorted(
        item.id for item in report.findings
    )


def test_the_order_is_that_of_the_page() -> None:
    text = markdown.render(report_samples.build())
    heads = re.findall(r"^#{1,2} (.*)$", text, re.MULTILINE)
    assert heads[0] == "Readiness of lab1"
    assert [
        heads.index(name)
        for name in ("What needs attention", "The machine", "What this run changed", "Declared for this host")
    ] == sorted(heads.index(name) for name in heads if not name.startswith(("Readiness", "Passed")))
    assert text.index("Not ready") < text.index("## What needs attention")


def test_tables_stay_tables() -> None:
    """A cell with a bar, a line break or markup in it must not become another cell."""
    text = markdown.render(report_samples.build())
    for table in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1
    assert not re.search(r"(?<!\\)<script", text)


@given(st.text(alphabet="<>|`\\&#*_[]()\n\r x-", min_size=1, max_size=20))
def test_whatever_a_host_says_stays_in_its_line_and_cell(said: str) -> None:
    checks = [
        {"id": f"a.{status}", "status": status, "value": said, "why": said, "hint": said, "source": said}
        for status in ("fail", "unknown", "pass")
    ]
    plain = [
        {**item, "value": "x", "why": "x", "hint": "x", "source": "x"} for item in checks if said.strip()
    ]
    text, expected = (
        markdown.render(report_samples.build(preflight={"verdict": "fail", "checks": items}, journal=None))
        for items in (checks, plain or checks)
    )
    assert text.count("\n") == expected.count("\n")
    assert re.findall(r"^#+ .*$", text, re.MULTILINE) == re.findall(r"^#+ .*$", expected, re.MULTILINE)
    assert not re.search(r"(?<!\\)(\\\\)*<", text)


def test_emulated_predicted_and_not_recorded_are_said(tmp_path: pathlib.Path) -> None:
    text = markdown.render(
        report_samples.build(predicted=True, preflight=report_samples.lab(tmp_path), journal=None)
    )
    assert "**This hardware is emulated (QEMU).**" in text
    assert "**This is a prediction.**" in text
    assert "Changes were not recorded" in text


def test_nothing_to_tell_is_told() -> None:
    text = markdown.render(
        report_samples.build(preflight={}, declared={}, journal={"counts": {}, "changes": []})
    )
    assert "Not checked" in text
    assert text.rstrip().endswith("Nothing.")
