# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The running kernel as ``kernel_config`` sees it: what is loaded, with which options, and the sysctls."""

from __future__ import annotations

import dataclasses
import fnmatch
import os
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    CommandError,
    EffectError,
    Refusal,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config import files, kernel
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config.wish import (
    MODULES,
    OPTIONS,
    SYSCTL,
    Item,
    Wish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.ledger import EQUALS, Check

_PROC = "/proc/sys"
# A driver looks after each of its devices before it is loaded: minutes where there are many of them.
_LOAD_S = 600.0
# lib/kstrtox.c: one letter decides, after an o the second one.
_YES, _NO = re.compile(r"[yYtT1]|[oO][nN]"), re.compile(r"[nNfF0]|[oO][fF]")


@dataclasses.dataclass(frozen=True)
class Running:
    """What was read. ``available`` are the modules that can be loaded; ``None`` when nobody had to look.

    ``parameters`` has the text of each wished option of a loaded module; ``sysctl`` each path that a wished
    key names, and a key that names none by its own path.
    """

    release: str = ""
    loaded: frozenset[str] = frozenset()
    available: frozenset[str] | None = None
    builtin: frozenset[str] = frozenset()
    parameters: t.Mapping[tuple[str, str], Reading] = dataclasses.field(default_factory=dict)
    sysctl: t.Mapping[str, Reading] = dataclasses.field(default_factory=dict)


def read_running(host: Host, wish: Wish) -> Running:
    """Read only what the wish is about; nothing is loaded for it."""
    release = kernel.running_kernel(host)
    names = {item.name for kind in (MODULES, OPTIONS) for item in wish.get(kind, ())}
    loaded = frozenset(name for name in names if kernel.is_loaded(host, name))
    missing = {item.name for item in wish.get(MODULES, ())} - loaded
    builtin = kernel.builtin(host, release) if names else frozenset()
    parameters = {
        (item.name, item.option): host.read(parameter_path(item))
        for item in wish.get(OPTIONS, ())
        if item.name in loaded
    }
    return Running(
        release,
        loaded | (names & builtin),
        kernel.loadable(host, release) if missing - builtin else None,
        builtin & names,
        parameters,
        {path: host.read(path) for item in wish.get(SYSCTL, ()) for path in _paths(host, item.name)},
    )


def parameter_path(item: Item) -> str:
    """Return where the kernel shows an option of a module."""
    return f"/sys/module/{item.name}/parameters/{item.option}"


def sysctl_path(key: str) -> str:
    """Return the file of a key in dotted form."""
    return f"{_PROC}/{key.translate(str.maketrans('./', '/.'))}"


def paths_of(item: Item, paths: t.Iterable[str]) -> tuple[str, ...]:
    """Return those paths that the item's key names."""
    pattern = sysctl_path(item.name).split("/")
    return tuple(path for path in paths if _named(pattern, path.split("/")))


def _named(pattern: t.Sequence[str], parts: t.Sequence[str]) -> bool:
    return len(pattern) == len(parts) and all(map(fnmatch.fnmatchcase, parts, pattern))


def _paths(host: Host, key: str) -> list[str]:
    found = [""]
    for part in sysctl_path(key).strip("/").split("/"):
        if "*" in part:
            found = [f"{base}/{name}" for base in found for name in fnmatch.filter(host.listdir(base), part)]
        else:
            found = [f"{base}/{part}" for base in found]
    return found or [sysctl_path(key)]


def keys_of(wish: Wish, running: Running) -> dict[str, Item]:
    """Return which item decides each path: a plain key wins over a pattern, as in sysctl.d(5)."""
    items = sorted(wish.get(SYSCTL, ()), key=lambda item: "*" not in item.name)
    return {path: item for item in items for path in paths_of(item, running.sysctl)}


def values_of(wish: Wish, running: Running) -> dict[str, str]:
    """Return the value of each wished key: the wished one where all its paths have it. Missing keys are left out.

    :raises Refusal: a key cannot be read.
    """
    values: dict[str, str] = {}
    for path, item in keys_of(wish, running).items():
        reading = running.sysctl[path]
        if reading.unknown:
            raise Refusal(
                f"sysctl {item.name}, wanted by {item.who}, cannot be read ({reading.why}): nothing would be proven.",
                remedy="take the wish back",
            )
        if reading.text is not None:
            same = files.same_value(reading.text, item.value)
            if not same or values.get(item.name, item.value) == item.value:
                values[item.name] = item.value if same else " ".join(reading.text.split())
    return values


def differing(wish: Wish, running: Running) -> list[SetSysctl]:
    """Return what makes the keys as they are wished; a key that is missing is among them."""
    return [
        SetSysctl(item, path)
        for path, item in keys_of(wish, running).items()
        if not files.same_value(running.sysctl[path].text or "", item.value)
    ]


def refuse_modules(wish: Wish, running: Running) -> None:
    """Refuse what cannot be had from this kernel.

    :raises Refusal: a module does not exist, or options of a built-in one would do nothing.
    """
    for item in wish.get(MODULES, ()):
        if item.name in running.loaded or item.name in (running.available or ()):
            continue
        if not running.available:
            raise Refusal(
                f"Module {item.name}, wanted by {item.who}, cannot be loaded: the running kernel "
                f"{running.release} has no modules on the disk.",
                remedy="reboot into an installed kernel, then run again",
            )
        raise Refusal(
            f"Module {item.name}, wanted by {item.who}, does not exist for the running kernel {running.release}.",
            remedy="correct the name, install the package that brings it, or take the wish back",
        )


def refuse_builtin(wish: Wish, builtin: t.Mapping[str, frozenset[str]]) -> None:
    """Refuse options that modprobe never gets to apply.

    :raises Refusal: the module is part of a kernel.
    """
    for item in wish.get(OPTIONS, ()):
        for release, names in builtin.items():
            if item.name in names:
                raise Refusal(
                    f"Option {item.option} of {item.name}, wanted by {item.who}, would do nothing: {item.name} "
                    f"is built into the kernel {release}, which does not read modprobe.d.",
                    remedy=f"declare the kernel argument {item.name}.{item.option}={item.value} instead",
                )


def check_of(item: Item, shown: str) -> Check:
    """Return by what one sees that an option holds, in the way in which the kernel shows it."""
    return Check(parameter_path(item), EQUALS, _as_shown(item.value, shown), item.label)


def _as_shown(value: str, shown: str) -> str:
    if shown in ("Y", "N"):
        return "Y" if _YES.match(value) else "N" if _NO.match(value) else value
    try:
        return str(int(value, 0)) if shown.lstrip("-").isdigit() else value
    except ValueError:
        return value


@dataclasses.dataclass(frozen=True)
class LoadModule(Action):
    """Load a module."""

    item: Item

    def describe(self) -> str:
        return f"load module {self.item.name}"

    def perform(self, host: Host) -> None:
        try:
            host.run(("modprobe", self.item.name), timeout_s=_LOAD_S)
        except CommandError as error:
            raise EffectError(
                f"Module {self.item.name}, wanted by {self.item.who}, cannot be loaded: {error.message}",
                remedy="look into the kernel's log; take the wish back if this host has nothing that needs the module",
            ) from error


@dataclasses.dataclass(frozen=True)
class SetSysctl(Action):
    """Write one key of the running kernel."""

    item: Item
    path: str

    def describe(self) -> str:
        return f"set {self.path} to {self.item.value}"

    def perform(self, host: Host) -> None:
        try:
            # One write(2): the kernel takes it or leaves it.
            descriptor = os.open(host.path(self.path), os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
            try:
                os.write(descriptor, f"{self.item.value}\n".encode())
            finally:
                os.close(descriptor)
        except FileNotFoundError as error:
            # Of many that a pattern names, such as the interfaces of guests, one goes now and then.
            if "*" in self.path or "*" not in self.item.name:
                raise no_such_key(self.item) from error
        except OSError as error:
            raise EffectError(
                f"The kernel does not take {self.item.name} = {self.item.value} of {self.item.who}: {error.strerror}.",
                remedy="correct the value, or take the wish back",
            ) from error


def no_such_key(item: Item) -> Refusal:
    """Return the refusal of a key that the running kernel does not have."""
    return Refusal(
        f"sysctl {item.name}, wanted by {item.who}, does not exist on the running kernel.",
        remedy="declare the module that brings it as well (br_netfilter for net.bridge.*, nf_conntrack for "
        "net.netfilter.*), correct the key, or take the wish back",
    )
