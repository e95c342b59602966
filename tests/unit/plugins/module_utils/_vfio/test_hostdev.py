# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.hostdev import render_hostdev


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("0000:3b:00.0", ("0x0000", "0x3b", "0x00", "0x0")),
        ("10000:e1:1f.7", ("0x10000", "0xe1", "0x1f", "0x7")),
    ],
)
def test_a_guest_gets_exactly_this_function_and_libvirt_does_not_rebind_it(
    address: str, parts: tuple[str, ...]
) -> None:
    element = ElementTree.fromstring(render_hostdev(address))
    assert element.attrib == {"mode": "subsystem", "type": "pci", "managed": "no"}
    source = element.find("source/address")
    assert source is not None
    assert tuple(source.attrib[name] for name in ("domain", "bus", "slot", "function")) == parts


def test_what_is_no_address_gives_nothing() -> None:
    assert render_hostdev("0000:3b:00.0'/>") == ""
