# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a device is, as far as that alone speaks against giving it away."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import gates_static, model

ADDRESS = "0000:01:00.0"


def uses(class_code: str | None, ids: str = "8086:1521", **more: t.Any) -> list[tuple[str, str]]:
    vendor, product = ids.split(":")
    device = pci.PciDevice(ADDRESS, class_code=class_code, vendor=vendor, device=product, **more)
    found = gates_static.static_uses(
        pci.PciSnapshot({ADDRESS: device}), [model.Member(ADDRESS, binds=True, chosen=True)]
    )
    return [(use.kind, use.what) for use in found.get(ADDRESS, [])]


# Class, ids (names as in pci.ids), the kind of refusal.
KINDS = [
    ("060000", "8086:29c0", model.CHIPSET),
    ("060100", "8086:2918", model.CHIPSET),
    ("060400", "1b36:000e", model.CHIPSET),
    ("078000", "8086:a13a", model.CHIPSET),
    ("080600", "1022:1481", model.CHIPSET),
    ("0c0500", "8086:2930", model.CHIPSET),
    ("030000", "1a03:2000", model.MANAGEMENT),
    ("030000", "102b:0538", model.MANAGEMENT),
    ("0c0701", "103c:1234", model.MANAGEMENT),
    ("088000", "103c:3307", model.MANAGEMENT),
    ("0b4000", "8086:37c8", model.KNOWN_BAD),
    ("0b4000", "8086:37c9", model.KNOWN_BAD),
    ("088000", "8086:0b25", model.KNOWN_BAD),
    ("120000", "1002:74a1", model.KNOWN_BAD),
    ("120000", "1002:75a3", model.KNOWN_BAD),
]


@pytest.mark.parametrize(("class_code", "ids", "kind"), KINDS)
def test_what_a_device_is_can_be_a_reason(class_code: str, ids: str, kind: str) -> None:
    ((found, what),) = uses(class_code, ids)
    assert found == kind
    assert what


@pytest.mark.parametrize(
    ("class_code", "ids"),
    [
        ("030000", "10de:2330"),
        ("030200", "10de:2330"),
        ("040300", "8086:293e"),
        ("010802", "1b36:0010"),
        ("0c0330", "1033:0194"),
        (None, "1234:1111"),
    ],
)
def test_other_devices_are_free(class_code: str | None, ids: str) -> None:
    assert uses(class_code, ids) == []


def test_an_nvswitch_is_no_part_of_the_chipset() -> None:
    """bigstack-oss/cubecos#259: a filter by the class of bridges left it out."""
    assert uses("068000", "10de:22a3", header_type=0) == []


@pytest.mark.parametrize(("boot_vga", "number"), [(True, 1), (False, 0), (None, 0)])
def test_the_boot_display_is_a_use_as_a_display(boot_vga: bool | None, number: int) -> None:
    found = uses("030000", "10de:2330", boot_vga=boot_vga)
    assert [kind for kind, _what in found] == [model.DISPLAY] * number


def test_a_virtual_function_of_a_card_that_resets_badly_is_fine() -> None:
    """amd/MxGPU-Virtualization#25: only the physical function is lost by a reset."""
    assert uses("120000", "1002:74a1", physfn="0000:01:00.0") == []


def test_a_virtual_function_of_a_display_is_no_management_controller() -> None:
    assert uses("030000", "102b:0538", physfn="0000:01:00.0") == []


def test_who_stays_or_is_gone_is_not_asked() -> None:
    bridge = pci.PciDevice(ADDRESS, class_code="060400")
    members = [model.Member(ADDRESS, binds=False), model.Member("0000:02:00.0", binds=True)]
    assert gates_static.static_uses(pci.PciSnapshot({ADDRESS: bridge}), members) == {}
