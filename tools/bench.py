# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure on the running lab, then on built trees; write docs/results/bench.md and bench-trees.md, each with its data.

Status 2 when no lab is running.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import typing as t

import bench_cases as cases
import bench_report as report
import bench_tree as tree

ROOT = pathlib.Path(__file__).resolve().parents[1]
NO_LAB, FAILED = 2, 1
TURNS = 2  # of one run on a built tree, beside the first
UNREACHABLE = 4  # ansible-playbook's status
_ROUND_TRIP = re.compile(r"^<\S+> SSH: EXEC ", re.MULTILINE)


class BenchError(Exception):
    """It cannot be measured; the status tells make why."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


def lab_hosts(config: pathlib.Path) -> list[str]:
    """List the hosts that the lab says are up."""
    try:
        lines = config.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise BenchError("no lab is running in this clone. Start it with: make lab", NO_LAB) from None
    return [line.split()[1] for line in lines if re.fullmatch(r"Host [\w.-]+", line)]


def document_of(text: str) -> dict[str, t.Any]:
    """Find the callback's document among other lines, which -vvv prints before it."""
    start = re.search(r"^\{$", text, re.MULTILINE)
    if not start:
        raise BenchError(f"ansible-playbook printed no result: {text[-2000:]}")
    found, _end = json.JSONDecoder().raw_decode(text, start.start())
    return t.cast("dict[str, t.Any]", found)


def play(playbook: str, host: str, *arguments: str, inside: t.Sequence[str] = ()) -> str:
    """Run a playbook on one host and return what it printed."""
    environment = {
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        # ansible.cfg has it for SSH alone.
        "ANSIBLE_PIPELINING": "1",
    }
    # Where tasks run on this machine, it makes Python read a module byte by byte. No host has it.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [*inside, "ansible-playbook", playbook, "--limit", host, *arguments],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == UNREACHABLE:
        raise BenchError(f"{host} does not answer. Start the lab with: make lab", NO_LAB)
    if done.returncode:
        failed = [s for s in cases.samples(document_of(done.stdout or done.stderr), host) if s.failure]
        told = "\n".join(dict.fromkeys(f"  {s.task}: {s.failure}" for s in failed)) or done.stderr
        raise BenchError(f"{playbook} failed on {host}:\n{told}")
    return done.stdout


def site_run(host: str, *arguments: str) -> tuple[str, list[cases.Sample]]:
    """Run the whole site, with nothing to change."""
    text = play("site.yml", host, *arguments)
    taken = cases.samples(document_of(text), host)
    changed = [sample.task for sample in taken if sample.changed]
    if changed:
        raise BenchError(f"site.yml changed {host} ({', '.join(changed)}). Converge it first with: make lab")
    return text, taken


def measure_site(host: str, repeats: int) -> tuple[int, list[cases.Timing]]:
    """Let the site and as many pings take turns. The first run is not timed: it counts the round trips."""
    trips = len(_ROUND_TRIP.findall(site_run(host, "-vvv")[0]))
    timings: dict[str, list[float]] = {}
    for _turn in range(repeats):
        taken = site_run(host)[1]
        text = play("tests/bench/pings.yml", host, "--extra-vars", f"bench_pings={trips}")
        pings = [s for s in cases.samples(document_of(text), host) if s.action == "ansible.builtin.ping"]
        for name, seconds in (
            (cases.SITE, cases.total(taken)),
            (cases.PINGS, cases.total(pings)),
            (cases.SITE_BUT_PROOF, cases.total(taken, but=cases.PROOF)),
            (cases.PINGS_BUT_PROOF, cases.total(pings[1:])),
        ):
            timings.setdefault(name, []).append(seconds)
    return trips, [cases.Timing(name, tuple(seconds)) for name, seconds in timings.items()]


