# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decisions about devices: tables for what must not happen, and properties of any of them."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import (
    decide,
    effects,
    model,
    plan,
    record,
    rules,
    scene,
    task,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.judge import Evidence, judge
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.scene import (
    BIND,
    FORGET,
    RETURN,
    STAY,
    changing,
)

BOOT = "5f0e8a2c-8c1f-4c57-9d0e-0d9a4d9f6a11"
GPU, AUDIO, OTHER = "0000:01:00.0", "0000:01:00.1", "0000:02:00.0"
ADDRESSES = (GPU, AUDIO, OTHER)
IDS = model.Identity("10de", "2330", "10de", "16c1")
DRIVERS = st.sampled_from([None, "nouveau", "nvidia", "vfio-pci"])


def device(address: str, driver: str | None = "nouveau", override: str | None = None) -> pci.PciDevice:
    return pci.PciDevice(
        address,
        root="pci0000:00",
        vendor=IDS.vendor,
        device=IDS.device,
        subsystem_vendor=IDS.subsystem_vendor,
        subsystem_device=IDS.subsystem_device,
        class_code="030200",
        driver=driver,
        driver_override=override,
        group={GPU: "1", AUDIO: "1", OTHER: "2"}[address],
        header_type=0,
    )


def entry(address: str, origin: str = "nouveau", boot_id: str = "", **more: t.Any) -> model.Entry:
    return model.Entry(
        address, more.pop("identity", IDS), more.pop("driver", "vfio-pci"), origin, boot_id=boot_id
    )


def setting(
    devices: t.Iterable[pci.PciDevice], entries: t.Iterable[model.Entry] = (), ruled: bool = True
) -> scene.Scene:
    found = {one.address: one for one in devices}
    numbers = {one.group for one in found.values() if one.group}
    groups = {
        number: pci.IommuGroup(number, tuple(sorted(a for a, one in found.items() if one.group == number)))
        for number in numbers
    }
    known = {one.address: one for one in entries}
    kept = {a: decide.rule_of(one) for a, one in known.items() if ruled and not one.boot_id}
    return scene.Scene(pci.PciSnapshot(found, groups), known, kept, BOOT, {})


def decisions(where: scene.Scene, **options: t.Any) -> dict[str, scene.Decision]:
    wanted = task.Task(**{"selectors": (model.Selector(address=GPU),), **options})
    return {one.address: one for one in decide.decide(wanted, where, decide.members_of(wanted, where))}


scenes = st.builds(
    setting,
    st.tuples(*(st.builds(device, st.just(address), DRIVERS, DRIVERS) for address in ADDRESSES)),
    st.lists(
        st.builds(
            entry,
            st.sampled_from(ADDRESSES),
            st.sampled_from(["", "nouveau", "nvidia", "vfio-pci"]),
            st.sampled_from(["", BOOT]),
        ),
        max_size=3,
    ),
    st.booleans(),
)
tasks = st.builds(
    task.Task,
    selectors=st.sampled_from(
        [
            None,
            (),
            (model.Selector(address=GPU),),
            (model.Selector(address=GPU), model.Selector(address=OTHER)),
        ]
    ),
    absent=st.booleans(),
    persistent=st.booleans(),
    runtime=st.booleans(),
    rebind=st.sampled_from([task.AUTO, task.LIVE, task.BOOT]),
)


@settings(max_examples=600)
@given(scenes, tasks, st.booleans())
def test_done_is_done(where: scene.Scene, wanted: task.Task, exclusive: bool) -> None:
    """What a plan leads to needs no plan any more, but for what waits for a boot."""
    wanted = dataclasses.replace(wanted, exclusive=exclusive and not wanted.absent)
    found = decide.decide(wanted, where, decide.members_of(wanted, where))
    after = plan.wanted_record(where, found)
    text = plan.wanted_rules(wanted, where, found, texts(where), after)
    seats = plan.wanted_seats(found)
    devices = [
        dataclasses.replace(one, driver=seats[a][0] or None, driver_override=seats[a][1] or None)
        if a in seats
        else one
        for a, one in where.snapshot.devices.items()
    ]
    later = dataclasses.replace(
        setting(devices, after.values()), rules={rule.address: rule for rule in rules.parse_rules(text)}
    )
    again = decide.decide(wanted, later, decide.members_of(wanted, later))
    assert plan.wanted_record(later, again) == after
    assert plan.wanted_rules(wanted, later, again, texts(later), after) == text
    assert (
        effects.plan_effects(wanted, later, again, texts(later), plan.Loaded(frozenset({"vfio-pci"})), {})
        == ()
    )


