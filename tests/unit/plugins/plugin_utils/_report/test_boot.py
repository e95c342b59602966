# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the host boots, as a value: what is not known is never called absent, and who asked is always named."""

from __future__ import annotations

import typing as t

import pytest
import report_samples
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot import ledger
from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import boot, model


def built(**state: t.Any) -> boot.Boot:
    return boot.build({**report_samples.BOOT, **state}, [])


def argument(**given: t.Any) -> boot.Argument:
    (found,) = built(arguments=[{"name": "a", "wanted": "a=1", "status": "effective", **given}]).arguments
    return found


@pytest.mark.parametrize(
    ("status", "level", "state"),
    [
        ("effective", model.PASS, "effective"),
        ("pending", model.WARN, "waits for a reboot"),
        ("not_needed", model.NOT_APPLICABLE, "not needed"),
        ("failed", model.FAIL, "not effective"),
        ("unknown", model.UNKNOWN, "not known"),
        ("a_word_of_tomorrow", model.UNKNOWN, "not known"),
        ("", model.UNKNOWN, "not known"),
    ],
)
def test_the_states_of_an_argument_are_those_of_the_report(status: str, level: str, state: str) -> None:
    found = argument(status=status)
    assert (found.level, found.state) == (level, state)


@pytest.mark.parametrize(
    ("configured", "effective", "status", "shown"),
    [
        ("a=1", "a=1", "effective", ["a=1", "a=1", "a=1"]),
        ("a=1", None, "pending", ["a=1", "a=1", "absent"]),
        ("a=1", None, "not_needed", ["a=1", "a=1", "absent"]),
        ("a=1", "a=0", "failed", ["a=1", "a=1", "a=0"]),
        ("a=1", None, "unknown", ["a=1", "a=1", "not known"]),
        ("", "", "pending", ["a=1", "absent", "absent"]),
        ("", "", "unknown", ["a=1", "absent", "absent"]),
        (None, None, "unknown", ["a=1", "not known", "not known"]),
        (None, None, "pending", ["a=1", "not known", "absent"]),
    ],
)
def test_wanted_configured_and_effective_stand_side_by_side(
    configured: str | None, effective: str | None, status: str, shown: list[str]
) -> None:
    cells = argument(configured=configured, effective=effective, status=status).cells
    assert [cell.label for cell in cells] == ["Wanted", "Configured", "Effective"]
    assert [cell.text or cell.otherwise for cell in cells] == shown


def test_a_recovery_entry_is_left_bare_and_no_fault() -> None:
    shown = {(item.name.split()[0], item.level, item.state) for item in built().entries}
    assert shown == {
        ("gnulinux-6.1.0-37-amd64-advanced-3f2b", "pass", "has the arguments"),
        ("gnulinux-6.1.0-35-amd64-advanced-3f2b", "fail", "lacks arguments"),
        ("gnulinux-6.1.0-37-amd64-recovery-3f2b", "na", "left bare"),
        ("other", "unknown", "not known"),
    }


def test_images_name_what_must_be_in_them() -> None:
    complete, incomplete = built().images
    assert (complete.level, complete.state) == ("pass", "complete")
    assert complete.contents == ("vfio_pci", "vfio_iommu_type1", "/etc/modprobe.d/hearth.conf")
    assert (incomplete.level, incomplete.state) == ("fail", "incomplete")


@pytest.mark.parametrize(
    ("backend", "loader"), [("grub", "GRUB"), ("systemd-boot", "systemd-boot"), ("lilo", "lilo"), (None, "")]
)
def test_loaders_are_called_by_their_name(backend: str | None, loader: str) -> None:
    assert built(backend=backend).loader == loader


def test_without_the_roles_there_is_no_section() -> None:
    assert not boot.build({}, [])
    assert boot.build({"backend": "grub"}, [])
    assert boot.build({}, [report_samples.reboot()])


