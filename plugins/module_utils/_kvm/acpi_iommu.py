# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What the firmware's tables say of an IOMMU. Pure: bytes in, values out."""

from __future__ import annotations

import dataclasses
import struct
import typing as t

# The tables that announce an IOMMU: Intel's, AMD's, Arm's and the virtio one. An emulated
# machine mixes them freely with CPUs of another maker, so nothing here asks for the CPU.
TABLES = ("DMAR", "IVRS", "IORT", "VIOT")

_HEADER = 36
_DMAR_HEADER, _IORT_HEADER, _IORT_NODE = 48, 48, 16
_DRHD, _RMRR = 0, 1
_SMMU_NODES = (3, 4)  # SMMUv1/v2 and SMMUv3; an IORT without them only routes interrupts


@dataclasses.dataclass(frozen=True)
class Dmar:
    """The flags and structure counts of a DMAR table (Intel VT-d specification, chapter 8)."""

    address_width: int
    interrupt_remapping: bool
    x2apic_opt_out: bool
    dma_opt_in: bool
    units: int
    reserved_regions: int


def parse_dmar(table: bytes | None) -> Dmar | None:
    """Parse a DMAR table; ``None`` when there is none to read or it is damaged."""
    if table is None or len(table) < _DMAR_HEADER or table[:4] != b"DMAR":
        return None
    kinds = list(_structures(table))
    flags = table[_HEADER + 1]
    return Dmar(
        address_width=table[_HEADER] + 1,
        interrupt_remapping=bool(flags & 1),
        x2apic_opt_out=bool(flags & 2),
        dma_opt_in=bool(flags & 4),
        units=kinds.count(_DRHD),
        reserved_regions=kinds.count(_RMRR),
    )


def _structures(table: bytes) -> t.Iterator[int]:
    """Yield the kind of each remapping structure."""
    offset = _DMAR_HEADER
    while offset + 4 <= len(table):
        kind, length = struct.unpack_from("<HH", table, offset)
        if length < 4:
            return
        yield kind
        offset += length


def count_smmus(table: bytes | None) -> int | None:
    """Return how many SMMUs an IORT names; ``None`` when it cannot be read."""
    if table is None or len(table) < _IORT_HEADER or table[:4] != b"IORT":
        return None
    count, offset = struct.unpack_from("<II", table, _HEADER)
    smmus = 0
    for _node in range(min(count, len(table) // _IORT_NODE)):
        if offset + _IORT_NODE > len(table):
            break
        kind, length = struct.unpack_from("<BH", table, offset)
        smmus += kind in _SMMU_NODES
        if not length:
            break
        offset += length
    return smmus
