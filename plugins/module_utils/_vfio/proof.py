# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The proof without a guest: the kernel itself says that a group can be given away."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import os
import struct

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import VerifyError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.device import cdev_of
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import PORT_DRIVERS

# include/uapi/linux/vfio.h: struct vfio_group_status {argsz, flags}, and what the kernel puts into its flags.
_GET_STATUS = 0x3B67
_STATUS = struct.Struct("II")
_VIABLE = 1
VIABLE, HELD, NOT_VIABLE, MISSING = "viable", "held", "not viable", "missing"


def group_status(path: str) -> str:
    """Ask the kernel whether the group at ``path`` can be given away. A group that somebody holds can.

    :raises OSError: it does not answer.
    """
    try:
        group = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOENT):
            raise
        return HELD if error.errno == errno.EBUSY else MISSING
    try:
        answer = fcntl.ioctl(group, _GET_STATUS, _STATUS.pack(_STATUS.size, 0))
    finally:
        os.close(group)
    return VIABLE if _STATUS.unpack(answer)[1] & _VIABLE else NOT_VIABLE


@dataclasses.dataclass(frozen=True)
class ProveGroup(Action):
    """Open a group and ask. Changes nothing; it is an action so that what was done is taken back when it fails."""

    group: str
    members: tuple[str, ...]

    def describe(self) -> str:
        return f"see that IOMMU group {self.group} can be given to a guest"

    def perform(self, host: Host) -> None:
        path = f"/dev/vfio/{self.group}"
        status = group_status(host.path(path))
        if status in (VIABLE, HELD) or (status == MISSING and self._has_cdevs(host)):
            return
        drivers = [
            f"{name} ({host.link(f'/sys/kernel/iommu_groups/{self.group}/devices/{name}/driver') or 'no driver'})"
            for name in self.members
        ]
        raise VerifyError(
            f"IOMMU group {self.group} cannot be given to a guest: {path} is {status}. Its members are"
            f" {', '.join(drivers)}.",
            remedy="bind every member to a driver of VFIO's, or to none; look at the kernel's log",
        )

    def _has_cdevs(self, host: Host) -> bool:
        """Tell whether each bound member has a node of its own, and nobody else has any.

        A kernel may have IOMMUFD only (CONFIG_VFIO_GROUP=n). It has no nodes for groups, and that VFIO made the other
        ones is the proof.
        """
        folder = f"/sys/kernel/iommu_groups/{self.group}/devices"
        drivers = {name: host.link(f"{folder}/{name}/driver") or "" for name in self.members}
        bound = [name for name, driver in drivers.items() if "vfio" in driver]
        others = {driver for driver in drivers.values() if "vfio" not in driver} - {"", *PORT_DRIVERS}
        nodes = [cdev_of(host, f"{folder}/{name}") for name in bound]
        return bool(bound) and not others and all(node and host.exists(node) for node in nodes)
