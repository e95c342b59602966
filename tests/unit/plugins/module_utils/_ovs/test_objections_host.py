# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would cut the host off is refused before it happens; what changes nothing for it is not."""

from __future__ import annotations

import pytest
from bridgescenes import (
    CONTROLLER,
    HOST,
    OURS,
    STORAGE,
    Scene,
    card,
    carrying,
    carrying_bridge,
    nics,
    software,
    standing_alone,
    with_controller,
)
from fakeovsdb import add_bridge, add_port, new_database

UPLINK = [{"name": "eno1"}]
PINNED = {"hwaddr": "02:00:00:00:00:01"}


# --- wrong device --------------------------------------------------------------------------


def test_a_bridge_that_is_as_it_shall_be_is_nobodys_lock_out():
    assert carrying().objections(ports=UPLINK) == ()


def test_the_move_of_the_host_on_to_its_bridge_is_fine():
    assert standing_alone().objections(moves="eno1", ports=UPLINK, **PINNED) == ()


def test_lockout_1_a_card_that_carries_the_host_is_no_port_without_a_move():
    found = standing_alone().only(ports=UPLINK)
    assert found.name == "lockout"
    assert found.message == (
        "eno1 carries the SSH connection, the default route and the address 192.0.2.11/24, and as a port of br-ex it"
        " would carry that no longer."
    )
    assert "let host_network move it on to the bridge" in found.remedy
    assert found.remedy.endswith("allow: [lockout] lifts this one refusal")


def test_a_card_that_carries_nothing_but_an_address_costs_that_address():
    assert standing_alone(STORAGE).names(ports=UPLINK) == ["host_address"]


def test_what_a_card_carries_through_a_vlan_on_it_counts_as_much():
    assert standing_alone(("the default route through eno1.40",)).names(ports=UPLINK) == ["lockout"]


def test_a_card_that_is_a_port_already_is_taken_by_nobody():
    scene = Scene(carrying_bridge(), nics(card("eno1", carries=HOST)))
    assert scene.objections(ports=UPLINK) == ()


def test_the_members_of_a_bond_are_looked_at_one_by_one():
    scene = Scene(nics=nics(card("eno2", 2, carries=HOST)))
    bond = {"name": "bond0", "members": ["eno1", "eno2"], "bond_mode": "active-backup"}
    assert scene.only(ports=[bond]).message.startswith("eno2 carries the SSH connection")


def test_wrong_nic_the_host_does_not_move_on_to_a_bridge_that_its_card_is_no_port_of():
    found = Scene(nics=nics(card("eno1", carries=HOST))).only(
        moves="eno1", ports=[{"name": "eno2"}], **PINNED
    )
    assert found.name == "lockout"
    assert "of which eno1 is no port" in found.message


def test_wrong_address_the_move_of_one_card_does_not_help_the_other():
    scene = Scene(nics=nics(card("eno1", carries=HOST), card("eno2", 2, carries=STORAGE)))
    # Different VLANs: no loop.
    ports = [{"name": "eno1", "tag": 10}, {"name": "eno2", "trunks": [0]}]
    assert [
        found.message[:4] for found in scene.objections("eno2", ports=ports, hwaddr="02:00:00:00:00:02")
    ] == ["eno1"]


def test_the_way_out_of_another_bridge_that_carries_the_host_is_not_taken():
    scene = carrying()
    found = scene.objections(name="br-new", ports=UPLINK)
    assert [objection.name for objection in found] == ["lockout", "steal"]
    assert "eno1 is a way out of br-ex, which carries the SSH connection" in found[0].message


def test_the_way_out_of_a_bridge_that_carries_nothing_is_only_stolen():
    assert Scene(carrying_bridge()).names(name="br-new", ports=UPLINK) == ["steal"]


def test_an_internal_port_with_an_address_does_not_go():
    engine = carrying_bridge()
    add_port(engine, "br-ex", "storage0", {"type": "internal"}, **OURS)
    scene = Scene(engine, nics(software("storage0", "openvswitch", carries=STORAGE)))
    found = scene.only(ports=UPLINK)
    assert found.name == "host_address"
    assert "Port storage0 of br-ex would go" in found.message
    assert scene.objections(ports=UPLINK, purge="none") == ()


