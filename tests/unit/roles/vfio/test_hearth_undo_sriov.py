# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hearth-undo-vfio takes virtual functions back, on a root of its own with a kernel of stubs."""

from __future__ import annotations

import os
import pathlib
import typing as t

import fakehost
import pytest

NIC, VF0, VF1 = "0000:03:00.0", "0000:03:00.1", "0000:03:00.2"


@pytest.fixture
def host(tmp_path: pathlib.Path) -> fakehost.FakeHost:
    made = fakehost.FakeHost(tmp_path)
    made.function(NIC, (VF0, VF1), "numvfs=0 autoprobe=1")
    return made


def undo(host: fakehost.FakeHost, patience: int = 30) -> tuple[int, str, str]:
    return host.run("hearth-undo-vfio", "undo", HEARTH_DEADLINE_S=str(patience))


def files(host: fakehost.FakeHost) -> list[bool]:
    """Tell which of our four files are there."""
    names = (fakehost.RULES, fakehost.FUNCTION_RULES, fakehost.RECORD, fakehost.FUNCTIONS)
    return [(host.root / name).exists() for name in names]


def test_virtual_functions_go_and_their_rules_and_record_with_them(host: fakehost.FakeHost) -> None:
    status, out, err = undo(host)
    assert (status, err) == (0, "")
    assert host.writes() == [f"sriov_numvfs 0 {NIC}", f"sriov_drivers_autoprobe 1 {NIC}"]
    assert f"{NIC} has 0 virtual functions again." in out
    assert files(host) == [False] * 4
    assert [path.name for path in host.root.glob("var/lib/hearth/backup/undo-*/*")] == [
        "11-hearth-sriov.rules"
    ]
    assert not (host.root / "built").exists(), "these rules are not in the initramfs"
    assert undo(host) == (0, "No device is kept for guests: nothing to give back.\n", "")


def test_devices_are_given_back_before_the_virtual_functions_among_them_go(tmp_path: pathlib.Path) -> None:
    host = fakehost.FakeHost(tmp_path)
    host.device(VF0, origin="")
    host.configure()
    host.function(NIC, (VF0,), "numvfs=0 autoprobe=1")
    assert undo(host)[0] == 0
    assert host.writes() == [
        f"drivers/vfio-pci/unbind {VF0}",
        f"sriov_numvfs 0 {NIC}",
        f"sriov_drivers_autoprobe 1 {NIC}",
    ]
    assert files(host) == [False] * 4 and (host.root / "built").exists()


def test_the_functions_and_settings_of_before_come_back(tmp_path: pathlib.Path) -> None:
    host = fakehost.FakeHost(tmp_path)
    words = "numvfs=3 vf0.mac=52:54:00:3b:00:00 vf0.vlan=100 vf0.qos=3 vf2.trust=on vf2.link_state=enable"
    host.function(NIC, (VF0, VF1), words)
    (host.root / "sys/bus/pci/devices" / NIC / "net/ens1f0").mkdir(parents=True)
    host.stub("ip", 'echo "$*" >> "$HEARTH_ROOT/told"')
    assert undo(host)[0] == 0
    assert host.writes() == [f"sriov_numvfs 0 {NIC}", f"sriov_numvfs 3 {NIC}"]
    assert (host.root / "told").read_text().splitlines() == [
        "link set dev ens1f0 vf 0 mac 52:54:00:3b:00:00 vlan 100 qos 3",
        "link set dev ens1f0 vf 2 trust on state enable",
    ]


def test_a_setting_that_the_driver_refuses_is_said_and_the_record_stays(tmp_path: pathlib.Path) -> None:
    host = fakehost.FakeHost(tmp_path)
    host.function(NIC, (VF0,), "numvfs=1 vf0.trust=on")
    host.stub("ip", "exit 2")
    status, _out, err = undo(host)
    assert status == 1 and f"{NIC}: not everything that was set of its virtual functions" in err
    assert files(host) == [False, False, False, True]


