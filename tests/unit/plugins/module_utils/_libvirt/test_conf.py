# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The grammar of libvirt's configuration files, and the block at their top."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import conf

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters='"'), max_size=12)
SCALARS = st.one_of(st.integers(-(2**40), 2**40), TEXTS)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=4).map(tuple))
SETTINGS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=5)
RESTS = st.lists(
    st.sampled_from(
        [
            "# a comment\n",
            "\n",
            'user = "root"\n',
            "max_core = 0 # why\n",
            "a = [ 'x',\n  \"y\", ]\n",
            "\t b=1;c=2\r\n",
        ]
    )
).map("".join)

# name, text, statements
GRAMMAR = [
    ("nothing", "", []),
    ("comments only", "# x\n  # y", []),
    ("number", "a = 1", [("a", 1)]),
    ("negative", "a=-1\n", [("a", -1)]),
    ("both quotes", "a = \"x'y\"\nb = 'x\"y'\n", [("a", "x'y"), ("b", 'x"y')]),
    ("long string", 'a = """x\n"y" z"""\n', [("a", 'x\n"y" z')]),
    ("list over lines, comma at its end", 'a = [\n "x",\n 2,\n]\n', [("a", ("x", 2))]),
    ("empty list and string", 'a = []\nb = ""\n', [("a", ()), ("b", "")]),
    ("comment behind a value", 'a = "#x" # y\n', [("a", "#x")]),
    ("semicolon", "a = 1; b = 2\n", [("a", 1), ("b", 2)]),
]
# name, text, line that the error names
WRONG = [
    ("no value", "\na =\n", 2),
    ("no equals", "a 1\n", 1),
    ("open string", 'a = "x\n', 1),
    ("open list", "a = [ 1,\n2\n", 3),
    ("two on a line", "a = 1 b = 2\n", 1),
    ("bare word", "a = yes\n", 1),
    ("name with a dash", "a-b = 1\n", 1),
]


@pytest.mark.parametrize(
    ("text", "statements"), [row[1:] for row in GRAMMAR], ids=[row[0] for row in GRAMMAR]
)
def test_grammar(text: str, statements: list[tuple[str, conf.Value]]) -> None:
    assert conf.parse(text) == statements


@pytest.mark.parametrize(("text", "line"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_wrong_text_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ParseError, match=f"^line {line}: expected "):
        conf.parse(text)


def test_libvirt_takes_the_first_statement_of_a_key() -> None:
    assert conf.effective("a = 1\na = 2\n") == {"a": 1}


@given(SETTINGS, RESTS)
def test_a_block_is_read_back_and_every_other_byte_is_kept(settings: conf.Settings, rest: str) -> None:
    text = conf.join(settings, rest)
    assert conf.split(text) == (settings, rest)
    assert conf.effective(text) == {**conf.effective(rest), **settings}


@given(RESTS)
def test_no_settings_leave_no_trace(rest: str) -> None:
    assert conf.join({}, rest) == rest
    assert conf.split(rest) == ({}, rest)


def test_a_block_without_end_is_refused() -> None:
    with pytest.raises(ParseError, match="no end") as caught:
        conf.split(f"{conf.BEGIN}a = 1\n")
    assert "# END hearth" in caught.value.remedy


def test_a_string_that_no_quotes_can_hold_is_refused() -> None:
    with pytest.raises(ParseError, match="no quotes"):
        conf.from_data("a", "x'y\"")


@pytest.mark.parametrize("value", [1.5, {"x": 1}, [[1]], None], ids=repr)
def test_data_that_the_grammar_lacks_is_refused(value: object) -> None:
    with pytest.raises(ParseError, match="a must be a number"):
        conf.from_data("a", value)


def test_booleans_become_numbers() -> None:
    assert conf.from_data("a", [True, False]) == (1, 0)
    with pytest.raises(ParseError, match="no name of a setting"):
        conf.from_data("a b", 1)