# --- VLANs ----------------------------------------------------------------------------------


def test_wrong_vlan_tag_the_moved_host_would_be_in_a_vlan_that_it_does_not_send():
    found = standing_alone().only(moves="eno1", ports=[{"name": "eno1", "tag": 40}], **PINNED)
    assert found.name == "lockout"
    assert "leaves eno1 without a tag. With the ports as wished it would leave not at all" in found.message


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"tag": 40}, "not at all"),
        ({"trunks": [20, 30]}, "not at all"),
        # A frame gets out, and the answer comes back in VLAN 10.
        ({"vlan_mode": "native-untagged", "tag": 10}, "not at all"),
    ],
)
def test_a_tag_on_the_way_out_cuts_the_host_off(columns, told):
    found = carrying().only(ports=[{"name": "eno1", **columns}])
    assert found.name == "lockout"
    assert found.message.endswith(f"it would leave {told}.")


@pytest.mark.parametrize(
    "columns", [{"trunks": ["0-30"]}, {"vlan_mode": "trunk"}, {"vlan_mode": "native-tagged", "tag": 0}]
)
def test_a_way_out_that_still_carries_what_the_host_sends_is_fine(columns):
    assert carrying().objections(ports=[{"name": "eno1", **columns}]) == ()


def test_a_host_on_an_internal_port_leaves_in_its_vlan_or_not_at_all():
    engine = carrying_bridge()
    add_port(engine, "br-ex", "mgmt0", {"type": "internal"}, tag=frozenset([30]), **OURS)
    scene = Scene(engine, nics(software("mgmt0", "openvswitch", carries=HOST)))

    def names(vlan, **uplink):
        return scene.names(
            ports=[{"name": "eno1", **uplink}, {"name": "mgmt0", "type": "internal", "tag": vlan}]
        )

    assert names(30) == []
    assert names(30, trunks=[30]) == []
    assert names(31) == ["lockout"]
    assert names(30, trunks=[31]) == ["lockout"]
    # The switch hears VLAN 30 without its tag.
    assert names(30, tag=30) == ["lockout"]


def test_the_way_out_does_not_go_from_under_the_host():
    found = carrying().only(ports=[])
    assert found.name == "lockout"
    assert found.message == (
        "eno1 is a way out of br-ex for the SSH connection, the default route and the address 192.0.2.11/24 on br-ex,"
        " and would be no port any more."
    )


def test_the_way_out_may_become_a_member_of_a_bond():
    bond = {"name": "bond0", "members": ["eno1", "eno2"], "bond_mode": "active-backup"}
    assert carrying().objections(ports=[bond]) == ()
    assert carrying().names(ports=[{**bond, "tag": 40}]) == ["lockout"]


def test_a_bond_may_lose_one_of_its_members():
    engine = new_database()
    add_bridge(engine, "br-ex")
    add_port(engine, "br-ex", "bond0", members=["eno1", "eno2", "eno3"], **OURS)
    bond = {"name": "bond0", "members": ["eno2", "eno3"], "bond_mode": "active-backup"}
    assert carrying(engine).objections(ports=[bond]) == ()


def test_a_port_that_did_not_carry_the_host_before_may_have_any_tag():
    engine = carrying_bridge()
    add_port(engine, "br-ex", "eno2", tag=frozenset([7]), **OURS)
    assert carrying(engine).objections(ports=[*UPLINK, {"name": "eno2", "tag": 8}], rstp=True) == ()


# --- forwarding -----------------------------------------------------------------------------


@pytest.mark.parametrize("controllers", [None, [], ["ptcp:6653:127.0.0.1"]])
def test_secure_without_a_controller_to_connect_to_stands_still(controllers):
    found = carrying().only(ports=UPLINK, fail_mode="secure", controllers=controllers)
    assert found.name == "lockout"
    assert "no controller to connect to, br-ex would forward nothing" in found.message


def test_secure_without_a_controller_is_fine_where_the_host_is_not():
    assert Scene(carrying_bridge()).objections(ports=UPLINK, fail_mode="secure") == ()


