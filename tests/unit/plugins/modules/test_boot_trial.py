# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real ``main()`` of boot_trial on a host that boots by GRUB, as a transcript."""

from __future__ import annotations

import os
import pathlib
import signal
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_boot"))

from boot_trial_main import Task
from faketrial import CFG, DROPIN, ENV, RUNNING, SCRIPT, WISH, TrialHost

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Gate, no_lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import grub_menu
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.trial import BootTrial
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

ARMING = [
    f"write {SCRIPT} (0755)",
    f"write {DROPIN} (0644)",
    f"generate {CFG}",
    f"set next_entry=hearth-trial in {ENV}",
]
COMMITTING = [f"remove {DROPIN}", f"remove {SCRIPT}", f"generate {CFG}"]
KERNEL = "gnulinux-simple-7c1f6f5e-2f1b-4c8e-9d53-0a4d9a1b6c01"


@pytest.fixture
def grub(tmp_path: pathlib.Path) -> TrialHost:
    return TrialHost(tmp_path)


@pytest.fixture
def task(grub: TrialHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    return Task(grub, monkeypatch, capsys)


def test_a_trial_that_works_becomes_the_default_and_leaves_nothing(task: Task, grub: TrialHost) -> None:
    before = grub.tree()
    armed = task.predicted("armed")
    assert (armed["actions"], armed["outcome"], armed["armed"]) == (ARMING, "none", True)
    assert armed["trial"] == f"{RUNNING} {WISH} panic=30 hearth.trial"
    assert armed["fallback"] == f"{RUNNING} hearth.fallback"
    assert task.same("armed")["outcome"] == "waiting"
    assert grub_menu.default_of(grub.text(CFG) or "") == "hearth-fallback"
    assert grub.env() == {"next_entry": "hearth-trial"}
    assert grub.boot() == "hearth-trial"
    committed = task.predicted("committed")
    assert (committed["actions"], committed["outcome"], committed["armed"]) == (COMMITTING, "trial", False)
    assert task.same("committed")["outcome"] == "none"
    after = grub.tree()
    assert {path for path in after if after[path] != before.get(path) and path[:6] != "/proc/"} == {ENV}
    assert grub.boot() == KERNEL
    assert WISH in (grub.text("/proc/cmdline") or "")


def test_a_trial_that_does_not_start_falls_back_and_stays_safe(task: Task, grub: TrialHost) -> None:
    task("armed")
    assert grub.boot(works=False) == "hearth-fallback"
    assert (
        grub.text("/proc/cmdline") == f"BOOT_IMAGE=/boot/vmlinuz-6.1.0-56-amd64 {RUNNING} hearth.fallback\n"
    )
    result = task.same("committed")
    assert (result["fell_back"], result["outcome"], result["armed"]) == (True, "fallback", True)
    assert "journalctl --boot=-1" in result["advice"]
    assert result["difference"] == f"with {WISH}"
    assert grub.boot() == "hearth-fallback", "the next boot is safe, too"


class TestPrediction:
    """In check mode neither the new menu nor the reboot of earlier tasks is there."""

    def foretell(self, task: Task, earlier: bool = False) -> list[dict[str, t.Any]]:
        """Run in check mode what the role reboot runs; earlier tasks may have changed what is configured."""
        before = task.grub.tree()
        found = [
            task("armed", check=True, diff=True, predict=earlier),
            task("committed", check=True, diff=True, predict=True),
        ]
        assert task.grub.tree() == before
        return found

    def really(self, task: Task, words: str) -> list[dict[str, t.Any]]:
        """Change what is configured, arm, reboot, and commit."""
        if task.grub.words != words:
            task.grub.words = words
            task.grub.generate()
        armed = task("armed", diff=True)
        assert task.grub.boot() == "hearth-trial"
        return [armed, task("committed", diff=True)]

    def same_actions(self, foretold: list[dict[str, t.Any]], real: list[dict[str, t.Any]]) -> None:
        assert [result["actions"] for result in foretold] == [result["actions"] for result in real]
        for key in ("changed", "outcome", "armed", "fell_back", "advice", "supported"):
            assert foretold[1][key] == real[1][key], key

    def test_a_trial_is_foretold_to_its_end(self, task: Task) -> None:
        foretold = self.foretell(task)
        real = self.really(task, WISH)
        self.same_actions(foretold, real)
        assert [result["actions"] for result in real] == [ARMING, COMMITTING]
        assert foretold == real, "with the menu as it is, the diff is the same as well"

    def test_the_menu_that_is_not_generated_yet_makes_no_difference(self, task: Task) -> None:
        task.grub.words = ""
        task.grub.generate()
        self.same_actions(self.foretell(task, earlier=True), self.really(task, WISH))

    @pytest.mark.parametrize("words", [WISH, "hugepages=3"])
    def test_a_new_trial_after_one_that_fell_back(self, task: Task, words: str) -> None:
        task("armed")
        task.grub.boot(works=False)
        foretold = self.foretell(task, earlier=words != WISH)
        self.same_actions(foretold, self.really(task, words))
        assert foretold[0]["actions"] == ARMING[:1] + ARMING[2:]

    @pytest.mark.parametrize("words", [WISH, "hugepages=3"])
    def test_a_new_trial_after_one_that_was_never_committed(self, task: Task, words: str) -> None:
        task("armed")
        task.grub.boot()
        self.same_actions(self.foretell(task, earlier=words != WISH), self.really(task, words))

    @pytest.mark.parametrize(("words", "actions"), [(WISH, []), ("hugepages=3", [ARMING[0], ARMING[2]])])
    def test_a_wish_that_changes_while_a_trial_waits(
        self, task: Task, words: str, actions: list[str]
    ) -> None:
        task("armed")
        foretold = self.foretell(task, earlier=words != WISH)
        self.same_actions(foretold, self.really(task, words))
        assert foretold[0]["actions"] == actions

    @pytest.mark.parametrize("words", [WISH, "hugepages=3"])
    @pytest.mark.parametrize("effects", range(5))
    def test_a_trial_that_a_killed_run_left(self, task: Task, effects: int, words: str) -> None:
        _killed(task.grub.host, "armed", effects)
        self.same_actions(self.foretell(task, earlier=words != WISH), self.really(task, words))

    def test_without_a_trial_nothing_is_foretold(self, task: Task) -> None:
        task.grub.probed.update(abstraction="lvm")
        for result in self.foretell(task, earlier=True):
            assert (result["supported"], result["changed"], result["actions"]) == (False, False, [])
            assert result["why"] == "/boot/grub is on lvm, which GRUB reads and cannot write"

    @pytest.mark.parametrize("state", ["armed", "committed", "withdrawn", "absent"])
    def test_a_prediction_is_refused_where_it_would_be_carried_out(self, task: Task, state: str) -> None:
        before = task.grub.tree()
        result = task(state, predict=True)
        assert (result["error"], task.grub.tree()) == ("Refusal", before)
        assert "in check mode only" in result["remedy"]

    def test_a_prediction_means_nothing_where_a_trial_is_taken_back(self, task: Task) -> None:
        assert "means nothing with state absent" in task("absent", check=True, predict=True)["msg"]


def test_after_a_trial_that_fell_back_a_new_wish_starts_over(task: Task, grub: TrialHost) -> None:
    task("armed")
    grub.boot(works=False)
    grub.words = "hugepages=3"
    grub.generate()
    again = task.predicted("armed")
    assert again["actions"] == ARMING[:1] + ARMING[2:], "the drop-in is as it was"
    assert again["trial"] == f"{RUNNING} hugepages=3 panic=30 hearth.trial"
    assert again["fallback"] == f"{RUNNING} hearth.fallback"
    assert grub.boot() == "hearth-trial"
    assert task("committed")["outcome"] == "trial"


def test_a_wish_that_is_withdrawn_after_it_fell_back_leaves_nothing(task: Task, grub: TrialHost) -> None:
    task("armed")
    grub.boot(works=False)
    assert task.predicted("absent")["actions"] == COMMITTING
    assert task.same("absent")["outcome"] == "none"
    assert grub.boot() == KERNEL


class TestNobodyAsksAnyMore:
    """After a fallback the ledger may be empty, and what did not start is configured all the same."""

    @pytest.fixture(autouse=True)
    def _before_this_boot(self, grub: TrialHost) -> None:
        long_ago = grub.host.now() - 3600.0
        os.utime(grub.root / "boot/initrd.img-6.1.0-56-amd64", (long_ago, long_ago))

    def test_what_did_not_start_and_is_configured_still_does_not_become_the_default(
        self, task: Task, grub: TrialHost
    ) -> None:
        task("armed")
        grub.boot(works=False)
        result = task.same("withdrawn")
        assert (result["fell_back"], result["armed"]) == (True, True)
        assert grub.boot() == "hearth-fallback"

    def test_it_is_taken_back_once_it_is_not_configured_any_more(self, task: Task, grub: TrialHost) -> None:
        task("armed")
        grub.boot(works=False)
        foretold = task("withdrawn", check=True, predict=True)["actions"]
        grub.words = ""
        grub.generate()
        assert task.predicted("withdrawn")["actions"] == COMMITTING == foretold
        assert grub.boot() == KERNEL

    def test_or_once_its_initial_ram_disk_was_built_anew(self, task: Task, grub: TrialHost) -> None:
        grub.keep_initrd(age_s=3600.0)
        task("armed")
        grub.boot(works=False)
        assert task.same("withdrawn")["armed"] is True
        grub.keep_initrd()
        assert task.predicted("withdrawn")["actions"] == COMMITTING

    def test_what_the_default_is_must_be_known(self, task: Task, grub: TrialHost) -> None:
        task("armed")
        grub.boot(works=False)
        grub.write("/etc/default/grub", "GRUB_DEFAULT=gone\n")
        assert task.same("withdrawn")["armed"] is True

    @pytest.mark.parametrize("boots", [0, 1])
    def test_a_trial_that_waits_or_came_back_goes(self, task: Task, grub: TrialHost, boots: int) -> None:
        task("armed")
        for _boot in range(boots):
            grub.boot()
        assert task.predicted("withdrawn")["actions"][-3:] == COMMITTING
        assert grub.boot() == KERNEL


def test_a_trial_that_has_not_begun_is_not_committed_and_can_be_taken_back(
    task: Task, grub: TrialHost
) -> None:
    before = grub.text(CFG)
    task("armed")
    assert task.same("committed")["advice"] == "the trial begins with the next reboot"
    result = task.predicted("absent")
    assert result["actions"] == [f"unset next_entry in {ENV}", *COMMITTING]
    assert (grub.text(CFG), grub.env()) == (before, {})


def test_a_boot_from_another_entry_proves_nothing(task: Task, grub: TrialHost) -> None:
    task("armed")
    grub.boot()
    grub.write("/proc/cmdline", f"BOOT_IMAGE=/boot/vmlinuz-6.1.0-56-amd64 {RUNNING} {WISH}\n")
    result = task.same("committed")
    assert (result["outcome"], result["armed"], result["fell_back"]) == ("other", True, False)
    assert "state=absent" in result["advice"]


def test_nothing_armed_is_nothing_to_commit(task: Task) -> None:
    result = task.same("committed")
    assert (result["outcome"], result["armed"], result["advice"]) == ("none", False, "")
    assert task.same("absent")["outcome"] == "none"


def test_a_kernel_that_comes_along_while_a_trial_waits_changes_nothing_about_it(
    task: Task, grub: TrialHost
) -> None:
    task("armed")
    grub.generate()
    assert task.same("armed")["outcome"] == "waiting"
    assert grub.boot() == "hearth-trial"


def test_a_trial_that_works_is_what_the_next_one_falls_back_to(task: Task, grub: TrialHost) -> None:
    task("armed")
    grub.boot()
    grub.words = f"{WISH} intel_iommu=on"
    grub.generate()
    again = task("armed")
    assert again["fallback"] == f"{RUNNING} {WISH} hearth.fallback", "without the panic of a trial"
    assert again["trial"] == f"{RUNNING} {WISH} intel_iommu=on panic=30 hearth.trial"


@pytest.mark.parametrize(("age_s", "kept"), [(10.0, True), (3600.0, False)])
def test_the_kept_initial_ram_disk_is_used_when_the_running_one_was_replaced(
    task: Task, grub: TrialHost, age_s: float, kept: bool
) -> None:
    grub.keep_initrd(age_s)
    task("armed")
    assert ("initrd.img-6.1.0-56-amd64.hearth-previous" in (grub.text(SCRIPT) or "")) is kept


def test_a_host_that_fell_back_goes_on_with_the_initial_ram_disk_it_fell_back_to(
    task: Task, grub: TrialHost
) -> None:
    grub.keep_initrd()
    task("armed")
    grub.boot(works=False)
    grub.keep_initrd(age_s=3600.0)
    task("armed")
    assert "initrd.img-6.1.0-56-amd64.hearth-previous" in (grub.text(SCRIPT) or "")


def test_so_it_does_when_the_trial_was_taken_back_in_between(task: Task, grub: TrialHost) -> None:
    """Nothing tells any more what the fallback started from; the other one may be what did not start."""
    grub.keep_initrd()
    task("armed")
    grub.boot(works=False)
    grub.keep_initrd(age_s=3600.0)
    task("absent")
    task("armed")
    assert "initrd.img-6.1.0-56-amd64.hearth-previous" in (grub.text(SCRIPT) or "")


def test_a_kept_initial_ram_disk_without_any_other_is_used(task: Task, grub: TrialHost) -> None:
    grub.keep_initrd()
    (grub.root / "boot/initrd.img-6.1.0-56-amd64").unlink()
    (grub.root / "proc/uptime").unlink()
    task("armed")
    assert "hearth-previous" in (grub.text(SCRIPT) or "")


def test_the_entry_that_the_operator_saved_is_the_one_on_trial(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    grub = TrialHost(tmp_path, "debian-12-many.cfg")
    grub.write("/etc/default/grub.d/operator.cfg", "GRUB_DEFAULT=saved\n")
    grub(["grub-editenv", ENV, "set", "saved_entry=1>3"])
    task = Task(grub, monkeypatch, capsys)
    task("armed")
    trial = grub_menu.find(grub_menu.parse_menu(grub.text(CFG) or ""), "hearth-trial")
    assert trial is not None and trial.kernel == "/boot/vmlinuz-6.1.0-56-amd64"
    assert task.same("armed")["armed"] is True, "our own default is not taken for the operator's"
    grub.boot()
    task("committed")
    assert grub.env() == {"saved_entry": "1>3"}


Spoil = t.Callable[[TrialHost], object]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda grub: (grub.root / "boot/grub/grub.cfg").unlink(), "there is no /boot/grub/grub.cfg"),
        (lambda grub: grub.write("/proc/cmdline", "root=/dev/vda1\n"), "was not started by GRUB"),
        (lambda grub: grub.write("/etc/kernel/proxmox-boot-uuids", "1234-5678\n"), "proxmox-boot-tool"),
        (
            lambda grub: grub.write(CFG, grub.base.replace("save_env next_entry", "")),
            "what is to be booted once",
        ),
        (
            lambda grub: grub.write("/etc/default/grub", "GRUB_DEFAULT='1>1'\n"),
            "'Debian GNU/Linux, with Linux",
        ),
        (lambda grub: grub.write(CFG, "save_env next_entry\n"), "the entry that boots by itself, ''"),
        (
            lambda grub: grub.write("/etc/default/grub.d/zzz.cfg", "GRUB_DEFAULT=2\n"),
            "zz-hearth-trial.cfg sets GRUB_DEFAULT=2",
        ),
        (lambda grub: grub.probed.update(abstraction="lvm"), "/boot/grub is on lvm"),
        (lambda grub: grub.probed.update(fs="btrfs"), "/boot/grub is on btrfs"),
        (lambda grub: grub.probed.update(fs="fails"), "cannot find a device"),
    ],
)
def test_a_host_that_cannot_boot_on_trial_says_why_and_stays_as_it_is(
    task: Task, grub: TrialHost, spoil: Spoil, why: str
) -> None:
    spoil(grub)
    result = task.same("armed")
    assert (result["supported"], result["armed"]) == (False, False)
    assert why in result["why"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda grub: grub(["grub-editenv", ENV, "set", "next_entry=windows"]),
            "Somebody has told GRUB to boot 'windows'",
        ),
        (lambda grub: grub.write(ENV, "half"), "is no environment block"),
        (lambda grub: grub.write(CFG, "menuentry {"), "is never closed"),
        (lambda grub: grub.write("/etc/default/grub", "exit 1\n"), "ends the shell that reads it"),
        (
            lambda grub: (grub.root / "etc/grub.d/42_hearth").mkdir(parents=True),
            "make /etc/grub.d/42_hearth readable",
        ),
    ],
)
def test_what_is_not_understood_or_not_ours_is_refused_before_the_first_write(
    task: Task, grub: TrialHost, spoil: Spoil, message: str
) -> None:
    spoil(grub)
    before = grub.tree()
    result = task("armed")
    assert result["failed"] is True and message in result["msg"]
    assert grub.tree() == before


