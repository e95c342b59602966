# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hearth-undo-vfio, on a root of its own with a kernel of stubs: devices go back, and what cannot is named."""

from __future__ import annotations

import pathlib

import fakehost
import pytest

GPU, AUDIO = "0000:01:00.0", "0000:01:00.1"


@pytest.fixture
def host(tmp_path: pathlib.Path) -> fakehost.FakeHost:
    made = fakehost.FakeHost(tmp_path)
    made.device(GPU)
    made.device(AUDIO, origin="snd_hda_intel")
    made.configure()
    return made


def undo(host: fakehost.FakeHost, patience: int = 30) -> tuple[int, str, str]:
    return host.run("hearth-undo-vfio", "undo", HEARTH_DEADLINE_S=str(patience))


def kept(host: fakehost.FakeHost) -> list[str]:
    return sorted(path.name for path in host.root.glob("var/lib/hearth/backup/undo-*/*"))


def test_it_says_in_one_line_what_it_does(host: fakehost.FakeHost) -> None:
    status, out, err = host.run("hearth-undo-vfio", "describe")
    assert (status, err) == (0, "")
    assert (
        out
        == "gives the devices kept for guests back to the drivers they had, and takes virtual functions back\n"
    )
    assert host.run("hearth-undo-vfio")[0] == 2


def test_each_device_goes_back_to_the_driver_it_had(host: fakehost.FakeHost) -> None:
    status, out, err = undo(host)
    assert (status, err) == (0, "")
    assert (host.driver_of(GPU), host.driver_of(AUDIO)) == ("bochs-drm", "snd_hda_intel")
    assert (host.override_of(GPU), host.override_of(AUDIO)) == ("", "")
    assert host.writes() == [
        f"drivers/vfio-pci/unbind {GPU}",
        f"drivers_probe {GPU}",
        f"drivers/vfio-pci/unbind {AUDIO}",
        f"drivers_probe {AUDIO}",
    ]
    assert f"{GPU} has bochs-drm again." in out


def test_the_rules_are_kept_aside_the_initramfs_is_built_and_the_record_goes_last(
    host: fakehost.FakeHost,
) -> None:
    host.stub("update-initramfs", 'ls "$HEARTH_ROOT/var/lib/hearth/vfio" && echo "$@" > "$HEARTH_ROOT/built"')
    status, out, _err = undo(host)
    assert status == 0 and kept(host) == ["10-hearth-vfio.rules"]
    assert (host.root / "built").read_text() == "-u -k all\n"
    assert not (host.root / fakehost.RECORD).exists() and not (host.root / fakehost.RULES).exists()
    assert "unless vfio_devices and vfio_sriov are changed first" in out


def test_once_more_there_is_nothing_to_do(host: fakehost.FakeHost) -> None:
    undo(host)
    before = host.writes()
    assert undo(host) == (0, "No device is kept for guests: nothing to give back.\n", "")
    assert host.writes() == before


def test_a_run_that_was_cut_off_is_finished(host: fakehost.FakeHost) -> None:
    (host.root / fakehost.RULES).unlink()
    host.bind(GPU, "")
    assert undo(host)[0] == 0
    assert (host.driver_of(GPU), host.driver_of(AUDIO)) == ("bochs-drm", "snd_hda_intel")
    assert (host.root / "built").exists()


def test_a_driver_that_is_not_loaded_is_loaded_by_the_name_of_the_device(host: fakehost.FakeHost) -> None:
    host.unload("bochs-drm")
    assert undo(host)[0] == 0
    assert (host.root / "modprobe").read_text() == f"-q -- pci:{GPU}\n"
    assert host.driver_of(GPU) == "bochs-drm"


def test_a_device_that_had_no_driver_has_none_again(tmp_path: pathlib.Path) -> None:
    host = fakehost.FakeHost(tmp_path)
    host.device("0000:02:00.0", origin="")
    host.configure()
    status, out, _err = undo(host)
    assert status == 0 and "0000:02:00.0 has no driver again." in out
    assert host.driver_of("0000:02:00.0") == ""
    assert host.writes() == ["drivers/vfio-pci/unbind 0000:02:00.0"]