@given(scenes, tasks)
def test_nothing_is_touched_that_is_neither_selected_nor_ours(where: scene.Scene, wanted: task.Task) -> None:
    found = decide.decide(wanted, where, decide.members_of(wanted, where))
    selected = {GPU, AUDIO, OTHER} if wanted.selectors and len(wanted.selectors) == 2 else {GPU, AUDIO}
    may = set(where.record) | (selected if wanted.selectors and not wanted.absent else set())
    assert {one.address for one in found if one.live or one.fresh} <= may


@given(scenes, tasks)
def test_what_a_device_was_is_never_forgotten_while_it_is_ours(where: scene.Scene, wanted: task.Task) -> None:
    found = decide.decide(wanted, where, decide.members_of(wanted, where))
    for one in found:
        if one.verb == BIND and one.entry is not None and one.after is not None:
            assert (one.after.origin, one.after.origin_override) == (
                one.entry.origin,
                one.entry.origin_override,
            )


def texts(where: scene.Scene) -> plan.Texts:
    return plan.Texts(record.render_record(where.record), rules.render_rules(where.rules.values()))


def test_a_whole_group_is_decided_about_and_its_neighbour_is_not() -> None:
    found = decisions(setting(map(device, ADDRESSES)))
    assert {address: one.verb for address, one in found.items()} == {GPU: BIND, AUDIO: BIND}


def test_a_better_driver_takes_no_device_away_from_a_guest() -> None:
    where = setting([device(GPU, "mlx5_vfio_pci"), device(AUDIO, "vfio-pci"), device(OTHER)])
    found = decisions(dataclasses.replace(where, drivers={GPU: "other_vfio_pci"}))
    assert (found[GPU].member.driver, found[GPU].live) == ("mlx5_vfio_pci", False)


def test_another_wish_for_the_driver_moves_a_bound_device() -> None:
    bound = [device(GPU, "vfio-pci", "vfio-pci"), device(AUDIO, "vfio-pci", "vfio-pci")]
    where = setting(bound, [entry(GPU), entry(AUDIO)])
    found = decisions(where, selectors=(model.Selector(address=GPU, driver="pci-stub"),))
    assert found[GPU].live and found[GPU].after is not None
    assert (found[GPU].after.driver, found[GPU].after.origin) == ("pci-stub", "nouveau")


def test_a_listed_device_that_is_gone_for_now_stays_on_record_though_the_list_is_exclusive() -> None:
    where = setting([device(OTHER)], [entry(GPU)])
    listed = (model.Selector(address=GPU, allow_missing=True),)
    assert decisions(where, selectors=listed, exclusive=True)[GPU].verb == STAY
    assert decisions(where, selectors=(), exclusive=True)[GPU].verb == FORGET


def test_a_stranger_is_not_given_back_but_forgotten() -> None:
    other = IDS._replace(device="2331")
    where = setting([device(GPU, "vfio-pci", "vfio-pci")], [entry(GPU, identity=other)])
    found = decisions(where, selectors=None, absent=True)
    assert (found[GPU].verb, found[GPU].live, found[GPU].after) == (FORGET, False, None)


def test_a_rule_of_ours_whose_record_is_lost_is_no_driver_of_the_host() -> None:
    where = setting([device(GPU, "vfio-pci", "vfio-pci")], [entry(GPU)])
    lost = dataclasses.replace(where, record={})
    after = decisions(lost)[GPU].after
    assert after is not None and (after.origin, after.origin_override) == ("", "")


def test_a_rule_for_another_device_tells_nothing_of_the_one_that_is_there_now() -> None:
    where = setting([device(GPU, "vfio-pci", "vfio-pci")])
    other = rules.Bound(GPU, IDS._replace(device="2331"), "vfio-pci")
    after = decisions(dataclasses.replace(where, rules={GPU: other}))[GPU].after
    assert after is not None and (after.origin, after.origin_override) == ("vfio-pci", "vfio-pci")


