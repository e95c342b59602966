# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole groups and whole cards, on the captured lab, on known topologies, and on any tree."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
import tarfile
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci, pci_sysfs
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import groups, model, selection

LAB = "lab-q35-intel"
FIXTURES = pathlib.Path(__file__).resolve().parents[3] / "fixtures" / "hosts"
GPU, AUDIO, USB = "0000:01:00.0", "0000:01:00.1", "0000:01:00.2"


def tree(*devices: pci.PciDevice, others: t.Mapping[str, tuple[str, ...]] | None = None) -> pci.PciSnapshot:
    """Return a snapshot with the groups that its devices are in."""
    members: dict[str, list[str]] = {}
    for one in devices:
        if one.group is not None:
            members.setdefault(one.group, []).append(one.address)
    found = {
        number: pci.IommuGroup(number, tuple(sorted(names)), (others or {}).get(number, ()))
        for number, names in members.items()
    }
    return pci.PciSnapshot({one.address: one for one in devices}, found)


def device(address: str, class_code: str, group: str | None, **more: t.Any) -> pci.PciDevice:
    values = {"root": "pci0000:00", "header_type": 0, "vendor": "10de", "device": "2330", **more}
    return pci.PciDevice(f"0000:{address}", class_code=class_code, group=group, **values)


def port(address: str, group: str, **more: t.Any) -> pci.PciDevice:
    return device(address, "060400", group, **{"header_type": 1, "driver": "pcieport", **more})


def want(address: str, **more: t.Any) -> model.Member:
    values = {"chosen": True, "driver": model.AUTO, **more}
    return model.Member(f"0000:{address}", binds=True, **values)


def bound(members: t.Sequence[model.Member]) -> list[str]:
    return [member.address.replace("0000:", "", 1) for member in members if member.binds]


def kept(members: t.Sequence[model.Member]) -> dict[str, str]:
    return {m.address.replace("0000:", "", 1): m.why for m in members if not m.binds}


@pytest.fixture(scope="module", name="lab")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> pci.PciSnapshot:
    """Read the lab's virtual host as it was captured (fixtures/hosts/README.md)."""
    folder = tmp_path_factory.mktemp(LAB)
    with tarfile.open(FIXTURES / f"{LAB}.tar.gz") as tar:
        if hasattr(tarfile, "tar_filter"):
            tar.extraction_filter = tarfile.tar_filter
        tar.extractall(folder)
    return pci_sysfs.read_pci(Host(root=str(folder / LAB)))


# The lab's groups: what is chosen, what is bound, in this order, and what stays.
LAB_GROUPS: list[tuple[str, list[str], list[str]]] = [
    ("00:06.0", ["00:06.0", "00:06.1"], []),
    ("02:00.0", ["02:00.0"], ["00:10.1"]),
    ("01:00.0", ["01:00.1", "01:00.2", "01:00.0"], []),
    ("01:00.2", ["01:00.1", "01:00.2", "01:00.0"], []),
    ("09:02.0", ["09:01.0", "09:02.0"], ["08:00.0"]),
    ("06:00.0", ["06:00.0"], ["05:00.0"]),
    ("07:00.0", ["07:00.0"], ["05:01.0"]),
    ("03:00.0", ["03:00.0"], []),
    ("0a:00.0", ["0a:00.0"], []),
    ("00:04.0", ["00:04.0"], []),
]


@pytest.mark.parametrize(("address", "going", "staying"), LAB_GROUPS)
def test_the_groups_of_the_lab(
    address: str, going: list[str], staying: list[str], lab: pci.PciSnapshot
) -> None:
    members = groups.expand(lab, [want(address)])
    assert bound(members) == going
    assert list(kept(members)) == staying
    assert [member.address for member in members if member.chosen] == [f"0000:{address}"]


