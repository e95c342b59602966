# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a boot makes of the rules, what is taken back after a failure, what comes back in the end."""

from __future__ import annotations

import errno
import json
import pathlib
import typing as t

import pytest
from fakenic import DISK, NETDEV, NIC, FakeHost
from fakepci import DEVICES, Killed
from sriov_main import DEFAULTS, DISK_WISH, MAC, NIC_WISH, VFS, Task

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate, no_lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.capability import SriovVfs
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.files import RECORD, RULES


@pytest.fixture
def task(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    return Task(FakeHost(tmp_path), monkeypatch, capsys)


# NVIDIA/gpu-operator#2600, harvester/harvester#2819: VFs and what was set of them are lost at a reboot.
def test_regression_gpu_operator_2600_a_boot_makes_the_same_vfs_again(task: Task) -> None:
    task(**NIC_WISH)
    task(**DISK_WISH)
    told = {index: dict(fields) for index, fields in task.kernel.told.items()}
    task.kernel.boot(task.kernel.text(RULES))
    assert (task.kernel.number(NIC), task.kernel.number(DISK)) == ("4", "4")
    assert task.kernel.told == told
    assert task.kernel.driver_of(task.kernel.vf(0, DISK)) is None, "autoprobe came before the VFs"
    assert task.predicted(**NIC_WISH)["changed"] is False
    assert task.predicted(**DISK_WISH)["changed"] is False


def test_events_that_are_told_again_never_touch_vfs_that_are_there(task: Task) -> None:
    task(**NIC_WISH)
    rules, writes, calls = task.kernel.text(RULES), len(task.kernel.writes), len(task.kernel.calls)
    task.kernel.event("add", NIC, rules)
    task.kernel.event("bind", NIC, rules)
    written = [path for path, _text in task.kernel.writes[writes:]]
    assert [path.rpartition("/")[2] for path in written] == ["sriov_drivers_autoprobe"] * 2
    assert len(task.kernel.calls) == calls


def test_a_driver_that_comes_late_is_waited_for(task: Task) -> None:
    task(**DISK_WISH)
    rules = task.kernel.text(RULES)
    task.kernel.boot("")
    device = task.kernel.devices[DISK]
    task.kernel._detach(device)
    task.kernel.event("add", DISK, rules)
    assert task.kernel.number(DISK) == "0"
    task.kernel._attach(device, "nvme")
    task.kernel.event("bind", DISK, rules)
    assert task.kernel.number(DISK) == "4"


def test_another_card_at_the_address_is_left_alone_by_the_rules(task: Task) -> None:
    task(**DISK_WISH)
    task.kernel.boot("")
    task.kernel.put(f"{DEVICES}/{DISK}/subsystem_device", "0x1101\n")
    task.kernel.event("add", DISK, task.kernel.text(RULES))
    assert task.kernel.number(DISK) == "0"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOMEM, "switch on SR-IOV, Above 4G Decoding and ARI"),
        (errno.ENOENT, "one that makes no VFs"),
        (errno.EBUSY, "somebody else has made VFs"),
        (errno.ERANGE, "fewer VFs"),
        (errno.EINVAL, "does not take this number"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_an_answer_of_the_kernel_is_explained_and_all_is_taken_back(
    task: Task, code: int, words: str
) -> None:
    before = task.kernel.snapshot()
    task.kernel.fail(2, code)
    result = task(**NIC_WISH)
    assert words in result["msg"]
    assert result["rollback"]["ok"] is True
    after = task.kernel.snapshot()
    del after[RECORD]
    assert after == before
    assert task.predicted(**NIC_WISH)["changed"] is True
    assert task.kernel.number() == "4"


def test_a_driver_that_makes_fewer_is_no_success(task: Task) -> None:
    task.kernel.fewer = 2
    result = task(**NIC_WISH)
    assert (result["error"], task.kernel.number()) == ("VerifyError", "0")
    assert f"The driver of {NIC} has made 2 of 4 VFs" in result["msg"]


def test_when_other_vfs_cannot_be_had_the_old_ones_come_back_as_they_were(task: Task) -> None:
    task(**NIC_WISH)
    told = {index: dict(fields) for index, fields in task.kernel.told.items()}
    task.kernel.fail(len(task.kernel.writes) + 2, errno.ENOMEM)
    result = task(**{**NIC_WISH, "number": 5})
    assert result["rollback"] == {
        "attempted": True,
        "ok": True,
        "undone": [f"set sriov_numvfs of {NIC} to 0", f"set sriov_numvfs of {NIC} to 4"],
        "failed": [],
    }
    assert (task.kernel.number(), task.kernel.told) == ("4", told)
    assert task.predicted(**NIC_WISH)["changed"] is False


def test_a_setting_that_the_driver_does_not_know_takes_all_back(task: Task) -> None:
    task.kernel.deaf = "trust"
    result = task(**NIC_WISH)
    assert "Operation not supported" in result["msg"]
    assert (task.kernel.number(), result["rollback"]["ok"]) == ("0", True)


def test_a_setting_is_taken_back_when_a_later_one_fails(task: Task) -> None:
    task(address=NIC, number=2)
    task.kernel.deaf = "state"
    result = task(address=NIC, number=2, vfs=VFS)
    assert result["rollback"]["ok"] is False, "what failed cannot be taken back by the same means"
    assert task.kernel.told[0]["mac"] == "00:00:00:00:00:00"


def test_a_setting_that_the_driver_does_not_tell_is_not_taken_for_done(task: Task) -> None:
    task(address=NIC, number=1)
    task.kernel.answer = json.dumps([{"ifname": NETDEV, "vfinfo_list": [{"vf": 0, "address": MAC}]}])
    result = task(address=NIC, number=1, vfs=[{"index": 0, "trust": True}])
    assert result["error"] == "VerifyError"


def test_a_write_that_never_ends_marks_the_device_for_every_later_run(task: Task) -> None:
    task.kernel.block(2)
    result = task(**DISK_WISH)
    assert "did not let go" in result["msg"] and result["reboot_required"] is True
    assert (task.kernel.root / f"run/hearth/vfio-hung/{DISK}").exists()
    assert len(task.kernel.writes) == 2, "nothing is taken back on a device that hangs"
    assert f"{DISK} hangs: " in task.refused(**DISK_WISH)
    assert f"{DISK} hangs: " in task.refused(address=DISK, state="absent")


def test_one_vf_that_hangs_blocks_only_what_would_take_it_away(task: Task) -> None:
    task(**NIC_WISH)
    hangs = task.kernel.vf(1)
    task.kernel.put(f"/run/hearth/vfio-hung/{hangs}", "unbind: blocked\n")
    assert task.predicted(**NIC_WISH)["changed"] is False
    for options in (
        {**NIC_WISH, "number": 6},
        {"address": NIC, "number": 0},
        {"address": NIC, "state": "absent"},
    ):
        assert f"{hangs} hangs: unbind: blocked" in task.refused(**options)
    assert task.predicted(address=NIC, vfs=[{"index": 0, "vlan": 101}], persistent=False)["changed"] is True


def test_an_initramfs_that_was_given_the_rules_makes_no_vfs(task: Task) -> None:
    """dracut in host-only mode may copy them, and has no ip: nothing would ever be set of VFs that were made there."""
    task(**NIC_WISH)
    told, rules = dict(task.kernel.told), task.kernel.text(RULES)
    release = task.kernel.put("/etc/initrd-release", "")
    task.kernel.boot(rules)
    assert (task.kernel.number(), task.kernel.told) == ("0", {})
    assert task.kernel.text(f"{DEVICES}/{NIC}/sriov_drivers_autoprobe") == "1\n"
    release.unlink()
    task.kernel.event("add", NIC, rules)
    assert (task.kernel.number(), task.kernel.told) == ("4", told)


def test_what_was_there_before_us_comes_back(task: Task) -> None:
    task.kernel._numvfs(task.kernel.devices[NIC], 2)
    task.kernel.told[1].update(mac=MAC, vlan=9)
    before, told = task.kernel.snapshot("/sys"), {index: dict(one) for index, one in task.kernel.told.items()}
    task(**NIC_WISH)
    task(**{**NIC_WISH, "number": 3})
    result = task.predicted(address=NIC, state="absent")
    assert result["actions"][1:4] == [
        f"set sriov_numvfs of {NIC} to 0",
        f"set sriov_drivers_autoprobe of {NIC} to 1",
        f"set sriov_numvfs of {NIC} to 2",
    ]
    assert task.kernel.told == told
    assert _but_groups(task.kernel.snapshot("/sys")) == _but_groups(before)


def _but_groups(snapshot: dict[str, str]) -> list[str]:
    """Numbers of groups are given as devices come."""
    return [path for path in snapshot if "iommu_group" not in path]


def test_one_setting_comes_back_where_the_vfs_stay(task: Task) -> None:
    task.kernel._numvfs(task.kernel.devices[NIC], 2)
    task.kernel.told[1].update(vlan=9, qos=2)
    task(address=NIC, number=2, vfs=[{"index": 1, "vlan": 5}])
    task(address=NIC, number=2, vfs=[{"index": 1, "vlan": 6}])
    assert task.kernel.told[1]["vlan"] == 6
    task.predicted(address=NIC, state="absent")
    assert (task.kernel.told[1]["vlan"], task.kernel.number()) == (9, "2")


def test_a_device_that_is_gone_leaves_the_files(task: Task) -> None:
    task(**DISK_WISH)
    task(**NIC_WISH)
    task.kernel._remove_vfs(task.kernel.devices[DISK])
    (task.kernel.root / f"{DEVICES}/{DISK}".lstrip("/")).unlink()
    result = task.predicted(address=DISK, state="absent")
    assert result["actions"] == [f"write {RULES} (0644)", f"write {RECORD} (0644)"]
    assert (NIC in task.kernel.text(RULES), DISK in task.kernel.text(RULES)) == (True, False)
    assert result["physical"] is None


def test_another_card_at_the_address_gets_nothing_back(task: Task) -> None:
    task(**DISK_WISH)
    task.kernel.put(f"{DEVICES}/{DISK}/subsystem_device", "0x1101\n")
    result = task.predicted(address=DISK, state="absent")
    assert (result["runtime_changed"], task.kernel.number(DISK)) == (False, "4")
    assert not (task.kernel.root / RULES[1:]).exists()


@pytest.mark.parametrize(
    "wish",
    [NIC_WISH, {**NIC_WISH, "number": 2}, {"address": NIC, "state": "absent"}],
    ids=["new", "other number", "back"],
)
def test_killed_between_any_two_effects_and_the_next_run_converges(
    tmp_path: pathlib.Path, wish: dict[str, t.Any]
) -> None:
    found = []
    for effects in range(7):
        host = FakeHost(tmp_path / str(effects))
        if wish != NIC_WISH:
            _run(host, NIC_WISH)
        _dies(host, wish, effects)
        _run(host, wish)
        assert _run(host, wish)["changed"] is False
        found.append([host.number(), host.told, host.host.text(RULES), host.host.text(RECORD)])
    assert all(state == found[0] for state in found)


def _run(host: FakeHost, wish: dict[str, t.Any], dies_after: int = -1) -> dict[str, t.Any]:
    gate = Gate(host.host, check_mode=False, lock=no_lock)
    perform = gate._perform

    def deadly(action: t.Any) -> None:
        if len(gate.actions) - 1 == dies_after:
            raise Killed
        perform(action)

    gate._perform = deadly  # type: ignore[method-assign]
    return SriovVfs({**DEFAULTS, **wish}, host.host).execute(gate)


def _dies(host: FakeHost, wish: dict[str, t.Any], effects: int) -> None:
    """Die after so many effects, which is no event of its own once all are done."""
    gate = Gate(host.host, check_mode=True)
    SriovVfs({**DEFAULTS, **wish}, host.host).execute(gate)
    if effects < len(gate.actions):
        with pytest.raises(Killed):
            _run(host, wish, effects)
