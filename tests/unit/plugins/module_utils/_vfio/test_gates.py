# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cannot work, and what is refused unless it is allowed by name."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import gates, model

GPU, AUDIO, PORT = "0000:01:00.0", "0000:01:00.1", "0000:00:01.0"
FINE = gates.Situation()
FIRMWARE = (pci.Region(0x7F000000, 0x7FFFFFFF, "direct"), pci.Region(0xFEE00000, 0xFEEFFFFF, "msi"))


def member(address: str = GPU, **more: t.Any) -> model.Member:
    return model.Member(address, **{"binds": True, **more})


def snapshot(group: pci.IommuGroup | None = None, **more: t.Any) -> pci.PciSnapshot:
    """Return a port and a GPU with audio in one group; `more` is of the GPU."""
    devices = [
        pci.PciDevice(
            PORT, group="1", header_type=1, class_code="060400", driver=more.pop("port_driver", "pcieport")
        ),
        pci.PciDevice(GPU, **{"group": "1", "header_type": 0, "class_code": "030000", **more}),
        pci.PciDevice(AUDIO, group="1", header_type=0, class_code="040300"),
    ]
    whole = group or pci.IommuGroup("1", (PORT, GPU, AUDIO))
    return pci.PciSnapshot({one.address: one for one in devices}, {"1": whole})


def final(
    tree: pci.PciSnapshot, situation: gates.Situation = FINE, *members: model.Member
) -> list[tuple[str, str]]:
    found = gates.final_obstacles(tree, members or [member()], situation)
    assert all(obstacle.what and obstacle.remedy for obstacle in found)
    return [(obstacle.address, obstacle.kind) for obstacle in found]


def test_nothing_speaks_against_a_device_that_is_fine() -> None:
    assert final(snapshot(), FINE, member(), member(AUDIO), member(PORT, binds=False)) == []
    assert gates.static_uses(snapshot(vendor="10de", device="2330"), [member(), member(AUDIO)]) == {}


def grouped(**more: t.Any) -> pci.PciSnapshot:
    return snapshot(pci.IommuGroup("1", (PORT, GPU, AUDIO), **more))


# What the host is like, and the obstacle that this is to the GPU, in one word of the text.
FINAL: list[tuple[pci.PciSnapshot, gates.Situation, str, str]] = [
    (snapshot(), gates.Situation(iommu_groups=False), model.NO_IOMMU, "no IOMMU"),
    (pci.PciSnapshot({GPU: pci.PciDevice(GPU)}), FINE, model.NO_GROUP, "no IOMMU group"),
    (grouped(name="vfio-noiommu"), FINE, model.NO_ISOLATION, "isolates nothing"),
    (grouped(reserved=FIRMWARE), FINE, model.DIRECT_REGIONS, "0x7f000000-0x7fffffff"),
    (
        grouped(others=("AMDI0020:00",)),
        gates.Situation(foreign_drivers={"AMDI0020:00": "dw-apb-uart"}),
        model.FOREIGN_MEMBER,
        "AMDI0020:00",
    ),
    (snapshot(), gates.Situation(enabled_vfs={GPU: 4}), model.VIRTUAL_FUNCTIONS, "4 virtual functions"),
    (snapshot(sriov=pci.Sriov(16, 2)), FINE, model.VIRTUAL_FUNCTIONS, "2 virtual functions"),
    (snapshot(), gates.Situation(dead=frozenset({GPU})), model.DEAD, "all ones"),
    (pci.PciSnapshot(), FINE, model.DEAD, "not there"),
    (snapshot(), gates.Situation(hung={GPU: "nvidia, since boot"}), model.HUNG, "nvidia, since boot"),
    (snapshot(), gates.Situation(mediated=frozenset({GPU})), model.MEDIATED, "virtual GPU"),
]


@pytest.mark.parametrize(("tree", "situation", "kind", "word"), FINAL)
def test_what_cannot_work_is_final(
    tree: pci.PciSnapshot, situation: gates.Situation, kind: str, word: str
) -> None:
    everything = member(allow=frozenset(model.LIFTABLE) | model.FINAL)
    (obstacle,) = gates.final_obstacles(tree, [everything], situation)
    assert (obstacle.address, obstacle.kind, obstacle.final) == (GPU, kind, True)
    assert word in obstacle.what
    assert gates.standing([everything], [obstacle]) == (obstacle,)


def test_all_that_is_final_but_bridges_is_in_that_table() -> None:
    assert {kind for _tree, _situation, kind, _word in FINAL} == model.FINAL - {model.BRIDGE}


def test_a_region_that_the_kernel_may_move_binds_nobody() -> None:
    regions = (FIRMWARE[0]._replace(kind="direct-relaxable"), FIRMWARE[1])
    assert final(grouped(reserved=regions)) == []


def test_a_member_that_is_no_pci_device_is_harmless_without_a_driver() -> None:
    assert final(grouped(others=("AMDI0020:00",))) == []


def test_a_chosen_bridge_is_an_obstacle_and_one_that_stays_is_not() -> None:
    chosen = member(PORT, binds=False, chosen=True)
    assert final(snapshot(), FINE, chosen) == [(PORT, model.BRIDGE)]
    assert final(snapshot(), FINE, member(PORT, binds=False)) == []


@pytest.mark.parametrize(
    ("driver", "blocks"),
    [(None, False), ("pcieport", False), ("pci-stub", False), ("vfio-pci", False), ("shpchp", True)],
)
def test_the_driver_of_a_bridge_may_keep_the_group_closed(driver: str | None, blocks: bool) -> None:
    found = final(snapshot(port_driver=driver), FINE, member(), member(PORT, binds=False))
    assert found == ([(PORT, model.BRIDGE)] if blocks else [])


