# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Simultaneous multithreading, known CPU vulnerabilities, and confidential computing."""

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
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.iommu_arguments import Arguments
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

_SMT = "/sys/devices/system/cpu/smt"
_VULNERABILITIES = "/sys/devices/system/cpu/vulnerabilities"
# What a guest can exploit against its host; a missing file means a kernel that does not know.
_MATTERS = (
    "itlb_multihit",
    "l1tf",
    "mds",
    "mmio_stale_data",
    "old_microcode",
    "retbleed",
    "spec_rstack_overflow",
    "spectre_v2",
    "tsa",
    "vmscape",
)
_SEV = ("sev", "sev_es", "sev_snp")
_SEV_WHERE = "Memory encryption (SMEE) and the SEV settings in the firmware setup"
_LOOK_THERE = "Run the check on the host itself; a kernel older than 4.19 does not tell."
IDS = {
    "cpu.smt": "Simultaneous multithreading is as `smt` asks",
    "cpu.vulnerabilities": "The kernel mitigates every vulnerability that it knows of this CPU",
    "confidential.sev": "AMD SEV: guests with encrypted memory",
    "confidential.sev_es": "AMD SEV-ES: with encrypted registers as well",
    "confidential.sev_snp": "AMD SEV-SNP: with integrity as well",
    "confidential.tdx": "Intel TDX: trust domains",
}


def checks(host: Host, policy: Policy) -> list[Finding]:
    """Look at what protects guests from each other and from the host."""
    processor = cpu.read(host)
    arguments = Arguments(tuple((host.text("/proc/cmdline") or "").split()))
    sev = [_sev(host, processor, name, arguments) for name in _SEV]
    return [_smt(host, policy.smt), _vulnerabilities(host), *sev, _tdx(host, processor)]


def _smt(host: Host, wanted: str | None) -> Finding:
    active = values.switch(host.text(f"{_SMT}/active"))
    control = host.text(f"{_SMT}/control")
    found = {True: "on", False: "off", None: None}[active]
    finding = Finding("cpu.smt", UNKNOWN, found, wanted, f"{_SMT}/active, control: {control}")
    if found is None:
        return dataclasses.replace(finding, why="The kernel does not say.", hint=_LOOK_THERE, fix="host")
    if wanted is None:
        return dataclasses.replace(finding, status=NOT_APPLICABLE, why="Nothing is asked.")
    if found == wanted:
        return dataclasses.replace(finding, status=PASS, why=f"It is {found}, as asked.")
    if wanted == "off":
        return dataclasses.replace(
            finding,
            status=FAIL,
            why="Sibling threads share a core.",
            hint="Add the kernel argument nosmt, or switch it off in the firmware setup.",
            fix="cmdline",
            needs_reboot=True,
        )
    return dataclasses.replace(
        finding,
        status=FAIL,
        why=f"It is off (control: {control}).",
        hint="Remove nosmt from the kernel arguments and switch it on in the firmware setup "
        "(Hyper-Threading, SMT); a CPU without it cannot.",
        fix="firmware",
        needs_reboot=True,
    )


def _vulnerabilities(host: Host) -> Finding:
    texts = {name: host.text(f"{_VULNERABILITIES}/{name}") for name in host.listdir(_VULNERABILITIES)}
    open_ones = {name: text for name, text in texts.items() if text and "vulnerable" in text.lower()}
    unsaid = sorted(name for name in _MATTERS if texts.get(name) is None)
    finding = Finding(
        "cpu.vulnerabilities",
        UNKNOWN,
        {"vulnerable": open_ones, "not_reported": unsaid},
        source=_VULNERABILITIES,
    )
    if open_ones:
        return dataclasses.replace(
            finding,
            status=WARN,
            why=f"Open, at least in part: {', '.join(open_ones)}.",
            hint="Update kernel, firmware and microcode; remove mitigations=off. Where SMT is named, nosmt closes it. "
            "A virtual machine has the microcode of the host below.",
            fix="firmware",
            needs_reboot=True,
        )
    if not any(texts.values()):
        return dataclasses.replace(
            finding, why="The kernel reports none: it is too old, or /sys is hidden.", fix="package"
        )
    why = "Every reported one is mitigated or does not concern this CPU."
    if unsaid:
        why += f" This kernel is too old to know of {', '.join(unsaid)}: that is no statement about them."
    return dataclasses.replace(finding, status=PASS, why=why)


