# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guard, run for real: what each end of a change does, and what it says."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import time

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._guard import actions, script

OUTSIDE = "usr/local/libexec/hearth-guard"


def wait_until(true, patience_s: float = 60.0) -> None:
    end = time.monotonic() + patience_s
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    assert true()


def test_it_is_plain_posix_sh() -> None:
    checker = shutil.which("shellcheck") or pytest.skip("shellcheck is not installed")
    done = subprocess.run(
        [checker, "-s", "sh", "-"], input=script.GUARD, capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def test_what_is_confirmed_stays_and_is_kept(either) -> None:
    token = either.arm()
    assert either.pending() == [(token, "armed", True)]
    assert either.holds() == ["guard-firewall"]
    assert either("confirm", token) == (0, "confirmed\n")
    assert (either.text("live"), either.text("boot"), either.text("rolled")) == ("new\n", "new\n", "")
    assert either.pending() == [] and either.holds() == [] and either.result() == "confirmed"
    assert list((either.root / "timers").iterdir()) == []


@pytest.mark.parametrize(
    ("arrived_by", "words", "proof"),
    [
        ("192.0.2.9 50001 192.0.2.1 22", (), "by a new connection from 192.0.2.9"),
        ("192.0.2.7 50000 192.0.2.1 22", ("tcp",), "by tcp"),
        ("", (), "by command"),
    ],
)
def test_what_proved_it_is_noted_as_it_was_measured(guarded, arrived_by: str, words, proof: str) -> None:
    guarded.systemd()
    token = guarded.arm()
    guarded.arrived_by = arrived_by
    guarded.run((script.PROGRAM, "confirm", token, *words))
    noted = actions.read_outcome(guarded.host, "firewall").why
    # Whoever runs this test over SSH is an ancestor of what it starts.
    assert noted == proof or ("SSH_CONNECTION" in os.environ and not arrived_by)


def test_an_answer_that_was_lost_is_given_again(either) -> None:
    token = either.arm()
    either("confirm", token)
    code, said = either("confirm", token)
    assert code == 0 and said.startswith("confirmed at 20")


def test_what_nobody_confirms_is_taken_back_in_time(guarded) -> None:
    begun = time.monotonic()
    token = guarded.arm(window_s=3)
    assert guarded.text("live") == "new\n"
    wait_until(lambda: guarded.result() == "rolled back")
    assert time.monotonic() - begun >= 2.0, "not before its time"
    assert (guarded.text("live"), guarded.text("boot"), guarded.text("rolled")) == ("old\n", "old\n", "now\n")
    assert guarded("confirm", token)[0] == 3
    assert "nobody confirmed it within 3 s" in guarded("confirm", token)[1]
    wait_until(lambda: "taken back: nobody confirmed it within 3 s" in guarded.text("log"))
    assert guarded.pending() == [] and guarded.holds() == []


def test_the_timer_of_systemd_is_monotonic_and_named_after_the_change(guarded) -> None:
    guarded.systemd()
    guarded.arm(window_s=90)
    (line,) = (line for line in guarded.text("said").splitlines() if line.startswith("systemd-run"))
    # --on-active counts the monotonic clock; --on-calendar would follow whoever sets the time.
    assert "--unit=hearth-guard-firewall-1 --on-active=90s" in line and "--on-calendar" not in line
    assert line.endswith(f"{guarded.root}/{OUTSIDE} expire firewall-1")
    assert guarded("expire", "firewall-1")[0] == 0
    assert guarded.text("live") == "old\n"


def test_the_detached_wait_is_no_child_of_the_session_and_keeps_no_lock(guarded) -> None:
    token = guarded.arm()
    pid, start = (guarded.folder() / "guard.by").read_text().split()
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    # Session leader, so that the end of ours does not reach it.
    assert fields[3] == pid and fields[19] == start
    assert (
        subprocess.run(
            ["flock", "-n", str(guarded.root / "run/hearth/guard.lock"), "true"], check=False
        ).returncode
        == 0
    )
    # A sandbox may lack the capability to spare a process; then it is as it was.
    allowed = "echo -500 > /proc/$$/oom_score_adj 2> /dev/null; cat /proc/$$/oom_score_adj"
    spared = subprocess.run(["sh", "-c", allowed], capture_output=True, text=True, check=False).stdout
    assert pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text() == spared
    assert guarded("confirm", token)[0] == 0
    wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists())


def test_a_pid_that_was_given_to_another_process_is_not_the_one_who_waits(guarded) -> None:
    guarded.arm()
    (guarded.folder() / "guard.by").write_text("1 4\n")
    assert guarded.pending() == [("firewall-1", "armed", False)]


def test_the_connection_of_the_change_itself_proves_nothing(either) -> None:
    token = either.arm()
    same = either.popen("confirm", token)
    either.arrived_by = "192.0.2.7 50000 192.0.2.1 22"
    same.communicate()
    assert same.returncode == 5
    assert either.run((script.PROGRAM, "confirm", token), check=False).rc == 5
    assert either.pending() == [(token, "armed", True)]
    assert either.run((script.PROGRAM, "confirm", token, "tcp")).out == "confirmed\n"


