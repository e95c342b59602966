# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import pathlib

import hosts
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import device


def ask(kernel: hosts.Kernel, arch: str = "x86", probe_vm: bool = True) -> device.Probe:
    found = device.probe(Host(), arch, probe_vm, kernel)
    assert kernel.opened == [], "a descriptor was left open"
    return found


def test_a_working_device_creates_and_closes_a_machine() -> None:
    found = ask(hosts.working())
    assert (found.works, found.api, found.created) == (True, 12, True)
    assert found.capabilities["user_memory"] == 1
    assert found.capabilities["max_vcpus"] == 1024
    assert found.capabilities["vcpu_mmap_size"] == 12288


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENODEV, errno.EACCES, errno.EPERM])
def test_why_the_device_does_not_open(number: int) -> None:
    found = ask(hosts.Kernel(open_error=number))
    assert (found.open_error, found.works) == (errno.errorcode[number], False)


def test_a_refused_machine_is_reported_by_name() -> None:
    found = ask(hosts.working(create_error=errno.EBUSY))
    assert (found.created, found.create_error, found.works) == (False, "EBUSY", False)


def test_another_api_version_is_not_kvm() -> None:
    kernel = hosts.working(api=11)
    assert ask(kernel).works is False
    assert kernel.created_with == []


def test_no_machine_is_created_against_the_operators_wish() -> None:
    kernel = hosts.working()
    found = ask(kernel, probe_vm=False)
    assert (found.works, found.created, kernel.created_with) == (True, None, [])


# architecture, what the kernel says of the address size, argument of KVM_CREATE_VM
@pytest.mark.parametrize(
    ("arch", "bits", "argument"), [("x86", 48, 0), ("arm64", 36, 36), ("arm64", 48, 48), ("arm64", 0, 0)]
)
def test_arm64_machines_get_the_address_size_of_their_cpu(arch: str, bits: int, argument: int) -> None:
    kernel = hosts.working(capabilities={device.CAP_ARM_VM_IPA_SIZE: bits})
    ask(kernel, arch)
    assert kernel.created_with == [argument]


def test_a_file_in_place_of_the_device_is_not_kvm(tmp_path: pathlib.Path) -> None:
    machine = hosts.bare(tmp_path).put("/dev/kvm", "", source="a regular file by mistake")
    before = len(os.listdir("/proc/self/fd"))
    found = device.probe(machine.host, "x86", True, device.Linux())
    assert (found.works, found.create_error) == (False, "ENOTTY")
    assert len(os.listdir("/proc/self/fd")) == before


def test_requests_that_the_device_refuses_count_as_absent_capabilities() -> None:
    class Refusing(hosts.Kernel):
        def ioctl(self, descriptor: int, request: int, argument: int) -> int:
            if request in (device.CHECK_EXTENSION, device.GET_VCPU_MMAP_SIZE):
                raise OSError(errno.EINVAL, "Invalid argument")
            return super().ioctl(descriptor, request, argument)

    found = ask(Refusing(open_error=0))
    assert set(found.capabilities.values()) == {0}
    assert found.works
