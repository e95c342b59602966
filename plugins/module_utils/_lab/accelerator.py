# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Choose the emulator's accelerator by booting a kernel with it: a device node proves nothing."""

from __future__ import annotations

import os
import tempfile
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

_BANNER = "Linux version"
_BOOT_S = 30.0


def probe_argv(kernel: str, serial: str) -> list[str]:
    """Return the command line that boots ``kernel`` under KVM until it finds no root disk. Pure."""
    return [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-accel", "kvm", "-machine", "q35,kernel-irqchip=split", "-cpu", "host", "-m", "512"),
        *("-serial", f"file:{serial}", "-kernel", kernel),
        *("-append", "console=ttyS0 earlyprintk=serial panic=-1"),
    ]


def choose(host: Host, kernel: str) -> tuple[str, str]:
    """Return ``kvm`` or ``tcg``, and why."""
    if not os.path.exists("/dev/kvm"):
        return "tcg", "there is no /dev/kvm"
    with tempfile.TemporaryDirectory() as folder:
        serial = os.path.join(folder, "serial")
        why = _boot(host, probe_argv(kernel, serial))
        if _BANNER in (host.text(serial) or ""):
            return "kvm", "a kernel booted under KVM"
    return "tcg", f"no kernel boots under KVM here: {why}"


def _boot(host: Host, argv: t.Sequence[str]) -> str:
    """Run the emulator; a hang or a crash is an answer, not an error."""
    try:
        done = host.run(argv, timeout_s=_BOOT_S, check=False)
    except CommandError as error:
        return error.message
    return (done.err.strip().splitlines() or [f"status {done.rc}"])[0]
