# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By what one sees that an argument has worked."""

from __future__ import annotations

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.capability import checks, default_page_kib
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.machine import Machine

MACHINE = Machine("x86", 16318424, 2048, frozenset(range(8)), 7)
CPUS = "/sys/devices/system/cpu"
POOLS = "/sys/kernel/mm/hugepages"
NODES = "/sys/devices/system/node"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("intel_iommu=on", [("/sys/class/iommu", "filled", "")]),
        ("intel_iommu=on,sm_on", []),
        ("hugepagesz=1G hugepages=64", [(f"{POOLS}/hugepages-1048576kB/nr_hugepages", "at_least", "64")]),
        # As many on one node alone do not serve the other one.
        (
            "hugepagesz=1G hugepages=0:2,1:3",
            [
                (f"{NODES}/node0/hugepages/hugepages-1048576kB/nr_hugepages", "at_least", "2"),
                (f"{NODES}/node1/hugepages/hugepages-1048576kB/nr_hugepages", "at_least", "3"),
            ],
        ),
        ("hugepages=8", [(f"{POOLS}/hugepages-2048kB/nr_hugepages", "at_least", "8")]),
        ("default_hugepagesz=1G", [("/proc/meminfo", "matches", r"^Hugepagesize:\s+1048576 kB$")]),
        ("isolcpus=3,2", [(f"{CPUS}/isolated", "equals", "2-3")]),
        ("isolcpus=4-N", [(f"{CPUS}/isolated", "equals", "4-7")]),
        ("isolcpus=managed_irq,domain,2-3", []),
        ("nohz_full=2-3", [(f"{CPUS}/nohz_full", "equals", "2-3")]),
        (
            "transparent_hugepage=never",
            [("/sys/kernel/mm/transparent_hugepage/enabled", "matches", r"\[never\]")],
        ),
        ("nosmt", [(f"{CPUS}/smt/control", "matches", "^(off|forceoff|notsupported|notimplemented)$")]),
        ("nosmt=force", [(f"{CPUS}/smt/control", "matches", "^(forceoff|notsupported|notimplemented)$")]),
        ("isolcpus", []),
        ("iommu=pt", []),
        ("vfio-pci.ids=1:1", []),
    ],
)
def test_checks_of_an_argument(text: str, found: list[tuple[str, str, str]]) -> None:
    (wish,) = cmdline.arguments(cmdline.split(text))
    assert [(check.path, check.operator, check.value) for check in checks(wish, MACHINE, 2048)] == found


def test_huge_pages_of_an_unknown_size_are_not_looked_for() -> None:
    (wish,) = cmdline.arguments(["hugepages=8"])
    assert checks(wish, Machine(), None) == ()


def test_the_default_size_is_the_one_that_will_be() -> None:
    assert default_page_kib(["quiet", "default_hugepagesz=1G"], MACHINE) == 1048576
    assert default_page_kib(["quiet"], MACHINE) == 2048
