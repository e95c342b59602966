# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that starts by Debian's GRUB: the tools are told by fakes, the shell that reads its files is real.

What the fakes do is read from /usr/sbin/grub-mkconfig and /etc/grub.d/10_linux of grub-common 2.06-13+deb12u2.
"""

from __future__ import annotations

import pathlib
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub_menu import GRUB_CFG, parse_menu
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed, run_command
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

KERNEL = "6.1.0-56-amd64"
DEFAULTS = "/etc/default/grub"
DROPIN = "/etc/default/grub.d/zz-hearth.cfg"
STOCK = 'GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="console=ttyS0"\n'

# How grub-mkconfig reads its files, without those of the distribution.
_SOURCE = """set -e
if test -f "$1/etc/default/grub"; then . "$1/etc/default/grub"; fi
for x in "$1"/etc/default/grub.d/*.cfg; do if [ -e "$x" ]; then . "$x"; fi; done
printf '%s\\n%s' "$GRUB_CMDLINE_LINUX" "$GRUB_CMDLINE_LINUX_DEFAULT"
"""
# As linux_entry() prints it; the lines between are left out.
_ENTRY = """menuentry '{title}' --class gnu-linux $menuentry_id_option 'gnulinux-{id}-7c1f' {{
\tlinux\t/boot/vmlinuz-{version} root=UUID=7c1f ro {words}
\tinitrd\t/boot/initrd.img-{version}
}}
"""


class GrubHost:
    """A root with the tools of GRUB and a kernel; it records which tools ran."""

    def __init__(self, root: pathlib.Path, defaults: str | None = STOCK, **dropins: str) -> None:
        self.root = root
        self.host = Host(root=str(root), run=self, now=lambda: 1769860800.0)
        self.ran: list[str] = []
        self.strange: str = ""
        self.boots = 0
        self.write("/usr/sbin/grub-mkconfig", ". ${sysconfdir}/default/grub.d/*.cfg\n")
        if defaults is not None:
            self.write(DEFAULTS, defaults)
        for name, text in dropins.items():
            self.write(f"/etc/default/grub.d/{name.replace('_', '-')}.cfg", text)
        self.write(f"/boot/vmlinuz-{KERNEL}", "kernel")
        self.write("/proc/meminfo", "MemTotal:       16318424 kB\nHugepagesize:       2048 kB\n")
        self.write("/proc/cpuinfo", "flags\t\t: fpu vme\n")
        self.write("/sys/devices/system/cpu/online", "0-7\n")
        self.write("/sys/devices/system/cpu/possible", "0-7\n")

    def __call__(self, argv: t.Sequence[str], **options: t.Any) -> Completed:
        if argv[0] == "/bin/sh":
            return run_command(argv, **options)
        self.ran.append(argv[0])
        if argv[0] == "grub-mkconfig":
            self._mkconfig(argv[2])
        if argv[0] == "journalctl" and self.strange:
            text = f'Unknown kernel command line parameters "{self.strange}", will be passed to user space.\n'
            return Completed(0, text, "")
        return Completed(0, "", "")

    def write(self, path: str, text: str) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def text(self, path: str) -> str | None:
        file = self.root / path.lstrip("/")
        return file.read_text() if file.exists() else None

    def remove(self, path: str) -> None:
        (self.root / path.lstrip("/")).unlink()

    def tree(self) -> dict[str, str]:
        """Return every file but the backups, the lock and what is running."""
        files = {f"/{path.relative_to(self.root)}": path for path in self.root.rglob("*") if path.is_file()}
        return {
            name: path.read_text()
            for name, path in sorted(files.items())
            if "/backup/" not in name and name[:5] != "/run/"
        }

    def generate(self) -> GrubHost:
        """Do what update-grub does."""
        self._mkconfig(GRUB_CFG)
        return self

    def _mkconfig(self, path: str) -> None:
        out = run_command(("/bin/sh", "-c", _SOURCE, "sh", str(self.root))).out
        linux, default = out.split("\n")
        versions = sorted(
            (file.name.split("-", 1)[1] for file in (self.root / "boot").glob("vmlinuz-*")), reverse=True
        )
        every = f"{linux} {default}"
        text = "".join(
            _ENTRY.format(title="Debian", id="simple", version=v, words=every) for v in versions[:1]
        )
        for version in versions:
            for kind, words in (("advanced", every), ("recovery", f"single {linux}")):
                entry = _ENTRY.format(title=kind, id=f"{version}-{kind}", version=version, words=words)
                text += f"submenu 'Advanced' $menuentry_id_option 'gnulinux-advanced-7c1f' {{\n{entry}}}\n"
        self.write(path, text + "menuentry 'UEFI Firmware Settings' { fwsetup }\n")

    def entries(self, bare: bool = False) -> list[str]:
        """Return the command line of each entry of the distribution."""
        found = [entry for entry in parse_menu(self.text(GRUB_CFG) or "") if entry.of_distribution]
        return [cmdline.join(entry.words[2:]) for entry in found if entry.bare == bare]

    def boot(self, works: bool = True, ignores: str = "") -> None:
        """Start the first entry. ``works``: what its arguments are for is there; ``ignores``: a word that gets lost."""
        first = next(entry for entry in parse_menu(self.text(GRUB_CFG) or "") if entry.of_distribution)
        words = [word for word in first.words if word != ignores]
        self.write("/proc/cmdline", f"BOOT_IMAGE={first.kernel} {cmdline.join(words)}\n")
        self.boots += 1
        self.write("/proc/sys/kernel/random/boot_id", f"boot-{self.boots}\n")
        for size, count in cmdline.page_pairs(words):
            kib = {"1G": 1048576}.get(size, 2048)
            self.write(f"/sys/kernel/mm/hugepages/hugepages-{kib}kB/nr_hugepages", count if works else "0")
        if works and "intel_iommu=on" in words:
            self.write("/sys/class/iommu/dmar0/address", "fed90000\n")
