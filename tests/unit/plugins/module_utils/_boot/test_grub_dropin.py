# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drop-in for GRUB: its record, and the shell in it, which runs for real."""

from __future__ import annotations

import pathlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline, grub_dropin
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import run_command
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError, Refusal

PATH = "/etc/default/grub.d/zz-hearth.cfg"


def sourced(folder: pathlib.Path, text: str, linux: str, default: str) -> tuple[str, str]:
    """Return both variables after a shell like grub-mkconfig's has read the drop-in."""
    file = folder / "dropin.cfg"
    file.write_text(text)
    script = 'set -eu; GRUB_CMDLINE_LINUX=$2; GRUB_CMDLINE_LINUX_DEFAULT=$3; . "$1"'
    script += '; printf "%s\\n%s" "$GRUB_CMDLINE_LINUX" "$GRUB_CMDLINE_LINUX_DEFAULT"'
    first, second = run_command(("/bin/sh", "-c", script, "sh", str(file), linux, default)).out.split("\n")
    return first, second


@pytest.mark.parametrize(
    ("ours", "removed", "linux", "default", "after"),
    [
        (("iommu=pt",), (), "console=ttyS0", "quiet", ("console=ttyS0", "quiet iommu=pt")),
        (("dyndbg=file x.c +p",), (), "", "", ("", ' dyndbg="file x.c +p"')),
        (
            (),
            ("quiet", "iommu"),
            "iommu=off iommu",
            "quiet intel_iommu=on quieter=1",
            ("", "intel_iommu=on quieter=1"),
        ),
        (
            (),
            ("vfio-pci.ids=1:1",),
            "",
            "vfio_pci.ids=1:1 vfio-pci.ids=2:2 vfioxpci.ids=1:1",
            ("", "vfio-pci.ids=2:2 vfioxpci.ids=1:1"),
        ),
        ((), ("a.b",), "", "axb=1 a.b=1", ("", "axb=1")),
        (("iommu=pt",), ("iommu",), "", "iommu=off x=*", ("", "x=* iommu=pt")),
    ],
)
def test_the_shell_in_it_does_what_the_record_says(
    tmp_path: pathlib.Path,
    ours: tuple[str, ...],
    removed: tuple[str, ...],
    linux: str,
    default: str,
    after: tuple[str, str],
) -> None:
    text = grub_dropin.render(Wish(ours, removed))
    assert sourced(tmp_path, text, linux, default) == after


WORDS = st.lists(
    st.from_regex(r"[a-c_-]{1,3}(=[a-b*]{0,2})?", fullmatch=True).filter(lambda word: word[0] not in "-_"),
    max_size=6,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WORDS, WORDS, WORDS.map(lambda words: [word.replace("*", "a") for word in words]))
def test_the_shell_takes_out_exactly_the_words_that_the_patterns_name(
    tmp_path: pathlib.Path, linux: list[str], default: list[str], removed: list[str]
) -> None:
    text = grub_dropin.render(Wish(("ours=1",), tuple(removed)))
    first, second = sourced(tmp_path, text, " ".join(linux), " ".join(default))
    assert cmdline.split(first) == cmdline.without(linux, removed)
    assert cmdline.split(second) == (*cmdline.without(default, removed), "ours=1")


@given(WORDS, WORDS, st.none() | WORDS.map(tuple))
def test_the_record_reads_as_it_was_written(
    ours: list[str], removed: list[str], leaving: tuple[str, ...] | None
) -> None:
    record = grub_dropin.parse(PATH, grub_dropin.render(Wish(tuple(ours), tuple(removed)), leaving))
    assert record == grub_dropin.Record(tuple(ours), tuple(removed), leaving or (), leaving is not None)


def test_words_with_blanks_are_on_record() -> None:
    wish = Wish(("dyndbg=file x.c +p", "quiet"), ("iommu=pt",))
    assert grub_dropin.parse(PATH, grub_dropin.render(wish)) == grub_dropin.Record(wish.ours, wish.removed)


def test_no_file_is_an_empty_record_and_a_foreign_file_is_not_touched() -> None:
    assert grub_dropin.parse(PATH, "") == grub_dropin.Record()
    with pytest.raises(ParseError, match=f"{PATH} is not from this module"):
        grub_dropin.parse(PATH, 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n')


@pytest.mark.parametrize(
    ("value", "removed", "message"),
    [
        ("quiet -- 3", "", "end with --"),
        ('dyndbg="file x +p" quiet', "x", "quotation marks"),
        ('dyndbg="file x +p"', "dyndbg", "quotation marks"),
        ('iommu="pt"', "iommu=pt", "quotation marks"),
    ],
)
def test_values_that_the_shell_would_break_are_refused(value: str, removed: str, message: str) -> None:
    wish = Wish(("a=1",), tuple(removed.split()))
    for variables in ((value, ""), ("", value)):
        with pytest.raises(Refusal, match=message):
            grub_dropin.refuse_unfilterable(variables, wish)


def test_quoted_words_of_others_that_stay_are_no_matter() -> None:
    grub_dropin.refuse_unfilterable(('dyndbg="file  x +p"', "quiet"), Wish(("a=1",), ()))
    grub_dropin.refuse_unfilterable(("'dyndbg=file x +p'", "quiet"), Wish(("a=1",), ("quiet",)))
    grub_dropin.refuse_unfilterable(("-- 3", ""), Wish((), ()))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("quiet 'dyndbg=file x +p'", ("quiet", "dyndbg=file x +p")),
        ('dyndbg="file x +p"', ("dyndbg=file x +p",)),
        ("memmap=4G\\$8G $vt_handoff", ("memmap=4G$8G",)),
        ("", ()),
    ],
)
def test_a_value_is_read_as_grub_does(value: str, words: tuple[str, ...]) -> None:
    assert grub_dropin.spoken(value) == words
