# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What libvirt needs to give a device to a guest. Pure."""

from __future__ import annotations

import re

_PARTS = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", re.ASCII)


def render_hostdev(address: str) -> str:
    """Render the element of a domain that gives it the device at ``address``.

    It is not managed: a managed one goes back to its driver when the guest ends, without asking anybody, and a
    driver that hangs then hangs the start of the next guest.
    """
    found = _PARTS.fullmatch(address)
    if found is None:
        return ""
    domain, bus, slot, function = found.groups()
    return (
        "<hostdev mode='subsystem' type='pci' managed='no'>\n"
        "  <source>\n"
        f"    <address domain='0x{domain}' bus='0x{bus}' slot='0x{slot}' function='0x{function}'/>\n"
        "  </source>\n"
        "</hostdev>\n"
    )
