# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import pytest
import trees
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import uuids

# Form of kernel-open/nvidia/nv-procfs.c (open-gpu-kernel-modules); values of an H100 with driver 535.129.03, as
# its owner published them, the UUID replaced.
INFORMATION = """\
Model: \t\t NVIDIA H100 80GB HBM3
IRQ:   \t\t 10
GPU UUID: \t GPU-9221d5d1-b60b-a624-bf14-000000000001
Video BIOS: \t 96.00.99.00.01
Bus Type: \t PCIe
DMA Size: \t 52 bits
DMA Mask: \t 0xfffffffffffff
Bus Location: \t 0000:62:00.0
Device Minor: \t 5
GPU Firmware: \t 535.129.03
GPU Excluded:\t No
"""


def test_the_driver_tells_uuid_and_device_node(tmp_path: pathlib.Path) -> None:
    path = "/proc/driver/nvidia/gpus/0000:62:00.0/information"
    tree = trees.Tree(tmp_path).put(path, INFORMATION, source="see above")
    assert uuids.read_gpu_uuids(tree.host) == {"GPU-9221d5d1-b60b-a624-bf14-000000000001": "0000:62:00.0"}
    assert uuids.read_information(tree.host, "0000:62:00.0")["Device Minor"] == "5"


@pytest.mark.parametrize("uuid", ["GPU-????????-????-????-????-????????????", "", "N/A"])
def test_a_gpu_that_was_never_used_tells_no_uuid(tmp_path: pathlib.Path, uuid: str) -> None:
    text = INFORMATION.replace("GPU-9221d5d1-b60b-a624-bf14-000000000001", uuid)
    tree = trees.Tree(tmp_path).put(
        "/proc/driver/nvidia/gpus/0000:62:00.0/information", text, source="see above"
    )
    assert uuids.read_gpu_uuids(tree.host) == {}


def test_a_host_without_the_driver_tells_nothing(tmp_path: pathlib.Path) -> None:
    assert uuids.read_gpu_uuids(Host(root=str(tmp_path))) == {}
    assert uuids.read_information(Host(root=str(tmp_path)), "0000:62:00.0") == {}


@given(st.text())
def test_no_text_upsets_the_parser(text: str) -> None:
    uuids.parse_information(text)
