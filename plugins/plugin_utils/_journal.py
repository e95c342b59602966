# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What this run changed on each host: filled by the callback, read by the report.

The callback runs in Ansible's main process, an action in a worker that is forked from it for
one task. A worker therefore sees the journal as it stood when its task began, which includes
every earlier task of its host. The journal holds names of tasks, actions and files, and never
a value: what ``no_log`` hides stays hidden.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

Result = t.Mapping[str, t.Any]
# What modules append to the name of a file in the header of a diff.
_HEADER_REMARK = re.compile(r" \((content|file attributes)\)$")
OUTCOMES = ("ok", "changed", "failed", "skipped")


@dataclasses.dataclass(frozen=True)
class Change:
    """One task that changed its host, or would have (``predicted``), or failed half-way."""

    role: str
    task: str
    module: str
    actions: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    delegated_to: str = ""
    predicted: bool = False
    failed: bool = False
    hidden: bool = False

    def as_dict(self) -> dict[str, t.Any]:
        """Return the change as the report shows it."""
        return {**dataclasses.asdict(self), "actions": list(self.actions), "files": list(self.files)}


@dataclasses.dataclass
class HostJournal:
    """What happened on one host so far."""

    counts: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    changes: list[Change] = dataclasses.field(default_factory=list)

    def as_dict(self) -> dict[str, t.Any]:
        """Return the journal as the report shows it."""
        return {"counts": dict(self.counts), "changes": [change.as_dict() for change in self.changes]}


class Journal:
    """The hosts of this run. Not ``recording`` means that nothing is known, not that nothing changed."""

    def __init__(self) -> None:
        self.recording = False
        self._hosts: dict[str, HostJournal] = {}

    def start(self) -> None:
        """Begin to record; called once the callback is enabled."""
        self.recording = True

    def note(self, host: str, outcome: str, change: Change | None = None) -> None:
        """Count a task of ``host`` under its outcome, and keep what it changed."""
        journal = self._hosts.setdefault(host, HostJournal())
        journal.counts[outcome] += 1
        if change is not None:
            journal.changes.append(change)

    def of(self, host: str) -> HostJournal | None:
        """Return what is known about ``host``; None when nothing was recorded at all."""
        return self._hosts.get(host, HostJournal()) if self.recording else None

    def as_dict(self) -> dict[str, t.Any]:
        """Return all hosts, for the file."""
        return {host: journal.as_dict() for host, journal in self._hosts.items()}


JOURNAL = Journal()


def change_from(result: Result, *, failed: bool = False, **names: t.Any) -> Change | None:
    """Return the change that a task's result reports, or None when it reports none.

    A failed task that had already performed actions did change its host, whatever its
    ``changed`` says.

    :param names: the fields of ``Change`` that the result does not know.
    """
    parts = [part for part in _parts(result) if part.get("changed") or (failed and part.get("actions"))]
    if not (result.get("changed") or parts):
        return None
    if "censored" in result or any("censored" in part for part in parts):
        return Change(failed=failed, hidden=True, **names)
    return Change(
        failed=failed,
        actions=_unique(text for part in parts for text in _texts(part.get("actions"))),
        files=_unique(text for part in parts for text in _files(part)),
        **names,
    )


def _parts(result: Result) -> list[Result]:
    """Return the results of a loop's items, or the one result of a task without a loop."""
    items = result.get("results")
    if isinstance(items, list) and all(isinstance(item, dict) for item in items):
        return items
    return [result]


def _files(result: Result) -> t.Iterator[str]:
    """Name the files a result is about: where it wrote, else the headers of its diffs.

    The header before is the file on the host; the one after may be a temporary file here.
    """
    target = _texts([result.get("dest") or result.get("path")])
    diffs = result.get("diff")
    headers = [
        diff.get("before_header")
        for diff in (diffs if isinstance(diffs, list) else [diffs])
        if isinstance(diff, dict)
    ]
    yield from target or (_HEADER_REMARK.sub("", header) for header in _texts(headers))


def _texts(values: t.Any) -> list[str]:
    return [value for value in values if isinstance(value, str) and value] if isinstance(values, list) else []


def _unique(texts: t.Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
