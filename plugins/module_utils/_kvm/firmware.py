# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Firmware levels: the machine's own, its management controller's, and the CPU's microcode."""

from __future__ import annotations

import dataclasses
import datetime
import re

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import cpu, environment
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    UNKNOWN,
    WARN,
    Finding,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

_DMI_FIELDS = (
    "sys_vendor",
    "product_name",
    "board_name",
    "bios_vendor",
    "bios_version",
    "bios_date",
    "bios_release",
    "ec_firmware_release",
)
_IPMI = "/sys/class/ipmi"
_CPUS = "/sys/devices/system/cpu"
IDS = {
    "firmware.dmi": "Vendor, product and firmware version as the machine describes itself",
    "firmware.bios_date": "The firmware is not older than `min_bios_date`",
    "firmware.bmc": "The management controller's firmware version",
    "cpu.microcode": "All CPUs run the same microcode",
}


def checks(host: Host, policy: Policy) -> list[Finding]:
    """Look at the firmware levels."""
    return [
        _dmi(host),
        _bios_date(host.text(f"{environment.DMI}/bios_date"), policy.min_bios_date),
        _bmc(host),
        _microcode(host),
    ]


def parse_date(text: str | None) -> datetime.date | None:
    """Parse the firmware's date: SMBIOS writes month/day/year, some write the year first. Pure."""
    text = (text or "").strip()
    american = re.fullmatch(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4}|[0-9]{2})", text)
    iso = re.fullmatch(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", text)
    if american:
        month, day, year = (int(part) for part in american.groups())
        # SMBIOS 2.3 and older: two digits mean 19yy.
        year += 1900 if year < 100 else 0
    elif iso:
        year, month, day = (int(part) for part in iso.groups())
    else:
        return None
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None


def _dmi(host: Host) -> Finding:
    found = {name: host.text(f"{environment.DMI}/{name}") for name in _DMI_FIELDS}
    found = {name: text for name, text in found.items() if text}
    if found:
        return Finding(
            "firmware.dmi", PASS, found, source=environment.DMI, why="As the firmware describes it."
        )
    return Finding(
        "firmware.dmi",
        UNKNOWN,
        source=environment.DMI,
        why="No firmware tables: some arm64 machines, micro virtual machines and containers show none.",
    )


def _bios_date(text: str | None, least: str | None) -> Finding:
    found = parse_date(text)
    finding = Finding(
        "firmware.bios_date",
        UNKNOWN,
        found.isoformat() if found else text,
        least,
        f"{environment.DMI}/bios_date",
    )
    if least is None:
        return dataclasses.replace(finding, status=NOT_APPLICABLE, why="No minimum is asked.")
    if found is None:
        return dataclasses.replace(
            finding,
            why="The machine gives no date that can be read.",
            hint="Compare the firmware's version with the vendor's list by hand (dmidecode -t bios, BMC).",
            fix="firmware",
        )
    if found.isoformat() >= least:
        return dataclasses.replace(finding, status=PASS, why=f"The firmware is of {least} or later.")
    return dataclasses.replace(
        finding,
        status=FAIL,
        why=f"The firmware is of {found.isoformat()}, older than {least}.",
        hint=f"Update the machine's firmware (BIOS) to a release of {least} or later and power-cycle.",
        fix="firmware",
        needs_reboot=True,
    )


def _bmc(host: Host) -> Finding:
    for name in host.listdir(_IPMI):
        source = f"{_IPMI}/{name}/device/bmc/firmware_revision"
        version = host.text(source)
        if version:
            return Finding("firmware.bmc", PASS, version, source=source, why="As the controller reports it.")
    place = environment.machine(host, cpu.read(host))
    if place and place.name and not host.listdir(_IPMI):
        return Finding(
            "firmware.bmc", NOT_APPLICABLE, source=_IPMI, why="A virtual machine without such a controller."
        )
    return Finding(
        "firmware.bmc",
        UNKNOWN,
        source=_IPMI,
        why="No management controller answers the kernel.",
        hint="Load ipmi_si and ipmi_devintf on machines that have one, and check again.",
        fix="module",
    )


def _microcode(host: Host) -> Finding:
    names = [name for name in host.listdir(_CPUS) if re.fullmatch(r"cpu[0-9]+", name)]
    source = f"{_CPUS}/cpu*/microcode/version"
    found = {text for name in names if (text := host.text(f"{_CPUS}/{name}/microcode/version"))}
    if not found and cpu.read(host).microcode:
        found, source = {cpu.read(host).microcode}, "/proc/cpuinfo"
    if not found:
        arm = cpu.read(host).arch == "arm64"
        return Finding(
            "cpu.microcode",
            NOT_APPLICABLE if arm else UNKNOWN,
            source=source,
            why="arm64 has none." if arm else "The kernel shows no microcode version.",
        )
    if len(found) == 1:
        return Finding("cpu.microcode", PASS, sorted(found), source=source, why="The same on all CPUs.")
    return Finding(
        "cpu.microcode",
        WARN,
        sorted(found),
        expected="one version",
        source=source,
        why="The CPUs run different microcode: they may differ in features and errata.",
        hint="Update the firmware and the microcode package (intel-microcode, amd64-microcode) and reboot.",
        fix="package",
        needs_reboot=True,
    )