def test_the_chipset_goes_as_a_whole_because_its_drivers_would_block(lab: pci.PciSnapshot) -> None:
    members = groups.expand(lab, [want("00:1f.2")])
    assert {member.address for member in members} == {f"0000:00:1f.{number}" for number in (0, 2, 3)}
    assert {m.address for m in members if not m.binds} == {
        m.address for m in members if m.address.endswith("f.0") and lab.devices[m.address].driver is None
    }


def test_of_two_identical_adapters_exactly_the_selected_one_goes(lab: pci.PciSnapshot) -> None:
    """truenas#11397, gpu-operator#1995 and #944, nasty#603: the card of the host went with its twin."""
    twins = [one.address for one in lab.devices.values() if one.ids == "1234:1111"]
    assert len(twins) > 1
    for address in twins:
        (chosen,) = selection.select(lab, [model.Selector(address=address)], (), {}, {})
        assert not {m.address for m in groups.expand(lab, [chosen])} & (set(twins) - {address})


def test_companions_say_what_they_share_and_with_whom(lab: pci.PciSnapshot) -> None:
    """incus#3422, GPU-Passthrough-Manager#21, kubevirt#4950, harvester#10499: forgotten, or unexplained."""
    members = {m.address: m for m in groups.expand(lab, [want("01:00.0")])}
    number = lab.devices[GPU].group
    assert members[GPU].why == ""
    assert members[AUDIO].why == f"shares IOMMU group {number} with {GPU}"
    (why,) = kept(groups.expand(lab, [want("02:00.0")])).values()
    assert why == (
        f"shares IOMMU group {lab.devices['0000:02:00.0'].group} with 0000:02:00.0;"
        " stays: a bridge, told by its header, does not hinder VFIO"
    )


def test_the_companions_of_a_gpu_go_with_it_as_nvidias_dra_driver_forgot() -> None:
    """kubernetes-sigs/dra-driver-nvidia-gpu#1191: Turing has audio, USB and a USB-C controller in its group."""
    turing = tree(
        port("00:01.0", "1"),
        device("01:00.0", "030000", "1", driver="nvidia"),
        device("01:00.1", "040300", "1", driver="snd_hda_intel"),
        device("01:00.2", "0c0330", "1", driver="xhci_hcd"),
        device("01:00.3", "0c8000", "1", driver="nvidia-gpu"),
    )
    members = groups.expand(turing, [want("01:00.0")])
    assert bound(members) == ["01:00.1", "01:00.2", "01:00.3", "01:00.0"]
    assert list(kept(members)) == ["00:01.0"]


def test_nobody_demands_vfio_on_pcieport() -> None:
    """VoltCyclone/PCILeechFWGenerator#77 broke on a port that was not bound to vfio-pci."""
    members = groups.expand(tree(port("00:01.0", "1"), device("01:00.0", "020000", "1")), [want("01:00.0")])
    assert [(m.address, m.binds) for m in members] == [("0000:00:01.0", False), ("0000:01:00.0", True)]


def test_an_nvswitch_is_an_endpoint_in_spite_of_its_class() -> None:
    """bigstack-oss/cubecos#259: four NVSwitches, class 0680 and header type 0, in one group."""
    switches = [device(f"0{n}:00.0", "068000", "7", driver="nvidia-nvswitch") for n in range(1, 5)]
    members = groups.expand(tree(*switches), [want("02:00.0")])
    assert bound(members) == ["01:00.0", "02:00.0", "03:00.0", "04:00.0"]


@pytest.mark.parametrize("header", [1, 2])
def test_a_chosen_bridge_stays(header: int) -> None:
    hub = device("05:00.0", "ff0000", "1", header_type=header)
    (member,) = groups.expand(tree(hub), [want("05:00.0")])
    assert (member.chosen, member.binds) == (True, False)


