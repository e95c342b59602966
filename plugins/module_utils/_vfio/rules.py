# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The udev rules that bind our devices at every boot, guarded by who each device is. Pure.

A rule holds for one address and for the one device that was found there: a bus that is numbered anew binds
nothing at all, rather than the wrong card. Rules for ids alone are never written, as identical cards share them.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import Entry, Identity
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.record import is_exact, parse_identity

PATH = "/etc/udev/rules.d/10-hearth-vfio.rules"

_HEADER = (
    "# Written by hearth.gpu_host; changes here are overwritten. The initramfs has a copy of this file.\n"
    "# The lines that begin with 'hearth:' are read by the check at boot.\n"
)
_MARK = "# hearth: "
_DRIVER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*", re.ASCII)
_MARKED_WORDS = 3


class Bound(t.NamedTuple):
    """What one rule does: it gives the device at ``address``, if it is that one, to ``driver``."""

    address: str
    identity: Identity
    driver: str


def render_rules(entries: t.Iterable[Entry | Bound]) -> str:
    """Return the text of the rules file; empty when nothing is to be bound at boot.

    Entries that end with the boot that they were made in get no rule.

    :raises ParseError: an entry cannot be written as a rule that is sure to hold for that device alone.
    """
    lasting = sorted({_bound(entry) for entry in entries if not getattr(entry, "boot_id", "")})
    return _HEADER + "".join(map(_render, lasting)) if lasting else ""


def parse_rules(text: str) -> tuple[Bound, ...]:
    """Return what the rules do that are as we write them; any other line binds nothing that we vouch for."""
    lines = text.splitlines()
    found = (_marked(line) for line in lines)
    return tuple(bound for bound in found if bound and _render(bound).splitlines()[1] in lines)


def _bound(entry: Entry | Bound) -> Bound:
    bound = Bound(entry.address, entry.identity, entry.driver)
    known = is_exact(bound.address) and parse_identity(str(bound.identity)) == bound.identity
    if not known or not _DRIVER.fullmatch(bound.driver):
        raise ParseError(
            f"No rule can be written for {bound.address!r} with the ids {str(bound.identity)!r}"
            f" and the driver {bound.driver!r}.",
            remedy="name a device whose four ids can be read, and a driver by its name in sysfs",
        )
    return bound


def _render(bound: Bound) -> str:
    who = bound.identity
    conditions = (
        'ACTION=="add"',
        'SUBSYSTEM=="pci"',
        f'KERNEL=="{bound.address}"',
        f'ATTR{{vendor}}=="0x{who.vendor}"',
        f'ATTR{{device}}=="0x{who.device}"',
        f'ATTR{{subsystem_vendor}}=="0x{who.subsystem_vendor}"',
        f'ATTR{{subsystem_device}}=="0x{who.subsystem_device}"',
    )
    # The driver may be there already when this runs, and then nothing but a probe binds; or it comes later.
    effects = (
        f'ATTR{{driver_override}}="{bound.driver}"',
        'ATTR{[subsystem/pci]drivers_probe}="$kernel"',
        f'RUN{{builtin}}+="kmod load {bound.driver}"',
    )
    return f"{_MARK}{bound.address} {who} {bound.driver}\n{', '.join((*conditions, *effects))}\n"


def _marked(line: str) -> Bound | None:
    """Return what a marked line announces, if it is one of ours."""
    words = line[len(_MARK) :].split(" ")
    if not line.startswith(_MARK) or len(words) != _MARKED_WORDS:
        return None
    address, ids, driver = words
    identity = parse_identity(ids)
    if identity is None or not is_exact(address) or not _DRIVER.fullmatch(driver):
        return None
    return Bound(address, identity, driver)
