# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import pathlib
import typing as t

import hosts
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import firmware
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import Finding
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

DMI = "/sys/class/dmi/id"
MICROCODE = "arch/x86/kernel/cpu/microcode/core.c"


def ask(machine: hosts.Machine, **policy: t.Any) -> dict[str, Finding]:
    return {finding.id: finding for finding in firmware.checks(machine.host, Policy(**policy))}


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("01/02/2026\n", datetime.date(2026, 1, 2)),
        ("4/1/2014", datetime.date(2014, 4, 1)),
        ("07/15/98", datetime.date(1998, 7, 15)),
        ("2024-05-31", datetime.date(2024, 5, 31)),
        ("31/12/2024", None),
        ("Not Specified", None),
        ("", None),
        (None, None),
    ],
)
def test_firmware_dates(text: str | None, date: datetime.date | None) -> None:
    assert firmware.parse_date(text) == date


@given(st.dates(min_value=datetime.date(1990, 1, 1)))
def test_every_date_is_read_back(date: datetime.date) -> None:
    assert firmware.parse_date(date.strftime("%m/%d/") + f"{date.year:04d}") == date


@pytest.mark.parametrize(
    ("text", "least", "status"),
    [
        ("01/02/2026", "2024-01-01", "pass"),
        ("01/02/2024", "2024-01-02", "pass"),
        ("12/31/2023", "2024-01-01", "fail"),
        ("sometime", "2024-01-01", "unknown"),
        ("01/02/2026", None, "na"),
    ],
)
def test_the_minimum_firmware_date(text: str, least: str | None, status: str, tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path).put(f"{DMI}/bios_date", text, source="SMBIOS type 0, release date")
    assert ask(machine, min_bios_date=least)["firmware.bios_date"].status == status


def test_the_machine_describes_itself(tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path).put(f"{DMI}/product_name", "R760\n", source="SMBIOS type 1")
    assert ask(machine)["firmware.dmi"].value == {"product_name": "R760"}
    assert ask(hosts.intel(tmp_path / "none"))["firmware.dmi"].status == "unknown"


def test_the_management_controller(tmp_path: pathlib.Path) -> None:
    physical = hosts.intel(tmp_path / "a", "vmx")
    assert ask(physical)["firmware.bmc"].status == "unknown"
    path = "/sys/class/ipmi/ipmi0/device/bmc/firmware_revision"
    physical.put(path, "2.65\n", source="drivers/char/ipmi/ipmi_msghandler.c")
    assert (ask(physical)["firmware.bmc"].status, ask(physical)["firmware.bmc"].value) == ("pass", "2.65")
    assert ask(hosts.paravirtual(tmp_path / "b"))["firmware.bmc"].status == "na"


def test_microcode_that_differs_between_sockets_is_a_warning(tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path)
    for number, version in ((0, "0x2b000571"), (1, "0x2b000571")):
        path = f"/sys/devices/system/cpu/cpu{number}/microcode/version"
        machine.put(path, version, source=MICROCODE)
    assert ask(machine)["cpu.microcode"].status == "pass"
    machine.put("/sys/devices/system/cpu/cpu1/microcode/version", "0x2b000461", source=MICROCODE)
    assert ask(machine)["cpu.microcode"].status == "warn"


def test_microcode_of_machines_without_the_file(
    tmp_path: pathlib.Path, capture: t.Callable[[str], pathlib.Path]
) -> None:
    assert ask(hosts.intel(tmp_path / "a"))["cpu.microcode"].status == "unknown"
    assert ask(hosts.arm64(tmp_path / "b"))["cpu.microcode"].status == "na"
    assert ask(hosts.Machine(capture("intel-i7-1270p")))["cpu.microcode"].value == ["0x437"]
