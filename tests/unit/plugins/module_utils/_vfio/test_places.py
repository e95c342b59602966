# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import usedhost
from usedhost import CARD, TWIN

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Listing
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import places

SUBSYSTEM = "/sys/devices/virtual/nvme-subsystem/nvme-subsys0"


def test_what_lies_below_a_device_is_its_own_and_what_begins_alike_is_not(tmp_path: pathlib.Path) -> None:
    used = usedhost.Used(tmp_path)
    folder = used.card()
    found = used.places()
    assert found.owners(f"{folder}/nvme/nvme0") == (CARD,)
    assert found.owners(folder) == (CARD,)
    assert found.owners(f"{folder}0/nvme/nvme0") == ()


def test_a_device_behind_a_bridge_is_found_by_its_link(tmp_path: pathlib.Path) -> None:
    used = usedhost.Used(tmp_path)
    used.card(under=("00:01.0",))
    assert used.places().folders == {CARD: (f"/sys/devices/pci0000:00/0000:00:01.0/{CARD}",)}


def test_a_subsystem_with_two_controllers_belongs_to_both(tmp_path: pathlib.Path) -> None:
    used = usedhost.Used(tmp_path)
    for number, address in enumerate((CARD, TWIN)):
        controller = f"{used.card(address, '010802')}/nvme/nvme{number}"
        used.folder(controller, source="drivers/nvme/host/core.c")
        used.link(
            f"{SUBSYSTEM}/nvme{number}", controller, source="drivers/nvme/host/core.c nvme_init_subsystem()"
        )
    used.link("/sys/class/nvme-subsystem/nvme-subsys0", SUBSYSTEM, source="drivers/nvme/host/core.c")
    found = used.places(CARD, TWIN)
    assert found.owners(f"{SUBSYSTEM}/nvme0n1") == (CARD, TWIN)
    disk = places.Thing("nvme0n1", f"{SUBSYSTEM}/nvme0n1")
    assert found.sort([disk]) == {CARD: (disk,), TWIN: (disk,)}
    assert used.places(TWIN).owners(f"{SUBSYSTEM}/nvme0n1") == (TWIN,)


def test_nothing_is_read_for_nothing(tmp_path: pathlib.Path) -> None:
    assert places.read_places(Host(root=str(tmp_path)), ()) == places.Places({})


def test_a_list_that_cannot_be_read_says_why(tmp_path: pathlib.Path) -> None:
    class Closed(Host):
        def listing(self, path: str) -> Listing:
            return Listing(why=f"{path}: Permission denied")

    things, why = places.read_things(Closed(root=str(tmp_path)), "/sys/class/net")
    assert (things, why) == ((), "/sys/class/net: Permission denied")
    assert places.read_things(Host(root=str(tmp_path)), "/sys/class/net") == ((), "")
