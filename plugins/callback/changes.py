# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a journal of what a run changes, for the readiness report."""

from __future__ import annotations

DOCUMENTATION = r"""
name: changes
type: aggregate
short_description: Keep a journal of what a run changes
version_added: 0.1.0
author: hearth.gpu_host maintainers (@hearth)
description:
  - Keeps, per host and in memory, the role, task, module, actions and file names of every task that changed something,
    and of every task that failed after its first action. Prints nothing.
  - M(hearth.gpu_host.readiness_report) shows the journal. Without this callback the report says that changes were not
    recorded, since what is unknown is not nothing.
  - Values never enter the journal; a task with C(no_log) leaves only its name.
options:
  file:
    description:
      - File to append the journal of the run to when it ends, as one line of JSON. Without it nothing is written.
      - By it two runs can be compared, for example what check mode predicted with what the run then did.
    type: path
    env:
      - name: HEARTH_JOURNAL
    ini:
      - section: callback_hearth_changes
        key: file
requirements:
  - Enable it in C(ansible.cfg) with C(callbacks_enabled = hearth.gpu_host.changes).
"""

import json
import typing as t

from ansible import context
from ansible.plugins.callback import CallbackBase

from ansible_collections.hearth.gpu_host.plugins.plugin_utils import _journal

if t.TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats
    from ansible.executor.task_result import CallbackTaskResult
    from ansible.playbook import Playbook


class CallbackModule(CallbackBase):
    """Fill the journal in Ansible's main process."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "hearth.gpu_host.changes"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        _journal.JOURNAL.start()
        self._playbook = ""

    def v2_playbook_on_start(self, playbook: Playbook) -> None:
        """Remember what is run."""
        self._playbook = str(playbook._file_name)

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        """Append the journal to the file, if one is wanted. The run is over: this cannot make it fail."""
        path = self.get_option("file")
        run = {"playbook": self._playbook, "check_mode": bool(context.CLIARGS.get("check"))}
        try:
            if path:
                _append(path, {**run, "hosts": _journal.JOURNAL.as_dict()})
        except OSError as error:
            self._display.warning(
                f"The journal of this run cannot be written: {error}. Remedy: let HEARTH_JOURNAL name a file"
                " that you may write to."
            )

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        """Record a task that ended well."""
        change = _change(result)
        _note(result, "changed" if change else "ok", change)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        """Record a task that failed, with what it did before it failed."""
        _note(result, "failed", _change(result, failed=True))

    def v2_runner_on_skipped(self, result: CallbackTaskResult) -> None:
        """Count a task that was skipped."""
        _note(result, "skipped")


def _append(path: str, run: dict[str, t.Any]) -> None:
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(run) + "\n")


def _note(result: CallbackTaskResult, outcome: str, change: _journal.Change | None = None) -> None:
    _journal.JOURNAL.note(result.host.get_name(), outcome, change)


def _change(result: CallbackTaskResult, failed: bool = False) -> _journal.Change | None:
    role = result.task._role
    return _journal.change_from(
        result.result,
        role=role.get_name() if role else "",
        task=str(result.task.name or result.task.action),
        module=str(result.task.resolved_action or result.task.action),
        delegated_to=str(result.task_fields.get("delegate_to") or ""),
        predicted=bool(result.task_fields.get("check_mode")),
        failed=failed,
    )
