# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which arguments wait for a reboot, and how the request for it lives."""

from __future__ import annotations

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline, demand
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.compose import Owners
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.goal import Goal
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.ledger import (
    AT_LEAST,
    FAILED,
    FILLED,
    PENDING,
    Check,
    Evidence,
    Expect,
    Request,
)

POOL = Check("/pool", AT_LEAST, "2", "huge pages of 1G")
IOMMU = Check("/iommu", FILLED, label="the IOMMU")
CHECKS = {"hugepages": (POOL,), "intel_iommu": (IOMMU,)}
OWNERS = Owners({"hugepages": ["kvm"], "intel_iommu": ["vfio"]})


def situation(
    wishes: str,
    running: str,
    *,
    boot: str = "b1",
    former: str = "",
    changes: bool = False,
    holds: str = "",
    given: str = "",
    removed: str = "",
    ignored: str = "",
) -> demand.Situation:
    arguments = cmdline.arguments(wishes.split())
    line = tuple(f"{given} {wishes}".split())
    checks = {wish: CHECKS.get(wish.name, ()) for wish in arguments}
    held = {
        check: (check.path in holds.split(), f"{check.path} was read")
        for group in checks.values()
        for check in group
    }
    return demand.Situation(
        goal=Goal(arguments, Wish(tuple(wishes.split()), tuple(removed.split())), line, owners=OWNERS),
        checks=checks,
        evidence=Evidence(boot, tuple(running.split()), held, tuple(ignored.split())),
        former=tuple(former.split()),
        changes=changes,
        now=0.0,
    )


def expect(ledger: dict[str, Request]) -> tuple[str, str, int] | None:
    request = ledger.get(demand.NAME)
    if request is None:
        return None
    return " ".join(request.expect.present), " ".join(request.expect.absent), len(request.expect.checks)


def test_what_cannot_be_seen_is_neither_failed_nor_a_success() -> None:
    (wish,) = cmdline.arguments(["intel_iommu=on"])
    for held in ({IOMMU: (None, "/iommu: Permission denied")}, {}):
        inside = demand.standing(wish, (IOMMU,), Evidence("b1", ("intel_iommu=on",), held))
        assert inside.status == demand.UNKNOWN and "/iommu" in inside.why
        assert demand.standing(wish, (IOMMU,), Evidence("b1", ("ro",), held)).status == demand.PENDING


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (situation("iommu=pt", "ro"), ("iommu=pt", "", 0)),
        (situation("iommu=pt", "ro iommu=pt"), None),
        (situation("hugepagesz=1G hugepages=2 nosmt", "ro nosmt"), ("hugepagesz=1G hugepages=2", "", 1)),
        (situation("", "ro iommu=pt", former="iommu=pt"), ("", "iommu=pt", 0)),
        (situation("", "ro", former="iommu=pt"), None),
        (situation("", "ro iommu=pt", former="iommu=pt", given="iommu=pt"), None),
        (situation("iommu=pt", "ro iommu=off", former="iommu=off"), ("iommu=pt", "iommu=off", 0)),
        (situation("", "ro quiet", removed="quiet"), ("", "quiet", 0)),
        # In the ledger a bare name stands for every word of that name.
        (situation("nosmt=force", "ro nosmt", former="nosmt"), ("nosmt=force", "", 0)),
        # The capability is there: a missing intel_iommu=on is no reason to reboot.
        (situation("intel_iommu=on", "ro", holds="/iommu"), None),
        # It is in effect and does not work: another reboot does not help.
        (situation("intel_iommu=on", "ro intel_iommu=on"), None),
        (situation("iommu=pt", ""), None),
    ],
)
def test_what_a_reboot_is_asked_for(now: demand.Situation, found: tuple[str, str, int] | None) -> None:
    ledger, judged = demand.plan_request({}, now)
    assert expect(ledger) == found
    assert [judgement.status for judgement in judged] == ([PENDING] if found else [])


def test_the_request_says_who_and_why() -> None:
    ledger, _judged = demand.plan_request(
        {}, situation("hugepagesz=1G hugepages=2", "ro iommu=pt", former="iommu=pt")
    )
    request = ledger[demand.NAME]
    assert request.reason == "kernel arguments: hugepagesz=1G hugepages=2 to come in, iommu=pt to go"
    assert (request.requested_by, request.since, request.boot_id) == ("kvm", "1970-01-01T00:00:00Z", "b1")
    gone, _judged = demand.plan_request({}, situation("", "iommu=pt", former="iommu=pt"))
    assert gone[demand.NAME].requested_by == "boot"


def asked(wishes: str, running: str, **more: str) -> dict[str, Request]:
    ledger, _judged = demand.plan_request({}, situation(wishes, running, changes=True, **more))  # type: ignore[arg-type]
    return ledger


def test_runs_that_change_nothing_leave_the_request_as_it_is() -> None:
    ledger = asked("iommu=pt hugepages=2", "ro")
    assert demand.plan_request(ledger, situation("iommu=pt hugepages=2", "ro"))[0] == ledger


