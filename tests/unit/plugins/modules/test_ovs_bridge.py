# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fakeovsdb
import pytest
from ovs_main import FakeHost, Task, carrying, doing, ports

PLAIN = {"ports": [{"name": "eno2", "tag": 40}, {"name": "int0", "type": "internal", "mtu": 1400}]}


@pytest.fixture
def fake(tmp_path):
    host = FakeHost(tmp_path)
    with host.switch:
        yield host


@pytest.fixture
def task(fake, monkeypatch, capsys):
    return Task(fake, monkeypatch, capsys)


# --- the way it goes -------------------------------------------------------------------------


def test_a_bridge_is_made_in_one_transaction_and_a_second_run_changes_nothing(task, fake):
    result = task.kept(**PLAIN)
    assert ports(fake) == ["br-ex", "eno2", "int0"]
    assert result["actions"] == [doing("create", result)]
    assert result["commands"].startswith("ovs-vsctl ")
    assert (result["guard"], result["host_network"], result["objections"]) == (None, None, [])


def test_a_run_that_changes_nothing_starts_no_process_and_asks_once(task, fake):
    task.kept(**PLAIN)
    fake.asked.clear()
    fake.switch.received.clear()
    task(**PLAIN)
    assert (fake.asked, len(fake.switch.transactions)) == ([], 1)


def test_in_check_mode_the_server_judges_and_drops_it(task, fake):
    task(check=True, **PLAIN)
    assert fake.switch.transactions[-1][-1] == {"op": "abort"}
    assert fakeovsdb.rows(fake.engine, "Bridge") == []


def test_what_the_server_does_not_take_fails_in_check_mode_too(task, fake, monkeypatch):
    # 3.1.0 on a version of the schema without the column (fixtures/ovs/exchanges.json).
    fault = {"error": "unknown column", "details": "No column rstp_enable in table Bridge."}
    honest = fake.switch.reply

    def reply(method, params):
        if any(one["op"] == "insert" for one in params[1:]):
            return {"result": [fault, *[None] * (len(params) - 2)], "error": None}
        return honest(method, params)

    monkeypatch.setattr(fake.switch, "reply", reply)
    for check in (True, False):
        result = task(check=check, rstp=True)
        assert (result["failed"], result["server_error"]) == (True, "unknown column")
        assert result["actions"][-1].startswith("create bridge br-ex")
        assert "leave the option out, or upgrade" in result["remedy"]


def test_the_diff_is_about_what_the_task_manages(task):
    diff = task.kept(**PLAIN)["diff"]
    assert diff["before"] == "{}\n" or diff["before"] == ""
    assert "tag: 40" in diff["after"]
    assert "mtu_request: 1400" in diff["after"]


def test_the_bridge_is_returned_as_open_vswitch_has_it(task, fake):
    bridge = task.kept(**PLAIN)["bridge"]
    assert list(bridge["ports"]) == ["br-ex", "eno2", "int0"]
    interface = bridge["ports"]["int0"]["interfaces"]["int0"]
    assert (interface["mtu"], interface["error"], interface["ofport"] > 0) == (1400, None, True)
    assert bridge["ports"]["eno2"]["tag"] == 40


def test_absent_takes_the_bridge_and_a_second_run_finds_nothing(task, fake):
    task.kept(**PLAIN)
    result = task.kept(state="absent")
    assert result["actions"][0].startswith("remove bridge br-ex")
    assert (fakeovsdb.rows(fake.engine, "Bridge"), result["bridge"]) == ([], None)


def test_an_unknown_key_is_warned_of(task):
    task.kept(other_config={"mac-ageing-time": 60})
    (warning,) = task.warned
    assert "mac-aging-time" in warning


# --- keys of tunnels -------------------------------------------------------------------------

TUNNEL = {"name": "vx0", "type": "vxlan", "options": {"remote_ip": "192.0.2.2"}}


