# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What giving devices to VFIO is about, as values: wishes, members of groups, uses, obstacles. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

VFIO_PCI = "vfio-pci"
AUTO = "auto"
PORT_DRIVERS = ("pcieport", "pci-stub")
"""What lets VFIO have the rest of a group, besides none: the ports' own, and those that hold devices for guests."""

# What cannot work, and so is never lifted.
NO_IOMMU, NO_GROUP, NO_ISOLATION = "no_iommu", "no_group", "noiommu_group"
DIRECT_REGIONS, FOREIGN_MEMBER, BRIDGE = "direct_regions", "foreign_member", "bridge"
VIRTUAL_FUNCTIONS, DEAD, HUNG, MEDIATED = "virtual_functions", "dead", "hung", "mediated"
FINAL = frozenset(
    {
        NO_IOMMU,
        NO_GROUP,
        NO_ISOLATION,
        DIRECT_REGIONS,
        FOREIGN_MEMBER,
        BRIDGE,
        VIRTUAL_FUNCTIONS,
        DEAD,
        HUNG,
        MEDIATED,
    }
)

# What would hurt the host, and can be lifted one by one for the devices of a selector.
STORAGE, NETWORK, DISPLAY, OPENED, GUEST = "storage", "network", "display", "opened", "guest"
CHIPSET, MANAGEMENT, IDENTITY = "chipset", "management_controller", "identity"
KNOWN_BAD, UNSAFE_INTERRUPTS = "known_bad", "unsafe_interrupts"
LIFTABLE = (
    STORAGE,
    NETWORK,
    DISPLAY,
    OPENED,
    GUEST,
    CHIPSET,
    MANAGEMENT,
    IDENTITY,
    KNOWN_BAD,
    UNSAFE_INTERRUPTS,
)


# Named tuples where they do: a dataclass takes five times as long to make, and every run makes all of them anew.


class Identity(t.NamedTuple):
    """Who a device is: four ids in lower-case hexadecimal, as in sysfs without ``0x``."""

    vendor: str
    device: str
    subsystem_vendor: str
    subsystem_device: str

    def __str__(self) -> str:
        return f"{self.vendor}:{self.device}:{self.subsystem_vendor}:{self.subsystem_device}"


@dataclasses.dataclass(frozen=True)
class Selector:
    """One wish. Exactly one of the first eight is set; it may match several devices.

    ``expect`` are the first ids of an :class:`Identity` joined by colons, two or all four of them.
    """

    address: str | None = None
    vendor_device: str | None = None
    class_code: str | None = None
    slot: str | None = None
    iommu_group: str | None = None
    parent: str | None = None
    virtfns_of: str | None = None
    gpu_uuid: str | None = None
    expect: str | None = None
    count: int | None = None
    allow_missing: bool = False
    allow: frozenset[str] = frozenset()
    driver: str = AUTO

    def __str__(self) -> str:
        """Name it as its author wrote it, such as ``class 0302``."""
        for field, value in dataclasses.asdict(self).items():
            if value is not None:
                return f"{field.replace('class_code', 'class')} {value}"
        return "an empty selector"


@dataclasses.dataclass(frozen=True)
class Member:
    """A PCI function that a decision is about.

    ``chosen`` tells whether a selector named it; otherwise ``why`` says what it shares with one that was named.
    ``binds`` is false for what stays with the host, such as a bridge, and ``why`` says why it may. ``allow`` are
    the refusals lifted for it, ``driver`` what it is to be bound to (never ``auto``).
    """

    address: str
    binds: bool
    chosen: bool = False
    why: str = ""
    allow: frozenset[str] = frozenset()
    driver: str = VFIO_PCI


class Use(t.NamedTuple):
    """Something that needs a device where it is: ``kind`` is one of :data:`LIFTABLE`, ``what`` the evidence."""

    kind: str
    what: str


Uses = t.Mapping[str, t.Sequence[Use]]
"""The uses of each address."""


@dataclasses.dataclass(frozen=True)
class Obstacle:
    """A reason not to touch a device, with the remedy. Lifted when ``kind`` is in the allowance of the device."""

    address: str
    kind: str
    what: str
    remedy: str

    @property
    def final(self) -> bool:
        """Tell whether it can never be lifted."""
        return self.kind in FINAL


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line of the record: a device that is ours, and what it was before.

    ``origin`` is the driver it had, empty for none; ``origin_override`` its ``driver_override`` then, empty for
    none. ``gpu_uuid`` is what the host driver told before it had to go. ``boot_id`` is empty for a binding that
    every boot makes again, otherwise the boot that it ends with.
    """

    address: str
    identity: Identity
    driver: str
    origin: str
    origin_override: str = ""
    gpu_uuid: str = ""
    boot_id: str = ""


Record = t.Mapping[str, Entry]
"""The record on the host, by address."""
