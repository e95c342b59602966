# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From selectors to exact addresses."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
import trees
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model, selection

UUID = "GPU-5fd4f087-86f3-7a43-b711-4771313afc50"
IDENTITY = model.Identity("1234", "1111", "1af4", "1100")
# Two display adapters that nothing but the address tells apart.
TWINS = ("0000:0a:00.0", "0000:0b:00.0")


def device(address: str, ids: str, class_code: str, **more: t.Any) -> pci.PciDevice:
    vendor, product = ids.split(":")
    return pci.PciDevice(
        address,
        vendor=vendor,
        device=product,
        subsystem_vendor="1af4",
        subsystem_device="1100",
        class_code=class_code,
        **more,
    )


def snapshot(*devices: pci.PciDevice) -> pci.PciSnapshot:
    return pci.PciSnapshot({one.address: one for one in devices})


def lab() -> pci.PciSnapshot:
    """Return the lab of `trees`, a virtual function and two identical adapters, as a light reading has it."""
    rows = [
        device(
            f"0000:{a}", ids, code, parents=tuple(f"0000:{p}" for p in up), group=group, header_type=header
        )
        for a, ids, code, up, group, _driver, header in trees.LAB_DEVICES
    ]
    twins = [device(address, "1234:1111", "038000", slot=slot) for address, slot in zip(TWINS, "78")]
    function = device("0000:03:00.1", "1b36:0010", "010802", parents=("0000:00:10.2",), physfn="0000:03:00.0")
    return snapshot(*rows, *twins, function)


LAB = lab()


def choose(*selectors: model.Selector, exclude: t.Sequence[model.Selector] = (), **told: t.Any) -> list[str]:
    members = selection.select(LAB, selectors, exclude, told.get("uuids", {}), told.get("record", {}))
    assert all(member.chosen and member.binds for member in members)
    return [member.address.replace("0000:", "", 1) for member in members]


# What each property finds in the lab. Only an address finds a bridge.
FOUND: list[tuple[dict[str, str], list[str]]] = [
    ({"address": "0000:01:00.0"}, ["01:00.0"]),
    ({"address": "0000:00:10.1"}, ["00:10.1"]),
    ({"vendor_device": "8086:100e"}, ["09:01.0", "09:02.0"]),
    ({"vendor_device": "8086:100e:1af4:1100"}, ["09:01.0", "09:02.0"]),
    ({"vendor_device": "1234:1111"}, ["01:00.0", "0a:00.0", "0b:00.0"]),
    ({"class_code": "03"}, ["01:00.0", "0a:00.0", "0b:00.0"]),
    ({"class_code": "0403"}, ["01:00.1"]),
    ({"class_code": "010802"}, ["03:00.0", "03:00.1"]),
    ({"slot": "8"}, ["0b:00.0"]),
    ({"iommu_group": "10"}, ["01:00.0", "01:00.1", "01:00.2"]),
    ({"iommu_group": "5"}, ["02:00.0"]),
    ({"parent": "0000:00:10.3"}, ["06:00.0", "07:00.0"]),
    ({"parent": "0000:05:00.0"}, ["06:00.0"]),
    ({"virtfns_of": "0000:03:00.0"}, ["03:00.1"]),
]


@pytest.mark.parametrize(("wish", "addresses"), FOUND)
def test_what_each_property_finds(wish: dict[str, str], addresses: list[str]) -> None:
    assert choose(model.Selector(**wish)) == addresses


def test_an_identical_device_is_not_taken_by_a_selector_of_its_twin() -> None:
    """truenas#11397, gpu-operator#1995 and #944, nasty#603: a binding by ids took every card of the kind."""
    for chosen in TWINS:
        members = selection.select(LAB, [model.Selector(address=chosen)], (), {}, {})
        assert [member.address for member in members] == [chosen]
    kept = model.Selector(address=TWINS[0])
    assert choose(model.Selector(slot="7"), model.Selector(slot="8"), exclude=[kept]) == ["0b:00.0"]


