# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The kernel: its version, KVM's modules and their options, Secure Boot, lockdown and what the log says."""

from __future__ import annotations

import dataclasses

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import cpu, values
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    UNKNOWN,
    WARN,
    Finding,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

RELEASE = "/proc/sys/kernel/osrelease"
_PARAMETERS = {
    "kvm": ("ignore_msrs", "nx_huge_pages", "tdp_mmu", "enable_virt_at_load", "halt_poll_ns"),
    "kvm_intel": ("ept", "unrestricted_guest", "nested", "enable_apicv", "enable_ipiv", "pml", "tdx"),
    "kvm_amd": ("npt", "nested", "avic", "vgif", "vnmi", "sev", "sev_es", "sev_snp"),
    "kvm_pvm": (),
}
_LOG_WORTH_SHOWING = (
    "disabled by bios",
    "(by BIOS)",
    "SVM not supported",
    "VMX not supported",
    "kvm: no hardware support",
    "KVM is unsupported",
    "HYP mode not available",
    "VHE mode initialized",
    "Unknown option - 'on'",
    "SNP: IOMMU disabled",
    "SEV-SNP enabled",
    "virt/tdx:",
    "platform RMRR requirement",
    "1:1 IOMMU mapping",
)
IDS = {
    "kernel.version": "The running kernel is at least `min_kernel`",
    "kernel.log": "Lines of the kernel log that explain a finding",
    "kvm.module": "KVM's modules are loaded; their options",
    "kvm.nested": "Guests may run virtual machines themselves",
}


def checks(host: Host, policy: Policy) -> list[Finding]:
    """Look at the running kernel."""
    return [
        _version(host.text(RELEASE), policy.min_kernel),
        _module(host),
        _nested(host, cpu.read(host).arch),
        _log(values.kernel_log(host)),
    ]


def _version(release: str | None, least: str | None) -> Finding:
    finding = Finding("kernel.version", UNKNOWN, release, least, RELEASE, fix="package", needs_reboot=True)
    running = values.version(release)
    if not running:
        return dataclasses.replace(
            finding,
            why="The kernel's version cannot be read.",
            hint=f"Make {RELEASE} readable.",
            fix="host",
            needs_reboot=False,
        )
    if least is None:
        return dataclasses.replace(
            finding, status=NOT_APPLICABLE, why="No minimum is asked.", fix="", needs_reboot=False
        )
    if running >= values.version(least):
        return dataclasses.replace(
            finding,
            status=PASS,
            why=f"The kernel is {least} or newer.",
            fix="",
            needs_reboot=False,
        )
    return dataclasses.replace(
        finding,
        status=FAIL,
        why=f"The running kernel {release} is older than {least}.",
        hint=f"Install a kernel of version {least} or newer (distribution update or backports) and reboot.",
    )


def _module(host: Host) -> Finding:
    source = "/sys/module"
    present = host.listdir(source)
    loaded = {
        module: {
            name: text
            for name in names
            if (text := host.text(f"{source}/{module}/parameters/{name}")) is not None
        }
        for module, names in _PARAMETERS.items()
        if module in present
    }
    if not present:
        return Finding(
            "kvm.module",
            UNKNOWN,
            source=source,
            why=values.MODULES_HIDDEN,
            hint="Run the check on the host itself.",
            fix="host",
        )
    if loaded:
        return Finding(
            "kvm.module",
            PASS,
            loaded,
            source=source,
            why=f"Loaded or built in: {', '.join(sorted(loaded))}.",
        )
    return Finding(
        "kvm.module",
        WARN,
        {},
        expected="kvm",
        source=source,
        why="No module of KVM shows in /sys/module; a KVM that is built in without options does not show either.",
        hint="See kvm.virtualisation.",
        fix="module",
    )


def _nested(host: Host, arch: str) -> Finding:
    for module in ("kvm_intel", "kvm_amd"):
        text = host.text(f"/sys/module/{module}/parameters/nested")
        if text is None:
            continue
        source, on = f"/sys/module/{module}/parameters/nested", values.switch(text)
        finding = Finding("kvm.nested", UNKNOWN, text, "Y or 1", source)
        if on is None:
            hint = f"See modinfo -p {module} for what {text!r} means."
            return dataclasses.replace(finding, why="Neither a yes nor a no.", hint=hint, fix="module")
        if on:
            return dataclasses.replace(finding, status=PASS, why="Guests may use KVM.")
        return dataclasses.replace(
            finding,
            status=WARN,
            why="Guests cannot use KVM. Nested virtualisation is on by default: somebody switched it off.",
            hint=f"Set options {module} nested=1 in /etc/modprobe.d and reload {module} with no guest running.",
            fix="module",
        )
    return _nesting_unsaid(host, arch)


def _nesting_unsaid(host: Host, arch: str) -> Finding:
    finding = Finding("kvm.nested", UNKNOWN, expected="Y or 1", source="/sys/module/kvm_*/parameters/nested")
    if arch == "arm64":
        return dataclasses.replace(
            finding,
            why="On arm64 no file tells.",
            hint="Nesting needs a CPU with FEAT_NV2 and the kernel argument kvm-arm.mode=nested.",
            fix="hardware",
        )
    if "kvm_pvm" in host.listdir("/sys/module"):
        return dataclasses.replace(
            finding,
            status=NOT_APPLICABLE,
            why="Paravirtual KVM gives its guests no hardware virtualisation.",
            hint="Use a host with vmx or svm.",
            fix="hardware",
        )
    if not host.listdir("/sys/module"):
        return dataclasses.replace(
            finding, why=values.MODULES_HIDDEN, hint="Run the check on the host itself.", fix="host"
        )
    return dataclasses.replace(
        finding,
        why="No KVM module with this option is loaded.",
        hint="Load the KVM module of this CPU and check again.",
        fix="module",
    )


def _log(log: str | None) -> Finding:
    source = "journalctl --dmesg, dmesg"
    if log is None:
        return Finding(
            "kernel.log",
            UNKNOWN,
            source=source,
            why="The kernel log cannot be read, so nothing can be concluded from it.",
            hint="Run the check as root (become) and on the host itself: kernel.dmesg_restrict keeps others out, "
            "and so do containers.",
            fix="host",
        )
    found = values.evidence(log, _LOG_WORTH_SHOWING)
    why = "These lines explain findings." if found else "Nothing in it that is known to matter."
    return Finding("kernel.log", PASS, found[:50], source=source, why=why)
