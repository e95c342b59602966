# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers from what Ansible's JSON callback says."""

from __future__ import annotations

import re

import bench_cases as cases
import pytest
import tree
from bench_cases import Answer, Sample, Subject, Timing
from hypothesis import given
from hypothesis import strategies as st

SECONDS = st.lists(st.floats(0.001, 1000), min_size=1, max_size=9)


def entry(name, start, end, *, host="a", **result):
    """Build one task as the callback ansible.posix.json prints it; without an end nothing came back."""
    duration = {"start": f"2026-01-02T03:04:{start:09.6f}Z"}
    if end is not None:
        duration["end"] = f"2026-01-02T03:04:{end:09.6f}Z"
    return {
        "task": {"name": name, "duration": duration},
        "hosts": {host: {"action": "ansible.builtin.ping", **result}},
    }


def document(*entries):
    return {"plays": [{"tasks": list(entries)}]}


def measured(**seconds):
    """Build samples by task: measured(ping=[1, 2])."""
    return {name: [Sample(name, "x", value) for value in values] for name, values in seconds.items()}


# --- samples ---------------------------------------------------------------------------------


def test_a_sample_is_the_tasks_duration_and_why_it_failed():
    found = cases.samples(
        document(
            entry("one", 1.25, 3.5, changed=True),
            entry("two", 4, 5, failed=True, msg="no lxml", action="b.c.d"),
        ),
        "a",
    )
    assert found == [
        Sample("one", "ansible.builtin.ping", 2.25, changed=True),
        Sample("two", "b.c.d", 1.0, failure="no lxml"),
    ]


@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(entry("x", 1, 2, host="b"), id="another host's"),
        pytest.param(entry("x", 1, None), id="an include, which never ends"),
        pytest.param(entry("x", 1, 2, skipped=True), id="skipped"),
    ],
)
def test_what_this_host_did_not_do_is_no_sample(foreign):
    assert cases.samples(document(foreign), "a") == []


def test_the_total_can_leave_one_action_out():
    taken = [Sample("a", cases.PROOF, 20.0), Sample("b", "x", 1.5)]
    assert cases.total(taken) == 21.5
    assert cases.total(taken, but=cases.PROOF) == 1.5


def test_only_measured_tasks_count_and_the_first_of_each_warms_up():
    taken = [
        Sample("Measure ping", "p", 9.0),
        Sample("Make room", "f", 5.0),
        Sample("Measure ping", "p", 1.0),
    ]
    assert cases.by_task(taken) == {"ping": [Sample("Measure ping", "p", 1.0)]}


def test_the_first_of_each_in_a_run_can_be_told_apart():
    taken = [
        Sample("Measure ping", "p", 9.0),
        Sample("Measure ping", "p", 1.0),
        Sample("Make room", "f", 5.0),
    ]
    assert cases.firsts(taken) == {f"ping{cases.FIRST}": [Sample("Measure ping", "p", 9.0)]}


# --- timings ---------------------------------------------------------------------------------


def test_a_subject_of_several_tasks_takes_their_sum_repeat_by_repeat():
    both = Subject("both", ("net", "pool"))
    assert cases.timing(both, measured(net=[1, 2], pool=[10, 30])) == Timing("both", (11, 32))


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (Sample("net", "x", 1.0, failure="no lxml"), "no lxml"),
        (Sample("net", "x", 1.0, changed=True), "changed something"),
    ],
)
def test_whoever_fails_or_changes_something_has_no_time(sample, why):
    assert cases.timing(Subject("net"), {"net": [sample]}) == Timing("net", failure=why)


@pytest.mark.parametrize(
    ("changed", "found"),
    [(True, Timing("guarded", (1.0,))), (False, Timing("guarded", failure="changed nothing"))],
)
def test_what_is_to_change_the_host_has_a_time_only_when_it_does(changed, found):
    sample = Sample("guarded", "x", 1.0, changed=changed)
    assert cases.timing(Subject("guarded", changes=True), {"guarded": [sample]}) == found


