# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import wish_words as words

OF = "of something"


@pytest.mark.parametrize("value", ["br0", "br-ex", "eno1.40", "p@1", "_x", "a" * 15])
def test_a_name_that_a_device_can_have_is_taken_as_it_is(value: str) -> None:
    assert words.name(OF, value) == value


@pytest.mark.parametrize("value", ["", "br ex", "a/b", "a:b", "-x", ".", "..", "ä", "a\n", 7, None, True])
def test_a_name_that_no_device_can_have_is_refused_with_what_it_may_be(value: t.Any) -> None:
    with pytest.raises(ParseError, match="is no name of a network device") as error:
        words.name(OF, value)
    assert "at most 15 letters, digits" in error.value.remedy


def test_a_name_that_the_kernel_would_cut_is_refused_with_its_length() -> None:
    with pytest.raises(ParseError, match="has 16 characters, and the kernel takes 15"):
        words.name(OF, "a" * 16)


def test_an_address_is_stored_in_one_form() -> None:
    assert words.mac(OF, "02:AB:00:00:00:aa") == "02:ab:00:00:00:aa"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("02-00-00-00-00-aa", "is no MAC address"),
        ("02:00:00:00:aa", "is no MAC address"),
        (8121223455, "is no MAC address"),  # what YAML 1.1 makes of 10:26:30:40:50:55 without quotes
        ("01:00:5e:00:00:01", "is no address of one device"),
        ("00:00:00:00:00:00", "is no address of one device"),
    ],
)
def test_what_is_no_address_of_a_device_is_refused(value: t.Any, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        words.mac(OF, value)


@pytest.mark.parametrize(
    ("value", "expected"), [(0, 0), ("40", 40), (4095, 4095), ("none", None), ("", None), ([], None)]
)
def test_a_number_is_one_in_any_spelling_and_nothing_clears_it(value: t.Any, expected: int | None) -> None:
    assert words.number(0, 4095)(OF, value) == expected
    assert words.optional(words.number(0, 4095))(OF, value) == (
        frozenset() if expected is None else frozenset((expected,))
    )


@pytest.mark.parametrize("value", [-1, 4096, "x", "1.0", 1.0, True, False, "٣", "0x10", " 1", {}])
def test_what_is_no_number_in_the_range_is_refused_with_the_range(value: t.Any) -> None:
    with pytest.raises(ParseError, match="is no whole number from 0 to 4095") as error:
        words.number(0, 4095)(OF, value)
    assert "none to clear it" in error.value.remedy


@pytest.mark.parametrize(
    ("value", "expected"), [("active", "active"), ("off", "off"), (False, "off"), ("none", None), ("", None)]
)
def test_a_choice_is_one_of_its_words_also_where_yaml_made_a_boolean_of_it(
    value: t.Any, expected: str | None
) -> None:
    assert words.choice("active", "off")(OF, value) == expected


def test_a_wrong_choice_is_refused_with_the_nearest_right_one() -> None:
    with pytest.raises(ParseError, match="'balance_tcp' is not known") as error:
        words.choice("balance-tcp", "balance-slb")(OF, "balance_tcp")
    assert "use one of balance-tcp, balance-slb, or none to clear it. Did you mean 'balance-tcp'?" in (
        error.value.remedy
    )


@pytest.mark.parametrize("value", [True, 0])
def test_a_boolean_that_is_no_word_of_the_choice_is_refused(value: t.Any) -> None:
    with pytest.raises(ParseError, match="is not known"):
        words.choice("active", "passive")(OF, value)


def test_a_flag_is_a_boolean_and_nothing_else() -> None:
    assert words.flag(OF, True) is True
    with pytest.raises(ParseError, match="'yes' is neither true nor false"):
        words.flag(OF, "yes")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], set()),
        ([20, "30-35"], {20, 30, 31, 32, 33, 34, 35}),
        (["7-7", 7, "7"], {7}),
        (["0-4095"], set(range(4096))),
    ],
)
def test_ranges_of_vlans_are_expanded(value: t.Any, expected: set[int]) -> None:
    assert words.vlans(OF, value) == expected


