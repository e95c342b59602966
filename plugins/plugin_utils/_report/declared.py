# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What roles declared for a host, as titled lists."""

from __future__ import annotations

import dataclasses
import typing as t

Data = t.Mapping[str, t.Any]

# Kind of declaration: its title, and one item of it in words.
DECLARATIONS: t.Mapping[str, tuple[str, t.Callable[[Data], str]]] = {
    "kernel_args": ("Kernel arguments", lambda item: " ".join(item["tokens"])),
    "modules": ("Kernel modules", lambda item: str(item["name"])),
    "modprobe_options": ("Module options", lambda item: f"{item['module']} {item['option']}={item['value']}"),
    "sysctl": ("Kernel settings", lambda item: f"{item['key']} = {item['value']}"),
    "initramfs": ("In the initramfs", lambda item: str(item["name"])),
    "ports": (
        "Open ports",
        lambda item: f"{item['port']}/{item['proto']} from {item['from']} ({item['name']})",
    ),
}


@dataclasses.dataclass(frozen=True)
class Section:
    """A titled list: one kind of thing that roles declared for this host."""

    title: str
    items: tuple[tuple[str, str], ...]


def declared_from(merged: Data) -> tuple[Section, ...]:
    """Return what ``declarations`` merged, as titled lists; kinds without an item are left out."""
    sections = []
    for kind, (title, wording) in DECLARATIONS.items():
        items = tuple((wording(item), ", ".join(item.get("owners", []))) for item in merged.get(kind) or [])
        if items:
            sections.append(Section(title, items))
    return tuple(sections)