def test_the_policy_that_is_measured_has_as_many_rules_as_its_name_says():
    play = tree.data("tests/bench/measure.yml")[0]
    ports = re.fullmatch(r"\{\{ range\((\d+), (\d+)\) \| list \}\}", play["vars"]["bench_ports"])
    count = (int(ports[2]) - int(ports[1])) * len(play["vars"]["bench_sources"])
    titles = [case.title for case in cases.CASES if case.ours.name == cases.FIREWALL]
    assert f"A firewall of {count} rules, nothing to change" in titles


def test_a_failure_is_told_even_when_the_later_tasks_never_ran():
    found = cases.timing(
        Subject("both", ("net", "pool")), {"net": [Sample("net", "x", 1.0, failure="no lxml")]}
    )
    assert found.failure == "no lxml"


def test_a_subject_that_lacks_a_task_has_no_time():
    assert cases.timing(Subject("both", ("net", "pool")), measured(net=[1])) == Timing(
        "both", failure="was not run"
    )


@given(ours=SECONDS, theirs=SECONDS)
def test_the_ratio_of_two_is_the_inverse_of_the_other_way_round(ours, theirs):
    one, other = Timing("a", tuple(ours)), Timing("b", tuple(theirs))
    assert cases.ratio(one, other) * cases.ratio(other, one) == pytest.approx(1)
    assert min(ours) <= one.median <= max(ours)


def test_there_is_no_ratio_to_what_could_not_run():
    assert cases.ratio(Timing("a", (1.0,)), Timing("b", failure="no lxml")) is None


def test_every_task_that_is_compared_is_in_the_playbooks():
    text = "".join(tree.text(name) for name in tree.below("tests/bench", ".yml"))
    site = {cases.SITE, cases.SITE_BUT_PROOF, cases.PINGS, cases.PINGS_BUT_PROOF}
    every = [*cases.CASES, *(case for count in cases.TREES for case in cases.tree_cases(count)[:-1])]
    wanted = {part for case in every for subject in (case.ours, *case.others) for part in subject.parts}
    assert [part for part in sorted(wanted - site) if f"- name: {cases.PREFIX}{part}\n" not in text] == []


# --- coverage --------------------------------------------------------------------------------

# libvirt 9.0.0 on the lab's virtual host, shortened.
VALIDATE = """\
  QEMU: Checking for hardware virtualization                                 : PASS
  QEMU: Checking if device /dev/kvm exists                                   : PASS
  QEMU: Checking for cgroup 'cpu' controller support                         : PASS
  QEMU: Checking for device assignment IOMMU support                         : WARN (No ACPI IVRS table found, IOMMU \
either disabled in BIOS or not supported by this hardware platform)
  QEMU: Checking for secure guest support                                    : WARN (Unknown if this platform has \
Secure Guest support)
"""


def test_unknown_is_no_answer_whatever_it_is_called():
    assert [(a.question, a.verdict) for a in cases.validate_answers(VALIDATE)] == [
        ("hardware virtualization", "pass"),
        ("device /dev/kvm exists", "pass"),
        ("cgroup 'cpu' controller support", "pass"),
        ("device assignment IOMMU support", "warn"),
        ("secure guest support", cases.NO_ANSWER),
    ]
    checks = [{"id": word, "status": word, "why": None} for word in ("pass", "warn", "fail", "unknown", "na")]
    assert cases.answered(cases.check_answers(checks)) == 3


def test_an_amd_cpu_behind_an_intel_iommu_is_a_disagreement():
    ours = [Answer("kvm.virtualisation", "pass"), Answer("iommu.firmware_table", "pass", "A DMAR table.")]
    pairs = cases.disagreements(cases.validate_answers(VALIDATE), ours)
    assert [(them.question, us.question) for them, us in pairs] == [
        ("device assignment IOMMU support", "iommu.firmware_table")
    ]


def test_the_same_questions_are_asked_by_kvm_check():
    sources = "".join(tree.text(name) for name in tree.below("plugins/module_utils/_kvm", ".py"))
    assert [name for name in set(cases.SAME_QUESTION.values()) if f'"{name}"' not in sources] == []
