# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import hosts
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import cpu_security
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import Finding
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

SMT = "/sys/devices/system/cpu/smt"
VULNERABILITIES = "/sys/devices/system/cpu/vulnerabilities"
ALL_SEV = ("sev", "sev_es", "sev_snp")


def ask(machine: hosts.Machine, **policy: t.Any) -> dict[str, Finding]:
    return {finding.id: finding for finding in cpu_security.checks(machine.host, Policy(**policy))}


@pytest.mark.parametrize(
    ("active", "control", "wanted", "status", "fix"),
    [
        ("1", "on", "on", "pass", ""),
        ("1", "on", "off", "fail", "cmdline"),
        ("0", "off", "on", "fail", "firmware"),
        ("0", "forceoff", "off", "pass", ""),
        ("0", "notsupported", "off", "pass", ""),
        ("1", "on", None, "na", ""),
        ("", "", "on", "unknown", "host"),
    ],
)
def test_smt_as_wanted(
    active: str, control: str, wanted: str | None, status: str, fix: str, tmp_path: pathlib.Path
) -> None:
    machine = hosts.intel(tmp_path)
    machine.put(f"{SMT}/active", active, source="kernel/cpu.c").put(
        f"{SMT}/control", control, source="kernel/cpu.c"
    )
    finding = ask(machine, smt=wanted)["cpu.smt"]
    assert (finding.status, finding.fix) == (status, fix)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Not affected", "pass"),
        ("Mitigation: PTE Inversion; VMX: conditional cache flushes, SMT disabled", "pass"),
        ("Mitigation: PTE Inversion; VMX: conditional cache flushes, SMT vulnerable", "warn"),
        ("Vulnerable: Safe RET, no microcode", "warn"),
        ("KVM: Mitigation: Split huge pages", "pass"),
        ("KVM: Vulnerable", "warn"),
    ],
)
def test_what_the_kernel_says_of_vulnerabilities(text: str, status: str, tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path).put(f"{VULNERABILITIES}/l1tf", text, source="arch/x86/kernel/cpu/bugs.c")
    finding = ask(machine)["cpu.vulnerabilities"]
    assert finding.status == status
    assert "vmscape" in finding.value["not_reported"]


def test_a_kernel_that_reports_nothing_is_not_safe(tmp_path: pathlib.Path) -> None:
    assert ask(hosts.intel(tmp_path))["cpu.vulnerabilities"].status == "unknown"


def sev(
    root: pathlib.Path, text: str, device: bool = True, flags: tuple[str, ...] = ALL_SEV
) -> hosts.Machine:
    machine = hosts.loaded(hosts.amd(root, "svm", *flags), "kvm_amd", **dict.fromkeys(ALL_SEV, text))
    return machine.put("/dev/sev", "", source="drivers/crypto/ccp/sev-dev.c") if device else machine


@pytest.mark.parametrize("text", ["Y", "1"])
def test_virt_host_validate_regression_sev_is_on_by_y_and_by_1(text: str, tmp_path: pathlib.Path) -> None:
    found = ask(sev(tmp_path, text))
    assert [found[f"confidential.{name}"].status for name in ALL_SEV] == ["pass"] * 3


def test_virt_host_validate_regression_sev_at_the_end_of_a_long_line(tmp_path: pathlib.Path) -> None:
    many = tuple(f"feature_{number}" for number in range(200))
    found = ask(sev(tmp_path, "Y", flags=(*many, *ALL_SEV)))
    assert found["confidential.sev"].status == "pass"


def test_sev_that_is_off_missing_or_without_its_device(tmp_path: pathlib.Path) -> None:
    off = ask(sev(tmp_path / "off", "N"))
    assert (off["confidential.sev_es"].status, off["confidential.sev_es"].fix) == ("warn", "firmware")
    assert ask(sev(tmp_path / "nodev", "Y", device=False))["confidential.sev"].fix == "module"
    assert ask(hosts.amd(tmp_path / "absent", "svm"))["confidential.sev"].status == "na"
    assert ask(hosts.amd(tmp_path / "unloaded", *ALL_SEV))["confidential.sev"].status == "unknown"
    assert ask(hosts.intel(tmp_path / "intel"))["confidential.sev"].status == "na"
    assert ask(hosts.bare(tmp_path / "blind"))["confidential.sev"].status == "unknown"


def test_an_iommu_argument_that_forbids_snp_is_named(tmp_path: pathlib.Path) -> None:
    machine = sev(tmp_path, "N").put("/proc/cmdline", "quiet iommu=pt\n", source="kernel-parameters.txt")
    finding = ask(machine)["confidential.sev_snp"]
    assert (finding.fix, finding.needs_reboot) == ("cmdline", True)
    assert "iommu=pt" in finding.hint


def test_trust_domains(tmp_path: pathlib.Path) -> None:
    on = hosts.loaded(hosts.intel(tmp_path / "on", "vmx", "tdx_host_platform"), "kvm_intel", tdx="Y")
    off = hosts.loaded(hosts.intel(tmp_path / "off", "vmx", "tdx_host_platform"), "kvm_intel", tdx="N")
    assert ask(on)["confidential.tdx"].status == "pass"
    assert ask(off)["confidential.tdx"].status == "warn"
    assert ask(hosts.intel(tmp_path / "absent", "vmx"))["confidential.tdx"].status == "na"
    assert ask(hosts.amd(tmp_path / "amd"))["confidential.tdx"].status == "na"
    assert ask(hosts.bare(tmp_path / "blind"))["confidential.tdx"].status == "unknown"
