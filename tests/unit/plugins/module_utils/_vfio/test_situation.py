# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import pytest
import trees

from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci_sysfs
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.gates import Situation
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.situation import read_situation

CARD, VF = "0000:01:00.0", "0000:01:10.0"
UNSAFE = "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"


def machine(root: pathlib.Path, **options: t.Any) -> trees.Tree:
    """Return a host whose IOMMU works, with one card in group 2."""
    tree = trees.translating(root).group("2")
    return tree.device(CARD, "10de:2330", "030200", source=trees.SYSFS, group="2", **options)


def read(tree: trees.Tree, *addresses: str) -> Situation:
    return read_situation(tree.host, pci_sysfs.read_pci(tree.host), addresses or (CARD,))


def test_a_device_that_nothing_speaks_against(tmp_path: pathlib.Path) -> None:
    assert read(machine(tmp_path)) == Situation(iommu_groups=True, interrupt_remapping=True)


def test_nothing_is_asked_of_a_device_that_vanished(tmp_path: pathlib.Path) -> None:
    assert read(machine(tmp_path), "0000:7f:00.0") == Situation()


def test_groups_that_vfio_made_up_are_none(tmp_path: pathlib.Path) -> None:
    tree = trees.bare(tmp_path).group("2", name="vfio-noiommu")
    tree.device(CARD, "10de:2330", "030200", source=trees.SYSFS, group="2")
    situation = read(tree)
    assert (situation.iommu_groups, situation.interrupt_remapping) == (False, False)


def test_a_host_without_groups(tmp_path: pathlib.Path) -> None:
    tree = trees.bare(tmp_path)
    (tmp_path / "sys/kernel/iommu_groups").rmdir()
    assert not read(tree).iommu_groups


def test_interrupts_that_cannot_be_seen_are_unknown(tmp_path: pathlib.Path) -> None:
    tree = machine(tmp_path)
    (tmp_path / "proc/interrupts").unlink()
    assert read(tree).interrupt_remapping is None


@pytest.mark.parametrize(
    ("chips", "remapped"), [(("GICv3", "ITS-PCI-MSIX-0000:01:00.0"), True), (("GICv3",), None)]
)
def test_arm_remaps_in_its_own_way_that_is_seen_only_in_use(
    tmp_path: pathlib.Path, chips: tuple[str, ...], remapped: bool | None
) -> None:
    tree = machine(tmp_path)
    tree.put("/proc/cpuinfo", "CPU implementer\t: 0x41\n", source="arch/arm64/kernel/cpuinfo.c")
    tree.interrupts(*chips)
    assert read(tree).interrupt_remapping is remapped


@pytest.mark.parametrize(("text", "unsafe"), [("Y\n", True), ("N\n", False), (None, False)])
def test_the_operator_may_have_accepted_unsafe_interrupts(
    tmp_path: pathlib.Path, text: str | None, unsafe: bool
) -> None:
    tree = machine(tmp_path)
    if text:
        tree.put(UNSAFE, text, source="drivers/vfio/vfio_iommu_type1.c")
    assert read(tree).unsafe_interrupts is unsafe


@pytest.mark.parametrize(("number", "enabled"), [("4", {CARD: 4}), ("0", {})])
def test_enabled_virtual_functions_are_counted(
    tmp_path: pathlib.Path, number: str, enabled: dict[str, int]
) -> None:
    files: dict[str, str | bytes] = {"sriov_totalvfs": "8\n", "sriov_numvfs": f"{number}\n"}
    assert read(machine(tmp_path, files=files)).enabled_vfs == enabled


@pytest.mark.parametrize(
    ("config", "dead"),
    [
        (b"\xff" * 4096, True),
        (b"\xff" * 64, True),
        (b"", True),
        # A virtual function has no ids of its own: SR-IOV specification, 3.4.1.1.
        (b"\xff\xff\xff\xff" + bytes(60), False),
        (trees.config(), False),
    ],
)
def test_a_device_that_reads_as_ones_is_dead(tmp_path: pathlib.Path, config: bytes, dead: bool) -> None:
    """amd/MxGPU-Virtualization#25: after a reset the function answers nothing until the next boot."""
    tree = machine(tmp_path, files={"config": config})
    assert read(tree).dead == (frozenset({CARD}) if dead else frozenset())


def test_a_device_that_cannot_be_read_is_dead_and_one_without_the_file_is_not(tmp_path: pathlib.Path) -> None:
    tree = machine(tmp_path)
    config = tmp_path / f"sys/devices/pci0000:00/{CARD}/config"
    config.unlink()
    assert not read(tree).dead
    config.mkdir()
    assert read(tree).dead == {CARD}


def test_the_mark_of_a_device_that_hung_is_told(tmp_path: pathlib.Path) -> None:
    tree = machine(tmp_path)
    for address in (CARD, "0000:02:00.0"):
        tree.put(f"/run/hearth/vfio-hung/{address}", "unbind: blocked\n", source="hung.py mark_hung()")
    assert read(tree).hung == {CARD: "unbind: blocked"}


def test_a_virtual_gpu_stays_with_its_driver(tmp_path: pathlib.Path) -> None:
    """kubevirt#17642: vfio-pci answers EINVAL for a function that NVIDIA's driver serves as a virtual GPU."""
    tree = machine(tmp_path, files={"nvidia/current_vgpu_type": "0\n"})
    files: dict[str, str | bytes] = {"nvidia/current_vgpu_type": "557\n"}
    tree.device(VF, "10de:2330", "030200", source=trees.SYSFS, files=files, links={"physfn": CARD})
    assert read(tree, CARD, VF).mediated == {VF}


def test_members_that_are_no_pci_devices_are_told_with_their_driver(tmp_path: pathlib.Path) -> None:
    tree = machine(tmp_path)
    for name, driver in (("AMDI0020:00", "dw-apb-uart"), ("AMDI0010:00", "")):
        folder = f"/sys/devices/platform/{name}"
        tree.folder(folder, source="drivers/acpi/acpi_platform.c").member("2", name, folder)
        if driver:
            tree.link(f"{folder}/driver", f"/sys/bus/platform/drivers/{driver}", source="drivers/base/dd.c")
    assert read(tree).foreign_drivers == {"AMDI0020:00": "dw-apb-uart"}