@pytest.mark.parametrize(
    ("code", "driver", "stays"),
    [
        ("060000", None, True),
        ("060100", None, True),
        ("060100", "lpc_ich", False),
        ("060000", "agpgart-amd64", False),
        ("0c0500", None, False),
        ("068000", None, False),
    ],
)
def test_a_host_or_isa_bridge_may_stay_without_a_driver(code: str, driver: str | None, stays: bool) -> None:
    group = tree(device("00:1f.0", code, "9", driver=driver), device("00:1f.2", "010601", "9", driver="ahci"))
    members = groups.expand(group, [want("00:1f.2")])
    assert ("00:1f.0" in kept(members)) is stays
    # One that was chosen is not left behind silently: it is an obstacle.
    assert "00:1f.0" in bound(groups.expand(group, [want("00:1f.0")]))


SPLIT = tree(
    device("00:08.1", "060400", "3", header_type=1),
    device("0a:00.0", "030000", "10", driver="amdgpu"),
    device("0a:00.1", "040300", "11", driver="snd_hda_intel"),
    device("0a:00.2", "108000", "12", driver="ccp"),
    device("0b:00.0", "010802", "13", driver="nvme"),
)


def test_all_functions_of_a_card_go_even_from_groups_of_their_own() -> None:
    """A hot reset wants to own all functions of the bus (vfio_pci_dev_set_resettable())."""
    members = groups.expand(SPLIT, [want("0a:00.0")])
    assert bound(members) == ["0a:00.1", "0a:00.2", "0a:00.0"]
    assert members[0].why == "is on one card with 0000:0a:00.0, and takes part in its reset"


def test_the_group_of_a_function_that_goes_for_the_card_goes_as_well() -> None:
    chain = tree(
        device("0a:00.0", "030000", "10"),
        device("0a:00.1", "040300", "11"),
        device("0b:00.0", "020000", "11"),
    )
    assert bound(groups.expand(chain, [want("0a:00.0")])) == ["0a:00.1", "0a:00.0", "0b:00.0"]


def test_a_function_of_the_card_can_be_kept_by_name() -> None:
    members = groups.expand(SPLIT, [want("0a:00.0")], excluded=["0000:0a:00.2", "0000:0b:00.0"])
    assert bound(members) == ["0a:00.1", "0a:00.0"]
    assert "is excluded and stays: the bus cannot be reset" in kept(members)["0a:00.2"]
    assert groups.expand(SPLIT, members, excluded=["0000:0a:00.2"]) == members


def test_a_member_of_the_group_cannot_be_kept() -> None:
    group = tree(port("00:01.0", "1"), device("01:00.0", "030000", "1"), device("01:00.1", "040300", "1"))
    with pytest.raises(Contradiction) as caught:
        groups.expand(group, [want("01:00.0")], excluded=["0000:01:00.1"])
    assert caught.value.message == (
        "0000:01:00.1 is excluded, but shares IOMMU group 1 with 0000:01:00.0:"
        " no guest gets the one without the other."
    )
    assert bound(groups.expand(group, [want("01:00.0")], excluded=["0000:00:01.0"])) == ["01:00.1", "01:00.0"]
    # Who is handed over as a member goes: exclusions are about companions.
    both = [want("01:00.0"), want("01:00.1")]
    assert bound(groups.expand(group, both, excluded=["0000:01:00.1"])) == ["01:00.1", "01:00.0"]


def test_a_function_kept_for_the_card_cannot_be_kept_for_a_group() -> None:
    chain = tree(
        device("0a:00.0", "030000", "10"),
        device("0a:00.1", "040300", "11"),
        device("0b:00.0", "020000", "11"),
    )
    with pytest.raises(Contradiction):
        groups.expand(chain, [want("0a:00.0"), want("0b:00.0")], excluded=["0000:0a:00.1"])


@pytest.mark.parametrize(("root", "alone"), [("pci0000:00", True), ("pci0000:80", False), ("", False)])
def test_functions_on_a_root_bus_are_reset_one_by_one(root: str, alone: bool) -> None:
    """vfio_pci_core_register_device(): a device on a root bus has a set for resets of its own."""
    engines = tree(device("00:04.0", "088000", "20", root=root), device("00:04.1", "088000", "21", root=root))
    assert (bound(groups.expand(engines, [want("00:04.0")])) == ["00:04.0"]) is alone


