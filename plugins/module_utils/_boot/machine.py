# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What kernel arguments are judged by: memory, CPUs and the architecture of the running machine."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

_CPUS = "/sys/devices/system/cpu"
_UNITS = {"K": 1, "M": 1024, "G": 1024 * 1024}
# lib/bitmap-str.c: N, N-M, N-M:used/group, all; "N" is the last CPU.
_RANGE = re.compile(r"(?P<first>\d+|N)(-(?P<last>\d+|N)(:(?P<used>\d+)/(?P<group>\d+))?)?", re.ASCII)
# mm/hugetlb.c: one number, or one for each node; of numbers without a node only the first would count.
_PAGES = re.compile(r"\d+|\d+:\d+(,\d+:\d+)*", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Machine:
    """What the machine has; ``None`` and empty are unknown, such as of the one that an image is baked for."""

    arch: str = ""
    memory_kib: int | None = None
    page_kib: int | None = None
    online: frozenset[int] = frozenset()
    last_cpu: int | None = None


def read_machine(host: Host) -> Machine:
    """Read the running machine."""
    meminfo = host.text("/proc/meminfo") or ""
    possible = cpu_set(host.text(f"{_CPUS}/possible") or "", None) or frozenset()
    return Machine(
        arch="arm64" if "CPU implementer" in (host.text("/proc/cpuinfo") or "") else "x86",
        memory_kib=_kib(meminfo, "MemTotal"),
        page_kib=_kib(meminfo, "Hugepagesize"),
        online=cpu_set(host.text(f"{_CPUS}/online") or "", None) or frozenset(),
        last_cpu=max(possible) if possible else None,
    )


def _kib(meminfo: str, name: str) -> int | None:
    found = re.search(rf"^{name}:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(found.group(1)) if found else None


def cpu_set(text: str, last: int | None) -> frozenset[int] | None:
    """Return the CPUs in a list as the command line has it; ``None`` when it is no such list.

    :param last: the number of the last CPU, which ``N`` and ``all`` stand for; unknown, it is high.
    """
    numbers: set[int] = set()
    top = 8191 if last is None else last
    for part in text.split(","):
        found = _RANGE.fullmatch("0-N" if part == "all" else part)
        if found is None:
            return None
        first, end = (
            top if end == "N" else int(end) for end in (found["first"], found["last"] or found["first"])
        )
        used, group = int(found["used"] or 1), int(found["group"] or 1)
        numbers.update(cpu for cpu in range(first, min(end, top) + 1) if (cpu - first) % max(group, 1) < used)
    return frozenset(numbers)


def cpu_list(numbers: t.Iterable[int]) -> str:
    """Write CPUs as the kernel does in its files, such as ``2-7,9``."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def page_size_kib(size: str) -> int | None:
    """Return a page size such as ``1G`` in KiB; ``None`` when it is none."""
    found = re.fullmatch(r"(\d+)([KMG])", size.upper(), re.ASCII)
    return int(found.group(1)) * _UNITS[found.group(2)] if found else None


def page_count(count: str) -> int | None:
    """Return how many pages ``64`` or ``0:32,1:32`` are; ``None`` when it is neither."""
    if not _PAGES.fullmatch(count):
        return None
    return sum(int(part.rpartition(":")[2]) for part in count.split(","))
