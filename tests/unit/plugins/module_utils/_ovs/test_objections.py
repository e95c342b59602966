# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objections together: refused by name, lifted by name."""

from __future__ import annotations

import pytest
from bridgescenes import CONTROLLER, HOST, Network, Scene, card, carrying, nics, standing_alone

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import LIFTABLE
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections import (
    ask_controllers,
    carriers,
    object_to,
    objection_facts,
    refuse,
    warnings_about,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import parse_wish

BAD = {"ports": [{"name": "eno1"}, {"name": "eno2"}, {"name": "eno9"}]}


def wish(**params):
    return parse_wish({"name": "br-ex", **params})


def bad():
    scene = standing_alone()
    return scene.objections(**BAD)


def test_everything_is_told_at_once():
    assert [objection.name for objection in bad()] == ["missing_nic", "lockout", "loop"]
    with pytest.raises(Refusal) as raised:
        refuse(bad(), wish(**BAD))
    assert raised.value.message.startswith("Nothing was changed. [missing_nic] There is no device eno9")
    assert "[lockout] eno1 carries" in raised.value.message
    assert "[loop] eno1 and eno2" in raised.value.message
    assert raised.value.remedy.count("lifts this one refusal") == 3
    assert [fact["name"] for fact in raised.value.details["objections"]] == ["missing_nic", "lockout", "loop"]


def test_what_is_allowed_is_not_in_the_way_and_the_rest_is():
    with pytest.raises(Refusal) as raised:
        refuse(bad(), wish(**BAD, allow=["lockout", "loop"]))
    assert "missing_nic" in raised.value.message
    assert "lockout" not in raised.value.message
    refuse(bad(), wish(**BAD, allow=["lockout", "loop", "missing_nic"]))


def test_nothing_lifts_what_cannot_work():
    found = Scene(nics=nics(card("eno1", wireless=True))).objections(ports=[{"name": "eno1"}])
    with pytest.raises(Refusal, match="Nothing was changed. eno1 is wireless"):
        refuse(found, wish(ports=[{"name": "eno1"}], allow=list(LIFTABLE)))


def test_facts_say_what_was_allowed():
    assert [(fact["name"], fact["allowed"]) for fact in objection_facts(bad(), {"loop"})] == [
        ("missing_nic", False),
        ("lockout", False),
        ("loop", True),
    ]


def test_the_same_objection_is_told_once():
    found = carrying().objections(state="absent")
    assert len(found) == len(set(found)) == 1


def test_controllers_are_asked_and_what_they_said_is_heard():
    scene = carrying()
    wished = wish(controllers=[CONTROLLER])
    answers = ask_controllers(wished, scene.database, scene.nics, connect=Network(CONTROLLER))
    assert answers == {CONTROLLER: True}
    assert object_to(wished, scene.database, scene.nics, answers=answers) == ()
    assert [found.name for found in object_to(wished, scene.database, scene.nics)] == ["lockout"]


def test_the_listed_devices_that_carry_the_host_are_those_that_move():
    scene = Scene(nics=nics(card("eno1", carries=HOST), card("eno3", 3, carries=HOST)))
    bond = {"name": "bond0", "members": ["eno1", "eno2"], "bond_mode": "active-backup"}
    assert carriers(wish(ports=[bond, {"name": "eno9"}]), scene.database, scene.nics) == ("eno1",)
    assert carriers(wish(), scene.database, scene.nics) == ()
    assert carriers(wish(state="absent"), scene.database, scene.nics) == ()


def test_a_card_without_a_carrier_is_worth_a_warning():
    scene = Scene(nics=nics(card("eno1", carrier=False), card("eno2", 2, carrier=None)))
    found = warnings_about(wish(ports=[{"name": "eno1"}, {"name": "eno2"}]), scene.database, scene.nics)
    assert found == ("eno1 has no carrier: no cable is in it, or nobody is at its other end.",)


@pytest.mark.parametrize(
    ("port", "warned"),
    [({}, True), ({"mtu": 9000}, False), ({"mtu": 1600}, True)],
)
def test_a_bridge_with_longer_frames_than_its_way_out_is_worth_a_warning(port, warned):
    scene = Scene()
    found = warnings_about(wish(mtu=9000, ports=[{"name": "eno1", **port}]), scene.database, scene.nics)
    assert bool(found) is warned
    assert all("longer frames do not get out that way" in warning for warning in found)
