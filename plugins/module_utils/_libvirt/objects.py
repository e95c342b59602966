# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Networks and pools as capabilities: each kind's calls and terms, joined to the shared verbs."""

from __future__ import annotations

import dataclasses

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import network, pool
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.capability import (
    Declared,
    LibvirtObjects,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.inventory import Kind
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.model import Wanted
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.record import Entry

NETWORK = Kind(
    noun="network",
    list_all="listAllNetworks",
    lookup="networkLookupByName",
    define="networkDefineXML",
    stored="/etc/libvirt/qemu/networks",
    running="/run/libvirt/network",
    uses=network.uses,
)
POOL = Kind(
    noun="pool",
    list_all="listAllStoragePools",
    lookup="storagePoolLookupByName",
    define="storagePoolDefineXML",
    stored="/etc/libvirt/storage",
    running="/run/libvirt/storage",
    uses=pool.uses,
)


class Networks(LibvirtObjects[network.NetworkConfig]):
    """The virtual networks of a host.

    Ours carry a mark in their metadata. The ``default`` that distributions ship has none. When it
    is declared it is adopted: defined anew, with the mark. So the plan for a bare host, where the
    package is yet to bring its ``default``, is the same as for a host that already has it.
    """

    kind = NETWORK
    option = "networks"

    def validate(self, declared: Declared) -> None:
        if declared["state"] == "present":
            network.from_declared(declared)

    def managed(self, xml: str, declared: Declared) -> network.NetworkConfig:
        found = network.from_xml(xml)
        if declared["state"] == "absent":
            return found
        return network.masked(found, network.from_declared(declared))

    def wanted(self, declared: Declared, base: str | None) -> Wanted[network.NetworkConfig]:
        config = network.from_declared(declared)
        xml = network.render(declared["name"], config, base)
        if config.forward in ("nat", "route") and not network.from_xml(xml).ips:
            raise Contradiction(
                f"Network {declared['name']}: it has no address, and forward={config.forward} needs one.",
                remedy="add one to 'ips', such as 192.168.122.1/24",
            )
        return Wanted(config, xml, declared["autostart"], declared["started"])

    def owned(self, xml: str, entry: Entry | None) -> bool:
        return network.owned(xml)

    def shipped(self, xml: str) -> bool:
        return network.shipped(xml)


class Pools(LibvirtObjects[pool.PoolConfig]):
    """The storage pools of a host. libvirt keeps no metadata for pools: the record says which are ours."""

    kind = POOL
    option = "pools"

    def validate(self, declared: Declared) -> None:
        if declared["state"] == "present":
            pool.from_declared(declared)

    def managed(self, xml: str, declared: Declared) -> pool.PoolConfig:
        found = pool.from_xml(xml)
        if declared["state"] == "absent":
            # A running pool says the mode that its directory has, which its definition need not name.
            return dataclasses.replace(found, mode=None)
        return pool.masked(found, pool.from_declared(declared))

    def wanted(self, declared: Declared, base: str | None) -> Wanted[pool.PoolConfig]:
        config = pool.from_declared(declared)
        return Wanted(
            config, pool.render(declared["name"], config, base), declared["autostart"], declared["started"]
        )

    def owned(self, xml: str, entry: Entry | None) -> bool:
        return entry is not None and entry.uuid == pool.uuid_of(xml)

    def builds(self, declared: Declared) -> bool:
        # A logical pool's build would make the volume group anew, over what is there.
        return declared["type"] in (pool.DIRECTORY, pool.NETFS)
