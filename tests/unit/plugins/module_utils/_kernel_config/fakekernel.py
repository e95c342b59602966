# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A root folder with a kernel: files of modules, /sys/module and /proc/sys, and a modprobe that loads."""

from __future__ import annotations

import pathlib
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

RELEASE = "6.1.0-50-cloud-amd64"
NOW = 1_800_000_000.0


class FakeKernel:
    """The lines of modules.dep and modules.builtin have the form of linux-image-6.1.0-50-cloud-amd64 of Debian 12."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.host = Host(root=str(root), run=self, now=lambda: NOW)
        self.brings: dict[str, dict[str, str]] = {}
        self.broken: set[str] = set()
        self.calls: list[tuple[str, ...]] = []
        self.write("/proc/sys/kernel/osrelease", f"{RELEASE}\n")
        self.write("/proc/cmdline", f"BOOT_IMAGE=/boot/vmlinuz-{RELEASE} ro\n")
        self.boot("boot-1")
        self.has(
            "kernel/net/bridge/br_netfilter", "kernel/drivers/vfio/pci/vfio-pci", "kernel/drivers/net/tun"
        )
        folder = f"/lib/modules/{RELEASE}"
        self.write(
            f"{folder}/modules.builtin", "kernel/fs/binfmt_script.ko\nkernel/drivers/pci/pci-stub.ko\n"
        )

    def write(self, path: str, text: str) -> pathlib.Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def read(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text()

    def has(self, *modules: str) -> None:
        self.write(f"/lib/modules/{RELEASE}/modules.dep", "".join(f"{module}.ko:\n" for module in modules))

    def boot(self, boot_id: str) -> None:
        self.write("/proc/sys/kernel/random/boot_id", f"{boot_id}\n")

    def load(self, module: str, **parameters: str) -> None:
        self.write(f"/sys/module/{module}/initstate", "live\n")
        for name, value in parameters.items():
            self.write(f"/sys/module/{module}/parameters/{name}", f"{value}\n")

    def tree(self) -> dict[str, str]:
        return {str(path): path.read_text() for path in self.root.rglob("*") if path.is_file()}

    def __call__(
        self, argv: t.Sequence[str], *, stdin: str | None = None, timeout_s: float = 60.0, check: bool = True
    ) -> Completed:
        self.calls.append(tuple(argv))
        if argv[0] == "modprobe":
            if argv[1] in self.broken:
                # kmod 30, Debian 12, for kvm_intel on a processor of AMD.
                raise CommandError(f"modprobe: ERROR: could not insert '{argv[1]}': Operation not supported")
            self.load(argv[1])
            for path, value in self.brings.get(argv[1], {}).items():
                self.write(path, value)
        return Completed(0, "", "")
