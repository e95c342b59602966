# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page and the data that `make bench` writes."""

from __future__ import annotations

import dataclasses
import json

import bench_cases as cases
import bench_report as report
import pytest
from bench_cases import Answer, Timing

ABOUT = {"date": "2026-01-02", "commit": "abc", "ansible": "2.19.1", "machine": "2 × A CPU", "repeats": 3}
NAMES = {subject.name for case in cases.CASES for subject in (case.ours, *case.others)}


def result(trips=12, **changed):
    """Build a host on which everything took 2, 3 or 9 seconds, but what is given by name."""
    timings = {name: Timing(name, (9.0, 2.0, 3.0)) for name in NAMES}
    timings.update({timing.name: timing for timing in changed.values()})
    ours = [Answer("kvm.virtualisation", "fail", "a | b"), Answer("x", cases.NO_ANSWER)]
    theirs = [Answer("hardware virtualization", "pass")]
    return report.HostResult("gpu01", "qemu", timings, trips, ours, theirs)


@pytest.mark.parametrize(
    ("theirs", "word"),
    [(1.5, "2.00 × (at most"), (30.0, "0.10 × (at most"), (364.0, "0.0082 × (at most 0.01: kept)")],
)
def test_a_small_ratio_keeps_the_digits_that_count(theirs, word):
    loop = Timing(cases.LOOP, (theirs,))
    assert f"|  | {cases.LOOP} | 1 | {theirs:.2f} | {theirs:.2f}–{theirs:.2f} | {word}" in page(
        result(loop=loop)
    )


def page(found):
    return report.as_markdown(ABOUT, [found])


def test_the_page_says_when_of_what_and_on_what():
    for word in ("2026-01-02", "commit abc", "ansible-core 2.19.1", "2 × A CPU", "## gpu01 (qemu)"):
        assert word in page(result())


def test_a_row_has_the_median_the_span_and_the_ratio():
    floor = Timing("ping", (1.5, 1.5, 1.5))
    assert "| What a host can do | **kvm_check** | 3 | 3.00 | 2.00–9.00 |  |\n" in page(result(floor=floor))
    assert "|  | ping | 3 | 1.50 | 1.50–1.50 | 2.00 × |\n" in page(result(floor=floor))


def test_what_could_not_run_says_why_instead_of_a_time():
    name = "virt_net, virt_pool of community.libvirt"
    found = result(peer=Timing(name, failure="The `lxml` module\nis not importable."))
    assert f"|  | {name} | – | – | The `lxml` module is not importable. |  |\n" in page(found)


@pytest.mark.parametrize(("site", "word"), [(4.5, "kept"), (4.6, "MISSED")])
def test_the_target_of_the_site_is_judged(site, word):
    found = result(site=Timing(cases.SITE, (site,)), pings=Timing(cases.PINGS, (3.0,)))
    row = page(found).split(f"**{cases.SITE}**")[1].splitlines()[1]
    assert f"(at most 1.5: {word})" in row


@pytest.mark.parametrize(("trips", "word"), [(80, "kept"), (81, "MISSED")])
def test_the_round_trips_are_judged(trips, word):
    assert f"needs {trips} round trips to the host (at most 80: {word})" in page(result(trips))


def test_answers_are_counted_and_disagreements_named():
    assert "kvm_check 1 of 2, virt-host-validate 1 of 1." in page(result())
    assert "| hardware virtualization | pass | `kvm.virtualisation` fail: a \\| b |" in page(result())
    agreed = dataclasses.replace(result(), theirs=[Answer("hardware virtualization", "fail")])
    assert "They agree" in page(agreed)


def test_every_table_row_has_as_many_cells_as_its_head():
    lines = [line.replace("\\|", "") for line in page(result()).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {7, 4}


def test_the_data_has_every_repeat():
    data = json.loads(json.dumps(report.as_data(ABOUT, [result()])))
    case = data["hosts"]["gpu01"]["cases"][0]
    assert data["commit"] == "abc" and data["hosts"]["gpu01"]["site_round_trips"] == 12
    assert case["timings"][0] == {
        "what": "kvm_check",
        "seconds": [9.0, 2.0, 3.0],
        "median": 3.0,
        "failure": "",
        "ours_is_times": 1.0,
    }


# --- built trees -----------------------------------------------------------------------------


def tree_timings(count, **changed):
    """Let everything on a built tree have taken a second, but what is given by name."""
    subjects = [subject for case in cases.tree_cases(count) for subject in (case.ours, *case.others)]
    return {subject.name: Timing(subject.name, (changed.get(subject.name, 1.0),)) for subject in subjects}


@pytest.mark.parametrize(
    ("count", "seconds", "word"),
    [(64, 1.3, "1.3: kept"), (64, 1.4, "1.3: MISSED"), (512, 2.0, "2: kept"), (512, 2.1, "2: MISSED")],
)
def test_each_tree_is_judged_by_its_own_target_and_against_the_ping_alone(count, seconds, word):
    text = report.trees_as_markdown(ABOUT, {count: tree_timings(count, vfio_bind=seconds)})
    assert f"## {count} PCI functions" in text and "Machine: 2 × A CPU." in text
    assert (
        text.count("(at most") == 1 and f"× (at most {word})" in text.split("|  | ping |")[1].splitlines()[0]
    )


def test_the_data_of_the_trees_has_every_repeat():
    data = report.trees_as_data(ABOUT, {64: tree_timings(64)})
    assert [case["target"] for case in data["trees"]["64"]] == [1.3, None, None]
    assert data["trees"]["64"][0]["timings"][0]["seconds"] == [1.0]
