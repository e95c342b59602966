# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import parse_wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_warnings import warnings_of

BOND = {"name": "bond0", "members": ["e0", "e1"]}
REMOTE = {"remote_ip": "192.0.2.2"}


def warnings(**given: t.Any) -> tuple[str, ...]:
    return warnings_of(parse_wish({"name": "br0", **given}))


def of_port(**given: t.Any) -> tuple[str, ...]:
    return warnings(ports=[{"name": "p0", **given}])


def test_a_wish_that_says_what_it_means_has_no_warnings() -> None:
    assert warnings() == ()
    assert warnings(state="absent") == ()
    assert (
        warnings(
            hwaddr="auto",
            mtu=9000,
            stp=True,
            other_config={"stp-priority": 4096},
            ports=[
                {"name": "p0", "tag": 40, "mtu": 1280, "other_config": {"stp-enable": False}},
                {"name": "vx0", "type": "vxlan", "options": {**REMOTE, "key": "flow"}},
                BOND,
            ],
            qos={
                "p0": {
                    "type": "linux-htb",
                    "max_rate": 30,
                    "queues": {0: {"min_rate": 10}, 1: {"min_rate": 20}},
                }
            },
        )
        == ()
    )


@pytest.mark.parametrize(
    ("given", "begins"),
    [
        (
            {"other_config": {"mcast_snooping": 1}},
            "other_config of bridge br0: 'mcast_snooping' is not known",
        ),
        ({"mtu": 1279}, "mtu of bridge br0: 1279 is less than IPv6 needs"),
        ({"stp": True, "ports": [BOND]}, "Bridge br0: all its ways out are bonds"),
        ({"rstp": True, "ports": [BOND, {"name": "i0", "type": "internal"}]}, "Bridge br0: all its ways out"),
    ],
)
def test_a_doubt_about_the_bridge_is_told(given: dict[str, t.Any], begins: str) -> None:
    (warning,) = warnings(**given)
    assert warning.startswith(begins)


@pytest.mark.parametrize(
    "given",
    [{"stp": False, "ports": [BOND]}, {"stp": True}, {"stp": True, "ports": [BOND, {"name": "e2"}]}],
)
def test_bonds_are_no_doubt_without_spanning_tree_or_beside_another_way_out(given: dict[str, t.Any]) -> None:
    assert warnings(**given) == ()


@pytest.mark.parametrize(
    ("given", "begins"),
    [
        ({"tag": 0}, "tag of port p0: 0 is reserved"),
        ({"tag": 4095}, "tag of port p0: 4095 is reserved"),
        ({"mtu": 1000}, "mtu of port p0: 1000 is less than IPv6 needs"),
        ({"other_config": {"lacp_time": "fast"}}, "other_config of port p0: 'lacp_time' is not known"),
        (
            {"type": "vxlan", "options": {**REMOTE, "dstport": 4789}},
            "options of port p0: 'dstport' is not known",
        ),
        ({"type": "gre", "options": {**REMOTE, "dst_port": 1}}, "options of port p0: 'dst_port' is not"),
        ({"type": "vxlan", "options": {**REMOTE, "csum": "on"}}, "options of port p0: csum is 'on'"),
    ],
)
def test_a_doubt_about_a_port_is_told_with_its_name(given: dict[str, t.Any], begins: str) -> None:
    (warning,) = of_port(**given)
    assert warning.startswith(begins)


@pytest.mark.parametrize(
    ("qos", "begins"),
    [
        (
            {"type": "linux-sfq", "other_config": {"max-rate": 1}},
            "other_config in qos of port p0: 'max-rate'",
        ),
        (
            {"type": "linux-hfsc", "queues": {3: {"priority": 1}}},
            "other_config of queue 3 in qos of port p0: 'priority' is not known",
        ),
        (
            {"type": "linux-htb", "max_rate": 29, "queues": {0: {"min_rate": 10}, 1: {"min_rate": 20}}},
            "qos of port p0: its queues are promised 30 bit/s, and all of it has 29.",
        ),
        (
            {"type": "linux-htb", "other_config": {"max-rate": "1G"}},
            "other_config in qos of port p0: max-rate",
        ),
    ],
)
def test_a_doubt_about_qos_is_told_with_its_port(qos: dict[str, t.Any], begins: str) -> None:
    (warning,) = warnings(ports=[{"name": "p0"}], qos={"p0": qos})
    assert warning.startswith(begins)


def test_no_qos_is_no_doubt() -> None:
    assert warnings(ports=[{"name": "p0"}], qos={}) == ()
