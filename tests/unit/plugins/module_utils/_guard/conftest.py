# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host below a root of its own, on which the guard runs for real; only systemd and the log are stubs."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._guard import actions, model, script
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

# What the change, its rollback and its commit do: the rules that are live, and those that the next boot loads.
ROLLBACK = 'echo "$1" >> "$HEARTH_ROOT/rolled"\necho old > "$HEARTH_ROOT/live"\n'
COMMIT = 'echo new > "$HEARTH_ROOT/boot"\n'
# systemd 252 says SubState=waiting of a timer that waits and SubState=dead of one that it does not know; is-active
# ends with 3 for what is not active (measured in a container, Debian 12).
SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >> "$HEARTH_ROOT/said"
timers=$HEARTH_ROOT/timers
case "$1 $2" in
    "show -p") if [ -e "$timers/$4" ]; then echo SubState=waiting; else echo SubState=dead; fi ;;
    "--no-block stop") rm -f "$timers/$3" ;;
    *) exit 3 ;;
esac
"""
SYSTEMD_RUN = """#!/bin/sh
echo "systemd-run $*" >> "$HEARTH_ROOT/said"
[ ! -e "$HEARTH_ROOT/no-timers" ] || { echo "Failed to start transient timer unit" >&2; exit 1; }
for word in "$@"; do case $word in --unit=*) unit=${word#--unit=} ;; esac; done
[ -e "$HEARTH_ROOT/lazy" ] || : > "$HEARTH_ROOT/timers/$unit.timer"
"""
# Whom a stub must kill that plays a loss of power: the group of the guard itself.
REMEMBER = 'echo $$ > "$HEARTH_ROOT/main"; exec "$@"'
LOGGER = '#!/bin/sh\necho "$*" >> "$HEARTH_ROOT/log"\n'


class GuardedHost:
    """The tree, and ways to change it, to call the guard, and to look what became of it."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.host = Host(root=str(root), run=self.run)
        self.arrived_by = "192.0.2.7 50000 192.0.2.1 22"
        (root / "timers").mkdir()
        (root / "proc").symlink_to("/proc")
        self.stub("logger", LOGGER)
        self.write("live", "old\n")
        self.write("boot", "old\n")

    def write(self, path: str, text: str) -> pathlib.Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def stub(self, name: str, text: str) -> None:
        self.write(f"stubs/{name}", text).chmod(0o755)

    def text(self, path: str) -> str:
        file = self.root / path
        return file.read_text() if file.exists() else ""

    def systemd(self) -> None:
        """Have PID 1 be systemd."""
        (self.root / "run/systemd/system").mkdir(parents=True)
        self.stub("systemctl", SYSTEMCTL)
        self.stub("systemd-run", SYSTEMD_RUN)

    def environ(self) -> dict[str, str]:
        known = {"HEARTH_ROOT": str(self.root), "SSH_CONNECTION": self.arrived_by}
        return {name: value for name, value in known.items() if value}

    def popen(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["sh", "-c", REMEMBER, "sh", str(self.root / script.PROGRAM.lstrip("/")), *words],
            env=self.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, argv: t.Sequence[str], **options: t.Any) -> Completed:
        """Be the runner of modules."""
        assert argv[0] == script.PROGRAM
        with self.popen(*argv[1:]) as process:
            out, err = process.communicate(timeout=30)
        assert process.returncode == 0 or not options.get("check", True), err
        return Completed(process.returncode, out, err)

    def __call__(self, *words: str) -> tuple[int, str]:
        """Call the guard as a new login does."""
        self.arrived_by = "192.0.2.7 50001 192.0.2.1 22"
        done = self.run((script.PROGRAM, *words), check=False)
        return done.rc, done.out + done.err

    def spec(self, window_s: int = 60, **options: t.Any) -> model.Spec:
        given = {"files": {}, "rollback": ROLLBACK, "commit": COMMIT, "what": "firewall", **options}
        return model.Spec(window_s=window_s, **given)

    def arm(self, token: str = "firewall-1", window_s: int = 60, **options: t.Any) -> str:
        """Arm, and make the change."""
        self.arrived_by = "192.0.2.7 50000 192.0.2.1 22"
        actions.Arm(self.spec(window_s, **options), token, "ann").perform(self.host)
        self.write("live", "new\n")
        return token

    def pending(self) -> list[tuple[str, str, bool]]:
        return [(one.token, one.state, one.armed) for one in actions.read_pending(self.host)]

    def result(self, what: str = "firewall") -> str:
        outcome = actions.read_outcome(self.host, what)
        return outcome.result if outcome else ""

    def holds(self) -> list[str]:
        return self.host.listdir("/run/hearth/reboot-holds")

    def folder(self, token: str = "firewall-1", state: str = "armed") -> pathlib.Path:
        return self.root / "var/lib/hearth/guard" / state / token

    def rebooted(self, token: str = "firewall-1", state: str = "armed") -> None:
        """Start the host anew: /run is empty, no timer runs, and the boot is another one."""
        shutil.rmtree(self.root / "run/hearth")
        for timer in (self.root / "timers").iterdir():
            timer.unlink()
        (self.folder(token, state) / "guard.boot").write_text("another-boot 1\n")


@pytest.fixture
def guarded(tmp_path: pathlib.Path) -> t.Iterator[GuardedHost]:
    yield GuardedHost(tmp_path)
    # What still waits sees within a second that its folder is gone, and ends.
    shutil.rmtree(tmp_path / "var", ignore_errors=True)


@pytest.fixture(params=["systemd", "detached"])
def either(request: pytest.FixtureRequest, guarded: GuardedHost) -> GuardedHost:
    """A host with systemd, and one without."""
    assert os.access("/proc/self/stat", os.R_OK)
    if request.param == "systemd":
        guarded.systemd()
    return guarded
