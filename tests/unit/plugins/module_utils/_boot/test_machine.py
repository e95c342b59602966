# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory and CPUs, as kernel arguments and the kernel write them."""

from __future__ import annotations

import pathlib

import pytest
from fakegrub import GrubHost

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.machine import (
    Machine,
    cpu_list,
    cpu_set,
    page_count,
    page_size_kib,
    read_machine,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host


# Documentation/admin-guide/kernel-parameters.rst, "cpu lists".
@pytest.mark.parametrize(
    ("text", "last", "cpus"),
    [
        ("1,2,10-12", 15, {1, 2, 10, 11, 12}),
        ("0-11:2/4", 15, {0, 1, 4, 5, 8, 9}),
        ("all", 3, {0, 1, 2, 3}),
        ("N", 3, {3}),
        ("2-N", 5, {2, 3, 4, 5}),
        ("2-9", 5, {2, 3, 4, 5}),
        ("3", None, {3}),
        ("4-2", 7, set()),
        ("domain,1", 7, None),
        ("", 7, None),
        ("1:2/4", 7, None),
        ("1,", 7, None),
    ],
)
def test_lists_of_cpus(text: str, last: int | None, cpus: set[int] | None) -> None:
    assert cpu_set(text, last) == cpus


@pytest.mark.parametrize("text", ["", "3", "2-7,9", "0,2-3"])
def test_cpus_are_written_as_the_kernel_writes_them(text: str) -> None:
    assert cpu_list(cpu_set(text, None) or ()) == text


@pytest.mark.parametrize(
    ("size", "kib"), [("1G", 1048576), ("2M", 2048), ("64k", 64), ("1", None), ("G", None), ("1T", None)]
)
def test_page_sizes(size: str, kib: int | None) -> None:
    assert page_size_kib(size) == kib


@pytest.mark.parametrize(
    ("count", "pages"),
    [
        ("64", 64),
        ("0:32,1:32", 64),
        ("0:8", 8),
        ("", None),
        ("x", None),
        ("0:x", None),
        ("-1", None),
        ("a:8", None),
        ("0:8,", None),
        # The kernel takes the 5 and leaves the rest.
        ("5,6", None),
    ],
)
def test_page_counts(count: str, pages: int | None) -> None:
    assert page_count(count) == pages


def test_the_machine_is_read(tmp_path: pathlib.Path) -> None:
    fake = GrubHost(tmp_path)
    assert read_machine(fake.host) == Machine("x86", 16318424, 2048, frozenset(range(8)), 7)
    fake.write("/proc/cpuinfo", "CPU implementer\t: 0x41\n")
    assert read_machine(fake.host).arch == "arm64"


def test_what_cannot_be_read_is_unknown(tmp_path: pathlib.Path) -> None:
    assert read_machine(Host(root=str(tmp_path))) == Machine("x86")