def test_a_virtual_function_draws_in_neither_its_siblings_nor_the_physical_one() -> None:
    physfn = "0000:03:00.0"
    nvme = tree(
        device("03:00.0", "010802", "30", driver="nvme"),
        *(device(f"03:00.{n}", "010802", f"3{n}", physfn=physfn) for n in (1, 2)),
    )
    assert bound(groups.expand(nvme, [want("03:00.1")])) == ["03:00.1"]
    assert bound(groups.expand(nvme, [want("03:00.0")])) == ["03:00.0"]


def test_companions_inherit_from_all_that_draw_them_in() -> None:
    shared = tree(*(device(f"0{n}:00.0", "020000", "1") for n in (1, 2, 3)))
    members = groups.expand(
        shared,
        [
            want("02:00.0", allow=frozenset({"network"})),
            want("03:00.0", allow=frozenset({"opened"}), driver="vfio-pci"),
        ],
    )
    assert [(m.allow, m.driver) for m in members] == [
        ({"network", "opened"}, "vfio-pci"),
        ({"network"}, "auto"),
        ({"opened"}, "vfio-pci"),
    ]


@pytest.mark.parametrize(
    ("driver", "ids", "inherited"),
    [
        ("vfio-pci", "1179", "vfio-pci"),
        ("pci-stub", "1179", "pci-stub"),
        ("auto", "1179", "auto"),
        ("nvgrace_gpu_vfio_pci", "2330", "nvgrace_gpu_vfio_pci"),
        ("nvgrace_gpu_vfio_pci", "1179", "auto"),
    ],
)
def test_a_companion_of_another_kind_does_not_get_a_variant_driver(
    driver: str, ids: str, inherited: str
) -> None:
    card = tree(device("01:00.0", "030200", "1"), device("01:00.1", "040300", "1", device=ids))
    companion, _gpu = groups.expand(card, [want("01:00.0", driver=driver)])
    assert companion.driver == inherited


def test_what_stays_inherits_nothing() -> None:
    group = tree(port("00:01.0", "1"), device("01:00.0", "030000", "1"))
    bridge, _gpu = groups.expand(group, [want("01:00.0", allow=frozenset({"display"}), driver="vfio-pci")])
    assert (bridge.allow, bridge.driver) == (frozenset(), "auto")


def test_a_member_of_the_group_that_went_away_is_not_forgotten() -> None:
    vanished = pci.PciSnapshot(
        {"0000:01:00.0": device("01:00.0", "030000", "1")},
        {"1": pci.IommuGroup("1", ("0000:01:00.0", "0000:01:00.1"))},
    )
    assert bound(groups.expand(vanished, [want("01:00.0")])) == ["01:00.1", "01:00.0"]
    assert bound(groups.expand(pci.PciSnapshot(), [want("01:00.0")])) == ["01:00.0"]


def test_without_an_iommu_there_are_cards_only() -> None:
    card = [device(f"01:00.{n}", "030000", None) for n in (0, 1)]
    bare = pci.PciSnapshot({one.address: one for one in (*card, device("02:00.0", "030000", None))})
    assert bound(groups.expand(bare, [want("01:00.0")])) == ["01:00.0", "01:00.1"]


def test_the_order_of_binding_needs_no_expansion(lab: pci.PciSnapshot) -> None:
    members = [want("01:00.0"), want("0a:00.0"), want("00:04.0"), want("01:00.2")]
    assert bound(groups.in_order(lab, members)) == ["00:04.0", "01:00.2", "01:00.0", "0a:00.0"]


