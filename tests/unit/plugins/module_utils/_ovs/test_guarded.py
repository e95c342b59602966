# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which changes need a guard, and that a marked one is taken back once and an unmarked one never."""

from __future__ import annotations

import dataclasses
import subprocess

import fakeovsdb
import pytest
from bridgescenes import HOST, STORAGE, card, carrying, carrying_bridge, nics, software

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Address, Capture
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import guarded
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.ovsdb import Stale
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan import transaction
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.read import read_database
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.scene import Scene
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import parse_wish

REMOTE = "unix:/run/openvswitch/db.sock"
PORTS = [{"name": "eno1"}]
ANY = ["lockout", "host_address", "loop"]


def scene(engine=None, devices=None, **params):
    """Return what a task about a host on br-ex has read, everything allowed."""
    host = carrying(engine)
    wish = parse_wish({"name": "br-ex", "ports": PORTS, "allow": ANY, **params})
    return Scene(read_database(fakeovsdb.EngineClient(host.engine)), wish, nics=devices or host.nics)


@pytest.mark.parametrize(
    ("params", "device"),
    [
        ({"ports": [{"name": "eno1", "tag": 40}]}, "br-ex"),
        ({"ports": [], "purge": "all"}, "br-ex"),
        ({"rstp": True}, "br-ex"),
        ({"mtu": 1400}, "br-ex"),
        ({"ports": [*PORTS, {"name": "eno2"}]}, "br-ex"),
        ({"state": "absent"}, "br-ex"),
        ({"ports": [*PORTS, {"name": "int0", "type": "internal"}]}, ""),
        ({"ports": [*PORTS, {"name": "vx0", "type": "vxlan", "options": {"remote_ip": "192.0.2.2"}}]}, ""),
        ({"external_ids": {"rack": "7"}}, ""),
    ],
)
def test_what_the_host_hangs_on_is_guarded_and_nothing_else(params, device):
    assert guarded.endangered(scene(**params)) == device


def test_a_host_without_anything_to_lose_needs_no_guard():
    assert guarded.endangered(scene(devices=nics(), rstp=True)) == ""


def test_a_card_that_is_taken_although_the_host_is_on_it_is_what_comes_back():
    devices = nics(card("eno1", carries=HOST), card("eno2", 2, carries=STORAGE))
    assert guarded.endangered(scene(fakeovsdb.new_database(), devices)) == "eno1"


def test_of_devices_of_the_bridge_the_one_that_weighs_most_is_captured():
    engine = carrying_bridge()
    fakeovsdb.add_port(engine, "br-ex", "mgmt0", {"type": "internal"})
    mgmt = software("mgmt0", "openvswitch", carries=HOST)
    devices = nics(software("br-ex", "openvswitch", carries=STORAGE), mgmt, card("eno3", 3, carries=HOST))
    assert guarded.endangered(scene(engine, devices, rstp=True)) == "mgmt0"


# --- the mark --------------------------------------------------------------------------------


class Marked:
    """A database, and a change of it under a guard."""

    def __init__(self, **params):
        self.engine = carrying_bridge()
        self.client = fakeovsdb.EngineClient(self.engine)
        self.scene = scene(self.engine, **params)

    def configuration(self):
        return {
            table: {row["_uuid"]: {**row, "_version": 0, "next_cfg": 0, "cur_cfg": 0} for row in rows}
            for table in ("Open_vSwitch", "Bridge", "Port", "Interface")
            for rows in [fakeovsdb.rows(self.engine, table)]
        }

    def make(self, token="t-1"):
        self.client.transact(transaction(guarded.marked(self.scene.planned.operations, token)))

    def take_back(self, token="t-1"):
        self.client.transact(guarded.taking_back(self.scene.planned.inverse, token))


def test_a_marked_change_is_taken_back_once():
    change = Marked(ports=[], purge="all")
    before = change.configuration()
    change.make()
    assert change.configuration() != before
    change.take_back()
    assert change.configuration() == before
    with pytest.raises(Stale):
        change.take_back()
    assert change.configuration() == before


