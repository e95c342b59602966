# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import hosts
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import cpu
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

INTEL_SOURCE = "Intel SDM vol. 4, IA32_FEATURE_CONTROL"
AMD_SOURCE = "AMD APM vol. 2, VM_CR"

# capture, architecture, vendor, flag of virtualisation
CAPTURES = [
    ("intel-i7-1270p", "x86", "GenuineIntel", "vmx"),
    ("amd-ryzen-1600", "x86", "AuthenticAMD", "svm"),
    ("intel-xeon-l5640", "x86", "GenuineIntel", "vmx"),
    ("nvidia-accelerator", "x86", "GenuineIntel", "vmx"),
    ("accelerator", "x86", "GenuineIntel", "vmx"),
    ("arm64", "arm64", "", ""),
]


@pytest.mark.parametrize(("name", "arch", "vendor", "flag"), CAPTURES, ids=[row[0] for row in CAPTURES])
def test_real_machines_are_recognised(
    name: str, arch: str, vendor: str, flag: str, capture: t.Callable[[str], pathlib.Path]
) -> None:
    processor = cpu.parse((capture(name) / "proc/cpuinfo").read_text())
    assert (processor.arch, processor.vendor, processor.flag) == (arch, vendor, flag)


def test_a_flag_is_a_whole_token() -> None:
    processor = cpu.parse("flags\t: fpu sev_es vmx_like xsvm\n")
    assert processor.flag == ""
    assert "sev" not in processor.flags


def test_the_vmx_flags_line_is_not_the_flags_line() -> None:
    assert cpu.parse("flags\t: fpu\nvmx flags\t: vmx svm ept\n").flag == ""


def test_virt_host_validate_regression_flags_line_longer_than_1023_characters() -> None:
    line = " ".join(f"feature_{number}" for number in range(200)) + " sev"
    assert len(line) > 1024
    assert "sev" in cpu.parse(f"flags\t: {line}\n").flags


def test_only_flags_of_all_cpus_count() -> None:
    assert cpu.parse("flags : fpu svm\n\nflags : fpu\n").flags == {"fpu"}


# register value, started by tboot, is virtualisation allowed
FEATURE_CONTROL = [
    (0b101, False, True),  # locked, on outside SMX: what a firmware with VT-x on leaves
    (0b001, False, False),  # locked, off
    (0b011, False, False),  # locked, only inside SMX
    (0b011, True, True),  # and that is enough after a measured launch
    (0b101, True, False),
    (0b000, False, True),  # unlocked: the kernel sets it
]


@pytest.mark.parametrize(("value", "tboot", "allowed"), FEATURE_CONTROL)
def test_intel_feature_control(value: int, tboot: bool, allowed: bool, tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path).msr(cpu.MSR_FEATURE_CONTROL, value, source=INTEL_SOURCE)
    processor = cpu.read(machine.host)
    assert cpu.firmware_switch(machine.host, processor, Policy(), tboot)[0] is allowed


# 8 is LOCK, 16 is SVMDIS
@pytest.mark.parametrize(("value", "allowed"), [(0, True), (8, True), (16, False), (24, False)])
def test_amd_vm_cr(value: int, allowed: bool, tmp_path: pathlib.Path) -> None:
    machine = hosts.amd(tmp_path).msr(cpu.MSR_VM_CR, value, source=AMD_SOURCE)
    assert cpu.firmware_switch(machine.host, cpu.read(machine.host), Policy(), False)[0] is allowed


def test_one_cpu_of_each_socket_is_asked(tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path, "vmx")
    for number, value in ((0, 0b101), (1, 0b101), (2, 0b001)):
        machine.msr(cpu.MSR_FEATURE_CONTROL, value, cpu=number, source=INTEL_SOURCE)
        package = f"/sys/devices/system/cpu/cpu{number}/topology/physical_package_id"
        machine.put(package, str(number // 2), source="drivers/base/topology.c")
    allowed, where = cpu.firmware_switch(machine.host, cpu.read(machine.host), Policy(), False)
    assert allowed is False
    assert "/dev/cpu/2/msr" in where


def test_registers_are_left_alone_when_asked_to(tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path).msr(cpu.MSR_FEATURE_CONTROL, 1, source=INTEL_SOURCE)
    policy = Policy(read_msr="never")
    assert cpu.firmware_switch(machine.host, cpu.read(machine.host), policy, False) == (None, "")


def test_an_unreadable_register_says_nothing(tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path)
    machine.put("/dev/cpu/0/msr", b"", source="a device that answers with an error")
    assert cpu.firmware_switch(machine.host, cpu.read(machine.host), Policy(), False)[0] is None
    (tmp_path / "dev/cpu/1/msr").mkdir(parents=True)
    assert cpu.register(machine.host, "/dev/cpu/1/msr", 0, 8) is None


@pytest.mark.parametrize(("ecx", "answer"), [(1 << 5, True), (0, False)])
def test_cpuid_tells_what_the_flags_hide(ecx: int, answer: bool, tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path).cpuid_ecx(1, ecx, source="Intel SDM vol. 2, CPUID leaf 1")
    assert cpu.capable(machine.host, cpu.read(machine.host))[0] is answer


def test_a_missing_flag_alone_is_no_answer(tmp_path: pathlib.Path) -> None:
    machine = hosts.amd(tmp_path)
    assert cpu.capable(machine.host, cpu.read(machine.host))[0] is None


# module, parameter, text, status
PAGING = [
    ("kvm_intel", "ept", "Y", "pass"),
    ("kvm_intel", "ept", "N", "fail"),
    ("kvm_amd", "npt", "1", "pass"),
    ("kvm_amd", "npt", "0", "fail"),
    ("kvm_amd", "npt", "perhaps", "unknown"),
]


@pytest.mark.parametrize(("module", "name", "text", "status"), PAGING)
def test_nested_paging_is_what_the_module_says(
    module: str, name: str, text: str, status: str, tmp_path: pathlib.Path
) -> None:
    machine = hosts.loaded(hosts.intel(tmp_path, "vmx", "ept"), module, **{name: text})
    assert [finding.status for finding in cpu.checks(machine.host, Policy())] == [status]


def test_nested_paging_is_no_question_on_arm64(tmp_path: pathlib.Path) -> None:
    assert cpu.checks(hosts.arm64(tmp_path).host, Policy())[0].status == "na"
