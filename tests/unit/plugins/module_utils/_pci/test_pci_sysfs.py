# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading a little of all devices, and then all of a few, gives what reading everything gives."""

from __future__ import annotations

import dataclasses
import pathlib
import tarfile
import typing as t

import pytest
import trees

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci, pci_sysfs

FIXTURES = pathlib.Path(__file__).resolve().parents[3] / "fixtures" / "hosts"
LIGHT = ("address", "root", "parents", "vendor", "device", "subsystem_vendor", "subsystem_device")
LIGHT += ("class_code", "driver", "group", "physfn", "slot")
# Their show functions take the lock of the device (Linux 6.1: drivers/pci/pci-sysfs.c, iov.c; drivers/base/core.c
# for uevent since 6.10), which a hung driver never gives back.
LOCKING = ("driver_override", "sriov_numvfs", "uevent")


@dataclasses.dataclass(frozen=True)
class Watched(Host):
    """A host that remembers which files were read."""

    seen: list[str] = dataclasses.field(default_factory=list, compare=False)

    def read(self, path: str) -> Reading:
        self.seen.append(path)
        return super().read(path)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Unpack the capture of the lab VM: QEMU 7.2, q35 with intel-iommu, Debian 12."""
    folder = tmp_path_factory.mktemp("lab")
    with tarfile.open(FIXTURES / "lab-q35-intel.tar.gz") as tar:
        if hasattr(tarfile, "tar_filter"):
            tar.extraction_filter = tarfile.tar_filter
        tar.extractall(folder)
    inner = folder / "lab-q35-intel"
    return str(inner if inner.is_dir() else folder)


def known(device: pci.PciDevice) -> dict[str, t.Any]:
    return {name: getattr(device, name) for name in LIGHT}


def test_the_little_that_is_read_of_all_is_what_reading_everything_says(lab: str) -> None:
    whole, light = pci_sysfs.read_pci(Host(root=lab)), pci_sysfs.read_pci_ids(Host(root=lab))
    assert len(light.devices) > 10
    assert {a: known(d) for a, d in light.devices.items()} == {a: known(d) for a, d in whole.devices.items()}
    assert {n: g.devices for n, g in (light.groups or {}).items()} == {
        n: g.devices for n, g in (whole.groups or {}).items()
    }


def test_the_devices_that_matter_are_completed_with_their_groups_and_no_others(lab: str) -> None:
    whole, light = pci_sysfs.read_pci(Host(root=lab)), pci_sysfs.read_pci_ids(Host(root=lab))
    found = pci_sysfs.complete(Host(root=lab), light, ["0000:01:00.0", "0000:7f:00.0"])
    assert found.devices["0000:01:00.0"] == whole.devices["0000:01:00.0"]
    number = str(whole.devices["0000:01:00.0"].group)
    assert (found.groups or {})[number] == (whole.groups or {})[number]
    assert {a: d for a, d in found.devices.items() if a != "0000:01:00.0"} == {
        a: d for a, d in light.devices.items() if a != "0000:01:00.0"
    }


def test_nothing_that_waits_for_a_hung_driver_is_read_of_all_devices(lab: str) -> None:
    host = Watched(root=lab)
    light = pci_sysfs.read_pci_ids(host)
    assert [path for path in host.seen if path.endswith(LOCKING)] == []
    pci_sysfs.complete(host, light, ["0000:01:00.0"], untouched={"0000:01:00.0"})
    assert [path for path in host.seen if path.endswith(LOCKING)] == []
    pci_sysfs.complete(host, light, ["0000:01:00.0"])
    assert [path for path in host.seen if path.endswith(LOCKING)], "and otherwise it is"


def test_a_tree_without_modalias_is_read_file_by_file(tmp_path: pathlib.Path) -> None:
    tree = trees.Tree(tmp_path)
    tree.device("01:00.0", "10de:2330", "030200", source=trees.SYSFS)
    (device,) = pci_sysfs.read_pci_ids(tree.host).devices.values()
    assert (device.ids, device.class_code, device.group) == ("10de:2330", "030200", None)


def test_without_an_iommu_there_are_no_groups_to_complete(tmp_path: pathlib.Path) -> None:
    tree = trees.Tree(tmp_path)
    tree.device("01:00.0", "10de:2330", "030200", source=trees.SYSFS)
    light = pci_sysfs.read_pci_ids(tree.host)
    assert light.groups is None
    found = pci_sysfs.complete(tree.host, light, list(light.devices))
    assert (found.groups, found.devices["0000:01:00.0"].header_type) == (None, 0)


def test_no_reset_is_an_answer_only_where_the_kernel_shows_resets_at_all(tmp_path: pathlib.Path) -> None:
    tree = trees.Tree(tmp_path)
    tree.device("01:00.0", "10de:2330", "030200", source=trees.SYSFS)
    light = pci_sysfs.read_pci_ids(tree.host)
    assert (
        pci_sysfs.complete(tree.host, light, ["0000:01:00.0"]).devices["0000:01:00.0"].reset_methods is None
    )
    tree.device("02:00.0", "10de:2330", "030200", source=trees.SYSFS, files={"reset_method": "flr\n"})
    light = pci_sysfs.read_pci_ids(tree.host)
    assert pci_sysfs.complete(tree.host, light, ["0000:01:00.0"]).devices["0000:01:00.0"].reset_methods == ()
    assert pci_sysfs.complete(tree.host, light, ["0000:02:00.0"]).devices["0000:02:00.0"].reset_methods == (
        "flr",
    )


def test_no_bus_at_all(tmp_path: pathlib.Path) -> None:
    assert pci_sysfs.read_pci_ids(Host(root=str(tmp_path))) == pci.PciSnapshot({}, None, present=False)