def test_a_change_that_was_never_made_is_not_taken_back():
    change = Marked(ports=[], purge="all")
    before = change.configuration()
    with pytest.raises(Stale):
        change.take_back()
    assert change.configuration() == before


def test_the_mark_of_another_change_is_not_ours():
    change = Marked(rstp=True)
    change.make("t-1")
    with pytest.raises(Stale):
        change.take_back("t-2")


def test_a_mark_that_was_left_there_gives_way():
    change = Marked(rstp=True)
    change.make("t-1")
    again = Marked(rstp=True)
    again.engine, again.client = change.engine, change.client
    again.scene = scene(change.engine, rstp=False)
    again.make("t-2")
    (root,) = fakeovsdb.rows(change.engine, "Open_vSwitch")
    assert root["external_ids"] == {"hearth-guard": "t-2"}


# --- the scripts -----------------------------------------------------------------------------

CAPTURE = Capture("br-ex", addresses=(Address(4, "192.0.2.11", ("192.0.2.11/24",)),), up=True)


def guard(remote=REMOTE, capture=CAPTURE, **params):
    found = dataclasses.replace(scene(**(params or {"rstp": True})), capture=capture)
    return guarded.guard_of(found, "ovs-bridge-1", 90, remote)


def test_scripts_are_scripts():
    spec = guard()
    for text in (spec.rollback, spec.commit):
        done = subprocess.run(("sh", "-n"), input=text, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    assert (spec.what, spec.window_s, spec.files) == ("ovs-bridge", 90, {})


@pytest.mark.parametrize(
    ("answer", "restored"), [('[{"rows":[]}]', True), ('[{"rows":[{}]}]', False), (None, False)]
)
def test_without_its_mark_the_database_is_left_alone(tmp_path, answer, restored):
    # What ovsdb-tool 3.1.0 prints for a query without, and with a row.
    tool = tmp_path / "ovsdb-tool"
    tool.write_text(f"#!/bin/sh\necho '{answer}'\n" if answer else "#!/bin/sh\nexit 1\n")
    tool.chmod(0o755)
    look = guard().rollback.partition("set -u")[0]
    subprocess.run(
        ("sh",), input=look, text=True, cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True
    )
    assert (tmp_path / "restored").exists() is restored


def test_at_boot_the_mark_stays_since_nobody_serves_the_database(tmp_path):
    tool = tmp_path / "ovs-vsctl"
    tool.write_text('#!/bin/sh\necho "$@"\n')
    tool.chmod(0o755)

    def said(mode):
        argv = ("sh", "-s", mode)
        environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        return subprocess.run(
            argv, input=guard().commit, text=True, capture_output=True, env=environ, check=True
        ).stdout

    assert "remove Open_vSwitch . external_ids hearth-guard" in said("now")
    assert said("boot") == ""


@pytest.mark.parametrize("remote", ["tcp:192.0.2.1:6640", "ssl:192.0.2.1:6640", "unix:/run/other"])
def test_a_database_that_a_script_does_not_reach_is_refused(remote):
    with pytest.raises(Refusal, match="must work on a host that nobody reaches"):
        guard(remote)


@pytest.mark.parametrize(
    ("device", "ports", "other"),
    [
        ("br-ex", PORTS, "eno1"),
        ("mgmt0", PORTS, "eno1"),
        ("eno1", PORTS, "br-ex"),
        ("br-ex", [], "hearth-none"),
    ],
)
def test_addresses_are_taken_off_whoever_else_may_have_them(device, ports, other):
    engine = carrying_bridge() if ports else fakeovsdb.new_database()
    capture = dataclasses.replace(CAPTURE, device=device)
    found = dataclasses.replace(scene(engine, ports=ports), capture=capture)
    assert (
        f"address delete 192.0.2.11/24 dev {other}\n" in guarded.guard_of(found, "t-1", 90, REMOTE).rollback
    )
