# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Which arguments wait for a reboot, and the request for it in the ledger. Pure.

The request is measured against, not recomputed from, the running kernel: what it expects stays the same until
it is fulfilled or no longer wished, or else each run after a reboot that did not help would ask for another.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.goal import Goal
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot import ledger as book

NAME = "kernel-args"
EFFECTIVE, PENDING, NOT_NEEDED, FAILED, UNKNOWN = "effective", "pending", "not_needed", "failed", "unknown"

Checks = t.Mapping[cmdline.Argument, t.Sequence[book.Check]]


@dataclasses.dataclass(frozen=True)
class Situation:
    """What the decision rests on.

    ``former`` are words that were ours, ``changes`` whether the boot configuration is changed now.
    """

    goal: Goal
    checks: Checks
    evidence: book.Evidence
    former: tuple[str, ...]
    changes: bool
    now: float


@dataclasses.dataclass(frozen=True)
class Standing:
    """Where an argument stands in the running kernel, and why."""

    status: str
    why: str


def standing(wish: cmdline.Argument, checks: t.Sequence[book.Check], evidence: book.Evidence) -> Standing:
    """Say where an argument stands, without a look into the ledger."""
    if not evidence.words:
        return Standing(UNKNOWN, "/proc/cmdline cannot be read")
    inside = cmdline.is_effective(wish, evidence.words)
    findings = [evidence.held.get(check, (None, f"{check.path} was not looked at")) for check in checks]
    wrong = "; ".join(found for holds, found in findings if holds is False)
    unclear = "; ".join(found for holds, found in findings if holds is None)
    if inside and wrong:
        return Standing(
            FAILED, f"it is in /proc/cmdline, and yet {wrong}: look at the firmware and the kernel log"
        )
    if inside and unclear:
        return Standing(UNKNOWN, f"it is in /proc/cmdline, and whether it works cannot be seen: {unclear}")
    if inside:
        return Standing(EFFECTIVE, "it is in /proc/cmdline")
    if findings and not wrong and not unclear:
        found = "; ".join(found for _holds, found in findings)
        return Standing(NOT_NEEDED, f"what it is for is there without it: {found}")
    return Standing(PENDING, "it takes effect with the next boot")


def plan_request(
    ledger: book.Ledger, situation: Situation
) -> tuple[dict[str, book.Request], list[book.Judgement]]:
    """Return the ledger as it shall be, and our request in it, judged."""
    known = ledger.get(NAME)
    rest = book.drop(ledger, [NAME])
    if not situation.evidence.words:
        # Nothing is known of the running kernel: what was asked for stays as it is.
        return dict(ledger), [book.judge(known, situation.evidence)] if known else []
    carried = _carried(known.expect if known else book.Expect(), situation)
    expect = _union(carried, _missing_now(known, situation))
    if known and expect == carried and not situation.changes:
        request = dataclasses.replace(known, expect=expect)
    else:
        request = _request(expect, situation)
    judged = book.judge(request, situation.evidence)
    if judged.status == book.FULFILLED:
        return rest, []
    return {**ledger, NAME: request}, [judged]


def _carried(expect: book.Expect, situation: Situation) -> book.Expect:
    """Return what was expected and still is: wished, and not there by other means."""
    goal, evidence = situation.goal, situation.evidence
    open_wishes = [
        wish for wish in goal.wishes if standing(wish, situation.checks[wish], evidence).status != NOT_NEEDED
    ]
    wished = {wish.words for wish in open_wishes}
    checks = {check for wish in open_wishes for check in situation.checks[wish]}
    present = (part for part in cmdline.arguments(expect.present) if part.words in wished)
    return book.Expect(
        present=tuple(word for part in present for word in part.words),
        absent=tuple(word for word in expect.absent if not _stays(word, goal.line)),
        checks=tuple(check for check in expect.checks if check in checks),
    )


def _missing_now(known: book.Request | None, situation: Situation) -> book.Expect:
    pending = [
        wish
        for wish in situation.goal.wishes
        if standing(wish, situation.checks[wish], situation.evidence).status == PENDING
    ]
    former = (*situation.former, *(known.expect.absent if known else ()))
    return book.Expect(
        present=tuple(word for wish in pending for word in wish.words),
        absent=tuple(_left(former, situation)),
        checks=tuple(check for wish in pending for check in situation.checks[wish]),
    )


def _left(former: t.Sequence[str], situation: Situation) -> t.Iterator[str]:
    """Return the words of the running kernel that ours were or that are taken out, and that shall be gone."""
    goal = situation.goal
    for word in situation.evidence.words:
        ours = any(cmdline.same_word(word, one) for one in former)
        taken = any(cmdline.matches(word, pattern) for pattern in goal.wish.removed)
        if (ours or taken) and not _stays(word, goal.line):
            yield word


def _stays(word: str, line: cmdline.Words) -> bool:
    """Tell whether a word is configured. In the ledger a bare name stands for every word of that name."""
    bare = cmdline.value_of(word) is None
    return any(cmdline.matches(other, word) if bare else cmdline.same_word(other, word) for other in line)


def _union(one: book.Expect, other: book.Expect) -> book.Expect:
    blocks = [*cmdline.arguments(one.present), *cmdline.arguments(other.present)]
    return book.Expect(
        present=tuple(word for words in dict.fromkeys(block.words for block in blocks) for word in words),
        absent=tuple(dict.fromkeys((*one.absent, *other.absent))),
        checks=tuple(dict.fromkeys((*one.checks, *other.checks))),
    )


def _request(expect: book.Expect, situation: Situation) -> book.Request:
    parts = [f"{cmdline.join(expect.present)} to come in"] if expect.present else []
    parts += [f"{cmdline.join(expect.absent)} to go"] if expect.absent else []
    parts = parts or [f"{check.label} to work" for check in expect.checks]
    owners = {
        role
        for wish in situation.goal.wishes
        if set(wish.words) & set(expect.present) or set(situation.checks[wish]) & set(expect.checks)
        for role in situation.goal.owners.of(wish)
    }
    return book.Request(
        name=NAME,
        reason=f"kernel arguments: {', '.join(parts)}",
        requested_by=", ".join(sorted(owners)) or "boot",
        since=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(situation.now)),
        boot_id=situation.evidence.boot_id,
        expect=expect,
    )


def final_standing(
    wish: cmdline.Argument, situation: Situation, judged: t.Sequence[book.Judgement]
) -> Standing:
    """Say where an argument stands, with what the ledger knows: a reboot that did not help, a word not known."""
    found = standing(wish, situation.checks[wish], situation.evidence)
    strange = [word for word in wish.words if word in situation.evidence.ignored]
    if found.status == EFFECTIVE and strange:
        return Standing(FAILED, f"the kernel does not know {cmdline.join(strange)}")
    failed = [judgement for judgement in judged if judgement.status == book.FAILED]
    if found.status == PENDING and failed:
        return Standing(FAILED, f"the host has booted since, and {'; '.join(failed[0].lacking)}")
    return found
