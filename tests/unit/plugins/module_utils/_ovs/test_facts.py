# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task tells of a bridge, on a real database."""

from __future__ import annotations

import json

import fakeovsdb
import pytest
from ovsdbengine import FIXTURES

from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Address, Capture, Route
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import facts
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.read import parse_database, read_database
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import parse_wish


def captured():
    return parse_database(json.loads((FIXTURES / "database.json").read_text()))


def built(**interface):
    engine = fakeovsdb.new_database()
    fakeovsdb.add_bridge(engine, "br0")
    fakeovsdb.add_port(engine, "br0", "x0", interface)
    return engine


def test_a_real_bridge_can_be_told_as_json_with_every_port():
    found = facts.bridge_facts(captured(), "br0")
    assert json.loads(json.dumps(found)) == found
    assert list(found["ports"]) == sorted(found["ports"])
    local = found["ports"]["br0"]["interfaces"]["br0"]
    assert (local["ofport"], local["type"]) == (65534, "internal")


def test_there_is_nothing_to_tell_of_no_bridge():
    assert facts.bridge_facts(captured(), "br9") is None


def test_the_key_of_a_tunnel_is_hidden():
    engine = built(type="vxlan", options={"remote_ip": "192.0.2.2", "psk": "swordfish"})
    found = facts.bridge_facts(read_database(fakeovsdb.EngineClient(engine)), "br0")
    assert found["ports"]["x0"]["interfaces"]["x0"]["options"] == {
        "psk": "********",
        "remote_ip": "192.0.2.2",
    }


def test_a_set_is_a_list_where_it_always_is_one():
    engine = built()
    fakeovsdb.change(engine, "Port", "x0", trunks=frozenset([7]), tag=frozenset([3]))
    port = facts.bridge_facts(read_database(fakeovsdb.EngineClient(engine)), "br0")["ports"]["x0"]
    assert (port["trunks"], port["tag"], port["vlan_mode"]) == ([7], 3, None)


def test_what_goes_without_saying_is_not_shown():
    capture = Capture(
        "eno1",
        addresses=(Address(4, "192.0.2.11", ("192.0.2.11/24", "broadcast", "192.0.2.255", "scope", "0")),),
        routes=(
            Route(4, ("unicast", "default", "table", "254", "scope", "0", "via", "192.0.2.1", "dev", "eno1")),
            Route(4, ("unreachable", "198.51.100.0/24", "table", "100", "scope", "0")),
        ),
    )
    assert facts.show_network(capture) == (
        "host_network:\n"
        "  device: eno1\n"
        "  address: 192.0.2.11/24 broadcast 192.0.2.255\n"
        "  route: default via 192.0.2.1 dev eno1\n"
        "  route: unreachable 198.51.100.0/24 table 100\n"
    )
    assert facts.show_network(None) == ""


@pytest.mark.parametrize(
    ("interface", "fault"),
    [
        ({}, None),
        ({"mtu_request": frozenset([1400])}, None),
        ({}, fakeovsdb.GONE),
        ({"mtu_request": frozenset([9000])}, fakeovsdb.MTU_IGNORED),
        ({"type": "patch", "options": {"peer": "y0"}}, {}),
        ({}, {"ofport": frozenset()}),
    ],
)
def test_a_port_that_does_not_work_is_seen_although_nothing_changes(interface, fault):
    engine = built(**interface)
    if fault is not None:
        engine.settle.faults["x0"] = fault
        fakeovsdb.change(engine, "Port", "x0", tag=frozenset([4]))
    database = read_database(fakeovsdb.EngineClient(engine))
    wish = {"name": "br0", "ports": [{"name": "x0"}]}
    assert [one.port for one in facts.faults_in(database, parse_wish(wish))] == (
        [] if fault is None else ["x0"]
    )
    assert facts.faults_in(database, parse_wish({"name": "br0"})) == (), "nobody spoke of that port"
    assert facts.faults_in(database, parse_wish({"name": "br0", "state": "absent"})) == ()
