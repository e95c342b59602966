# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The modules of a kernel: those in its folder, those built into it, those that are loaded."""

from __future__ import annotations

import posixpath
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

MODULES_DIR = "/lib/modules"
_RELEASE = "/proc/sys/kernel/osrelease"
_SUFFIX = re.compile(r"\.ko(?:\.(?:gz|xz|zst))?$")


def running_kernel(host: Host) -> str:
    """Return the release of the running kernel."""
    return host.text(_RELEASE) or ""


def installed_kernels(host: Host) -> tuple[str, ...]:
    """Return the releases of all kernels that have modules."""
    names = host.listdir(MODULES_DIR)
    return tuple(name for name in names if host.exists(f"{MODULES_DIR}/{name}/modules.dep"))


def module_name(path: str) -> str | None:
    """Return the name of the module in a file, in normal form; ``None`` for other files."""
    name, count = _SUFFIX.subn("", posixpath.basename(path))
    # As declarations have it, too, whose model is too much to compile for this.
    return name.replace("-", "_") if count else None


def loadable(host: Host, kernel: str) -> frozenset[str]:
    """Return the modules that ``kernel`` has as files."""
    lines = (host.read(f"{MODULES_DIR}/{kernel}/modules.dep").text or "").splitlines()
    return _names(line.partition(":")[0] for line in lines)


def builtin(host: Host, kernel: str) -> frozenset[str]:
    """Return the modules that are part of ``kernel`` itself."""
    return _names((host.read(f"{MODULES_DIR}/{kernel}/modules.builtin").text or "").splitlines())


def _names(paths: t.Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in map(module_name, paths) if name)


def is_loaded(host: Host, module: str) -> bool:
    """Tell whether the kernel has a module in memory, as a file's or as its own."""
    return host.exists(f"/sys/module/{module}")
