# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Processes of the lab: started detached, known by recorded pid and start time, stopped by them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import time
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError, ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._lab import tap

_SETTLE_S = 0.5
# A lab host is thrown away: it gets a moment to end by itself, not the minutes that a real one would.
_TERM_S = 5.0
_KILL_S = 20.0


@dataclasses.dataclass(frozen=True)
class Record:
    """What is known of a started process. Pids are reused, so the start time belongs to it."""

    pid: int
    start_time: str
    ports: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Spec:
    """A process to start: ``{port.NAME}`` and ``{tap.NAME}`` in ``argv`` are filled in."""

    name: str
    directory: str
    argv: tuple[str, ...]
    ports: tuple[str, ...] = ()
    taps: tuple[tuple[str, str], ...] = ()

    @property
    def record_file(self) -> str:
        """Return where the pid is recorded."""
        return os.path.join(self.directory, f"{self.name}.json")

    @property
    def log_file(self) -> str:
        """Return where both output streams of the process go."""
        return os.path.join(self.directory, f"{self.name}.log")


@dataclasses.dataclass(frozen=True)
class Start(Action):
    """Start the process and see that it is still there a moment later."""

    spec: Spec

    def describe(self) -> str:
        return f"start {self.spec.name}"

    def perform(self, host: Host) -> None:
        spec = self.spec
        os.makedirs(spec.directory, exist_ok=True)
        previous = load_record(host, spec)
        ports = {name: _port(name, previous) for name in spec.ports}
        with _open_taps(spec.taps) as descriptors:
            argv = fill(spec.argv, ports, descriptors)
            with open(spec.log_file, "ab") as log:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=tuple(descriptors.values()),
                )
        record = Record(process.pid, start_time(host, process.pid) or "", ports)
        _write(spec.record_file, json.dumps(dataclasses.asdict(record)))
        time.sleep(_SETTLE_S)
        if process.poll() is not None:
            raise CommandError(f"{spec.name} ended at once: {_tail(spec.log_file)}", argv=argv)


@dataclasses.dataclass(frozen=True)
class Stop(Action):
    """Ask the recorded process to end; kill it when it does not."""

    spec: Spec

    def describe(self) -> str:
        return f"stop {self.spec.name}"

    def perform(self, host: Host) -> None:
        record = load_record(host, self.spec)
        if record is None:
            return
        for number, patience in ((signal.SIGTERM, _TERM_S), (signal.SIGKILL, _KILL_S)):
            if not alive(host, record):
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(record.pid, number)
            _wait_gone(host, record, patience)


def load_record(host: Host, spec: Spec) -> Record | None:
    """Read the record of the last start, if there is one."""
    text = host.text(spec.record_file)
    if not text:
        return None
    try:
        return Record(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise ParseError(
            f"{spec.record_file} is no record of a process: {error}.",
            remedy=f"see whether {spec.name} still runs, end it, and remove the file",
        ) from error


def alive(host: Host, record: Record) -> bool:
    """Tell whether the recorded process itself, not a later one of the same pid, is running."""
    return start_time(host, record.pid) == record.start_time


def start_time(host: Host, pid: int) -> str | None:
    """Return field 22 of /proc/PID/stat (clock ticks since boot); ``None`` for a dead or zombie process."""
    stat = host.text(f"/proc/{pid}/stat")
    if stat is None:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def fill(argv: t.Sequence[str], ports: t.Mapping[str, int], taps: t.Mapping[str, int]) -> list[str]:
    """Fill the place holders in ``argv``. Pure."""
    values = {f"{{port.{name}}}": str(port) for name, port in ports.items()}
    values.update({f"{{tap.{name}}}": str(number) for name, number in taps.items()})
    return [_replace_all(word, values) for word in argv]


def _replace_all(word: str, values: t.Mapping[str, str]) -> str:
    for place, value in values.items():
        word = word.replace(place, value)
    return word


def _port(name: str, previous: Record | None) -> int:
    """Keep the port of the last start when it is free, so that ssh_config stays true."""
    wanted = previous.ports.get(name, 0) if previous else 0
    for candidate in (wanted, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", candidate))
            return int(probe.getsockname()[1])
    raise CommandError("No free TCP port on 127.0.0.1.")


@contextlib.contextmanager
def _open_taps(taps: t.Sequence[tuple[str, str]]) -> t.Iterator[dict[str, int]]:
    descriptors = {name: tap.open_in(namespace, name) for name, namespace in taps}
    try:
        yield descriptors
    finally:
        for number in descriptors.values():
            os.close(number)


def _wait_gone(host: Host, record: Record, patience: float) -> None:
    deadline = time.monotonic() + patience
    while alive(host, record) and time.monotonic() < deadline:
        time.sleep(0.1)


def _write(path: str, text: str) -> None:
    """Write whole or not at all: a torn record would leave a process that nothing can stop."""
    with open(f"{path}.new", "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(f"{path}.new", path)


def _tail(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as stream:
        return " | ".join(stream.read().strip().splitlines()[-5:])
