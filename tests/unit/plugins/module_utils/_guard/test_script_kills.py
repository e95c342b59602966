# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guard, killed at every step and raced against itself: each change ends once, one way or the other."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest

# Everything that the guard runs, from a decision to its end; a SIGKILL before and after each of them.
STEPS = ("mv", "rm", "date", "sync", "flock", "timeout", "tail", "systemctl", "mkdir")
# The whole process group goes, as it does when a machine loses power.
DEADLY = """#!/bin/sh
here=$HEARTH_ROOT
[ -e "$here/trap" ] || exec {real} "$@"
read -r number when < "$here/trap"
echo "$((number - 1)) $when" > "$here/trap"
die() { read -r group < "$here/main"; kill -9 "-$group" 0; }
[ "$number $when" != "1 before" ] || die
{real} "$@"
rc=$?
[ "$number $when" != "1 after" ] || die
exit $rc
"""


def lay_traps(guarded) -> None:
    for name in STEPS:
        stub = guarded.root / "stubs" / name
        real = shutil.which(name)
        if stub.exists():
            real = str(stub.rename(stub.with_name(f"real-{name}")))
        guarded.stub(name, DEADLY.replace("{real}", real))


def killed_at(guarded, when: str, number: int, *words: str) -> bool:
    """Call the guard and kill it at a step; tell whether it came so far."""
    trap = guarded.write("trap", f"{number} {when}\n")
    guarded.arrived_by = "192.0.2.7 50001 192.0.2.1 22"
    process = guarded.popen(*words)
    process.communicate(timeout=30)
    trap.unlink()
    return process.returncode == -signal.SIGKILL


def end_it(guarded, token: str, how: str) -> None:
    """Do what comes after a crash: the next run of the module, or the next boot."""
    for state in ("armed", "confirming", "undoing"):
        if how == "boot" and guarded.folder(token, state).exists():
            guarded.rebooted(token, state)
    guarded(*(("settle", token) if how == "settle" else ("boot",)))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("verb", ["confirm", "expire"])
def test_killed_at_any_step_the_change_ends_one_way_or_the_other(guarded, verb: str, when: str) -> None:
    guarded.systemd()
    lay_traps(guarded)
    ended = set()
    for number in range(1, 100):
        token = f"firewall-{number}"
        guarded.write("live", "old\n"), guarded.write("boot", "old\n")
        guarded.arm(token)
        if not killed_at(guarded, when, number, verb, token):
            break
        # Each step is followed by the one before one cut, and by the other after it.
        end_it(guarded, token, ("settle", "boot")[(number + len(when)) % 2])
        now = (guarded.text("live"), guarded.text("boot"), guarded.result())
        assert now in {("new\n", "new\n", "confirmed"), ("old\n", "old\n", "rolled back")}, number
        assert guarded.pending() == [] and guarded.holds() == [], number
        ended.add(now[2])
    assert number > 6, "the traps were stepped on"
    assert ended == ({"confirmed", "rolled back"} if verb == "confirm" else {"rolled back"})


def test_a_folder_that_was_half_removed_is_no_change_any_more(guarded) -> None:
    guarded.systemd()
    token = guarded.arm()
    half = (
        '[ "$1" = -f ] || { /bin/rm -f "$2/rollback" "$2/commit"; kill -9 -$(cat "$HEARTH_ROOT/main") 0; }\n'
    )
    guarded.stub("rm", f'#!/bin/sh\n{half}exec /bin/rm "$@"\n')
    assert guarded("confirm", token)[0] == -signal.SIGKILL
    (guarded.root / "stubs/rm").unlink()
    assert guarded.pending() == [] and guarded.result() == "confirmed"
    assert guarded("boot")[0] == 0 and guarded.text("live") == "new\n"
    assert list(guarded.folder("").parent.parent.glob("trash/*")) == []


def test_a_run_that_is_killed_while_it_arms_leaves_nothing_or_what_can_be_settled(guarded) -> None:
    guarded.systemd()
    guarded.stub("systemd-run", '#!/bin/sh\nkill -9 -$(cat "$HEARTH_ROOT/main") 0\n')
    with pytest.raises(Exception, match="not armed, so nothing was changed"):
        guarded.arm()
    assert guarded.pending() == [("firewall-1", "armed", False)]
    assert guarded("settle", "firewall-1")[0] == 0
    assert guarded.pending() == [] and guarded.text("live") == "old\n"


def test_a_dead_man_that_is_killed_is_missed(guarded) -> None:
    guarded.arm()
    pid = int((guarded.folder() / "guard.by").read_text().split()[0])
    # Its own process, started by this test; the pid is checked against what it runs.
    with open(f"/proc/{pid}/cmdline", encoding="utf-8") as stream:
        assert str(guarded.root) in stream.read()
    os.kill(pid, signal.SIGKILL)
    assert guarded.pending() == [("firewall-1", "armed", False)]
    assert "Nobody waits any more" in guarded()[1]


@pytest.mark.parametrize("first", ["confirm", "expire"])
def test_of_a_confirmation_and_the_end_of_the_time_exactly_one_wins(guarded, first: str) -> None:
    guarded.systemd()
    verbs = [first, "expire" if first == "confirm" else "confirm"]
    for number in range(8):
        token = guarded.arm(f"firewall-{number}")
        guarded.write("boot", "old\n")
        guarded.arrived_by = "192.0.2.7 50001 192.0.2.1 22"
        racers = {verb: guarded.popen(verb, token) for verb in verbs}
        outs = {verb: racer.communicate(timeout=30)[0] for verb, racer in racers.items()}
        confirmed = outs["confirm"] == "confirmed\n"
        assert racers["confirm"].returncode == (0 if confirmed else 3)
        assert guarded.result() == ("confirmed" if confirmed else "rolled back")
        assert guarded.text("live") == guarded.text("boot") == ("new\n" if confirmed else "old\n")


def test_a_lock_that_is_held_for_ever_does_not_lock_anybody_out(guarded) -> None:
    guarded.systemd()
    token = guarded.arm()
    guarded.stub("flock", "#!/bin/sh\nexit 1\n")
    assert guarded("confirm", token)[0] == 75
    assert guarded("expire", token)[0] == 0
    assert guarded.text("live") == "old\n"


def test_a_lost_connection_does_not_cut_a_confirmation_in_half(guarded) -> None:
    guarded.systemd()
    token = guarded.arm(commit='sleep 0.5\necho new > "$HEARTH_ROOT/boot"\n')
    guarded.arrived_by = "192.0.2.7 50001 192.0.2.1 22"
    process = guarded.popen("confirm", token)
    end = time.monotonic() + 10
    while not guarded.folder(token, "confirming").exists() and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGHUP)
    process.stdout.close()
    process.wait(timeout=20)
    assert guarded.text("boot") == "new\n" and guarded.result() == "confirmed"


def test_two_at_once_are_refused_by_name(guarded) -> None:
    guarded.arm()
    with pytest.raises(Exception, match="another change waits to be decided: firewall-1"):
        guarded.arm("bridge-1", what="bridge")
    assert guarded.pending() == [("firewall-1", "armed", True)]
    assert guarded.holds() == ["guard-firewall"]
