# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import InterfaceWish, PortWish, Wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import parse_wish


def parse(**given: t.Any) -> Wish:
    return parse_wish({"name": "br0", **given})


# What openvswitch.openvswitch 3.0.0-dev at 9b77c2d gets wrong in parsing, by the threads that tell of it.


def test_peer_ansible_82653_a_fail_mode_that_is_omitted_is_not_set_to_none() -> None:
    assert "fail_mode" not in parse().bridge
    assert "fail_mode" not in parse(fail_mode=None).bridge


def test_peer_ansible_51480_no_external_ids_are_not_the_same_as_omitted_ones() -> None:
    assert "external_ids" not in parse(external_ids=None).bridge
    assert parse(external_ids={}).bridge["external_ids"] == {}
    assert parse(external_ids={"a": "b", "c": "d"}).bridge["external_ids"] == {"a": "b", "c": "d"}


@pytest.mark.parametrize("value", ["a=b", "a,b", "a b", "a b=c,d 'e' \"f\"", "02:00:00:00:00:aa", "a:b", " "])
def test_peer_values_with_signs_of_the_command_line_stay_as_they_are(value: str) -> None:
    ids = {"key": value, f"{value}:key": "x"}
    wish = parse(
        external_ids=ids,
        other_config={"dp-desc": value},
        ports=[{"name": "p0", "external_ids": ids}],
    )
    assert wish.bridge["external_ids"] == ids
    assert wish.bridge["other_config"] == {"dp-desc": value}
    assert wish.ports
    assert wish.ports[0].columns["external_ids"] == ids


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (0, "0"), (-7, "-7"), (True, "true"), (False, "false"), (1.5, "1.5")]
)
def test_peer_values_that_yaml_makes_numbers_and_booleans_of_are_texts(value: t.Any, text: str) -> None:
    assert parse(external_ids={"key": value}).bridge["external_ids"] == {"key": text}
    assert parse(other_config={"key": value}).bridge["other_config"] == {"key": text}


def test_peer_a_tag_that_is_omitted_is_not_set_to_none() -> None:
    wish = parse(ports=[{"name": "p0", "tag": None}])
    assert wish.ports == (PortWish("p0", (InterfaceWish("p0"),)),)


def test_peer_trunks_mode_type_and_options_of_a_port_are_managed() -> None:
    wish = parse(ports=[{"name": "p0", "type": "gre", "options": {"remote_ip": "192.0.2.2"}, "trunks": [1]}])
    assert wish.ports
    assert wish.ports[0].columns == {"trunks": {1}}
    assert wish.ports[0].interfaces[0].columns == {"type": "gre", "options": {"remote_ip": "192.0.2.2"}}


def test_peer_openvswitch_150_keys_with_dashes_are_keys() -> None:
    wish = parse(other_config={"mac-table-size": 4096})
    assert wish.bridge["other_config"] == {"mac-table-size": "4096"}


_VALUES = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_characters="\0"))


@given(st.dictionaries(st.text(st.characters(exclude_characters="\0"), min_size=1), _VALUES))
def test_every_key_that_is_given_is_in_the_wish_as_text_or_to_be_deleted(given_map: dict[str, t.Any]) -> None:
    given_map.pop("hearth-owner", None)
    found = parse(external_ids=given_map).bridge["external_ids"]
    assert set(found) == set(given_map)
    assert all(
        word is None if given_map[key] is None else isinstance(word, str) for key, word in found.items()
    )
    assert parse(external_ids=found).bridge["external_ids"] == found