def test_a_key_of_a_tunnel_appears_nowhere(task, fake):
    secrets = {"vx0": {"psk": "swordfish-1"}}
    for check in (True, False):
        result = task(check=check, ports=[TUNNEL], secrets=secrets)
        assert "failed" not in result
        assert "swordfish-1" not in task.out
    assert fakeovsdb.row(fake.engine, "Interface", "vx0")["options"]["psk"] == "swordfish-1"
    assert task(ports=[TUNNEL], secrets=secrets)["changed"] is False
    assert "swordfish-1" not in task.out
    changed = task(ports=[TUNNEL], secrets={"vx0": {"psk": "swordfish-2"}})
    assert changed["changed"] is True
    assert "swordfish" not in task.out
    assert result["bridge"]["ports"]["vx0"]["interfaces"]["vx0"]["options"]["psk"] == "********"


# --- somebody else ---------------------------------------------------------------------------


def test_a_stale_plan_is_made_anew_and_both_changes_are_there(task, fake):
    task.kept(**PLAIN)
    fake.switch.before.append(lambda: fakeovsdb.add_port(fake.engine, "br-ex", "vnet7"))
    result = task(ports=[*PLAIN["ports"], {"name": "eno3", "tag": 41}])
    assert ports(fake) == ["br-ex", "eno2", "eno3", "int0", "vnet7"]
    assert len(result["actions"]) == 1


def test_after_three_stale_plans_it_gives_up(task, fake):
    task.kept(**PLAIN)
    for number in range(3):
        fake.switch.before.append(
            lambda number=number: fakeovsdb.add_port(fake.engine, "br-ex", f"vnet{number}")
        )
    result = task(ports=[*PLAIN["ports"], {"name": "eno3", "tag": 41}])
    assert (result["failed"], result["error"]) == (True, "Stale")
    assert "eno3" not in ports(fake)


def test_a_stale_plan_under_the_guard_is_taken_back_before_it_is_made_anew(task, fake):
    carrying(task, fake)
    fake.switch.before.append(lambda: fakeovsdb.add_port(fake.engine, "br-ex", "vnet7"))
    result = task(ports=[{"name": "eno1"}, {"name": "eno2"}], mtu=1400, allow=["loop"])
    assert "failed" not in result, result["msg"]
    assert result["actions"][0] == "guard the change of ovs-bridge for 90 s"
    assert len(result["actions"]) == 2
    assert fake.armed() == [result["guard"]["token"]]
    assert ports(fake) == ["br-ex", "eno1", "eno2", "vnet7"]


def test_a_failure_after_a_plan_that_was_made_anew_is_taken_back_as_any_other(task, fake):
    carrying(task, fake)
    fake.switch.before.append(lambda: fakeovsdb.add_port(fake.engine, "br-ex", "vnet7"))
    fake.engine.settle.faults["eno2"] = fakeovsdb.GONE
    result = task(ports=[{"name": "eno1"}, {"name": "eno2"}], rstp=True)
    assert (result["error"], "The change was taken back." in result["msg"]) == ("Unrealised", True)
    assert (fake.armed(), fake.mark(), ports(fake)) == ([], None, ["br-ex", "eno1", "vnet7"])


def test_what_somebody_changes_at_once_is_no_success(task, fake):
    task.kept(**PLAIN)
    settle = fake.engine.settle

    def meddle(engine):
        settle(engine)
        fake.engine.settle = settle
        fakeovsdb.change(engine, "Port", "eno2", tag=frozenset([7]))

    fake.engine.settle = meddle
    result = task(ports=[{"name": "eno2", "tag": 41}, PLAIN["ports"][1]])
    assert (result["error"], "tag: 7" in result["found"]) == ("VerifyError", True)


def test_without_a_database_it_says_so(task, fake):
    fake.path("/run/openvswitch/db.sock").unlink()
    assert "install and start Open vSwitch" in task(**PLAIN)["remedy"]


def test_where_open_vswitch_is_only_to_come_it_is_foretold_and_not_judged(task, fake):
    fake.path("/run/openvswitch/db.sock").unlink()
    result = task(check=True, awaited=True, **PLAIN)
    assert result["changed"] is True
    assert result["actions"][0].startswith("create bridge br-ex")
    assert "has not judged" in task.warned[-1]


def test_the_time_limit_must_be_one(task):
    assert "timeout is 0" in task.refused(timeout=0)["msg"]


# --- what Open vSwitch takes and does not carry out --------------------------------------------

