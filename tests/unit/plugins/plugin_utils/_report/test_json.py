# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON file: complete, and of a named version."""

from __future__ import annotations

import json as standard
import pathlib

import report_samples

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import json


def test_it_is_complete_and_names_its_version(tmp_path: pathlib.Path) -> None:
    preflight = report_samples.lab(tmp_path)
    report = report_samples.build(preflight=preflight)
    data = standard.loads(json.render(report))
    assert data["schema"] == "hearth.gpu_host/readiness/1"
    assert {item["id"]: item["status"] for item in data["findings"]} == {
        item["id"]: item["status"] for item in preflight["checks"]
    }
    assert sum(data["counts"].values()) == len(data["findings"])
    assert len(data["machine"]["devices"]) == len(report.machine.devices)
    assert data["emulated"] is True
    assert data["declared"] == report_samples.DECLARED
    assert data["facts"] == preflight["facts"]


def test_it_has_the_boot_and_the_reboots_as_they_were_given() -> None:
    data = standard.loads(
        json.render(report_samples.build(boot=report_samples.BOOT, reboots=report_samples.REBOOTS))
    )
    assert (data["boot"], data["reboots"]) == (report_samples.BOOT, report_samples.REBOOTS)
    assert {item["id"]: item["status"] for item in data["findings"] if item["id"].startswith("reboot.")} == {
        "reboot.kernel-args": "warn",
        "reboot.module-options": "fail",
        "reboot.initramfs": "unknown",
        "reboot.other": "pass",
    }
    empty = standard.loads(json.render(report_samples.build()))
    assert (empty["boot"], empty["reboots"]) == ({}, [])


def test_unknown_changes_are_null_and_no_changes_are_a_list() -> None:
    unknown = standard.loads(json.render(report_samples.build(journal=None)))
    assert (unknown["changes_recorded"], unknown["journal"]) == (False, None)
    none = standard.loads(json.render(report_samples.build(journal={"counts": {}, "changes": []})))
    assert (none["changes_recorded"], none["journal"]["changes"]) == (True, [])


def test_it_has_the_devices_for_guests_as_they_were_given() -> None:
    data = standard.loads(json.render(report_samples.build(vfio=report_samples.VFIO)))
    assert data["vfio"] == report_samples.VFIO
    assert standard.loads(json.render(report_samples.build()))["vfio"] == {}


def test_it_has_the_firewall_as_it_was_given() -> None:
    data = standard.loads(json.render(report_samples.build(firewall=report_samples.FIREWALL)))
    assert data["firewall"] == report_samples.FIREWALL
    assert standard.loads(json.render(report_samples.build()))["firewall"] == {}
