# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What the kernel and earlier runs tell of a device: its driver, its node, and whether it hangs."""

from __future__ import annotations

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

DEVICES = "/sys/bus/pci/devices"
DRIVERS = "/sys/bus/pci/drivers"
# On a file system in memory: the mark and what it tells about end together.
MARKS = "/run/hearth/vfio-hung"

_UNSET = "(null)"


def driver_of(host: Host, address: str) -> str:
    """Return the driver that has a device, empty for none."""
    return host.link(f"{DEVICES}/{address}/driver") or ""


def override_of(host: Host, address: str) -> str:
    """Return the driver that alone may have a device, empty for any.

    Not to be called for a device that hangs: reading this takes the lock of the device.
    """
    text = host.text(f"{DEVICES}/{address}/driver_override") or ""
    return "" if text == _UNSET else text


def has_driver(host: Host, driver: str) -> bool:
    """Tell whether a driver of the PCI bus is there, loaded or built in."""
    return host.exists(f"{DRIVERS}/{driver}")


def cdev_of(host: Host, folder: str) -> str:
    """Return the device node of its own that VFIO gives a bound device where the kernel has IOMMUFD."""
    names = host.listdir(f"{folder}/vfio-dev")
    return f"/dev/vfio/devices/{names[0]}" if names else ""


def hung_marks(host: Host) -> dict[str, str]:
    """Return what hangs since this boot: by address, what was done to it and since when."""
    return {name: host.text(f"{MARKS}/{name}") or "" for name in host.listdir(MARKS) if name[0] != "."}
