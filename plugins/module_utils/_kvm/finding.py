# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""A finding: one question with a stable id, and the answer with its evidence and remedy."""

from __future__ import annotations

import dataclasses
import typing as t

PASS, WARN, FAIL, UNKNOWN, NOT_APPLICABLE = "pass", "warn", "fail", "unknown", "na"
FIXES = ("firmware", "cmdline", "module", "package", "hardware", "host", "")


@dataclasses.dataclass(frozen=True)
class Finding:
    """The answer to one check.

    ``id`` is stable (``iommu.interrupt_remapping``); ``status`` is one of pass, warn, fail,
    unknown, na; ``value`` and ``expected`` are what was found and wanted; ``source`` is where
    it was read; ``why`` says what it means; ``hint`` is the operator's next step; ``fix`` says
    what kind of step that is.
    """

    id: str
    status: str
    value: t.Any = None
    expected: t.Any = None
    source: str = ""
    why: str = ""
    hint: str = ""
    fix: str = ""
    needs_reboot: bool = False

    def as_dict(self) -> dict[str, t.Any]:
        """Return the finding as the module returns it."""
        return dataclasses.asdict(self)
