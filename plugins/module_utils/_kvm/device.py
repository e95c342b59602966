# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Ask ``/dev/kvm`` itself: open it, and create and close a virtual machine."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

DEVICE = "/dev/kvm"
API_VERSION = 12
# linux/kvm.h; _IO(0xAE, nr) on x86 and arm64.
GET_API_VERSION, CREATE_VM, CHECK_EXTENSION, GET_VCPU_MMAP_SIZE = 0xAE00, 0xAE01, 0xAE03, 0xAE04
CAP_ARM_VM_IPA_SIZE = 165
CAPABILITIES = {
    "irqchip": 0,
    "user_memory": 3,
    "nr_vcpus": 9,
    "nr_memslots": 10,
    "sync_mmu": 16,
    "irqfd": 32,
    "max_vcpus": 66,
    "signal_msi": 77,
    "readonly_mem": 81,
    "split_irqchip": 121,
    "max_vcpu_id": 128,
    "x2apic_api": 129,
    "nested_state": 157,
    "guest_memfd": 234,
    "vm_types": 235,
}


class System(t.Protocol):
    """The three system calls that the probe makes; tests pass a pretended kernel."""

    def open(self, path: str) -> int:
        """Open the device for reading and writing."""

    def ioctl(self, descriptor: int, request: int, argument: int) -> int:
        """Perform a request whose argument is a number."""

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""


class Linux:
    """The real system calls."""

    def open(self, path: str) -> int:
        """Open the device for reading and writing."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def ioctl(self, descriptor: int, request: int, argument: int) -> int:
        """Perform a request whose argument is a number."""
        return fcntl.ioctl(descriptor, request, argument)

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)


@dataclasses.dataclass(frozen=True)
class Probe:
    """What the device answered. Errors are errno names; an empty one means success.

    ``created`` is ``None`` when no virtual machine was tried.
    """

    open_error: str = ""
    api: int | None = None
    created: bool | None = None
    create_error: str = ""
    capabilities: t.Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def answers(self) -> bool:
        """Tell whether this is KVM with the API that every user space expects."""
        return self.api == API_VERSION

    @property
    def works(self) -> bool:
        """Tell whether KVM works as far as it was tried."""
        return self.answers and self.created is not False


def probe(host: Host, arch: str, probe_vm: bool, system: System) -> Probe:
    """Open ``/dev/kvm``, ask for its version and capabilities, and create and close a VM."""
    try:
        descriptor = system.open(host.path(DEVICE))
    except OSError as error:
        return Probe(open_error=_name(error))
    try:
        return _interrogate(descriptor, arch, probe_vm, system)
    finally:
        system.close(descriptor)


def _interrogate(descriptor: int, arch: str, probe_vm: bool, system: System) -> Probe:
    try:
        api = system.ioctl(descriptor, GET_API_VERSION, 0)
    except OSError as error:
        return Probe(create_error=_name(error))
    found = Probe(api=api, capabilities=_capabilities(descriptor, system))
    if not probe_vm or not found.answers:
        return found
    try:
        machine = system.ioctl(descriptor, CREATE_VM, _machine_type(descriptor, arch, system))
    except OSError as error:
        return dataclasses.replace(found, created=False, create_error=_name(error))
    system.close(machine)
    return dataclasses.replace(found, created=True)


def _machine_type(descriptor: int, arch: str, system: System) -> int:
    """Return the argument of CREATE_VM: on arm64 the address size, since the default may be too large."""
    if arch != "arm64":
        return 0
    return max(0, _extension(descriptor, CAP_ARM_VM_IPA_SIZE, system))


def _capabilities(descriptor: int, system: System) -> dict[str, int]:
    answers = {name: _extension(descriptor, nr, system) for name, nr in CAPABILITIES.items()}
    try:
        answers["vcpu_mmap_size"] = system.ioctl(descriptor, GET_VCPU_MMAP_SIZE, 0)
    except OSError:
        answers["vcpu_mmap_size"] = 0
    return answers


def _extension(descriptor: int, number: int, system: System) -> int:
    try:
        return system.ioctl(descriptor, CHECK_EXTENSION, number)
    except OSError:
        return 0


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, str(error))
