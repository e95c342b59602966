# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A committed transaction proves nothing: what Open vSwitch made of it is read back."""

from __future__ import annotations

import json

import fakeovsdb
import pytest
from fakeovsdb import (
    DUPLICATE_TUNNEL,
    GONE,
    NO_PEER,
    NO_REMOTE,
    ODD_TYPE,
    EngineClient,
    add_bridge,
    add_port,
    new_database,
)
from ovsdbengine import FIXTURES

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.ovsdb import DatabaseError, JsonRpc
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.read import parse_database, read_database
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.realise import (
    Fault,
    faults_of,
    read_settled,
    wait_realised,
)

REAL = parse_database(json.loads((FIXTURES / "database.json").read_text()))
TUNNEL = {"type": "vxlan", "options": {"remote_ip": "192.0.2.2", "key": "100"}}


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self, then=None):
        self.now_s = 0.0
        self.slept = 0
        self.then = then

    def now(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds
        self.slept += 1
        if self.then:
            self.then(self)


def database_with(**faults):
    engine = new_database()
    engine.settle.faults.update(faults)
    add_bridge(engine, "br-ex")
    return engine


def faults(engine, *ports, **options):
    return faults_of(read_database(EngineClient(engine)), ports, **options)


# --- faults ----------------------------------------------------------------------------------


def test_a_real_bridge_that_works_has_no_faults():
    assert faults_of(REAL, ("br0", "p0", "bond0", "int0", "vnet0", "fk")) == ()


@pytest.mark.parametrize(
    ("port", "kind", "message"),
    [
        ("eth9", "missing", "could not open network device eth9 (No such device)."),
        ("odd0", "error", "could not open network device odd0 (Address family not supported by protocol)."),
        ("vx1", "error", "vx1: vxlan type requires valid 'remote_ip' argument."),
        ("pc", "peer", "No usable peer 'nope' exists in 'netdev' datapath."),
        ("p3", "mtu", "its MTU is 1500 where 99999 was asked for: its driver may not take more."),
    ],
)
def test_misleading_success_is_named_by_its_port(port, kind, message):
    # Each of them ended ovs-vsctl with status 0.
    assert faults_of(REAL, [port]) == (Fault(port, message, kind, port),)


def test_misleading_success_of_a_duplicate_tunnel_names_its_twin():
    (found,) = faults_of(REAL, ["vx0", "dup0"])
    twin = {"vx0": "dup0", "dup0": "vx0"}[found.port]
    assert found.message.endswith(f"; {twin} is the same tunnel.")


def test_a_port_that_is_not_in_the_database_is_not_wrong():
    assert faults_of(REAL, ["eth7"]) == ()


def test_a_duplicate_tunnel_that_says_nothing_is_found_by_its_number():
    # 20-network-and-storage.md section 1.5: error is empty then, and there is no number.
    engine = database_with(vx2={**DUPLICATE_TUNNEL, "error": frozenset()})
    add_port(engine, "br-ex", "vx1", TUNNEL)
    add_port(engine, "br-ex", "vx2", TUNNEL)
    (found,) = faults(engine, "vx1", "vx2")
    assert (found.port, found.kind) == ("vx2", "number")
    assert (
        found.message == "Open vSwitch did not give it a number, and no frame passes; vx1 is the same tunnel."
    )


def test_tunnels_that_differ_in_their_key_are_no_twins():
    engine = database_with(vx2=DUPLICATE_TUNNEL)
    add_port(engine, "br-ex", "vx1", {**TUNNEL, "options": {**TUNNEL["options"], "key": "101"}})
    add_port(engine, "br-ex", "vx2", TUNNEL)
    assert "same tunnel" not in faults(engine, "vx2")[0].message


def test_a_member_of_a_bond_is_named_with_its_bond():
    engine = database_with(eno9=GONE)
    add_port(engine, "br-ex", "bond0", members=["eno1", "eno9"])
    assert faults(engine, "bond0") == (
        Fault("bond0", "eno9: could not open network device eno9 (No such device).", "missing", "eno9"),
    )


def test_sorts_of_faults_can_be_let_pass():
    engine = database_with(eno9=GONE, odd0=ODD_TYPE, vx0=NO_REMOTE)
    for name, columns in (("eno9", {}), ("odd0", {"type": "bogus"}), ("vx0", {"type": "vxlan"})):
        add_port(engine, "br-ex", name, columns)
    assert [fault.port for fault in faults(engine, "eno9", "odd0", "vx0", spared={"missing"})] == [
        "odd0",
        "vx0",
    ]


def test_a_device_that_open_vswitch_should_have_made_is_no_missing_one():
    engine = database_with(int0=GONE)
    add_port(engine, "br-ex", "int0", {"type": "internal"})
    assert faults(engine, "int0")[0].kind == "error"


def patches(peer_of_a="b", peer_of_b="a", **second):
    engine = database_with()
    add_bridge(engine, "br-int", **second)
    add_port(engine, "br-ex", "a", {"type": "patch", "options": {"peer": peer_of_a}})
    if peer_of_b:
        add_port(engine, "br-int", "b", {"type": "patch", "options": {"peer": peer_of_b}})
    return engine


def test_a_patch_with_both_ends_is_fine():
    assert faults(patches(), "a", "b") == ()


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (patches(peer_of_b=""), "there is no patch port 'b' for it to lead to."),
        (patches(peer_of_a="br-ex"), "there is no patch port 'br-ex' for it to lead to."),
        (patches(peer_of_b="c"), "its other end, b, leads to 'c'."),
        (patches(datapath_type="netdev"), "its other end, b, is on datapath netdev, and it on system."),
    ],
)
def test_a_patch_to_nowhere_is_seen_in_the_database_while_open_vswitch_says_nothing(engine, message):
    # vswitchd 3.1 clears its error with every change and writes it again 20 to 120 ms after cur_cfg.
    assert faults(engine, "a") == (Fault("a", message, "peer", "a"),)


