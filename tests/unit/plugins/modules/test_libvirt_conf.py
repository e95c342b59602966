# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real ``main()`` of libvirt_conf on an injected root."""

from __future__ import annotations

import json
import pathlib
import sys
import time
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_libvirt"))

from fakesystemd import FakeSystemd

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Run
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import conf, daemon
from ansible_collections.hearth.gpu_host.plugins.modules import libvirt_conf

QEMU = "/etc/libvirt/qemu.conf"
DAEMON = "/etc/libvirt/libvirtd.conf"
NOTE = "note what libvirtd has read"
RESTART = "run systemctl try-restart libvirtd.service"
STOCK = '# Master configuration file for the QEMU driver.\n\n#user = "root"\nmax_core = 1\n'


class Task:
    """Runs the module's real main() on an injected root."""

    def __init__(
        self, root: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.root = root
        self.systemd = FakeSystemd(root, QEMU, DAEMON)
        self._capsys = capsys
        monkeypatch.setattr(_module, "Host", lambda: Host(root=str(root), run=self.systemd))
        # Tests are quicker than the clock that stamps files.
        monkeypatch.setattr(daemon, "_TICK_S", 0.0)

    def __call__(self, *files: dict[str, t.Any], check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {"files": list(files), "_ansible_check_mode": check, "_ansible_diff": True, **options}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            libvirt_conf.main()
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return {key: value for key, value in result.items() if key != "invocation"}

    def predicted(self, *files: dict[str, t.Any], **options: t.Any) -> dict[str, t.Any]:
        """Run in check mode, which may touch nothing, then for real; both must say the same."""
        before = self.tree()
        foretold = self(*files, check=True, **options)
        assert self.tree() == before
        result = self(*files, **options)
        assert foretold == result
        return result

    def tree(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.root.rglob("*") if path.is_file()}

    def write(self, path: str, content: bytes, mode: int = 0o644) -> pathlib.Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode)
        return file


@pytest.fixture
def task(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    return Task(tmp_path, monkeypatch, capsys)


def qemu(settings: t.Any, **options: t.Any) -> dict[str, t.Any]:
    return {"path": QEMU, "daemon": "libvirtd", "settings": settings, **options}


def test_missing_arguments_fail(task: Task) -> None:
    assert "missing required arguments: path" in task({"settings": {}})["msg"]


def test_create_then_nothing_to_do_and_back(task: Task) -> None:
    file = task.write(QEMU, STOCK.encode(), 0o640)
    result = task.predicted(qemu({"user": "qemu", "max_core": 0, "acl": ["/dev/null"]}))
    assert result["actions"] == [f"write {QEMU} (0640)"]
    assert (result["restarted"], result["shadowed"]) == ([], {QEMU: ["max_core"]})
    assert file.read_text().endswith(STOCK)
    again = task.predicted(qemu({"user": "qemu", "max_core": 0, "acl": ["/dev/null"]}))
    assert (again["changed"], again["actions"]) == (False, [])
    assert task.predicted(qemu(None))["changed"] is True
    assert (file.read_text(), file.stat().st_mode & 0o777) == (STOCK, 0o640)


def test_omitted_stays_null_clears_exclusive_drops(task: Task) -> None:
    task.write(QEMU, STOCK.encode())
    task(qemu({"a": 1, "b": 2, "c": 3}))
    assert task.predicted(qemu({"a": 1}))["changed"] is False
    assert "b = 2" not in task.predicted(qemu({"b": None}))["diff"]["after"]
    assert task.predicted(qemu({"a": 1}, exclusive=True))["diff"]["after"] == f"{QEMU}: a = 1\n"


def test_a_missing_file_is_made_and_goes_when_nothing_is_left(task: Task) -> None:
    assert task.predicted(qemu({"a": 1}))["actions"] == [f"write {QEMU} (0600)"]
    assert (task.root / QEMU[1:]).stat().st_mode & 0o777 == 0o600
    assert task.predicted(qemu({"a": None}))["actions"] == [f"remove {QEMU}"]
    assert task.predicted(qemu({}))["changed"] is False


def test_several_files_in_one_call(task: Task) -> None:
    other = {"path": DAEMON, "daemon": "libvirtd", "settings": {"log_level": 3}}
    result = task.predicted(qemu({"a": 1}), other)
    assert result["actions"] == [f"write {QEMU} (0600)", f"write {DAEMON} (0644)"]


def test_one_file_twice_is_refused(task: Task) -> None:
    assert "declared more than once" in task(qemu({"a": 1}), qemu({"a": 2}))["msg"]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"user = root\n", "line 1: expected a number"), (b"# caf\xe9\n", "is not UTF-8")],
    ids=["grammar", "encoding"],
)
def test_a_file_that_cannot_be_kept_is_refused_before_any_write(
    task: Task, content: bytes, words: str
) -> None:
    task.write(DAEMON, content)
    before = task.tree()
    result = task(qemu({"a": 1}), {"path": DAEMON, "settings": {"b": 1}})
    assert result["failed"] is True
    assert words in result["msg"]
    assert task.tree() == before


