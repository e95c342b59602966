# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drawing of the machine: NUMA nodes, the PCI tree, groups and their owners."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
import trees
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import pci_names, topology
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci

# Captures: PCI devices, IOMMU groups, NUMA nodes, sockets.
CAPTURES = [
    ("accelerator", 26, 0, 1, 2),
    ("amd-ryzen-1600", 43, 0, 1, 1),
    ("arm64", 4, 0, 1, 1),
    ("intel-i7-1270p", 23, 15, 1, 1),
    ("intel-xeon-l5640", 82, 0, 2, 2),
    ("nvidia-accelerator", 29, 0, 1, 1),
]
PCI_IDS = """\
# a comment
10de  NVIDIA Corporation
\t2330  GH100 [H100 SXM5 80GB]
\t\t10de 16c1  A subsystem, which is no device
8086  Intel Corporation
\t2330  Not NVIDIA's
C 03  Display controller
\t00  VGA compatible controller
"""


def flatten(nodes: t.Iterable[dict[str, t.Any]]) -> t.Iterator[dict[str, t.Any]]:
    for node in nodes:
        yield node
        yield from flatten(node["children"])


def devices(drawing: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    return {node["address"]: node for root in drawing["pci"] for node in flatten(root["devices"])}


def test_the_lab(tmp_path: pathlib.Path) -> None:
    drawing = topology.topology(trees.lab(tmp_path).host)
    assert json.loads(json.dumps(drawing)) == drawing
    gib = 1 << 30
    assert drawing["nodes"] == [
        {"node": 0, "cpus": "0", "memory_bytes": gib},
        {"node": 1, "cpus": "1", "memory_bytes": gib},
    ]
    assert drawing["sockets"] == [{"socket": 0, "cpus": "0"}, {"socket": 1, "cpus": "1"}]
    assert len(devices(drawing)) == len(trees.LAB_DEVICES)
    assert [root["root"] for root in drawing["pci"]] == ["pci0000:00"]
    port = devices(drawing)["0000:00:10.0"]
    assert port["bridge"]
    assert [child["address"] for child in port["children"]] == [
        "0000:01:00.0",
        "0000:01:00.1",
        "0000:01:00.2",
    ]
    gpu = port["children"][0]
    assert (gpu["class_name"], gpu["driver"], gpu["iommu_group"], gpu["gpu"]) == (
        "display controller",
        "bochs-drm",
        "10",
        True,
    )
    assert gpu["numa_node"] is None
    assert devices(drawing)["0000:03:00.0"]["sriov"] == {"total": 4, "number": 0}


def test_lab_owners(tmp_path: pathlib.Path) -> None:
    drawing = topology.topology(trees.lab(tmp_path).host)
    owners = {group["group"]: group["owner"] for group in drawing["groups"]}
    assert {number for number, owner in owners.items() if owner == "unbound"} == {"0", "3", "5", "13", "14"}
    assert set(owners.values()) == {"host", "unbound"}


# Drivers of the members (None is unbound), owner. The first member is a port.
OWNERS: list[tuple[tuple[str | None, ...], str]] = [
    (("pcieport",), "host"),
    ((None,), "unbound"),
    (("pcieport", "vfio-pci"), "vfio"),
    (("pcieport", "vfio-pci", None), "vfio"),
    (("pcieport", "mlx5_vfio_pci"), "vfio"),
    (("pcieport", "nvgrace-gpu-vfio-pci", "pci-stub"), "vfio"),
    (("pcieport", "vfio-pci", "snd_hda_intel"), "mixed"),
    (("pcieport", "nvidia", None), "host"),
    (("pcieport", None), "unbound"),
]


@pytest.mark.parametrize(("drivers", "owner"), OWNERS)
def test_owner(drivers: tuple[str | None, ...], owner: str) -> None:
    """A tool that wanted vfio-pci on pcieport broke (VoltCyclone/PCILeechFWGenerator#77): ports do not count."""
    members = {
        f"0000:0{index}:00.0": pci.PciDevice(
            f"0000:0{index}:00.0", driver=driver, header_type=trees.ENDPOINT if index else trees.BRIDGE
        )
        for index, driver in enumerate(drivers)
    }
    group = pci.IommuGroup("1", devices=tuple(members), others=("AMDI0020:00",))
    assert topology.owner(pci.PciSnapshot(members, {"1": group}), group) == owner


def test_names_come_from_the_list_when_it_is_installed(tmp_path: pathlib.Path) -> None:
    tree = trees.translating(tmp_path).device("3b:00.0", "10de:2330", "030200", source=trees.SYSFS)
    nameless = devices(topology.topology(tree.host))["0000:3b:00.0"]
    assert (nameless["vendor_name"], nameless["device_name"], nameless["class_name"]) == (
        None,
        None,
        "3D controller",
    )
    tree = trees.translating(tmp_path / "named").device("3b:00.0", "10de:2330", "030200", source=trees.SYSFS)
    tree.put("/usr/share/misc/pci.ids", PCI_IDS, source="pci.ids")
    named = devices(topology.topology(tree.host))["0000:3b:00.0"]
    assert (named["vendor_name"], named["device_name"]) == ("NVIDIA Corporation", "GH100 [H100 SXM5 80GB]")


def test_only_wanted_names_are_kept() -> None:
    device = pci.PciDevice("0000:3b:00.0", vendor="8086", device="2330")
    assert pci_names.parse(PCI_IDS, [device]) == {"8086": "Intel Corporation", "8086:2330": "Not NVIDIA's"}


def test_the_product_of_another_maker_is_no_name() -> None:
    text = PCI_IDS + "1002  AMD\n\t74a1  Instinct\n"
    device = pci.PciDevice("0000:3b:00.0", vendor="10de", device="74a1")
    assert pci_names.parse(text, [device]) == {"10de": "NVIDIA Corporation"}
    assert pci_names.parse(text, [pci.PciDevice("0000:3b:00.0", vendor="abcd", device="74a1")]) == {}


def test_link_slot_and_label_are_drawn(tmp_path: pathlib.Path) -> None:
    files = {"current_link_speed": "8.0 GT/s PCIe\n", "current_link_width": "8\n", "max_link_width": "16\n"}
    tree = trees.translating(tmp_path).device(
        "3b:00.0", "10de:2330", "030200", files=files, source=trees.SYSFS
    )
    tree.put("/sys/bus/pci/slots/5/address", "0000:3b:00\n", source="drivers/pci/slot.c")
    device = devices(topology.topology(tree.host))["0000:3b:00.0"]
    assert device["link"] == {"speed": 8.0, "width": 8, "max_speed": None, "max_width": 16}
    assert device["slot"] == "5"


def test_a_host_of_which_nothing_can_be_seen(tmp_path: pathlib.Path) -> None:
    assert topology.topology(Host(root=str(tmp_path))) == {
        "sockets": [],
        "nodes": [],
        "pci": [],
        "groups": [],
    }


def test_many_devices_stay_quick(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is opened twice, so 512 devices cost 512 times one device."""
    tree = trees.translating(tmp_path)
    for number in range(64):
        tree.device(f"{number:02x}:00.0", "10de:2330", "030200", group=str(number), source=trees.SYSFS)
    opened: list[str] = []
    original = Host.read
    monkeypatch.setattr(Host, "read", lambda self, path: opened.append(path) or original(self, path))
    topology.topology(tree.host)
    assert len(opened) == len(set(opened)) < 64 * 12


LISTS = st.lists(st.integers(0, 300), max_size=40)


@given(LISTS)
def test_lists_of_cpus_survive_the_round_trip(numbers: list[int]) -> None:
    assert topology.parse_list(topology.format_list(numbers)) == sorted(set(numbers))


@given(st.text(alphabet="0123456789-, x", max_size=12))
def test_no_list_upsets_the_parser(text: str) -> None:
    topology.parse_list(text)


@pytest.mark.parametrize(("name", "count", "groups", "nodes", "sockets"), CAPTURES)
def test_captures(
    capture: t.Callable[[str], pathlib.Path], name: str, count: int, groups: int, nodes: int, sockets: int
) -> None:
    drawing = topology.topology(Host(root=str(capture(name))))
    assert json.dumps(drawing)
    assert len(devices(drawing)) == count
    assert (len(drawing["groups"]), len(drawing["nodes"]), len(drawing["sockets"])) == (
        groups,
        nodes,
        sockets,
    )
