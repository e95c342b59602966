# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What one task of the module ``vfio_bind`` asks for. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.wish import parse_selectors

AUTO, LIVE, BOOT = "auto", "live", "boot"
PERSISTENT, RUNTIME = "persistent", "runtime"
REQUEST, LEDGER = "vfio", "/var/lib/hearth/reboot.json"
"""The name of our request in the reboot ledger, and where that is."""

_ALL_IDS = 4


@dataclasses.dataclass(frozen=True)
class Task:
    """The options. ``selectors`` are ``None`` when no devices are managed; ``runtime`` needs the running system."""

    selectors: tuple[model.Selector, ...] | None
    exclude: tuple[model.Selector, ...] = ()
    absent: bool = False
    exclusive: bool = False
    persistent: bool = True
    runtime: bool = True
    rebind: str = AUTO
    running: bool = True
    rebooted: bool = False
    deadline_s: float = 30.0

    @property
    def manages(self) -> bool:
        """Tell whether anything may change."""
        return self.absent or self.selectors is not None


def parse_task(params: t.Mapping[str, t.Any]) -> Task:
    """Parse the options of the module.

    :raises ParseError: an option, or two together, mean nothing.
    """
    devices = params["devices"]
    task = Task(
        selectors=None if devices is None else parse_selectors(devices),
        exclude=parse_selectors(params["exclude"]),
        absent=params["state"] == "absent",
        exclusive=params["exclusive"],
        persistent=PERSISTENT in params["parts"],
        runtime=RUNTIME in params["parts"] and params["running"],
        rebind=params["rebind"],
        running=params["running"],
        rebooted=params["rebooted"],
        deadline_s=float(params["deadline"]),
    )
    if not params["parts"]:
        raise ParseError("parts is empty.", remedy=f"name {PERSISTENT}, {RUNTIME}, or both")
    if task.deadline_s < 1:
        raise ParseError(f"deadline is {params['deadline']}.", remedy="give the kernel a second or more")
    if task.absent and task.exclusive:
        raise ParseError("exclusive means nothing with state absent.", remedy="leave one of them out")
    if not task.running:
        _refuse_unnamed(task)
    return task


def _refuse_unnamed(task: Task) -> None:
    """Refuse selectors that only the running host could resolve."""
    for selector in (*(task.selectors or ()), *task.exclude):
        ids = (selector.expect or "").split(":")
        if selector.address is None or (
            selector not in task.exclude and not task.absent and len(ids) != _ALL_IDS
        ):
            raise ParseError(
                f"{selector} cannot be resolved where the host does not run.",
                remedy="select by address, and give all four ids in expect",
            )
