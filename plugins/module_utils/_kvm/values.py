# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The small formats of ``/proc`` and ``/sys`` that several checks read. Pure, except for two readers."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import HearthError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

_LOG_COMMANDS = (
    ("journalctl", "--dmesg", "--boot=0", "--output=cat", "--no-pager", "--quiet"),
    ("dmesg",),
)
_LOG_TIMEOUT_S = 20.0
MODULES_HIDDEN = (
    "/sys/module is empty or not there, as in a container: which modules are loaded cannot be told."
)


def switch(text: str | None) -> bool | None:
    """Parse a module parameter: bool parameters print Y and N, int parameters 1 and 0."""
    return {"Y": True, "y": True, "1": True, "N": False, "n": False, "0": False}.get((text or "").strip())


def chosen(text: str | None) -> str | None:
    """Return the choice in brackets: ``none [integrity] confidentiality``."""
    match = re.search(r"\[([\w-]+)\]", text or "")
    return match.group(1) if match else None


def version(text: str | None) -> tuple[int, ...]:
    """Return the leading numbers of a version; compare numbers, as text ``10.0`` is less than ``9.0``."""
    match = re.match(r"[0-9]+(?:\.[0-9]+)*", (text or "").strip())
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def number(text: str | None) -> int | None:
    """Parse a decimal number, or return ``None``."""
    stripped = (text or "").strip()
    return int(stripped) if re.fullmatch(r"-?[0-9]{1,18}", stripped) else None


def tokens(text: str | None) -> frozenset[str]:
    """Split into whole words: ``sev`` is not in ``sev_es``."""
    return frozenset((text or "").split())


def parameter(host: Host, module: str, name: str) -> bool | None:
    """Read a switch of a loaded module; ``None`` when it cannot be told."""
    return switch(host.text(f"/sys/module/{module}/parameters/{name}"))


def kernel_log(host: Host) -> str | None:
    """Return the kernel's messages since boot, or ``None`` when nobody lets us read them.

    Lines may be missing: the ring buffer rotates. What is there is evidence; what is not there is none.
    """
    for argv in _LOG_COMMANDS:
        try:
            done = host.run(argv, timeout_s=_LOG_TIMEOUT_S, check=False)
        except HearthError:
            continue
        if done.rc == 0 and done.out.strip():
            return done.out
    return None


def evidence(log: str | None, phrases: t.Iterable[str]) -> list[str]:
    """Return the log lines that hold one of the phrases in any case, each line once, in order.

    The log is long and hardly ever holds one, so lines are looked at only if the whole does.
    """
    whole = (log or "").lower()
    present = [phrase.lower() for phrase in phrases if phrase.lower() in whole]
    lines = (log or "").splitlines() if present else []
    found = (line.strip() for line in lines if any(phrase in line.lower() for phrase in present))
    return list(dict.fromkeys(found))
