# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Combine what the three layers of virtualisation say into one verdict. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.cpu import Cpu
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.device import Probe
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.environment import Place
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import FAIL, PASS, UNKNOWN, Finding

_VENDOR_MODULES = frozenset({"kvm_intel", "kvm_amd"})
_ID = "kvm.virtualisation"
_SOURCE = "/dev/kvm"
_EXPECTED = "a working KVM"
# How a device gets into a container, by the name that its manager leaves there.
_PASS_IN = {
    "docker": "--device /dev/kvm",
    "podman": "--device /dev/kvm",
    "lxc": "lxc.mount.entry, lxc.cgroup2.devices.allow",
    "systemd-nspawn": "--bind=/dev/kvm, and DeviceAllow=/dev/kvm rw in its unit",
}


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What each layer says; ``None`` where it says nothing."""

    processor: Cpu
    probe: Probe
    capable: bool | None = None
    capable_source: str = ""
    firmware: bool | None = None
    firmware_source: str = ""
    modules: frozenset[str] = frozenset()
    container: Place | None = None
    virtual: Place | None = None
    devices_visible: bool = True
    no_el2: bool = False
    sev_guest: bool = False

    @property
    def paravirtual(self) -> bool:
        """Tell whether KVM works here without hardware virtualisation."""
        return (
            self.probe.works
            and self.processor.arch == "x86"
            and not self.processor.flag
            and not self.modules & _VENDOR_MODULES
        )

    @property
    def hidden(self) -> bool:
        """Tell whether a device that does not open says nothing about the machine."""
        forbidden = self.probe.open_error in ("EACCES", "EPERM")
        absent = self.probe.open_error == "ENOENT"
        return forbidden or (absent and (self.container is not None or not self.devices_visible))

    @property
    def is_virtual(self) -> bool:
        """Tell whether this host is known to be a virtual machine."""
        return self.virtual is not None and bool(self.virtual.name)

    @property
    def vendor_module(self) -> str:
        """Return the KVM module of this CPU, or both names when the vendor is unknown."""
        if self.processor.intel:
            return "kvm_intel"
        return "kvm_amd" if self.processor.amd else "kvm_intel or kvm_amd"

    @property
    def firmware_remedy(self) -> str:
        """Say which switch to turn in the firmware setup."""
        if self.is_virtual:
            return "Enable nested virtualisation for this machine on the hypervisor that carries it."
        names = {"kvm_intel": "Intel Virtualization Technology (VT-x, VMX)", "kvm_amd": "SVM Mode (AMD-V)"}
        name = names.get(self.vendor_module, "VT-x or SVM Mode")
        return f"Enable {name} in the firmware setup (Redfish attribute ProcVirtualization or alike), then power-cycle."


def verdict(evidence: Evidence) -> Finding:
    """Return the verdict: the first explanation that fits."""
    if evidence.probe.works:
        return _works(evidence)
    for explain in (
        _other_hypervisor,
        _forbidden,
        _firmware_off,
        _guest,
        _container,
        _unsupported,
        _not_loaded,
    ):
        finding = explain(evidence)
        if finding:
            return finding
    return _unexplained(evidence)


def _finding(status: str, value: str, why: str, hint: str = "", fix: str = "", **more: t.Any) -> Finding:
    return Finding(_ID, status, value, _EXPECTED, more.pop("source", _SOURCE), why, hint, fix, **more)


def _works(evidence: Evidence) -> Finding:
    done = "creates virtual machines" if evidence.probe.created else "answers (creating a VM was not tried)"
    if evidence.paravirtual:
        return _finding(
            PASS,
            "paravirtual",
            f"KVM {done} although the CPU shows neither vmx nor svm: this machine has paravirtual KVM. "
            "Tools that look at CPU flags, virt-host-validate among them, wrongly report a failure here.",
        )
    return _finding(PASS, "hardware", f"KVM {done}.")


def _other_hypervisor(evidence: Evidence) -> Finding | None:
    if evidence.probe.create_error != "EBUSY":
        return None
    return _finding(
        FAIL,
        "busy",
        "Another hypervisor owns the CPU's virtualisation (KVM_CREATE_VM: EBUSY).",
        "Stop VirtualBox or VMware and unload their modules (vboxdrv, vmmon).",
        "module",
    )


def _forbidden(evidence: Evidence) -> Finding | None:
    if evidence.probe.open_error not in ("EACCES", "EPERM"):
        return None
    return _finding(
        UNKNOWN,
        "forbidden",
        f"/dev/kvm is there and may not be opened ({evidence.probe.open_error}).",
        "Run the check as root (become), or allow the device: group kvm, the container's device rules.",
        "host",
    )


def _firmware_off(evidence: Evidence) -> Finding | None:
    if evidence.firmware is not False:
        return None
    return _finding(
        FAIL,
        "firmware_disabled",
        "The CPU is capable and the firmware switched virtualisation off.",
        evidence.firmware_remedy,
        "firmware",
        needs_reboot=True,
        source=evidence.firmware_source,
    )


def _guest(evidence: Evidence) -> Finding | None:
    if evidence.sev_guest:
        return _finding(
            FAIL,
            "sev_guest",
            "KVM does not work inside an encrypted (SEV) guest.",
            "Use a physical host.",
            "hardware",
            source="kernel log",
        )
    if evidence.no_el2:
        return _finding(
            FAIL,
            "no_el2",
            "The kernel was not started at EL2 (HYP mode), which KVM needs on arm64.",
            "Start the kernel at EL2: a firmware setting, or nested virtualisation of the outer hypervisor.",
            "firmware",
            needs_reboot=True,
            source="kernel log",
        )
    return None


def _container(evidence: Evidence) -> Finding | None:
    if not evidence.hidden:
        return None
    if evidence.container is None:
        return _finding(UNKNOWN, "no_devices", "There is no /dev to look into.", "Mount /dev.", "host")
    name = evidence.container.name
    return _finding(
        UNKNOWN,
        "container",
        f"Container ({name}) without /dev/kvm: it cannot tell what its host is able to do.",
        f"Check the host, or pass /dev/kvm into the container ({_PASS_IN.get(name, 'a bind mount')}).",
        "host",
    )


def _unsupported(evidence: Evidence) -> Finding | None:
    if evidence.capable is not False:
        return None
    virtual = evidence.is_virtual
    return _finding(
        FAIL,
        "unsupported",
        "The CPU, asked by CPUID, reports no hardware virtualisation.",
        evidence.firmware_remedy if virtual else "Use a machine whose CPU has VT-x or AMD-V.",
        "host" if virtual else "hardware",
        source=evidence.capable_source,
    )


def _not_loaded(evidence: Evidence) -> Finding | None:
    if not evidence.capable or evidence.probe.open_error not in ("ENOENT", "ENODEV"):
        return None
    module = evidence.vendor_module
    return _finding(
        FAIL,
        "not_loaded",
        f"The CPU is capable and /dev/kvm does not open ({evidence.probe.open_error}): {module} is not loaded.",
        f"Run modprobe {module}; if it refuses, journalctl -k says why. A missing module comes with the "
        "distribution's full kernel package, not with its cloud or minimal one.",
        "module",
    )


def _unexplained(evidence: Evidence) -> Finding:
    error = evidence.probe.open_error or evidence.probe.create_error or f"API {evidence.probe.api}"
    return _finding(
        FAIL,
        "unavailable",
        f"KVM does not work ({error}), and nothing readable here tells why. The missing vmx or svm flag "
        "does not prove that the CPU lacks it.",
        f"Look first at the firmware. {evidence.firmware_remedy} Then run modprobe {evidence.vendor_module} "
        "and read journalctl -k.",
        "firmware",
    )
