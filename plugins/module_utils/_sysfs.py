# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Write to a kernel attribute, or read one, which may block for ever, and live to tell.

A driver that does not let go of its device keeps the writer in uninterruptible sleep: it cannot be killed
and nobody can wait for its end. So a child writes, and is left behind when it does not come back in time.
The same holds for readers of attributes that take the lock of the device.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import EffectError

_STREAMS = 3
_ANSWER_SIZE = 16
_READ_SIZE = 64
_ANSWERS = 4096
_TURNS, _TURN_S = 20, 0.01


class WriteBlocked(EffectError):
    """A write did not end within its deadline; the process ``pid`` is in it and is left there."""

    def __init__(self, path: str, deadline_s: float, pid: int) -> None:
        super().__init__(
            f"The kernel did not end a write to {path} within {deadline_s:g} s.",
            remedy="reboot the host",
        )
        self.deadline_s = deadline_s
        self.pid = pid


class Writer(t.Protocol):
    """What steps need to write an attribute; tests pass a kernel of their own instead."""

    def __call__(self, path: str, text: str, deadline_s: float) -> None: ...


def write_attribute(path: str, text: str, deadline_s: float) -> None:
    """Write ``text`` to an attribute in one write(2), in a child.

    :raises OSError: what the kernel answered.
    :raises WriteBlocked: it did not answer; the child stays behind, holding nothing of ours.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _be_the_child(path, text, writing)
    os.close(writing)
    try:
        ready, _unused, _unused = select.select([reading], [], [], deadline_s)
        if not ready:
            raise WriteBlocked(path, deadline_s, child)
        answer = os.read(reading, _ANSWER_SIZE)
    finally:
        os.close(reading)
    os.waitpid(child, 0)
    # No answer at all: somebody killed the child. Whether it wrote is not known, which is a failure.
    number = int(answer) if answer else errno.EINTR
    if number:
        raise OSError(number, os.strerror(number), path)


def attempt(path: str, text: str) -> int:
    """Write and return the number of the error, 0 for none."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            # One write, unbuffered: the kernel takes it as one word, and the error is that of the write.
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def unanswered(paths: t.Sequence[str], patience_s: float) -> tuple[str, ...]:
    """Return those of ``paths`` that cannot be read within ``patience_s`` each: their readers wait for somebody.

    An error is an answer.
    """
    silent: list[str] = []
    pending = list(paths)
    while pending:
        answered = _count_answers(pending, patience_s)
        silent += pending[answered : answered + 1]
        pending = pending[answered + 1 :]
    return tuple(silent)


def _count_answers(paths: t.Sequence[str], patience_s: float) -> int:
    """Let a child read, and return how many it has read before one that does not end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _be_the_reader(paths, writing)
    os.close(writing)
    count = 0
    try:
        while count < len(paths):
            ready, _unused, _unused = select.select([reading], [], [], patience_s)
            if not ready:
                _leave_behind(child)
                return count
            got = len(os.read(reading, _ANSWERS))
            # Somebody killed the child, which tells nothing of what it was to read.
            count = count + got if got else len(paths)
    finally:
        os.close(reading)
    os.waitpid(child, 0)
    return count


def _leave_behind(child: int) -> None:
    """End a reader, if it is not beyond every signal: then nobody waits for it."""
    os.kill(child, signal.SIGKILL)
    for _turn in range(_TURNS):
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            return
        time.sleep(_TURN_S)


def _be_the_reader(paths: t.Sequence[str], writing: int) -> None:
    try:
        _let_go(writing)
        for path in paths:
            with contextlib.suppress(OSError):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                os.read(descriptor, _READ_SIZE)
                os.close(descriptor)
            os.write(writing, b".")
    finally:
        os._exit(0)


def _be_the_child(path: str, text: str, writing: int) -> None:
    try:
        _let_go(writing)
        os.write(writing, str(attempt(path, text)).encode())
    finally:
        os._exit(0)


def _let_go(keep: int) -> None:
    """Hold nothing of the parent's but ``keep``.

    Ansible waits for the end of the output streams, and the lock of this host is an open file: a child that
    never ends must hold neither.
    """
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(_STREAMS):
        os.dup2(null, stream)
    for name in os.listdir("/proc/self/fd"):
        # The listing itself was one of them, and is closed by now.
        with contextlib.suppress(OSError):
            if int(name) not in (*range(_STREAMS), keep):
                os.close(int(name))
