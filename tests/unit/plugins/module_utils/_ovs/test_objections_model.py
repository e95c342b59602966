# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How objections are weighed and told."""

from __future__ import annotations

import pytest
from bridgescenes import HOST, STORAGE, Scene, carrying, nics, software, standing_alone
from fakeovsdb import add_bridge, add_port, new_database

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_model import against, listed


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), ""),
        (("one",), "one"),
        (("one", "two"), "one and two"),
        (("one", "two", "three", "four"), "one, two, three and four"),
        (("one", "two", "three", "four", "five"), "one, two, three and 2 more"),
    ],
)
def test_many_words_are_counted(words, told):
    assert listed(words) == told


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (HOST, "lockout"),
        (STORAGE, "host_address"),
        (("the default route through br0",), "lockout"),
        (("the SSH connection",), "lockout"),
        ((), "host_address"),
    ],
)
def test_the_way_in_weighs_more_than_an_address(words, name):
    found = against(words, "no.", "do not")
    assert (found.name, found.remedy) == (name, f"do not; allow: [{name}] lifts this one refusal")


def test_the_host_hangs_on_the_bridge_that_it_moves_to():
    change = standing_alone().change(moves="eno1", ports=[{"name": "eno1"}])
    assert change.ends_before() == {}
    assert change.ends_after() == {"br-ex": HOST}


def test_the_host_hangs_on_nothing_of_a_bridge_that_goes():
    change = carrying().change(state="absent")
    assert change.ends_before() == {"br-ex": HOST}
    assert change.ends_after() == {}


def test_what_moves_is_named_once():
    scene = carrying()
    scene.nics["eno1"] = standing_alone().nics["eno1"]
    assert scene.change(moves="eno1", ports=[{"name": "eno1"}]).ends_after() == {"br-ex": HOST}


def test_patches_in_a_circle_end_and_patches_to_nowhere_lead_nowhere():
    engine = new_database()
    for bridge, port, peer in (("br-ex", "a", "b"), ("br-int", "b", "a")):
        add_bridge(engine, bridge)
        add_port(engine, bridge, port, {"type": "patch", "options": {"peer": peer}})
    add_port(engine, "br-int", "c", {"type": "patch", "options": {"peer": "nope"}})
    scene = Scene(engine, nics(software("br-int", "openvswitch", carries=HOST)))
    assert scene.change().ends_before() == {"a": HOST}