@given(st.sets(st.sampled_from(sorted(LAB.devices))), st.sampled_from(["1234:1111", "ffff:ffff"]))
def test_no_address_depends_on_ids(wanted: set[str], ids: str) -> None:
    vendor, product = ids.split(":")
    alike = {a: dataclasses.replace(d, vendor=vendor, device=product) for a, d in LAB.devices.items()}
    selectors = [model.Selector(address=address) for address in sorted(wanted)]
    members = selection.select(dataclasses.replace(LAB, devices=alike), selectors, (), {}, {})
    assert {member.address for member in members} == wanted


@given(
    st.sets(st.sampled_from(sorted(LAB.devices)), min_size=1), st.sets(st.sampled_from(sorted(LAB.devices)))
)
def test_the_result_is_the_union_less_what_is_excluded(wanted: set[str], banned: set[str]) -> None:
    selectors = [model.Selector(address=address) for address in wanted]
    exclude = [model.Selector(address=address) for address in banned]
    members = selection.select(LAB, selectors, exclude, {}, {})
    assert [member.address for member in members] == sorted(wanted - banned)
    assert selection.excluded(LAB, exclude, {}, {}) == banned


def test_exclusions_may_match_nothing() -> None:
    exclude = [model.Selector(slot="99"), model.Selector(vendor_device="8086:100e")]
    assert choose(model.Selector(class_code="02"), exclude=exclude) == ["00:04.0"]
    assert choose(model.Selector(vendor_device="8086:100e"), exclude=exclude) == []


def entry(address: str, identity: model.Identity = IDENTITY, uuid: str = UUID) -> model.Entry:
    return model.Entry(address, identity, "vfio-pci", "nvidia", gpu_uuid=uuid)


# What the driver tells, what the record has, what the UUID finds.
UUIDS: list[tuple[dict[str, str], dict[str, model.Entry], list[str]]] = [
    ({UUID: TWINS[0]}, {}, ["0a:00.0"]),
    ({UUID.lower(): TWINS[0]}, {}, ["0a:00.0"]),
    ({}, {TWINS[1]: entry(TWINS[1])}, ["0b:00.0"]),
    # Somebody moved the card, and the driver has it again.
    ({UUID: TWINS[0]}, {TWINS[1]: entry(TWINS[1])}, ["0a:00.0"]),
    # Another device is now where the recorded one was.
    ({}, {TWINS[1]: entry(TWINS[1], model.Identity("10de", "2330", "10de", "16c1"))}, []),
    ({}, {TWINS[1]: entry(TWINS[1], uuid="")}, []),
    ({}, {"0000:0c:00.0": entry("0000:0c:00.0")}, []),
    ({UUID: "0000:0c:00.0"}, {}, []),
]


@pytest.mark.parametrize(("uuids", "record", "addresses"), UUIDS)
def test_a_uuid_is_told_by_the_driver_or_else_by_the_record(
    uuids: dict[str, str], record: dict[str, model.Entry], addresses: list[str]
) -> None:
    selector = model.Selector(gpu_uuid=UUID, allow_missing=True)
    assert choose(selector, uuids=uuids, record=record) == addresses


# A selector, a part of the message, a part of the remedy.
REFUSED: list[tuple[model.Selector, str, str]] = [
    (model.Selector(address="0000:0c:00.0"), "address 0000:0c:00.0 matches no device", "allow_missing"),
    (model.Selector(class_code="12"), "class 12 matches no device", "quote the class"),
    (model.Selector(slot="99"), "slot 99 matches no device", "/sys/bus/pci/slots"),
    (model.Selector(iommu_group="99"), "iommu_group 99 matches no device", "by its address"),
    (model.Selector(virtfns_of="0000:01:00.0"), "matches no device", "hearth.gpu_host.sriov_vfs"),
    (model.Selector(gpu_uuid=UUID), "matches no device", "by its address"),
    (model.Selector(iommu_group="4"), "matches only bridges (0000:00:10.0)", "bridges stay"),
    (
        model.Selector(class_code="03", count=4),
        "matches 3 devices (0000:01:00.0, 0000:0a:00.0, 0000:0b:00.0) and not 4",
        "a device that died",
    ),
    (model.Selector(class_code="03", count=4, allow_missing=True), "matches 3 devices", "count"),
    (
        model.Selector(address="0000:01:00.0", expect="10de:2330"),
        "0000:01:00.0 (address 0000:01:00.0) is 1234:1111:1af4:1100 and not 10de:2330",
        "allow: [identity]",
    ),
    (
        model.Selector(address="0000:01:00.0", expect="1234:1111:1af4:1101"),
        "and not 1234:1111:1af4:1101",
        "allow: [identity]",
    ),
]