def test_a_rule_whose_record_is_lost_stays_unless_the_task_is_about_everything() -> None:
    where = dataclasses.replace(setting([device(GPU)], [entry(OTHER)]), record={})
    for exclusive, kept in ((False, True), (True, False)):
        wanted = task.Task(selectors=(), exclusive=exclusive)
        text = plan.wanted_rules(wanted, where, (), texts(where), {})
        assert (OTHER in text) is kept


@pytest.mark.parametrize(
    ("driver", "override", "ours"),
    [
        ("vfio-pci", "vfio-pci", True),
        ("vfio-pci", None, True),
        ("nouveau", "vfio-pci", True),
        ("nouveau", None, False),
        (None, None, True),
        ("other", None, False),
        ("other", "other", False),
    ],
)
def test_what_of_ours_is_left_on_a_device(driver: str | None, override: str | None, ours: bool) -> None:
    found = decisions(setting([device(GPU, driver, override)], [entry(GPU)]), selectors=None, absent=True)
    assert found[GPU].verb == RETURN
    assert decide.is_ours(found[GPU]) is found[GPU].live is ours


def test_clusters_are_closed_over_groups_and_cards() -> None:
    where = setting(map(device, ADDRESSES))
    assert set(decide.clusters(where.snapshot, ADDRESSES)) == {frozenset({GPU, AUDIO}), frozenset({OTHER})}
    near = dataclasses.replace(device(AUDIO), group="2")
    joined = setting([device(GPU), near, device(OTHER)])
    assert decide.clusters(joined.snapshot, (GPU, OTHER, AUDIO)) == (frozenset(ADDRESSES),)


def test_what_is_bound_already_is_not_judged_again() -> None:
    where = setting([device(GPU, "vfio-pci"), device(AUDIO, "vfio-pci")])
    found = tuple(decisions(where).values())
    assert changing(found) == ()
    fresh = decisions(setting([device(GPU), device(AUDIO)]))
    assert set(changing(tuple(fresh.values()))) == {GPU, AUDIO}


@settings(max_examples=600)
@given(scenes, tasks, st.booleans())
def test_what_is_settled_needs_neither_judge_nor_effects(
    where: scene.Scene, wanted: task.Task, exclusive: bool
) -> None:
    wanted = dataclasses.replace(wanted, exclusive=exclusive and not wanted.absent)
    found = decide.decide(wanted, where, decide.members_of(wanted, where))
    evidence = Evidence(uses={address: [model.Use(model.GUEST, "it is in a guest")] for address in ADDRESSES})
    if all(one.settled for one in found):
        assert judge(wanted, where, found, evidence) == ()
    kept, after = texts(where), plan.wanted_record(where, found)
    planned = plan.Texts(
        plan.wanted_text(wanted, where, kept, after), plan.wanted_rules(wanted, where, found, kept, after)
    )
    if planned == kept and not any(one.changes for one in found):
        assert effects.plan_effects(wanted, where, found, kept, plan.Loaded(), {}) == ()


def test_what_still_waits_is_not_settled_where_no_rule_binds_it() -> None:
    where = setting([device(GPU), device(AUDIO)], [entry(GPU, boot_id=BOOT), entry(AUDIO, boot_id=BOOT)])
    wanted = task.Task((model.Selector(address=GPU),), persistent=False, rebind=task.BOOT)
    found = decide.decide(wanted, where, decide.members_of(wanted, where))
    assert changing(found) == () and not any(one.changes or one.settled for one in found)
    with pytest.raises(Contradiction, match="no rule binds"):
        judge(wanted, where, found, Evidence())


def test_a_bridge_that_was_chosen_is_not_settled() -> None:
    bridge = scene.Decision(STAY, model.Member(GPU, binds=False, chosen=True), device(GPU))
    assert not bridge.settled
    beside = model.Member(GPU, binds=False)
    assert scene.Decision(STAY, beside, device(GPU)).settled


def test_beside_a_device_that_hangs_nothing_is_touched() -> None:
    where = dataclasses.replace(
        setting([device(GPU, "vfio-pci"), device(AUDIO)], [entry(GPU)]), hung=frozenset({GPU})
    )
    wanted = task.Task(selectors=(model.Selector(address=GPU),))
    found = decide.decide(wanted, where, decide.members_of(wanted, where))
    with pytest.raises(Exception, match="does not let go") as caught:
        judge(wanted, where, found, Evidence())
    assert {one["address"] for one in caught.value.details["obstacles"]} == {AUDIO}  # type: ignore[attr-defined]
