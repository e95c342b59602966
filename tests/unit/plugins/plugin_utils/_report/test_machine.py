# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine behind the drawing: who owns what, from what kvm_check returns."""

from __future__ import annotations

import pathlib

import pytest
import report_samples

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import machine


def topology(**more: object) -> dict[str, object]:
    """Return a port without a driver's claim, a display behind it, and a host bridge."""
    display = {"address": "0000:01:00.0", "class": "030000", "class_name": "VGA controller", "iommu_group": "2",
               "driver": "vfio-pci", "vendor": "10de", "device": "2330", "device_name": "GH100", "numa_node": None,
               "boot_vga": True, "slot": "4", "children": []}  # fmt: skip
    port = {"address": "0000:00:01.0", "class": "060400", "class_name": "PCI bridge", "bridge": True,
            "iommu_group": "1", "driver": "pcieport", "children": [display]}  # fmt: skip
    host = {"address": "0000:00:00.0", "class": "060000", "class_name": "host bridge", "iommu_group": "0"}
    groups = [
        {"group": "0", "owner": "unbound", "members": ["0000:00:00.0"]},
        {"group": "1", "owner": "host", "members": ["0000:00:01.0"]},
        {"group": "2", "owner": "vfio", "members": ["0000:01:00.0"]},
    ]
    return {"pci": [{"root": "pci0000:00", "devices": [host, port]}], "groups": groups, **more}


def test_devices_are_named_and_placed() -> None:
    host, port, display = machine.from_topology(topology()).devices
    assert (display.parent, display.group, display.node, display.short) == (
        "0000:00:01.0",
        "2",
        -1,
        "01:00.0",
    )
    assert display.title == "VGA controller (boot display, slot 4) GH100"
    assert display.ids == "10de:2330"
    assert (host.label, port.label, host.ids) == ("Host bridge", "PCI bridge", "????:????")


def test_ports_and_bridges_own_nothing() -> None:
    assert machine.from_topology(topology()).owners() == {"0": "ports", "1": "ports", "2": "vfio"}


def test_a_group_that_vfio_made_up_is_no_group() -> None:
    groups = [{"group": "2", "owner": "vfio", "fake": True, "members": ["0000:01:00.0"]}]
    assert machine.from_topology(topology(groups=groups)).owners() == {"": "none"}


def test_members_that_are_no_pci_devices_are_shown() -> None:
    groups = [{"group": "7", "owner": "unbound", "members": ["AMDI0020:00"]}]
    *_others, other = machine.from_topology(topology(groups=groups)).devices
    assert (other.address, other.label, other.group) == ("AMDI0020:00", "Platform device", "7")


def test_nodes_have_cpus_sockets_and_memory() -> None:
    nodes = [
        {"node": 0, "cpus": "0-3,8", "memory_bytes": 64 << 30},
        {"node": 1, "cpus": "", "memory_bytes": None},
    ]
    sockets = [{"socket": 0, "cpus": "0-1"}, {"socket": 1, "cpus": "8"}, {"socket": 2, "cpus": "9-x"}]
    one, other = machine.from_topology({"nodes": nodes, "sockets": sockets}).nodes
    assert (one.cpus, one.sockets, one.memory) == ("0-3,8", "0, 1", "64 GiB")
    assert (other.cpus, other.sockets, other.memory) == ("", "", "")


@pytest.mark.parametrize("data", [{}, {"pci": None, "groups": None, "nodes": None, "sockets": None}])
def test_nothing_is_a_machine_without_anything(data: dict[str, object]) -> None:
    assert machine.from_topology(data) == machine.Machine((), ())


def test_the_lab_has_an_owner_of_every_kind(tmp_path: pathlib.Path) -> None:
    owners = machine.from_topology(report_samples.lab(tmp_path)["topology"]).owners()
    assert set(owners.values()) == {"host", "vfio", "mixed", "unbound", "ports"}
    assert (owners["10"], owners["5"], owners["11"], owners["3"], owners["12"]) == (
        "mixed",
        "vfio",
        "host",
        "unbound",
        "ports",
    )
