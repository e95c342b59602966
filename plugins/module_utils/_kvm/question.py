# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""A question of a check: what stays the same whatever the answer is."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import Finding


@dataclasses.dataclass(frozen=True)
class Question:
    """The stable ``id``, what it asks, the ``expected`` answer and where it is read."""

    id: str
    meaning: str
    source: str
    expected: t.Any = None

    def answer(
        self, status: str, value: t.Any = None, why: str = "", hint: str = "", fix: str = ""
    ) -> Finding:
        """Answer it; firmware and kernel arguments take effect at the next boot."""
        reboot = fix in ("firmware", "cmdline")
        return Finding(self.id, status, value, self.expected, self.source, why, hint, fix, reboot)