def test_what_open_vswitch_says_of_a_patch_comes_first():
    engine = patches()
    engine.settle.faults["a"] = NO_PEER
    add_port(engine, "br-ex", "eno1")
    assert faults(engine, "a")[0].message == "No usable peer 'nope' exists in 'netdev' datapath."


def test_an_mtu_that_nobody_asked_for_is_not_looked_at():
    engine = database_with(eno1={"mtu": 1400})
    add_port(engine, "br-ex", "eno1")
    assert faults(engine, "eno1") == ()


def test_an_mtu_that_is_not_told_is_not_there():
    engine = database_with(eno1={"mtu": frozenset()})
    add_port(engine, "br-ex", "eno1", {"mtu_request": frozenset([9000])})
    assert "its MTU is not known where 9000 was asked for" in faults(engine, "eno1")[0].message


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "",
            "bridge br-ex has no datapath of type system (the kernel module openvswitch may not be loaded).",
        ),
        ("netdev", "bridge br-ex has no datapath of type netdev."),
    ],
)
def test_a_bridge_that_could_not_be_made_says_nothing_and_is_found(kind, message):
    # vswitchd 3.1 without the kernel module: error and ofport of all interfaces empty, datapath_id too, cur_cfg is set.
    engine = new_database()
    engine.settle.faults.update(
        {name: {"ofport": frozenset(), "mtu": frozenset()} for name in ("br-ex", "eno1")}
    )
    add_bridge(engine, "br-ex", datapath_type=kind)
    add_port(engine, "br-ex", "eno1")
    found = faults(engine, "br-ex", "eno1")
    assert [(fault.port, fault.kind) for fault in found] == [("br-ex", "datapath"), ("eno1", "datapath")]
    assert found[0].message in (message, f"eno1: {message}")


def test_a_port_without_a_number_on_a_bridge_with_a_datapath_has_no_number():
    engine = new_database()
    engine.settle.faults["eno1"] = {"ofport": frozenset()}
    add_bridge(engine, "br-ex", datapath_id=frozenset(["0000020000000001"]))
    add_port(engine, "br-ex", "eno1")
    assert [fault.kind for fault in faults(engine, "eno1")] == ["number"]


# --- waiting ---------------------------------------------------------------------------------


def set_configuration(engine, next_cfg, cur_cfg):
    row = {"next_cfg": next_cfg, "cur_cfg": cur_cfg}
    engine.transact([{"op": "update", "table": "Open_vSwitch", "where": [], "row": row}])


