# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import Finding
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

STATUSES = ["pass", "warn", "fail", "unknown", "na"]


@pytest.mark.parametrize("requirement", gate.REQUIREMENTS)
@pytest.mark.parametrize("status", STATUSES)
def test_only_pass_meets_a_requirement_and_each_failure_carries_its_remedy(
    requirement: str, status: str
) -> None:
    findings = [
        Finding(name, status, why=f"why {name}.", hint=f"remedy of {name}.")
        for name in gate.REQUIREMENTS[requirement]
    ]
    obstacles = gate.unmet([requirement], findings)
    assert bool(obstacles) is (status != "pass")
    for name in gate.REQUIREMENTS[requirement] if obstacles else ():
        assert f"Remedy: remedy of {name}." in gate.message(obstacles)
        assert f"why {name}." in gate.message(obstacles)


def test_unknown_is_said_to_be_unknown() -> None:
    message = gate.message(gate.unmet(["kvm"], [Finding("kvm.virtualisation", "unknown")]))
    assert "could not be verified (unknown)" in message
    assert "not met" not in message


@pytest.mark.parametrize("status", ["fail", "warn", "na"])
def test_what_is_known_is_said_without_the_words_of_the_module(status: str) -> None:
    message = gate.message(gate.unmet(["kvm"], [Finding("kvm.virtualisation", status, why="So it is.")]))
    assert message == "This host is not ready. kvm is not met by kvm.virtualisation: So it is."


def test_isolation_also_asks_whether_a_device_is_in_any_group() -> None:
    """A device that bypasses the IOMMU shares its group with nobody, for it has none."""
    findings = [Finding("iommu.isolation", "pass"), Finding("device.isolation", "fail")]
    assert [obstacle.finding.id for obstacle in gate.unmet(["isolation"], findings)] == ["device.isolation"]


def test_a_check_that_gave_no_answer_is_unknown() -> None:
    assert [obstacle.as_dict() for obstacle in gate.unmet(["kvm"], [])] == [
        {"requirement": "kvm", "id": "kvm.virtualisation", "status": "unknown"}
    ]


def test_a_shared_remedy_is_said_once() -> None:
    findings = [
        Finding(name, "fail", why="It is off.", hint="Switch it on.") for name in gate.REQUIREMENTS["iommu"]
    ]
    assert gate.message(gate.unmet(["iommu"], findings)).count("Switch it on.") == 1


def test_a_requirement_named_twice_counts_once() -> None:
    assert len(gate.unmet(["kvm", "kvm"], [])) == 1


@pytest.mark.parametrize(
    ("requirement", "option", "value"),
    [
        ("min_kernel", "min_kernel", "6.1"),
        ("bios_date", "min_bios_date", "2024-01-01"),
        ("smt", "smt", "off"),
        ("peer_rtt", "peers", (("a", 1),)),
        ("gpu_count", "expected_gpus", 0),
        ("devices", "devices", ("0000:01:00.0",)),
    ],
)
def test_a_wish_that_is_required_must_be_expressed(requirement: str, option: str, value: t.Any) -> None:
    with pytest.raises(Refusal, match=option):
        gate.refuse_empty_wishes(Policy(require=(requirement,)))
    gate.refuse_empty_wishes(Policy(require=(requirement,), **{option: value}))