def test_cards_come_in_the_order_of_their_numbers() -> None:
    cards = tree(
        *(
            dataclasses.replace(device("01:00.0", "030000", None), address=a)
            for a in ("10000:01:00.0", "0000:0a:00.0", "2000:01:00.0", "0000:02:00.0")
        )
    )
    members = groups.expand(cards, [model.Member(a, binds=True, chosen=True) for a in cards.devices])
    assert [m.address for m in members] == [
        "0000:02:00.0",
        "0000:0a:00.0",
        "2000:01:00.0",
        "10000:01:00.0",
    ]


ADDRESSES = [f"0{bus}:0{slot}.{function}" for bus in range(3) for slot in range(2) for function in range(3)]


@st.composite
def trees_and_wishes(draw: st.DrawFn) -> tuple[pci.PciSnapshot, list[model.Member]]:
    """Draw any tree, and a choice out of it."""
    devices = [
        device(
            address,
            draw(st.sampled_from(["030000", "040300", "060000", "060100", "060400", "068000", "020000"])),
            draw(st.sampled_from([None, "1", "2", "3", "4"])),
            header_type=draw(st.sampled_from([0, 0, 0, 1, 2, None])),
            driver=draw(st.sampled_from([None, "vfio-pci", "nvidia", "pcieport"])),
            physfn=draw(st.sampled_from([None, None, "0000:02:01.0"])),
        )
        for address in draw(st.sets(st.sampled_from(ADDRESSES), min_size=1))
    ]
    chosen = draw(st.sets(st.sampled_from([one.address for one in devices])))
    return tree(*devices), [model.Member(address, binds=True, chosen=True) for address in sorted(chosen)]


def may_stay(snapshot: pci.PciSnapshot, one: pci.PciDevice) -> bool:
    system = (one.class_code or "")[:4] in ("0600", "0601") and one.driver is None
    return snapshot.is_bridge(one) or system


def reset_with(snapshot: pci.PciSnapshot, one: pci.PciDevice) -> set[str]:
    """Return the functions that a reset of the bus wants to own, straight from the rule."""
    if one.physfn or one.address.startswith("0000:00:"):
        return set()
    return {
        other.address
        for other in snapshot.devices.values()
        if other.card == one.card and other.physfn is None and not snapshot.is_bridge(other)
    }


@given(trees_and_wishes())
def test_an_expansion_is_closed_over_groups_and_cards(
    drawn: tuple[pci.PciSnapshot, list[model.Member]],
) -> None:
    snapshot, chosen = drawn
    members = {member.address: member for member in groups.expand(snapshot, chosen)}
    assert set(members) >= {member.address for member in chosen}
    for member in members.values():
        one = snapshot.devices[member.address]
        if member.binds:
            group = snapshot.group_of(one)
            assert set(members) >= set(group.devices if group else ())
            assert set(members) >= reset_with(snapshot, one)
        else:
            assert may_stay(snapshot, one)
            assert member.why


@given(trees_and_wishes())
def test_an_expansion_never_binds_a_bridge(drawn: tuple[pci.PciSnapshot, list[model.Member]]) -> None:
    snapshot, chosen = drawn
    for member in groups.expand(snapshot, chosen):
        assert not (member.binds and snapshot.devices[member.address].header_type in (1, 2))


@given(trees_and_wishes())
def test_an_expansion_has_nothing_to_add_to_itself(
    drawn: tuple[pci.PciSnapshot, list[model.Member]],
) -> None:
    snapshot, chosen = drawn
    members = groups.expand(snapshot, chosen)
    assert groups.expand(snapshot, members) == members


@given(trees_and_wishes(), st.randoms())
def test_an_expansion_does_not_depend_on_the_order_of_the_wishes(
    drawn: tuple[pci.PciSnapshot, list[model.Member]], random: t.Any
) -> None:
    snapshot, chosen = drawn
    shuffled = list(chosen)
    random.shuffle(shuffled)
    assert groups.expand(snapshot, shuffled) == groups.expand(snapshot, chosen)