def test_taking_the_controller_from_a_secure_bridge_is_the_same_lock_out():
    scene = carrying(with_controller(fail_mode=frozenset(["secure"])))
    assert scene.names(ports=UPLINK, controllers=[]) == ["lockout"]


def test_moving_the_host_on_to_a_bridge_that_stands_still_is_a_lock_out():
    scene = standing_alone(engine=carrying_bridge(fail_mode=frozenset(["secure"])))
    assert scene.names(moves="eno1", ports=UPLINK, **PINNED) == ["lockout"]
    assert scene.objections(ports=UPLINK) == ()


@pytest.mark.parametrize(
    ("fail_mode", "until"),
    [(None, "until it falls back"), ("standalone", "until it falls back"), ("secure", "for good")],
)
@pytest.mark.parametrize("answers", [{}, {CONTROLLER: False}])
def test_dead_controller_the_bridge_waits_for_it(fail_mode, until, answers):
    scene = carrying()
    scene.answers = answers
    found = scene.only(ports=UPLINK, controllers=[CONTROLLER], fail_mode=fail_mode)
    assert found.name == "lockout"
    assert f"No controller of br-ex answers ({CONTROLLER})" in found.message
    assert f"would forward nothing {until}" in found.message


def test_one_controller_that_answers_is_enough():
    scene = carrying()
    scene.answers = {CONTROLLER: True}
    assert scene.objections(ports=UPLINK, controllers=["tcp:192.0.2.2", CONTROLLER], fail_mode="secure") == ()


def test_a_controller_that_is_there_already_is_no_change():
    assert carrying(with_controller()).objections(ports=UPLINK, controllers=[CONTROLLER]) == ()


def test_stp_holds_the_way_out_back_for_half_a_minute():
    found = carrying().only(ports=UPLINK, stp=True)
    assert found.name == "lockout"
    assert "STP holds eno1 back for half a minute" in found.message
    assert "rstp" in found.remedy


def test_stp_that_is_on_already_is_no_change_unless_the_host_moves_on_to_it():
    engine = carrying_bridge(stp_enable=True)
    assert carrying(engine).objections(ports=UPLINK, stp=True) == ()
    assert standing_alone(engine=engine).names(moves="eno1", ports=UPLINK, **PINNED) == ["lockout"]


def test_stp_leaves_bonds_alone():
    engine = new_database()
    add_bridge(engine, "br-ex")
    add_port(engine, "br-ex", "bond0", members=["eno1", "eno2"], **OURS)
    assert carrying(engine).objections(stp=True) == ()


def test_rstp_and_stp_on_a_bridge_without_the_host_are_fine():
    assert carrying().objections(ports=UPLINK, rstp=True) == ()
    assert Scene(carrying_bridge()).objections(ports=UPLINK, stp=True) == ()


def test_a_mirror_does_not_write_to_the_way_out():
    scene = carrying()
    found = scene.only(ports=UPLINK, mirrors=[{"name": "m0", "select_all": True, "output_port": "eno1"}])
    assert found.name == "lockout"
    assert "A mirror that writes to eno1 leaves it nothing else to carry" in found.message


def test_a_mirror_that_writes_to_the_way_out_already_is_no_change():
    engine = carrying_bridge()
    (port,) = [row for row in Scene(engine).database.rows("Port") if row.columns["name"] == "eno1"]
    mirror = {"name": "m0", "output_port": ["uuid", port.uuid]}
    inserted = {"op": "insert", "table": "Mirror", "row": mirror, "uuid-name": "m"}
    into = {"op": "update", "table": "Bridge", "where": [], "row": {"mirrors": ["named-uuid", "m"]}}
    assert all("error" not in result for result in engine.transact([inserted, into]))
    scene = carrying(engine)
    assert scene.objections(ports=UPLINK) == ()
    assert (
        scene.objections(ports=UPLINK, mirrors=[{"name": "m0", "output_port": "eno1", "select_all": True}])
        == ()
    )


# --- the address that neighbours know ----------------------------------------------------------


def test_the_host_does_not_move_on_to_a_bridge_without_a_pinned_address():
    # 20-network-and-storage.md section 1.6: the host was down after the roll-back.
    found = standing_alone().only(moves="eno1", ports=UPLINK)
    assert found.name == "lockout"
    assert found.message.startswith(
        "Nothing pins the address of br-ex: it would get another one than 02:00:00:00:00:01"
    )


