# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import pathlib
import typing as t

import hosts
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import cpu, device, virtualisation
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import FIXES, Finding
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

ABSENT = hosts.Kernel()
STATIC_NODE = hosts.Kernel(open_error=errno.ENODEV)
INTEL_MSR = "Intel SDM vol. 4, IA32_FEATURE_CONTROL"
AMD_MSR = "AMD APM vol. 2, VM_CR"

Ask = t.Callable[..., dict[str, Finding]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Return the findings of a machine whose /dev/kvm behaves like ``kernel``, by id."""

    def findings(
        machine: hosts.Machine, kernel: hosts.Kernel = ABSENT, **policy: t.Any
    ) -> dict[str, Finding]:
        monkeypatch.setattr(device, "Linux", lambda: kernel)
        found = virtualisation.checks(machine.host, Policy(**policy))
        assert [finding.id for finding in found] == list(virtualisation.IDS)
        assert all(finding.fix in FIXES for finding in found)
        return {finding.id: finding for finding in found}

    return findings


def summary(findings: dict[str, Finding]) -> tuple[str, ...]:
    """Return CPU, firmware, device and VM statuses, then the verdict's status and value."""
    verdict = findings["kvm.virtualisation"]
    return (*(findings[name].status for name in list(virtualisation.IDS)[:4]), verdict.status, verdict.value)


def test_paravirtual_kvm_passes_without_any_cpu_flag(ask: Ask, tmp_path: pathlib.Path) -> None:
    found = ask(hosts.paravirtual(tmp_path), hosts.working())
    assert summary(found) == ("na", "na", "pass", "pass", "pass", "paravirtual")
    assert "paravirtual" in found["kvm.virtualisation"].why
    assert not any("not capable" in finding.why or "lacks" in finding.why for finding in found.values())


def test_a_working_intel_host(ask: Ask, tmp_path: pathlib.Path) -> None:
    machine = hosts.loaded(hosts.intel(tmp_path, "vmx"), "kvm_intel", ept="Y")
    assert summary(ask(machine, hosts.working())) == ("pass", "pass", "pass", "pass", "pass", "hardware")


@pytest.mark.parametrize("build", [hosts.intel, hosts.amd])
def test_a_masked_cpuinfo_with_a_vendor_module_is_hardware(
    build: t.Callable[[pathlib.Path], hosts.Machine], ask: Ask, tmp_path: pathlib.Path
) -> None:
    machine = hosts.loaded(build(tmp_path), "kvm_intel")
    assert ask(machine, hosts.working())["kvm.virtualisation"].value == "hardware"


# builder, register, value, log; what says that the firmware switched virtualisation off
FIRMWARE_OFF = {
    "Intel, flag cleared, register locked": (hosts.intel, cpu.MSR_FEATURE_CONTROL, 1, ""),
    "Intel, kernel 5.6 and newer, log only": (
        hosts.intel,
        None,
        0,
        "x86/cpu: VMX (outside TXT) disabled by BIOS",
    ),
    "Intel, log of kvm_intel": (
        hosts.intel,
        None,
        0,
        "kvm_intel: VMX not enabled (by BIOS) in MSR_IA32_FEAT_CTL on CPU 0",
    ),
    "Intel, kernel up to 6.0": (hosts.intel, None, 0, "kvm: disabled by bios"),
    "AMD, flag cleared, register locked": (hosts.amd, cpu.MSR_VM_CR, 24, ""),
    "AMD, disabled and not locked": (hosts.amd, cpu.MSR_VM_CR, 16, ""),
    "AMD, kernel 6.7 and newer, log only": (hosts.amd, None, 0, "SVM disabled (by BIOS) in MSR_VM_CR"),
}


@pytest.mark.parametrize("case", FIRMWARE_OFF.values(), ids=FIRMWARE_OFF)
@pytest.mark.parametrize("kernel", [ABSENT, STATIC_NODE], ids=["no node", "static node"])
def test_firmware_off_is_never_reported_as_an_incapable_cpu(
    case: tuple[t.Any, ...], kernel: hosts.Kernel, ask: Ask, tmp_path: pathlib.Path
) -> None:
    build, register, value, log = case
    machine = build(tmp_path, log=f"Linux version 6.12.0\n{log}\n")
    if register is not None:
        machine.msr(register, value, source=f"{INTEL_MSR}; {AMD_MSR}")
    found = ask(machine, kernel)
    assert summary(found) == ("pass", "fail", "fail", "unknown", "fail", "firmware_disabled")
    verdict = found["kvm.virtualisation"]
    assert verdict.fix == "firmware"
    assert verdict.needs_reboot
    assert ("VT-x" if build is hosts.intel else "SVM Mode") in verdict.hint


def test_virt_host_validate_regression_locked_firmware_with_an_old_kernel_that_keeps_the_flag(
    ask: Ask, tmp_path: pathlib.Path
) -> None:
    machine = hosts.intel(tmp_path, "vmx").msr(cpu.MSR_FEATURE_CONTROL, 1, source=INTEL_MSR)
    assert ask(machine)["kvm.virtualisation"].value == "firmware_disabled"


def test_virt_host_validate_regression_a_static_node_is_not_kvm(ask: Ask, tmp_path: pathlib.Path) -> None:
    found = ask(hosts.intel(tmp_path, "vmx"), STATIC_NODE)
    assert summary(found) == ("pass", "unknown", "fail", "unknown", "fail", "not_loaded")
    assert "no KVM module" in found["kvm.device"].why
    assert "modprobe kvm_intel" in found["kvm.virtualisation"].hint
    assert found["kvm.virtualisation"].fix == "module"


def test_without_flag_register_or_log_the_cause_stays_open(ask: Ask, tmp_path: pathlib.Path) -> None:
    found = ask(hosts.amd(tmp_path, log=None))
    assert summary(found) == ("unknown", "unknown", "fail", "unknown", "fail", "unavailable")
    assert "does not prove" in found["kvm.virtualisation"].why
    assert "SVM Mode" in found["kvm.virtualisation"].hint


def test_cpuid_without_the_bit_is_the_only_proof_of_an_incapable_cpu(
    ask: Ask, tmp_path: pathlib.Path
) -> None:
    machine = hosts.intel(tmp_path).cpuid_ecx(1, 0, source="Intel SDM vol. 2, CPUID leaf 1")
    found = ask(machine)
    assert summary(found)[::5] == ("fail", "unsupported")
    assert found["kvm.virtualisation"].fix == "hardware"


def test_a_guest_without_nested_virtualisation_is_sent_to_its_hypervisor(
    ask: Ask, tmp_path: pathlib.Path
) -> None:
    machine = hosts.intel(tmp_path, "hypervisor").cpuid_ecx(1, 0, source="Intel SDM vol. 2, CPUID leaf 1")
    verdict = ask(machine)["kvm.virtualisation"]
    assert (verdict.value, verdict.fix) == ("unsupported", "host")
    assert "nested" in verdict.hint


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("/run/systemd/container", "systemd-nspawn\n", "systemd-nspawn"),
        ("/proc/1/environ", "PATH=/bin\0container=lxc\0", "lxc"),
        ("/run/.containerenv", "", "podman"),
        ("/.dockerenv", "", "docker"),
    ],
)
def test_a_container_without_the_device_says_nothing_about_its_host(
    path: str, text: str, name: str, ask: Ask, tmp_path: pathlib.Path
) -> None:
    machine = hosts.intel(tmp_path, "vmx").put(
        path, text, source="systemd.io/CONTAINER_INTERFACE; podman; docker"
    )
    found = ask(machine)
    assert summary(found) == ("pass", "unknown", "unknown", "unknown", "unknown", "container")
    assert "not loaded" not in found["kvm.device"].why, "the module may be loaded on the host"
    assert "/dev/kvm" in found["kvm.virtualisation"].hint
    assert name in found["kvm.virtualisation"].why


