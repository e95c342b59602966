# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The ledger on the host: its file, its two views, and the evidence that its requests are judged by.

Every module that needs a reboot enters its request through :func:`read_book`, :func:`parse_book` and
:func:`plan_book`, as the first actions of its own plan.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, RemoveFile, WriteFile
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline, userspace
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError, ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot import ledger as book

METRICS_DIR = "/var/lib/hearth/metrics"
CMDLINE, BOOT_ID = "/proc/cmdline", "/proc/sys/kernel/random/boot_id"
_UNKNOWN = re.compile(r'Unknown kernel command line parameters "(?P<words>[^"\n]*)')
# The first line of every boot (init/main.c, linux_banner).
_BEGINNING = "Linux version"
_TRUTH = {"Y": "1", "N": "0"}


@dataclasses.dataclass(frozen=True)
class RawBook:
    """What was read: the files of the ledger by path, and the running kernel."""

    files: t.Mapping[str, Reading]
    evidence: book.Evidence


@dataclasses.dataclass(frozen=True)
class Book:
    """The requests on the host, and the text of each of the ledger's files."""

    ledger: book.Ledger
    files: t.Mapping[str, str]
    evidence: book.Evidence = dataclasses.field(compare=False)

    def judgements(self) -> tuple[book.Judgement, ...]:
        """Judge every request, in the order of their names."""
        return tuple(book.judge(self.ledger[name], self.evidence) for name in sorted(self.ledger))


def read_book(
    host: Host, checks: t.Iterable[book.Check] = (), metrics_dir: str = METRICS_DIR, own: str | None = None
) -> RawBook:
    """Read the ledger, and the evidence for its requests, or only for the one named ``own``, and for ``checks``.

    :raises ParseError: the ledger is unreadable or broken, or ``metrics_dir`` is not absolute.
    """
    if not posixpath.isabs(metrics_dir):
        raise ParseError(f"metrics_dir is {metrics_dir!r}.", remedy="name a folder by its absolute path")
    files = {path: host.read(path) for path in _paths(metrics_dir)}
    if files[book.LEDGER].unknown:
        raise ParseError(f"{files[book.LEDGER].why}.", remedy=f"make {book.LEDGER} readable, or remove it")
    entered = book.parse_ledger(files[book.LEDGER].text or "").values()
    requests = [request for request in entered if own in (None, request.name)]
    every = {*checks, *(check for request in requests for check in request.expect.checks)}
    words = {word for request in requests for word in request.expect.present}
    return RawBook(files, read_evidence(host, every, ask_kernel=bool(words)))


def read_evidence(host: Host, checks: t.Iterable[book.Check], ask_kernel: bool) -> book.Evidence:
    """Measure on the running kernel; ``ask_kernel`` looks into its log for words that it did not know."""
    line = host.text(CMDLINE)
    return book.Evidence(
        boot_id=host.text(BOOT_ID) or "",
        words=cmdline.split(line or ""),
        held={check: _held(host, check) for check in checks},
        ignored=_ignored(host) if ask_kernel else (),
        words_known=line is not None,
    )


def _held(host: Host, check: book.Check) -> tuple[bool | None, str]:
    if check.operator == book.FILLED:
        names = host.listdir(check.path)
        return bool(names), f"{check.path} has {len(names)} entries"
    reading = host.read(check.path)
    if reading.text is None:
        # What is not there lacks; what is there and cannot be read is unknown.
        return (False if reading.missing else None), reading.why
    text = reading.text.strip()
    return _compare(check, text), f"{check.path} is {text[:80]!r}, expected {check.operator} {check.value!r}"


def _compare(check: book.Check, text: str) -> bool:
    if check.operator == book.AT_LEAST:
        return text.isdigit() and int(text) >= int(check.value)
    if check.operator == book.MATCHES:
        return re.search(check.value, text, re.MULTILINE) is not None
    return _TRUTH.get(text, text) == _TRUTH.get(check.value, check.value)


