# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The managed part of a bridge, as data and as text."""

from __future__ import annotations

import json

import fakeovsdb
import pytest
import yaml
from ovsdbengine import FIXTURES
from planning import GUEST, OURS, Switch, internal, nic, shaped, some, wish

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan import plan
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.read import parse_database
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.state import show, state_of

# A real select of the eight tables: fixtures/ovs says where it is from.
REAL = parse_database(json.loads((FIXTURES / "database.json").read_text()))


def test_a_bridge_that_is_not_there_has_no_state():
    assert state_of(model.Database(), wish(nic("eth1"))) == {}
    assert show({}) == ""


def test_a_bridge_that_nothing_leads_to_is_not_there():
    row = model.Row("b", {"name": "br0", "ports": some()})
    assert state_of(model.Database({"Bridge": {"b": row}}), wish()) == {}


def test_the_state_has_what_the_wish_is_about_and_nothing_else():
    wanted = wish(
        model.PortWish("p0", (model.InterfaceWish("p0"),), {"tag": some(10)}, model.QosWish("linux-htb")),
        bridge={"fail_mode": some("standalone"), "other_config": {"hwaddr": "x", "none": "y"}},
        controllers=(),
    )
    assert state_of(REAL, wanted) == {
        "bridge": {
            "fail_mode": "standalone",
            "other_config": {"hwaddr": "02:00:00:00:00:aa"},
            "external_ids": OURS,
        },
        "ports": {
            "p0": {
                "tag": 10,
                "interfaces": {"p0": {}},
                "qos": {"type": "linux-htb", "queues": {0: {}}},
            }
        },
        "controllers": ["ptcp:6653:127.0.0.1"],
    }


def test_the_state_of_a_bridge_that_shall_go_is_all_of_its_configuration():
    state = state_of(REAL, model.Wish("br0", present=False))
    assert set(state["ports"]) == {"bond0", "fk", "int0", "p0", "pa", "vnet0", "vx0"}
    assert state["ports"]["int0"] == {
        "tag": 20,
        "interfaces": {"int0": {"type": "internal", "mtu_request": 1400}},
    }
    assert state["ports"]["p0"]["trunks"] == [20, 30]
    assert state["bridge"]["rstp_enable"] is True
    # What Open vSwitch makes of it is not configuration.
    assert not {"ofport", "mtu", "error", "status"} & set(state["ports"]["vx0"]["interfaces"]["vx0"])


def test_what_others_have_on_the_bridge_may_change_at_any_time():
    switch = Switch()
    wanted = wish(nic("eth1"), bridge={"external_ids": {"a": "1"}}, mirrors=())
    planned = switch.apply(wanted)
    fakeovsdb.add_port(switch.engine, "br0", "vnet0", {"external_ids": GUEST})
    fakeovsdb.change(switch.engine, "Bridge", "br0", external_ids={**OURS, "a": "1", "theirs": "2"})
    fakeovsdb.change(switch.engine, "Port", "eth1", tag=some(9))
    assert state_of(switch.read(), wanted) == planned.after


def test_a_port_that_goes_is_in_the_state_before_with_what_it_had():
    switch = Switch()
    switch.apply(wish(nic("eth1", tag=some(3)), internal("int0", mtu_request=some(1400))))
    assert state_of(switch.read(), wish(purge=model.NONE)).get("ports") is None
    gone = state_of(switch.read(), wish())["ports"]
    assert gone["eth1"] == {"tag": 3, "external_ids": OURS, "interfaces": {"eth1": {"external_ids": OURS}}}
    assert gone["int0"]["interfaces"]["int0"]["mtu_request"] == 1400


def test_a_map_that_is_enforced_whole_is_shown_whole():
    switch = Switch()
    fakeovsdb.add_bridge(switch.engine, "br0", other_config={"a": "1", "b": "2"})
    part = model.Wish("br0", bridge={"other_config": {"a": "5"}})
    whole = model.Wish("br0", bridge={"other_config": {"a": "5"}}, replace=some("Bridge.other_config"))
    cleared = model.Wish("br0", bridge={"other_config": {}})
    shown = [state_of(switch.read(), one)["bridge"]["other_config"] for one in (part, whole, cleared)]
    assert shown == [{"a": "1"}, {"a": "1", "b": "2"}, {"a": "1", "b": "2"}]


def test_the_mark_is_shown_although_nobody_wishes_for_it():
    switch = Switch()
    switch.apply(wish(bridge={"external_ids": {}}))
    assert state_of(switch.read(), wish())["bridge"] == {"external_ids": OURS}
    assert state_of(switch.read(), wish(bridge={"external_ids": {}}))["bridge"] == {"external_ids": OURS}


def test_a_state_is_shown_as_yaml_with_ranges_for_runs_of_vlans():
    switch = Switch()
    port = model.PortWish(
        "eth1", (model.InterfaceWish("eth1"),), {"trunks": frozenset({2, *range(20, 4000), 4001, 4002})}
    )
    planned = switch.apply(
        wish(
            port,
            shaped("eth2", "linux-htb", {0: {"dscp": some(3)}}, max_rate="5"),
            bridge={"other_config": {"a b": "c: d", "hwaddr": "02:00:00:00:00:01", "x": "true", "y": "1"}},
            controllers=("tcp:192.0.2.1",),
        )
    )
    text = show(planned.after)
    assert "    trunks: [2, 20-3999, 4001, 4002]\n" in text
    assert "    external_ids: {hearth-owner: br0}\n" in text
    assert '    "a b": "c: d"\n    hwaddr: 02:00:00:00:00:01\n    x: "true"\n    y: "1"\n' in text
    parsed = yaml.safe_load(text)
    parsed["ports"]["eth1"]["trunks"] = planned.after["ports"]["eth1"]["trunks"]
    assert parsed == planned.after


@pytest.mark.parametrize("present", [True, False])
def test_secrets_do_not_appear(present):
    switch = Switch()
    tunnel = model.InterfaceWish(
        "vx0", {"type": "vxlan", "options": {"remote_ip": "192.0.2.1", "psk": "swordfish"}}
    )
    switch.apply(wish(model.PortWish("vx0", (tunnel,))))
    text = show(state_of(switch.read(), wish(model.PortWish("vx0", (tunnel,)), present=present)))
    assert "psk: ********\n" in text
    assert "swordfish" not in text


def test_a_real_bridge_is_adopted_by_its_mark_and_nothing_else():
    planned = plan(REAL, model.Wish("br1"))
    assert [operation["op"] for operation in planned.operations] == ["wait", "wait", "mutate"]
    assert planned.operations[-1]["mutations"] == [
        ["external_ids", "insert", ["map", [["hearth-owner", "br1"]]]]
    ]
    assert (planned.ports, planned.warnings) == ((), ())
    assert not plan(REAL, model.Wish("br0")).operations


def test_the_vlan_bridge_and_the_guest_of_a_real_bridge_stay():
    planned = plan(REAL, wish())
    assert "ports" not in planned.after
    assert not planned.operations
    kept = {port for port in ("fk", "vnet0") if port not in plan(REAL, wish(purge=model.ALL)).ports}
    assert kept == {"vnet0"}
