# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Can this host run virtual machines? Three layers, each asked by itself, then one verdict.

The CPU may be capable, the firmware may allow it, and KVM may work; flags prove none of that.
Newer kernels clear the flag when the firmware switched the feature off, and on a paravirtual
machine KVM works without any flag. What ``/dev/kvm`` does is the only proof.
"""

from __future__ import annotations

import dataclasses

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import cpu, device, environment, values
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    UNKNOWN,
    Finding,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.verdict import Evidence, verdict

LOG_FIRMWARE_OFF = (
    "VMX (outside TXT) disabled by BIOS",
    "VMX not enabled (by BIOS)",
    "kvm: disabled by bios",
    "SVM disabled (by BIOS)",
)
LOG_NO_EL2 = ("HYP mode not available",)
LOG_SEV_GUEST = ("KVM is unsupported when running as an SEV guest",)
IDS = {
    "cpu.virtualisation": "Layer 1: the CPU has hardware virtualisation",
    "firmware.virtualisation": "Layer 2: the firmware leaves hardware virtualisation switched on",
    "kvm.device": "Layer 3: `/dev/kvm` opens and speaks API version 12",
    "kvm.create_vm": "Layer 3: KVM creates a virtual machine",
    "kvm.virtualisation": "The verdict of the three layers: can this host run virtual machines",
}


def checks(host: Host, policy: Policy) -> list[Finding]:
    """Ask the three layers and combine them."""
    evidence = gather(host, policy)
    return [
        _cpu(evidence),
        _firmware(evidence),
        _device(evidence),
        _create(evidence, policy),
        verdict(evidence),
    ]


def gather(host: Host, policy: Policy) -> Evidence:
    """Collect what the three layers say."""
    processor = cpu.read(host)
    log = values.kernel_log(host)
    off = values.evidence(log, LOG_FIRMWARE_OFF)
    firmware, source = cpu.firmware_switch(host, processor, policy, tboot="tboot:" in (log or ""))
    if firmware is None and off:
        firmware, source = False, f"kernel log: {off[0]}"
    capable, capable_source = cpu.capable(host, processor)
    if firmware is False and not capable:
        capable, capable_source = True, source
    return Evidence(
        processor=processor,
        capable=capable,
        capable_source=capable_source,
        firmware=firmware,
        firmware_source=source,
        probe=device.probe(host, processor.arch, policy.probe_vm, device.Linux()),
        modules=frozenset(name for name in host.listdir("/sys/module") if name.startswith("kvm")),
        container=environment.container(host),
        virtual=environment.machine(host, processor),
        devices_visible=bool(host.listdir("/dev")),
        no_el2=bool(values.evidence(log, LOG_NO_EL2)),
        sev_guest=bool(values.evidence(log, LOG_SEV_GUEST)),
    )


def _cpu(evidence: Evidence) -> Finding:
    finding = Finding("cpu.virtualisation", UNKNOWN, evidence.processor.flag, source=evidence.capable_source)
    if evidence.processor.arch == "arm64":
        return dataclasses.replace(
            finding, status=NOT_APPLICABLE, why="arm64 has no flag for it; KVM needs a kernel started at EL2."
        )
    if evidence.capable:
        return dataclasses.replace(
            finding, status=PASS, expected="vmx or svm", why="The CPU has hardware virtualisation."
        )
    if evidence.probe.works:
        return dataclasses.replace(
            finding,
            status=NOT_APPLICABLE,
            why="The kernel shows neither vmx nor svm, and KVM works nevertheless: it is paravirtual.",
        )
    if evidence.capable is False:
        return dataclasses.replace(
            finding,
            status=FAIL,
            expected="vmx or svm",
            why="The CPU, as this machine shows it, reports no hardware virtualisation.",
            hint="In a virtual machine, pass the host's CPU through with nested virtualisation on.",
            fix="hardware",
        )
    return dataclasses.replace(
        finding,
        expected="vmx or svm",
        why="The kernel shows neither vmx nor svm. It also clears the flag when the firmware switched the feature "
        "off, so this says nothing about the CPU.",
        hint="Load the module cpuid and check again, or look into the firmware setup.",
        fix="firmware",
    )


def _firmware(evidence: Evidence) -> Finding:
    finding = Finding("firmware.virtualisation", UNKNOWN, expected="on", source=evidence.firmware_source)
    if evidence.firmware is False:
        return dataclasses.replace(
            finding,
            status=FAIL,
            value="off",
            why="The firmware switched hardware virtualisation off and locked it.",
            hint=evidence.firmware_remedy,
            fix="firmware",
            needs_reboot=True,
        )
    if evidence.processor.arch == "arm64" or evidence.paravirtual:
        return dataclasses.replace(
            finding, status=NOT_APPLICABLE, why="This kind of KVM needs no such switch."
        )
    if evidence.firmware or (evidence.probe.works and evidence.processor.flag):
        return dataclasses.replace(
            finding,
            status=PASS,
            value="on",
            source=evidence.firmware_source or device.DEVICE,
            why="Hardware virtualisation is on.",
        )
    return dataclasses.replace(
        finding,
        source="/dev/cpu/*/msr, kernel log",
        why="No register could be read and the kernel log says nothing about it.",
        hint="Load the module msr and check again, or look into the firmware setup.",
        fix="firmware",
    )


_OPEN_ERRORS = {
    "ENOENT": "There is no such device: KVM is not loaded.",
    "ENODEV": "The node is only a promise: it exists, but no KVM module for this CPU is behind it.",
    "EACCES": "This user may not open it.",
    "EPERM": "A device rule of the container or a security module forbids it.",
}


def _device(evidence: Evidence) -> Finding:
    probe = evidence.probe
    finding = Finding(
        "kvm.device",
        PASS,
        {"api": probe.api, "capabilities": dict(probe.capabilities)},
        expected={"api": device.API_VERSION},
        source=device.DEVICE,
    )
    if probe.answers:
        return dataclasses.replace(finding, why="The device opens and speaks the expected API.")
    if probe.open_error:
        return dataclasses.replace(
            finding,
            status=UNKNOWN if evidence.hidden else FAIL,
            value=probe.open_error,
            why=_unopened(evidence),
            hint=verdict(evidence).hint,
            fix=verdict(evidence).fix,
        )
    return dataclasses.replace(
        finding,
        status=FAIL,
        value=probe.create_error or probe.api,
        why="Something else than KVM answers.",
        hint=f"See what {device.DEVICE} is (ls -l): the character device 10:232 is expected.",
        fix="host",
    )


def _unopened(evidence: Evidence) -> str:
    error = evidence.probe.open_error
    if error == "ENOENT" and evidence.hidden:
        return "There is no such device in here, which says nothing about the machine."
    return _OPEN_ERRORS.get(error, f"Opening it fails with {error}.")


def _create(evidence: Evidence, policy: Policy) -> Finding:
    probe = evidence.probe
    finding = Finding("kvm.create_vm", UNKNOWN, source="ioctl KVM_CREATE_VM", expected="created")
    if probe.created:
        return dataclasses.replace(
            finding, status=PASS, value="created", why="A virtual machine was created and closed."
        )
    if probe.created is False:
        return dataclasses.replace(
            finding,
            status=FAIL,
            value=probe.create_error,
            why=f"Creating a virtual machine fails with {probe.create_error}.",
            hint=verdict(evidence).hint,
            fix=verdict(evidence).fix,
        )
    if not policy.probe_vm:
        return dataclasses.replace(finding, status=NOT_APPLICABLE, why="Not tried: probe_vm is false.")
    return dataclasses.replace(
        finding,
        why="Not tried: the device does not answer.",
        hint=verdict(evidence).hint,
        fix=verdict(evidence).fix,
    )