def test_an_override_that_was_there_before_is_there_again(tmp_path: pathlib.Path) -> None:
    host = fakehost.FakeHost(tmp_path)
    host.device("0000:02:00.0", origin="pci-stub", override="pci-stub")
    host.configure()
    assert undo(host)[0] == 0
    assert (host.override_of("0000:02:00.0"), host.driver_of("0000:02:00.0")) == ("pci-stub", "pci-stub")


@pytest.mark.parametrize("how", ["gone", "exchanged"])
def test_a_card_that_is_not_the_one_on_record_is_left_alone(host: fakehost.FakeHost, how: str) -> None:
    folder = host.root / "sys/bus/pci/devices" / GPU
    if how == "gone":
        folder.rename(host.root / "pulled")
    else:
        (folder / "device").write_text("0x2222\n")
    status, out, _err = undo(host)
    assert status == 0 and host.driver_of(AUDIO) == "snd_hda_intel"
    assert f"{GPU} is {'not there any more' if how == 'gone' else 'another device now'}" in out
    assert not [line for line in host.writes() if line.endswith(GPU)]


@pytest.mark.parametrize("node", ["dev/vfio/7", "dev/vfio/devices/vfio3"])
def test_a_device_that_a_guest_holds_is_not_touched_and_the_process_is_named(
    host: fakehost.FakeHost, node: str
) -> None:
    (host.root / "sys/bus/pci/devices" / AUDIO / "vfio-dev/vfio3").mkdir(parents=True)
    (host.root / "sys/bus/pci/devices" / GPU / "iommu_group").unlink()
    (host.root / "sys/bus/pci/devices" / GPU / "iommu_group").symlink_to("../../../kernel/iommu_groups/8")
    (host.root / "proc/4711/fd").mkdir(parents=True)
    (host.root / "proc/4711/fd/12").symlink_to(host.root / node)
    status, _out, err = undo(host)
    assert status == 1 and f"{AUDIO} is in use by the processes 4711: end them" in err
    assert host.driver_of(AUDIO) == "vfio-pci" and host.override_of(AUDIO) == "vfio-pci"
    assert host.driver_of(GPU) == "bochs-drm"
    # The record stays, so that the next run knows what is left; the next boot is without the rules all the same.
    assert (host.root / fakehost.RECORD).exists() and (host.root / "built").exists()
    (host.root / "proc/4711/fd/12").unlink()
    assert undo(host)[0] == 0 and not (host.root / fakehost.RECORD).exists()


def test_a_driver_that_does_not_let_go_costs_its_time_and_no_more(host: fakehost.FakeHost) -> None:
    host.block("vfio-pci")
    status, _out, err = undo(host, patience=1)
    assert status == 1 and f"{GPU}: vfio-pci has not let go for 1 s. Only a reboot helps" in err
    assert (host.root / "run/hearth/vfio-hung" / GPU).exists()
    assert host.writes() == []
    again, _out, err = undo(host, patience=1)
    assert again == 1 and f"{GPU} hangs since an earlier try: only a reboot helps." in err


def test_a_driver_that_does_not_come_back_is_named(host: fakehost.FakeHost) -> None:
    (host.root / "sys/bus/pci/drivers/bochs-drm/unbind").unlink()
    (host.root / "sys/bus/pci/drivers/bochs-drm").rmdir()
    host.stub("modprobe", "exit 1")
    status, _out, err = undo(host)
    assert status == 1 and f"{GPU} has not come back to bochs-drm: load that driver" in err
    assert host.driver_of(AUDIO) == "snd_hda_intel"


def test_an_initramfs_that_cannot_be_built_is_said_and_the_record_stays(host: fakehost.FakeHost) -> None:
    host.stub("update-initramfs", "echo no space left >&2; exit 1")
    status, _out, err = undo(host)
    assert status == 1 and "no space left" in err and "the next boot binds the devices again" in err
    assert (host.root / fakehost.RECORD).exists()


def test_a_root_that_cannot_be_written_is_said_before_anything_is_done(host: fakehost.FakeHost) -> None:
    # A folder in the way stands for a read-only file system, which root could write otherwise.
    (host.root / "etc/udev/rules.d/.hearth-undo").mkdir()
    status, _out, err = undo(host)
    assert status == 1 and "mount -o remount,rw /" in err
    assert host.writes() == [] and (host.root / fakehost.RULES).exists()
