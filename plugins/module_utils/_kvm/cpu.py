# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The processor: what it can do, read from the kernel's flags and, where allowed, from the CPU itself."""

from __future__ import annotations

import dataclasses
import functools
import os
import struct

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import values
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    UNKNOWN,
    Finding,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

INTEL, AMD = ("GenuineIntel", "CentaurHauls", "  Shanghai  "), ("AuthenticAMD", "HygonGenuine")
# Intel SDM vol. 4, IA32_FEATURE_CONTROL; AMD APM vol. 2, VM_CR.
MSR_FEATURE_CONTROL, MSR_VM_CR = 0x3A, 0xC0010114
_LOCKED, _VMX_IN_SMX, _VMX_OUTSIDE_SMX = 1 << 0, 1 << 1, 1 << 2
_SVM_DISABLED = 1 << 4
_CPUID_VMX, _CPUID_SVM = 1 << 5, 1 << 2
IDS = {"cpu.nested_paging": "Second-level address translation (EPT, NPT) is in use"}


@dataclasses.dataclass(frozen=True)
class Cpu:
    """What ``/proc/cpuinfo`` says; ``flags`` are those that every CPU has."""

    arch: str = "unknown"
    vendor: str = ""
    flags: frozenset[str] = frozenset()
    microcode: str = ""

    @property
    def flag(self) -> str:
        """Return the virtualisation flag that the kernel shows, or an empty string."""
        return next((name for name in ("vmx", "svm") if name in self.flags), "")

    @property
    def intel(self) -> bool:
        """Tell whether VMX is this CPU's kind of virtualisation."""
        return self.vendor in INTEL or self.flag == "vmx"

    @property
    def amd(self) -> bool:
        """Tell whether SVM is this CPU's kind of virtualisation."""
        return self.vendor in AMD or self.flag == "svm"


def parse(cpuinfo: str | None) -> Cpu:
    """Parse ``/proc/cpuinfo`` by exact key and whole token, lines of any length. Pure."""
    fields: dict[str, list[str]] = {}
    for line in (cpuinfo or "").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), []).append(value.strip())
    lists = [values.tokens(text) for text in fields.get("flags", fields.get("Features", []))]
    arch = "x86" if "flags" in fields else "arm64" if "CPU implementer" in fields else "unknown"
    return Cpu(
        arch=arch,
        vendor=fields.get("vendor_id", [""])[0],
        flags=frozenset.intersection(*lists) if lists else frozenset(),
        microcode=fields.get("microcode", [""])[0],
    )


@functools.lru_cache(maxsize=1)
def read(host: Host) -> Cpu:
    """Read the processor of ``host`` on the first call and remember it: on a large machine the text is long."""
    return parse(host.read("/proc/cpuinfo").text)


def capable(host: Host, processor: Cpu) -> tuple[bool | None, str]:
    """Tell whether the CPU has hardware virtualisation, and who said so.

    A missing flag is no answer: kernels clear it when the firmware switched the feature off.
    """
    if processor.flag:
        return True, f"/proc/cpuinfo: {processor.flag}"
    device = "/dev/cpu/0/cpuid"
    leaf, bit = (1, _CPUID_VMX) if processor.intel else (0x80000001, _CPUID_SVM)
    raw = register(host, device, leaf, 16)
    if raw is None:
        return None, device
    ecx = struct.unpack("<4I", raw)[2]
    return bool(ecx & bit), f"{device}: leaf {leaf:#x}, ecx {ecx:#010x}"


def firmware_switch(host: Host, processor: Cpu, policy: Policy, tboot: bool) -> tuple[bool | None, str]:
    """Tell whether the firmware leaves virtualisation on, from the registers of one CPU of each socket.

    Only reads devices that are already there; loading the ``msr`` module would change the host.
    """
    if policy.read_msr == "never" or not (processor.intel or processor.amd):
        return None, ""
    number = MSR_FEATURE_CONTROL if processor.intel else MSR_VM_CR
    seen = []
    for name in _one_per_socket(host):
        raw = register(host, f"/dev/cpu/{name}/msr", number, 8)
        if raw is not None:
            seen.append((name, struct.unpack("<Q", raw)[0]))
    for name, value in seen:
        allowed = _vmx_allowed(value, tboot) if processor.intel else not value & _SVM_DISABLED
        if not allowed:
            return False, f"/dev/cpu/{name}/msr: {number:#x} is {value:#x}"
    return (True, f"/dev/cpu/*/msr: {number:#x}") if seen else (None, "")


def register(host: Host, device: str, offset: int, size: int) -> bytes | None:
    """Read a register file of the ``msr`` or ``cpuid`` driver; ``None`` when that is not possible."""
    try:
        descriptor = os.open(host.path(device), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        raw = os.pread(descriptor, size, offset)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return raw if len(raw) == size else None


def _vmx_allowed(value: int, tboot: bool) -> bool:
    """Unlocked means that the kernel sets the bits; under a measured launch the other bit counts."""
    return not value & _LOCKED or bool(value & (_VMX_IN_SMX if tboot else _VMX_OUTSIDE_SMX))


def _one_per_socket(host: Host) -> list[str]:
    sockets: dict[str, str] = {}
    for name in sorted((name for name in host.listdir("/dev/cpu") if name.isdigit()), key=int):
        topology = f"/sys/devices/system/cpu/cpu{name}/topology/physical_package_id"
        sockets.setdefault(host.text(topology) or "", name)
    return list(sockets.values())


def checks(host: Host, policy: Policy) -> list[Finding]:
    """Tell whether KVM translates guest addresses in hardware."""
    for module, name in (("kvm_intel", "ept"), ("kvm_amd", "npt")):
        in_use = values.parameter(host, module, name)
        if in_use is not None:
            return [_paging(module, name, in_use)]
    return [_paging_unsaid(host, read(host))]


def _paging_unsaid(host: Host, processor: Cpu) -> Finding:
    finding = Finding(
        "cpu.nested_paging",
        UNKNOWN,
        sorted(processor.flags & {"ept", "npt"}),
        expected="ept or npt in use",
        source="/sys/module/kvm_*/parameters",
    )
    if processor.arch == "arm64":
        return dataclasses.replace(
            finding,
            status=NOT_APPLICABLE,
            why="On arm64 second-level translation is part of the architecture.",
            hint="Do not ask for it on arm64.",
            fix="host",
        )
    if "kvm_pvm" in host.listdir("/sys/module"):
        return dataclasses.replace(
            finding,
            status=NOT_APPLICABLE,
            why="Paravirtual KVM keeps shadow page tables.",
            hint="Use a host with vmx or svm.",
            fix="hardware",
        )
    if not host.listdir("/sys/module"):
        return dataclasses.replace(
            finding, why=values.MODULES_HIDDEN, hint="Run the check on the host itself.", fix="host"
        )
    return dataclasses.replace(
        finding,
        why="Neither kvm_intel nor kvm_amd is loaded, so nothing tells what KVM uses.",
        hint="Load the KVM module of this CPU and check again.",
        fix="module",
    )


def _paging(module: str, name: str, in_use: bool) -> Finding:
    source = f"/sys/module/{module}/parameters/{name}"
    if in_use:
        return Finding(
            "cpu.nested_paging", PASS, name, name, source, "The CPU translates guest addresses itself."
        )
    return Finding(
        "cpu.nested_paging",
        FAIL,
        "off",
        expected=name,
        source=source,
        why="KVM keeps shadow page tables: every change of a guest's page tables is trapped, which is slow.",
        hint=f"Remove {name}=0 from the options of {module} and reload it; if it is not set, the CPU lacks it.",
        fix="module",
    )
