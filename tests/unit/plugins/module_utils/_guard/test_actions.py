# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How modules arm the guard, look what waits, and refuse; the guard itself runs for real."""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate, Run, WriteFile
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    CommandError,
    EffectError,
    Refusal,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._guard import actions, script
from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.model import Pending
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

WAITS = Pending("firewall-1", "firewall", "ann", 1700000000.0, 1700000090.0, True, "armed", 43)


def test_arming_lays_the_program_its_unit_and_the_folder(guarded) -> None:
    guarded.systemd()
    guarded.arm(files={"rules4": "-A x\n", "snapshot/jumps": "no line end"})
    read = guarded.host.read
    assert read(script.PROGRAM).text == script.GUARD and read(script.UNIT_FILE).text == script.UNIT
    assert os.access(guarded.host.path(script.PROGRAM), os.X_OK)
    assert guarded.host.target(script.COMMAND) == script.PROGRAM
    assert guarded.host.target(script.WANTED_BY) == script.UNIT_FILE
    folder = guarded.folder()
    assert (folder / "rules4").read_text() == "-A x\n"
    assert (folder / "snapshot/jumps").read_text() == "no line end"
    assert guarded.folder(state="").parent.stat().st_mode & 0o777 == 0o700
    assert guarded.host.listdir("/var/lib/hearth/guard/new") == []


def test_a_host_that_never_has_systemd_gets_no_unit(guarded) -> None:
    guarded.arm()
    assert not guarded.host.exists(script.UNIT_FILE)


def test_what_is_there_already_is_not_written_again(guarded) -> None:
    actions.install(guarded.host)
    before = os.stat(guarded.host.path(script.PROGRAM)).st_ino
    actions.install(guarded.host)
    assert os.stat(guarded.host.path(script.PROGRAM)).st_ino == before


def test_the_description_is_the_same_in_every_run(guarded) -> None:
    one, two = (actions.Arm(guarded.spec(90), token, "ann") for token in ("firewall-1", "firewall-2"))
    assert one.describe() == two.describe() == "guard the change of firewall for 90 s"
    assert "firewall-1" not in one.undo().describe()


@pytest.mark.parametrize("how", ["no timer", "lazy"])
def test_a_timer_that_does_not_run_stops_the_change_before_it_is_made(guarded, how: str) -> None:
    guarded.systemd()
    guarded.write("no-timers" if how == "no timer" else "lazy", "")
    with pytest.raises(EffectError, match="not armed, so nothing was changed: .*the dead man does not wait"):
        guarded.arm()
    assert guarded.pending() == [] and guarded.holds() == []


def test_systemd_run_without_systemd_is_not_believed(guarded) -> None:
    guarded.stub("systemd-run", "#!/bin/sh\nexit 0\n")
    guarded.arm()
    assert (guarded.folder() / "guard.by").read_text() != "systemd\n"
    assert guarded.pending() == [("firewall-1", "armed", True)]


def test_a_missing_tool_is_named(guarded) -> None:
    for name in ("sh", "id", "cat", "mkdir"):
        (guarded.root / "stubs" / name).symlink_to(f"/bin/{name}")
    limited = script.GUARD.replace("}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "}")
    guarded.write(script.PROGRAM.lstrip("/"), limited).chmod(0o755)
    done = guarded.run((script.PROGRAM, "arm", "firewall-1"), check=False)
    assert done.rc == 1 and "flock is missing (util-linux)" in done.err


