# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Memory: huge pages of both sizes on each node, NUMA, and transparent huge pages."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import cpu, values
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import (
    NOT_APPLICABLE,
    PASS,
    UNKNOWN,
    Finding,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

_POOLS = "/sys/kernel/mm/hugepages"
_NODES = "/sys/devices/system/node"
_THP = "/sys/kernel/mm/transparent_hugepage"
_SIZES = {"2m": 2048, "1g": 1048576}
_COUNTERS = {
    "total": "nr_hugepages",
    "free": "free_hugepages",
    "reserved": "resv_hugepages",
    "surplus": "surplus_hugepages",
}
IDS = {
    "memory.hugepages_2m": "Huge pages of 2 MiB are set aside",
    "memory.hugepages_1g": "Huge pages of 1 GiB are set aside",
    "memory.numa": "The NUMA nodes, their CPUs and their memory",
    "memory.thp": "How transparent huge pages are used",
}


def checks(host: Host, policy: Policy) -> list[Finding]:
    """Look at the memory."""
    gigabyte = "pdpe1gb" in cpu.read(host).flags
    return [_hugepages(host, size, gigabyte) for size in _SIZES] + [_numa(host), _thp(host)]


def _pool(host: Host, folder: str) -> dict[str, int]:
    read = {key: values.number(host.text(f"{folder}/{name}")) for key, name in _COUNTERS.items()}
    return {key: count for key, count in read.items() if count is not None}


def _hugepages(host: Host, size: str, gigabyte: bool) -> Finding:
    name, check = f"hugepages-{_SIZES[size]}kB", f"memory.hugepages_{size}"
    source = f"{_POOLS}/{name}"
    pool = _pool(host, source)
    if "total" not in pool:
        return _no_pool(host, check, source, size == "1g" and gigabyte)
    value: dict[str, t.Any] = {
        **pool,
        "nodes": {node: _pool(host, f"{_NODES}/{node}/hugepages/{name}") for node in _nodes(host)},
        "mounts": _mounts(host.text("/proc/self/mounts") or host.text("/proc/mounts"), _SIZES[size]),
    }
    if pool["total"]:
        why = f"{pool['total']} pages are set aside, {pool.get('free', 0)} of them free."
        return Finding(check, PASS, value, source=source, why=why)
    return Finding(
        check,
        NOT_APPLICABLE,
        value,
        source=source,
        why="The kernel can, and no page is set aside.",
        hint=f"Set pages aside at boot: kernel arguments hugepagesz={size.upper()} hugepages=N.",
        fix="cmdline",
        needs_reboot=True,
    )


def _no_pool(host: Host, check: str, source: str, cpu_can: bool) -> Finding:
    if not host.listdir(_POOLS):
        return Finding(
            check,
            UNKNOWN,
            source=source,
            why="The kernel's huge page pools cannot be read.",
            hint="Look on the host itself; a kernel without CONFIG_HUGETLBFS has none.",
            fix="host",
        )
    if cpu_can:
        return Finding(
            check,
            UNKNOWN,
            source=source,
            why="The CPU has pages of this size (pdpe1gb), the kernel shows no pool of them.",
            hint="Ask for them with the kernel arguments hugepagesz=1G hugepages=N.",
            fix="cmdline",
            needs_reboot=True,
        )
    return Finding(
        check,
        NOT_APPLICABLE,
        source=source,
        why="This kernel and CPU have no huge pages of this size.",
        hint="Use a size that is listed in " + _POOLS + ".",
        fix="hardware",
    )


def _nodes(host: Host) -> list[str]:
    names = (name for name in host.listdir(_NODES) if name.startswith("node") and name[4:].isdecimal())
    return sorted(names, key=lambda name: int(name[4:]))


def _mounts(mounts: str | None, kilobytes: int) -> list[str]:
    """Return the mount points of hugetlbfs with this page size, and those that do not tell theirs."""
    fields = [line.split() for line in (mounts or "").splitlines()]
    found = [(field[1], field[3]) for field in fields if len(field) > 3 and field[2] == "hugetlbfs"]
    size = f"pagesize={kilobytes // 1024}M"
    return [
        f"{place} ({options})"
        for place, options in found
        if size in options.split(",") or "pagesize=" not in options
    ]


def _numa(host: Host) -> Finding:
    nodes = {node: _node(host, node) for node in _nodes(host)}
    if nodes:
        return Finding("memory.numa", PASS, nodes, source=_NODES, why=f"{len(nodes)} node(s).")
    if host.listdir("/sys/devices/system/cpu"):
        return Finding(
            "memory.numa",
            NOT_APPLICABLE,
            source=_NODES,
            why="This kernel knows no nodes: one memory for all.",
        )
    return Finding("memory.numa", UNKNOWN, source=_NODES, why="/sys cannot be read.", fix="host")


def _node(host: Host, node: str) -> dict[str, t.Any]:
    folder = f"{_NODES}/{node}"
    meminfo = host.text(f"{folder}/meminfo") or ""
    totals = [line.split() for line in meminfo.splitlines() if "MemTotal:" in line]
    kilobytes = values.number(totals[0][-2]) if totals and len(totals[0]) > 2 else None
    return {
        "cpus": host.text(f"{folder}/cpulist"),
        "memory_mib": None if kilobytes is None else kilobytes // 1024,
        "distance": host.text(f"{folder}/distance"),
    }


def _thp(host: Host) -> Finding:
    modes = {
        name: values.chosen(host.text(f"{_THP}/{name}")) for name in ("enabled", "defrag", "shmem_enabled")
    }
    if modes["enabled"] is not None:
        return Finding("memory.thp", PASS, modes, source=_THP, why=f"The mode is {modes['enabled']}.")
    if host.listdir("/sys/kernel/mm") and not host.exists(_THP):
        return Finding(
            "memory.thp", NOT_APPLICABLE, source=_THP, why="This kernel has no transparent huge pages."
        )
    return Finding("memory.thp", UNKNOWN, source=_THP, why="The setting cannot be read.", fix="host")
