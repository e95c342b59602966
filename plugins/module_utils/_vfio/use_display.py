# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Whether the host shows something through a device: boot display, boot framebuffer, text console."""

from __future__ import annotations

import dataclasses
import re
import struct
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci.framebuffers import (
    held_by,
    parse_framebuffers,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import DISPLAY, Use
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.places import Places, read_things

_GRAPHICS = "/sys/class/graphics"
_CONSOLES = "/sys/class/vtconsole"
_IOMEM = "/proc/iomem"
_DISPLAY_CLASS = "03"
_BUFFER = re.compile(r"fb(\d+)", re.ASCII)
# The driver of a firmware's framebuffer is a platform device: it lies below no PCI device, only its memory does.
_PLATFORM = "/sys/devices/platform/"
_CONSOLE_OF_BUFFERS = "frame buffer device"
# include/uapi/linux/fb.h: which framebuffer a virtual terminal is shown on.
_GET_CONSOLE_MAP = 0x460F
_MAP = struct.Struct("=II")
_TERMINALS = range(1, 64)


@dataclasses.dataclass(frozen=True)
class RawDisplay:
    """What was read. ``shown`` are the framebuffers with a terminal on them, ``None`` when it cannot be told."""

    devices: t.Mapping[str, pci.PciDevice] = dataclasses.field(default_factory=dict)
    buffers: t.Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    platform_buffers: tuple[str, ...] = ()
    consoles: tuple[str, ...] = ()
    shown: frozenset[str] | None = None
    iomem: Reading = Reading(missing=True)
    why: str = ""


def read_display(host: Host, places: Places, snapshot: pci.PciSnapshot) -> RawDisplay:
    """Read what is shown where; for devices that show nothing that is little."""
    things, why = read_things(host, _GRAPHICS)
    things = tuple(thing for thing in things if _BUFFER.fullmatch(thing.name))
    own = places.sort(things)
    devices = {
        address: snapshot.devices[address] for address in places.folders if address in snapshot.devices
    }
    if not any(own.values()) and not any(map(_may_show, devices.values())):
        return RawDisplay(why=why)
    consoles = [name for name in host.listdir(_CONSOLES) if _is_shown(host, f"{_CONSOLES}/{name}")]
    return RawDisplay(
        devices=devices,
        buffers={address: tuple(thing.name for thing in mine) for address, mine in own.items()},
        platform_buffers=tuple(thing.name for thing in things if thing.path.startswith(_PLATFORM)),
        consoles=tuple(consoles),
        shown=_read_shown(host, [thing.name for thing in things]) if consoles else frozenset(),
        iomem=host.read(_IOMEM),
        why=why,
    )


def _may_show(device: pci.PciDevice) -> bool:
    return (device.class_code or "").startswith(_DISPLAY_CLASS)


def _is_shown(host: Host, console: str) -> bool:
    """Tell whether a console driver draws on framebuffers and has terminals; what cannot be read is one."""
    name, bound = host.text(f"{console}/name"), host.text(f"{console}/bind")
    return (name is None or _CONSOLE_OF_BUFFERS in name) and bound != "0"


def _read_shown(host: Host, buffers: t.Sequence[str]) -> frozenset[str] | None:
    """Ask which framebuffers have terminals: with two cards the console is on one of them."""
    questions = [_MAP.pack(terminal, 0) for terminal in _TERMINALS]
    for buffer in buffers:
        answers = host.ioctl(f"/dev/{buffer}", _GET_CONSOLE_MAP, questions)
        if answers is not None:
            return frozenset(f"fb{_MAP.unpack(answer)[1]}" for answer in answers)
    return None


def consoles_of(raw: RawDisplay, address: str) -> tuple[str, ...]:
    """Return the console drivers, such as ``vtcon1``, whose terminals are shown through ``address``."""
    buffers = [*raw.buffers.get(address, ())]
    if _held(raw, address):
        buffers += raw.platform_buffers
    if not any(raw.shown is None or buffer in raw.shown for buffer in buffers):
        return ()
    return raw.consoles


def _held(raw: RawDisplay, address: str) -> list[str]:
    device = raw.devices.get(address)
    return held_by(device, parse_framebuffers(raw.iomem.text) or ()) if device else []


def parse_display(raw: RawDisplay, address: str) -> tuple[Use, ...]:
    """Say what is shown through ``address``."""
    if raw.why:
        return (Use(DISPLAY, f"cannot be told: {raw.why}"),)
    device = raw.devices.get(address)
    lines = []
    held = _held(raw, address)
    if held:
        lines.append(f"the boot framebuffer is in its memory ({', '.join(held)} in {_IOMEM})")
    consoles = consoles_of(raw, address)
    if consoles:
        shown = ", ".join((*raw.buffers.get(address, ()), *consoles))
        lines.append(f"the text console is on it ({shown})")
    if device and _may_show(device) and not held and parse_framebuffers(raw.iomem.text) is None:
        lines.append(f"cannot be told: {raw.iomem.why or f'{_IOMEM} shows no addresses'}")
    return tuple(Use(DISPLAY, line) for line in lines)
