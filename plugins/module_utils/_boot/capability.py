# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""By what one sees on a running host that a kernel argument has worked. Pure.

Where all of this holds without the argument, what it is for is there already, and no reboot is needed.
So an argument stands here only with checks that are sufficient.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.machine import (
    Machine,
    cpu_list,
    cpu_set,
    page_count,
    page_size_kib,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.ledger import (
    AT_LEAST,
    EQUALS,
    FILLED,
    MATCHES,
    Check,
)

DEFAULT_SIZE = "default_hugepagesz"

_CPUS = "/sys/devices/system/cpu"
_POOLS = "/sys/kernel/mm/hugepages"
_NODES = "/sys/devices/system/node"
# A CPU that has one thread a core has nothing to switch off (Documentation/ABI, sysfs-devices-system-cpu).
_NO_SMT = "notsupported|notimplemented"


def checks(wish: cmdline.Argument, machine: Machine, page_kib: int | None) -> tuple[Check, ...]:
    """Return the checks of one argument; none when only the command line can tell.

    :param page_kib: the size of huge pages that have none of their own.
    """
    if wish.name == cmdline.HUGEPAGES:
        return tuple(_pools(wish, page_kib))
    value = wish.values[-1]
    if wish.name == "intel_iommu":
        # Other options, such as sm_on, do not show in there.
        return (Check("/sys/class/iommu", FILLED, label="the IOMMU"),) if wish.values == ("on",) else ()
    if wish.name == "nosmt":
        states = f"^(forceoff|{_NO_SMT})$" if value else f"^(off|forceoff|{_NO_SMT})$"
        return (Check(f"{_CPUS}/smt/control", MATCHES, states, "simultaneous multithreading"),)
    build = _TABLE.get(wish.name)
    return tuple(build(value, machine)) if build and value else ()


def default_page_kib(words: cmdline.Words, machine: Machine) -> int | None:
    """Return the default size of huge pages in KiB, once ``words`` are in effect."""
    sizes = [cmdline.value_of(word) or "" for word in words if cmdline.name_of(word) == DEFAULT_SIZE]
    return page_size_kib(sizes[-1]) if sizes else machine.page_kib


def _pools(wish: cmdline.Argument, page_kib: int | None) -> t.Iterator[Check]:
    for size, text in cmdline.page_pairs(wish.words):
        kib, count = page_size_kib(size) if size else page_kib, page_count(text)
        if kib is not None and count is not None:
            yield from _pool(text, count, f"hugepages-{kib}kB", f"huge pages of {size or 'the default size'}")


def _pool(text: str, count: int, pool: str, label: str) -> t.Iterator[Check]:
    """As many pages in all are not enough where each node is to have its own."""
    if ":" not in text:
        yield Check(f"{_POOLS}/{pool}/nr_hugepages", AT_LEAST, str(count), label)
        return
    for node, _colon, pages in (part.partition(":") for part in text.split(",")):
        path = f"{_NODES}/node{node}/hugepages/{pool}/nr_hugepages"
        yield Check(path, AT_LEAST, str(int(pages)), f"{label} on node {node}")


def _default_size(value: str, _machine: Machine) -> t.Iterator[Check]:
    kib = page_size_kib(value)
    yield Check("/proc/meminfo", MATCHES, rf"^Hugepagesize:\s+{kib} kB$", "the default size of huge pages")


def _transparent(value: str, _machine: Machine) -> t.Iterator[Check]:
    path = "/sys/kernel/mm/transparent_hugepage/enabled"
    yield Check(path, MATCHES, rf"\[{re.escape(value)}\]", "transparent huge pages")


def _isolated(value: str, machine: Machine) -> t.Iterator[Check]:
    yield from _cpus("isolated", value, machine)


def _nohz_full(value: str, machine: Machine) -> t.Iterator[Check]:
    yield from _cpus("nohz_full", value, machine)


def _cpus(name: str, value: str, machine: Machine) -> t.Iterator[Check]:
    """Flags before a list, such as ``managed_irq``, do not show in the file: no check for these."""
    found = cpu_set(value, machine.last_cpu)
    if found:
        yield Check(f"{_CPUS}/{name}", EQUALS, cpu_list(found), f"CPUs of {name}")


_TABLE: dict[str, t.Callable[[str, Machine], t.Iterator[Check]]] = {
    DEFAULT_SIZE: _default_size,
    "transparent_hugepage": _transparent,
    "isolcpus": _isolated,
    "nohz_full": _nohz_full,
}
