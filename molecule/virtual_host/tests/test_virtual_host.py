# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual host: a real kernel, a real (emulated) IOMMU, real KVM."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest

# Members of each group, as the kernel of Debian 12 makes them for the topology of roles/lab_vm/vars/main.yml.
GROUPS = {
    frozenset({"0000:00:06.0", "0000:00:06.1"}),
    frozenset({"0000:00:10.1", "0000:02:00.0"}),
    frozenset({"0000:01:00.0", "0000:01:00.1", "0000:01:00.2"}),
    frozenset({"0000:08:00.0", "0000:09:01.0", "0000:09:02.0"}),
    frozenset({"0000:05:00.0", "0000:06:00.0"}),
    frozenset({"0000:05:01.0", "0000:07:00.0"}),
    frozenset({"0000:03:00.0"}),
    frozenset({"0000:0a:00.0"}),
}


@pytest.fixture(scope="module", name="report")
def _report() -> dict[str, t.Any]:
    path = pathlib.Path(os.environ["HEARTH_REPORTS"], "gpu01", "readiness.json")
    loaded: dict[str, t.Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def status(report: dict[str, t.Any], check: str) -> str:
    return next(item["status"] for item in report["findings"] if item["id"] == check)


def groups_of_kernel(host: t.Any) -> set[frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in host.check_output("find /sys/kernel/iommu_groups -type l").splitlines():
        parts = line.split("/")
        found.setdefault(parts[4], set()).add(parts[6])
    return {frozenset(members) for members in found.values()}


def test_the_emulator_made_the_groups_that_are_documented(host: t.Any) -> None:
    assert groups_of_kernel(host) >= GROUPS


def test_the_report_lists_the_groups_of_the_kernel(host: t.Any, report: dict[str, t.Any]) -> None:
    listed = {frozenset(group["members"]) for group in report["topology"]["groups"]}
    assert listed == groups_of_kernel(host)


@pytest.mark.parametrize(
    "check", ["kvm.create_vm", "iommu.active", "iommu.groups", "iommu.interrupt_remapping"]
)
def test_the_check_passes(report: dict[str, t.Any], check: str) -> None:
    assert status(report, check) == "pass"


def test_the_report_says_that_the_hardware_is_emulated(report: dict[str, t.Any]) -> None:
    assert report["emulated"] is True


def test_a_guest_was_really_started(report: dict[str, t.Any]) -> None:
    assert status(report, "proof.kvm") == "pass"


def test_no_guest_of_the_proof_is_left(host: t.Any) -> None:
    assert host.check_output("virsh --connect qemu:///system list --all --name").strip() == ""


def test_both_ways_in_lead_to_the_host(host: t.Any) -> None:
    addresses = host.check_output("ip -brief address")
    assert "10.0.2.15/24" in addresses
    assert "192.0.2.11/24" in addresses
    assert "2001:db8:6:1::11/64" in addresses


def driver_of(host: t.Any, address: str) -> str:
    return str(host.check_output(f"basename $(readlink /sys/bus/pci/devices/{address}/driver)"))


# The twin and the device behind the port are for guests (inventories/lab), after a reboot too.
@pytest.mark.parametrize(
    ("address", "driver"),
    [
        ("0000:0a:00.0", "vfio-pci"),
        ("0000:02:00.0", "vfio-pci"),
        ("0000:01:00.0", "bochs-drm"),
        ("0000:00:10.1", "pcieport"),
        ("0000:0e:00.0", "nvme"),
    ],
)
def test_exactly_the_devices_for_guests_are_theirs(host: t.Any, address: str, driver: str) -> None:
    assert driver_of(host, address) == driver


def test_no_driver_of_the_host_has_touched_the_twin_in_this_boot(host: t.Any) -> None:
    lines = host.check_output("journalctl --dmesg --boot --output=cat").splitlines()
    # "Initialized bochs-drm 1.0.0 for ADDRESS", "bochs-drm ADDRESS: [drm] fb0"
    touched = [line for line in lines if "bochs" in line]
    assert any("0000:01:00.0" in line for line in touched), "the adapter that stays shows what would be there"
    assert not any("0000:0a:00.0" in line for line in touched)


def test_the_check_of_the_boot_has_run_and_is_content(host: t.Any) -> None:
    assert host.service("hearth-vfio-check.service").is_running
    assert host.service("hearth-vfio-check.service").is_enabled
    metrics = host.file("/var/lib/hearth/metrics/hearth_vfio.prom").content_string
    assert metrics.count("hearth_vfio_drift{") == 2
    assert "} 1" not in metrics


def test_libvirt_knows_the_devices_for_guests(host: t.Any) -> None:
    listed = host.check_output("virsh --connect qemu:///system nodedev-list --cap pci").split()
    assert {"pci_0000_0a_00_0", "pci_0000_02_00_0"} <= set(listed)
    assert "<driver>" in host.check_output("virsh --connect qemu:///system nodedev-dumpxml pci_0000_0a_00_0")


def test_the_report_shows_the_devices_for_guests(report: dict[str, t.Any]) -> None:
    found = {item["address"]: item["driver_after"] for item in report["vfio"]["devices"] if item["binds"]}
    assert found == {"0000:0a:00.0": "vfio-pci", "0000:02:00.0": "vfio-pci"}
    assert status(report, "proof.vfio") == "pass"