@pytest.mark.parametrize("current", [5, 6])
def test_what_is_realised_is_not_waited_for(current):
    engine = new_database(vswitchd=False)
    set_configuration(engine, 6, current)
    clock = Clock()
    assert wait_realised(EngineClient(engine), 5, 15, clock.now, clock.sleep)
    assert clock.slept == 0


def test_a_vswitchd_that_does_not_answer_is_waited_for_until_time_is_up():
    engine = new_database(vswitchd=False)
    set_configuration(engine, 5, 4)
    client = Impatient(engine)
    clock = Clock()
    assert not wait_realised(client, 5, 0.1, clock.now, clock.sleep)
    assert clock.now_s >= 0.1
    assert client.patience_ms[0] == 100
    assert client.patience_ms[-1] == 0


class Impatient(EngineClient):
    """A client that notes how long the server is to wait, and does not let it."""

    def __init__(self, engine):
        super().__init__(engine)
        self.patience_ms = []

    def transact(self, operations):
        self.patience_ms += [operation["timeout"] for operation in operations]
        return super().transact([{**operation, "timeout": 0} for operation in operations])


def test_the_server_waits_no_longer_at_a_time_than_the_client_does():
    engine = new_database(vswitchd=False)
    set_configuration(engine, 5, 4)
    client = Impatient(engine)

    def realise_at_last(clock):
        if clock.slept == 3:
            set_configuration(engine, 5, 5)

    clock = Clock(realise_at_last)
    assert wait_realised(client, 5, 60, clock.now, clock.sleep)
    assert client.patience_ms == [1000] * 4


def test_another_failure_is_no_time_that_is_up():
    class Broken:
        def transact(self, operations):
            raise DatabaseError("broken")

    with pytest.raises(DatabaseError, match="broken"):
        wait_realised(Broken(), 5, 1)


def test_a_real_connection_waits_in_the_server(tmp_path):
    engine = new_database(vswitchd=False)
    set_configuration(engine, 5, 4)
    with fakeovsdb.FakeOvsdb(tmp_path / "db.sock", engine) as server:
        client = JsonRpc(server.path)
        assert not wait_realised(client, 5, 0.05)
        set_configuration(engine, 5, 5)
        assert wait_realised(client, 5, 0.05)
        client.close()


# --- settling --------------------------------------------------------------------------------


def late(engine, **columns):
    """Return a clock at whose third sleep vswitchd sees to the interface eno1 after all."""

    def settle(clock):
        if clock.slept == 3:
            fakeovsdb.change(engine, "Interface", "eno1", **columns)

    return Clock(settle)


@pytest.mark.parametrize(
    ("fault", "later"),
    [
        ({"mtu": 1500}, {"mtu": frozenset([9000])}),
        ({"ofport": frozenset()}, {"ofport": frozenset([7])}),
    ],
)
def test_what_comes_late_is_waited_for(fault, later):
    engine = database_with(eno1=fault)
    add_port(engine, "br-ex", "eno1", {"mtu_request": frozenset([9000])})
    engine.settle = None
    clock = late(engine, **later)
    database = read_settled(EngineClient(engine), ["eno1"], now=clock.now, sleep=clock.sleep)
    assert faults_of(database, ["eno1"]) == ()
    assert clock.slept == 3


def test_what_does_not_come_is_a_fault_after_two_seconds():
    engine = database_with(eno1={"mtu": 1500})
    add_port(engine, "br-ex", "eno1", {"mtu_request": frozenset([9000])})
    clock = Clock()
    database = read_settled(EngineClient(engine), ["eno1"], now=clock.now, sleep=clock.sleep)
    assert [fault.kind for fault in faults_of(database, ["eno1"])] == ["mtu"]
    assert 2 <= clock.now_s < 2.1


def test_what_is_there_is_not_waited_for():
    engine = database_with(eno9=GONE)
    add_port(engine, "br-ex", "eno9")
    clock = Clock()
    read_settled(EngineClient(engine), ["eno9", "br-ex"], now=clock.now, sleep=clock.sleep)
    assert clock.slept == 0
