# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill the module that runs with HEARTH_LAB_VICTIM in its environment, right after it has loaded its rules.

It is stopped as soon as it has started the loader, and killed when the loader is through: so nothing is left to chance.
"""

from __future__ import annotations

import os
import pathlib
import signal
import sys
import time

PATIENCE_S = 300
MARK = b"HEARTH_LAB_VICTIM="


def read(pid: int, name: str) -> bytes:
    """Read a file of a process; nothing when the process is gone, or is a zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def victims() -> list[int]:
    """Find the module: a Python with the mark in its environment."""
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return [pid for pid in pids if read(pid, "comm").startswith(b"python") and MARK in read(pid, "environ")]


def descendants(pid: int) -> list[int]:
    """List the processes that a process has started, and those that they have."""
    children = [int(child) for child in read(pid, f"task/{pid}/children").split()]
    return children + [grandchild for child in children for grandchild in descendants(child)]


def loads(pid: int) -> bool:
    """Tell whether a process is the loader, at work."""
    words = read(pid, "cmdline").split(b"\0")
    return b"load" in words and any(word.endswith(b"/hearth-firewall") for word in words)


def main() -> None:
    """Wait for it, stop it, let the loader finish, kill it."""
    deadline = time.monotonic() + PATIENCE_S
    print("waiting", flush=True)
    while time.monotonic() < deadline:
        for victim in victims():
            while time.monotonic() < deadline and read(victim, "cmdline"):
                loaders = [child for child in descendants(victim) if loads(child)]
                if not loaders:
                    time.sleep(0.002)
                    continue
                os.kill(victim, signal.SIGSTOP)
                while time.monotonic() < deadline and any(map(loads, loaders)):
                    time.sleep(0.01)
                os.kill(victim, signal.SIGKILL)
                print("killed", victim, flush=True)
                return
        time.sleep(0.05)
    sys.exit("nobody came by")


if __name__ == "__main__":
    main()
