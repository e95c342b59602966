# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of `make bench` as Markdown and as data. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from bench_cases import CASES, Answer, Case, Timing, answered, disagreements, ratio, tree_cases

ROUND_TRIPS = 80


@dataclasses.dataclass(frozen=True)
class HostResult:
    """What was measured on one host."""

    host: str
    runs_on: str
    timings: t.Mapping[str, Timing]
    round_trips: int
    ours: t.Sequence[Answer]
    theirs: t.Sequence[Answer]


Trees = t.Mapping[int, t.Mapping[str, Timing]]
"""What was measured on built trees, by how many functions they have."""


def as_data(about: t.Mapping[str, t.Any], results: t.Sequence[HostResult]) -> dict[str, t.Any]:
    """Return everything, every repeat included."""
    return {**about, "hosts": {result.host: _host_data(result) for result in results}}


def trees_as_data(about: t.Mapping[str, t.Any], trees: Trees) -> dict[str, t.Any]:
    """Return everything, every repeat included."""
    return {
        **about,
        "trees": {
            str(count): [_case_data(case, timings) for case in tree_cases(count)]
            for count, timings in trees.items()
        },
    }


def _host_data(result: HostResult) -> dict[str, t.Any]:
    return {
        "runs_on": result.runs_on,
        "site_round_trips": result.round_trips,
        "cases": [_case_data(case, result.timings) for case in CASES],
        "questions": {
            "kvm_check": _answers_data(result.ours),
            "virt-host-validate": _answers_data(result.theirs),
        },
        "disagreements": [
            {"question": them.question, "virt-host-validate": _words(them), us.question: _words(us)}
            for them, us in disagreements(result.theirs, result.ours)
        ],
    }


def _case_data(case: Case, timings: t.Mapping[str, Timing]) -> dict[str, t.Any]:
    ours = timings[case.ours.name]
    return {
        "case": case.title,
        "target": case.target,
        "timings": [
            {
                "what": timing.name,
                "seconds": [round(second, 3) for second in timing.seconds],
                "median": timing.median and round(timing.median, 3),
                "failure": timing.failure,
                "ours_is_times": round(times, 2) if (times := ratio(ours, timing)) else None,
            }
            for timing in (ours, *(timings[other.name] for other in case.others))
        ],
    }


def _answers_data(answers: t.Sequence[Answer]) -> dict[str, int]:
    return {"asked": len(answers), "answered": answered(answers)}


def _words(answer: Answer) -> str:
    return f"{answer.verdict}: {answer.why}" if answer.why else answer.verdict


def trees_as_markdown(about: t.Mapping[str, t.Any], trees: Trees) -> str:
    """Write the page of the built trees."""
    head = [
        "# What it costs on large hosts",
        "",
        "Written by `make bench`, in one run. The host is this machine with another `/sys`: files, and no kernel "
        "behind them. Ansible runs on it, without SSH and with pipelining: nowhere is a ping shorter. Durations are "
        "those of tasks, without Ansible's own start; the contestants take turns.",
        "",
        *_stamp(about, "Machine"),
    ]
    pages = [
        ["", f"## {count} PCI functions", "", *_table(tree_cases(count), timings)]
        for count, timings in trees.items()
    ]
    return "\n".join([*head, *(line for lines in pages for line in lines)]) + "\n"


def _stamp(about: t.Mapping[str, t.Any], what: str) -> list[str]:
    return [
        f"{about['date']}, commit {about['commit']}, ansible-core {about['ansible']}.",
        f"{what}: {about['machine']}.",
    ]


def _table(cases: t.Iterable[Case], timings: t.Mapping[str, Timing]) -> list[str]:
    return [
        "| case | what | repeats | median s | least–most s | ours takes |",
        "|---|---|--:|--:|--:|--:|",
        *(row for case in cases for row in _case_rows(case, timings)),
    ]


def as_markdown(about: t.Mapping[str, t.Any], results: t.Sequence[HostResult]) -> str:
    """Write the page. Ours is in bold; the last column is our time as a multiple of the other's."""
    head = [
        "# What it costs",
        "",
        "Written by `make bench`, in one run. Durations are those of tasks, without Ansible's own start; "
        "the contestants take turns.",
        "",
        *_stamp(about, "Controller and lab"),
    ]
    return "\n".join([*head, *(line for result in results for line in _host_page(result))]) + "\n"


def _host_page(result: HostResult) -> list[str]:
    verdict = "kept" if result.round_trips <= ROUND_TRIPS else "MISSED"
    return [
        "",
        f"## {result.host} ({result.runs_on})",
        "",
        *_table(CASES, result.timings),
        "",
        f"`site.yml` with nothing to change needs {result.round_trips} round trips to the host "
        f"(at most {ROUND_TRIPS}: {verdict}).",
        "",
        f"Questions answered: kvm_check {answered(result.ours)} of {len(result.ours)}, "
        f"virt-host-validate {answered(result.theirs)} of {len(result.theirs)}.",
        *_disagreement_rows(result),
    ]


def _case_rows(case: Case, timings: t.Mapping[str, Timing]) -> list[str]:
    ours = timings[case.ours.name]
    rows = [_row(case.title, f"**{ours.name}**", ours, "")]
    for other in (timings[subject.name] for subject in case.others):
        times = ratio(ours, other)
        word = "" if times is None else f"{_times(times)} ×"
        if times and case.target:
            word += f" (at most {case.target:g}: {'kept' if times <= case.target else 'MISSED'})"
        rows.append(_row("", other.name, other, word))
    return rows


def _times(times: float) -> str:
    """Write a ratio with two digits behind the point, or with two that count where it is small."""
    return f"{times:.2f}" if times >= 0.1 else f"{times:.2g}"


def _row(title: str, name: str, timing: Timing, word: str) -> str:
    if timing.median is None:
        return f"| {title} | {name} | – | – | {_cell(timing.failure)} | {word} |"
    span = f"{min(timing.seconds):.2f}–{max(timing.seconds):.2f}"
    return f"| {title} | {name} | {len(timing.seconds)} | {timing.median:.2f} | {span} | {word} |"


def _disagreement_rows(result: HostResult) -> list[str]:
    pairs = disagreements(result.theirs, result.ours)
    if not pairs:
        return ["They agree on all that both answer."]
    return [
        "",
        "| they disagree on | virt-host-validate | kvm_check |",
        "|---|---|---|",
        *(
            f"| {_cell(them.question)} | {_cell(_words(them))} | `{us.question}` {_cell(_words(us))} |"
            for them, us in pairs
        ),
    ]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