@pytest.mark.parametrize("item", ["35-30", "20,30", 4096, "1-4096", -1, True, "", None, 1.5, "x", "1-"])
def test_what_is_no_range_of_vlans_is_refused_with_an_example(item: t.Any) -> None:
    with pytest.raises(ParseError, match="is neither a VLAN nor a range of them") as error:
        words.vlans(OF, [1, item])
    assert "'30-35'" in error.value.remedy


@given(st.integers(0, 4095), st.integers(0, 4095))
def test_a_range_holds_its_ends_and_all_between(one: int, other: int) -> None:
    first, last = sorted((one, other))
    assert words.vlans(OF, [f"{first}-{last}"]) == set(range(first, last + 1))


def test_a_text_where_a_list_is_wanted_is_refused() -> None:
    with pytest.raises(ParseError, match="'20' is no list"):
        words.vlans(OF, "20")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, "true"), (False, "false"), (100, "100"), (1.5, "1.5"), ("", ""), ("a=b, c d", "a=b, c d")],
)
def test_a_value_of_a_map_is_the_text_that_the_database_has(value: t.Any, expected: str) -> None:
    assert words.text_map(OF, {"key": value}) == {"key": expected}


def test_null_deletes_a_key_and_no_keys_clear_all() -> None:
    assert words.text_map(OF, {"key": None}) == {"key": None}
    assert words.text_map(OF, {}) == {}


@pytest.mark.parametrize("value", [["a"], {"a": 1}, "a\0b", b"a"])
def test_a_value_without_one_text_is_refused_by_its_key(value: t.Any) -> None:
    with pytest.raises(ParseError, match="key in of something: .* is no text") as error:
        words.text_map(OF, {"key": value})
    assert "in quotes" in error.value.remedy


@pytest.mark.parametrize("value", [{1: "a", "1": "b"}, {"": "a"}])
def test_a_key_is_there_once_and_not_empty(value: t.Any) -> None:
    with pytest.raises(ParseError, match="is empty or there twice"):
        words.text_map(OF, value)


def test_a_list_where_a_map_is_wanted_is_refused() -> None:
    with pytest.raises(ParseError, match="is no mapping"):
        words.text_map(OF, ["a=b"])


def test_the_mark_of_the_owner_is_not_the_users() -> None:
    assert words.external_ids(OF, {"site": "one"}) == {"site": "one"}
    with pytest.raises(ParseError, match="hearth-owner marks what the collection has made"):
        words.external_ids(OF, {"hearth-owner": "br0"})


def test_an_option_that_is_none_is_refused_with_the_nearest_one() -> None:
    assert words.only(OF, {"max_rate": 1}, ("max_rate",)) == {"max_rate": 1}
    with pytest.raises(ParseError, match="'max-rate' is no option") as error:
        words.only(OF, {"max-rate": 1}, ("max_rate", "min_rate"))
    assert error.value.remedy.endswith("Did you mean 'max_rate'?")
    with pytest.raises(ParseError, match="is no mapping of options") as error:
        words.only(OF, ["max_rate"], ("max_rate", "min_rate"))
    assert error.value.remedy == "give some of max_rate, min_rate"


def test_nothing_near_is_no_question() -> None:
    assert words.did_you_mean("zebra", ["lacp"]) == ""
    assert words.did_you_mean("x", []) == ""


def test_what_is_omitted_or_null_is_not_managed() -> None:
    table: words.Table = {"mtu": ("mtu_request", words.number(1, 9)), "stp": ("stp_enable", words.flag)}
    assert words.columns(OF, {"mtu": None}, table) == {}
    assert words.columns(OF, {"stp": False, "mtu": 3}, table) == {"mtu_request": 3, "stp_enable": False}


def test_a_sentence_keeps_the_letters_of_names() -> None:
    assert words.sentence("port eNO1") == "Port eNO1"
    assert words.sole(frozenset()) is None
    assert words.sole(frozenset((3,))) == 3
