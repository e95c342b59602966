# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What needs devices where they are: storage, network, display, open files, guests.

Reading costs a walk through all processes, so it is done for devices that are about to change, and for nothing else.
Whatever cannot be read counts as a use of its kind, with the reason: unknown is never free.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import (
    use_display,
    use_network,
    use_opened,
    use_storage,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import Use, Uses
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.places import read_places


@dataclasses.dataclass(frozen=True)
class RawUses:
    """What was read, kind by kind."""

    storage: use_storage.RawStorage = dataclasses.field(default_factory=use_storage.RawStorage)
    network: use_network.RawNetwork = dataclasses.field(default_factory=use_network.RawNetwork)
    display: use_display.RawDisplay = dataclasses.field(default_factory=use_display.RawDisplay)
    opened: use_opened.RawOpened = dataclasses.field(default_factory=use_opened.RawOpened)


def read_uses(host: Host, snapshot: pci.PciSnapshot, addresses: t.Sequence[str]) -> RawUses:
    """Read what may use ``addresses``; nothing at all when there are none."""
    if not addresses:
        return RawUses()
    places = read_places(host, addresses)
    return RawUses(
        storage=use_storage.read_storage(host, places),
        network=use_network.read_network(host, places, snapshot),
        display=use_display.read_display(host, places, snapshot),
        opened=use_opened.read_opened(host, places, snapshot),
    )


def parse_uses(raw: RawUses, addresses: t.Sequence[str]) -> Uses:
    """Say what uses each of ``addresses``; one that is free has no uses. Pure."""
    return {address: _uses(raw, address) for address in addresses}


def _uses(raw: RawUses, address: str) -> tuple[Use, ...]:
    return (
        *use_storage.parse_storage(raw.storage, address),
        *use_network.parse_network(raw.network, address),
        *use_display.parse_display(raw.display, address),
        *use_opened.parse_opened(raw.opened, address),
    )


def consoles_of(raw: RawUses, address: str) -> tuple[str, ...]:
    """Return the console drivers, such as ``vtcon1``, to be released before ``address`` can go. Pure."""
    return use_display.consoles_of(raw.display, address)
