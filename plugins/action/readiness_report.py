# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the readiness report of a host on the controller."""

from __future__ import annotations

import datetime
import hashlib
import os
import pathlib
import re
import tempfile
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.hearth.gpu_host.plugins.plugin_utils import _journal
from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import html, json, markdown, model

RENDERERS = {"json": json.render, "md": markdown.render, "html": html.render}
INPUTS = ("preflight", "verify", "declared", "boot", "vfio", "firewall")
# Reports are for colleagues to read; they hold no secret.
READABLE = 0o644


class ActionModule(ActionBase):
    """Render the report; the host itself is not touched, so check mode writes it too."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Write the three files and return their paths."""
        super().run(tmp, task_vars)
        spec: dict[str, dict[str, t.Any]] = {name: {"type": "dict", "default": {}} for name in INPUTS}
        spec["reboots"] = {"type": "list", "elements": "dict", "default": []}
        spec["dest"] = {"type": "path", "required": True}
        _result, given = self.validate_argument_spec(spec)
        host = str((task_vars or {})["inventory_hostname"])
        report = model.build(host, _now(), bool(self._task.check_mode), {**given, "journal": _recorded(host)})
        folder = pathlib.Path(given["dest"], folder_of(host))
        try:
            paths = {
                name: _write(folder / f"readiness.{name}", render(report))
                for name, render in RENDERERS.items()
            }
        except OSError as error:
            raise AnsibleActionFail(
                f"The report cannot be written: {error}. Remedy: set report_dest to a folder on the controller"
                " that you may write to."
            ) from error
        return {
            "changed": False,
            "paths": paths,
            "verdict": report.verdict.level,
            "headline": report.verdict.headline,
        }


def folder_of(host: str) -> str:
    """Return the host's folder: its name, with a mark where that could not be a folder's name as it is.

    Inventory names may hold anything, ``../x`` included; the mark keeps two of them apart.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", host).lstrip(".")
    return plain if plain == host else f"{plain}-{hashlib.sha256(host.encode()).hexdigest()[:8]}"


def _recorded(host: str) -> dict[str, t.Any] | None:
    journal = _journal.JOURNAL.of(host)
    return journal.as_dict() if journal else None


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _write(path: pathlib.Path, text: str) -> str:
    """Replace a file on the controller; a reader sees the old page or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
            stream.write(text)
            os.fchmod(stream.fileno(), READABLE)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return str(path.resolve())
