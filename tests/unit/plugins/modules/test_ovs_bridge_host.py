# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ovs_bridge where the host itself hangs on the bridge: lock-outs, the guard, and its own addresses."""

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


# --- who would be cut off --------------------------------------------------------------------


def test_a_card_that_carries_the_host_is_refused_without_a_word_about_it(task, fake):
    result = task.refused(ports=[{"name": "eno1"}])
    assert "[lockout] eno1 carries the SSH connection" in result["msg"]
    assert [one["name"] for one in result["objections"]] == ["lockout"]


def test_the_same_allowed_is_guarded_and_taken_back_when_nobody_confirms(task, fake):
    before = fake.configuration()
    result = task.predicted(ports=[{"name": "eno1"}], allow=["lockout"])
    assert result["actions"][0] == "guard the change of ovs-bridge for 90 s"
    assert result["guard"]["token"] in fake.armed()
    assert fake.mark() == result["guard"]["token"]
    fake.roll_back(result["guard"]["token"])
    assert (fake.configuration(), fake.mark()) == (before, None)


@pytest.mark.parametrize(
    "wish",
    [
        {"ports": [{"name": "eno1", "tag": 40}]},
        {"fail_mode": "secure", "controllers": []},
        {"controllers": ["tcp:127.0.0.1:1"]},
        {"stp": True},
        {"ports": [{"name": "eno2"}], "purge": "all"},
    ],
)
def test_lock_outs_are_refused_and_when_allowed_they_are_guarded(task, fake, wish):
    carrying(task, fake)
    before = fake.configuration()
    options = {"ports": [{"name": "eno1"}], **wish}
    assert "[lockout]" in task.refused(**options)["msg"]
    result = task.predicted(**options, allow=["lockout"])
    assert [one["allowed"] for one in result["objections"]] == [True]
    fake.roll_back(result["guard"]["token"])
    assert (fake.configuration(), fake.network()) == (before, ({"br-ex": "192.0.2.11"}, "br-ex"))


def test_a_port_that_the_host_does_not_hang_on_needs_no_guard(task, fake):
    carrying(task, fake)
    result = task.kept(
        ports=[{"name": "eno1"}, {"name": "int0", "type": "internal", "tag": 30}], host_network={}
    )
    assert (result["changed"], result["guard"]) == (True, None)


def test_what_carries_the_host_is_not_changed_through_a_database_elsewhere(task, fake, monkeypatch):
    carrying(task, fake)
    path = fake.path("/run/openvswitch/db.sock")
    path.rename(path.with_name("other.sock"))
    result = task.refused(db="unix:/run/openvswitch/other.sock", stp=True, allow=["lockout"])
    assert "a guard cannot use the database at unix:/run/openvswitch/other.sock" in result["msg"]


def test_a_database_in_another_folder_is_told_to_the_guard(task, fake):
    carrying(task, fake)
    fake.path("/run/private").mkdir()
    fake.path("/run/openvswitch/db.sock").rename(fake.path("/run/private/db.sock"))
    token = task(db="unix:/run/private/db.sock", stp=True, allow=["lockout"])["guard"]["token"]
    for script in ("rollback", "commit"):
        assert fake.script(token, script).startswith("OVS_RUNDIR=/run/private\nexport OVS_RUNDIR\n")


# --- the host's own network ------------------------------------------------------------------

UPLINK = {"ports": [{"name": "eno1"}, {"name": "eno2"}], "allow": ["loop"], "host_network": {"mode": "auto"}}


def test_the_host_moves_on_to_the_bridge_and_ifupdown_keeps_it_when_it_is_confirmed(task, fake):
    fake.with_ifupdown()
    result = task.predicted(**UPLINK)
    assert result["actions"] == [
        "guard the change of ovs-bridge for 90 s",
        doing("create", result),
        "move addresses, routes and rules of eno1 to br-ex",
    ]
    assert fake.network() == ({"br-ex": "192.0.2.11"}, "br-ex")
    assert fakeovsdb.row(fake.engine, "Bridge", "br-ex")["other_config"]["hwaddr"] == "02:00:00:00:00:01"
    told = result["host_network"]
    assert (told["from"], told["to"], told["persisted_by"]) == ("eno1", "br-ex", "ifupdown")
    assert "iface br-ex" not in "".join(text for name, text in fake.tree().items() if "/guard/" not in name)
    fake.confirm()
    own = fake.path("/etc/network/interfaces.d/hearth-br-ex").read_text()
    assert "iface br-ex inet static" in own
    again = task.predicted(**UPLINK)
    assert (again["changed"], again["host_network"], fake.mark()) == (False, None, None)


