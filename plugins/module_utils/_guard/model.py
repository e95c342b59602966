# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What is changed under the guard, what waits, and what became of it."""

from __future__ import annotations

import dataclasses
import os
import re
import time
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError

ARMED, CONFIRMING, UNDOING = "armed", "confirming", "undoing"

_WHAT = re.compile(r"[a-z0-9][a-z0-9-]*")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?")
_RESERVED = ("commit", "rollback")
_COLUMNS = 7


@dataclasses.dataclass(frozen=True)
class Spec:
    """A guarded change.

    ``what`` is its kind, such as ``firewall``. ``rollback`` and ``commit`` are texts of POSIX sh scripts. They run in a
    folder that holds ``files`` (name, or folder and name, to text); ``$1`` is ``boot`` when the host was started anew
    meanwhile, else ``now``. Both must stand being run again after having been cut off anywhere, have 120 s, and
    need nothing that is not on the host's local disks.
    """

    what: str
    window_s: int
    files: t.Mapping[str, str]
    rollback: str
    commit: str

    def __post_init__(self) -> None:
        names = [name for name in self.files if not _is_free(name)]
        if not _WHAT.fullmatch(self.what) or self.window_s < 1 or names:
            raise ValueError(f"no guarded change: {self.what!r}, {self.window_s} s, {names}")


@dataclasses.dataclass(frozen=True)
class Pending:
    """A change that is not decided yet.

    ``armed`` tells whether somebody on the host still waits who will end it; false after a run that died together with
    its timer. ``state`` is ``armed``, or ``confirming`` or ``undoing`` for one whose end was begun.
    """

    token: str
    what: str
    who: str
    since: float
    deadline: float
    armed: bool
    state: str = ARMED
    left_s: int = 0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of the last change of a kind: ``confirmed``, ``rolled back``, ``rollback failed`` and the like."""

    token: str
    what: str
    result: str
    why: str
    at: str


def new_token(what: str, now: float) -> str:
    """Return a name for one change, never used twice; it begins with its kind."""
    return f"{what}-{time.strftime('%Y%m%d%H%M%S', time.gmtime(now))}-{os.urandom(3).hex()}"


def parse_pending(text: str, now: float) -> tuple[Pending, ...]:
    """Parse what ``hearth-guard pending`` prints. Pure."""
    return tuple(_parse_line(line, now) for line in text.splitlines())


def _parse_line(line: str, now: float) -> Pending:
    columns = line.split("\t", _COLUMNS - 1)
    try:
        state, token, handle, left, since, what, who = columns
        return Pending(
            token, what, who, float(since or now), now + int(left), handle == "yes", state, int(left)
        )
    except ValueError as error:
        raise ParseError(
            f"hearth-guard pending printed a line that it should not: {line!r}.",
            remedy="look at the host with hearth-guard list",
        ) from error


def parse_outcome(what: str, text: str) -> Outcome | None:
    """Parse the file in which the guard notes how the last change of a kind ended. Pure."""
    lines = text.splitlines()
    if len(lines) < len(("token", "result", "at", "why")):
        return None
    token, result, at, why = lines[:4]
    return Outcome(token, what, result, why, at)


def _is_free(name: str) -> bool:
    return bool(_FILE.fullmatch(name)) and name not in _RESERVED and not name.startswith("guard.")
