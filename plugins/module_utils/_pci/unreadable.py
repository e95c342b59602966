# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Devices of which not everything can be read: who tries waits for ever, or for longer than anybody should.

Some attributes are read under the lock of the device. A driver that is asked to let go, and does not, keeps that lock
until the next boot, whoever asked; one that is long about its start keeps it for a while. The configuration space
cannot be read during a reset.
"""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

PATIENCE_S = 10.0

_DEVICES = "/sys/bus/pci/devices"
# drivers/pci/pci-sysfs.c driver_override_show(), drivers/pci/iov.c sriov_numvfs_show(), drivers/pci/access.c
_WAITING = ("driver_override", "sriov_numvfs", "config")


def unreadable(host: Host, addresses: t.Iterable[str]) -> frozenset[str]:
    """Return those of ``addresses`` that do not answer; reading them would never return."""
    paths = {f"{_DEVICES}/{address}/{name}": address for address in addresses for name in _WAITING}
    return frozenset(paths[path] for path in host.unanswered(tuple(paths), PATIENCE_S))
