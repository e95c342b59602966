# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Read everything that speaks against changing devices.

By far the longest part of all of it to compile on a host. It is imported when something is about to change, and a
run that changes nothing goes without.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.judge import Evidence
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.situation import read_situation
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.use import (
    consoles_of,
    parse_uses,
    read_uses,
)


def read_evidence(
    host: Host, snapshot: pci.PciSnapshot, addresses: t.Sequence[str], hung: t.Collection[str] = ()
) -> Evidence:
    """Read what uses ``addresses``, and the situation that they are in; of ``hung`` ones that they hang is enough."""
    free = [address for address in addresses if address not in hung]
    raw = read_uses(host, snapshot, free)
    return Evidence(
        situation=read_situation(host, snapshot, addresses, hung),
        uses=parse_uses(raw, free),
        consoles={address: consoles_of(raw, address) for address in free},
    )