@pytest.mark.parametrize(("selector", "message", "remedy"), REFUSED)
def test_devices_that_are_not_as_described_are_refused(
    selector: model.Selector, message: str, remedy: str
) -> None:
    with pytest.raises(Refusal) as caught:
        choose(selector)
    assert message in caught.value.message
    assert remedy in caught.value.remedy


def test_all_that_is_not_as_described_is_named_at_once() -> None:
    with pytest.raises(Refusal) as caught:
        choose(*(selector for selector, _message, _remedy in REFUSED))
    assert all(message in caught.value.message for _selector, message, _remedy in REFUSED)


@pytest.mark.parametrize("expect", ["1234:1111", "1234:1111:1af4:1100"])
def test_a_device_that_is_as_expected_is_taken(expect: str) -> None:
    assert choose(model.Selector(address="0000:01:00.0", expect=expect)) == ["01:00.0"]


def test_another_device_than_expected_can_be_allowed_and_is_told() -> None:
    selector = model.Selector(
        address="0000:01:00.0", expect="10de:2330", allow=frozenset({model.IDENTITY, model.DISPLAY})
    )
    (member,) = selection.select(LAB, [selector], (), {}, {})
    assert member.why == "is not 10de:2330, which is allowed"


@pytest.mark.parametrize("count", [None, 8])
def test_what_may_be_missing_may_be_missing(count: int | None) -> None:
    assert choose(model.Selector(class_code="12", allow_missing=True, count=count)) == []


def test_the_count_is_of_what_matches_before_exclusions() -> None:
    kept = model.Selector(address=TWINS[0])
    assert choose(model.Selector(class_code="03", count=3), exclude=[kept]) == ["01:00.0", "0b:00.0"]


def test_wishes_for_one_device_are_merged() -> None:
    selectors = [
        model.Selector(class_code="0380", allow=frozenset({"display"})),
        model.Selector(address="0000:01:00.0", allow=frozenset({"opened"}), driver="vfio-pci"),
    ]
    members = {m.address: m for m in selection.select(LAB, selectors, (), {}, {})}
    assert members["0000:01:00.0"].allow == {"display", "opened"}
    assert (members["0000:01:00.0"].driver, members[TWINS[0]].driver) == ("vfio-pci", "auto")
    assert members[TWINS[0]].allow == {"display"}


def test_two_drivers_for_one_device_exclude_each_other() -> None:
    selectors = [
        model.Selector(class_code="02", driver="vfio-pci"),
        model.Selector(address="0000:00:04.0", driver="mlx5_vfio_pci"),
    ]
    with pytest.raises(Contradiction) as caught:
        choose(*selectors)
    assert "mlx5_vfio_pci and vfio-pci (class 02 and address 0000:00:04.0)" in caught.value.message


def test_an_id_that_cannot_be_read_is_no_wildcard() -> None:
    tree = snapshot(pci.PciDevice("0000:01:00.0"))
    for wish in ({"vendor_device": "1234:1111"}, {"class_code": "03"}, {"slot": "1"}):
        assert selection.select(tree, [model.Selector(**wish, allow_missing=True)], (), {}, {}) == ()
    assert str(selection.identity(tree.devices["0000:01:00.0"])) == ":::"
