# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real ``main()`` of kvm_guest_probe on a fake libvirt."""

from __future__ import annotations

import json
import os
import pathlib
import sys
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_libvirt"))

from fakelibvirt import FakeGuest, FakeLibvirt

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import probe
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.connection import LibvirtUnavailable
from ansible_collections.hearth.gpu_host.plugins.modules import kvm_guest_probe


class Task:
    """Runs the module's real main() against a fake libvirt on a host with ``/dev/kvm``."""

    def __init__(
        self, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.libvirt = FakeLibvirt()
        self.device = root / "dev/kvm"
        self.root = root
        self.monkeypatch = monkeypatch
        self._capsys = capsys
        self.device.parent.mkdir()
        self.device.touch()
        monkeypatch.setattr(probe, "_SETTLE_S", 0)
        monkeypatch.setattr(kvm_guest_probe, "Host", lambda: Host(root=str(root)))
        monkeypatch.setattr(kvm_guest_probe, "open_libvirt", self.libvirt.opener)

    def __call__(self, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        with patch_module_args({**options, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            kvm_guest_probe.main()
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return result


@pytest.fixture
def task(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    return Task(tmp_path, monkeypatch, capsys)


def guest(task: Task, name: str) -> FakeGuest:
    made = FakeGuest(task.libvirt, f"<domain><name>{name}</name></domain>")
    task.libvirt.guests.append(made)
    return made


def test_an_unknown_choice_fails(task: Task) -> None:
    assert "must be one of" in task(missing_kvm="maybe")["msg"]


def test_a_guest_runs_and_is_gone(task: Task) -> None:
    result = task()
    assert (result["changed"], result["status"]) == (False, "pass")
    assert task.libvirt.effects == ["createXML flags=2"]
    assert task.libvirt.guests == []
    assert result["capabilities"]["domain_types"] == ["kvm", "qemu"]
    assert result["capabilities"]["machine_types"] == ["pc-i440fx-7.2", "pc-q35-7.2"]
    assert result["capabilities"]["cpu_modes"] == ["host-passthrough"]


def test_the_guest_is_a_kvm_guest_without_disk_or_network() -> None:
    text = probe.guest_xml("hearth-probe-1", "host-passthrough")
    assert 'type="kvm"' in text
    assert '<cpu mode="host-passthrough"' in text
    assert "<disk" not in text and "<interface" not in text
    assert "<cpu" not in probe.guest_xml("hearth-probe-1", "default")


def test_check_mode_starts_nothing_and_is_unknown(task: Task) -> None:
    result = task(check=True)
    assert (result["changed"], result["status"], task.libvirt.effects) == (False, "unknown", [])
    assert result["capabilities"]["emulator"] == "/usr/bin/qemu-system-x86_64"


def test_check_mode_without_libvirt_is_unknown_too(task: Task) -> None:
    def away(uri: str) -> t.Any:
        raise LibvirtUnavailable("The libvirt binding for Python is not installed.", remedy="install it")

    task.monkeypatch.setattr(kvm_guest_probe, "open_libvirt", away)
    result = task(check=True)
    assert (result["status"], result["capabilities"]) == ("unknown", {})
    assert "not installed" in result["why"]
    assert task()["remedy"] == "install it"


def test_without_kvm_it_fails_or_reports(task: Task) -> None:
    task.device.unlink()
    failed = task()
    assert failed["failed"] is True
    assert "firmware" in failed["remedy"]
    reported = task(missing_kvm="report")
    assert (reported["changed"], reported["status"]) == (False, "na")
    assert "/dev/kvm does not exist" in reported["why"]


def test_a_guest_that_does_not_run_fails_and_is_ended(task: Task) -> None:
    task.libvirt.guest_state = 3
    result = task()
    assert (result["failed"], result["error"]) == (True, "VerifyError")
    assert f"hearth-probe-{os.getpid()}.log" in result["remedy"]
    assert task.libvirt.guests == []


def test_a_guest_of_a_killed_probe_is_ended_and_no_other(task: Task) -> None:
    (task.root / "proc/77").mkdir(parents=True)
    guest(task, "hearth-probe-4194305")
    others = [guest(task, name) for name in ("hearth-probe-77", "hearth-probe-x", "web")]
    assert task()["status"] == "pass"
    assert task.libvirt.guests == others


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("qemu: error: failed to set MSR 0x48b", "cpu_mode=default"),
        ("Could not access KVM kernel module: /dev/kvm: Permission denied", "access to /dev/kvm"),
        ("Failed to connect socket to '/var/run/libvirt/virtlogd-sock'", "virtlogd.socket"),
        ("something else", "journal"),
    ],
)
def test_a_failed_start_says_what_to_do(task: Task, error: str, words: str) -> None:
    task.libvirt.refuse_guests = error
    result = task()
    assert error in result["msg"]
    assert words in result["remedy"]
