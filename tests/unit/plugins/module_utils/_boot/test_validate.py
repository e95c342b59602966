# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before anything is written, and what is pointed out."""

from __future__ import annotations

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline, validate
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Source
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.compose import Owners
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.machine import Machine
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    Contradiction,
    ParseError,
    Refusal,
)

MACHINE = Machine("x86", 16 * 1024 * 1024, 2048, frozenset(range(8)), 7)
OWNERS = Owners({"iommu": ["vfio"], "intel_iommu": ["vfio"]})


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (["intel_iommu=on"], ("intel_iommu=on",)),
        (["hugepagesz=1G hugepages=2"], ("hugepagesz=1G", "hugepages=2")),
        (['dyndbg="file x.c +p"'], ("dyndbg=file x.c +p",)),
        (["", "  "], ()),
        (["memmap=4G!12G", "hugepages=0:2,1:2", "isolcpus=1-N", "vfio-pci.ids=10de:2330"],) * 2,
    ],
)
def test_words_of_an_option(items: list[str], words: tuple[str, ...]) -> None:
    assert validate.words_of(items) == tuple(words)


@pytest.mark.parametrize("letter", list("$`\\'\";{}|&<>#()[]*?\n\té") + ["\0"])
def test_letters_that_a_shell_or_a_boot_loader_would_change_are_refused(letter: str) -> None:
    for text in (f"a=b{letter}c", f"a{letter}b"):
        if cmdline.split(text) == (text,):
            with pytest.raises(Refusal, match="is changed on its way") as caught:
                validate.words_of([text])
            assert "by hand" in caught.value.remedy


def test_stackhpc_18_a_missing_variable_is_empty_and_never_none() -> None:
    assert validate.words_of([""]) == ()
    for what in ("kernel argument", "pattern of remove"):
        with pytest.raises(Refusal, match=f"{what} is the word None"):
            validate.words_of(["None"], what)


@pytest.mark.parametrize("text", ["root=/dev/sda1", "ro", "initrd=/x", "BOOT_IMAGE=/x", "rootflags"])
def test_what_the_host_starts_by_is_not_touched(text: str) -> None:
    with pytest.raises(Refusal, match="one that the host starts by"):
        validate.words_of([text], "pattern of remove")


@pytest.mark.parametrize("word", ["init=/bin/sh", "rdinit=/bin/sh"])
def test_another_init_is_refused(word: str) -> None:
    with pytest.raises(Refusal, match="one that the host starts by"):
        validate.words_of([word])


# The first is what Ansible makes of isolcpus=4,1 where a list is wanted.
@pytest.mark.parametrize(
    "words",
    [["isolcpus=4", "1"], ["3"], ["single"], ["S"], ["quiet rescue"], ["systemd.unit=emergency.target"]],
)
def test_words_with_which_a_host_is_not_reached_any_more_are_refused(words: list[str]) -> None:
    with pytest.raises(Refusal, match="not be reached any more") as caught:
        validate.words_of(words)
    assert "quotation marks" in caught.value.remedy
    assert validate.words_of(words, "pattern of remove"), "of others, they may be taken out"


def test_a_unit_that_is_no_shell_is_taken() -> None:
    assert validate.words_of(["systemd.unit=multi-user.target"]) == ("systemd.unit=multi-user.target",)


def test_what_is_meant_for_init_is_refused() -> None:
    with pytest.raises(Refusal, match="meant for init"):
        validate.words_of(["quiet -- 3"])


@pytest.mark.parametrize(
    ("words", "arch", "kept", "said"),
    [
        ("amd_iommu=on", "x86", "", ["amd_iommu=on does nothing: the kernel ignores this value."]),
        ("iommu=1 quiet", "x86", "quiet", ["iommu=1 does nothing"]),
        ("intel_iommu=1,sm_on", "x86", "intel_iommu=sm_on", ["intel_iommu=1 does nothing"]),
        ("iommu=pt", "arm64", "", ["iommu=pt does nothing: arm64 does not know it. Use iommu.passthrough=1"]),
        (
            "intremap=nosid pci=config_acs=1 iommu=pt amd_iommu=pgtbl_v2",
            "x86",
            "intremap=nosid pci=config_acs=1 iommu=pt amd_iommu=pgtbl_v2",
            [],
        ),
    ],
)
def test_arguments_that_do_nothing_are_dropped_and_pointed_out(
    words: str, arch: str, kept: str, said: list[str]
) -> None:
    found, notices = validate.useful(words.split(), arch)
    assert found == tuple(kept.split())
    assert len(notices) == len(said)
    assert all(notice.startswith(start) for notice, start in zip(notices, said))


