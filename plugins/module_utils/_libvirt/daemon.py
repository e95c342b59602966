# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What a running daemon has read, which is what its files were when it started.

The module that changes a file first notes, for the run of the daemon that is alive, a digest of
what that run has read. systemd names each run by a random id, so that a note is never taken for
another run, after a reboot or a jump of the clock either. Where there is no note, times decide:
a file that is older than the run was read as it is now, and of a younger one nothing is known.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

# Digests by path. The empty digest is that of a file of which nothing is known.
Digests = t.Mapping[str, str]
UNKNOWN = ""

_NOTES = "/run/hearth/libvirt"
_SYSTEMD = "/run/systemd/system"
_RUNNING = ("active", "activating", "reloading")
# Kernels stamp files with the last tick of the clock, at most 10 ms old; some file systems are coarser.
_TICK_S = 0.05


@dataclasses.dataclass(frozen=True)
class Process:
    """One run of a daemon: systemd's id of it, when it started, and what was noted of it."""

    run: str
    started: float
    notes: Digests = dataclasses.field(default_factory=dict)

    def has_read(self, path: str, digest: str, changed: float, now: float) -> str:
        """Return the digest of what this run has read from a file. Pure.

        :param digest: that of the file as it is now.
        :param changed: when the file was changed, or 0 when it is missing.
        """
        if path in self.notes:
            return self.notes[path]
        # A start in the future means that the clock went back, and then no order of times holds.
        return digest if changed + _TICK_S < self.started <= now else UNKNOWN


@dataclasses.dataclass(frozen=True)
class Note(Action):
    """Note what the present run of a daemon has read; when it does not run, nothing."""

    daemon: str
    digests: Digests

    def describe(self) -> str:
        return f"note what {self.daemon} has read"

    def perform(self, host: Host) -> None:
        process = look(host, self.daemon)
        if process is None:
            return
        target = host.path(_note_path(self.daemon))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        note = {"run": process.run, "digests": {**process.notes, **self.digests}}
        # Digests of settings that may be passwords are for root alone.
        descriptor = os.open(f"{target}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(note, stream)
        os.rename(f"{target}.new", target)


def look(host: Host, daemon: str) -> Process | None:
    """Return the present run of a daemon; ``None`` when it does not run, or nothing does.

    In a chroot, such as an image being baked, there is no systemd, or it ignores the question.
    """
    if not host.exists(_SYSTEMD):
        return None
    properties = "--property=ActiveState,InvocationID,ExecMainStartTimestamp"
    shown = host.run(["systemctl", "show", "--timestamp=us+utc", properties, f"{daemon}.service"])
    process = parse(shown.out)
    if process is None:
        return None
    return dataclasses.replace(process, notes=parse_note(host.text(_note_path(daemon)), process.run))


def parse(text: str) -> Process | None:
    """Parse what ``systemctl show`` says of a service; ``None`` when it does not run. Pure.

    :raises ParseError: the time of the start is no time.
    """
    shown = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if shown.get("ActiveState") not in _RUNNING:
        return None
    return Process(shown.get("InvocationID", ""), _epoch(shown.get("ExecMainStartTimestamp", "")))


def parse_note(text: str | None, run: str) -> Digests:
    """Parse what was noted of a run; a note of another run, or a damaged one, counts as none. Pure."""
    try:
        note = json.loads(text or "")
        if run and note["run"] == run:
            return {str(path): str(digest) for path, digest in note["digests"].items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    return {}


def _epoch(text: str) -> float:
    """Return the time in ``Sun 2026-11-22 02:47:24.523864 UTC``; 0 when there is none yet."""
    if not text:
        return 0.0
    try:
        moment = datetime.datetime.strptime(text.partition(" ")[2], "%Y-%m-%d %H:%M:%S.%f UTC")
    except ValueError as error:
        raise ParseError(f"systemd says that a service started at {text!r}, which is no time.") from error
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp()


def _note_path(daemon: str) -> str:
    return f"{_NOTES}/{daemon}.json"