def test_a_bad_value_is_named_with_its_file(task: Task) -> None:
    assert task(qemu({"a": 1.5}))["msg"].startswith(f"{QEMU}: a must be a number")


def test_a_password_is_not_in_the_diff(task: Task) -> None:
    result = task.predicted(qemu({"vnc_password": "XYZZY"}))
    assert "XYZZY" not in json.dumps(result)
    assert "vnc_password = (hidden)" in result["diff"]["after"]


def test_a_running_daemon_is_restarted_and_a_second_run_does_nothing(task: Task) -> None:
    task.write(QEMU, STOCK.encode(), 0o600)
    task.systemd.start()
    result = task.predicted(qemu({"max_core": 0}))
    assert result["actions"] == [NOTE, f"write {QEMU} (0600)", RESTART, NOTE]
    assert (result["restarted"], task.systemd.runs) == (["libvirtd"], 2)
    assert task.systemd.has_read[QEMU] == {"max_core": 0}
    assert task.predicted(qemu({"max_core": 0}))["changed"] is False
    assert task.predicted(qemu(None))["restarted"] == ["libvirtd"]
    assert task.systemd.has_read[QEMU] == conf.effective(STOCK)


def test_a_setting_that_says_what_was_so_restarts_nothing(task: Task) -> None:
    task.write(QEMU, STOCK.encode())
    task.systemd.start()
    result = task.predicted(qemu({"max_core": 1}))
    assert result["actions"] == [NOTE, f"write {QEMU} (0644)"]
    assert task.predicted(qemu({"max_core": 1}))["changed"] is False
    # The note still holds when somebody adds a comment to the file.
    file = task.root / QEMU[1:]
    file.write_text(f"{file.read_text()}# a comment\n")
    assert (task.predicted(qemu({"max_core": 1}))["changed"], task.systemd.runs) == (False, 1)


def test_a_daemon_that_ended_when_it_was_idle_is_left_alone(task: Task) -> None:
    task.systemd.start()
    task.systemd.stop()
    assert task.predicted(qemu({"a": 1}))["actions"] == [f"write {QEMU} (0600)"]
    task.systemd.start()
    assert task.predicted(qemu({"a": 1}))["changed"] is False


def test_a_run_that_died_before_the_restart_is_finished_by_the_next(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_arguments: object) -> None:
        raise KeyboardInterrupt

    task.write(QEMU, STOCK.encode())
    task.systemd.start()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Run, "perform", die)
        task(qemu({"max_core": 0}))
    assert task.systemd.has_read[QEMU] == {"max_core": 1}
    result = task.predicted(qemu({"max_core": 0}))
    assert result["actions"] == [RESTART, NOTE]
    assert result["diff"]["before"].endswith("libvirtd runs with other settings than its files have\n")
    assert task.systemd.has_read[QEMU] == {"max_core": 0}
    assert task.predicted(qemu({"max_core": 0}))["changed"] is False


def test_a_write_of_somebody_else_after_the_start_restarts_once(task: Task) -> None:
    task.write(QEMU, STOCK.encode())
    task.systemd.start()
    # Younger than the start by more than a tick of the clock that stamps files.
    time.sleep(0.02)
    task.write(QEMU, b"max_core = 2\n")
    assert task.predicted(qemu({}))["actions"] == [RESTART, NOTE]
    assert task.predicted(qemu({}))["changed"] is False


def test_two_files_of_one_daemon_restart_it_once(task: Task) -> None:
    task.systemd.start()
    other = {"path": DAEMON, "daemon": "libvirtd", "settings": {"log_level": 3}}
    assert task.predicted(qemu({"a": 1}), other)["actions"].count(RESTART) == 1


def test_on_demand_and_without_systemd_nothing_is_restarted(task: Task) -> None:
    task.systemd.start()
    assert task.predicted(qemu({"a": 1}), restart=False)["actions"] == [f"write {QEMU} (0600)"]
    (task.root / "run/systemd/system").rmdir()
    assert task.predicted(qemu({"a": 2}))["actions"] == [f"write {QEMU} (0600)"]
    assert task.systemd.runs == 1