@given(trees_and_wishes())
def test_an_expansion_depends_on_places_and_never_on_ids(
    drawn: tuple[pci.PciSnapshot, list[model.Member]],
) -> None:
    snapshot, chosen = drawn
    alike = {
        a: dataclasses.replace(d, vendor="1", device=str(n))
        for n, (a, d) in enumerate(snapshot.devices.items())
    }
    members = groups.expand(dataclasses.replace(snapshot, devices=alike), chosen)
    assert members == groups.expand(snapshot, chosen)


@given(trees_and_wishes())
def test_each_wish_for_itself_makes_the_same_whole(
    drawn: tuple[pci.PciSnapshot, list[model.Member]],
) -> None:
    """Nothing comes along that no wish draws in."""
    snapshot, chosen = drawn
    single = {m.address for one in chosen for m in groups.expand(snapshot, [one])}
    assert {m.address for m in groups.expand(snapshot, chosen)} == single


# The form of the lines is that of the kernel's commit cc6711b0bf36 (drivers/vfio, PCI_DRIVER_OVERRIDE_DEVICE_VFIO).
ALIASES = """\
# Aliases extracted from modules themselves.
alias pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_core
alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci
alias vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_vfio_pci
alias vfio_pci:v000010DEd00002342sv*sd*bc*sc*i* nvgrace_gpu_vfio_pci
"""
# Form: drivers/pci/pci-sysfs.c modalias_show().
MODALIASES = [
    ("pci:v000015B3d0000101Esv000015B3sd00000001bc02sc00i00", "mlx5_vfio_pci"),
    ("pci:v000010DEd00002342sv000010DEsd000016EBbc03sc02i00", "nvgrace_gpu_vfio_pci"),
    ("pci:v000010DEd00002330sv000010DEsd000016C1bc03sc02i00", "vfio-pci"),
    ("", "vfio-pci"),
    (None, "vfio-pci"),
]


@pytest.mark.parametrize(("modalias", "driver"), MODALIASES)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_best_driver_is_the_one_with_the_fewest_wildcards(
    modalias: str | None, driver: str, reverse: bool
) -> None:
    lines = sorted(ALIASES.splitlines(), reverse=reverse)
    assert groups.resolve_driver(modalias, "\n".join(lines)) == driver


@pytest.mark.parametrize("aliases", ["", "alias pci:v*d*sv*sd*bc*sc*i* anything\n"])
def test_without_a_better_one_the_driver_is_the_generic_one(aliases: str) -> None:
    """A kernel before 5.16, or one with VFIO built in, has no such aliases."""
    assert groups.resolve_driver("pci:v000010DEd00002330sv0sd0bc03sc02i00", aliases) == "vfio-pci"


def big(group_of: t.Callable[[int, int], str]) -> pci.PciSnapshot:
    """Return 128 cards of four functions, with groups as told."""
    return tree(
        *(
            device(f"{bus:02x}:00.{function}", "030200", group_of(bus, function))
            for bus in range(1, 129)
            for function in range(4)
        )
    )


@pytest.mark.parametrize(
    "group_of",
    [lambda bus, _function: str(bus), lambda bus, function: f"{bus}{function}", lambda _bus, _function: "1"],
    ids=["a group a card", "a group a function", "one group of all"],
)
def test_512_devices_are_selected_and_expanded_at_once(group_of: t.Callable[[int, int], str]) -> None:
    snapshot = big(group_of)
    wish = [model.Selector(address=address) for address in snapshot.devices][::2]
    best = min(_seconds(snapshot, wish) for _attempt in range(5))
    # Whoever traces each line, such as coverage, measures himself.
    assert best < (0.02 if sys.gettrace() is None else 0.5)


def _seconds(snapshot: pci.PciSnapshot, wish: t.Sequence[model.Selector]) -> float:
    start = time.process_time()
    members = groups.expand(snapshot, selection.select(snapshot, wish, (), {}, {}))
    assert len(members) == 512
    return time.process_time() - start
