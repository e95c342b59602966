# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    Contradiction,
    ParseError,
    Refusal,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    LOCKOUT,
    MirrorWish,
    PortWish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_mirrors import (
    OPTIONS,
    parse_mirrors,
)

PORTS = (PortWish("eno2", ()), PortWish("span", ()))
EMPTY: frozenset[t.Any] = frozenset()
ALL = {"select_all": True, "output_port": "span"}


def mirror(**given: t.Any) -> MirrorWish:
    return parse_mirrors("br0", PORTS, [{"name": "m0", **given}], ())[0]


def test_a_mirror_has_the_names_of_its_ports() -> None:
    wish = mirror(select_src_port=["eno2", "br0"], select_dst_port=["eno2"], output_port="span")
    assert wish == MirrorWish(
        "m0",
        {
            "select_src_port": {"eno2", "br0"},
            "select_dst_port": {"eno2"},
            "output_port": {"span"},
            "output_vlan": EMPTY,
        },
    )
    nothing = dict.fromkeys(OPTIONS[1:])
    assert mirror(**{**nothing, **ALL}) == mirror(**ALL)


@pytest.mark.parametrize(
    ("given", "columns"),
    [
        (
            {**ALL, "snaplen": 128, "select_vlan": ["5-6"]},
            {
                "select_all": True,
                "output_port": {"span"},
                "output_vlan": EMPTY,
                "snaplen": {128},
                "select_vlan": {5, 6},
            },
        ),
        (
            {**ALL, "snaplen": "none", "select_vlan": [], "select_src_port": []},
            {
                "select_all": True,
                "output_port": {"span"},
                "output_vlan": EMPTY,
                "snaplen": EMPTY,
                "select_vlan": EMPTY,
                "select_src_port": EMPTY,
            },
        ),
        (
            {"select_dst_port": ["eno2"], "output_vlan": 9, "output_port": "none"},
            {"select_dst_port": {"eno2"}, "output_vlan": {9}, "output_port": EMPTY},
        ),
    ],
)
def test_each_option_of_a_mirror_is_its_column_and_one_output_clears_the_other(
    given: dict[str, t.Any], columns: dict[str, t.Any]
) -> None:
    assert mirror(**given).columns == columns


def test_no_mirrors_are_none_at_all() -> None:
    assert parse_mirrors("br0", PORTS, [], ()) == ()


@pytest.mark.parametrize(
    ("given", "message", "remedy"),
    [
        ({"select_all": True}, "mirror m0: it goes to nothing", "set one of output_port and output_vlan"),
        ({**ALL, "output_vlan": 5}, "it goes to output_port and output_vlan", "set one of"),
        ({"output_port": "span"}, "mirror m0: it selects no port", "select_all"),
        ({"output_port": "span", "select_vlan": [5]}, "it selects no port", "select_src_port and"),
        ({"output_port": "span", "select_all": False}, "it selects no port", "select_all"),
        ({**ALL, "select_src_port": ["eno1"]}, "select_src_port of mirror m0: 'eno1'", "you mean 'eno2'?"),
        ({**ALL, "select_dst_port": ["eno1"]}, "select_dst_port of mirror m0: 'eno1'", "or the bridge"),
        (
            {"select_all": True, "output_port": "vnet0"},
            "output_port of mirror m0: 'vnet0' is no port",
            "name",
        ),
        ({**ALL, "snaplen": 13}, "snaplen of mirror m0: 13 is no whole number from 14", "none to clear"),
        ({"select_all": True, "output_vlan": 0}, "output_vlan of mirror m0: 0", "none to clear"),
        ({**ALL, "select_all": "yes"}, "select_all of mirror m0: 'yes'", "true or false"),
        ({**ALL, "select_src_port": "eno2"}, "select_src_port of mirror m0: 'eno2' is no list", "a list"),
        ({**ALL, "output": "x"}, "mirror 1: 'output' is no option", "select_all"),
        ({**ALL, "name": ""}, "name of mirror 1: '' is empty or there twice", "once"),
        ({**ALL, "name": 7}, "name of mirror 1: 7 is empty or there twice", "once"),
    ],
)
def test_a_mirror_that_could_not_work_is_refused_by_its_name(
    given: dict[str, t.Any], message: str, remedy: str
) -> None:
    with pytest.raises(ParseError, match=message) as error:
        mirror(**given)
    assert remedy in error.value.remedy


def test_two_mirrors_of_one_name_are_refused() -> None:
    with pytest.raises(ParseError, match="name of mirror 2: 'm0' is empty or there twice"):
        parse_mirrors("br0", PORTS, [{"name": "m0", **ALL}] * 2, ())


@pytest.mark.parametrize("source", ["select_src_port", "select_dst_port"])
def test_a_port_that_is_mirrored_to_itself_is_refused(source: str) -> None:
    with pytest.raises(Contradiction, match="Mirror m0 takes frames of port span to the same port") as error:
        mirror(output_port="span", **{source: ["eno2", "span"]})
    assert f"remove it from {source}" in error.value.remedy


def test_ports_are_not_looked_up_where_the_task_does_not_manage_them() -> None:
    (wish,) = parse_mirrors("br0", None, [{"name": "m0", "select_all": True, "output_port": "other"}], ())
    assert wish.columns["output_port"] == {"other"}


def test_a_mirror_that_takes_the_port_of_the_bridge_is_refused_unless_it_is_allowed() -> None:
    given = [{"name": "m0", "select_all": True, "output_port": "br0"}]
    with pytest.raises(Refusal, match="Mirror m0 would take the port of bridge br0") as error:
        parse_mirrors("br0", PORTS, given, ())
    assert "allow lockout" in error.value.remedy
    assert parse_mirrors("br0", PORTS, given, (LOCKOUT,))[0].columns["output_port"] == {"br0"}