def _ignored(host: Host) -> tuple[str, ...]:
    """Read which words the kernel passed on (Linux 5.14 and newer say so, once, early) and nobody is known to read.

    The kernel has its own log at hand. The journal, which takes seconds to search on a small machine, is asked
    only where the kernel has overwritten how the boot began.
    """
    log = _output(host, "dmesg")
    if _BEGINNING not in log and not _UNKNOWN.search(log):
        log = _output(
            host, "journalctl", "--dmesg", "--boot", "--output=cat", "--grep=Unknown kernel command line"
        )
    found = _UNKNOWN.search(log)
    words = cmdline.split(found.group("words")) if found else ()
    return tuple(word for word in words if not userspace.is_read(word))


def _output(host: Host, *argv: str) -> str:
    try:
        return host.run(argv, check=False).out
    except CommandError:
        return ""


def parse_book(raw: RawBook) -> Book:
    """Parse what was read."""
    files = {path: reading.text or "" for path, reading in raw.files.items() if not reading.missing}
    return Book(book.parse_ledger(files.get(book.LEDGER, "")), files, raw.evidence)


def plan_book(
    current: Book, wanted: book.Ledger, metrics_dir: str = METRICS_DIR
) -> tuple[tuple[Action, ...], Book]:
    """Plan that the ledger holds ``wanted``; an empty ledger has no files."""
    files = render_files(wanted, metrics_dir) if wanted else {}
    actions = tuple(
        WriteFile(path, files[path]) if path in files else RemoveFile(path)
        for path in _paths(metrics_dir)
        if current.files.get(path) != files.get(path)
    )
    return actions, Book(dict(wanted), files, current.evidence)


def render_files(ledger: book.Ledger, metrics_dir: str) -> dict[str, str]:
    """Render the ledger and its views: a local fact, and metrics in the Prometheus text format."""
    rendered = book.render_ledger(ledger)
    return {
        book.LEDGER: rendered,
        book.FACT_FILE: rendered,
        posixpath.join(metrics_dir, book.METRICS_NAME): _metrics(ledger),
    }


def _metrics(ledger: book.Ledger) -> str:
    # A time can be compared with node_boot_time_seconds: later than that is pending, earlier did not help.
    lines = [
        "# HELP hearth_reboot_requested_timestamp_seconds When a reboot was asked for, by request.",
        "# TYPE hearth_reboot_requested_timestamp_seconds gauge",
    ]
    for name in sorted(ledger):
        labels = f'request="{name}",requested_by="{_label(ledger[name].requested_by)}"'
        since = book.epoch(ledger[name].since)
        lines.append(f"hearth_reboot_requested_timestamp_seconds{{{labels}}} {since}")
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    """Return a value as the text format writes it: three characters are escaped."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _paths(metrics_dir: str) -> tuple[str, ...]:
    # The ledger comes first: after a crash its views are at most behind.
    return (book.LEDGER, book.FACT_FILE, posixpath.join(metrics_dir, book.METRICS_NAME))


def outcome(before: Book, after: Book, name: str) -> list[dict[str, t.Any]]:
    """Return what becomes of the request ``name``, for the result ``requests`` of the module that owns it.

    It says so as well when the request goes: in check mode a later task reads a ledger that still has it.
    """
    if name in after.ledger:
        return [book.judge(after.ledger[name], before.evidence).as_dict()]
    if name not in before.ledger:
        return []
    found = book.judge(before.ledger[name], before.evidence)
    status = book.FULFILLED if found.status == book.FULFILLED else book.WITHDRAWN
    return [dataclasses.replace(found, status=status).as_dict()]


def show_book(current: Book) -> str:
    """Render the requests for the diff."""
    return "".join(
        f"reboot asked for by {request.requested_by}: {request.reason}\n"
        for request in current.ledger.values()
    )
