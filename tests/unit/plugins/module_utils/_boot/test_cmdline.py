# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables of the kernel's command line, and the properties that hold for every one."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.cmdline import Argument
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError

NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,8}", fullmatch=True)
VALUES = st.from_regex(r"[A-Za-z0-9.:/@+-][A-Za-z0-9.,:/@ +-]{0,10}[A-Za-z0-9]", fullmatch=True)
WORDS = st.one_of(NAMES, st.builds("{}={}".format, NAMES, VALUES), st.builds("{}=".format, NAMES))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("  quiet\tro\n", ("quiet", "ro")),
        ('dyndbg="file x.c +p" ro', ("dyndbg=file x.c +p", "ro")),
        ('"dyndbg=file x.c +p"', ("dyndbg=file x.c +p",)),
        ('acpi_osi="" ro', ("acpi_osi=", "ro")),
        ("ro -- init words", ("ro",)),
        ("a--b --c", ("a--b", "--c")),
        ('open="a b', ("open=a b",)),
        ('open="', ("open=",)),
    ],
)
def test_words_are_split_as_the_kernel_does(text: str, words: tuple[str, ...]) -> None:
    assert cmdline.split(text) == words


@given(st.lists(WORDS))
def test_joined_words_split_into_themselves(words: list[str]) -> None:
    assert cmdline.split(cmdline.join(words)) == tuple(words)


def arg(text: str) -> Argument:
    (found,) = cmdline.arguments(cmdline.split(text))
    return found


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("vfio-pci.ids=1:1,2:2 vfio_pci.ids=2:2", "vfio_pci.ids", ("1:1", "2:2")),
        ("nosmt", "nosmt", (None,)),
        ("iommu=", "iommu", ("",)),
        ("console=tty0 console=ttyS0", "console", ("tty0", "ttyS0")),
        ("hugepagesz=1G hugepages=64 hugepagesz=2M hugepages=512", "hugepages", ("1G=64", "2M=512")),
        ("hugepages=16", "hugepages", ("16",)),
    ],
)
def test_words_of_one_argument_belong_together(text: str, name: str, values: tuple[t.Any, ...]) -> None:
    assert (arg(text).name, arg(text).values) == (name, values)


def test_a_page_size_without_a_count_is_named() -> None:
    with pytest.raises(ParseError, match="hugepagesz=1G has no count"):
        cmdline.arguments(["hugepagesz=1G"])


# 40-peers.md: A2 compares with one ordered, unescaped regex; A4 looks for "iommu=on" in "intel_iommu=on".
@pytest.mark.parametrize(
    ("wish", "line", "effective"),
    [
        ("iommu=on", "intel_iommu=on", False),
        ("hugepages=1", "hugepages=16", False),
        ("intel_iommu=on", "xintel_iommu=on", False),
        ("pci=noaer", "pci=noaerx", False),
        ("a.b=1", "axb=1", False),
        ("nosmt", "nosmt=force", False),
        ("b=2 ", "a=1 b=2 c=3", True),
        ("b=2", "b=2 b=3", False),
        ("b=2", "b=3 b=2", True),
        ("vfio-pci.ids=2:2,1:1", "vfio_pci.ids=1:1,3:3,2:2", True),
        ("vfio-pci.ids=1:1", "vfio-pci.ids=1:1 vfio-pci.ids=2:2", False),
        ("console=ttyS0", "console=ttyS0 console=tty0", True),
        ("console=ttyS1", "console=ttyS0", False),
        ("hugepagesz=1G hugepages=2", "hugepagesz=2M hugepages=4 hugepagesz=1G hugepages=2", True),
        ("hugepagesz=1G hugepages=2", "hugepagesz=1G hugepagesz=2M hugepages=2", False),
        ("hugepagesz=1G hugepages=2", "hugepagesz=2M hugepages=2 hugepagesz=1G hugepages=4", False),
    ],
)
def test_effective_is_what_the_kernel_sees(wish: str, line: str, effective: bool) -> None:
    assert cmdline.is_effective(arg(wish), cmdline.split(line)) is effective
    assert cmdline.missing([arg(wish)], cmdline.split(line)) == (() if effective else (arg(wish),))


def test_stackhpc_an_empty_list_to_remove_removes_nothing() -> None:
    # 40-peers.md A4: their empty list became the regex "()", which matches every argument.
    words = ("quiet", "ro", "intel_iommu=on")
    assert cmdline.without(words, []) == words


@pytest.mark.parametrize(
    ("word", "pattern", "named"),
    [
        ("iommu=pt", "iommu", True),
        ("iommu=pt", "iommu=pt", True),
        ("iommu=pt", "iommu=on", False),
        ("intel_iommu=on", "iommu", False),
        ("vfio-pci.ids=1:1", "vfio_pci.ids", True),
        ("quiet", "quiet", True),
        ("quiet", "quiet=", False),
        ("hugepages=16", "hugepages=1", False),
    ],
)
def test_a_pattern_names_whole_words(word: str, pattern: str, named: bool) -> None:
    assert cmdline.matches(word, pattern) is named
    assert cmdline.without([word], [pattern]) == (() if named else (word,))


@given(st.lists(WORDS), st.lists(WORDS, max_size=3))
def test_what_is_not_removed_keeps_its_order(words: list[str], patterns: list[str]) -> None:
    kept = cmdline.without(words, patterns)
    rest = iter(words)
    assert all(word in rest for word in kept)
    assert not any(cmdline.matches(word, pattern) for word in kept for pattern in patterns)
