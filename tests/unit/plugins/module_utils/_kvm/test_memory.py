# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import hosts
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import memory
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import Finding
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

HUGETLB = "mm/hugetlb_sysfs.c"


def pool(
    machine: hosts.Machine, kilobytes: int, total: int, free: int, folder: str = "/sys/kernel/mm"
) -> None:
    base = f"{folder}/hugepages/hugepages-{kilobytes}kB"
    machine.put(f"{base}/nr_hugepages", f"{total}\n", source=HUGETLB)
    machine.put(f"{base}/free_hugepages", f"{free}\n", source=HUGETLB)


def ask(machine: hosts.Machine) -> dict[str, Finding]:
    return {finding.id: finding for finding in memory.checks(machine.host, Policy())}


def test_pages_are_counted_on_each_node(tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path)
    pool(machine, 1048576, 8, 5)
    pool(machine, 2048, 0, 0)
    for node, total in ((0, 8), (1, 0), (10, 0)):
        pool(machine, 1048576, total, total, f"/sys/devices/system/node/node{node}")
    mounts = "proc /proc proc rw 0 0\nhugetlbfs /dev/hugepages1G hugetlbfs rw,pagesize=1024M 0 0\n"
    mounts += "hugetlbfs /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0\n"
    machine.put("/proc/self/mounts", mounts, source="fs/proc_namespace.c; fs/hugetlbfs/inode.c")
    found = ask(machine)
    gigabyte = found["memory.hugepages_1g"]
    assert (gigabyte.status, gigabyte.value["total"], gigabyte.value["free"]) == ("pass", 8, 5)
    assert list(gigabyte.value["nodes"]) == ["node0", "node1", "node10"]
    assert gigabyte.value["nodes"]["node0"]["total"] == 8
    assert gigabyte.value["mounts"] == ["/dev/hugepages1G (rw,pagesize=1024M)"]
    assert found["memory.hugepages_2m"].status == "na"
    assert "hugepagesz=2M" in found["memory.hugepages_2m"].hint


def test_a_size_that_the_kernel_does_not_have(tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path / "x86")
    pool(machine, 2048, 1, 1)
    assert ask(machine)["memory.hugepages_1g"].status == "unknown"
    arm = hosts.arm64(tmp_path / "arm64")
    pool(arm, 524288, 0, 0)
    assert ask(arm)["memory.hugepages_1g"].status == "na"


def test_pools_that_cannot_be_read_are_unknown(tmp_path: pathlib.Path) -> None:
    found = ask(hosts.intel(tmp_path))
    assert {found[name].status for name in memory.IDS} == {"unknown"}


def test_a_kernel_without_numa_or_transparent_pages(tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path)
    machine.put("/sys/devices/system/cpu/online", "0\n", source="drivers/base/cpu.c")
    machine.put("/sys/kernel/mm/swap/vma_ra_enabled", "true\n", source="mm/swap_state.c")
    found = ask(machine)
    assert found["memory.numa"].status == found["memory.thp"].status == "na"


@pytest.mark.parametrize("name", ["intel-xeon-l5640", "intel-i7-1270p", "arm64", "nvidia-accelerator"])
def test_nodes_of_real_machines(name: str, capture: t.Callable[[str], pathlib.Path]) -> None:
    finding = ask(hosts.Machine(capture(name)))["memory.numa"]
    assert finding.status == "pass"
    assert all(node["memory_mib"] > 0 for node in finding.value.values())


def test_transparent_huge_pages(tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path)
    folder = "/sys/kernel/mm/transparent_hugepage"
    machine.put(f"{folder}/enabled", "always [madvise] never\n", source="mm/huge_memory.c")
    machine.put(f"{folder}/defrag", "always defer [madvise] never\n", source="mm/huge_memory.c")
    finding = ask(machine)["memory.thp"]
    assert finding.status == "pass"
    assert finding.value == {"enabled": "madvise", "defrag": "madvise", "shmem_enabled": None}
