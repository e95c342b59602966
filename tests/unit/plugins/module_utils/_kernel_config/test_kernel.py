# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from fakekernel import RELEASE, FakeKernel

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config import kernel


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("kernel/drivers/vfio/pci/vfio-pci.ko", "vfio_pci"),
        ("usr/lib/modules/6.12.0/kernel/drivers/vfio/pci/vfio-pci.ko.xz", "vfio_pci"),
        ("updates/dkms/nvidia.ko.zst", "nvidia"),
        ("kernel/net/tun.ko.gz", "tun"),
        ("kernel/net/tun.kokoro", None),
        ("kernel/net/tun", None),
        ("etc/modprobe.d/vfio-pci.ko.conf", None),
    ],
)
def test_a_module_is_known_by_its_file_however_it_is_packed(path: str, name: str | None) -> None:
    assert kernel.module_name(path) == name


def test_a_kernel_has_modules_as_files_and_in_itself(tmp_path: pathlib.Path) -> None:
    fake = FakeKernel(tmp_path)
    fake.load("kvm")
    (tmp_path / "lib/modules/left-over").mkdir()
    assert kernel.running_kernel(fake.host) == RELEASE
    assert kernel.installed_kernels(fake.host) == (RELEASE,)
    assert kernel.loadable(fake.host, RELEASE) == {"br_netfilter", "vfio_pci", "tun"}
    assert kernel.builtin(fake.host, RELEASE) == {"binfmt_script", "pci_stub"}
    assert (kernel.is_loaded(fake.host, "kvm"), kernel.is_loaded(fake.host, "tun")) == (True, False)


def test_without_a_kernel_there_is_nothing(tmp_path: pathlib.Path) -> None:
    host = Host(root=str(tmp_path))
    assert kernel.running_kernel(host) == ""
    assert kernel.installed_kernels(host) == ()
    assert kernel.loadable(host, RELEASE) == kernel.builtin(host, RELEASE) == frozenset()
