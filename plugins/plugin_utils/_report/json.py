# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The report for programs: everything, in a form with a version."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import model


def as_data(report: model.Report) -> dict[str, t.Any]:
    """Return the report as plain data."""
    owners = report.machine.owners()
    groups = [{"group": group, "owner": owner} for group, owner in sorted(owners.items()) if group]
    return {
        "schema": model.SCHEMA,
        "host": report.host,
        "generated": report.generated,
        "predicted": report.predicted,
        "verdict": dataclasses.asdict(report.verdict),
        "emulated": bool(report.emulated),
        "counts": report.counts,
        "findings": [
            {"title": item.title, **dataclasses.asdict(item)} for item in report.having(*model.STATUSES)
        ],
        "machine": {**dataclasses.asdict(report.machine), "groups": groups},
        "changes_recorded": report.journal is not None,
        "journal": report.journal,
        **report.raw,
    }


def render(report: model.Report) -> str:
    """Return the text of the JSON file."""
    return json.dumps(as_data(report), indent=2, ensure_ascii=False) + "\n"
