# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci.framebuffers import (
    held_by,
    parse_framebuffers,
)

# The form of kernel/resource.c.
IOMEM = "c0000000-c0ffffff : 0000:01:00.0\n  c0000000-c02fffff : BOOTFB\n"


def test_a_framebuffer_has_a_place_and_a_name() -> None:
    assert parse_framebuffers(IOMEM) == ((0xC0000000, 0xC02FFFFF, "BOOTFB"),)


@pytest.mark.parametrize("text", [None, "", "00000000-00000000 : BOOTFB\n"])
def test_hidden_addresses_are_not_none(text: str | None) -> None:
    assert parse_framebuffers(text) is None


@pytest.mark.parametrize(
    ("start", "end", "held"),
    [
        (0xC0000000, 0xC0FFFFFF, ["BOOTFB"]),
        (0xC0100000, 0xC01FFFFF, ["BOOTFB"]),
        (0xC0300000, 0xC0FFFFFF, []),
        (0, 0xFFFFFFFF, []),
    ],
)
def test_the_owner_is_the_device_with_the_memory(start: int, end: int, held: list[str]) -> None:
    device = pci.PciDevice("0000:01:00.0", bars=(pci.Bar(0, start, end, 0x200),))
    assert held_by(device, parse_framebuffers(IOMEM) or ()) == held
    assert held_by(pci.PciDevice("0000:01:00.0"), parse_framebuffers(IOMEM) or ()) == []


@given(st.text())
def test_no_memory_map_upsets_the_parser(text: str) -> None:
    parse_framebuffers(text)
