# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub_script import quote, words_of
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("linux\t/boot/vmlinuz root=UUID=1 ro", ["linux", "/boot/vmlinuz", "root=UUID=1", "ro"]),
        ("'dyndbg=file drivers/usb/* +p'", ["dyndbg=file drivers/usb/* +p"]),
        ("a='b c'\"d e\"f", ["a=b cd ef"]),
        (r"'it'\''s'", ["it's"]),
        (r'"a \"b\" \$c \\ \d"', [r'a "b" $c \ \d']),
        (r"a\ b \$c \#d", ["a b", "$c", "#d"]),
        ("a\\\nb c \\\n d", ["ab", "c", "d"]),
        ("a#b # the rest is a remark 'without an end", ["a#b"]),
        ("'' a", ["", "a"]),
        ("a;b", ["a", "b"]),
        ("x$y ${z}", ["x$y", "${z}"]),
    ],
)
def test_words_are_what_grub_makes_of_them(line: str, values: list[str]) -> None:
    assert [word.value for word in words_of(line)] == values


@pytest.mark.parametrize(
    ("word", "variable"),
    [
        ("$vt_handoff", True),
        ("${kernelopts}", True),
        ("$a${b}", True),
        ("a$b", False),
        ("'$a'", False),
        ("\\$a", False),
    ],
)
def test_a_word_is_variable_when_it_is_nothing_else(word: str, variable: bool) -> None:
    assert [found.variable for found in words_of(word)] == [variable]


@pytest.mark.parametrize("line", ["a 'b", 'a "b'])
def test_what_is_never_closed_is_an_error_that_names_the_line(line: str) -> None:
    with pytest.raises(ParseError, match=r"without a counterpart \(line 2\)") as caught:
        words_of(f"first\n{line}")
    assert "/etc/grub.d" in caught.value.remedy


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1))
def test_a_quoted_word_is_read_back_as_it_was(value: str) -> None:
    assert [(word.value, word.variable) for word in words_of(f"a {quote(value)}")] == [
        ("a", False),
        (value, False),
    ]


def test_plain_words_are_not_quoted() -> None:
    assert quote("vfio-pci.ids=10de:2330,10de:22a3") == "vfio-pci.ids=10de:2330,10de:22a3"
    assert quote("dyndbg=a b") == "'dyndbg=a b'"
