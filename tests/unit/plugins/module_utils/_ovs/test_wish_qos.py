# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction, ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import known
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import PortWish, QosWish
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_qos import with_qos

PORTS = (PortWish("eno1", ()), PortWish("eno2", ()))


def qos(value: t.Any) -> QosWish | None:
    ports = with_qos(PORTS, {"eno1": value})
    assert ports is not None
    return ports[0].qos


def test_qos_is_put_on_the_ports_that_it_names_and_taken_off_the_others() -> None:
    ports = with_qos(PORTS, {"eno1": {"type": "linux-htb", "max_rate": 10_000_000_000}})
    assert ports == (
        PortWish("eno1", (), qos=QosWish("linux-htb", {"other_config": {"max-rate": "10000000000"}})),
        PortWish("eno2", (), qos=QosWish()),
    )


@pytest.mark.parametrize("value", [None, {}, {"type": "none"}, {"type": ""}, {"type": None, "queues": {}}])
def test_nothing_clears_the_qos_of_a_port(value: t.Any) -> None:
    assert qos(value) == QosWish()
    assert with_qos(PORTS, {}) == tuple(PortWish(port.name, (), qos=QosWish()) for port in PORTS)


def test_without_ports_there_is_none_to_put_it_on() -> None:
    assert with_qos(None, {}) is None
    with pytest.raises(ParseError, match="'eno1' is no port of this task"):
        with_qos(None, {"eno1": {"type": "linux-htb"}})


def test_queues_have_their_numbers_and_the_texts_of_the_database() -> None:
    assert qos(
        {
            "type": "linux-htb",
            "other_config": {},
            "queues": {
                0: {"min_rate": 1000, "max_rate": "2000", "burst": 8, "priority": 0},
                "7": {"dscp": 46, "other_config": {"x": True}, "min_rate": "none"},
                8: None,
                9: {"dscp": "none"},
            },
        }
    ) == QosWish(
        "linux-htb",
        {"other_config": {}},
        {
            0: {
                "other_config": {"min-rate": "1000", "max-rate": "2000", "burst": "8", "priority": "0"},
            },
            7: {"dscp": frozenset((46,)), "other_config": {"x": "true", "min-rate": None}},
            8: {},
            9: {"dscp": frozenset()},
        },
    )


@pytest.mark.parametrize("kind", sorted(known.QOS_TYPES))
def test_every_type_that_open_vswitch_has_is_taken(kind: str) -> None:
    assert qos({"type": kind}) == QosWish(kind)


@pytest.mark.parametrize(
    ("value", "message", "remedy"),
    [
        ([], r"qos of port eno1: \[\] is no mapping", "type, max_rate, other_config, queues"),
        ({"type": "htb"}, "type in qos of port eno1: 'htb' is not known", "linux-htb"),
        ({"max_rate": 1}, "type in qos of port eno1: it is not given", "linux-htb, linux-hfsc"),
        ({"type": "none", "queues": {0: {}}}, "type in qos of port eno1: it is not given", "use one of"),
        ({"type": "linux-htb", "max-rate": 1}, "'max-rate' is no option", "Did you mean 'max_rate'?"),
        ({"type": "linux-htb", "max_rate": 0}, "max_rate in qos of port eno1: 0", "none to clear"),
        ({"type": "linux-htb", "max_rate": "10G"}, "max_rate in qos of port eno1: '10G'", "none to clear"),
        ({"type": "linux-sfq", "max_rate": 1}, "linux-sfq has none", "use linux-htb or linux-hfsc"),
        ({"type": "linux-sfq", "queues": {0: {}}}, "queues in qos of port eno1: linux-sfq has none", "use"),
        ({"type": "linux-htb", "queues": [1]}, r"queues in qos of port eno1: \[1\] is no mapping", "numbers"),
        ({"type": "linux-htb", "queues": {61440: {}}}, "61440 is no whole number from 0 to 61439", "give"),
        ({"type": "linux-htb", "queues": {"x": {}}}, "number of a queue in qos of port eno1: 'x'", "give"),
        ({"type": "linux-htb", "queues": {"": {}}}, "queue '' is empty or there twice", "once"),
        ({"type": "linux-htb", "queues": {1: {}, "1": {}}}, "queue '1' is empty or there twice", "once"),
        ({"type": "linux-htb", "queues": {1: 5}}, "queue 1 in qos of port eno1: 5 is no mapping", "min_rate"),
        (
            {"type": "linux-htb", "queues": {1: {"min-rate": 5}}},
            "queue 1 in qos of port eno1: 'min-rate' is no option",
            "Did you mean 'min_rate'?",
        ),
        ({"type": "linux-htb", "queues": {1: {"dscp": 64}}}, "dscp of queue 1 in qos of port eno1", "give"),
    ],
)
def test_qos_that_could_not_work_is_refused_by_its_port(value: t.Any, message: str, remedy: str) -> None:
    with pytest.raises(ParseError, match=message) as error:
        qos(value)
    assert remedy in error.value.remedy


def test_a_port_that_the_task_does_not_have_is_refused_with_the_nearest() -> None:
    with pytest.raises(ParseError, match="qos: 'eno3' is no port of this task") as error:
        with_qos(PORTS, {"eno3": {}})
    assert "Did you mean 'eno1'?" in error.value.remedy or "Did you mean 'eno2'?" in error.value.remedy
    with pytest.raises(ParseError, match=r"qos: \[\] is no mapping"):
        with_qos(PORTS, [])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"type": "linux-htb", "max_rate": 1, "other_config": {"max-rate": 2}},
            "max-rate is twice in qos of port eno1",
        ),
        (
            {"type": "linux-htb", "queues": {1: {"burst": 1, "other_config": {"burst": None}}}},
            "burst is twice in queue 1 in qos of port eno1",
        ),
        (
            {"type": "linux-htb", "queues": {1: {"min_rate": 2, "max_rate": 1}}},
            "min_rate of queue 1 in qos of port eno1 is above its max_rate",
        ),
    ],
)
def test_rates_that_exclude_each_other_are_refused(value: t.Any, message: str) -> None:
    with pytest.raises(Contradiction, match=message) as error:
        qos(value)
    assert "leave one of them out" in error.value.remedy
