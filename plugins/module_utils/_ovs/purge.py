# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Which ports of a bridge go when nobody lists them. Pure.

A port with our mark was listed once. Ports of guests come and go by other hands, and no list ever holds them: they
stay whatever is asked for.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    ALL,
    GUEST_PORTS,
    OWNED,
    Columns,
    Wish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_columns import EXTERNAL_IDS, Rules

# What libvirt, OVN and neutron write into external_ids of a guest's port or of its interface.
_GUEST_KEYS = re.compile("attached-mac|iface-id|iface-status|vm-id|vm-uuid|(ovn|neutron)-.*")
_GUEST_NAMES = re.compile("(vnet|tap|qvo|veth).*")


def guest_evidence(port: Columns, interfaces: t.Mapping[str, Columns]) -> str:
    """Say what in its external ids makes this a guest's port, or nothing."""
    rows = [port, *(interfaces[row] for row in sorted(port.get("interfaces", ())) if row in interfaces)]
    keys = sorted(key for row in rows for key in row.get(EXTERNAL_IDS, {}) if _GUEST_KEYS.fullmatch(key))
    return f"external_ids:{keys[0]}" if keys else ""


def is_dynamic(port: Columns, interfaces: t.Mapping[str, Columns]) -> bool:
    """Tell whether a port came with a guest, by its external ids or by its name."""
    return bool(guest_evidence(port, interfaces) or _GUEST_NAMES.fullmatch(str(port.get("name", ""))))


def goes(port: Columns, interfaces: t.Mapping[str, Columns], wish: Wish) -> bool:
    """Tell whether a port of the bridge that is not listed is removed.

    A mark of ours outweighs a name, and what a guest's manager has written outweighs a mark, unless that is lifted.
    """
    if port.get("name") == wish.name:
        return False
    if Rules(wish.name).marks(port):
        kept = guest_evidence(port, interfaces) and GUEST_PORTS not in wish.allow
        return wish.purge in (OWNED, ALL) and not kept
    return wish.purge == ALL and not is_dynamic(port, interfaces)


def unlisted(
    ports: t.Iterable[str], rows: t.Mapping[str, Columns], listed: t.Collection[str]
) -> tuple[str, ...]:
    """Return the ports, by uuid and in the order of their names, that are not listed."""
    named = {rows[port].get("name", ""): port for port in ports if port in rows}
    return tuple(named[name] for name in sorted(named) if name not in listed)
