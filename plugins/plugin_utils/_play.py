# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The identity of one run of ansible-playbook: constant while it lasts, never used twice.

It is ``where/pid/start``. ``where`` names the space in which the pid means something: the boot
of the kernel and the pid namespace. Two containers on one machine, or two machines cloned from
one image, are therefore never taken for one another, as machine ids and host names would be.
"""

from __future__ import annotations

import multiprocessing
import os


def controller_pid() -> int:
    """Return the pid of ansible-playbook, from within it or from one of its forked workers."""
    parent = multiprocessing.parent_process()
    return os.getpid() if parent is None or parent.pid is None else parent.pid


def play_id(proc: str = "/proc") -> str:
    """Return the identity of the run that this process belongs to."""
    pid = controller_pid()
    return f"{_where(proc)}/{pid}/{_start(proc, pid)}"


def is_dead(play: str, proc: str = "/proc") -> bool:
    """Tell whether the run is known to be over. False when that cannot be seen from here."""
    where_and_pid, _unused, start = play.rpartition("/")
    where, _unused, pid = where_and_pid.rpartition("/")
    here = _where(proc)
    if not here or where != here or not pid.isdigit():
        return False
    return _is_gone(int(pid)) or _start(proc, int(pid)) not in ("", start)


def _is_gone(pid: int) -> bool:
    # /proc may hide the processes of other users (hidepid); the kernel still tells whether they exist.
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except ProcessLookupError:
        return True
    return False


def _where(proc: str) -> str:
    """Return the boot id and the pid namespace; empty where /proc does not tell."""
    try:
        with open(f"{proc}/sys/kernel/random/boot_id", encoding="ascii") as stream:
            boot = stream.read().strip()
        return f"{boot}/{os.readlink(f'{proc}/self/ns/pid').strip('pid:[]')}"
    except OSError:
        return ""


def _start(proc: str, pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty when that cannot be seen.

    Fields follow the command name, which may itself hold spaces and parentheses: proc(5).
    """
    try:
        with open(f"{proc}/{pid}/stat", encoding="ascii", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return ""
    # A zombie has ended; only its parent has not noticed yet.
    return "ended" if fields[0] == "Z" else fields[19]
