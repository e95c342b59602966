# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Secure Boot and lockdown: what the firmware and the kernel will refuse to load or to write."""

from __future__ import annotations

import dataclasses

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import values
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import (
    NOT_APPLICABLE,
    PASS,
    UNKNOWN,
    WARN,
    Finding,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

EFI = "/sys/firmware/efi"
_VARIABLES = f"{EFI}/efivars"
_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
_SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23"
_LOCKDOWN = "/sys/kernel/security/lockdown"
# Each variable starts with four bytes of attributes.
_ATTRIBUTES = 4
IDS = {
    "firmware.mode": "The host was started by UEFI or by a legacy BIOS",
    "firmware.secure_boot": "Secure Boot is off, so that unsigned modules load",
    "firmware.setup_mode": "The firmware's own keys are enrolled (not in setup mode)",
    "firmware.mok": "Whether shim checks signatures (MOK state)",
    "kernel.lockdown": "The kernel is not locked down",
}


def checks(host: Host, policy: Policy) -> list[Finding]:
    """Look at the boot mode, the Secure Boot variables and lockdown."""
    mode = boot_mode(host)
    return [_mode(mode), _secure_boot(host, mode), _setup_mode(host, mode), _mok(host, mode), _lockdown(host)]


def boot_mode(host: Host) -> str:
    """Return ``uefi``, ``bios`` or, when the directory is masked, an empty string."""
    present = host.listdir("/sys/firmware")
    if "efi" in present:
        return "uefi"
    if "devicetree" in present and "acpi" not in present:
        return "devicetree"
    return "bios" if present else ""


def _variable(host: Host, name: str, vendor: str) -> int | None:
    raw = host.read_bytes(f"{_VARIABLES}/{name}-{vendor}")
    return raw[_ATTRIBUTES] if raw and len(raw) > _ATTRIBUTES else None


def _mode(mode: str) -> Finding:
    finding = Finding("firmware.mode", PASS, mode, "uefi", "/sys/firmware")
    if not mode:
        return dataclasses.replace(
            finding,
            status=UNKNOWN,
            value=None,
            why="/sys/firmware is empty or masked, as in a container.",
            hint="Run the check on the host itself.",
            fix="host",
        )
    if mode != "bios":
        return dataclasses.replace(finding, why="The firmware hands over in its native mode.")
    return dataclasses.replace(
        finding,
        status=WARN,
        why="The host was started without UEFI (legacy BIOS or direct boot): large BARs are often left unmapped.",
        hint="Switch the firmware to UEFI boot (reinstall or convert the boot disk), above-4G decoding on.",
        fix="firmware",
        needs_reboot=True,
    )


def _secure_boot(host: Host, mode: str) -> Finding:
    finding = Finding("firmware.secure_boot", UNKNOWN, None, "off", f"{_VARIABLES}/SecureBoot-{_GLOBAL}")
    if mode in ("bios", "devicetree"):
        return dataclasses.replace(
            finding,
            status=PASS,
            value="off",
            why="Without UEFI there is no Secure Boot.",
            source="/sys/firmware",
        )
    state = _variable(host, "SecureBoot", _GLOBAL)
    if state == 0 or (state is None and host.listdir(_VARIABLES) and not host.exists(finding.source)):
        return dataclasses.replace(
            finding, status=PASS, value="off", why="The firmware checks no signatures at boot."
        )
    if state is None and not mode:
        return dataclasses.replace(
            finding,
            why="/sys/firmware is empty or masked, as in a container.",
            hint="Run the check on the host itself.",
            fix="host",
        )
    if state is None:
        return dataclasses.replace(
            finding,
            why="The variables of the firmware cannot be read.",
            hint=f"Mount efivarfs on {_VARIABLES} and run the check as root.",
            fix="host",
        )
    return dataclasses.replace(
        finding,
        status=WARN,
        value="on",
        why="Secure Boot is on: the kernel locks itself down and refuses unsigned modules, such as those that DKMS "
        "builds (nvidia, vGPU, vendor-reset).",
        hint="Enrol a machine owner key on the console (mokutil --import, reboot) and sign the modules with it, "
        "or switch Secure Boot off in the firmware setup.",
        fix="firmware",
        needs_reboot=True,
    )


def _setup_mode(host: Host, mode: str) -> Finding:
    finding = Finding("firmware.setup_mode", NOT_APPLICABLE, source=f"{_VARIABLES}/SetupMode-{_GLOBAL}")
    if mode != "uefi":
        return dataclasses.replace(finding, why="Not started by UEFI, or not known to be.")
    state = _variable(host, "SetupMode", _GLOBAL)
    if state is None:
        return dataclasses.replace(finding, status=UNKNOWN, why="The variable is missing or unreadable.")
    if state == 0:
        return dataclasses.replace(
            finding, status=PASS, value="user", why="The platform's keys are enrolled."
        )
    return dataclasses.replace(
        finding,
        value="setup",
        why="Setup mode: no platform key is enrolled, so Secure Boot is off and any program that runs as root "
        "could enrol its own keys.",
        hint="Before Secure Boot is switched on, enrol the platform keys in the firmware setup.",
        fix="firmware",
        needs_reboot=True,
    )


def _mok(host: Host, mode: str) -> Finding:
    finding = Finding("firmware.mok", NOT_APPLICABLE, source=f"{_VARIABLES}/MokSBStateRT-{_SHIM}")
    if mode != "uefi":
        return dataclasses.replace(finding, why="Not started by UEFI, or not known to be.")
    if _variable(host, "MokSBStateRT", _SHIM) == 1:
        return dataclasses.replace(
            finding,
            status=WARN,
            value="validation off",
            expected="validation on",
            why="shim checks no signatures: Secure Boot ends there, whatever the firmware says.",
            hint="Run mokutil --enable-validation and confirm it on the console at the next boot.",
            fix="firmware",
            needs_reboot=True,
        )
    if not host.listdir(_VARIABLES):
        return dataclasses.replace(
            finding, status=UNKNOWN, why="The variables of the firmware cannot be read."
        )
    return dataclasses.replace(
        finding, status=PASS, value="default", why="Nothing tells shim to skip its checks."
    )


def _lockdown(host: Host) -> Finding:
    finding = Finding("kernel.lockdown", UNKNOWN, None, "none", _LOCKDOWN)
    reading = host.read(_LOCKDOWN)
    level = values.chosen(reading.text)
    if reading.missing and host.listdir("/sys/kernel/security"):
        return dataclasses.replace(
            finding, status=NOT_APPLICABLE, why="This kernel has no lockdown, or it is not switched on."
        )
    if level is None:
        return dataclasses.replace(
            finding,
            why=reading.why or "No level is marked.",
            hint="Mount securityfs on /sys/kernel/security and run the check as root.",
            fix="host",
        )
    if level == "none":
        return dataclasses.replace(finding, status=PASS, value=level, why="The kernel is not locked down.")
    return dataclasses.replace(
        finding,
        status=WARN,
        value=level,
        why="Locked down: unsigned modules, writes to PCI configuration space, mapping of BARs through sysfs and "
        "writes to MSRs are refused. Binding devices to VFIO is not affected.",
        hint="Sign the modules you need with an enrolled key; only switching Secure Boot off lifts lockdown.",
        fix="firmware",
        needs_reboot=True,
    )
