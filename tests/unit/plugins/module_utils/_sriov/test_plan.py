# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci.pci import PciDevice, Sriov
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov import plan
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.model import Entry, Settings, Wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.read import Function
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.steps import SetVf
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import Identity

ADDRESS, WHO = "0000:03:00.0", Identity("8086", "10c9", "8086", "a03c")
OTHER = Identity("10de", "2330", "10de", "16c1")


def function(number: int = 0, **fields: str) -> Function:
    """Build a device with so many VFs; of the first one ``fields`` are set."""
    device = PciDevice(
        ADDRESS, "", (), "8086", "10c9", "8086", "a03c", driver="igb", sriov=Sriov(7, number, autoprobe=True)
    )
    vfs = tuple(PciDevice(f"0000:03:10.{index}") for index in range(number))
    settings = {
        "numvfs": str(number),
        "autoprobe": "1",
        **{f"vf0.{name}": value for name, value in fields.items()},
    }
    return Function(device, vfs, settings, "enp3s0")


def record(wish: Settings, now: Function, block: Entry | None = None, known: Entry | None = None) -> Settings:
    entry = plan.record_after(Wish(ADDRESS, wish), plan.Scene(now, block, known), WHO)
    return entry.settings if entry else {}


def test_only_what_becomes_ours_is_recorded() -> None:
    assert record({}, function(2)) == {}
    assert record({"autoprobe": "0"}, function(2)) == {"autoprobe": "1"}
    assert record({"numvfs": "4"}, function()) == {"numvfs": "0"}


def test_all_settings_of_vfs_that_go_are_recorded() -> None:
    assert record({"numvfs": "4"}, function(2, vlan="5")) == {
        "numvfs": "2",
        "vf0.vlan": "5",
    }


def test_what_is_set_of_vfs_that_we_made_is_not_recorded() -> None:
    known = Entry(ADDRESS, WHO, {"numvfs": "0"})
    assert record({"numvfs": "4", "vf0.vlan": "6"}, function(4, vlan="5"), known=known) == {"numvfs": "0"}
    assert record({"numvfs": "2"}, function(4, vlan="5"), known=known) == {"numvfs": "0"}


def test_what_is_set_of_vfs_that_were_there_is_recorded_once() -> None:
    first = record({"vf0.vlan": "6"}, function(2, vlan="5"))
    assert first == {"vf0.vlan": "5"}
    assert record({"vf0.vlan": "7"}, function(2, vlan="6"), known=Entry(ADDRESS, WHO, first)) == first


def test_the_record_of_another_card_is_none() -> None:
    known = Entry(ADDRESS, OTHER, {"numvfs": "6"})
    assert record({"numvfs": "4"}, function(1), known=known) == {"numvfs": "1"}


def test_what_a_rule_of_ours_made_was_not_there_before() -> None:
    block = Entry(ADDRESS, WHO, {"numvfs": "4"})
    assert record({"numvfs": "4"}, function(4), block) == {"numvfs": "0"}
    assert record({"numvfs": "4"}, function(3), block)["numvfs"] == "3"


def test_without_a_device_the_record_stays() -> None:
    known = Entry(ADDRESS, WHO, {"numvfs": "0"})
    scene = plan.Scene(None, None, known)
    assert plan.record_after(Wish(ADDRESS, {"numvfs": "2"}), scene, WHO) == known


def test_nobody_is_given_back_what_is_not_there() -> None:
    gone = Wish(ADDRESS, {}, absent=True)
    assert plan.target_of(gone, plan.Scene(None, None, None)) == {}
    assert plan.going(None, {"numvfs": "0"}) == ()


def block(before: Settings, wish: Settings, vfs: bool = False, who: Identity = WHO) -> Settings | None:
    entry = plan.block_after(Wish(ADDRESS, wish, vfs), Entry(ADDRESS, WHO, before), who)
    return entry.settings if entry else None


def test_a_rule_keeps_what_is_not_spoken_of() -> None:
    before = {"numvfs": "4", "vf3.vlan": "5"}
    assert block(before, {"autoprobe": "0"}) == {**before, "autoprobe": "0"}
    assert block(before, {"numvfs": "3"}) == {"numvfs": "3"}
    assert block(before, {}, vfs=True) == {"numvfs": "4"}
    assert block(before, {"numvfs": "0"}) is None
    assert block(before, {"autoprobe": "1"}, who=OTHER) == {"autoprobe": "1"}


def test_settings_of_vfs_that_nobody_makes_are_refused() -> None:
    with pytest.raises(ParseError, match="would be lost at the next boot"):
        block({}, {"vf0.vlan": "5"}, vfs=True)
    with pytest.raises(ParseError, match="speaks of VF 0, and with 0 VFs there is none"):
        block({}, {"numvfs": "0", "vf0.vlan": "5"}, vfs=True)


def test_ids_that_the_kernel_does_not_show_are_zero() -> None:
    assert str(plan.identity_of(PciDevice(ADDRESS, vendor="8086", device="10c9"))) == "8086:10c9:0000:0000"


def test_a_step_of_a_vf_that_was_there_can_be_undone() -> None:
    (step,) = plan.running_steps(function(1, vlan="5", qos="2", mac="02:00:00:00:00:01"), {"vf0.qos": "3"}, 1)
    assert step == SetVf("enp3s0", 0, {"qos": "3", "vlan": "5"}, {"qos": "2", "vlan": "5"})
    assert step.undo() == SetVf("enp3s0", 0, {"qos": "2", "vlan": "5"}, {"qos": "3", "vlan": "5"})


def test_the_priority_goes_with_the_vlan() -> None:
    (step,) = plan.running_steps(function(1, vlan="5", qos="2"), {"vf0.vlan": "0"}, 1)
    assert step.describe() == "set VF 0 of enp3s0: vlan 0, qos 0"
