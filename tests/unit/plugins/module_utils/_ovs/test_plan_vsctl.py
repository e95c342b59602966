# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people see of a transaction. Each line was also run by ovs-vsctl 3.1.0 against a private server."""

from __future__ import annotations

import shlex

import pytest
from planning import Switch, bond, nic, shaped, some, wish

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan import rehearsal, transaction
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.state import as_vsctl, redacted


def commands(line):
    """Split a line as the shell and then ovs-vsctl would."""
    found, words = [], shlex.split(line)
    assert words[:2] == ["ovs-vsctl", "--"]
    for word in words[1:]:
        found.append([]) if word == "--" else found[-1].append(word)
    return [" ".join(command) for command in found]


def test_new_rows_refer_to_each_other_by_ids():
    switch = Switch()
    line = as_vsctl(switch.plan(wish(nic("eth1", tag=some(10)))).operations)
    assert [command.replace("@n4,@n3", "@n3,@n4") for command in commands(line)] == [
        "--id=@n1 create Interface external_ids:hearth-owner=br0 name=br0 type=internal",
        "--id=@n2 create Interface external_ids:hearth-owner=br0 name=eth1",
        "--id=@n3 create Port external_ids:hearth-owner=br0 interfaces=@n1 name=br0",
        "--id=@n4 create Port external_ids:hearth-owner=br0 interfaces=@n2 name=eth1 tag=10",
        "--id=@n5 create Bridge external_ids:hearth-owner=br0 name=br0 ports=@n3,@n4",
        "add Open_vSwitch . bridges @n5",
    ]


def test_rows_that_are_there_are_called_by_their_names():
    switch = Switch()
    switch.apply(wish(bond("bond0", "p1", "p2", tag=some(1)), bridge={"other_config": {"a": "1"}}))
    gone = switch.row("Interface", "p1")["_uuid"]
    planned = switch.plan(
        wish(bond("bond0", "p2", "p3", tag=some(), lacp=some("off")), bridge={"other_config": {"a": "2 3"}})
    )
    found = commands(as_vsctl(planned.operations, switch.read()))
    assert found[1:] == [
        "set Port bond0 lacp=off",
        "clear Port bond0 tag",
        "add Port bond0 interfaces @n4",
        f"remove Port bond0 interfaces {gone}",
        "remove Bridge br0 other_config a",
        'set Bridge br0 other_config:a="2 3"',
    ]
    assert as_vsctl(planned.operations).count("bond0") == 0


def test_rows_without_names_are_destroyed_by_their_uuid():
    switch = Switch()
    switch.apply(wish(shaped("eth1", "linux-htb", {0: {}}, max_rate="1")))
    (qos,), (queue,) = switch.rows("QoS"), switch.rows("Queue")
    planned = switch.plan(wish(shaped("eth1", "")))
    assert commands(as_vsctl(planned.operations, switch.read())) == [
        "clear Port eth1 qos",
        f"destroy Queue {queue['_uuid']}",
        f"destroy QoS {qos['_uuid']}",
    ]


@pytest.mark.parametrize("more", [transaction, rehearsal])
def test_what_only_the_server_needs_is_left_out(more):
    assert as_vsctl(more(())) == ""


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("plain", "plain"),
        ("true", '"true"'),
        ("5", '"5"'),
        ("a=b,c", '"a=b,c"'),
        ("it's", '"it\'s"'),
        ("", '""'),
        ("$(x)", '"$(x)"'),
    ],
)
def test_values_are_quoted_for_the_shell_and_for_ovs_vsctl(value, word):
    operation = {
        "op": "insert",
        "table": "Queue",
        "uuid": "u",
        "row": {"other_config": ["map", [[value, value]]]},
    }
    assert commands(as_vsctl([operation])) == [f"--id=@n0 create Queue other_config:{word}={word}"]


def test_secrets_are_hidden_in_both_forms():
    tunnel = model.InterfaceWish(
        "vx0", {"type": "vxlan", "options": {"remote_ip": "192.0.2.1", "psk": "swordfish"}}
    )
    operations = Switch().plan(wish(model.PortWish("vx0", (tunnel,)))).operations
    assert "swordfish" in str(operations)
    assert "swordfish" not in str(redacted(operations)) + as_vsctl(operations)
    assert 'options:psk="********"' in as_vsctl(operations)
    assert redacted(redacted(operations)) == redacted(operations)
