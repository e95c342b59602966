# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The framebuffers that firmware left behind, and whose memory they are in. Pure."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci

Framebuffer = tuple[int, int, str]
"""First and last address, and the name that the kernel gives it."""

_NAMES = ("bootfb", "simplefb", "simple-framebuffer", "simpledrm", "efifb", "vesafb")
_RANGE = re.compile(r"\s*([0-9a-f]{1,16})-([0-9a-f]{1,16}) : (.+)", re.ASCII)


def parse_framebuffers(iomem: str | None) -> tuple[Framebuffer, ...] | None:
    """Return the boot framebuffers in ``/proc/iomem``; ``None`` when the kernel hides addresses."""
    ranges = [match.groups() for match in map(_RANGE.match, (iomem or "").splitlines()) if match]
    if not any(int(end, 16) for _start, end, _name in ranges):
        return None
    found = [(int(start, 16), int(end, 16), name.strip()) for start, end, name in ranges]
    return tuple(entry for entry in found if entry[2].lower() in _NAMES)


def held_by(device: pci.PciDevice, framebuffers: t.Iterable[Framebuffer]) -> list[str]:
    """Return the names of the framebuffers that lie in a memory window of ``device``."""
    return [name for start, end, name in framebuffers if _overlaps(device, start, end)]


def _overlaps(device: pci.PciDevice, start: int, end: int) -> bool:
    return any(window.start and window.start <= end and start <= window.end for window in device.bars or ())