def test_the_diff_shows_what_moves(task, fake):
    fake.with_ifupdown()
    diff = task.predicted(**UPLINK)["diff"]
    assert "host_network:\n  device: eno1\n  address: 192.0.2.11/24" in diff["before"]
    assert "host_network:\n  device: br-ex\n  address: 192.0.2.11/24" in diff["after"]


def test_a_move_that_nobody_confirms_is_taken_back_whole(task, fake):
    fake.with_ifupdown()
    before = fake.state()
    token = task.predicted(**UPLINK)["guard"]["token"]
    fake.roll_back(token)
    subsequent = fake.state()
    assert subsequent[1:] == before[1:]
    assert {name: text for name, text in subsequent[0].items() if name in before[0]} == before[0]


def test_a_move_that_fails_is_taken_back_at_once(task, fake):
    fake.with_ifupdown()
    before = fake.configuration(), fake.network()
    fake.move_fails = True
    result = task(**UPLINK)
    assert (result["failed"], result["rollback"]["ok"], fake.armed()) == (True, True, [])
    assert "address flush" not in result["msg"], "the script is long"
    assert (fake.configuration(), fake.network()) == before


def test_an_address_that_did_not_arrive_is_taken_back_at_once(task, fake):
    fake.with_ifupdown()
    before = fake.configuration(), fake.network()
    fake.on_move = lambda: fake.addresses.update({"br-ex": "192.0.2.99"})
    result = task(**UPLINK)
    assert (result["error"], fake.armed()) == ("VerifyError", [])
    assert result["msg"].endswith("The change was taken back.")
    assert fake.configuration() == before[0]


def test_a_guarded_change_that_does_not_work_is_taken_back_by_the_guard(task, fake):
    fake.with_ifupdown()
    before = fake.configuration(), fake.network()
    fake.engine.settle.faults["eno2"] = fakeovsdb.GONE
    result = task(**UPLINK, on_realise_error="keep")
    assert (result["error"], "The change was taken back." in result["msg"]) == ("Unrealised", True)
    assert (fake.configuration(), fake.network(), fake.mark()) == (*before, None)


def test_what_the_guard_cannot_take_back_at_once_is_told(task, fake):
    fake.with_ifupdown()
    fake.engine.settle.faults["eno2"] = fakeovsdb.GONE
    fake.guard_rolls_back = False
    assert "the guard goes on trying" in task(**UPLINK)["msg"]
    assert fake.armed()


def test_a_guard_that_is_not_armed_stops_everything(task, fake):
    fake.with_ifupdown()
    before = fake.configuration(), fake.network()
    fake.guard_arms = False
    assert "is not armed, so nothing was changed" in task(**UPLINK)["msg"]
    assert (fake.configuration(), fake.network()) == before


def test_while_a_change_waits_nothing_else_is_changed(task, fake):
    fake.with_ifupdown()
    task.predicted(**UPLINK)
    assert "bridge br-ex is not changed while" in task.refused(**UPLINK)["msg"]


def test_what_a_dead_run_left_is_ended_first(task, fake):
    fake.with_ifupdown()
    task.predicted(**UPLINK)
    fake.dead_man = False
    result = task(**UPLINK)
    assert result["actions"][0] == "end the change of ovs-bridge that a dead run left behind"
    assert (result["changed"], fake.armed()) == (True, [result["guard"]["token"]])


def test_only_the_end_of_a_dead_run_is_a_change_too(task, fake):
    carrying(task, fake)
    task(ports=[{"name": "eno1"}], stp=True, allow=["lockout"])
    fake.dead_man = False
    result = task(ports=[{"name": "eno1"}])
    assert (result["changed"], result["transaction"]) == (True, [])


