# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What NVIDIA's driver tells of its GPUs in ``/proc``: which address has which UUID and which device node."""

from __future__ import annotations

import re

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci

_GPUS = "/proc/driver/nvidia/gpus"
# A GPU that was never used has question marks in the place of the digits.
_UUID = re.compile(r"GPU-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


def read_gpu_uuids(host: Host) -> dict[str, str]:
    """Return the address of each GPU whose driver tells a UUID, by that UUID."""
    found = {}
    for name in host.listdir(_GPUS):
        uuid = read_information(host, name).get("GPU UUID", "")
        if pci.is_address(name) and _UUID.fullmatch(uuid):
            found[uuid] = pci.normalise(name)
    return found


def read_information(host: Host, address: str) -> dict[str, str]:
    """Return the fields of one GPU; none when its driver is another."""
    return parse_information(host.text(f"{_GPUS}/{address}/information") or "")


def parse_information(text: str) -> dict[str, str]:
    """Parse lines such as ``Device Minor: 	 0``. Pure."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {field.strip(): value.strip() for field, colon, value in pairs if colon}