def test_a_container_with_the_device_is_judged_by_it(ask: Ask, tmp_path: pathlib.Path) -> None:
    machine = hosts.paravirtual(tmp_path).put("/.dockerenv", "", source="docker")
    assert summary(ask(machine, hosts.working()))[4:] == ("pass", "paravirtual")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_device_that_may_not_be_opened_is_unknown(number: int, ask: Ask, tmp_path: pathlib.Path) -> None:
    found = ask(hosts.intel(tmp_path, "vmx"), hosts.Kernel(open_error=number))
    assert found["kvm.device"].status == found["kvm.virtualisation"].status == "unknown"
    assert errno.errorcode[number] in found["kvm.virtualisation"].why


def test_another_hypervisor_that_owns_the_cpu_is_named(ask: Ask, tmp_path: pathlib.Path) -> None:
    found = ask(hosts.intel(tmp_path, "vmx"), hosts.working(create_error=errno.EBUSY))
    assert summary(found) == ("pass", "unknown", "pass", "fail", "fail", "busy")
    assert "vboxdrv" in found["kvm.virtualisation"].hint


def test_an_unusual_create_error_is_shown(ask: Ask, tmp_path: pathlib.Path) -> None:
    found = ask(hosts.intel(tmp_path, "vmx"), hosts.working(create_error=errno.ENOMEM))
    assert "ENOMEM" in found["kvm.virtualisation"].why


def test_something_else_in_place_of_the_device(ask: Ask, tmp_path: pathlib.Path) -> None:
    found = ask(hosts.intel(tmp_path, "vmx"), hosts.working(ioctl_error=errno.ENOTTY))
    assert (found["kvm.device"].status, found["kvm.device"].value) == ("fail", "ENOTTY")
    assert found["kvm.virtualisation"].status == "fail"


def test_without_probing_a_machine_the_finding_says_so(ask: Ask, tmp_path: pathlib.Path) -> None:
    kernel = hosts.working()
    found = ask(hosts.intel(tmp_path, "vmx"), kernel, probe_vm=False)
    assert summary(found) == ("pass", "pass", "pass", "na", "pass", "hardware")
    assert "not tried" in found["kvm.virtualisation"].why
    assert kernel.created_with == []


def test_arm64_with_and_without_el2(ask: Ask, tmp_path: pathlib.Path) -> None:
    working = ask(hosts.arm64(tmp_path / "el2"), hosts.working())
    assert summary(working) == ("na", "na", "pass", "pass", "pass", "hardware")
    without = ask(hosts.arm64(tmp_path / "el1", log="kvm [1]: HYP mode not available\n"))
    assert summary(without) == ("na", "na", "fail", "unknown", "fail", "no_el2")


def test_an_encrypted_guest_is_told_that_kvm_cannot_work(ask: Ask, tmp_path: pathlib.Path) -> None:
    log = "kvm_amd: KVM is unsupported when running as an SEV guest\n"
    assert ask(hosts.amd(tmp_path, "svm", log=log))["kvm.virtualisation"].value == "sev_guest"


@pytest.mark.parametrize("name", ["intel-i7-1270p", "amd-ryzen-1600", "arm64"])
def test_a_tree_without_dev_proves_nothing(
    name: str, ask: Ask, capture: t.Callable[[str], pathlib.Path]
) -> None:
    found = ask(hosts.Machine(capture(name)))
    assert (found["kvm.virtualisation"].status, found["kvm.virtualisation"].value) == (
        "unknown",
        "no_devices",
    )