def test_the_host_keeps_its_address_when_it_moves():
    found = standing_alone().only(moves="eno1", ports=UPLINK, hwaddr="02:00:00:00:00:02")
    assert (
        "br-ex would have the address 02:00:00:00:00:02, and the host is known by 02:00:00:00:00:01"
        in found.message
    )


@pytest.mark.parametrize("hwaddr", ["auto", "02:00:00:00:00:01"])
def test_an_address_that_is_pinned_to_the_right_one_is_fine(hwaddr):
    assert standing_alone().objections(moves="eno1", ports=UPLINK, hwaddr=hwaddr) == ()


def test_the_address_of_a_bridge_that_carries_the_host_stays():
    assert carrying().names(ports=UPLINK, hwaddr="02:00:00:00:00:99") == ["lockout"]
    assert carrying().objections(ports=UPLINK, hwaddr="02:00:00:00:00:01") == ()
    engine = carrying_bridge(other_config={"hwaddr": "02:00:00:00:00:01"})
    assert carrying(engine).objections(ports=UPLINK, hwaddr="none") == ()


def test_an_address_that_is_set_and_not_yet_there_is_no_change():
    engine = carrying_bridge(other_config={"hwaddr": "02:00:00:00:00:99"})
    assert carrying(engine).objections(ports=UPLINK, hwaddr="02:00:00:00:00:99") == ()


# --- through a patch ------------------------------------------------------------------------


def patched(back="br-int"):
    """Return a database in which the host is on br-int, and gets out by br-ex."""
    engine = carrying_bridge()
    add_port(engine, "br-ex", "p-int", {"type": "patch", "options": {"peer": "p-ex"}}, **OURS)
    add_bridge(engine, "br-int")
    add_port(engine, "br-int", "p-ex", {"type": "patch", "options": {"peer": "p-int"}})
    return Scene(engine, nics(software("br-int", "openvswitch", carries=HOST)))


PATCH = {"name": "p-int", "type": "patch", "peer": "p-ex"}


def test_the_host_is_seen_through_a_patch():
    scene = patched()
    assert scene.objections(ports=[*UPLINK, PATCH]) == ()
    assert scene.names(ports=[*UPLINK, PATCH], fail_mode="secure") == ["lockout"]
    assert scene.names(ports=[{"name": "eno1", "tag": 40}, PATCH]) == ["lockout"]
    assert "Port p-int of br-ex would go" in scene.only(ports=UPLINK).message


# --- absent ---------------------------------------------------------------------------------


def test_a_bridge_that_is_not_there_is_gone():
    assert Scene().objections(state="absent") == ()


def test_a_bridge_that_carries_the_host_does_not_go():
    found = carrying().only(state="absent")
    assert found.name == "lockout"
    assert "br-ex of br-ex carries the SSH connection" in found.message
    assert carrying(words=STORAGE).names(state="absent") == ["host_address"]


def test_a_bridge_that_carries_nothing_goes():
    assert Scene(carrying_bridge()).objections(state="absent") == ()


def test_a_bridge_goes_when_one_of_its_devices_gets_back_what_it_carries():
    assert carrying().objections(moves="eno1", state="absent") == ()


@pytest.mark.parametrize("moves", ["eno2", "eno9"])
def test_a_device_of_elsewhere_gets_nothing_back(moves):
    assert carrying().names(moves=moves, state="absent") == ["lockout"]


def test_an_internal_port_gives_nothing_back_to_anybody():
    engine = carrying_bridge()
    add_port(engine, "br-ex", "storage0", {"type": "internal"})
    scene = Scene(engine, nics(software("storage0", "openvswitch", carries=STORAGE)))
    assert scene.names(moves="eno1", state="absent") == ["host_address"]


def test_a_device_alone_sends_without_a_tag():
    engine = new_database()
    add_bridge(engine, "br-ex")
    add_port(engine, "br-ex", "eno1", vlan_mode=frozenset(["access"]), tag=frozenset([10]))
    found = carrying(engine).only(moves="eno1", state="absent")
    assert found.name == "lockout"
    assert "leaves eno1 not at all" in found.message