def test_a_function_that_stays_is_not_judged() -> None:
    situation = gates.Situation(dead=frozenset({GPU}), interrupt_remapping=False)
    assert final(snapshot(), situation, member(binds=False)) == []
    uses = {GPU: [model.Use(model.OPENED, "Xorg (17) has it open")]}
    assert gates.use_obstacles([member(binds=False)], uses) == ()


# Remapping, unsafe interrupts, words of the obstacle.
INTERRUPTS = [
    (True, False, None),
    (True, True, None),
    (False, False, ("interrupts are not remapped", "allow_unsafe_interrupts")),
    (None, False, ("it cannot be told", "allow_unsafe_interrupts")),
    (False, True, ("interrupts are not remapped",)),
]


@pytest.mark.parametrize(("remapping", "unsafe", "words"), INTERRUPTS)
def test_missing_interrupt_remapping_needs_a_named_consent(
    remapping: bool | None, unsafe: bool, words: tuple[str, ...] | None
) -> None:
    situation = gates.Situation(interrupt_remapping=remapping, unsafe_interrupts=unsafe)
    obstacles = gates.final_obstacles(snapshot(), [member()], situation)
    assert [one.kind for one in obstacles] == ([] if words is None else [model.UNSAFE_INTERRUPTS])
    assert gates.standing([member()], obstacles) == obstacles
    assert gates.standing([member(allow=frozenset({model.UNSAFE_INTERRUPTS}))], obstacles) == ()
    for one in obstacles:
        assert all(word in one.what for word in words or ())
        assert ("allow_unsafe" in one.what) is not unsafe


def test_the_obstacles_of_all_devices_are_found() -> None:
    situation = gates.Situation(dead=frozenset({AUDIO}), hung={GPU: "nvidia"}, interrupt_remapping=False)
    found = final(snapshot(), situation, member(), member(AUDIO))
    assert found == [
        (GPU, model.HUNG),
        (GPU, model.UNSAFE_INTERRUPTS),
        (AUDIO, model.DEAD),
        (AUDIO, model.UNSAFE_INTERRUPTS),
    ]


def test_uses_become_obstacles_that_say_how_to_lift_them() -> None:
    uses = {
        GPU: [
            model.Use(model.OPENED, "Xorg (17) has /dev/dri/card0 open"),
            model.Use(model.OPENED, "Xorg (17) has /dev/dri/card0 open"),
            model.Use(model.DISPLAY, "it is the boot display"),
        ],
        "0000:0a:00.0": [model.Use(model.STORAGE, "not asked for")],
    }
    obstacles = gates.use_obstacles([member(), member(AUDIO)], uses)
    assert [(one.address, one.kind, one.what) for one in obstacles] == [
        (GPU, model.OPENED, "Xorg (17) has /dev/dri/card0 open"),
        (GPU, model.DISPLAY, "it is the boot display"),
    ]
    assert all(f"put {one.kind} into allow" in one.remedy for one in obstacles)


@pytest.mark.parametrize("kind", model.LIFTABLE)
def test_each_refusal_is_lifted_by_its_own_name_and_by_no_other(kind: str) -> None:
    obstacles = gates.use_obstacles([member()], {GPU: [model.Use(kind, "evidence")]})
    assert gates.standing([member(allow=frozenset({kind}))], obstacles) == ()
    others = frozenset(model.LIFTABLE) - {kind}
    assert gates.standing([member(allow=others)], obstacles) == obstacles
    assert gates.standing([], obstacles) == obstacles


def test_a_refusal_is_lifted_for_its_device_only() -> None:
    uses = {address: [model.Use(model.OPENED, "open")] for address in (GPU, AUDIO)}
    members = [member(allow=frozenset({model.OPENED})), member(AUDIO)]
    (left,) = gates.standing(members, gates.use_obstacles(members, uses))
    assert left.address == AUDIO


def test_one_refusal_names_every_obstacle_of_every_device() -> None:
    obstacles = [
        model.Obstacle(GPU, model.DISPLAY, "it is the boot display", "use another display"),
        model.Obstacle(GPU, model.HUNG, "nvidia did not let go", "reboot"),
        model.Obstacle(AUDIO, model.HUNG, "nvidia did not let go", "reboot"),
    ]
    with pytest.raises(Refusal) as caught:
        gates.refuse(obstacles)
    assert caught.value.message == (
        "Nothing was changed, because of 2 obstacles: 0000:01:00.0: it is the boot display (display);"
        " 0000:01:00.0, 0000:01:00.1: nvidia did not let go (hung)."
    )
    assert caught.value.remedy == "use another display; reboot."
    assert caught.value.details["obstacles"][1] == {
        "address": GPU,
        "kind": "hung",
        "what": "nvidia did not let go",
        "remedy": "reboot",
        "final": True,
    }
    gates.refuse([])


@given(
    st.lists(
        st.builds(
            model.Obstacle,
            st.sampled_from([GPU, AUDIO]),
            st.sampled_from([*model.LIFTABLE, *sorted(model.FINAL)]),
            st.text(max_size=5),
            st.just("remedy"),
        )
    ),
    st.frozensets(st.sampled_from([*model.LIFTABLE, *sorted(model.FINAL)])),
)
def test_nothing_stands_but_what_is_final_or_not_allowed(
    obstacles: list[model.Obstacle], allow: frozenset[str]
) -> None:
    members = [member(allow=allow), member(AUDIO)]
    left = gates.standing(members, obstacles)
    for obstacle in obstacles:
        lifted = obstacle.address == GPU and obstacle.kind in allow and obstacle.kind not in model.FINAL
        assert (obstacle in left) is not lifted
