# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bare container: everything was installed by the site, and what it cannot have is named."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest


@pytest.fixture(name="report")
def _report(host: t.Any) -> dict[str, t.Any]:
    folder = pathlib.Path(os.environ["HEARTH_REPORTS"])
    name = host.check_output("hostname")
    loaded: dict[str, t.Any] = json.loads((folder / name / "readiness.json").read_text(encoding="utf-8"))
    return loaded


def test_everything_was_installed(host: t.Any) -> None:
    assert host.package("qemu-system-x86").is_installed
    assert host.package("libvirt-daemon-system").is_installed


def test_the_report_names_what_a_container_cannot_have(report: dict[str, t.Any]) -> None:
    status = {item["id"]: item["status"] for item in report["findings"]}
    assert status["host.container"] == "warn" or "container" in json.dumps(report["facts"])
    assert status["proof.kvm"] == "na"
    assert "fail" not in (status["kvm.device"], status["iommu.active"])


def test_no_device_is_taken_for_the_hosts_own(report: dict[str, t.Any]) -> None:
    assert report["verdict"]["level"] in ("unknown", "warn")
