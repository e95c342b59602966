# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fakeovsdb
import pytest
from planning import Switch, configuration, internal, nic, some, wish

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import model


@pytest.fixture
def switch():
    return Switch()


def mirror(name, **columns):
    return model.MirrorWish(name, {column: some(*names) for column, names in columns.items()})


def test_mirrors_come_change_and_go(switch):
    ports = (nic("eth1"), nic("eth2"), internal("span"))
    first = mirror("m0", select_src_port=["eth1"], output_port=["span"])
    switch.apply(wish(*ports, mirrors=(first, mirror("m1", output_port=["span"]))))
    planned = switch.apply(
        wish(*ports, mirrors=(mirror("m0", select_src_port=["eth1", "eth2"], output_port=["span"]),))
    )
    assert planned.after["mirrors"]["m0"]["select_src_port"] == ["eth1", "eth2"]
    assert switch.names("Mirror") == ["m0"]
    switch.apply(wish(*ports))
    assert switch.names("Mirror") == ["m0"]
    switch.apply(wish(*ports, mirrors=()))
    assert switch.names("Mirror") == []


def test_a_mirror_loses_a_port_that_goes_and_has_it_again_after_a_revert(switch):
    watched = mirror("m0", select_src_port=["eth1", "eth2"], output_port=["span"])
    switch.apply(wish(nic("eth1"), nic("eth2"), internal("span"), mirrors=(watched,)))
    before = configuration(switch.read())
    planned = switch.apply(wish(nic("eth1"), internal("span")))
    assert switch.row("Mirror", "m0")["select_src_port"] == {switch.row("Port", "eth1")["_uuid"]}
    switch.send(planned.inverse)
    assert configuration(switch.read()) == before


def test_a_mirror_of_a_port_that_is_not_there_is_refused(switch):
    with pytest.raises(Refusal, match="Mirror m0 of br0: eth9 in output_port is no port") as refusal:
        switch.plan(wish(nic("eth1"), mirrors=(mirror("m0", output_port=["eth9"]),)))
    assert refusal.value.remedy == "name some of br0, eth1"


@pytest.mark.parametrize(("purge", "stays"), [(model.NONE, True), (model.OWNED, True), (model.ALL, False)])
def test_a_mirror_of_somebody_else_goes_with_all_only(switch, purge, stays):
    fakeovsdb.add_bridge(switch.engine, "br0")
    switch.client.transact(
        [
            {"op": "insert", "table": "Mirror", "row": {"name": "theirs"}, "uuid-name": "m"},
            {
                "op": "update",
                "table": "Bridge",
                "where": [["name", "==", "br0"]],
                "row": {"mirrors": ["named-uuid", "m"]},
            },
        ]
    )
    planned = switch.apply(wish(mirrors=(), purge=purge))
    assert (switch.names("Mirror") == ["theirs"]) is stays
    assert any("Mirror theirs of br0 stays" in warning for warning in planned.warnings) is stays


def test_controllers_are_these_and_no_others_and_keep_their_rows(switch):
    switch.apply(model.Wish("br0", controllers=("tcp:192.0.2.1:6653", "tcp:192.0.2.2:6653")))
    rows = {row["target"]: row["_uuid"] for row in switch.rows("Controller")}
    planned = switch.apply(model.Wish("br0", controllers=("tcp:192.0.2.2:6653", "ptcp:6653:127.0.0.1")))
    kept = {row["target"]: row["_uuid"] for row in switch.rows("Controller")}
    assert kept["tcp:192.0.2.2:6653"] == rows["tcp:192.0.2.2:6653"]
    assert planned.after["controllers"] == sorted(kept) == ["ptcp:6653:127.0.0.1", "tcp:192.0.2.2:6653"]
    # Without a controller, or with a dead one, every port stands still.
    assert planned.ports == ("br0",)
    assert not switch.plan(model.Wish("br0")).operations
    switch.apply(model.Wish("br0", controllers=()))
    assert switch.rows("Controller") == []


def test_a_mirror_of_somebody_else_beside_ours_needs_no_warning(switch):
    ports = (nic("eth1"), internal("span"))
    switch.apply(wish(*ports, mirrors=(mirror("m0", select_src_port=["eth1"], output_port=["span"]),)))
    fakeovsdb.change(switch.engine, "Mirror", "m0", external_ids={})
    planned = switch.apply(wish(*ports, mirrors=(mirror("m1", output_port=["span"]),)))
    assert (switch.names("Mirror"), planned.warnings) == (["m0", "m1"], ())
    # And what it does is no concern of ours.
    assert list(planned.after["mirrors"]) == ["m1"]
