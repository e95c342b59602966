# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that boots, as far as the reboot ledger sees it: a boot id, a command line, files, guests."""

from __future__ import annotations

import pathlib
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.book import BOOT_ID, CMDLINE
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.holders import LIST_GUESTS, SOCKETS

IN_JOURNAL = ("journalctl", "--dmesg", "--boot", "--output=cat", "--grep=Unknown kernel command line")
NOON = 1_800_000_000.0


class Machine:
    """The injected root with its runner and clock."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.boots = 0
        self.kernel_log: str | None = ""
        self.journal: str | None = None
        self.guests: list[str] | None = []
        self.called: list[tuple[str, ...]] = []
        self.clock = NOON
        self.boot("quiet")

    @property
    def host(self) -> Host:
        return Host(root=str(self.root), run=self._run, now=lambda: self.clock)

    def boot(self, cmdline: str) -> None:
        """Boot, with a command line; ``/run`` starts empty."""
        self.boots += 1
        self.clock += 600
        self.write(BOOT_ID, f"boot-{self.boots}\n")
        self.write(CMDLINE, f"BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro {cmdline}\n")
        for path in sorted((self.root / "run").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()

    def write(self, path: str, text: str) -> pathlib.Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def text(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text()

    def blind(self, path: str) -> None:
        """Let ``path`` be there and not readable: a folder answers every read with an error, even for root."""
        file = self.root / path.lstrip("/")
        file.unlink(missing_ok=True)
        file.mkdir(parents=True)

    def start_libvirt(self, *guests: str) -> None:
        self.write(SOCKETS[0], "")
        self.guests = list(guests)

    def start_process(self, pid: int, *argv: str) -> None:
        self.write(f"/proc/{pid}/cmdline", "".join(f"{word}\0" for word in argv))

    def tree(self) -> dict[str, str]:
        """Return every file but those of the kernel and of the lock."""
        found = {f"/{path.relative_to(self.root)}": path for path in self.root.rglob("*") if path.is_file()}
        return {
            path: file.read_text() for path, file in found.items() if not path.startswith(("/proc", "/run"))
        }

    def ours(self) -> dict[str, str]:
        """Return the ledger's files, without backups."""
        return {path: text for path, text in self.tree().items() if "/backup/" not in path}

    def _run(self, argv: t.Sequence[str], **options: t.Any) -> Completed:
        self.called.append(tuple(argv))
        if tuple(argv) == LIST_GUESTS:
            if self.guests is None:
                raise CommandError("virsh gave no answer within 60 s.")
            # virsh(1), list --name: one name a line, and an empty line at the end.
            return Completed(0, "\n".join([*self.guests, "", ""]), "")
        logs = {("dmesg",): self.kernel_log, IN_JOURNAL: self.journal}
        text = logs[tuple(argv)]
        if text is None:
            raise CommandError(f"{argv[0]} cannot be run: No such file or directory.")
        return Completed(0, text, "")