def test_a_full_disk_while_arming_leaves_nothing_armed(guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    actions.install(guarded.host)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    gate = Gate(guarded.host, check_mode=False)
    plan = [actions.Arm(guarded.spec(), "firewall-1", "ann"), WriteFile("/live", "new")]
    with pytest.raises(EffectError, match="Cannot guard the change of firewall.*No space left"):
        gate.apply(plan)
    assert gate.actions == ["guard the change of firewall for 60 s"] and gate.rollback["ok"] is True
    assert guarded.pending() == [] and guarded.host.listdir("/var/lib/hearth/guard/new") == []


def test_what_fails_after_arming_is_taken_back_at_once(guarded) -> None:
    def broken(argv, **options):
        if argv[0] != script.PROGRAM:
            raise CommandError("iptables-restore: line 3 failed")
        return guarded.run(argv, **options)

    host = dataclasses.replace(guarded.host, run=broken)
    gate = Gate(host, check_mode=False)
    guarded.write("live", "half\n")
    with pytest.raises(CommandError) as failed:
        gate.apply([actions.Arm(guarded.spec(), "firewall-1", "ann"), Run(("hearth-firewall", "load"))])
    assert failed.value.message == "iptables-restore: line 3 failed What was done before was taken back."
    assert guarded.text("live") == "old\n" and guarded.pending() == []
    assert guarded.result() == "rolled back"


def test_a_rollback_that_fails_is_told(guarded) -> None:
    guarded.systemd()
    guarded.arm(rollback="echo no >&2; exit 1\n")
    with pytest.raises(EffectError, match="CANNOT BE TAKEN BACK"):
        actions.TakeBack("firewall-1", "firewall").perform(guarded.host)


def test_a_guard_that_could_not_even_be_installed_has_nothing_to_take_back(guarded, monkeypatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(actions._textfile, "replace", full)
    gate = Gate(guarded.host, check_mode=False)
    with pytest.raises(EffectError, match="No space left"):
        gate.apply([actions.Arm(guarded.spec(), "firewall-1", "ann")])
    assert (gate.rollback["ok"], gate.rollback["failed"]) == (True, [])


def test_check_mode_arms_nothing(guarded) -> None:
    gate = Gate(guarded.host, check_mode=True)
    gate.apply([actions.Arm(guarded.spec(), "firewall-1", "ann")])
    assert gate.actions == ["guard the change of firewall for 60 s"]
    assert not (guarded.root / "var").exists() and not (guarded.root / "usr").exists()


def test_a_second_change_is_refused_by_the_host_itself(guarded) -> None:
    guarded.arm()
    with pytest.raises(Refusal, match="another change waits to be decided: firewall-1"):
        actions.Arm(guarded.spec(what="bridge"), "bridge-1", "bob").perform(guarded.host)


def test_nothing_waiting_costs_no_process() -> None:
    def never(argv, **_options):
        raise AssertionError(argv)

    assert actions.read_pending(Host(root="/nonexistent", run=never)) == ()


def test_a_refusal_names_who_since_when_and_the_way_out() -> None:
    with pytest.raises(Refusal) as refused:
        actions.refuse_pending([WAITS], "bridge")
    assert refused.value.message == (
        "bridge is not changed while a change of firewall by ann, made at 2023-11-14 22:13:20 UTC,"
        " was not confirmed; 43 s are left."
    )
    assert refused.value.remedy == "wait, or end it now on the host: hearth-guard rollback firewall-1"
    assert refused.value.details["pending"]["token"] == "firewall-1"
    actions.refuse_pending([], "bridge")


# linux-system-roles/network#154, #190: a failed run left a checkpoint, and later runs died of it without a word.
@pytest.mark.parametrize(
    ("state", "says", "verb"),
    [
        ("armed", "was not confirmed, and nobody is left", "rollback"),
        ("undoing", "is not taken back yet, and nobody is left", "rollback"),
        ("confirming", "is not kept yet, and nobody is left", "confirm"),
    ],
)
def test_what_a_dead_run_left_is_refused_by_name(state: str, says: str, verb: str) -> None:
    dead = dataclasses.replace(WAITS, armed=False, state=state, who="")
    with pytest.raises(Refusal, match=says) as refused:
        actions.refuse_pending([dead], "firewall")
    assert "by somebody" in refused.value.message
    assert refused.value.remedy == f"end it on the host: hearth-guard {verb} firewall-1"


def test_what_a_dead_run_left_is_settled_and_what_still_waits_is_not(guarded) -> None:
    guarded.systemd()
    guarded.arm()
    gate = Gate(guarded.host, check_mode=False)
    actions.settle_dead(gate, guarded.host)
    assert gate.actions == [] and guarded.text("live") == "new\n"
    (guarded.root / "timers/hearth-guard-firewall-1.timer").unlink()
    actions.settle_dead(gate, guarded.host)
    assert gate.actions == ["end the change of firewall that a dead run left behind"]
    assert guarded.text("live") == "old\n" and guarded.pending() == []
    assert "the run that made it died" in actions.read_outcome(guarded.host, "firewall").why


def test_the_fact_for_the_controller_names_the_commands(guarded) -> None:
    fact = actions.guard_fact(guarded.spec(90), "firewall-1", 1700000000.0)
    assert fact == {
        "token": "firewall-1",
        "what": "firewall",
        "window_s": 90,
        "deadline": "2023-11-14 22:14:50 UTC",
        "confirm": ["/usr/local/libexec/hearth-guard", "confirm", "firewall-1"],
        "rollback": ["/usr/local/libexec/hearth-guard", "rollback", "firewall-1"],
    }


def test_an_answer_that_does_not_name_the_change_as_armed_is_no_answer(tmp_path: pathlib.Path) -> None:
    host = Host(root=str(tmp_path), run=lambda argv, **_options: Completed(0, "", ""))
    with pytest.raises(EffectError, match="it does not say why"):
        actions.Arm(actions.Spec("firewall", 9, {}, "", ""), "firewall-1", "ann").perform(host)