def test_requests_that_need_somebody_come_first() -> None:
    waiting = boot.build({}, list(reversed(report_samples.REBOOTS))).waiting
    assert [(title, [item.name for item in requests]) for title, requests in waiting] == [
        ("A reboot did not help", ["module-options"]),
        ("Waiting for a reboot", ["kernel-args"]),
        ("Perhaps waiting for a reboot", ["initramfs"]),
        ("Done by a reboot", ["other"]),
    ]


def finding(**given: t.Any) -> model.Finding:
    report = report_samples.build(preflight={}, reboots=[report_samples.reboot(**given)])
    (found,) = report.findings
    return found


def test_a_failed_reboot_fails_with_the_evidence_and_the_next_step() -> None:
    found = finding(status="failed", lacking=["a=1 is not in /proc/cmdline", "b=2 is not in /proc/cmdline"])
    assert found.status == model.FAIL
    assert found.why.startswith("The reboot that kvm, vfio asked for did not help: hugepagesz=1G")
    assert found.value == "a=1 is not in /proc/cmdline; b=2 is not in /proc/cmdline"
    assert found.hint.startswith("Do not reboot for it again.")
    assert not found.needs_reboot


def test_a_pending_reboot_warns_and_says_who_asked_since_when() -> None:
    found = finding(status="pending")
    assert (found.id, found.status, found.needs_reboot) == ("reboot.kernel-args", model.WARN, True)
    assert found.why.startswith("A reboot was asked for by kvm, vfio: ")
    assert found.source == "the reboot ledger, asked for 2026-11-22 01:58 UTC"
    assert "reboot_policy=auto" in found.hint


def test_the_id_of_a_request_holds_nothing_that_could_be_markup() -> None:
    assert finding(name="a <b> `c`\n|").id == "reboot.a__b___c___"


def test_a_request_that_cannot_be_judged_is_unknown_and_a_fulfilled_one_passes() -> None:
    unknown = finding(status="unknown", lacking=[])
    assert (unknown.status, unknown.value, unknown.needs_reboot) == (model.UNKNOWN, None, False)
    assert "is not known" in unknown.why
    fulfilled = finding(status="fulfilled")
    assert (fulfilled.status, fulfilled.value) == (model.PASS, "everything that was expected")


@pytest.mark.parametrize(
    ("since", "shown"),
    [
        ("2026-11-22T01:58:40Z", "2026-11-22 01:58 UTC"),
        ("2026-11-22T01:58:40.123456+00:00", "2026-11-22 01:58 UTC"),
        ("2026-11-22T01:58Z", "2026-11-22 01:58 UTC"),
        ("2026-11-22T01:58:40+01:00", "2026-11-22T01:58:40+01:00"),
        ("yesterday", "yesterday"),
        ("", "at a time that was not noted"),
    ],
)
def test_the_date_is_shown_like_that_of_the_report_when_it_is_utc(since: str, shown: str) -> None:
    assert boot.build({}, [report_samples.reboot(since=since)]).requests[0].since == shown


def test_it_reads_what_the_ledger_writes() -> None:
    """The report and the ledger are written apart; this holds them together."""
    since, expect = "2026-11-22T01:58:40Z", ledger.Expect(boot=True)
    request = ledger.Request("kernel-args", "a=1 is new", "vfio", since, "one boot", expect)
    for boot_id, status, level in (("one boot", "pending", "warn"), ("another", "fulfilled", "pass")):
        judged = ledger.judge(request, ledger.Evidence(boot_id, ()))
        (shown,) = boot.build({}, [judged.as_dict()]).requests
        assert (shown.status, shown.level, shown.requested_by) == (status, level, "vfio")


@given(st.dictionaries(st.sampled_from(["reason", "requested_by", "since", "status", "lacking"]), st.none()))
def test_a_field_that_is_missing_or_null_hides_no_request(nothing: dict[str, None]) -> None:
    whole = {**report_samples.reboot(), **nothing}
    for data in (whole, {key: value for key, value in whole.items() if key not in nothing}):
        (shown,) = boot.build({}, [data]).requests
        assert shown.reason
        assert shown.requested_by
        assert shown.since
        assert len(boot.build({}, [data]).waiting) == 1