MISLEADING = [
    ({"name": "eno9", "tag": 9}, fakeovsdb.GONE, "eno9"),
    ({"name": "odd0", "type": "internal"}, fakeovsdb.ODD_TYPE, "odd0"),
    (TUNNEL, fakeovsdb.DUPLICATE_TUNNEL, "vx0"),
    ({"name": "pa", "type": "patch", "peer": "nope"}, fakeovsdb.NO_PEER, "pa"),
    ({"name": "big0", "type": "internal", "mtu": 9999}, fakeovsdb.MTU_IGNORED, "big0"),
]


@pytest.mark.parametrize(("port", "fault", "name"), MISLEADING)
def test_a_misleading_success_fails_with_the_name_of_the_port_and_is_reverted(
    task, fake, monkeypatch, port, fault, name
):
    monkeypatch.setattr("time.sleep", lambda _s: None)
    if name == "eno9":
        fake.cards["eno9"] = "02:00:00:00:00:09"
    task.kept(**PLAIN)
    before = fake.configuration()
    fake.engine.settle.faults[name] = fault
    result = task(ports=[*PLAIN["ports"], port])
    assert result["error"] == "Unrealised"
    assert f"Port {name}:" in result["msg"]
    assert result["msg"].count("It was taken back.") == 1
    assert result["rollback"] == {
        "attempted": True,
        "ok": True,
        "undone": ["take the change of bridge br-ex back"],
        "failed": [],
    }
    assert [one["port"] for one in result["faults"]] == [name]
    assert fake.configuration() == before


def test_kept_on_request_it_fails_and_the_next_run_fails_as_well(task, fake):
    fake.engine.settle.faults["vx0"] = fakeovsdb.DUPLICATE_TUNNEL
    result = task(ports=[TUNNEL], on_realise_error="keep")
    assert (result["failed"], "rollback" in result) == (True, False)
    assert "vx0" in ports(fake)
    again = task(ports=[TUNNEL], on_realise_error="keep")
    assert (again["error"], again["faults"][0]["port"]) == ("VerifyError", "vx0")
    assert "is configured as wished, and does not work so" in again["msg"]


def test_what_is_to_come_later_may_be_missing(task, fake):
    fake.engine.settle.faults.update(eno9=fakeovsdb.GONE, pa=fakeovsdb.NO_PEER)
    wish = {"ports": [{"name": "eno9"}, {"name": "pa", "type": "patch", "peer": "nope"}]}
    assert "[missing_nic]" in task.refused(**wish)["msg"]
    result = task.kept(**wish, allow=["missing_nic"])
    assert [one["name"] for one in result["objections"]] == ["missing_nic"]


def test_a_dead_port_that_nobody_changes_is_a_warning_beside_a_change(task, fake):
    task.kept(**PLAIN)
    fake.engine.settle.faults["int0"] = fakeovsdb.GONE
    fakeovsdb.add_port(fake.engine, "br-ex", "other")
    result = task(ports=[*PLAIN["ports"], {"name": "eno3", "tag": 41}])
    assert "failed" not in result, result["msg"]
    assert any("Port int0 does not work" in warning for warning in task.warned)


def test_a_daemon_that_does_not_run_is_no_success(task, fake):
    fake.engine.settle = None
    before = fake.configuration()
    result = task(timeout=1, **PLAIN)
    assert result["error"] == "Unrealised"
    assert "ovs-vswitchd did not carry it out within 1 s" in result["msg"]
    assert result["rollback"]["ok"] is True
    assert fake.configuration() == before


def test_what_cannot_be_taken_back_is_told(task, fake):
    fake.engine.settle.faults["vx0"] = fakeovsdb.DUPLICATE_TUNNEL
    sent = []
    fake.switch.before.append(lambda: sent.append(True))
    honest = fake.switch.reply

    def reply(method, params):
        if sent and any(one["op"] == "comment" for one in params[1:]):
            fault = {"error": "I/O error", "details": "no space"}
            return {"result": [fault, *[None] * (len(params) - 2)], "error": None}
        return honest(method, params)

    fake.switch.reply = reply
    result = task(ports=[TUNNEL])
    assert result["rollback"]["ok"] is False
    assert "It could not be taken back: Open vSwitch refused" in result["msg"]