def test_the_rollback_of_a_change_that_never_was_made_restores_nothing(task, fake):
    # Killed between arming and the transaction.
    carrying(task, fake)
    token = task(ports=[], purge="all", allow=["lockout", "host_address"])["guard"]["token"]
    operations = fake.taking_back(token)
    assert any(one["op"] == "insert" for one in operations)
    fake.roll_back(token)
    again = fake.switch.answer({"id": 1, "method": "transact", "params": ["Open_vSwitch", *operations]})
    assert again["result"][0]["error"] == "timed out"
    assert "eno1" in ports(fake)


def test_the_host_comes_back_from_a_bridge_that_goes(task, fake):
    carrying(task, fake)
    assert "[lockout] br-ex of br-ex carries" in task.refused(state="absent")["msg"]
    result = task.predicted(state="absent", host_network={})
    assert result["actions"] == [
        "guard the change of ovs-bridge for 90 s",
        doing("remove", result),
        "move addresses, routes and rules of br-ex to eno1",
    ]
    assert fake.network() == ({"eno1": "192.0.2.11"}, "eno1")
    assert fake.path("/etc/network/interfaces.d/hearth-br-ex").exists(), "nobody has confirmed it yet"
    fake.confirm()
    assert not fake.path("/etc/network/interfaces.d/hearth-br-ex").exists()
    assert "iface eno1 inet static" in fake.path("/etc/network/interfaces").read_text()
    again = task.predicted(state="absent", host_network={})
    assert (again["changed"], again["actions"]) == (False, [])


def test_a_way_back_that_nobody_confirms_is_taken_back(task, fake):
    carrying(task, fake)
    before = fake.configuration(), fake.network()
    token = task.predicted(state="absent", host_network={})["guard"]["token"]
    fake.roll_back(token)
    assert (fake.configuration(), fake.network()) == before


def test_files_of_a_bridge_that_is_gone_go_as_well(task, fake):
    carrying(task, fake)
    fake.carry("br-ex", "eno1")
    task.kept(state="absent")
    assert not fake.path("/etc/network/interfaces.d/hearth-br-ex").exists()


def test_files_that_outlived_their_bridge_go(task, fake):
    carrying(task, fake)
    fake.carry("br-ex", "eno1")
    fake.engine.transact(
        [{"op": "update", "table": "Open_vSwitch", "where": [], "row": {"bridges": ["set", []]}}]
    )
    result = task.kept(state="absent")
    assert "# /etc/network/interfaces.d/hearth-br-ex is left of it" in result["diff"]["before"]
    assert result["actions"][-1] == "tell ifupdown"


def test_under_a_guard_files_go_when_it_is_confirmed(task, fake):
    carrying(task, fake)
    own = fake.path("/etc/network/interfaces.d/hearth-br-ex")
    task.predicted(state="absent", allow=["lockout", "host_address"])
    assert own.exists()
    fake.confirm()
    assert not own.exists()


def test_from_a_bridge_that_carries_nothing_nothing_comes_back(task, fake):
    task.kept(**PLAIN)
    assert task.kept(state="absent", host_network={})["host_network"] is None


def test_nothing_to_move_is_refused_where_it_is_required(task, fake):
    fake.with_ifupdown()
    result = task.refused(ports=[{"name": "eno2"}], host_network={"mode": "required"})
    assert "no device of br-ex carries anything of the host. eno1 carries the SSH connection" in result["msg"]


def test_what_has_moved_already_is_enough_where_it_is_required(task, fake):
    carrying(task, fake)
    assert task.kept(ports=[{"name": "eno1"}], host_network={"mode": "required"})["changed"] is False


def test_with_mode_off_nothing_moves(task, fake):
    assert "[lockout]" in task.refused(ports=[{"name": "eno1"}], host_network={"mode": "off"})["msg"]


def test_the_bridge_has_the_address_of_its_first_device(task, fake):
    task.kept(ports=[{"name": "eno2"}], hwaddr="auto")
    assert fakeovsdb.row(fake.engine, "Bridge", "br-ex")["other_config"]["hwaddr"] == "02:00:00:00:00:02"


def test_nothing_is_written_for_the_next_boot_where_that_is_not_wanted(task, fake):
    result = task.kept(**{**UPLINK, "host_network": {"persist": "none"}})
    assert result["host_network"]["persisted_by"] is None
