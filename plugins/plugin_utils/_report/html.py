# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The report as one self-contained page: no script, nothing loaded, all text escaped."""

from __future__ import annotations

import functools
import pathlib

import jinja2
from markupsafe import Markup

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import drawing, machine, model, words

_TEMPLATES = pathlib.Path(__file__).with_name("templates")


def render(report: model.Report) -> str:
    """Return the text of the HTML file."""
    owners = report.machine.owners()
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            schema=model.SCHEMA,
            words=words,
            owners=owners,
            legend=_legend(report.machine),
            svg=Markup(drawing.draw(report.machine)),
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _legend(shown: machine.Machine) -> list[tuple[str, int]]:
    """List the owners that occur, with the number of groups (of devices, where there is no group)."""
    owners = shown.owners()
    count = {owner: sum(found == owner for found in owners.values()) for owner in machine.OWNERS}
    count[machine.NO_GROUP] = sum(not device.group for device in shown.devices)
    return [(owner, count[owner]) for owner in machine.OWNERS if count[owner]]
