# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as a value: the verdict, the titles, what is declared."""

from __future__ import annotations

import typing as t

import pytest
import report_samples

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import model

# What kvm_check judged, statuses of the findings, status of a role's proof, and the level of the report.
VERDICTS = [
    ("", "", "", "unknown"),
    ("pass", "pass", "", "pass"),
    ("pass", "pass na", "pass", "pass"),
    ("pass", "pass warn", "", "warn"),
    ("pass", "pass fail", "", "warn"),
    ("pass", "pass unknown", "", "warn"),
    ("pass", "pass", "fail", "fail"),
    ("pass", "pass", "unknown", "warn"),
    ("fail", "pass fail", "", "fail"),
    ("unknown", "pass unknown", "", "unknown"),
    ("unknown", "unknown", "fail", "fail"),
]


@pytest.mark.parametrize(("judged", "statuses", "proof", "level"), VERDICTS)
def test_verdict(judged: str, statuses: str, proof: str, level: str) -> None:
    checks = [
        {"id": f"area.check{number}", "status": status} for number, status in enumerate(statuses.split())
    ]
    verify = {"kvm": {"status": proof, "seconds": 3, "why": "because"}} if proof else {}
    report = report_samples.build(preflight={"verdict": judged, "checks": checks}, verify=verify)
    assert report.verdict.level == level
    assert report.verdict.headline
    assert report.verdict.detail.endswith(".")


# What kvm_check judged, statuses of the findings, statuses of the requests, level and headline of the report.
REBOOTS = [
    ("pass", "pass", "pending", "warn", "A reboot is pending"),
    ("pass", "warn", "pending", "warn", "A reboot is pending"),
    ("fail", "fail", "pending", "fail", "Not ready, and a reboot is pending"),
    ("unknown", "unknown", "pending", "unknown", "Not known to be ready, and a reboot is pending"),
    ("", "", "pending", "unknown", "Not checked, and a reboot is pending"),
    ("pass", "pass", "failed", "fail", "Not ready"),
    ("", "", "failed", "fail", "Not ready"),
    ("pass", "pass", "failed pending", "fail", "Not ready, and a reboot is pending"),
    ("pass", "pass", "unknown", "warn", "Ready, with remarks"),
    ("pass", "pass", "a_word_of_tomorrow", "warn", "Ready, with remarks"),
    ("pass", "pass", "fulfilled", "pass", "Ready"),
    ("pass", "pass", "", "pass", "Ready"),
]


@pytest.mark.parametrize(("judged", "statuses", "requests", "level", "headline"), REBOOTS)
def test_a_reboot_that_is_pending_or_did_not_help_changes_the_verdict(
    judged: str, statuses: str, requests: str, level: str, headline: str
) -> None:
    checks = [{"id": "area.check", "status": status} for status in statuses.split()]
    reboots = [report_samples.reboot(status, status) for status in requests.split()]
    report = report_samples.build(preflight={"verdict": judged, "checks": checks}, reboots=reboots)
    assert (report.verdict.level, report.verdict.headline) == (level, headline)
    reasons = requests.count("pending") + requests.count("failed")
    assert report.verdict.detail.count("is configured, and not effective") == reasons


def test_the_pending_reboot_is_said_first_and_not_counted_as_a_check() -> None:
    verdict = report_samples.build(
        preflight={"verdict": "pass", "checks": [{"id": "a.b", "status": "pass"}]},
        reboots=[report_samples.reboot()],
    ).verdict
    assert verdict.detail == (
        "A reboot was asked for by kvm, vfio: hugepagesz=1G hugepages=16 is configured, and not effective. "
        "1 check, nothing to remark."
    )


def test_the_verdict_says_why_in_the_words_of_what_decided() -> None:
    checks = [
        {"id": "kvm.virtualisation", "status": "fail", "why": "The firmware switched it off."},
        {"id": "iommu.active", "status": "fail", "why": "There is no table."},
        {"id": "cpu.smt", "status": "fail", "why": "Nobody asked."},
    ]
    unmet = [{"requirement": "iommu", "id": "iommu.active", "status": "fail"}]
    verify = {"kvm": {"status": "fail", "why": "no guest started"}}
    preflight = {"verdict": "fail", "checks": checks, "unmet": unmet}
    verdict = report_samples.build(preflight=preflight, verify=verify).verdict
    assert verdict.detail == (
        "The firmware switched it off. There is no table. no guest started. 4 checks fail."
    )


def test_a_check_that_was_not_made_is_not_passed() -> None:
    report = report_samples.build(preflight={})
    assert (report.verdict.headline, report.findings, report.counts["pass"]) == ("Not checked", (), 0)


def test_a_proof_without_a_status_is_unknown() -> None:
    report = report_samples.build(verify={"kvm": {}})
    (proof,) = [item for item in report.findings if item.id.startswith(model.PROOF)]
    assert proof.status == "unknown"


@pytest.mark.parametrize(
    ("check", "title"),
    [
        ("iommu.interrupt_remapping", "IOMMU: interrupt remapping"),
        ("host.virtual", "Host: virtual"),
        ("device.sriov", "Device: SR-IOV"),
        ("memory.thp", "Memory: THP"),
        ("lonely", "Lonely"),
    ],
)
def test_ids_become_words(check: str, title: str) -> None:
    assert model.Finding(check, "pass").title == title


def test_the_worst_comes_first_and_nothing_twice() -> None:
    report = report_samples.build()
    order = [item.status for advice in report.advice for item in advice.findings]
    assert order == sorted(order, key=model.STATUSES.index)
    assert set(order) == {"fail", "warn", "unknown"}


def test_unknown_answers_with_one_remedy_are_said_once() -> None:
    unknown = [{"id": f"a.b{number}", "status": "unknown", "hint": "Run as root."} for number in range(5)]
    warned = [{"id": f"a.c{number}", "status": "warn", "hint": "Run as root."} for number in range(2)]
    report = report_samples.build(preflight={"verdict": "pass", "checks": unknown + warned})
    assert [len(advice.findings) for advice in report.advice] == [1, 1, 5]


def test_fields_that_a_newer_module_adds_do_no_harm() -> None:
    checks = [{"id": "a.b", "status": "pass", "severity": "high"}]
    assert report_samples.build(preflight={"verdict": "pass", "checks": checks}).findings[0].id == "a.b"


@pytest.mark.parametrize("predicted", [False, True])
def test_a_prediction_is_in_the_title(predicted: bool) -> None:
    assert ("Predicted" in report_samples.build(predicted=predicted).title) is predicted


def test_the_host_is_introduced_by_what_is_known_of_it() -> None:
    summary: dict[str, t.Any] = dict(report_samples.build().summary)
    assert summary["Kernel"] == "6.1.0-37-amd64"
    assert summary["IOMMU"] == "dmar0"
    assert "Machine" not in summary
