# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import fcntl
import os
import pathlib
import struct

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import VerifyError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import proof


@pytest.mark.parametrize(("flags", "expected"), [(0, proof.NOT_VIABLE), (1, proof.VIABLE), (3, proof.VIABLE)])
def test_the_kernel_is_asked_by_the_number_of_its_header(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, flags: int, expected: str
) -> None:
    """include/uapi/linux/vfio.h: VFIO_GROUP_GET_STATUS is _IO(';', 100 + 3), its argument two 32-bit words."""
    node = tmp_path / "15"
    node.write_text("")

    def ioctl(_descriptor: int, request: int, argument: bytes) -> bytes:
        assert request == ord(";") << 8 | 103
        assert struct.unpack("II", argument) == (8, 0)
        return struct.pack("II", 8, flags)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert proof.group_status(str(node)) == expected


@pytest.mark.parametrize(
    ("code", "expected"), [(errno.EBUSY, proof.HELD), (errno.ENOENT, proof.MISSING), (errno.EPERM, None)]
)
def test_what_an_open_says(monkeypatch: pytest.MonkeyPatch, code: int, expected: str | None) -> None:
    def refuse(*_args: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    if expected is None:
        with pytest.raises(PermissionError):
            proof.group_status("/dev/vfio/15")
    else:
        assert proof.group_status("/dev/vfio/15") == expected


def test_a_group_without_a_node_names_its_members(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "sys/kernel/iommu_groups/15/devices/0000:3b:00.0"
    folder.mkdir(parents=True)
    (folder / "driver").symlink_to("../../../../../bus/pci/drivers/nouveau")
    action = proof.ProveGroup("15", ("0000:3b:00.0", "0000:3b:00.1"))
    with pytest.raises(VerifyError) as caught:
        action.perform(Host(root=str(tmp_path)))
    assert "0000:3b:00.0 (nouveau), 0000:3b:00.1 (no driver)" in caught.value.message
    assert action.undo() is None


@pytest.mark.parametrize(
    ("drivers", "nodes", "proved"),
    [
        (("vfio-pci", "vfio-pci", "pcieport"), ("vfio0", "vfio1"), True),
        (("vfio-pci", None, None), ("vfio0",), True),
        (("vfio-pci", "vfio-pci", None), ("vfio0",), False),
        (("vfio-pci", "nouveau", None), ("vfio0",), False),
        ((None, None, "pcieport"), (), False),
    ],
)
def test_without_nodes_for_groups_those_of_every_bound_member_are_the_proof(
    tmp_path: pathlib.Path, drivers: tuple[str | None, ...], nodes: tuple[str, ...], proved: bool
) -> None:
    names = tuple(f"0000:3b:00.{number}" for number in range(len(drivers)))
    for number, (name, driver) in enumerate(zip(names, drivers)):
        folder = tmp_path / f"sys/kernel/iommu_groups/15/devices/{name}"
        folder.mkdir(parents=True)
        if driver:
            (folder / "driver").symlink_to(f"../../../../../bus/pci/drivers/{driver}")
        if f"vfio{number}" in nodes:
            (folder / f"vfio-dev/vfio{number}").mkdir(parents=True)
            (tmp_path / "dev/vfio/devices").mkdir(parents=True, exist_ok=True)
            (tmp_path / f"dev/vfio/devices/vfio{number}").write_text("")
    action = proof.ProveGroup("15", names)
    if proved:
        action.perform(Host(root=str(tmp_path)))
    else:
        with pytest.raises(VerifyError):
            action.perform(Host(root=str(tmp_path)))
