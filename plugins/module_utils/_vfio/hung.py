# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Devices that a driver does not let go: how they are marked until the next boot, and who must stay away."""

from __future__ import annotations

import time

from ansible_collections.hearth.gpu_host.plugins.module_utils import _textfile
from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Untouchable
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._sysfs import WriteBlocked
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.device import DEVICES, MARKS

_GROUPS = "/sys/kernel/iommu_groups"


def mark_hung(host: Host, address: str, what: str, blocked: WriteBlocked) -> Untouchable:
    """Mark a device for every run until the next boot; return the error that says so."""
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(host.now()))
    mark = f"{what}: blocked since {since}, in process {blocked.pid}"
    try:
        _textfile.replace(host, f"{MARKS}/{address}", f"{mark}\n", 0o644)
        marked = "The host is marked, and nothing more is done to this device and its group until a reboot."
    except OSError as error:
        marked = f"The mark for later runs could not be written ({error}): touch this device no more."
    return Untouchable(
        f"Cannot {what}: the driver did not let go within {blocked.deadline_s:g} s. {marked}"
        " Do not reset it and do not rescan the bus: that would hang, too.",
        "reboot the host; before the next try, stop what uses the device, or give it to VFIO at boot"
        " (rebind: boot)",
        _neighbours(host, address),
        hung={
            "address": address,
            "pid": blocked.pid,
            "wchan": host.text(f"/proc/{blocked.pid}/wchan") or "",
            "mark": f"{MARKS}/{address}",
        },
        reboot_required=True,
    )


def _neighbours(host: Host, address: str) -> set[str]:
    """Return the device, its group, and the functions of its card: all that a stuck one may hold up."""
    group = host.link(f"{DEVICES}/{address}/iommu_group")
    card = address.rpartition(".")[0]
    functions = {name for name in host.listdir(DEVICES) if name.rpartition(".")[0] == card}
    return {address, *functions, *(host.listdir(f"{_GROUPS}/{group}/devices") if group else ())}
