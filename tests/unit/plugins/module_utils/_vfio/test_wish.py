# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The grammar of selectors."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model, wish

UUID = "GPU-5fd4f087-86f3-7a43-b711-4771313afc50"

# Option, as written, the field, as understood.
SPELLINGS = [
    ("address", "3b:00.0", "address", "0000:3b:00.0"),
    ("address", "00000000:3B:00.0", "address", "0000:3b:00.0"),
    ("address", "10000:e1:00.0", "address", "10000:e1:00.0"),
    ("parent", "00:10.3", "parent", "0000:00:10.3"),
    ("virtfns_of", "03:00.0", "virtfns_of", "0000:03:00.0"),
    ("vendor_device", "10DE:2330", "vendor_device", "10de:2330"),
    ("vendor_device", "10de:2330:10de:16C1", "vendor_device", "10de:2330:10de:16c1"),
    ("class", "03", "class_code", "03"),
    ("class", "0302", "class_code", "0302"),
    ("class", "01080A", "class_code", "01080a"),
    ("slot", "5-1", "slot", "5-1"),
    ("slot", "GPU_Riser", "slot", "GPU_Riser"),
    ("iommu_group", "15", "iommu_group", "15"),
    ("gpu_uuid", UUID, "gpu_uuid", UUID),
    ("gpu_uuid", UUID.upper(), "gpu_uuid", UUID),
]


@pytest.mark.parametrize(("option", "text", "field", "value"), SPELLINGS)
def test_each_property_has_its_spelling(option: str, text: str, field: str, value: str) -> None:
    (selector,) = wish.parse_selectors([{option: text}])
    assert selector == model.Selector(**{field: value})


def test_options_that_a_module_hands_over_as_none_are_not_set() -> None:
    nothing = dict.fromkeys(
        [
            "vendor_device",
            "class",
            "slot",
            "iommu_group",
            "parent",
            "virtfns_of",
            "gpu_uuid",
            "expect",
            "count",
        ]
    )
    options = {**nothing, "address": "01:00.0", "allow": None, "allow_missing": None, "driver": None}
    assert wish.parse_selectors([options]) == (model.Selector(address="0000:01:00.0"),)
    assert wish.parse_selectors([]) == ()


def test_a_selector_with_everything() -> None:
    options = {
        "class": "0302",
        "expect": "10DE:2330",
        "count": 8,
        "allow_missing": True,
        "allow": ["display", "opened", "display"],
        "driver": "nvgrace_gpu_vfio_pci",
    }
    (selector,) = wish.parse_selectors([options])
    assert selector == model.Selector(
        class_code="0302",
        expect="10de:2330",
        count=8,
        allow_missing=True,
        allow=frozenset({"display", "opened"}),
        driver="nvgrace_gpu_vfio_pci",
    )
    assert str(selector) == "class 0302"


# Options, a part of the message, a part of the remedy.
REFUSED: list[tuple[dict[str, t.Any], str, str]] = [
    ({}, "selects by nothing", "set one of address, vendor_device, class,"),
    ({"address": None, "allow": []}, "selects by nothing", "set one of"),
    ({"address": "01:00.0", "class": "03"}, "selects by address and class", "one selector for each"),
    ({"address": "AMDI0020:00"}, "'AMDI0020:00' is not a PCI address", "0000:3b:00.0"),
    ({"parent": ""}, "'' is not a PCI address", "0000:3b:00.0"),
    ({"vendor_device": "10de"}, "'10de' is no vendor_device", "'10de:2330'"),
    ({"vendor_device": "10de:2330:10de"}, "is no vendor_device", "'10de:2330'"),
    ({"vendor_device": "0x10de:0x2330"}, "is no vendor_device", "'10de:2330'"),
    ({"slot": "a b"}, "'a b' is no slot", "/sys/bus/pci/slots"),
    ({"slot": "../5"}, "is no slot", "/sys/bus/pci/slots"),
    ({"iommu_group": "-1"}, "is no iommu_group", "'15'"),
    ({"gpu_uuid": "0"}, "is no gpu_uuid", "GPU-"),
    ({"gpu_uuid": UUID.replace("GPU", "MIG")}, "is no gpu_uuid", "GPU-"),
    # YAML 1.1 reads 0302 without quotes as an octal number.
    ({"class": 0o302}, "'194' is no class", "in quotes"),
    ({"class": "3"}, "'3' is no class", "in quotes"),
    ({"class": "00030000"}, "is no class", "in quotes"),
    ({"address": "01:00.0", "expect": "10de"}, "'10de' are no ids", "all four"),
    ({"class": "0302", "count": 0}, "expects 0 devices", "count to 1"),
    ({"address": "01:00.0", "allow": ["force"]}, "'force' is nothing to allow", "no name for all"),
    ({"address": "01:00.0", "allow": ["all"]}, "'all' is nothing to allow", "storage, network"),
    ({"address": "01:00.0", "driver": "nvidia"}, "'nvidia' is no driver", "vfio-pci"),
    ({"address": "01:00.0", "driver": "vfio pci"}, "'vfio pci' is no driver", "vfio-pci"),
]


@pytest.mark.parametrize(("options", "message", "remedy"), REFUSED)
def test_what_has_no_grammar_is_refused_by_name(options: dict[str, t.Any], message: str, remedy: str) -> None:
    with pytest.raises(ParseError) as caught:
        wish.parse_selectors([options])
    assert message in caught.value.message
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("name", sorted(model.FINAL))
def test_what_cannot_work_cannot_be_allowed(name: str) -> None:
    with pytest.raises(ParseError) as caught:
        wish.parse_selectors([{"address": "01:00.0", "allow": ["display", name]}])
    assert caught.value.message == f"{name!r} can never be allowed: it cannot work."
    assert not set(caught.value.remedy.split(": ")[1].split(", ")) & model.FINAL


def test_the_faulty_selector_is_told_by_its_number() -> None:
    with pytest.raises(ParseError, match="Selector 2 selects by nothing"):
        wish.parse_selectors([{"address": "01:00.0"}, {}])


@given(st.text(max_size=30))
def test_any_text_is_understood_or_refused(text: str) -> None:
    for kind in wish.KINDS:
        option = {"class_code": "class"}.get(kind, kind)
        try:
            (selector,) = wish.parse_selectors([{option: text}])
        except ParseError:
            continue
        assert getattr(selector, kind)
        assert wish.parse_selectors([{option: getattr(selector, kind)}]) == (selector,)


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("vfio_pci", "vfio-pci"),
        ("vfio-pci", "vfio-pci"),
        ("pci_stub", "pci-stub"),
        ("mlx5-vfio-pci", "mlx5_vfio_pci"),
        ("auto", "auto"),
    ],
)
def test_a_driver_is_named_as_in_sysfs(text: str, driver: str) -> None:
    """Under the name of its module driver_override would keep the device from every driver."""
    (selector,) = wish.parse_selectors([{"address": "01:00.0", "driver": text}])
    assert selector.driver == driver