def test_a_trial_whose_panic_waits_for_ever_is_refused(task: Task, grub: TrialHost) -> None:
    before = grub.tree()
    assert "such as 30" in task("armed", panic=0)["msg"]
    assert grub.tree() == before
    assert "panic=5 hearth.trial" in task("armed", panic=5)["trial"]


def test_a_one_shot_of_the_operator_survives_that_a_trial_is_taken_back(task: Task, grub: TrialHost) -> None:
    task("armed")
    grub(["grub-editenv", ENV, "set", "next_entry=windows"])
    assert task("absent")["actions"] == COMMITTING
    assert grub.env() == {"next_entry": "windows"}


def test_a_script_that_somebody_switched_off_is_switched_on_again(task: Task, grub: TrialHost) -> None:
    task("armed")
    (grub.root / SCRIPT.lstrip("/")).chmod(0o644)
    grub.generate()
    assert task("armed")["actions"] == [ARMING[0], ARMING[2]]
    assert "hearth-trial" in (grub.text(CFG) or "")


def test_the_diff_shows_what_boots(task: Task) -> None:
    diff = task.predicted("armed")["diff"]
    assert diff["before"] == ""
    assert diff["after"].startswith("boots once: hearth-trial\nboots by itself: hearth-fallback\n#!/bin/sh\n")


