# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make bench` compares, and how numbers are made of what Ansible's JSON callback says. Pure."""

from __future__ import annotations

import dataclasses
import datetime
import re
import statistics
import typing as t

Document = t.Mapping[str, t.Any]
PREFIX = "Measure "
PROOF = "hearth.gpu_host.kvm_guest_probe"
SITE, PINGS = "site.yml", "as many pings"
FIREWALL, FIREWALL_CHANGED = "iptables_baseline", "iptables_baseline, changed"
LOOP = "a loop of ansible.builtin.iptables"
SITE_BUT_PROOF, PINGS_BUT_PROOF = "site.yml but kvm_guest_probe", "one ping less"


@dataclasses.dataclass(frozen=True)
class Subject:
    """Something that is measured: one task, or several that only together do the work.

    A subject that ``changes`` the host has to, each time; any other must find nothing to do.
    """

    name: str
    tasks: tuple[str, ...] = ()
    changes: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of its tasks."""
        return self.tasks or (self.name,)


@dataclasses.dataclass(frozen=True)
class Case:
    """What we do, and what one would take instead."""

    title: str
    ours: Subject
    others: tuple[Subject, ...]
    target: float | None = None


_PEER_STEPS = ("define", "active", "autostart")
CASES = (
    Case(
        "What a host can do",
        Subject("kvm_check"),
        (Subject("virt-host-validate"), Subject("ping")),
    ),
    Case(
        "A network and a pool, nothing to change",
        Subject("libvirt_network, libvirt_pool", ("libvirt_network", "libvirt_pool")),
        (
            Subject(
                "virt_net, virt_pool of community.libvirt",
                tuple(f"{module} {step}" for module in ("virt_net", "virt_pool") for step in _PEER_STEPS),
            ),
            Subject("virsh, only asked", ("virsh net-dumpxml", "virsh pool-dumpxml")),
        ),
    ),
    Case("Declarations of 1 role, nothing to change", Subject("declarations of 1"), (Subject("copy of 1"),)),
    Case(
        "Declarations of 20 roles, nothing to change", Subject("declarations of 20"), (Subject("copy of 20"),)
    ),
    Case("A firewall of 200 rules, nothing to change", Subject(FIREWALL), (Subject("ping"),), target=1.5),
    Case("Beside the same rules one by one", Subject(FIREWALL), (Subject(LOOP),), target=0.01),
    # What a confirmed change may cost beyond a change: one new login.
    Case(
        "One of its services changed, confirmed over a new login",
        Subject(FIREWALL_CHANGED, changes=True),
        (Subject("a ping, and one with a new login", ("ping", "ping, new login")),),
    ),
    Case("The whole site, nothing to change", Subject(SITE), (Subject(PINGS),), target=1.5),
    Case("The same without the proof", Subject(SITE_BUT_PROOF), (Subject(PINGS_BUT_PROOF),), target=1.5),
)

FIRST = ", first of a run"
# How many times the time of a ping it may take to find all devices for guests in place, by the functions of the host.
TREES = {64: 1.3, 512: 2.0}


def tree_cases(count: int) -> tuple[Case, ...]:
    """Return what is compared on a built tree of ``count`` functions."""
    bind, ping = Subject("vfio_bind"), Subject("ping")
    asked = (Subject("driverctl list-overrides"), Subject("lspci -nnk"))
    first = Subject(f"{bind.name}{FIRST}"), (Subject(f"{ping.name}{FIRST}"),)
    return (
        Case("Devices for guests, nothing to change", bind, (ping,), target=TREES.get(count)),
        Case("Beside only asking, with a task that runs a command", bind, asked),
        Case("While Ansible packs the module, once in a run", *first),
    )


@dataclasses.dataclass(frozen=True)
class Sample:
    """One task on one host: how long, and why it failed if it did."""

    task: str
    action: str
    seconds: float
    failure: str = ""
    changed: bool = False
    result: Document = dataclasses.field(default_factory=dict, compare=False)


def samples(document: Document, host: str) -> list[Sample]:
    """List the tasks that a host did not skip, from the output of the callback ansible.posix.json."""
    found = []
    for play in document["plays"]:
        for entry in play["tasks"]:
            result, duration = entry["hosts"].get(host), entry["task"]["duration"]
            if result is None or result.get("skipped") or "end" not in duration:
                continue
            seconds = _moment(duration["end"]) - _moment(duration["start"])
            failure = str(result.get("msg", "")) if result.get("failed") else ""
            changed = bool(result.get("changed"))
            found.append(Sample(entry["task"]["name"], result["action"], seconds, failure, changed, result))
    return found


def _moment(text: str) -> float:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def total(taken: t.Iterable[Sample], but: str = "") -> float:
    """Add the seconds of all tasks, but those of one action."""
    return sum(sample.seconds for sample in taken if sample.action != but)


def by_task(taken: t.Iterable[Sample]) -> dict[str, list[Sample]]:
    """Sort the measured tasks by name. The first of each warmed up and is dropped."""
    found: dict[str, list[Sample]] = {}
    for sample in taken:
        if sample.task.startswith(PREFIX):
            found.setdefault(sample.task[len(PREFIX) :], []).append(sample)
    return {name: several[1:] for name, several in found.items()}


def firsts(taken: t.Iterable[Sample]) -> dict[str, list[Sample]]:
    """Return the first of each measured task of a run, in which Ansible packs what later ones find packed."""
    found: dict[str, list[Sample]] = {}
    for sample in taken:
        if sample.task.startswith(PREFIX):
            found.setdefault(f"{sample.task[len(PREFIX) :]}{FIRST}", [sample])
    return found


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of one subject, each repeat; or why there are none."""

    name: str
    seconds: tuple[float, ...] = ()
    failure: str = ""

    @property
    def median(self) -> float | None:
        """The middle one: one slow repeat does not move it."""
        return statistics.median(self.seconds) if self.seconds else None


