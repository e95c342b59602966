# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import parse_wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_host import (
    HostNetworkWish,
    parse_host_network,
)

PORTS = [{"name": "eno1"}, {"name": "int0", "type": "internal"}, {"name": "bond0", "members": ["e0", "e1"]}]


def parse(host_network: t.Any, **given: t.Any) -> HostNetworkWish | None:
    params = {"name": "br0", "ports": PORTS, "host_network": host_network, **given}
    return parse_host_network(params, parse_wish(params))


def test_omitted_it_moves_nothing() -> None:
    assert parse(None) is None


def test_what_is_omitted_in_it_has_its_default() -> None:
    assert parse({}) == HostNetworkWish("auto", "", "auto", 90, "")
    nothing = dict.fromkeys(("mode", "from", "persist", "rollback_timeout", "confirm_host"))
    assert parse(nothing) == HostNetworkWish()


def test_each_option_is_taken() -> None:
    assert parse(
        {
            "mode": "required",
            "from": "e1",
            "persist": "networkd",
            "rollback_timeout": 45,
            "confirm_host": "192.0.2.9",
        }
    ) == HostNetworkWish("required", "e1", "networkd", 45, "192.0.2.9")
    found = parse({"mode": False, "persist": "none", "from": "default_route"})
    assert found == HostNetworkWish("off", "", "none")


@pytest.mark.parametrize(
    ("given", "message", "remedy"),
    [
        ([], "host_network: .* is no mapping", "mode, from, persist"),
        ({"rollback_timout": 90}, "'rollback_timout' is no option", "Did you mean 'rollback_timeout'?"),
        ({"mode": "always"}, "mode of host_network: 'always' is not known", "off, auto, required"),
        ({"persist": "wicked"}, "persist of host_network: 'wicked' is not known", "ifupdown"),
        ({"rollback_timeout": 44}, "rollback_timeout of host_network: 44 is no whole number from 45", "give"),
        ({"from": "eno2"}, "from of host_network: 'eno2' is no device of this bridge", "mean 'eno1'?"),
        ({"from": "int0"}, "from of host_network: 'int0' is no device of this bridge", "default_route"),
        ({"from": "bond0"}, "'bond0' is no device of this bridge", "list it in ports"),
        ({"from": "a b"}, "from of host_network: 'a b' is no name", "at most 15"),
    ],
)
def test_what_cannot_be_moved_is_refused(given: t.Any, message: str, remedy: str) -> None:
    with pytest.raises(ParseError, match=message) as error:
        parse(given)
    assert remedy in error.value.remedy


@pytest.mark.parametrize("given", [{"ports": None}, {"state": "absent"}])
def test_where_the_task_does_not_list_ports_any_device_can_be_named(given: dict[str, t.Any]) -> None:
    assert parse({"from": "eno7"}, **given) == HostNetworkWish(nic="eno7")


def test_a_host_that_must_move_does_not_move_on_to_a_bridge_that_stands_still() -> None:
    secure = {"fail_mode": "secure", "controllers": []}
    with pytest.raises(Refusal, match="Bridge br0 carries the host"):
        parse({"mode": "required"}, **secure)
    assert parse({"mode": "required"}, allow=["lockout"], **secure)
    assert parse({"mode": "auto"}, **secure)
    assert parse({"mode": "required"}, state="absent", **secure)