def test_a_run_that_was_cut_off_is_finished(host: fakehost.FakeHost) -> None:
    (host.root / fakehost.FUNCTION_RULES).unlink()
    host.write(f"sys/bus/pci/devices/{NIC}/sriov_numvfs", "0\n")
    assert undo(host)[0] == 0
    assert files(host) == [False] * 4
    assert host.writes()[-1] == f"sriov_drivers_autoprobe 1 {NIC}"


@pytest.mark.parametrize("how", ["gone", "exchanged"])
def test_a_card_that_is_not_the_one_on_record_is_left_alone(host: fakehost.FakeHost, how: str) -> None:
    folder = host.root / "sys/bus/pci/devices" / NIC
    if how == "gone":
        folder.rename(host.root / "pulled")
        (host.root / "functions" / NIC).unlink()
    else:
        (folder / "device").write_text("0x2222\n")
    status, out, _err = undo(host)
    assert status == 0 and host.writes() == []
    assert f"{NIC} is {'not there any more' if how == 'gone' else 'another device now'}" in out
    assert files(host) == [False] * 4


def _guest(host: fakehost.FakeHost) -> str:
    (host.root / "sys/bus/pci/devices" / VF1 / "iommu_group").symlink_to("../../../kernel/iommu_groups/9")
    (host.root / "proc/4711/fd").mkdir(parents=True)
    (host.root / "proc/4711/fd/12").symlink_to(host.root / "dev/vfio/9")
    return "the processes 4711"


def _bridge(host: fakehost.FakeHost) -> str:
    folder = host.root / "sys/bus/pci/devices" / VF1 / "net/ens1f0v1"
    folder.mkdir(parents=True)
    (folder / "master").symlink_to("../../../../br0")
    return "the network by ens1f0v1"


def _route(host: fakehost.FakeHost) -> str:
    # The interface first, then a tab: net/ipv4/fib_trie.c, fib_route_seq_show().
    (host.root / "sys/bus/pci/devices" / VF1 / "net/ens1f0v1").mkdir(parents=True)
    host.write("proc/net/route", "Iface\tDestination\nens1f0v1\t00000000\n")
    return "the network by ens1f0v1"


def _mount(host: fakehost.FakeHost) -> str:
    block = host.root / "sys/bus/pci/devices" / VF1 / "nvme/nvme1/nvme1n1"
    (block / "holders").mkdir(parents=True)
    (host.root / "sys/class/block").mkdir(parents=True)
    (host.root / "sys/class/block/nvme1n1").symlink_to(block)
    host.write("proc/mounts", "/dev/nvme1n1 /srv ext4 rw 0 0\n")
    return "the data on nvme1n1"


def _hung(host: fakehost.FakeHost) -> str:
    host.write(f"run/hearth/vfio-hung/{VF1}", "vfio-pci did not let go")
    return f"{VF1} hangs since an earlier try"


@pytest.mark.parametrize("use", [_guest, _bridge, _route, _mount, _hung], ids=lambda use: use.__name__)
def test_what_somebody_uses_is_not_taken_and_said(
    host: fakehost.FakeHost, use: t.Callable[[fakehost.FakeHost], str]
) -> None:
    words = use(host)
    status, _out, err = undo(host)
    assert status == 1 and words in err
    assert host.writes() == []
    assert files(host) == [False, False, False, True], "the next boot is without them, the next run finishes"


def test_a_driver_that_never_answers_costs_its_time_and_no_more(host: fakehost.FakeHost) -> None:
    # Nobody reads the FIFO, so writing blocks; only asking for the number is answered.
    number = host.root / "sys/bus/pci/devices" / NIC / "sriov_numvfs"
    number.unlink()
    os.mkfifo(number)
    (host.root / "functions" / NIC).unlink()
    host.stub("cat", 'case $1 in *sriov_numvfs) echo 2 ;; *) exec /bin/cat "$@" ;; esac')
    status, _out, err = undo(host, patience=1)
    assert status == 1 and f"{NIC}: sriov_numvfs has not become 0 for 10 s. Only a reboot helps" in err
    assert (host.root / "run/hearth/vfio-hung" / NIC).exists()
    assert f"{NIC} hangs since an earlier try" in undo(host, patience=1)[2]
