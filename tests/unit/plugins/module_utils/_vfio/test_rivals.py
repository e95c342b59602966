# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of others that bind devices as well."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model, rivals
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.scene import (
    BIND,
    FORGET,
    RETURN,
    STAY,
    Decision,
)

GPU, TWIN = "0000:01:00.0", "0000:02:00.0"
IDS = model.Identity("10de", "2330", "10de", "16c1")
ENTRY = model.Entry(GPU, IDS, "vfio-pci", "nouveau")


def device(address: str) -> pci.PciDevice:
    return pci.PciDevice(
        address,
        vendor=IDS.vendor,
        device=IDS.device,
        subsystem_vendor=IDS.subsystem_vendor,
        subsystem_device=IDS.subsystem_device,
        class_code="030200",
    )


def found(
    raw: rivals.RawRivals, verb: str = BIND, entry: model.Entry | None = None
) -> dict[str, tuple[str, ...]]:
    decision = Decision(verb, model.Member(GPU, binds=True), device(GPU), entry=entry)
    return rivals.find_rivals(raw, pci.PciSnapshot({GPU: device(GPU), TWIN: device(TWIN)}), [decision])


@pytest.mark.parametrize(
    ("ids", "means"),
    [
        ("10de:2330", True),
        ("10DE:2330", True),
        ("10de:2330:10de:16c1", True),
        ("10de:ffffffff", True),
        ("10de:2330:ffffffff:ffffffff:030000:ff0000", True),
        ("10de:2330:10de:0001", False),
        ("10de:2331", False),
        ("10de:2330:ffffffff:ffffffff:020000:ff0000", False),
        ("10de", False),
        ("nonsense:2330", False),
        ("", False),
    ],
)
def test_ids_mean_the_devices_that_the_driver_would_take(ids: str, means: bool) -> None:
    assert list(found(rivals.RawRivals(f"quiet vfio-pci.ids={ids}"))) == ([TWIN] if means else [])


@pytest.mark.parametrize(
    ("verb", "entry", "told"),
    [(BIND, None, [TWIN]), (STAY, ENTRY, [TWIN]), (RETURN, ENTRY, [GPU, TWIN]), (FORGET, ENTRY, [GPU, TWIN])],
)
def test_ids_are_nothing_to_a_device_that_is_bound_anyway(
    verb: str, entry: model.Entry | None, told: list[str]
) -> None:
    assert sorted(found(rivals.RawRivals("vfio_pci.ids=10de:2330"), verb, entry)) == told


def test_options_of_modprobe_are_read_as_it_reads_them() -> None:
    others = "# options vfio-pci ids=10de:2331\noptions nouveau ids=10de:2330\n"
    text = f"{others}options vfio_pci \\\n  ids=8086:1,10de:2330\n"
    (line,) = found(rivals.RawRivals(modprobe={"/etc/modprobe.d/vfio.conf": text}))[TWIN]
    assert line.startswith("/etc/modprobe.d/vfio.conf gives it to vfio-pci by its ids 10de:2330")


@pytest.mark.parametrize(
    ("verb", "driver", "told"),
    [
        (BIND, "nouveau", True),
        (BIND, "vfio-pci", False),
        (RETURN, "vfio-pci", True),
        (RETURN, "nouveau", False),
    ],
)
def test_driverctl_is_told_where_it_wants_another_driver(verb: str, driver: str, told: bool) -> None:
    raw = rivals.RawRivals(driverctl={GPU: driver, TWIN: "vfio-pci", "0000:7f:00.0": "vfio-pci"})
    assert list(found(raw, verb, ENTRY)) == ([GPU] if told else [])


def test_what_is_read(tmp_path: pathlib.Path) -> None:
    host = Host(root=str(tmp_path))
    assert rivals.read_rivals(host) == rivals.RawRivals()
    for path, text in (
        ("proc/cmdline", "quiet\n"),
        ("usr/lib/modprobe.d/a.conf", "options vfio-pci ids=1:2\n"),
        ("etc/modprobe.d/a.conf.old", "options vfio-pci ids=1:2\n"),
        (f"etc/driverctl.d/pci-{GPU}", "vfio-pci\n"),
        ("etc/driverctl.d/vmbus-7", "uio\n"),
    ):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert rivals.read_rivals(host) == rivals.RawRivals(
        "quiet", {"/usr/lib/modprobe.d/a.conf": "options vfio-pci ids=1:2"}, {GPU: "vfio-pci"}
    )
