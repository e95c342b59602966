# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real ``main()`` of reboot_request on a host that boots."""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_reboot"))

from machine import Machine

from ansible_collections.hearth.gpu_host.plugins.module_utils import _lock, _module, _textfile
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.book import BOOT_ID
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.holders import HOLDS
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.ledger import FACT_FILE, LEDGER
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.look import TRIAL_FILES
from ansible_collections.hearth.gpu_host.plugins.modules import reboot_request

PROM = "/var/lib/hearth/metrics/hearth_reboot.prom"
WRITTEN = [f"write {path} (0644)" for path in (LEDGER, FACT_FILE, PROM)]
REMOVED = [f"remove {path}" for path in (LEDGER, FACT_FILE, PROM)]
PAGES = {
    "name": "huge-pages",
    "reason": "huge pages of 1 GiB",
    "requested_by": "vfio",
    "expect": {"present": ["hugepagesz=1G", "hugepages=2"]},
}
ANY_BOOT = {"name": "firmware", "reason": "new firmware"}
EFFECTIVE = "hugepagesz=1G hugepages=2"


class Task:
    """Runs the module's real main() on an injected root."""

    def __init__(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.machine = machine
        self._capsys = capsys
        monkeypatch.setattr(_module, "Host", lambda: machine.host)

    def __call__(self, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            reboot_request.main()
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return {key: value for key, value in result.items() if key != "invocation"}

    def predicted(self, **options: t.Any) -> dict[str, t.Any]:
        """Run in check mode, which may touch nothing, then for real; both must say the same."""
        before = self.machine.tree()
        foretold = self(check=True, **options)
        assert self.machine.tree() == before
        result = self(**options)
        assert foretold == result
        return result

    def settle(self, **options: t.Any) -> dict[str, t.Any]:
        return self.predicted(state="settled", **options)


@pytest.fixture
def task(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    monkeypatch.delenv(_lock.PLAY_VARIABLE, raising=False)
    return Task(Machine(tmp_path), monkeypatch, capsys)


def names(requests: list[dict[str, t.Any]]) -> list[str]:
    return [request["name"] for request in requests]


def test_enter_boot_settle_and_nothing_is_left(task: Task) -> None:
    result = task.predicted(**PAGES)
    assert (result["actions"], names(result["pending"])) == (WRITTEN, ["huge-pages"])
    assert result["requests"][0]["boot_id"] == "boot-1"
    assert result["requests"][0]["since"] == "2027-01-15T08:10:00Z"
    assert result["diff"]["after"] == "reboot asked for by vfio: huge pages of 1 GiB\n"
    assert task.predicted(**PAGES)["changed"] is False
    waiting = task.settle()
    assert (waiting["changed"], names(waiting["pending"])) == (False, ["huge-pages"])
    task.machine.boot(EFFECTIVE)
    done = task.settle()
    assert (done["actions"], names(done["fulfilled"]), done["requests"]) == (REMOVED, ["huge-pages"], [])
    assert task.machine.ours() == {}
    assert task.settle()["changed"] is False


def test_driver_role_20_the_reboot_is_not_lost_when_the_run_aborts_after_the_change(task: Task) -> None:
    """The signal is a file on the host, and no fact of the run that died."""
    task(**PAGES)
    assert names(task.settle()["pending"]) == ["huge-pages"], "another run, which changed nothing, knows it"


def test_edpm_298_and_610_what_is_asked_for_stays_asked_for_until_it_is_seen(task: Task) -> None:
    """A boot that came and did not help is no reason to forget the wish."""
    task(**PAGES)
    task.machine.boot("hugepages=2")
    for _run in range(2):
        result = task.settle()
        assert (names(result["pending"]), names(result["unfulfilled"])) == ([], ["huge-pages"])
        assert result["unfulfilled"][0]["lacking"] == ["hugepagesz=1G hugepages=2 is not in /proc/cmdline"]
        assert "root=/dev/vda1 ro hugepages=2" in result["cmdline"]


def test_mig_parted_9_a_mode_that_needs_a_boot_is_proven_by_the_mode_itself(task: Task) -> None:
    """No boot that came is success: what the request expects is read from the running system."""
    mode = "/sys/module/nvidia/parameters/mode"
    task.machine.write(mode, "N\n")
    check = {"path": mode, "operator": "equals", "value": "1", "label": "MIG mode"}
    task(name="mig", reason="MIG mode changes at a reset", expect={"checks": [check]})
    task.machine.boot("")
    assert task.settle()["unfulfilled"][0]["lacking"] == [f"MIG mode: {mode} is 'N', expected equals '1'"]
    task.machine.write(mode, "Y\n")
    assert names(task.settle()["fulfilled"]) == ["mig"]


def test_never_twice_for_the_same_wish_unless_what_fulfils_it_was_changed(task: Task) -> None:
    task(**PAGES)
    task.machine.boot("")
    again = task.predicted(**PAGES)
    assert (again["changed"], names(again["unfulfilled"])) == (False, ["huge-pages"])
    anew = task.predicted(**PAGES, renew=True)
    assert (anew["changed"], names(anew["pending"])) == (True, ["huge-pages"])
    assert names(task.settle()["pending"]) == ["huge-pages"]


def test_a_machine_that_reboots_by_itself_fulfils_the_wish(task: Task) -> None:
    task(**PAGES)
    task(**ANY_BOOT)
    task.machine.boot(EFFECTIVE)
    assert names(task.settle()["fulfilled"]) == ["firmware", "huge-pages"]


def test_what_is_in_effect_asks_for_nothing(task: Task) -> None:
    task.machine.boot(EFFECTIVE)
    result = task.predicted(**PAGES)
    assert (result["changed"], result["requests"]) == (False, [])
    assert task.machine.ours() == {}


def test_what_came_into_effect_leaves_the_ledger_when_it_is_asked_for_again(task: Task) -> None:
    task(**PAGES)
    task.machine.boot(EFFECTIVE)
    result = task.predicted(**PAGES)
    assert (result["actions"], names(result["fulfilled"])) == (REMOVED, ["huge-pages"])


def test_a_wish_for_any_boot_is_not_swallowed_by_an_older_one_that_is_done(task: Task) -> None:
    """The older one was fulfilled by a boot that nobody has looked at since."""
    task(**ANY_BOOT)
    task.machine.boot("")
    result = task.predicted(**ANY_BOOT)
    assert (names(result["pending"]), result["requests"][0]["boot_id"]) == (["firmware"], "boot-2")
    assert task.predicted(**ANY_BOOT)["changed"] is False


def test_falling_back_is_no_boot_of_what_is_configured(task: Task) -> None:
    task(**ANY_BOOT)
    task.machine.boot("hearth.fallback")
    (found,) = task.settle()["unfulfilled"]
    assert found["lacking"] == [
        "the host fell back to what it ran with before, and has not booted what is configured"
    ]
    task.machine.boot("")
    assert names(task.settle()["fulfilled"]) == ["firmware"]


def test_withdraw_one_and_then_all(task: Task) -> None:
    task(**PAGES)
    task(**ANY_BOOT)
    task(name="other", reason="x")
    result = task.predicted(name="firmware", state="absent")
    assert [(item["name"], item["status"]) for item in result["requests"]] == [("firmware", "withdrawn")]
    assert names(task.settle()["pending"]) == ["huge-pages", "other"]
    assert task.predicted(name="firmware", state="absent")["changed"] is False
    assert names(task.predicted(state="cleared")["requests"]) == ["huge-pages", "other"]
    assert task.machine.ours() == {}
    assert task.predicted(state="cleared")["changed"] is False


def test_an_unreadable_boot_id_neither_reboots_nor_settles(task: Task) -> None:
    task(**PAGES)
    task(**ANY_BOOT)
    task.machine.boot(EFFECTIVE)
    task.machine.blind(BOOT_ID)
    result = task.settle()
    assert (result["changed"], result["pending"], result["fulfilled"]) == (False, [], [])
    assert names(result["undecided"]) == ["firmware", "huge-pages"]


class TestPrediction:
    """In check mode the ledger lacks what earlier tasks would have entered."""

    def test_planned_requests_count_as_if_they_were_in_the_ledger(self, task: Task) -> None:
        planned = task(check=True, **PAGES)["requests"]
        result = task(check=True, state="settled", planned=planned)
        assert (result["changed"], names(result["pending"])) == (False, ["huge-pages"])
        task(**PAGES)
        assert task(state="settled")["pending"] == result["pending"]

    def test_after_a_predicted_reboot_the_same_actions_follow_as_after_a_real_one(self, task: Task) -> None:
        task(**ANY_BOOT)
        planned = task(check=True, **PAGES)["requests"]
        foretold = task(check=True, state="settled", planned=planned, predict=True)
        assert names(foretold["fulfilled"]) == ["firmware", "huge-pages"]
        task(**PAGES)
        task.machine.boot(EFFECTIVE)
        done = task(state="settled")
        assert (done["actions"], done["diff"]) == (foretold["actions"], foretold["diff"])

    def test_a_change_by_an_earlier_task_is_told_from_a_wish_that_stays_as_it_was(self, task: Task) -> None:
        def foretold(**options: t.Any) -> bool:
            planned = task(check=True, **options)["requests"]
            found: bool = task(check=True, state="settled", planned=planned)["foretold"]
            return found

        assert foretold(**PAGES) is True
        task(**PAGES)
        assert task.settle()["foretold"] is False
        assert foretold(**PAGES) is False
        assert foretold(**{**PAGES, "expect": {"present": ["hugepagesz=1G", "hugepages=3"]}}) is True
        task.machine.clock += 60
        assert foretold(**PAGES, renew=True) is True
        assert foretold(name="huge-pages", state="absent") is False

    def test_a_request_that_an_earlier_task_takes_out_is_not_taken_out_twice(self, task: Task) -> None:
        task(**PAGES)
        task(**ANY_BOOT)
        planned = task(check=True, name="huge-pages", state="absent")["requests"]
        result = task(check=True, state="settled", planned=planned)
        assert (result["changed"], names(result["requests"])) == (False, ["firmware"])
        planned += task(check=True, name="firmware", state="absent")["requests"]
        result = task(check=True, state="settled", planned=planned)
        assert (result["changed"], result["requests"]) == (False, [])

    def test_a_failed_request_is_not_predicted_to_succeed(self, task: Task) -> None:
        task(**PAGES)
        task.machine.boot("")
        assert names(task(check=True, state="settled", predict=True)["unfulfilled"]) == ["huge-pages"]

    @pytest.mark.parametrize("options", [{"predict": True}, {"planned": [{}]}])
    def test_a_prediction_is_refused_where_it_would_be_carried_out(
        self, task: Task, options: dict[str, t.Any]
    ) -> None:
        task(**PAGES)
        before = task.machine.tree()
        result = task(state="settled", **options)
        assert result["error"] == "Refusal"
        assert "in check mode only" in result["remedy"]
        assert task.machine.tree() == before

    def test_a_prediction_means_nothing_without_settling(self, task: Task) -> None:
        assert (
            "mean nothing with state absent"
            in task(check=True, state="absent", name="x", predict=True)["msg"]
        )

    @pytest.mark.parametrize("planned", [[{}], [{"name": "x"}], [{"expect": 1}]])
    def test_what_is_no_request_is_refused(self, task: Task, planned: list[t.Any]) -> None:
        assert "planned is no request" in task(check=True, state="settled", planned=planned)["msg"]


class TestHolders:
    """Who holds a reboot back is looked for when there is one to hold back."""

    def test_guests_and_notes_are_named(self, task: Task) -> None:
        task(**PAGES)
        task.machine.start_libvirt("web1")
        task.machine.write(f"{HOLDS}/firewall", "not confirmed yet")
        assert task.settle()["holders"] == [
            {"name": "firewall", "reason": "not confirmed yet"},
            {"name": "guest:web1", "reason": "the guest runs (libvirt)"},
        ]

    def test_planned_requests_count(self, task: Task) -> None:
        planned = task(check=True, **PAGES)["requests"]
        task.machine.start_libvirt("web1")
        assert names(task(check=True, state="settled", planned=planned)["holders"]) == ["guest:web1"]

    def test_nobody_is_looked_for_when_nothing_waits(self, task: Task) -> None:
        task.machine.start_libvirt("web1")
        assert task.settle()["holders"] == []
        assert task.machine.called == []


@pytest.mark.parametrize("path", TRIAL_FILES)
def test_an_armed_trial_is_seen(task: Task, path: str) -> None:
    assert task.settle()["trial"] is False
    task.machine.write(path, "")
    assert task.settle()["trial"] is True


def test_a_host_that_fell_back_says_so(task: Task) -> None:
    task.machine.boot("not.hearth.fallback")
    assert task.settle()["fell_back"] is False
    task.machine.boot("hearth.fallback")
    assert task.settle()["fell_back"] is True


def test_whether_a_play_holds_the_host_is_known(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    assert task.settle()["play"] is False
    monkeypatch.setenv(_lock.PLAY_VARIABLE, "boot/1/2/3")
    assert task.settle()["play"] is True


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "missing: name, reason"),
        ({"name": "x"}, "missing: reason"),
        ({"state": "absent"}, "missing: name"),
        ({"state": "latest"}, "value of state must be one of"),
        ({**ANY_BOOT, "name": "Firmware!"}, "the name is 'Firmware!'"),
        ({**ANY_BOOT, "expect": {}}, "expect is empty"),
        ({**ANY_BOOT, "expect": {"present": [], "boot": False}}, "expect is empty"),
        ({**ANY_BOOT, "expect": {"present": ["hugepagesz=1G"]}}, "hugepagesz=1G has no count"),
        (
            {**ANY_BOOT, "expect": {"checks": [{"path": "/x", "operator": "matches", "value": "("}]}},
            "no regular expression",
        ),
        ({**ANY_BOOT, "expect": {"checks": [{"path": "x", "operator": "filled"}]}}, "an absolute path"),
        ({**ANY_BOOT, "expect": {"checks": [{"path": "/x"}]}}, "missing required arguments: operator"),
        ({**ANY_BOOT, "metrics_dir": "metrics"}, "metrics_dir is 'metrics'"),
    ],
)
def test_bad_input_is_one_clear_error_and_changes_nothing(
    task: Task, options: dict[str, t.Any], said: str
) -> None:
    before = task.machine.tree()
    result = task(**options)
    assert result["failed"] is True
    assert said in result["msg"]
    assert "Traceback" not in str(result.get("exception") or "")
    assert task.machine.tree() == before


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda text: text[: len(text) // 2], "JSONDecodeError"),
        (lambda text: text.replace("2027-01-15T08:10:00Z", "last week"), "since is 'last week'"),
        (lambda text: text.replace('"boot-1"', "1"), "boot_id is 1"),
    ],
)
@pytest.mark.parametrize("state", ["settled", "cleared"])
def test_a_corrupt_or_hand_edited_ledger_is_one_clear_error(
    task: Task, edit: t.Callable[[str], str], said: str, state: str
) -> None:
    task(**PAGES)
    task.machine.write(LEDGER, edit(task.machine.text(LEDGER)))
    before = task.machine.tree()
    result = task(state=state)
    assert f"{LEDGER} is broken" in result["msg"] and said in result["msg"]
    assert "then remove" in result["remedy"]
    assert task.machine.tree() == before


def test_a_full_disk_is_one_clear_error_and_the_wish_is_not_lost(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    task(**PAGES)

    def full(*unused: t.Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(_textfile, "_put", full)
        result = task(**ANY_BOOT)
    assert result["error"] == "EffectError"
    assert "No space left on device" in result["msg"] and "Traceback" not in str(
        result.get("exception") or ""
    )
    assert names(task.settle()["pending"]) == ["huge-pages"]
    assert names(task.predicted(**ANY_BOOT)["pending"]) == ["firmware"]
