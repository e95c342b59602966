# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Typed errors. Pure code raises them; only the base module turns them into a failed task."""

from __future__ import annotations

import typing as t


class HearthError(Exception):
    """An expected failure: what was found, and in ``remedy`` the operator's next step."""

    def __init__(self, message: str, remedy: str = "", **details: t.Any) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.details = details

    def as_result(self) -> dict[str, t.Any]:
        """Return the keyword arguments for ``fail_json``; ``msg`` alone says everything."""
        msg = f"{self.message} Remedy: {self.remedy}" if self.remedy else self.message
        return {"msg": msg, "error": type(self).__name__, "remedy": self.remedy, **self.details}


class ParseError(HearthError):
    """Text from the host or the user does not have the grammar its format defines."""


class Refusal(HearthError):
    """The plan would hurt the host; nothing was written."""


class Contradiction(Refusal):
    """Two wishes exclude each other; both owners are named."""


class CommandError(HearthError):
    """An external tool is missing, failed, or did not answer in time."""


class HostBusy(Refusal):
    """Another play holds this host."""


class EffectError(HearthError):
    """An effect failed half-way through a plan, such as a write on a full disk."""


class VerifyError(HearthError):
    """The host, read back after the change, is not what the plan said it would be."""