def test_words_of_others_that_do_nothing_are_only_pointed_out() -> None:
    (notice,) = validate.pointed_out([Source("/etc/default/grub", ("quiet", "amd_iommu=on"))], "x86")
    assert notice.startswith("/etc/default/grub: amd_iommu=on does nothing")


def check(text: str, machine: Machine = MACHINE, line: str = "") -> None:
    words = cmdline.split(text)
    validate.refuse_harmful(cmdline.arguments(words), (*cmdline.split(line), *words), machine)


@pytest.mark.parametrize(
    ("text", "machine", "message"),
    [
        ("isolcpus=0-3", MACHINE, "CPU 0, which the kernel boots on"),
        ("isolcpus=domain,managed_irq,all", MACHINE, "CPU 0"),
        ("isolcpus=1-7", Machine(online=frozenset(range(1, 8)), last_cpu=7), "every CPU that is online"),
        ("isolcpus=nohz,0", Machine(), "CPU 0"),
        ("hugepagesz=1G hugepages=15", MACHINE, "Huge pages of 15360 MiB leave too little of the 16384 MiB"),
        ("hugepages=7169", MACHINE, "leave too little"),
        ("default_hugepagesz=1G hugepages=15", MACHINE, "leave too little"),
        ("hugepagesz=1G hugepages=0:8,1:7", MACHINE, "leave too little"),
        ("a=" + "x" * 2046, MACHINE, "would have 2048 characters; it takes 2047"),
    ],
)
def test_what_would_hurt_the_host_is_refused(text: str, machine: Machine, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        check(text, machine)


@pytest.mark.parametrize(
    "text", ["isolcpus=domain", "isolcpus", "isolcpus=2-x", "hugepages=many", "hugepagesz=huge hugepages=2"]
)
def test_a_value_without_a_meaning_is_named(text: str) -> None:
    with pytest.raises(ParseError):
        check(text)


@pytest.mark.parametrize(
    ("text", "machine"),
    [
        ("isolcpus=1-7", MACHINE),
        ("isolcpus=managed_irq,1-N", MACHINE),
        ("hugepagesz=1G hugepages=14", MACHINE),
        ("hugepagesz=1G hugepages=1000", Machine()),
        ("hugepages=1000000000", Machine()),
        ("a=" + "x" * 2045, MACHINE),
    ],
)
def test_what_the_host_can_bear_passes(text: str, machine: Machine) -> None:
    check(text, machine)


def test_all_words_of_the_line_count() -> None:
    with pytest.raises(Refusal, match="2048 characters"):
        check("quiet", line="x" * 2042)
    check("quiet", line="x" * 2041)


@pytest.mark.parametrize(
    ("wishes", "others", "owner"),
    [
        ("iommu=pt", "", "role vfio"),
        ("intel_iommu=on", "iommu=pt", "/etc/default/grub"),
        ("iommu.passthrough=1", "", "this task"),
        ("nosmt", "amd_iommu=pgtbl_v2", "/etc/default/grub"),
    ],
)
def test_what_defeats_sev_snp_is_refused_with_both_owners_named(wishes: str, others: str, owner: str) -> None:
    arguments = cmdline.arguments(wishes.split())
    sources = [Source("/etc/default/grub", tuple(others.split()))]
    with pytest.raises(Contradiction) as caught:
        validate.refuse_contradictory(arguments, sources, OWNERS, sev_snp=True)
    assert f"SEV-SNP is wanted on this host, and {owner} says" in caught.value.message
    validate.refuse_contradictory(arguments, sources, OWNERS, sev_snp=False)


def test_an_iommu_that_another_argument_switches_off_is_refused() -> None:
    wishes = cmdline.arguments(["quiet", "intel_iommu=on"])
    with pytest.raises(Contradiction, match="wanted by role vfio, and /etc/default/grub says iommu=off"):
        validate.refuse_contradictory(wishes, [Source("/etc/default/grub", ("iommu=off",))], OWNERS, False)
    validate.refuse_contradictory(wishes, [Source("/etc/default/grub", ("iommu=off,force",))], OWNERS, False)
