# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import hosts
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import kernel
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import Finding
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy


def ask(machine: hosts.Machine, **policy: t.Any) -> dict[str, Finding]:
    return {finding.id: finding for finding in kernel.checks(machine.host, Policy(**policy))}


@pytest.mark.parametrize(
    ("release", "least", "status"),
    [
        ("6.12.63+deb13-amd64", "6.1", "pass"),
        ("6.1.0-40-amd64", "6.1", "pass"),
        ("5.15.0-91-generic", "5.15.0", "pass"),
        ("5.14.0-503.el9.x86_64", "5.15", "fail"),
        ("6.9.0", "6.12", "fail"),
        ("6.9.0", None, "na"),
        ("strange", "6.1", "unknown"),
    ],
)
def test_the_minimum_kernel(release: str, least: str | None, status: str, tmp_path: pathlib.Path) -> None:
    machine = hosts.bare(tmp_path).put("/proc/sys/kernel/osrelease", release, source="uname -r")
    finding = ask(machine, min_kernel=least)["kernel.version"]
    assert finding.status == status
    assert finding.needs_reboot is (status == "fail")


def test_modules_are_listed_with_their_options(tmp_path: pathlib.Path) -> None:
    finding = ask(hosts.loaded(hosts.intel(tmp_path), "kvm_intel", ept="Y", nested="1"))["kvm.module"]
    assert finding.status == "pass"
    assert finding.value == {"kvm": {"tdp_mmu": "Y"}, "kvm_intel": {"ept": "Y", "nested": "1"}}


def test_no_module_is_a_warning_and_no_list_is_unknown(tmp_path: pathlib.Path) -> None:
    assert ask(hosts.intel(tmp_path / "a"))["kvm.module"].status == "warn"
    assert ask(hosts.Machine(tmp_path / "b"))["kvm.module"].status == "unknown"


@pytest.mark.parametrize(
    ("module", "text", "status"),
    [
        ("kvm_intel", "Y", "pass"),
        ("kvm_intel", "N", "warn"),
        ("kvm_amd", "1", "pass"),
        ("kvm_amd", "0", "warn"),
        ("kvm_amd", "?", "unknown"),
    ],
)
def test_nested_is_a_bool_on_intel_and_a_number_on_amd(
    module: str, text: str, status: str, tmp_path: pathlib.Path
) -> None:
    assert ask(hosts.loaded(hosts.intel(tmp_path), module, nested=text))["kvm.nested"].status == status


def test_nesting_where_no_module_tells(tmp_path: pathlib.Path) -> None:
    assert ask(hosts.intel(tmp_path / "a"))["kvm.nested"].status == "unknown"
    assert ask(hosts.paravirtual(tmp_path / "b"))["kvm.nested"].status == "na"
    assert "FEAT_NV2" in ask(hosts.arm64(tmp_path / "c"))["kvm.nested"].hint


def test_the_log_shows_what_matters(tmp_path: pathlib.Path) -> None:
    log = "hello\nAMD-Vi: Unknown option - 'on'\nbye\n"
    finding = ask(hosts.amd(tmp_path, log=log))["kernel.log"]
    assert (finding.status, finding.value) == ("pass", ["AMD-Vi: Unknown option - 'on'"])


def test_a_log_that_cannot_be_read_is_unknown(tmp_path: pathlib.Path) -> None:
    assert ask(hosts.amd(tmp_path, log=None))["kernel.log"].status == "unknown"
