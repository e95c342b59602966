# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import hypothesis
import pytest
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov import model

ADDRESS = "0000:03:00.0"


def wish(**options: t.Any) -> model.Wish:
    return model.parse_wish({"address": ADDRESS, **options})


def test_what_is_left_out_is_not_wished_for() -> None:
    assert wish() == model.Wish(ADDRESS, {})
    assert wish(vfs=[]).vfs is True
    assert wish(vfs=[{"index": 2, "mac": None, "vlan": 0}]).settings == {"vf2.vlan": "0"}


def test_values_become_words_of_one_grammar() -> None:
    vf = {"index": 0, "mac": "52:54:00:AA:BB:CC", "trust": False, "spoofchk": True, "link_state": "auto"}
    assert wish(address="3:00.0".zfill(7), number=2, autoprobe=True, vfs=[vf]).settings == {
        "numvfs": "2",
        "autoprobe": "1",
        "vf0.mac": "52:54:00:aa:bb:cc",
        "vf0.trust": "off",
        "vf0.spoofchk": "on",
        "vf0.link_state": "auto",
    }


def test_nothing_is_wished_for_of_a_device_that_is_let_go() -> None:
    assert wish(state="absent", number=3, vfs=[{"index": 0, "vlan": 1}]) == model.Wish(
        ADDRESS, {}, absent=True
    )


def test_min_tx_rate_without_a_limit_is_fine() -> None:
    assert wish(vfs=[{"index": 0, "min_tx_rate": 5, "max_tx_rate": 0}]).settings["vf0.min_tx_rate"] == "5"


def test_there_is_no_name_for_all_refusals() -> None:
    with pytest.raises(ParseError, match="'force' is nothing to allow"):
        wish(allow=["force"])


@pytest.mark.parametrize(
    "setting",
    [
        ("numvfs", "4; reboot"),
        ("numvfs", "04"),
        ("numvfs", "-1"),
        ("autoprobe", "yes"),
        ("vf0.mac", "52:54:00:3b:00:00'"),
        ("vf0.mac", "53:54:00:3b:00:00"),
        ("vf0.vlan", "4095"),
        ("vf0.vlan", "٤"),
        ("vf0.link_state", "auto\n"),
        ("vf0.shell", "on"),
        ("vf00.trust", "on"),
        ("vf.trust", "on"),
        ("nonsense", "1"),
        ("", ""),
    ],
)
def test_words_outside_the_grammar_never_reach_a_shell(setting: tuple[str, str]) -> None:
    assert not model.valid(*setting)


@pytest.mark.parametrize("field", list(model.FIELDS))
@hypothesis.given(st.data())
def test_a_word_of_the_grammar_is_harmless(field: str, data: st.DataObject) -> None:
    value = data.draw(st.from_regex(model.FIELDS[field], fullmatch=True))
    assert not set(value) & set("\"'$%\\ ;|&<>()`\n#=")


def test_settings_of_vfs_that_are_not_there_are_left_out() -> None:
    settings = {"numvfs": "2", "vf1.vlan": "5", "vf2.vlan": "6", "vf10.trust": "on"}
    assert model.below(settings, 2) == {"numvfs": "2", "vf1.vlan": "5"}
    assert model.own(settings) == {"numvfs": "2"}
    assert list(model.vfs_of(settings)) == [1, 2, 10]


def test_there_is_one_order() -> None:
    settings = {
        "vf10.vlan": "1",
        "vf2.trust": "on",
        "vf2.mac": "02:00:00:00:00:00",
        "autoprobe": "1",
        "numvfs": "11",
    }
    assert [key for key, _value in model.in_order(settings)] == [
        "numvfs",
        "autoprobe",
        "vf2.mac",
        "vf2.trust",
        "vf10.vlan",
    ]
