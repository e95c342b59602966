# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a boot menu, entry by entry."""

from __future__ import annotations

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import (
    Entry,
    Menu,
    Source,
    Wish,
    faults,
)


def menu(*lines: str, leaving: str = "") -> Menu:
    entries = tuple(Entry(f"e{number}", tuple(line.split())) for number, line in enumerate(lines))
    return Menu(given=(), entries=entries, leaving=tuple(leaving.split()))


@pytest.mark.parametrize(
    ("found", "ours", "removed", "said"),
    [
        (menu("ro iommu=pt"), "iommu=pt", "", ()),
        (menu("ro iommu=pt", "ro"), "iommu=pt", "", ("e1 lacks iommu=pt",)),
        (menu("ro intel_iommu=on"), "iommu=on", "", ("e0 lacks iommu=on",)),
        (menu("ro quiet"), "", "quiet", ("e0 still has quiet",)),
        (menu("ro iommu=pt", leaving="iommu=pt"), "", "", ("e0 still has iommu=pt",)),
        (menu("ro iommu=pt", leaving="iommu=pt"), "iommu=pt", "", ()),
        (menu("ro iommu=off iommu=pt"), "iommu=pt", "iommu", ("e0 still has iommu=off",)),
        (menu(), "iommu=pt", "", ()),
    ],
)
def test_every_entry_is_looked_at(found: Menu, ours: str, removed: str, said: tuple[str, ...]) -> None:
    # 40-peers.md §3 row 15 (grubby#55): one entry with the arguments proves nothing of the others.
    assert faults(found, Wish(tuple(ours.split()), tuple(removed.split()))) == said


def test_recovery_entries_and_unknown_ones_are_not_judged() -> None:
    wish = Wish(("iommu=pt",), ())
    assert faults(Menu(given=(), entries=(Entry("recovery", ("ro",), bare=True),)), wish) == ()
    assert faults(Menu(given=(), entries=None), wish) == ()


def test_given_words_keep_the_order_of_their_sources() -> None:
    assert Menu(given=(Source("a", ("x", "y")), Source("b", ("z",)))).given_words == ("x", "y", "z")
