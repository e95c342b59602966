# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Run external tools: argument lists only, C locale, always with a time limit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError

DEFAULT_TIMEOUT_S = 60.0
_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Completed(t.NamedTuple):
    """A finished command: exit status and both streams as text."""

    rc: int
    out: str
    err: str


class Runner(t.Protocol):
    """What modules need of a command runner; tests pass a transcript instead."""

    def __call__(
        self,
        argv: t.Sequence[str],
        *,
        stdin: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        check: bool = True,
    ) -> Completed: ...


def run_command(
    argv: t.Sequence[str],
    *,
    stdin: str | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    check: bool = True,
) -> Completed:
    """Run ``argv`` and return its streams.

    :raises CommandError: the tool is missing, ran past ``timeout_s`` (its whole process
        group is then killed), or, with ``check``, ended with a non-zero status.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,
        )
    except OSError as error:
        raise CommandError(
            f"{argv[0]} cannot be run: {error.strerror}.",
            remedy=f"install the package that provides {argv[0]}",
            argv=list(argv),
        ) from error
    out, err = _communicate(process, argv, stdin, timeout_s)
    done = Completed(process.returncode, out, err)
    if check and done.rc != 0:
        raise CommandError(
            f"{' '.join(argv)} ended with status {done.rc}: {done.err.strip() or done.out.strip()}",
            argv=list(argv),
            rc=done.rc,
        )
    return done


def _communicate(
    process: subprocess.Popen[bytes],
    argv: t.Sequence[str],
    stdin: str | None,
    timeout_s: float,
) -> tuple[str, str]:
    try:
        raw = process.communicate(None if stdin is None else stdin.encode(), timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)
        # A child in uninterruptible sleep ignores even SIGKILL: do not wait for it for ever.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=2)
        raise CommandError(
            f"{' '.join(argv)} gave no answer within {timeout_s:g} s.",
            argv=list(argv),
        ) from error
    return raw[0].decode(errors="replace"), raw[1].decode(errors="replace")


def _environment() -> dict[str, str]:
    """The C locale makes output parseable; sbin is missing from many non-login paths."""
    return {**os.environ, "LC_ALL": "C", "LANG": "C", "PATH": _SEARCH_PATH}
