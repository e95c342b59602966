# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real ``main()`` of packages on a fake package manager."""

from __future__ import annotations

import json
import os
import pathlib
import time
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import no_lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._packages import capability
from ansible_collections.hearth.gpu_host.plugins.modules import packages

NOW = 1_000_000.0


class FakeManager:
    """dpkg or rpm with what is installed, and apt-get or dnf that installs what it knows."""

    def __init__(self) -> None:
        self.installed = {"tar"}
        self.known = {"qemu", "ovmf"}
        self.calls: list[list[str]] = []
        self.locked = 0
        self.query_rc: int | None = None
        self.clock = NOW

    def now(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    def run(
        self, argv: t.Sequence[str], *, stdin: str | None = None, timeout_s: float = 60.0, check: bool = True
    ) -> Completed:
        if argv[0] in ("dpkg-query", "rpm"):
            return self.answer(argv[0], argv[3:] if argv[0] == "dpkg-query" else argv[4:])
        self.calls.append(list(argv))
        assert timeout_s > 600
        if argv[-1] == "update":
            if self.locked:
                self.locked -= 1
                raise CommandError("apt-get: E: Could not get lock /var/lib/apt/lists/lock. It is held by 1")
            return Completed(0, "", "")
        names = set(argv) & (self.known | {"nonsense"})
        if not names <= self.known:
            raise CommandError("E: Unable to locate package nonsense")
        self.installed |= names
        return Completed(0, "", "")

    def answer(self, tool: str, names: t.Sequence[str]) -> Completed:
        missing = [name for name in names if name not in self.installed]
        lines = [f"installed {name}\n" for name in names if name in self.installed]
        lines += [f"package {name} is not installed\n" for name in missing if tool == "rpm"]
        rc = len(missing) if tool == "rpm" else int(bool(missing))
        return Completed(rc if self.query_rc is None else self.query_rc, "".join(lines), "broken")


class Task:
    """Runs the module's real main() on the fake."""

    def __init__(self, root: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.manager = FakeManager()
        self.root = root
        self._capsys = capsys

    def host(self) -> Host:
        return Host(root=str(self.root), run=self.manager.run, now=self.manager.now)

    def lists_from(self, age_s: float) -> None:
        folder = self.root / "var/lib/apt/lists"
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder, (NOW - age_s, NOW - age_s))

    def __call__(self, *names: str, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {"names": list(names), "manager": "apt", **options, "_ansible_check_mode": check}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            packages.main()
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return {key: value for key, value in result.items() if key != "invocation"}

    def predicted(self, *names: str, **options: t.Any) -> dict[str, t.Any]:
        """Run in check mode, which may start nothing, then for real; both must say the same."""
        foretold = self(*names, check=True, **options)
        assert self.manager.calls == []
        result = self(*names, **options)
        assert foretold == result
        return result

    def verbs(self) -> list[str]:
        return ["update" if call[-1] == "update" else "install" for call in self.manager.calls]


@pytest.fixture
def task(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    made = Task(tmp_path, capsys)
    monkeypatch.setattr(_module, "Host", made.host)
    monkeypatch.setattr(capability.Packages, "lock", staticmethod(no_lock))
    monkeypatch.setattr(time, "sleep", made.manager.sleep)
    return made


def test_missing_arguments_fail(task: Task) -> None:
    with patch_module_args({"names": ["qemu"]}), pytest.raises(SystemExit):
        packages.main()
    assert "missing required arguments: manager" in task._capsys.readouterr().out


# Check mode said only that packages are missing, in other words than the run.
@pytest.mark.parametrize("manager", ["apt", "dnf"])
def test_what_is_predicted_is_installed_and_then_nothing_is_to_do(task: Task, manager: str) -> None:
    result = task.predicted("qemu", "tar", "ovmf", "qemu", manager=manager)
    assert (result["changed"], result["actions"]) == (True, ["install qemu ovmf"])
    assert result["missing"] == ["qemu", "ovmf"]
    task.manager.calls.clear()
    again = task.predicted("qemu", "tar", "ovmf", manager=manager)
    assert (again["changed"], again["actions"], again["missing"], task.manager.calls) == (False, [], [], [])


def test_no_names_ask_nothing(task: Task) -> None:
    task.manager.query_rc = 99
    assert task.predicted()["changed"] is False


@pytest.mark.parametrize(("age_s", "verbs"), [(10, ["install"]), (3600, ["update", "install"])])
def test_old_lists_are_refreshed_and_that_is_no_other_prediction(
    task: Task, age_s: float, verbs: list[str]
) -> None:
    task.lists_from(age_s)
    assert task.predicted("qemu")["actions"] == ["install qemu"]
    assert task.verbs() == verbs


def test_a_new_mirror_has_no_lists_however_fresh_the_others_are(task: Task) -> None:
    task.lists_from(0)
    task("qemu", lists_age_s=0)
    assert task.verbs() == ["update", "install"]


def test_apt_asks_nobody_waits_for_the_lock_and_leaves_recommended_packages_out(task: Task) -> None:
    task("qemu", lock_timeout_s=7)
    call = " ".join(task.manager.calls[-1])
    for part in (
        "DEBIAN_FRONTEND=noninteractive",
        "--yes",
        "DPkg::Lock::Timeout=7",
        "APT::Install-Recommends=false",
        "--force-confold",
    ):
        assert part in call
    task.manager.calls.clear()
    task("ovmf", manager="dnf")
    assert "install_weak_deps=False" in " ".join(task.manager.calls[-1])


@pytest.mark.parametrize(("held", "failed"), [(3, False), (100, True)])
def test_the_lock_of_the_lists_is_waited_for_within_the_limit(task: Task, held: int, failed: bool) -> None:
    task.manager.locked = held
    result = task("qemu", lock_timeout_s=60)
    assert result.get("failed", False) is failed
    assert len(task.manager.calls) == (13 if failed else 5)


def test_a_package_that_nobody_has_is_one_clear_error(task: Task) -> None:
    result = task("qemu", "nonsense")
    assert (result["error"], result["actions"]) == ("CommandError", ["install qemu nonsense"])
    assert "Unable to locate package nonsense" in result["msg"]


def test_an_installer_that_lies_is_seen(task: Task) -> None:
    assert task("virtual")["error"] == "VerifyError"


@pytest.mark.parametrize(("manager", "rc"), [("apt", 2), ("dnf", 3)])
def test_an_unreadable_database_is_unknown_not_missing(task: Task, manager: str, rc: int) -> None:
    task.manager.query_rc = rc
    result = task("qemu", "ovmf", manager=manager)
    assert (result["error"], task.manager.calls) == ("CommandError", [])
    assert "cannot be known: broken" in result["msg"]
