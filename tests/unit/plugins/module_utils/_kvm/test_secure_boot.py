# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import hosts
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import secure_boot
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import Finding
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23"
EFIVARFS = "Documentation/filesystems/efivarfs.rst: four bytes of attributes, then the value"


def uefi(root: pathlib.Path, **variables: bytes) -> hosts.Machine:
    machine = hosts.intel(root)
    machine.put("/sys/firmware/efi/systab", "", source="drivers/firmware/efi/efi.c")
    for name, data in variables.items():
        vendor = SHIM if name.startswith("Mok") else GLOBAL
        machine.put(f"/sys/firmware/efi/efivars/{name}-{vendor}", b"\x06\0\0\0" + data, source=EFIVARFS)
    return machine


def ask(machine: hosts.Machine) -> dict[str, Finding]:
    return {finding.id: finding for finding in secure_boot.checks(machine.host, Policy())}


def test_on_off_and_unreadable(tmp_path: pathlib.Path) -> None:
    cases = {
        "warn": uefi(tmp_path / "on", SecureBoot=b"\1"),
        "pass": uefi(tmp_path / "off", SecureBoot=b"\0"),
        "unknown": uefi(tmp_path / "unmounted"),
    }
    for status, machine in cases.items():
        assert ask(machine)["firmware.secure_boot"].status == status
    assert ask(uefi(tmp_path / "torn", SecureBoot=b""))["firmware.secure_boot"].status == "unknown"


def test_a_uefi_that_lacks_the_variable_has_it_off(tmp_path: pathlib.Path) -> None:
    assert ask(uefi(tmp_path, Timeout=b"\0"))["firmware.secure_boot"].value == "off"


def test_a_legacy_bios_has_no_secure_boot(tmp_path: pathlib.Path) -> None:
    found = ask(
        hosts.intel(tmp_path).put("/sys/firmware/acpi/pm_profile", "1\n", source="drivers/acpi/bus.c")
    )
    assert (found["firmware.mode"].status, found["firmware.mode"].value) == ("warn", "bios")
    assert (found["firmware.secure_boot"].status, found["firmware.secure_boot"].value) == ("pass", "off")
    assert found["firmware.setup_mode"].status == found["firmware.mok"].status == "na"


def test_a_device_tree_machine_is_no_legacy_bios(tmp_path: pathlib.Path) -> None:
    machine = hosts.arm64(tmp_path).put(
        "/sys/firmware/devicetree/base/model", "board", source="drivers/of/base.c"
    )
    assert ask(machine)["firmware.mode"].status == "pass"


def test_a_masked_firmware_directory_is_unknown(tmp_path: pathlib.Path) -> None:
    found = ask(hosts.intel(tmp_path))
    assert found["firmware.mode"].status == found["firmware.secure_boot"].status == "unknown"


@pytest.mark.parametrize(("data", "status"), [(b"\0", "pass"), (b"\1", "na")])
def test_setup_mode(data: bytes, status: str, tmp_path: pathlib.Path) -> None:
    assert ask(uefi(tmp_path, SetupMode=data))["firmware.setup_mode"].status == status


def test_setup_mode_and_mok_are_unknown_when_unreadable(tmp_path: pathlib.Path) -> None:
    found = ask(uefi(tmp_path))
    assert found["firmware.setup_mode"].status == found["firmware.mok"].status == "unknown"


@pytest.mark.parametrize(("data", "status"), [(b"\1", "warn"), (b"\0", "pass")])
def test_shim_that_validates_nothing(data: bytes, status: str, tmp_path: pathlib.Path) -> None:
    assert ask(uefi(tmp_path, MokSBStateRT=data))["firmware.mok"].status == status


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("[none] integrity confidentiality", "pass"),
        ("none [integrity] confidentiality", "warn"),
        ("none integrity [confidentiality]", "warn"),
        ("rubbish", "unknown"),
    ],
)
def test_lockdown(text: str, status: str, tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path).put(
        "/sys/kernel/security/lockdown", text, source="security/lockdown/lockdown.c"
    )
    assert ask(machine)["kernel.lockdown"].status == status


def test_lockdown_missing_and_securityfs_missing_differ(tmp_path: pathlib.Path) -> None:
    assert ask(hosts.intel(tmp_path))["kernel.lockdown"].status == "unknown"
    machine = hosts.intel(tmp_path).put("/sys/kernel/security/lsm", "capability", source="security/inode.c")
    assert ask(machine)["kernel.lockdown"].status == "na"
