# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python on a host under test dies at one effect after the other: the collection itself knows nothing of it.

Python imports this file at its start when its folder is on PYTHONPATH. It waits for the effect gate to
be imported, and ends the process (`kill`) or the machine (`reset`, as a power cut does) after, or in the
midst of, the first effect that it has not ended in before. Or it lets that effect `fail` after it was done,
which is the worst moment for who wants to take it back.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import threading
import time
import types
import typing as t

FOLDER = os.path.dirname(os.path.abspath(__file__))
GATE = "ansible_collections.hearth.gpu_host.plugins.module_utils._actions"


def setting(name: str, default: str = "") -> str:
    """Read a setting that the playbook left beside this file."""
    try:
        with open(os.path.join(FOLDER, name), encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return default


def note(name: str, text: str, how: int) -> None:
    """Leave a note beside this file that survives the machine."""
    descriptor = os.open(os.path.join(FOLDER, name), os.O_WRONLY | os.O_CREAT | how, 0o644)
    os.write(descriptor, text.encode())
    os.fsync(descriptor)
    os.close(descriptor)


def die() -> None:
    """End the process, or the machine; neither gets a chance to tidy up."""
    if setting("how") == "reset":
        with open("/proc/sysrq-trigger", "w", encoding="ascii") as stream:
            stream.write("b")
        time.sleep(60)
    os.kill(os.getpid(), signal.SIGKILL)


def trap(module: types.ModuleType) -> None:
    """Let the gate die at the first effect that it has not died at before."""
    original: t.Callable[..., None] = module.Gate._perform
    sprung = False

    def perform(gate: t.Any, action: t.Any) -> None:
        nonlocal sprung
        words = f"{setting('when')} {action.describe()}"
        # What a failure takes back is no new effect.
        chosen = not sprung and words not in setting("died.log").splitlines()
        if chosen:
            sprung = True
            note("died.log", words + "\n", os.O_APPEND)
            note("died", words + "\n", os.O_TRUNC)
        if chosen and setting("when") == "in":
            threading.Timer(0.7, die).start()
        original(gate, action)
        if chosen and setting("how") == "fail":
            raise module.EffectError(f"The test lets this fail: {action.describe()}.", remedy="none")
        if chosen:
            die()

    module.Gate._perform = perform  # type: ignore[attr-defined]


class Loader(importlib.abc.Loader):
    """Load the gate as its own loader does, which is that of the other modules too, and spring the trap."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        """Leave it to the loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the module, then change it."""
        self._loader.exec_module(module)
        trap(module)


class Finder(importlib.abc.MetaPathFinder):
    """Wait for the gate."""

    def find_spec(
        self, name: str, path: t.Any, target: t.Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the gate as Python would, and spring the trap once it is loaded."""
        if name != GATE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        spec.loader = Loader(spec.loader)
        return spec


sys.meta_path.insert(0, Finder())