def test_a_login_is_seen_through_sudo(guarded) -> None:
    token = guarded.arm()
    # sudo drops the variable; the shell above it has it.
    inner = f"env -u SSH_CONNECTION {guarded.root}/{OUTSIDE} confirm {token}; exit $?"
    done = subprocess.run(
        ["sh", "-c", inner], env=guarded.environ(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, "proves nothing" in done.stdout) == (5, True)


def test_a_person_takes_it_back_at_the_console(either) -> None:
    token = either.arm()
    assert f"hearth-guard rollback {token}" in either()[1]
    code, said = either("rollback", token, "ann saw it fail")
    assert code == 0 and said.startswith("rolled back")
    assert either.text("live") == "old\n" and either.result() == "rolled back"
    assert either("rollback", token)[0] == 0, "once more is no error"
    assert either("confirm", token)[0] == 3
    assert either("list")[1].splitlines()[0] == "Nothing waits to be confirmed."
    assert "ann saw it fail" in either("list")[1]


def test_what_was_confirmed_is_not_taken_back(either) -> None:
    token = either.arm()
    either("confirm", token)
    assert either("rollback", token)[0] == 3
    assert either.text("live") == "new\n"


@pytest.mark.parametrize("verb", ["confirm", "rollback", "forget"])
def test_an_unknown_change_is_said_to_be_unknown(guarded, verb: str) -> None:
    guarded("confirm", guarded.arm())
    code, said = guarded(verb, "firewall-2")
    assert code == 4 and said.startswith("unknown")


@pytest.mark.parametrize(
    "words",
    [("confirm",), ("confirm", "../x"), ("confirm", "-x"), ("dance",), ("list", "more"), ("rollback", "A b")],
)
def test_what_is_no_command_changes_nothing(guarded, words) -> None:
    guarded.arm()
    code, said = guarded(*words)
    assert code == 2 and said.startswith("usage: ")
    assert guarded.pending() == [("firewall-1", "armed", True)]


def test_others_than_root_are_not_told_that_nothing_waits(guarded) -> None:
    guarded.arm()
    guarded.stub("id", "#!/bin/sh\necho 1000\n")
    assert guarded("list") == (77, "hearth-guard: only root can see what waits\n")


# --- scripts that fail -----------------------------------------------------------------------


def test_a_rollback_that_fails_is_tried_again(guarded) -> None:
    guarded.systemd()
    guarded.stub("sleep", "#!/bin/sh\n")
    guarded.arm(rollback='echo x >> "$HEARTH_ROOT/tries"\n[ "$(wc -l < "$HEARTH_ROOT/tries")" -ge 4 ]\n')
    assert guarded("expire", "firewall-1")[0] == 0
    assert guarded.text("tries") == "x\n" * 4 and guarded.result() == "rolled back"
    assert guarded.pending() == []


def test_a_rollback_that_never_works_is_tried_for_ever_reported_and_never_lost(guarded) -> None:
    guarded.systemd()
    # Only a death ends it.
    guarded.stub(
        "sleep",
        '#!/bin/sh\necho "$1" >> "$HEARTH_ROOT/pauses"\n'
        '[ "$(wc -l < "$HEARTH_ROOT/pauses")" -lt 20 ] || kill -KILL $PPID\n',
    )
    guarded.arm(rollback="echo no such set >&2\nexit 4\n")
    assert guarded("expire", "firewall-1")[0] == -9
    assert guarded.text("pauses").split() == ["1", "2", "4", "8", "16", "32", *["60"] * 14]
    assert (
        guarded.text("log").count("CANNOT BE TAKEN BACK: its rollback ended with status 4: no such set") == 20
    )
    assert guarded.result() == "rollback failed" and guarded.holds() == ["guard-firewall"]
    (guarded.root / "timers/hearth-guard-firewall-1.timer").unlink()
    assert guarded.pending() == [("firewall-1", "undoing", False)]
    assert "hearth-guard forget firewall-1" in guarded()[1]
    assert guarded("confirm", "firewall-1")[0] == 3, "what was begun to be taken back is not confirmed"
    assert guarded("forget", "firewall-1")[0] == 0
    assert guarded.pending() == [] and guarded.holds() == [] and guarded.result() == "forgotten"


def test_what_cannot_be_kept_stays_live_and_is_tried_again_when_the_time_is_over(guarded) -> None:
    guarded.systemd()
    guarded.write("full", "")
    token = guarded.arm(
        commit='[ ! -e "$HEARTH_ROOT/full" ] || { echo No space left >&2; exit 1; }\n'
        + "echo new > $HEARTH_ROOT/boot\n"
    )
    code, said = guarded("confirm", token)
    assert code == 6 and "No space left" in said
    assert guarded.text("live") == "new\n" and guarded.pending() == [(token, "confirming", True)]
    assert guarded("rollback", token)[0] == 3, "confirmed is confirmed"
    (guarded.root / "full").unlink()
    assert guarded("expire", token)[0] == 0
    assert (guarded.text("boot"), guarded.result(), guarded.text("rolled")) == ("new\n", "confirmed", "")


def test_a_script_that_hangs_is_ended(guarded) -> None:
    guarded.systemd()
    # The limit is real; only its length is shortened.
    guarded.stub("timeout", '#!/bin/sh\nshift 3\nexec /usr/bin/timeout -k 1 1 "$@"\n')
    token = guarded.arm(rollback="sleep 60\n")
    assert guarded("rollback", token)[0] == 1
    assert guarded.result() == "rollback failed"


def test_a_daemon_that_a_script_starts_does_not_hold_the_guard_up(guarded) -> None:
    guarded.systemd()
    token = guarded.arm(commit='setsid sleep 5 &\necho new > "$HEARTH_ROOT/boot"\n')
    begun = time.monotonic()
    assert guarded("confirm", token)[0] == 0
    assert (
        subprocess.run(
            ["flock", "-n", str(guarded.root / "run/hearth/guard.lock"), "true"], check=False
        ).returncode
        == 0
    )
    assert time.monotonic() - begun < 4


# --- disks -----------------------------------------------------------------------------------


def test_a_disk_that_takes_no_change_does_not_stop_the_rollback(guarded) -> None:
    guarded.systemd()
    token = guarded.arm()
    guarded.stub("mv", "#!/bin/sh\nexit 1\n")
    assert guarded("confirm", token)[0] == 1, "what cannot be noted is not confirmed"
    assert guarded("expire", token)[0] == 0
    assert guarded.text("live") == "old\n"
    (guarded.root / "stubs/mv").unlink()
    assert guarded("boot")[0] == 0 and guarded.text("live") == "old\n"


def test_a_folder_that_cannot_be_written_is_not_armed(guarded) -> None:
    guarded.arm()
    guarded("confirm", "firewall-1")
    guarded.write("run/hearth/reboot-holds/guard-bridge-x/in-the-way", "")
    with pytest.raises(Exception, match="not armed, so nothing was changed"):
        guarded.arm("bridge-1", what="bridge-x")
    assert guarded.pending() == []


# --- reboots ---------------------------------------------------------------------------------


def test_a_reboot_inside_the_window_takes_it_back(either) -> None:
    token = either.arm()
    either.rebooted()
    assert either("boot")[0] == 0
    assert either.text("rolled") == "boot\n" and either.result() == "rolled back"
    assert "started anew" in either("confirm", token)[1]


def test_starting_the_unit_again_in_the_same_boot_leaves_what_still_waits(either) -> None:
    token = either.arm()
    assert either("boot")[0] == 0
    assert either.pending() == [(token, "armed", True)] and either.text("live") == "new\n"


def test_what_lost_its_timer_in_this_boot_is_taken_back_by_the_unit(guarded) -> None:
    guarded.systemd()
    guarded.arm()
    (guarded.root / "timers/hearth-guard-firewall-1.timer").unlink()
    assert guarded("boot")[0] == 0
    assert guarded.text("rolled") == "now\n", "the tables of this boot are still there"
    assert "nobody was left" in guarded.text("log")


@pytest.mark.parametrize(("state", "live"), [("confirming", "new\n"), ("undoing", "old\n")])
def test_a_reboot_ends_what_was_half_done(either, state: str, live: str) -> None:
    either.arm()
    either.folder().rename(either.folder(state=state))
    either.rebooted(state=state)
    assert either("boot")[0] == 0
    assert either.pending() == []
    assert (either.text("live") == live) and (
        either.text("boot") == ("new\n" if state == "confirming" else "old\n")
    )


def test_a_rollback_that_fails_at_boot_fails_the_unit_and_stays(guarded) -> None:
    guarded.arm(rollback="exit 1\n")
    guarded.rebooted()
    assert guarded("boot")[0] == 1
    assert [state for _token, state, _armed in guarded.pending()] == ["undoing"]


def test_the_unit_runs_only_where_something_waits_and_once_its_disks_are_there() -> None:
    assert script.UNIT.count("ConditionDirectoryNotEmpty=|/var/lib/hearth/guard/") == 3
    assert "RequiresMountsFor=/var/lib/hearth /usr/local/libexec" in script.UNIT
    assert "Before=network-pre.target hearth-firewall.service" in script.UNIT
    assert "DefaultDependencies=no" in script.UNIT


# --- leaving ---------------------------------------------------------------------------------


def test_the_guard_of_a_removal_removes_itself_when_that_is_confirmed(either) -> None:
    (either.root / "etc/systemd/system").mkdir(parents=True)
    token = either.arm(commit=f'"$HEARTH_ROOT/{OUTSIDE}" leave\n')
    assert either("confirm", token) == (0, "confirmed\n")
    left = [path for path in either.root.glob("**/hearth-guard*") if "timers" not in path.parts]
    assert left == [] and not (either.root / "var/lib/hearth/guard").exists()


def test_a_removal_that_was_not_confirmed_leaves_the_guard(guarded) -> None:
    token = guarded.arm(commit=f'"$HEARTH_ROOT/{OUTSIDE}" leave\n')
    guarded("rollback", token)
    assert (guarded.root / OUTSIDE).exists()
    assert guarded("leave")[0] == 0
    assert not (guarded.root / OUTSIDE).exists()
