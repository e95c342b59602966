# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts whose boot loader is told by fakes, and how to bring them to a wish, killed at any point.

What the fakes do is read from the real tools: kernel-install and 90-loaderentry.install of systemd 252 (and
tried in a Debian 12 tree), zz-proxmox-boot and proxmox-boot-tool of proxmox-kernel-helper 8.
"""

from __future__ import annotations

import pathlib
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Backend, Menu, Wish, faults
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed, run_command
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

KERNELS = ("6.1.0-55-cloud-amd64", "6.1.0-56-cloud-amd64")


class Tools:
    """A root with fake tools; it records which ran."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.host = Host(root=str(root), run=self)
        self.ran: list[tuple[str, ...]] = []
        self.status = ""

    def __call__(self, argv: t.Sequence[str], **_options: t.Any) -> Completed:
        if argv[0] == "/bin/sh":
            # What the shell of grub-mkconfig makes of the operator's files is measured, and changes nothing.
            return run_command(argv)
        self.ran.append(tuple(argv))
        fake = {"kernel-install": self._kernel_install, "proxmox-boot-tool": self._proxmox_boot_tool}
        return Completed(0, fake[argv[0]](*argv[1:]) or "", "")

    def write(self, path: str, text: str) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def text(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text()

    def remove(self, path: str) -> None:
        (self.root / path.lstrip("/")).unlink()

    def tree(self) -> dict[str, str]:
        """Return every file but the backups."""
        files = {str(path.relative_to(self.root)): path for path in self.root.rglob("*") if path.is_file()}
        return {name: path.read_text() for name, path in sorted(files.items()) if not name.startswith("var/")}

    def install_kernel(self, version: str, image: str = "/boot/vmlinuz-{}") -> None:
        """Do what a kernel package does."""
        self.write(f"/usr/lib/modules/{version}/modules.dep", "")
        self.write(image.format(version), "kernel")
        self(f"kernel-install add {version} {image.format(version)}".split())

    def _kernel_install(self, command: str, version: str, image: str) -> None:
        assert command == "add" and self.text(image) == "kernel"
        words = self._options()
        tries = self.root / "etc/kernel/tries"
        counter = f"+{tries.read_text().strip()}" if tries.exists() else ""
        self.write(
            f"/boot/loader/entries/hearth-{version}{counter}.conf",
            f"title      Debian GNU/Linux 12 (bookworm)\nversion    {version}\nsort-key   debian\n"
            f"options    {' '.join(words)}\nlinux      /boot/hearth/{version}/linux\n"
            f"initrd     /boot/hearth/{version}/initrd.img-{version}\n",
        )

    def _options(self) -> list[str]:
        for path in ("etc/kernel/cmdline", "usr/lib/kernel/cmdline"):
            if (self.root / path).exists():
                return (self.root / path).read_text().split()
        words = (self.root / "proc/cmdline").read_text().split()
        return [word for word in words if not word.startswith(("BOOT_IMAGE=", "initrd="))]

    def _proxmox_boot_tool(self, command: str) -> str:
        if command == "status":
            return self.status
        assert command == "refresh"
        # The ESPs are not mounted: what is on them is beside the host's tree.
        file = self.root / "etc/kernel/cmdline"
        line = file.read_text().splitlines()[0] if file.exists() else (self.root / "proc/cmdline").read_text()
        assert "root=" in line
        self.write("/var/esp/cmdline", line)
        dropin = self.root / "etc/default/grub.d/zz-hearth.cfg"
        self.write("/var/esp/grub", dropin.read_text() if dropin.exists() else "")
        return ""


def wish(ours: str = "", removed: str = "") -> Wish:
    return Wish(tuple(ours.split()), tuple(removed.split()))


def menu_of(backend: Backend, host: Host) -> Menu:
    return backend.parse(backend.read(host))


def steps(backend: Backend, host: Host, wanted: Wish) -> tuple[Action, ...]:
    """Return the plan, when one is needed: as the module kernel_args decides it."""
    menu = menu_of(backend, host)
    if faults(menu, wanted) or dict(menu.files) != backend.files_after(menu, wanted):
        return backend.plan(menu, wanted)
    return ()


def converge(backend: Backend, host: Host, wanted: Wish, stop: int | None = None) -> int:
    """Carry the plan out, or its first ``stop`` actions; return how many it has."""
    plan = steps(backend, host, wanted)
    for action in plan[:stop]:
        action.perform(host)
    return len(plan)


def settled(backend: Backend, host: Host, wanted: Wish) -> None:
    """Bring a host to a wish, which must then hold and stay."""
    predicted = backend.files_after(menu_of(backend, host), wanted)
    converge(backend, host, wanted)
    menu = menu_of(backend, host)
    assert dict(menu.files) == predicted
    assert (menu.ours, menu.removed, menu.leaving) == (wanted.ours, wanted.removed, ())
    assert faults(menu, wanted) == ()
    assert steps(backend, host, wanted) == ()


def survives_a_kill_anywhere(
    make: t.Callable[[], Tools], backend: Backend, walk: t.Sequence[Wish], state: t.Callable[[Tools], t.Any]
) -> None:
    """Go from wish to wish; killed after each action of the last step, the next run must end where it would have.

    The next run may even want what was before: then everything is as it was.
    """
    *before, last = walk

    def fresh() -> Tools:
        tools = make()
        for wanted in before:
            settled(backend, tools.host, wanted)
        return tools

    whole = fresh()
    start = state(whole)
    length = len(steps(backend, whole.host, last))
    settled(backend, whole.host, last)
    for stop in range(length + 1):
        killed = fresh()
        converge(backend, killed.host, last, stop)
        settled(backend, killed.host, last)
        assert state(killed) == state(whole), f"killed after {stop} of {length}"
        turned = fresh()
        converge(backend, turned.host, last, stop)
        settled(backend, turned.host, before[-1] if before else wish())
        assert state(turned) == start, f"killed after {stop} of {length}, then turned back"
