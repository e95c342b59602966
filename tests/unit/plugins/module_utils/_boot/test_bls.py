# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Boot Loader Specification entries on built trees, in the form that Enterprise Linux 9 gives them.

The shape of the files is that of ``grubby --info`` and ``/etc/default/grub`` in public bug reports (rhboot/grubby#55,
oamg/leapp-repository#1302) and of mkbls in grubby's own source.
"""

from __future__ import annotations

import itertools
import pathlib
import typing as t

import pytest
from fakeboot import Tools, converge, menu_of, settled, steps, survives_a_kill_anywhere, wish

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Source, Wish, faults
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.bls import Bls
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.cmdline_file import CMDLINE, RECORD
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    Contradiction,
    ParseError,
    Refusal,
)

ENTRIES, DEFAULTS, GRUBENV = "/boot/loader/entries", "/etc/default/grub", "/boot/grub2/grubenv"
MACHINE = "a98618aa1631441dbb52c75a50834a0a"
OLD, NEW = (f"{ENTRIES}/{MACHINE}-5.14.0-{build}.el9.x86_64.conf" for build in (427, 503))
RESCUE = f"{ENTRIES}/{MACHINE}-0-rescue.conf"
ROOT = "root=/dev/mapper/rl-root ro "
COMMON = "crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M rd.lvm.lv=rl/root rhgb quiet"
GRUB = f"""GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR="$(sed 's, release .*$,,g' /etc/system-release)"
GRUB_DEFAULT=saved
# GRUB_CMDLINE_LINUX="an old one"
GRUB_CMDLINE_LINUX="{COMMON}"  # as installed
GRUB_DISABLE_RECOVERY="true"
GRUB_ENABLE_BLSCFG=true
"""
BACKEND = Bls()


def entry(options: str) -> str:
    return (
        f"title Rocky Linux (5.14.0) 9.5\nversion 5.14.0\nlinux /vmlinuz-5.14.0\ninitrd /initramfs-5.14.0.img\n"
        f"options {options}\ngrub_users $grub_users\ngrub_arg --unrestricted\ngrub_class rocky\n"
    )


@pytest.fixture(name="make")
def _make(tmp_path: pathlib.Path) -> t.Callable[[], Tools]:
    numbers = itertools.count()

    def build() -> Tools:
        tools = Tools(tmp_path / str(next(numbers)))
        tools.write(DEFAULTS, GRUB)
        tools.write(CMDLINE, f"{ROOT}{COMMON}\n")
        tools.write(OLD, entry(f"{ROOT}{COMMON} $tuned_params"))
        tools.write(NEW, entry(f"{ROOT}{COMMON}  "))
        tools.write(RESCUE, entry(f"{ROOT}{COMMON}"))
        tools.write("/boot/grub2/grub.cfg", "blscfg\n")
        tools.write("/boot/efi/EFI/rocky/grub.cfg", "configfile $prefix/grub.cfg\n")
        return tools

    return build


@pytest.fixture(name="tools")
def _tools(make: t.Callable[[], Tools]) -> Tools:
    return make()


def test_added_changed_and_removed_on_every_entry_and_where_future_ones_inherit(tools: Tools) -> None:
    before = tools.tree()
    settled(BACKEND, tools.host, wish("intel_iommu=on hugepages=2", "rhgb"))
    less = COMMON.replace(" rhgb", "")
    ours = "intel_iommu=on hugepages=2"
    assert f'GRUB_CMDLINE_LINUX="{less} {ours}"  # as installed\n' in tools.text(DEFAULTS)
    assert tools.text(CMDLINE) == f"{ROOT}{less} {ours}\n"
    assert tools.text(OLD) == entry(f"{ROOT}{less} $tuned_params {ours}")
    assert tools.text(NEW) == entry(f"{ROOT}{less} {ours}  ")
    settled(BACKEND, tools.host, wish("hugepages=4"))
    assert tools.text(OLD) == entry(f"{ROOT}{COMMON} $tuned_params hugepages=4")
    settled(BACKEND, tools.host, wish())
    assert tools.tree() == before


def test_the_rescue_entry_and_every_grub_cfg_stay_bare(tools: Tools) -> None:
    """kubevirt-gpu-device-plugin#66: the wrong grub.cfg was written on UEFI. Entries are read from one place."""
    names = [RESCUE, "/boot/grub2/grub.cfg", "/boot/efi/EFI/rocky/grub.cfg"]
    before = [tools.text(name) for name in names]
    settled(BACKEND, tools.host, wish("a=1", "quiet"))
    assert [tools.text(name) for name in names] == before
    menu = menu_of(BACKEND, tools.host)
    assert [one.name for one in menu.entries or () if one.bare] == [f"{MACHINE}-0-rescue.conf"]
    assert tools.ran == []


def test_an_ordered_block_of_huge_pages_stays_one(tools: Tools) -> None:
    """grubby(8): "If an argument already exists the new value replaces the old values": it keeps one pair."""
    block = "hugepagesz=1G hugepages=8 hugepagesz=2M hugepages=512"
    settled(BACKEND, tools.host, wish(block))
    assert block in tools.text(OLD) and block in tools.text(DEFAULTS)


def test_a_kernel_that_is_installed_before_the_reboot_has_the_arguments(tools: Tools) -> None:
    """rhboot/grubby#55: the arguments were lost when the kernel was upgraded before the reboot."""
    settled(BACKEND, tools.host, wish("a=1"))
    # 20-grub.install takes the options of a new entry from /etc/kernel/cmdline.
    tools.write(f"{ENTRIES}/{MACHINE}-5.14.0-570.el9.x86_64.conf", entry(tools.text(CMDLINE).strip()))
    assert steps(BACKEND, tools.host, wish("a=1")) == ()
    tools.write(f"{ENTRIES}/{MACHINE}-5.14.0-570.el9.x86_64.conf", entry(f"{ROOT}{COMMON}"))
    found = faults(menu_of(BACKEND, tools.host), wish("a=1"))
    assert found == (f"{MACHINE}-5.14.0-570.el9.x86_64.conf lacks a=1",)
    settled(BACKEND, tools.host, wish("a=1"))


def test_enterprise_linux_8_is_changed_as_any_other(tools: Tools) -> None:
    """stackhpc.linux: its branches were for 8.0 and older and for 9.0 and newer, so 8.1 to 8.10 never changed."""
    tools.write("/etc/os-release", 'ID="rocky"\nVERSION_ID="8.10"\n')
    tools.remove(CMDLINE)
    tools.write(OLD, entry("$kernelopts $tuned_params"))
    tools.write(
        GRUBENV, f"# GRUB Environment Block\nsaved_entry=x\nkernelopts={ROOT}{COMMON} \nboot_success=0\n###"
    )
    assert Bls.detect(tools.host)
    settled(BACKEND, tools.host, wish("a=1"))
    assert tools.text(OLD) == entry("$kernelopts $tuned_params a=1")
    assert menu_of(BACKEND, tools.host).entries[1].words == (*f"{ROOT}{COMMON}".split(), "a=1")  # type: ignore[index]


def test_a_word_inside_kernelopts_is_taken_out_of_the_entry_alone(make: t.Callable[[], Tools]) -> None:
    def build() -> Tools:
        tools = make()
        tools.write(OLD, entry("$kernelopts $tuned_params"))
        tools.write(GRUBENV, f"kernelopts={ROOT}{COMMON}\nboot_success=0\n")
        return tools

    tools = build()
    settled(BACKEND, tools.host, wish("a=1", "rhgb"))
    assert tools.text(OLD) == entry(f"{ROOT}{COMMON} $tuned_params a=1".replace(" rhgb", ""))
    assert "kernelopts=root" in tools.text(GRUBENV)
    settled(BACKEND, tools.host, wish())
    assert tools.text(OLD) == entry(f"{ROOT}{COMMON} $tuned_params")

    def words(tools: Tools) -> list[tuple[str, ...]]:
        return [one.words for one in menu_of(BACKEND, tools.host).entries or ()]

    for walk in ([wish("a=1", "rhgb")], [wish("a=1", "rhgb"), wish("a=1")]):
        survives_a_kill_anywhere(build, BACKEND, walk, words)


@pytest.mark.parametrize(
    "walk",
    [
        [wish("a=1 hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=2")],
        [wish("a=1 b=1"), wish("b=2 c=1")],
        [wish("hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=2"), wish("hugepagesz=1G hugepages=2")],
        [wish("a=1"), wish()],
        [wish("a=1", "quiet rhgb"), wish("b=1", "quiet")],
        [wish("", "quiet"), wish()],
    ],
)
def test_killed_anywhere_the_next_run_converges(make: t.Callable[[], Tools], walk: list[Wish]) -> None:
    survives_a_kill_anywhere(make, BACKEND, walk, Tools.tree)


def test_the_order_is_record_then_what_is_inherited_then_entries_then_record(tools: Tools) -> None:
    plan = [action.describe() for action in steps(BACKEND, tools.host, wish("a=1"))]
    assert plan == [f"write {path} (0644)" for path in (RECORD, DEFAULTS, CMDLINE, OLD, NEW, RECORD)]


def test_reading_and_planning_touch_nothing(tools: Tools) -> None:
    before = tools.tree()
    converge(BACKEND, tools.host, wish("a=1"), stop=0)
    assert tools.tree() == before


# --- what others wrote ----------------------------------------------------------------------------


def test_what_is_not_everywhere_is_not_given(tools: Tools) -> None:
    """grub2-mkconfig no longer carries /etc/default/grub into the entries: what stands there only is no argument."""
    assert menu_of(BACKEND, tools.host).given == (Source(DEFAULTS, tuple(COMMON.split())),)
    tools.write(DEFAULTS, GRUB.replace("quiet", "quiet a=1"))
    assert menu_of(BACKEND, tools.host).given == (Source(DEFAULTS, tuple(COMMON.split())),)
    settled(BACKEND, tools.host, wish("a=1"))
    settled(BACKEND, tools.host, wish())
    assert tools.text(DEFAULTS) == GRUB.replace("quiet", "quiet a=1")


@pytest.mark.parametrize("word", ["iommu=pt", "intel_iommu=off", "hugepages=4"])
def test_an_entry_that_says_otherwise_is_named(tools: Tools, word: str) -> None:
    tools.write(NEW, entry(f"{ROOT}{COMMON} {word}"))
    wanted = "iommu=strict intel_iommu=on hugepages=2"
    with pytest.raises(Contradiction, match=f"{word}") as caught:
        steps(BACKEND, tools.host, wish(wanted))
    assert NEW in caught.value.message
    settled(BACKEND, tools.host, wish(wanted, word))


@pytest.mark.parametrize("word", ['a="b c"', "a=$b", "a='b", "a=`b`", "a=b\\c"])
def test_a_word_that_grub_or_the_shell_would_change_is_refused(tools: Tools, word: str) -> None:
    with pytest.raises(Refusal, match="characters that"):
        BACKEND.plan(menu_of(BACKEND, tools.host), Wish((word,), ()))


def test_a_single_quoted_assignment_keeps_its_quotes(tools: Tools) -> None:
    tools.write(DEFAULTS, GRUB.replace(f'"{COMMON}"', f"'{COMMON}'"))
    settled(BACKEND, tools.host, wish("a=1"))
    assert f"='{COMMON} a=1'  # as" in tools.text(DEFAULTS)


@pytest.mark.parametrize(
    "assignment",
    [
        '"$GRUB_CMDLINE_LINUX quiet"',
        "quiet",
        '"a\nb"',
        '"a" b',
        '"a"#b',
        '"dyndbg=\\"file x\\""',
        "'dyndbg=\"file x\"'",
        '"`cat /etc/args`"',
        "$(cat /etc/args)",
    ],
)
def test_an_assignment_that_is_no_plain_text_is_an_error_with_the_way_by_hand(
    tools: Tools, assignment: str
) -> None:
    tools.write(DEFAULTS, GRUB.replace(f'"{COMMON}"', assignment))
    with pytest.raises(ParseError, match="is no plain quoted text") as caught:
        menu_of(BACKEND, tools.host)
    assert 'GRUB_CMDLINE_LINUX="WORD' in caught.value.remedy


def test_appending_to_the_variable_is_no_plain_text_either(tools: Tools) -> None:
    tools.write(DEFAULTS, GRUB + 'GRUB_CMDLINE_LINUX+=" quiet"\n')
    with pytest.raises(ParseError, match="is no plain quoted text"):
        menu_of(BACKEND, tools.host)


def test_of_several_assignments_the_last_one_counts(tools: Tools) -> None:
    tools.write(DEFAULTS, GRUB + 'export GRUB_CMDLINE_LINUX="quiet"\n')
    settled(BACKEND, tools.host, wish("a=1"))
    assert tools.text(DEFAULTS) == GRUB + 'export GRUB_CMDLINE_LINUX="quiet a=1"\n'


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_missing_assignment_is_begun_and_ended(make: t.Callable[[], Tools], end: str) -> None:
    """stackhpc.linux#18: a variable that was not there became the word None."""

    def build() -> Tools:
        tools = make()
        tools.write(DEFAULTS, f"GRUB_TIMEOUT=5\nGRUB_ENABLE_BLSCFG=true{end}")
        return tools

    tools = build()
    settled(BACKEND, tools.host, wish("a=1"))
    line = 'GRUB_CMDLINE_LINUX="a=1"  # begun by hearth.gpu_host\n'
    assert tools.text(DEFAULTS) == f"GRUB_TIMEOUT=5\nGRUB_ENABLE_BLSCFG=true\n{line}"
    settled(BACKEND, tools.host, wish())
    assert tools.text(DEFAULTS) == "GRUB_TIMEOUT=5\nGRUB_ENABLE_BLSCFG=true\n"
    if end:
        survives_a_kill_anywhere(build, BACKEND, [wish("a=1"), wish()], Tools.tree)


def test_without_etc_default_grub_only_the_entries_are_edited(tools: Tools) -> None:
    """Such a host is not told to be this one; its operator may name the backend all the same."""
    tools.remove(DEFAULTS)
    settled(BACKEND, tools.host, wish("a=1"))
    assert not tools.host.exists(DEFAULTS) and "a=1" in tools.text(NEW)


@pytest.mark.parametrize("options", ["options a=1\noptions b=1\n", "", "options\n"])
def test_an_entry_without_one_line_of_options_is_an_error(tools: Tools, options: str) -> None:
    tools.write(NEW, f"title x\nlinux /vmlinuz\n{options}")
    with pytest.raises(ParseError, match="one with words was expected"):
        menu_of(BACKEND, tools.host)


def test_an_entry_that_starts_no_linux_is_left_alone(tools: Tools) -> None:
    tools.write(f"{ENTRIES}/memtest.conf", "title memtest\nefi /memtest.efi\n")
    settled(BACKEND, tools.host, wish("a=1"))
    assert tools.text(f"{ENTRIES}/memtest.conf") == "title memtest\nefi /memtest.efi\n"


@pytest.mark.parametrize(
    ("text", "is_it"),
    [
        ("GRUB_ENABLE_BLSCFG=true\n", True),
        ('  export GRUB_ENABLE_BLSCFG="true" # x\n', True),
        ("GRUB_ENABLE_BLSCFG=false\n", False),
        ("GRUB_ENABLE_BLSCFG=true\nGRUB_ENABLE_BLSCFG=false\n", False),
        ("#GRUB_ENABLE_BLSCFG=true\n", False),
        ("", False),
    ],
)
def test_it_is_told_by_what_grub_is_told(tools: Tools, text: str, is_it: bool) -> None:
    tools.write(DEFAULTS, text)
    assert Bls.detect(tools.host) is is_it


def test_without_entries_it_is_another_boot_loader(tmp_path: pathlib.Path) -> None:
    tools = Tools(tmp_path)
    assert not Bls.detect(tools.host)
    tools.write(DEFAULTS, GRUB)
    assert not Bls.detect(tools.host)
