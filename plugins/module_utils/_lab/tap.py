# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Tap devices inside a network namespace, for an emulator that runs outside it.

The emulator keeps its user-mode network in the machine's namespace; its second card ends in the
lab's own namespace. A tap is opened in there and its file descriptor handed on.
See the kernel's networking/tuntap.rst.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000


def open_in(namespace: str, name: str) -> int:
    """Open the existing or a new tap ``name`` in the namespace at path ``namespace``.

    :returns: an inheritable file descriptor; the tap lives as long as it is open.
    """
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    away = os.open(namespace, os.O_RDONLY)
    try:
        _enter(away)
        descriptor = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    finally:
        _enter(home)
        os.close(away)
        os.close(home)
    os.set_inheritable(descriptor, True)
    return descriptor


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
