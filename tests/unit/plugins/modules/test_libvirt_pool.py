# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real ``main()`` of libvirt_pool on a fake libvirt, and on none at all."""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_libvirt"))

from fakelibvirt import FakeGuest, FakeLibvirt, guest_with_disk

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.connection import LibvirtUnavailable
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.objects import Pools
from ansible_collections.hearth.gpu_host.plugins.modules import libvirt_pool

DEFAULT = {"name": "default", "path": "/var/lib/libvirt/images"}
RECORD = "record what is ours in /var/lib/hearth/libvirt.json"
FRESH = [
    RECORD,
    "define pool default",
    "set autostart of pool default",
    "build pool default",
    "start pool default",
]
HAND_MADE = "<pool type='dir'><name>default</name><target><path>/srv/theirs</path></target></pool>"
GONE = {"name": "default", "state": "absent"}


class Task:
    """Runs the module's real main() against a fake libvirt and an injected root."""

    def __init__(
        self, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.libvirt = FakeLibvirt()
        self.root = root
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(_module, "Host", lambda: Host(root=str(root)))
        monkeypatch.setattr(Pools, "opener", staticmethod(self.libvirt.opener))

    def without_libvirt(self) -> None:
        def away(uri: str) -> t.Any:
            raise LibvirtUnavailable("libvirt does not answer.", remedy="start libvirtd")

        self._monkeypatch.setattr(Pools, "opener", staticmethod(away))

    def __call__(self, *pools: dict[str, t.Any], check: bool = False) -> dict[str, t.Any]:
        arguments = {"pools": list(pools), "_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            libvirt_pool.main()
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return {key: value for key, value in result.items() if key != "invocation"}

    def predicted(self, *pools: dict[str, t.Any]) -> dict[str, t.Any]:
        """Run in check mode, which may touch nothing, then for real; both must say the same."""
        before = list(self.libvirt.effects)
        foretold = self(*pools, check=True)
        assert self.libvirt.effects == before
        result = self(*pools)
        assert foretold == result
        return result


@pytest.fixture
def task(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    return Task(tmp_path, monkeypatch, capsys)


def test_missing_arguments_fail(task: Task) -> None:
    assert "missing required arguments: name" in task({"type": "dir"})["msg"]


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ({"name": "p"}, "type=dir needs path"),
        ({"name": "p", "type": "logical", "source": "vg", "mode": "0700"}, "type=logical has no mode"),
        ({"name": "p", "type": "netfs", "path": "/srv"}, "needs source, source_host"),
        ({"name": "p", "path": "srv"}, "not absolute"),
        ({"name": "p", "path": "/srv", "mode": "rwx"}, "not octal"),
    ],
)
def test_contradictions_are_named(task: Task, pool: dict[str, t.Any], words: str) -> None:
    assert words in task(pool)["msg"]


def test_create_then_nothing_to_do(task: Task) -> None:
    assert task.predicted(DEFAULT)["actions"] == FRESH
    assert task.predicted({**DEFAULT, "path": "/var/lib/libvirt/images/"})["changed"] is False


def test_every_type_is_read_back(task: Task) -> None:
    pools = [
        {"name": "d", "path": "/srv/d", "mode": "711"},
        {"name": "l", "type": "logical", "source": "vg0"},
        {"name": "n", "type": "netfs", "path": "/srv/n", "source": "/export", "source_host": "nas"},
    ]
    built = [action for action in task.predicted(*pools)["actions"] if action.startswith("build")]
    assert built == ["build pool d", "build pool n"]
    assert task.predicted(*pools)["changed"] is False


def test_an_update_restarts_the_pool(task: Task) -> None:
    task(DEFAULT)
    result = task.predicted({**DEFAULT, "path": "/srv/images", "mode": "0700"})
    assert result["actions"] == [FRESH[1], "stop pool default", *FRESH[3:]]
    assert "mode: 0700" in result["diff"]["after"]
    task(DEFAULT)
    assert task.predicted({**DEFAULT, "autostart": False})["actions"] == ["clear autostart of pool default"]


def test_another_type_keeps_the_uuid_only(task: Task) -> None:
    task({"name": "p", "type": "netfs", "path": "/srv/n", "source": "/export", "source_host": "nas"})
    task({"name": "p", "type": "logical", "source": "vg0"})
    assert "nas" not in (task.libvirt.get("p").inactive or "")
    assert task({"name": "p", "type": "logical", "source": "vg0"}, check=True)["changed"] is False


def test_a_restart_under_a_running_guests_disk_is_refused(task: Task) -> None:
    task(DEFAULT)
    disk = guest_with_disk("web", "/var/lib/libvirt/images/web.qcow2")
    task.libvirt.guests.append(FakeGuest(task.libvirt, disk))
    for change in ({"mode": "0700"}, {"state": "absent"}):
        result = task({**DEFAULT, **change})
        assert (result["error"], result["guests"]) == ("Refusal", ["web"])
    assert task.predicted(DEFAULT)["changed"] is False


def test_a_disk_in_a_folder_with_a_longer_name_is_no_user(task: Task) -> None:
    task(DEFAULT)
    disk = guest_with_disk("web", "/var/lib/libvirt/images2/web.qcow2")
    task.libvirt.guests.append(FakeGuest(task.libvirt, disk))
    assert "failed" not in task.predicted({"name": "default", "state": "absent"})


def test_absent_twice(task: Task) -> None:
    task(DEFAULT)
    assert task.predicted(GONE)["actions"] == ["stop pool default", "undefine pool default", RECORD]
    assert task.predicted(GONE)["changed"] is False


def test_a_pool_of_somebody_else_that_differs_is_refused_and_left(task: Task) -> None:
    theirs = task.libvirt.has(HAND_MADE)
    before = theirs.inactive
    result = task.predicted(DEFAULT)
    assert (result["error"], result["found"]["path"]) == ("Refusal", "/srv/theirs")
    assert "adopt: true" in result["remedy"]
    assert task.predicted(GONE)["left"] == [{"name": "default", "reason": "this pool is not ours"}]
    assert (theirs.inactive, task.libvirt.effects) == (before, [])


@pytest.mark.parametrize("lifted", [True, False])
def test_an_adopted_pool_is_given_back(task: Task, lifted: bool) -> None:
    theirs = task.libvirt.has(HAND_MADE)
    before = theirs.inactive
    declared = {**DEFAULT, "adopt": True} if lifted else {**DEFAULT, "path": "/srv/theirs"}
    assert task.predicted(declared)["actions"] == FRESH
    assert task.predicted({**declared, "adopt": False})["changed"] is False
    task.predicted(GONE)
    assert (theirs.inactive, theirs.live, theirs.auto) == (before, None, 0)
    assert task.predicted(GONE)["changed"] is False


def test_a_running_pool_that_was_adopted_is_given_back_without_a_restart(task: Task) -> None:
    theirs = task.libvirt.has(HAND_MADE)
    theirs.create()
    task({**DEFAULT, "path": "/srv/theirs", "autostart": False})
    assert task.predicted(GONE)["actions"] == ["define pool default", RECORD]


def test_a_pool_that_somebody_made_anew_under_our_name_is_theirs(task: Task) -> None:
    task(DEFAULT)
    task.libvirt.objects.clear()
    task.libvirt.has(HAND_MADE)
    assert task.predicted(DEFAULT)["error"] == "Refusal"
    result = task.predicted(GONE)
    assert (result["actions"], [left["name"] for left in result["left"]]) == ([RECORD], ["default"])


@pytest.mark.parametrize("effects", range(5))
def test_killed_after_any_effect_a_pool_is_still_ours(task: Task, effects: int) -> None:
    task.libvirt.die_after = effects
    try:
        task(DEFAULT)
    except KeyboardInterrupt:
        task._capsys.readouterr()
    task.libvirt.die_after = None
    assert "failed" not in task.predicted(DEFAULT)
    task.predicted(GONE)
    assert task.libvirt.objects == []


def test_without_libvirt_check_mode_predicts_and_the_real_run_fails(task: Task) -> None:
    task.without_libvirt()
    assert task(DEFAULT, check=True)["actions"] == FRESH
    assert task(DEFAULT)["remedy"] == "start libvirtd"
