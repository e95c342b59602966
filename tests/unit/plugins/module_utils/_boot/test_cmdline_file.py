# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline, cmdline_file
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.cmdline_file import Record
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading

WORDS = st.sampled_from(
    [
        "quiet",
        "ro",
        "intel_iommu=on",
        "iommu=on",
        "hugepages=16",
        "hugepages=1",
        "console=tty0",
        'a="b  c"',
        "x-y=1",
    ]
)
BLANKS = st.sampled_from([" ", "  ", "\t", "\n"])
LINES = st.builds(
    lambda pairs, start, end: (start + "".join(word + blank for word, blank in pairs)).rstrip() + end,
    st.lists(st.tuples(WORDS, BLANKS), max_size=6),
    st.sampled_from(["", " "]),
    st.sampled_from(["", "\n", " \n", " -- init=x\n"]),
)
OURS = st.lists(st.sampled_from(["own=1", "own=2", "pair=a", "pair=b", "intel_iommu=on"]), max_size=5)
PATTERNS = st.lists(
    st.sampled_from(["quiet", "hugepages=1", "x_y", "console=ttyS0"]), max_size=2, unique=True
)


def wish(ours: list[str], removed: list[str]) -> Wish:
    return Wish(tuple(ours), tuple(removed))


def after(line: str, record: Record, wanted: Wish) -> tuple[str, Record]:
    text, taken = cmdline_file.rewrite(line, "F", record, wanted)
    return text, Record(wanted.ours, wanted.removed, removed={"F": taken})


@given(LINES)
def test_a_line_is_cut_into_the_words_that_the_kernel_sees(line: str) -> None:
    chunks, tail = cmdline_file.cut(line, "F")
    assert "".join(chunks) + tail == line
    assert tuple(map(cmdline_file.word_in, chunks)) == cmdline.split(line)


@given(LINES, OURS, PATTERNS)
def test_what_was_added_and_taken_out_comes_back_byte_for_byte(
    line: str, ours: list[str], patterns: list[str]
) -> None:
    text, record = after(line, Record(), wish(ours, patterns))
    assert after(text, record, wish([], [])) == (line, Record(removed={"F": ()}))


@given(LINES, OURS, PATTERNS, OURS, PATTERNS)
def test_a_second_wish_gives_what_it_alone_would_have_given(
    line: str, ours: list[str], patterns: list[str], then: list[str], later: list[str]
) -> None:
    text, record = after(line, Record(), wish(ours, patterns))
    assert after(text, record, wish(then, later)) == after(line, Record(), wish(then, later))


@given(LINES, OURS, PATTERNS)
def test_the_same_wish_again_changes_nothing(line: str, ours: list[str], patterns: list[str]) -> None:
    text, record = after(line, Record(), wish(ours, patterns))
    assert after(text, record, wish(ours, patterns)) == (text, record)


@given(LINES, OURS, PATTERNS)
def test_words_of_others_keep_their_order_and_ours_come_last(
    line: str, ours: list[str], patterns: list[str]
) -> None:
    text, _record = after(line, Record(), wish(ours, patterns))
    assert cmdline.split(text) == (*cmdline.without(cmdline.split(line), patterns), *ours)


def test_our_words_come_before_what_belongs_to_init() -> None:
    assert after("root=a -- splash\n", Record(), wish(["own=1"], []))[0] == "root=a own=1 -- splash\n"


def test_a_hand_edit_between_two_runs_is_kept_and_loses_nothing() -> None:
    text, record = after("root=a quiet ro\n", Record(), wish(["own=1"], ["quiet"]))
    assert text == "root=a ro own=1\n"
    edited = "root=b ro own=1 mine=1\n"
    assert after(edited, record, wish(["own=2"], ["quiet"]))[0] == "root=b ro mine=1 own=2\n"
    assert after(edited, record, wish([], []))[0] == "root=b quiet ro mine=1\n"


def test_a_word_that_was_put_back_by_hand_does_not_come_back_twice() -> None:
    _text, record = after("root=a quiet\n", Record(), wish([], ["quiet"]))
    assert after("quiet root=a\n", record, wish([], []))[0] == "quiet root=a\n"


def test_of_equal_words_the_last_is_ours() -> None:
    record = Record(words=("console=tty0",))
    assert (
        cmdline_file.rewrite("console=tty0 quiet console=tty0", "F", record, wish([], []))[0]
        == "console=tty0 quiet"
    )


def test_a_substring_of_a_word_is_another_word() -> None:
    text, _record = after("intel_iommu=on hugepages=16\n", Record(), wish(["iommu=on"], ["hugepages=1"]))
    assert text == "intel_iommu=on hugepages=16 iommu=on\n"


def test_an_empty_list_of_patterns_takes_nothing_out() -> None:
    """stackhpc.linux: the pattern made of no arguments was (), which is in every word."""
    assert after("root=a ro quiet", Record(), wish([], []))[0] == "root=a ro quiet"


def test_a_quotation_mark_that_is_never_closed_is_an_error() -> None:
    with pytest.raises(ParseError, match="F is never closed"):
        cmdline_file.cut('root=a dyndbg="file x', "F")


def test_the_record_is_read_as_it_was_written() -> None:
    record = Record(("a", "b"), ("c",), ("d",), {"F": ((1, " c"),)}, underway=True)
    assert cmdline_file.parse_record(cmdline_file.render_record(record)) == record
    assert cmdline_file.parse_record("") == Record()


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"words": 1, "patterns": [], "leaving": [], "removed": {}, "underway": false}']
)
def test_a_broken_record_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(ParseError, match=r"kernel_args\.json is broken"):
        cmdline_file.parse_record(text)


@pytest.mark.parametrize(
    ("words", "leaving", "wanted", "left"),
    [
        (("a", "b"), (), ("b",), ("a",)),
        (("a", "a"), (), ("a",), ("a",)),
        (("a",), ("b",), (), ("a", "b")),
        (("a",), ("b",), ("b",), ("a",)),
    ],
)
def test_what_leaves_is_counted_one_for_one(
    words: tuple[str, ...], leaving: tuple[str, ...], wanted: tuple[str, ...], left: tuple[str, ...]
) -> None:
    assert cmdline_file.leaving(Record(words, leaving=leaving), Wish(wanted, ())) == left


def test_a_file_that_is_edited_keeps_its_mode(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "etc" / "secret"
    file.parent.mkdir()
    file.write_text("a")
    file.chmod(0o600)
    cmdline_file.Edit("/etc/secret", "b").perform(Host(root=str(tmp_path)))
    cmdline_file.Edit("/etc/new", "b").perform(Host(root=str(tmp_path)))
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("b", 0o600)
    assert (tmp_path / "etc" / "new").stat().st_mode & 0o777 == 0o644


def test_a_file_that_cannot_be_read_is_no_missing_file() -> None:
    assert cmdline_file.need(Reading(missing=True)) is None
    with pytest.raises(ParseError, match="Permission denied"):
        cmdline_file.need(Reading(why="/etc/kernel/cmdline: Permission denied"))