# What the host boots when the run was killed after so many effects, and its power then goes.
@pytest.mark.parametrize(
    ("effects", "boots"),
    [(0, KERNEL), (1, KERNEL), (2, KERNEL), (3, "hearth-fallback"), (4, "hearth-trial")],
)
def test_sigkill_while_arming_boots_something_sane_and_the_next_run_converges(
    grub: TrialHost, effects: int, boots: str
) -> None:
    _killed(grub.host, "armed", effects)
    assert grub.boot() == boots
    result = _run(grub.host, "committed")
    assert (
        result["outcome"] == {0: "none", 1: "unfinished", 2: "unfinished", 3: "fallback", 4: "trial"}[effects]
    )
    assert result["armed"] is (effects == 3)
    _run(grub.host, "armed")
    assert _run(grub.host, "armed")["changed"] is False
    assert grub.boot() == "hearth-trial"


@pytest.mark.parametrize("effects", range(4))
def test_sigkill_while_arming_and_the_next_run_arms_as_if_nothing_had_been(
    grub: TrialHost, effects: int
) -> None:
    _killed(grub.host, "armed", effects)
    assert _run(grub.host, "armed")["actions"] == ARMING[effects:] or effects in (1, 2)
    assert _run(grub.host, "armed")["changed"] is False
    assert grub.boot() == "hearth-trial"


