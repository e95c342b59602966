# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What kernel arguments are judged by: memory, CPUs and the architecture of the running machine."""

from __future__ import annotations

import dataclasses
import re

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

_CPUS = "/sys/devices/system/cpu"
_UNITS = {"K": 1, "M": 1024, "G": 1024 * 1024}
# lib/bitmap-str.c: N, N-M, N-M:used/group, all; "N" is the last CPU.
_RANGE = re.compile(r"(?P<first>\d+|N)(-(?P<last>\d+|N)(:(?P<used>\d+)/(?P<group>\d+))?)?", re.ASCII)


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


def page_size_kib(size: str) -> int | None:
    """Return a page size such as ``1G`` in KiB; ``None`` when it is none."""
    found = re.fullmatch(r"(\d+)([KMG])", size.upper(), re.ASCII)
    return int(found.group(1)) * _UNITS[found.group(2)] if found else None


def page_count(count: str) -> int | None:
    """Return how many pages ``64`` or ``0:32,1:32`` are; ``None`` when it is neither."""
    parts = [part.rpartition(":")[2] if ":" in part else part for part in count.split(",")]
    return sum(map(int, parts)) if all(part.isdecimal() and part.isascii() for part in parts) else None