def measure(host: str, repeats: int) -> report.HostResult:
    """Measure everything on one host."""
    say(f"{host}: modules")
    text = play("tests/bench/measure.yml", host, "--extra-vars", f"bench_turns={repeats + 1}")
    taken = cases.samples(document_of(text), host)
    measured = cases.by_task(taken)
    say(f"{host}: the whole site")
    trips, timings = measure_site(host, repeats)
    by_name = {timing.name: timing for timing in timings}
    for subject in (subject for case in cases.CASES for subject in (case.ours, *case.others)):
        by_name.setdefault(subject.name, cases.timing(subject, measured))
    return report.HostResult(
        host,
        next(str(s.result.get("stdout", "")) for s in taken if s.task == "Ask what the host runs on"),
        by_name,
        trips,
        cases.check_answers(measured["kvm_check"][-1].result["checks"]),
        cases.validate_answers(measured["virt-host-validate"][-1].result["stdout"]),
    )


def measure_tree(count: int, repeats: int) -> dict[str, cases.Timing]:
    """Measure on a built tree; each repeat is a run of its own, as the first task of a run is another one."""
    say(f"built tree of {count} functions")
    taken: dict[str, list[cases.Sample]] = {}
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder:
        root = pathlib.Path(folder)
        tree.build(root, tree.functions(count))
        extra = json.dumps({"bench_devices": tree.SELECTORS, "bench_turns": TURNS + 1})
        for _turn in range(repeats):
            text = play(
                "tests/bench/trees.yml",
                "localhost",
                "--inventory=localhost,",
                f"--extra-vars={extra}",
                inside=tree.inside(root),
            )
            found = cases.samples(document_of(text), "localhost")
            for name, several in {**cases.by_task(found), **cases.firsts(found)}.items():
                taken.setdefault(name, []).extend(several)
    for sample in taken.get("vfio_bind", ()):
        drivers = [device["driver"] for device in sample.result.get("devices", ())]
        if not sample.failure and drivers != [tree.VFIO] * tree.GIVEN:
            raise BenchError(f"vfio_bind found {drivers} and not {tree.GIVEN} devices at {tree.VFIO}")
    subjects = [subject for case in cases.tree_cases(count) for subject in (case.ours, *case.others)]
    return {subject.name: cases.timing(subject, taken) for subject in subjects}


def about(repeats: int) -> dict[str, t.Any]:
    """Say when, of what and on what."""
    model = re.search(
        r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M
    )
    load = f"load average {os.getloadavg()[0]:.1f} before the first task"
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": output("git", "describe", "--always", "--dirty", "--exclude=*") or "unknown",
        "ansible": output("python", "-c", "import ansible.release as r; print(r.__version__)"),
        "machine": f"{os.cpu_count()} × {model.group(1) if model else platform.machine()}, {load}",
        "repeats": repeats,
    }


def output(*argv: str) -> str:
    """Return what a command prints; nothing when it fails or is not there."""
    try:
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def say(text: str) -> None:
    """Tell the person who waits."""
    print(f"    {text}", flush=True)


def main(argv: t.Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("hosts", nargs="*", help="hosts of the lab; all that are up when none is named")
    parser.add_argument("--repeats", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--trees", action="store_true", help="only on built trees, which needs no lab")
    parser.add_argument(
        "--output", type=pathlib.Path, default=ROOT / "docs/results", help="folder to write to"
    )
    options = parser.parse_args(argv)
    try:
        if not options.trees:
            bench_lab(options)
        bench_trees(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.status
    return 0


def bench_lab(options: argparse.Namespace) -> None:
    """Measure on the lab's hosts."""
    state = os.environ.get("HEARTH_LAB_STATE") or ROOT / ".lab"
    up = lab_hosts(pathlib.Path(state) / "ssh_config")
    facts = about(options.repeats)
    results = [measure(host, options.repeats) for host in options.hosts or up]
    write(options.output / "bench", report.as_markdown(facts, results), report.as_data(facts, results))


def bench_trees(options: argparse.Namespace) -> None:
    """Measure on built trees."""
    facts = about(options.repeats)
    trees = {count: measure_tree(count, options.repeats) for count in cases.TREES}
    page = report.trees_as_markdown(facts, trees)
    write(options.output / "bench-trees", page, report.trees_as_data(facts, trees))


def write(place: pathlib.Path, page: str, data: t.Mapping[str, t.Any]) -> None:
    """Print a page, and write it and its data."""
    print(page)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.with_suffix(".md").write_text(page, encoding="utf-8")
    text = json.dumps(data, indent=2, ensure_ascii=False)
    place.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
