# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import time

import usedhost
from usedhost import CARD, TWIN

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Listing, Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import use
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import (
    DISPLAY,
    NETWORK,
    OPENED,
    STORAGE,
    Use,
)


class Untouched(Host):
    """A host that nothing may be asked of."""

    def read(self, path: str) -> Reading:
        raise AssertionError(path)

    def listing(self, path: str) -> Listing:
        raise AssertionError(path)


def busy(root: pathlib.Path) -> usedhost.Used:
    """Return a host whose first card is in use in every way, and whose second is free."""
    used = usedhost.Used(root)
    folder = used.card(class_code="030000", driver="bochs-drm")
    used.card(TWIN, "030000", driver="bochs-drm")
    used.block(f"{folder}/usb1/block/sda", "8:0")
    used.mounted("8:0 / ext4 /dev/sda").swapped()
    used.interface(f"{folder}/usb1/net/eth0", master="br0")
    used.buffer("fb0", f"{folder}/graphics/fb0").console("vtcon1")
    used.put("/proc/iomem", "00001000-0009ffff : System RAM\n", source="kernel/resource.c")
    used.node("c226:0", "dri/card0", f"{folder}/drm/card0")
    return used.process(812, "Xorg", "/dev/dri/card0")


def test_every_kind_of_use_is_told(tmp_path: pathlib.Path) -> None:
    used = busy(tmp_path)
    raw = use.read_uses(used.host, used.snapshot, [CARD, TWIN])
    assert use.parse_uses(raw, [CARD, TWIN]) == {
        CARD: (
            Use(STORAGE, "sda, mounted on / (the root file system)"),
            Use(NETWORK, "eth0 is part of br0"),
            Use(DISPLAY, "the text console is on it (fb0, vtcon1)"),
            Use(OPENED, "Xorg (process 812) has /dev/dri/card0 open"),
        ),
        TWIN: (),
    }
    assert use.consoles_of(raw, CARD) == ("vtcon1",)
    assert use.consoles_of(raw, TWIN) == ()


def test_nothing_is_read_when_nothing_will_change() -> None:
    raw = use.read_uses(Untouched(), pci.PciSnapshot(), ())
    assert use.parse_uses(raw, ()) == {}
    assert use.parse_uses(raw, [CARD]) == {CARD: ()}


def test_a_device_that_vanished_has_no_uses(tmp_path: pathlib.Path) -> None:
    used = busy(tmp_path)
    raw = use.read_uses(used.host, used.snapshot, ["0000:7f:00.0"])
    assert use.parse_uses(raw, ["0000:7f:00.0"]) == {"0000:7f:00.0": ()}


def test_processes_are_read_once_for_all_devices(tmp_path: pathlib.Path) -> None:
    used = busy(tmp_path)
    asked: list[str] = []

    class Counting(usedhost.UsedHost):
        def read(self, path: str) -> Reading:
            asked.append(path)
            return super().read(path)

    host = Counting(root=used.host.root, run=used.host.run, environ=used.host.environ)
    use.read_uses(host, used.snapshot, [CARD, TWIN])
    assert asked.count("/proc/812/maps") == 1
    assert asked.count("/proc/iomem") == asked.count("/proc/self/mountinfo") == 1


def test_a_busy_host_is_read_in_well_under_a_second(tmp_path: pathlib.Path) -> None:
    used = busy(tmp_path)
    for pid in range(1000, 1300):
        used.process(pid, "worker", *["/dev/null", "socket:[1]"] * 8, maps=["/usr/lib/libc.so.6"] * 50)
    host, snapshot = used.host, used.snapshot
    started = time.process_time()
    use.read_uses(host, snapshot, [CARD, TWIN])
    assert time.process_time() - started < 1
