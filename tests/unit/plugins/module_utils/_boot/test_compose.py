# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which words of ours make every wish effective beside those of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Source
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.compose import Owners, compose, spelled
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction

FILE = "/etc/default/grub"


def words(given_words: str, wishes: str, removed: str = "", **owners: list[str]) -> str:
    sources = (Source(FILE, cmdline.split(given_words)),)
    wished = cmdline.arguments(cmdline.split(wishes))
    return cmdline.join(compose(sources, wished, removed.split(), Owners(owners)))


@pytest.mark.parametrize(
    ("given_words", "wishes", "ours"),
    [
        ("", "intel_iommu=on", "intel_iommu=on"),
        ("quiet intel_iommu=on", "intel_iommu=on", ""),
        ("intel-iommu=on", "intel_iommu=on", ""),
        ("iommu=off iommu=pt", "iommu=pt", ""),
        ("xintel_iommu=on", "intel_iommu=on", "intel_iommu=on"),
        ("nosmt", "nosmt", ""),
        ("", "nosmt nosmt", "nosmt"),
        # Lists are united; the last word of a module's parameter wins, so ours repeats theirs.
        ("vfio-pci.ids=1:1", "vfio-pci.ids=2:2", "vfio-pci.ids=1:1,2:2"),
        ("vfio_pci.ids=1:1 vfio-pci.ids=2:2", "vfio-pci.ids=1:1", "vfio-pci.ids=1:1,2:2"),
        ("vfio-pci.ids=2:2,1:1", "vfio-pci.ids=1:1", ""),
        ("intel_iommu=sm_on", "intel_iommu=on", "intel_iommu=sm_on,on"),
        ("", "pci", "pci"),
        # Repeatable: only what is not there.
        ("console=tty0", "console=tty0 console=ttyS0 console=ttyS0", "console=ttyS0"),
        # One ordered block.
        (
            "",
            "hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=8",
            "hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=8",
        ),
        ("hugepagesz=2M hugepages=8 hugepagesz=1G hugepages=2", "hugepagesz=1G hugepages=2", ""),
    ],
)
def test_only_what_is_missing_is_appended(given_words: str, wishes: str, ours: str) -> None:
    assert words(given_words, wishes) == ours


@pytest.mark.parametrize(
    ("given_words", "wishes"),
    [
        ("intel_iommu=off", "intel_iommu=on"),
        ("iommu=pt iommu=off", "iommu=pt"),
        ("nosmt=force", "nosmt"),
        ("hugepages=16", "hugepages=1"),
        ("hugepagesz=2M hugepages=8", "hugepagesz=1G hugepages=2"),
        ("default_hugepagesz=2M", "default_hugepagesz=1G"),
    ],
)
def test_one_deploy_another_value_is_refused_with_both_owners_named(given_words: str, wishes: str) -> None:
    # 40-peers.md A1: conflicting arguments, such as intel_iommu=off, stayed beside the wished ones.
    name = cmdline.arguments(cmdline.split(wishes))[0].name
    with pytest.raises(Contradiction) as caught:
        words(given_words, wishes, **{name: ["vfio", "kvm"]})
    assert (
        f"The kernel argument {wishes} is wanted by the roles kvm and vfio, and {FILE} says"
        in caught.value.message
    )
    assert "boot_remove_args" in caught.value.remedy
    assert caught.value.details["owners"] == ["kvm", "vfio", FILE]


def test_what_is_removed_excludes_nothing() -> None:
    assert words("intel_iommu=off quiet", "intel_iommu=on", "intel_iommu") == "intel_iommu=on"
    assert words("intel_iommu=off", "intel_iommu=on", "intel_iommu=off") == "intel_iommu=on"
    assert words("vfio-pci.ids=1:1", "vfio-pci.ids=2:2", "vfio_pci.ids") == "vfio-pci.ids=2:2"


@pytest.mark.parametrize(
    "wishes", ["iommu=pt iommu=off", "intel_iommu=on,off", "hugepages=1 hugepages=2", "nosmt nosmt=force"]
)
def test_a_wish_that_excludes_itself_is_refused(wishes: str) -> None:
    with pytest.raises(Contradiction, match="Two values of one kernel argument are wanted by this task"):
        words("", wishes)


def test_owners_are_found_by_name_and_by_word_however_spelled() -> None:
    owners = Owners({"vfio_pci.ids": ["vfio"], "hugepages=2": ["kvm"], 'dyndbg="file x +p"': ["debug"]})
    found = cmdline.arguments(
        cmdline.split('vfio-pci.ids=1:1 hugepagesz=1G hugepages=2 dyndbg="file x +p" ro')
    )
    assert [owners.label(argument) for argument in found] == [
        "role vfio",
        "role kvm",
        "role debug",
        "this task",
    ]
    assert [spelled(argument) for argument in found] == ["vfio-pci.ids", "hugepages", "dyndbg", "ro"]


SINGLE = st.sampled_from(["a=1", "a=2", "b", "b=1", "c_d=x", "c-d=x"])
LISTED = st.sampled_from(
    ["vfio-pci.ids=1:1", "vfio_pci.ids=2:2,1:1", "pci=noaer", "intel_iommu=on", "intel_iommu=sm_on"]
)
REPEATED = st.sampled_from(["console=tty0", "console=ttyS0,115200"])
BLOCKS = st.sampled_from(["hugepagesz=1G hugepages=2", "hugepagesz=2M hugepages=8", "hugepages=4"])
LINES = st.lists(st.one_of(SINGLE, LISTED, REPEATED), max_size=8).map(" ".join)


@given(st.lists(LINES, max_size=3), st.tuples(LINES, st.one_of(st.just(""), BLOCKS)).map(" ".join))
def test_composing_makes_every_wish_effective_and_again_appends_nothing(
    given_lines: list[str], text: str
) -> None:
    sources = [Source(str(number), cmdline.split(line)) for number, line in enumerate(given_lines)]
    wishes = cmdline.arguments(cmdline.split(text))
    try:
        ours = compose(sources, wishes, [])
    except Contradiction:
        return
    line = [word for source in sources for word in source.words]
    assert cmdline.missing(wishes, [*line, *ours]) == ()
    assert compose([*sources, Source("ours", ours)], wishes, []) == ()
    # Whoever said something, it is still in effect.
    for argument in cmdline.arguments(line):
        if argument.name not in {wish.name for wish in wishes}:
            assert not {cmdline.name_of(word) for word in ours} & {argument.name}
        elif argument.style == "comma":
            assert cmdline.is_effective(cmdline.arguments(argument.words[-1:])[0], [*line, *ours])