def timing(subject: Subject, measured: t.Mapping[str, t.Sequence[Sample]]) -> Timing:
    """Add up a subject's tasks, repeat by repeat. Whoever failed, or did not do what it was to do, was not measured."""
    parts = [measured[part] for part in subject.parts if part in measured]
    for sample in (sample for part in parts for sample in part):
        if sample.failure or sample.changed != subject.changes:
            word = "changed nothing" if subject.changes else "changed something"
            return Timing(subject.name, failure=sample.failure or word)
    if len(parts) < len(subject.parts):
        return Timing(subject.name, failure="was not run")
    return Timing(subject.name, tuple(sum(s.seconds for s in turn) for turn in zip(*parts)))


def ratio(ours: Timing, other: Timing) -> float | None:
    """Tell how many times the other one's time we take."""
    return ours.median / other.median if ours.median and other.median else None


# --- coverage --------------------------------------------------------------------------------

NO_ANSWER = "no answer"
_LINE = re.compile(
    r"^\s*QEMU: Checking (?:if|for) (?P<question>.*?)\s*: (?P<word>PASS|WARN|FAIL)(?: \((?P<why>.*)\))?$"
)
# The questions of virt-host-validate that are ours too.
SAME_QUESTION = {
    "hardware virtualization": "kvm.virtualisation",
    "device /dev/kvm exists": "kvm.device",
    "device /dev/kvm is accessible": "kvm.create_vm",
    "device assignment IOMMU support": "iommu.firmware_table",
    "IOMMU is enabled by kernel": "iommu.active",
}


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer to one question: pass, warn, fail or no answer, and the reason."""

    question: str
    verdict: str
    why: str = ""


def validate_answers(text: str) -> list[Answer]:
    """Parse what virt-host-validate prints. It calls what it does not know a warning."""
    found = []
    for match in filter(None, map(_LINE.match, text.splitlines())):
        why = match["why"] or ""
        verdict = NO_ANSWER if why.startswith("Unknown") else match["word"].lower()
        found.append(Answer(match["question"], verdict, why))
    return found


def check_answers(checks: t.Iterable[Document]) -> list[Answer]:
    """Turn the findings of kvm_check into answers. What is unknown or does not apply is none."""
    answers = ("pass", "warn", "fail")
    return [
        Answer(c["id"], c["status"] if c["status"] in answers else NO_ANSWER, c["why"] or "") for c in checks
    ]


def answered(answers: t.Iterable[Answer]) -> int:
    """Count the questions that have an answer."""
    return sum(answer.verdict != NO_ANSWER for answer in answers)


def disagreements(theirs: t.Iterable[Answer], ours: t.Iterable[Answer]) -> list[tuple[Answer, Answer]]:
    """Pair the answers to the same question that differ."""
    known = {answer.question: answer for answer in ours}
    pairs = ((answer, known.get(SAME_QUESTION.get(answer.question, ""))) for answer in theirs)
    return [(them, us) for them, us in pairs if us and us.verdict != them.verdict]