@pytest.mark.parametrize("rebooted", [False, True])
@pytest.mark.parametrize("effects", range(4))
def test_sigkill_while_committing_is_finished_by_the_next_run(
    grub: TrialHost, effects: int, rebooted: bool
) -> None:
    _run(grub.host, "armed")
    grub.boot()
    _killed(grub.host, "committed", effects)
    if rebooted:
        assert grub.boot() == (KERNEL if effects == 3 else "hearth-fallback")
    result = _run(grub.host, "committed")
    # Rebooted before the first effect, the host is on its fallback, and has not proven anything since.
    assert result["armed"] is (rebooted and effects == 0)
    assert _run(grub.host, "committed")["changed"] is False
    if not result["armed"]:
        assert "hearth" not in (grub.text(CFG) or "") and grub.boot() == KERNEL


def _run(host: Host, state: str, dies_after: int = -1) -> dict[str, t.Any]:
    gate = Gate(host, check_mode=False, lock=no_lock)
    perform = gate._perform

    def deadly(action: Action) -> None:
        if len(gate.actions) - 1 == dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
        perform(action)

    gate._perform = deadly  # type: ignore[method-assign]
    result = BootTrial({"state": state, "panic": 30, "predict": False}, host).execute(gate)
    if dies_after >= 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return result


def _killed(host: Host, state: str, effects: int) -> None:
    child = os.fork()
    if child == 0:
        try:
            _run(host, state, dies_after=effects)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
