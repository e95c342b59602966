# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A root folder with kernels and images, and tools that build and list them.

An image is a text file with the names in it. What a build puts into it is read out of our own configuration by other
means than the product's: the words after ``force_load``, the digest of the paths after ``hearth_digest``.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import pathlib
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

OLD, NEW = "6.1.0-49-cloud-amd64", "6.1.0-50-cloud-amd64"
BOOTED = 1_800_000_000
PACKED = {"vfio_pci": "vfio/pci/vfio-pci.ko", "dm_mod": "md/dm-mod.ko", "nvidia": "nvidia.ko"}


class FakeImages:
    """A host with two kernels. ``dracut`` chooses the tool."""

    def __init__(self, root: pathlib.Path, dracut: bool = False) -> None:
        self.root = root
        self.host = Host(root=str(root), run=self)
        self.builds: list[str] = []
        self.lazy = False
        if dracut:
            self.write("/usr/bin/dracut", "")
        else:
            self.write(
                "/usr/sbin/update-initramfs", 'if mkinitramfs ${OPTS} "${initramfs}.new" "${version}"; then'
            )
        self.write("/proc/stat", f"cpu 0 0\nbtime {BOOTED}\nprocesses 1\n")
        self.write("/etc/modprobe.d/stock.conf", "# stock\n")
        for kernel in (OLD, NEW):
            self.kernel(kernel)

    def kernel(self, kernel: str) -> None:
        self.write(f"/lib/modules/{kernel}/modules.dep", "".join(f"{p}: x.ko\n" for p in PACKED.values()))
        self.write(f"/lib/modules/{kernel}/modules.builtin", "kernel/drivers/pci/pci-stub.ko\n")
        self.write(self.image(kernel), "stock\netc/fstab\n")
        self.age(kernel, BOOTED - 100)

    def image(self, kernel: str) -> str:
        return f"/boot/initrd.img-{kernel}"

    def age(self, kernel: str, when: float) -> None:
        os.utime(self.root / self.image(kernel)[1:], (when, when))

    def file(self, path: str) -> pathlib.Path:
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str) -> None:
        self.file(path).parent.mkdir(parents=True, exist_ok=True)
        self.file(path).write_text(text)

    def tree(self) -> dict[str, tuple[str, int]]:
        files = [path for path in self.root.rglob("*") if path.is_file()]
        return {str(path): (path.read_text(), path.stat().st_mode) for path in files}

    def boot_names(self) -> list[str]:
        return sorted(path.name for path in self.file("/boot").iterdir())

    def __call__(
        self, argv: t.Sequence[str], *, stdin: str | None = None, timeout_s: float = 60.0, check: bool = True
    ) -> Completed:
        if argv[0] in ("lsinitramfs", "lsinitrd"):
            done = self._list(argv[0], argv[1])
            if check and done.rc:
                raise CommandError(done.err)
            return done
        assert timeout_s == 900
        if argv[0] == "update-initramfs":
            self._build(argv[3], self.image(argv[3]), ["/etc/initramfs-tools/hooks/hearth"])
        else:
            ours = ["/etc/dracut.conf.d/90-hearth.conf", "/usr/lib/dracut/modules.d/99hearth/module-setup.sh"]
            self._build(argv[4], argv[3], ours)
        return Completed(0, "", "")

    def _list(self, tool: str, image: str) -> Completed:
        names = self.file(image).read_text()
        if "torn" in names:
            return Completed(2, "", "cpio: premature end of archive")
        if tool == "lsinitramfs":
            return Completed(0, f".\nbin\n{names}", "")
        # The columns of lsinitrd of dracut 059 (Debian 12).
        lines = [f"-rw-r--r--   1 root     root        78633 Jul  2 13:50 {name}" for name in names.split()]
        lines += ["lrwxrwxrwx   1 root     root            4 Nov 22 05:16 usr/bin/sh -> bash"]
        head = (
            f"Image: {image}: 16M\n{'=' * 72}\nVersion: \n\nArguments:  -q --force\n\ndracut modules:\nqemu\n"
        )
        return Completed(0, head + "\n".join(lines) + f"\n{'=' * 72}\n", "")

    def _build(self, kernel: str, image: str, ours: list[str]) -> None:
        self.builds.append(kernel)
        names = ["stock", "etc/fstab"]
        text = "".join(self.file(path).read_text() for path in ours if self.file(path).exists())
        modules = re.findall(r"^force_load (\S+)$", text, re.MULTILINE)
        modules += " ".join(re.findall(r'^force_drivers\+="(.*)"$', text, re.MULTILINE)).split()
        copied = re.findall(r"^hearth_copy (\S+)$", text, re.MULTILINE)
        copied += " ".join(re.findall(r'^install_items\+="(.*)"$', text, re.MULTILINE)).split()
        if not self.lazy:
            names += [
                f"usr/lib/modules/{kernel}/kernel/{PACKED[module]}" for module in modules if module in PACKED
            ]
            names += [re.sub("^/lib/", "/usr/lib/", path)[1:] for path in copied if self.file(path).exists()]
        names += [
            f"etc/hearth/initramfs.{self._digest(paths)}"
            for paths in re.findall(r"\(hearth_digest (.*)\)", text)
        ]
        # The tools write beside the image and rename.
        fresh = self.file(f"{image}.fresh")
        fresh.write_text("\n".join(names) + "\n")
        fresh.rename(self.file(image))

    def _digest(self, paths: str) -> str:
        text = ""
        for pattern in paths.split():
            folder = self.file(os.path.dirname(pattern))
            found = sorted(folder.iterdir()) if folder.is_dir() else []
            for path in found:
                if fnmatch.fnmatch(path.name, os.path.basename(pattern)) and not path.name.startswith("."):
                    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
                    text += f"/{path.relative_to(self.root)}\n{checksum}\n"
        return hashlib.sha256(text.encode()).hexdigest()[:16]
