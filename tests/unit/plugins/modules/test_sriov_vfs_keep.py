# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving back every device of ours that is not to be kept, by the real ``main()`` of sriov_vfs."""

from __future__ import annotations

import errno
import pathlib
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_vfio"))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_sriov"))

from fakenic import DISK, DISK_IDS, NIC, NIC_IDS, FakeHost
from fakepci import DEVICES, Killed
from sriov_main import DEFAULTS, DISK_WISH, NIC_WISH, Task

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate, no_lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.capability import SriovVfs
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.files import RECORD, RULES
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import record
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import Entry, Identity

NONE: dict[str, t.Any] = {"keep": [], "state": "absent"}


@pytest.fixture
def task(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    return Task(FakeHost(tmp_path), monkeypatch, capsys)


def test_all_of_ours_go_back_in_one_task_that_writes_each_file_once(task: Task) -> None:
    before = task.kernel.snapshot()
    task(**NIC_WISH)
    task(**DISK_WISH)
    result = task.predicted(**NONE)
    assert result["actions"] == [
        f"remove {RULES}",
        f"set sriov_numvfs of {NIC} to 0",
        f"set sriov_drivers_autoprobe of {NIC} to 1",
        f"set sriov_numvfs of {DISK} to 0",
        f"set sriov_drivers_autoprobe of {DISK} to 1",
        f"remove {RECORD}",
    ]
    assert (result["given_back"], result["physical"], result["vfs"]) == ([NIC, DISK], None, [])
    assert (result["runtime_changed"], result["persistent_changed"]) == (True, True)
    assert task.kernel.snapshot() == before
    again = task.predicted(**NONE)
    assert (again["changed"], again["given_back"], again["files"]) == (False, [], {RULES: "", RECORD: ""})


@pytest.mark.parametrize("kept", [DISK, DISK.removeprefix("0000:")])
def test_what_is_kept_stays_as_it_is(task: Task, kept: str) -> None:
    task(**DISK_WISH)
    before = task.kernel.snapshot()
    task(**NIC_WISH)
    result = task.predicted(keep=[kept], state="absent")
    assert result["given_back"] == [NIC]
    assert (task.kernel.number(NIC), task.kernel.number(DISK)) == ("0", "4")
    assert task.kernel.snapshot() == before
    assert task.predicted(**DISK_WISH)["changed"] is False
    writes = len(task.kernel.writes)
    assert task.predicted(keep=[kept, NIC], state="absent")["changed"] is False
    assert len(task.kernel.writes) == writes


def test_vfs_that_others_made_are_none_of_ours(task: Task) -> None:
    task.kernel._numvfs(task.kernel.devices[DISK], 2)
    task(**NIC_WISH)
    assert task.predicted(**NONE)["given_back"] == [NIC]
    assert task.kernel.number(DISK) == "2"


def test_every_user_of_every_device_is_named_before_anything_is_taken(task: Task) -> None:
    task(**DISK_WISH)
    task(address=NIC, number=2)
    entry = Entry(task.kernel.vf(1), Identity(*NIC_IDS.split(":")), "vfio-pci", "igb")
    task.kernel.put(record.PATH, record.render_record({entry.address: entry}))
    group = task.kernel.devices[task.kernel.vf(0, DISK)].group
    task.kernel.opened(4242, f"/dev/vfio/{group}", name="db1")
    message = task.refused(**NONE)
    assert f"{task.kernel.vf(1)}: vfio_bind keeps it for guests (bound)" in message
    assert f"{task.kernel.vf(0, DISK)}: guest db1" in message
    assert "guest db1" in task.refused(**NONE, allow=["bound"])
    result = task.predicted(**NONE, allow=["bound", "guest"])
    assert sorted(one["kind"] for one in result["obstacles"]) == ["bound", "guest"]


def test_regression_check_mode_knows_that_vfio_bind_would_have_given_them_back(task: Task) -> None:
    """In check mode the record of vfio_bind is still on the disk when its devices would be free."""
    task(**DISK_WISH)
    entry = Entry(task.kernel.vf(1, DISK), Identity(*DISK_IDS.split(":")), "vfio-pci", "")
    task.kernel.put(record.PATH, record.render_record({entry.address: entry}))
    assert "(bound)" in task(check=True, **NONE)["msg"]
    told = task(check=True, **NONE, contents={record.PATH: ""})
    assert told["given_back"] == [DISK]
    (task.kernel.root / record.PATH[1:]).unlink()
    assert task(**NONE)["actions"] == told["actions"]


def test_a_look_at_what_would_be_given_back_asks_nobody_who_uses_it(task: Task) -> None:
    """So a play can know it before the devices were given back, without touching anything."""
    task(**DISK_WISH)
    group = task.kernel.devices[task.kernel.vf(1, DISK)].group
    task.kernel.opened(4242, f"/dev/vfio/{group}", name="db1")
    before = task.kernel.snapshot()
    result = task(check=True, running=False, **NONE)
    assert (result["given_back"], result["actions"]) == ([DISK], [f"remove {RULES}"])
    assert task.kernel.snapshot() == before


def test_a_rule_without_a_record_is_ours_as_well(task: Task) -> None:
    task(**DISK_WISH, running=False)
    assert task(check=True, running=False, **NONE)["given_back"] == [DISK]
    task.kernel.boot(task.kernel.text(RULES))
    result = task.predicted(**NONE)
    assert result["given_back"] == [DISK]
    assert task.kernel.number(DISK) == "0"


def test_a_device_that_is_gone_or_another_one_leaves_the_files_only(task: Task) -> None:
    task(**NIC_WISH)
    task(**DISK_WISH)
    task.kernel._remove_vfs(task.kernel.devices[NIC])
    (task.kernel.root / f"{DEVICES}/{NIC}".lstrip("/")).unlink()
    task.kernel.put(f"{DEVICES}/{DISK}/subsystem_device", "0x1101\n")
    result = task.predicted(**NONE)
    assert result["actions"] == [f"remove {RULES}", f"remove {RECORD}"]
    assert (result["given_back"], task.kernel.number(DISK)) == ([NIC, DISK], "4")


def test_when_one_cannot_be_given_back_none_is_and_the_record_stays(task: Task) -> None:
    task(**NIC_WISH)
    task(**DISK_WISH)
    before = task.kernel.snapshot("/sys")
    task.kernel.fail(len(task.kernel.writes) + 3, errno.EIO)
    result = task(**NONE)
    assert result["rollback"]["ok"] is True
    assert [path for path in task.kernel.snapshot("/sys") if "iommu_group" not in path] == [
        path for path in before if "iommu_group" not in path
    ]
    assert NIC in task.kernel.text(RECORD) and DISK in task.kernel.text(RECORD)
    task.predicted(**NONE)
    assert (task.kernel.number(NIC), task.kernel.number(DISK)) == ("0", "0")


def test_killed_between_any_two_effects_and_the_next_run_converges(tmp_path: pathlib.Path) -> None:
    for effects in range(6):
        host = FakeHost(tmp_path / str(effects))
        for wish in (NIC_WISH, DISK_WISH):
            _run(host, wish)
        with pytest.raises(Killed):
            _run(host, NONE, effects)
        _run(host, NONE)
        assert _run(host, NONE)["changed"] is False
        assert (host.number(NIC), host.number(DISK)) == ("0", "0")
        assert host.host.text(RULES) is None and host.host.text(RECORD) is None


def _run(host: FakeHost, wish: dict[str, t.Any], dies_before: int = -1) -> dict[str, t.Any]:
    gate = Gate(host.host, check_mode=False, lock=no_lock)
    perform = gate._perform

    def deadly(action: t.Any) -> None:
        if len(gate.actions) - 1 == dies_before:
            raise Killed
        perform(action)

    gate._perform = deadly  # type: ignore[method-assign]
    return SriovVfs({**DEFAULTS, **wish}, host.host).execute(gate)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "one of the following is required: address, keep"),
        ({"keep": []}, "state is present but all of the following are missing: address"),
        ({"keep": [], "address": NIC, "state": "absent"}, "mutually exclusive: address|keep"),
        ({"keep": ["card"], "state": "absent"}, "'card' is no"),
    ],
)
def test_all_is_only_given_back_to_who_says_so(task: Task, options: dict[str, t.Any], words: str) -> None:
    task(**NIC_WISH)
    assert words in task.refused(**options)
