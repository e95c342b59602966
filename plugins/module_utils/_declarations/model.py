# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""A declaration: what one role needs of the host's shared files, as canonical data."""

from __future__ import annotations

import dataclasses
import json
import typing as t

SINGLE, COMMA, REPEAT, PAIRS = "single", "comma", "repeat", "pairs"

# How the values of one kernel argument combine (kernel-parameters.txt, modprobe.d(5),
# dracut.cmdline(7), systemd-debug-generator(8)). Every name that is not here takes one value.
_STYLES = {
    "vfio_pci.ids": COMMA,
    "module_blacklist": COMMA,
    "modprobe.blacklist": COMMA,
    "rd.driver.blacklist": COMMA,
    "initcall_blacklist": COMMA,
    "intel_iommu": COMMA,
    "pci": COMMA,
    "console": REPEAT,
    "earlycon": REPEAT,
    "memmap": REPEAT,
    "video": REPEAT,
    "systemd.mask": REPEAT,
    "hugepages": PAIRS,
}

BARE = ""
"""The value of an argument that is only a name, such as ``nosmt``."""


def normal(name: str) -> str:
    """Return the form of a kernel argument or module name in which equal names are equal."""
    return name.replace("-", "_")


def style_of(argument: str) -> str:
    """Tell how several values of a kernel argument combine."""
    return _STYLES.get(normal(argument), SINGLE)


def pair(value: str) -> tuple[str, str]:
    """Split ``1G=64`` into page size and count; the size is empty for the default size."""
    size, _unused, count = value.rpartition("=")
    return size, count


@dataclasses.dataclass(frozen=True)
class KernelArg:
    """A kernel argument with its values, spelled as the role spelled it."""

    name: str
    values: tuple[str, ...] = (BARE,)


@dataclasses.dataclass(frozen=True, order=True)
class Port:
    """A port, or a range of ports, that ``source`` (a zone or a network) may reach."""

    name: str
    port: str
    proto: str
    source: str

    def as_dict(self) -> dict[str, str]:
        """Return the port as a role declares it."""
        return {"name": self.name, "port": self.port, "proto": self.proto, "from": self.source}


@dataclasses.dataclass(frozen=True)
class Declaration:
    """Everything that one role declares. False when it declares nothing.

    ``modprobe_options`` holds (module, option, value), ``sysctl`` (key, value).
    """

    kernel_args: tuple[KernelArg, ...] = ()
    modules: tuple[str, ...] = ()
    modprobe_options: tuple[tuple[str, str, str], ...] = ()
    sysctl: tuple[tuple[str, str], ...] = ()
    initramfs: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()

    def __bool__(self) -> bool:
        return self != Declaration()

    def as_dict(self) -> dict[str, t.Any]:
        """Return the declaration as plain data; kinds that are empty are left out."""
        options: dict[str, dict[str, str]] = {}
        for module, option, value in self.modprobe_options:
            options.setdefault(module, {})[option] = value
        every = {
            "kernel_args": [_plain(arg) for arg in self.kernel_args],
            "modules": list(self.modules),
            "modprobe_options": options,
            "sysctl": dict(self.sysctl),
            "initramfs": list(self.initramfs),
            "ports": [port.as_dict() for port in self.ports],
        }
        return {kind: items for kind, items in every.items() if items}


def _plain(arg: KernelArg) -> dict[str, t.Any]:
    if arg.values == (BARE,):
        return {"name": arg.name}
    return {"name": arg.name, "values": list(arg.values)}


def canonical(data: t.Any) -> str:
    """Return ``data`` as JSON that is the same text for the same data."""
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
