# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold a device that is bound to VFIO, as a guest does: its driver then does not let go. hold-device.py ADDRESS."""

from __future__ import annotations

import fcntl
import os
import sys
import time

# linux/vfio.h
VFIO_SET_IOMMU = 0x3B66
VFIO_GROUP_SET_CONTAINER = 0x3B68
VFIO_GROUP_GET_DEVICE_FD = 0x3B6A
VFIO_TYPE1_IOMMU = 1


def hold(address: str) -> list[int]:
    """Open the container, the group and the device, in the order that the kernel wants."""
    group = os.path.basename(os.readlink(f"/sys/bus/pci/devices/{address}/iommu_group"))
    container = os.open("/dev/vfio/vfio", os.O_RDWR)
    member = os.open(f"/dev/vfio/{group}", os.O_RDWR)
    fcntl.ioctl(member, VFIO_GROUP_SET_CONTAINER, container.to_bytes(4, sys.byteorder))
    fcntl.ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU)
    device = fcntl.ioctl(member, VFIO_GROUP_GET_DEVICE_FD, bytearray(address.encode() + b"\0"))
    return [container, member, device]


if __name__ == "__main__":
    held = hold(sys.argv[1])
    print("held", held, flush=True)
    time.sleep(100000)
