# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the boot menu shall be, from the options and what others wrote."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import goal
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Entry, Menu, Source
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.machine import Machine
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal

FILE = "/etc/default/grub"


def menu(given: str = "", ours: str = "", entry: str = "", **more: t.Any) -> Menu:
    entries = (Entry("bare", ("ro", "y" * 3000), bare=True), Entry("e", tuple(entry.split())))
    return Menu((Source(FILE, tuple(given.split())),), tuple(ours.split()), entries=entries, **more)


def set_goal(found: Menu, args: list[str] | None, remove: list[str] | None = None) -> goal.Goal:
    params = {"args": args, "remove": remove, "owners": {}, "sev_snp": False}
    return goal.set_goal(params, found, Machine("x86"))


@pytest.mark.parametrize(
    ("args", "remove", "ours", "removed", "line"),
    [
        (None, None, ("iommu=pt",), ("quiet",), ("nosmt", "iommu=pt")),
        ([], None, (), ("quiet",), ("nosmt",)),
        (["nosmt"], [], (), (), ("quiet", "nosmt")),
        (["a=1"], ["nosmt", "nosmt", ""], ("a=1",), ("nosmt",), ("quiet", "a=1")),
    ],
)
def test_left_out_is_unmanaged_empty_clears_and_a_value_is_enforced(
    args: list[str] | None, remove: list[str] | None, ours: t.Any, removed: t.Any, line: t.Any
) -> None:
    found = set_goal(menu("quiet nosmt", "iommu=pt", removed=("quiet",)), args, remove)
    assert (found.wish.ours, found.wish.removed, found.line) == (ours, removed, line)


def test_the_boot_loaders_own_words_count_for_the_length_and_ours_only_once() -> None:
    long, loaders = "a=" + "x" * 1000, "root=" + "z" * 1000
    set_goal(menu(ours=long, entry=f"{loaders} {long}"), [long])
    with pytest.raises(Refusal, match="characters"):
        set_goal(menu(ours=long, entry=f"{loaders} {long}"), [long, "b=" + "x" * 60])


def test_a_wish_that_others_serve_must_be_in_every_entry_too() -> None:
    found = menu("nosmt", entry="ro")
    assert goal.faults(found, set_goal(found, ["nosmt"])) == ("e lacks nosmt",)
    found = menu(entry="ro")
    assert goal.faults(found, set_goal(found, ["nosmt"])) == ("e lacks nosmt",), "and is said once"
