# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builders of hosts that nobody here can capture. Every value names where its form comes from."""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import struct
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import device

FLAGS = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 pdpe1gb lm"


@dataclasses.dataclass
class Machine:
    """A host under ``root``: files with their sources, the kernel log, and other commands' output."""

    root: pathlib.Path
    log: str | None = None
    commands: dict[str, Completed] = dataclasses.field(default_factory=dict)
    calls: list[tuple[str, ...]] = dataclasses.field(default_factory=list)

    def put(self, path: str, content: str | bytes, *, source: str) -> Machine:
        """Write a file; ``source`` says where the form of its content is defined or was seen."""
        assert source, f"{path}: where does this value come from?"
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self

    def register(self, path: str, offset: int, content: bytes, *, source: str) -> Machine:
        """Write into a sparse file, as the msr and cpuid devices are read at an offset."""
        assert source
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(descriptor, content, offset)
        os.close(descriptor)
        return self

    def msr(self, number: int, value: int, *, cpu: int = 0, source: str) -> Machine:
        return self.register(f"/dev/cpu/{cpu}/msr", number, struct.pack("<Q", value), source=source)

    def cpuid_ecx(self, leaf: int, ecx: int, *, source: str) -> Machine:
        return self.register("/dev/cpu/0/cpuid", leaf, struct.pack("<4I", 0, 0, ecx, 0), source=source)

    def cpuinfo(self, vendor: str, *flags: str, cpus: int = 1) -> Machine:
        one = f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: {FLAGS} {' '.join(flags)}\nbogomips\t: 4190.15\n"
        return self.put("/proc/cpuinfo", "\n".join([one] * cpus), source="arch/x86/kernel/cpu/proc.c")

    def run(
        self, argv: t.Sequence[str], *, stdin: str | None = None, timeout_s: float = 60, check: bool = True
    ) -> Completed:
        self.calls.append(tuple(argv))
        if argv[0] == "journalctl" and self.log is not None:
            return Completed(0, self.log, "")
        if argv[0] in self.commands:
            return self.commands[argv[0]]
        raise CommandError(f"{argv[0]} cannot be run: No such file or directory.")

    @property
    def host(self) -> Host:
        return Host(root=str(self.root), run=self.run)


@dataclasses.dataclass
class Kernel:
    """A pretended ``/dev/kvm``; errors are errno numbers, 0 for success. See virt/kvm/kvm_main.c."""

    open_error: int = errno.ENOENT
    api: int = device.API_VERSION
    create_error: int = 0
    capabilities: dict[int, int] = dataclasses.field(default_factory=lambda: {3: 1, 9: 2, 66: 1024})
    ioctl_error: int = 0
    created_with: list[int] = dataclasses.field(default_factory=list)
    opened: list[int] = dataclasses.field(default_factory=list)

    def open(self, path: str) -> int:
        if self.open_error:
            raise OSError(self.open_error, os.strerror(self.open_error), path)
        self.opened.append(100)
        return 100

    def ioctl(self, descriptor: int, request: int, argument: int) -> int:
        if self.ioctl_error:
            raise OSError(self.ioctl_error, os.strerror(self.ioctl_error))
        if request == device.GET_API_VERSION:
            return self.api
        if request == device.CHECK_EXTENSION:
            return self.capabilities.get(argument, 0)
        if request == device.CREATE_VM:
            return self._create(argument)
        return 12288

    def _create(self, argument: int) -> int:
        self.created_with.append(argument)
        if self.create_error:
            raise OSError(self.create_error, os.strerror(self.create_error))
        self.opened.append(101)
        return 101

    def close(self, descriptor: int) -> None:
        self.opened.remove(descriptor)


def working(**options: t.Any) -> Kernel:
    return Kernel(open_error=0, **options)


def bare(root: pathlib.Path, *, log: str | None = "Linux version 6.12.0\n") -> Machine:
    """What every host has."""
    machine = Machine(root, log=log)
    machine.put("/dev/null", "", source="every Linux host has a populated /dev")
    machine.put("/proc/1/environ", "HOME=/\0TERM=linux\0", source="proc(5), of systemd as first process")
    machine.put("/sys/module/vfio/refcnt", "0\n", source="a loaded module that is not KVM's")
    machine.put("/proc/sys/kernel/osrelease", "6.12.63+deb13-amd64\n", source="uname -r, Debian 13")
    return machine.put("/proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro\n", source="GRUB on Debian")


def intel(root: pathlib.Path, *flags: str, log: str | None = "Linux version 6.12.0\n") -> Machine:
    return bare(root, log=log).cpuinfo("GenuineIntel", *flags)


def amd(root: pathlib.Path, *flags: str, log: str | None = "Linux version 6.12.0\n") -> Machine:
    return bare(root, log=log).cpuinfo("AuthenticAMD", *flags)


def arm64(root: pathlib.Path, log: str = "kvm [1]: VHE mode initialized successfully\n") -> Machine:
    text = "processor\t: 0\nFeatures\t: fp asimd evtstrm aes atomics\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"
    return bare(root, log=log).put(
        "/proc/cpuinfo", text, source="the arm64 capture; arch/arm64/kernel/cpuinfo.c"
    )


def loaded(machine: Machine, module: str, **parameters: str) -> Machine:
    """Load a KVM module with these parameters."""
    machine.put("/sys/module/kvm/parameters/tdp_mmu", "Y\n", source="arch/x86/kvm/mmu/mmu.c: bool")
    machine.put(f"/sys/module/{module}/refcnt", "0\n", source="kernel/module/sysfs.c")
    for name, text in parameters.items():
        machine.put(
            f"/sys/module/{module}/parameters/{name}",
            text + "\n",
            source="module_param: bool prints Y or N, int prints a number",
        )
    return machine


def paravirtual(root: pathlib.Path) -> Machine:
    """A virtual machine with paravirtual KVM: no vmx, no svm, module kvm_pvm, and /dev/kvm works."""
    machine = amd(root, "hypervisor", log="Hypervisor detected: KVM\n")
    return loaded(machine, "kvm_pvm")