def test_edpm_a_reboot_that_did_not_help_has_failed_and_no_run_asks_for_another() -> None:
    # 40-peers.md §3 row 16. The loader lost one word, and the pages of the other are not there.
    ledger = asked("iommu=pt hugepages=2", "ro")
    for boot, running in (("b2", "ro hugepages=2"), ("b3", "ro hugepages=2"), ("b4", "ro")):
        after, (judged,) = demand.plan_request(ledger, situation("iommu=pt hugepages=2", running, boot=boot))
        assert (after, judged.status) == (ledger, FAILED)


def test_a_fulfilled_request_is_dropped_and_others_stay() -> None:
    other = Request("module-options", "r", "vfio", "s", "b1", Expect(present=("x",)))
    ledger = {**asked("iommu=pt", "ro"), "module-options": other}
    assert demand.plan_request(ledger, situation("iommu=pt", "ro iommu=pt", boot="b2")) == (
        {"module-options": other},
        [],
    )


def test_a_change_of_the_boot_configuration_renews_the_request_with_what_was_still_missing() -> None:
    ledger = asked("hugepages=2", "ro")
    failed = situation("hugepages=2 nosmt", "ro hugepages=2", boot="b2", changes=True)
    after, (judged,) = demand.plan_request(ledger, failed)
    assert expect(after) == ("hugepages=2 nosmt", "", 1)
    assert (after[demand.NAME].boot_id, judged.status) == ("b2", PENDING)
    assert (
        demand.plan_request(after, situation("hugepages=2 nosmt", "ro hugepages=2 nosmt", boot="b3"))[1][
            0
        ].status
        == FAILED
    )


def test_a_wish_that_is_taken_back_is_waited_for_no_more() -> None:
    ledger = asked("iommu=pt hugepages=2", "ro")
    after, _judged = demand.plan_request(ledger, situation("iommu=pt", "ro", boot="b2"))
    assert expect(after) == ("iommu=pt", "", 0)
    assert after[demand.NAME].boot_id == "b1", "the rest keeps its date and its boot"
    assert demand.plan_request(ledger, situation("", "ro")) == ({}, [])


def test_a_word_that_left_is_remembered_by_the_request_alone() -> None:
    ledger = asked("", "ro iommu=pt", former="iommu=pt")
    assert demand.plan_request(ledger, situation("", "ro iommu=pt"))[0] == ledger
    after, (judged,) = demand.plan_request(ledger, situation("", "ro iommu=pt", boot="b2"))
    assert (after, judged.status) == (ledger, FAILED)
    assert demand.plan_request(ledger, situation("", "ro", boot="b2")) == ({}, [])
    assert demand.plan_request(ledger, situation("", "ro iommu=pt", given="iommu=pt")) == ({}, [])


def test_what_comes_about_without_a_reboot_is_waited_for_no_more() -> None:
    ledger = asked("hugepages=2", "ro")
    assert demand.plan_request(ledger, situation("hugepages=2", "ro", holds="/pool")) == ({}, [])


def test_a_new_wish_without_a_change_is_a_new_request() -> None:
    ledger = asked("iommu=pt", "ro")
    after, (judged,) = demand.plan_request(ledger, situation("iommu=pt nosmt", "ro", boot="b2"))
    assert (expect(after), judged.status) == (("iommu=pt nosmt", "", 0), PENDING)


def test_without_a_command_line_the_ledger_stays_as_it_is() -> None:
    ledger = asked("iommu=pt", "ro")
    after, (judged,) = demand.plan_request(ledger, situation("iommu=pt", "", changes=True))
    assert (after, judged.status) == (ledger, PENDING)


@pytest.mark.parametrize(
    ("wishes", "running", "more", "status", "why"),
    [
        ("iommu=pt", "", {}, "unknown", "cannot be read"),
        ("iommu=pt", "iommu=pt", {}, "effective", "it is in /proc/cmdline"),
        ("iommu=pt", "ro", {}, "pending", "with the next boot"),
        (
            "iommu=pt",
            "ro",
            {"boot": "b2"},
            "failed",
            "has booted since, and iommu=pt is not in /proc/cmdline",
        ),
        ("intel_iommu=on", "ro", {"holds": "/iommu"}, "not_needed", "is there without it: /iommu was read"),
        ("intel_iommu=on", "intel_iommu=on", {}, "failed", "and yet /iommu was read: look at the firmware"),
        (
            "intel_iomu=on",
            "intel_iomu=on",
            {"ignored": "intel_iomu=on"},
            "failed",
            "does not know intel_iomu=on",
        ),
    ],
)
def test_where_an_argument_stands(
    wishes: str, running: str, more: dict[str, str], status: str, why: str
) -> None:
    ledger = asked(wishes, "ro")
    now = situation(wishes, running, **more)  # type: ignore[arg-type]
    _after, judged = demand.plan_request(ledger, now)
    found = demand.final_standing(now.goal.wishes[0], now, judged)
    assert found.status == status
    assert why in found.why


def test_a_request_for_checks_alone_says_what_does_not_work() -> None:
    held = Request(demand.NAME, "r", "kvm", "s", "b0", Expect(checks=(POOL,)))
    now = situation("hugepages=2", "hugepages=2", changes=True)
    after, _judged = demand.plan_request({demand.NAME: held}, now)
    assert after[demand.NAME].reason == "kernel arguments: huge pages of 1G to work"
    assert after[demand.NAME].requested_by == "kvm"