def _sev(host: Host, processor: cpu.Cpu, name: str, arguments: Arguments) -> Finding:
    source = f"/sys/module/kvm_amd/parameters/{name}"
    finding = Finding(f"confidential.{name}", UNKNOWN, expected="on", source=source)
    if processor.arch != "unknown" and not processor.amd:
        return dataclasses.replace(
            finding,
            status=NOT_APPLICABLE,
            why="Not an AMD CPU.",
            hint="Use an AMD EPYC host.",
            fix="hardware",
        )
    on = values.parameter(host, "kvm_amd", name)
    if on and host.exists("/dev/sev"):
        return dataclasses.replace(
            finding, status=PASS, value="on", why="KVM offers it and /dev/sev is there."
        )
    if on:
        return dataclasses.replace(
            finding,
            status=WARN,
            value="on, no /dev/sev",
            why="KVM offers it, and the device of the security processor is missing.",
            hint="Load the module ccp; check that the security processor is enabled in the firmware setup.",
            fix="module",
        )
    if name not in processor.flags and processor.flags:
        return _sev_absent(finding)
    if on is None:
        return dataclasses.replace(
            finding,
            why="The CPU may have it; without kvm_amd loaded nothing tells whether it is usable.",
            hint="Load kvm_amd and check again.",
            fix="module",
        )
    return _sev_off(finding, arguments.against_snp if name == "sev_snp" else [])


def _sev_absent(finding: Finding) -> Finding:
    return dataclasses.replace(
        finding,
        status=NOT_APPLICABLE,
        value="absent",
        why="The kernel does not show the flag: the CPU lacks it or the firmware switched it off.",
        hint=f"On an EPYC that has it, enable {_SEV_WHERE}.",
        fix="firmware",
        needs_reboot=True,
    )


def _sev_off(finding: Finding, culprits: list[str]) -> Finding:
    if culprits:
        return dataclasses.replace(
            finding,
            status=WARN,
            value="off",
            why=f"SEV-SNP needs the IOMMU in translating mode; the kernel argument {' '.join(culprits)} forbids it.",
            hint=f"Remove {' '.join(culprits)} from the kernel arguments and reboot.",
            fix="cmdline",
            needs_reboot=True,
        )
    return dataclasses.replace(
        finding,
        status=WARN,
        value="off",
        why="The CPU has it and KVM does not offer it.",
        hint=f"Check {_SEV_WHERE}, the split of address space ids (minimum SEV ASID above 1 for ES and SNP), and "
        "the options of kvm_amd.",
        fix="firmware",
        needs_reboot=True,
    )


def _tdx(host: Host, processor: cpu.Cpu) -> Finding:
    finding = Finding(
        "confidential.tdx", UNKNOWN, expected="on", source="/sys/module/kvm_intel/parameters/tdx"
    )
    if processor.arch != "unknown" and not processor.intel:
        return dataclasses.replace(
            finding,
            status=NOT_APPLICABLE,
            why="Not an Intel CPU.",
            hint="Use an Intel Xeon host.",
            fix="hardware",
        )
    if values.parameter(host, "kvm_intel", "tdx"):
        return dataclasses.replace(finding, status=PASS, value="on", why="KVM offers trust domains.")
    if "tdx_host_platform" in processor.flags:
        return dataclasses.replace(
            finding,
            status=WARN,
            value="off",
            why="The platform has it and KVM does not offer it.",
            hint="Set options kvm_intel tdx=1; the kernel must be built with TDX host support (6.16 or newer).",
            fix="module",
        )
    if not processor.flags:
        return dataclasses.replace(finding, why="/proc/cpuinfo cannot be read.", hint=_LOOK_THERE, fix="host")
    return dataclasses.replace(
        finding,
        status=NOT_APPLICABLE,
        value="absent",
        why="The kernel does not show tdx_host_platform: no such CPU, an older kernel, or off in the firmware.",
        hint="On a CPU that has it, enable TME-MT and TDX in the firmware setup and run kernel 6.16 or newer.",
        fix="firmware",
        needs_reboot=True,
    )
