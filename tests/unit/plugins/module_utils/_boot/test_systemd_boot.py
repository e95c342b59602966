# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import pathlib
import typing as t

import pytest
from fakeboot import KERNELS, Tools, converge, menu_of, settled, steps, survives_a_kill_anywhere, wish

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Source, Wish, faults
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.cmdline_file import CMDLINE, RECORD
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.systemd_boot import AddKernel, SystemdBoot
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError, ParseError, Refusal

ENTRIES = "/boot/loader/entries"
GIVEN = "root=UUID=1  ro quiet console=ttyS0\n"
BACKEND = SystemdBoot()


@pytest.fixture(name="make")
def _make(tmp_path: pathlib.Path) -> t.Callable[[], Tools]:
    numbers = itertools.count()

    def build() -> Tools:
        tools = Tools(tmp_path / str(next(numbers)))
        tools.write(CMDLINE, GIVEN)
        for version in KERNELS:
            tools.install_kernel(version)
        tools.ran.clear()
        return tools

    return build


@pytest.fixture(name="tools")
def _tools(make: t.Callable[[], Tools]) -> Tools:
    return make()


def words(tools: Tools) -> dict[str, tuple[str, ...]]:
    return {entry.name: entry.words for entry in menu_of(BACKEND, tools.host).entries or ()}


def test_added_changed_and_removed_on_every_entry(tools: Tools) -> None:
    before = tools.tree()
    base = ("root=UUID=1", "ro", "quiet", "console=ttyS0")
    settled(BACKEND, tools.host, wish("intel_iommu=on hugepages=2"))
    assert tools.text(CMDLINE) == "root=UUID=1  ro quiet console=ttyS0 intel_iommu=on hugepages=2\n"
    assert words(tools) == dict.fromkeys(KERNELS, (*base, "intel_iommu=on", "hugepages=2"))
    settled(BACKEND, tools.host, wish("hugepages=4"))
    assert words(tools) == dict.fromkeys(KERNELS, (*base, "hugepages=4"))
    settled(BACKEND, tools.host, wish())
    assert tools.tree() == before


def test_the_record_comes_first_and_last_and_each_kernel_once(tools: Tools) -> None:
    plan = [action.describe() for action in steps(BACKEND, tools.host, wish("a=1"))]
    assert plan == [
        f"write {RECORD} (0644)",
        f"write {CMDLINE} (0644)",
        *(f"run kernel-install add {version}" for version in KERNELS),
        f"write {RECORD} (0644)",
    ]
    assert len(steps(BACKEND, tools.host, wish())) == 0


WALKS = [
    [wish("a=1 hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=2")],
    [wish("a=1 b=1"), wish("b=2 c=1")],
    [wish("hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=2"), wish("hugepagesz=1G hugepages=2")],
    [wish("a=1"), wish()],
    [wish("a=1"), wish("a=1", "quiet console=ttyS0")],
    [wish("a=1", "quiet console=ttyS0"), wish("b=1", "quiet")],
    [wish("", "quiet"), wish()],
]


@pytest.mark.parametrize("walk", WALKS)
def test_killed_anywhere_the_next_run_converges(make: t.Callable[[], Tools], walk: list[Wish]) -> None:
    survives_a_kill_anywhere(make, BACKEND, walk, Tools.tree)


def test_a_kernel_that_is_installed_before_the_reboot_has_the_arguments(tools: Tools) -> None:
    """rhboot/grubby#55: arguments were lost when the kernel was upgraded before the reboot."""
    settled(BACKEND, tools.host, wish("a=1"))
    tools.install_kernel("6.12.0-1-cloud-amd64")
    assert words(tools)["6.12.0-1-cloud-amd64"][-1] == "a=1"
    assert steps(BACKEND, tools.host, wish("a=1")) == ()


def test_an_entry_that_lost_an_argument_gets_it_back(tools: Tools) -> None:
    settled(BACKEND, tools.host, wish("a=1"))
    path = f"{ENTRIES}/hearth-{KERNELS[0]}.conf"
    tools.write(path, tools.text(path).replace(" a=1", ""))
    assert faults(menu_of(BACKEND, tools.host), wish("a=1")) == (f"{KERNELS[0]} lacks a=1",)
    settled(BACKEND, tools.host, wish("a=1"))


def test_entries_that_count_their_tries_are_known_and_leave_no_stale_one(tools: Tools) -> None:
    tools.write("/etc/kernel/tries", "3\n")
    old, new = f"{ENTRIES}/hearth-{KERNELS[0]}.conf", f"{ENTRIES}/hearth-{KERNELS[0]}+3.conf"
    tools.write(f"{ENTRIES}/hearth-{KERNELS[1]}+3-0.conf", tools.text(f"{ENTRIES}/hearth-{KERNELS[1]}.conf"))
    tools.remove(f"{ENTRIES}/hearth-{KERNELS[1]}.conf")
    settled(BACKEND, tools.host, wish("a=1"))
    assert new.lstrip("/") in tools.tree() and old.lstrip("/") not in tools.tree()
    assert tools.host.listdir(ENTRIES) == [f"hearth-{version}+3.conf" for version in KERNELS]
    (tools.root / "etc/kernel/tries").unlink()
    settled(BACKEND, tools.host, wish("a=2"))
    assert tools.host.listdir(ENTRIES) == [f"hearth-{version}.conf" for version in KERNELS]


def test_options_on_several_lines_are_one_command_line(tools: Tools) -> None:
    path = f"{ENTRIES}/hearth-{KERNELS[0]}.conf"
    tools.write(path, "title x\noptions root=UUID=1 ro\noptions\tquiet\nlinux /x\n")
    assert words(tools)[KERNELS[0]] == ("root=UUID=1", "ro", "quiet")


def test_entries_of_others_and_of_kernels_that_are_gone_stay_as_they_are(tools: Tools) -> None:
    tools.write(f"{ENTRIES}/memtest.conf", "title memtest\nefi /memtest.efi\n")
    tools.write(f"{ENTRIES}/hearth-5.10.0-1-amd64.conf", "options root=UUID=1\nlinux /x\n")
    before = {name: text for name, text in tools.tree().items() if "memtest" in name or "5.10" in name}
    settled(BACKEND, tools.host, wish("a=1"))
    bare = [entry.name for entry in menu_of(BACKEND, tools.host).entries or () if entry.bare]
    assert bare == [f"{ENTRIES}/hearth-5.10.0-1-amd64.conf", f"{ENTRIES}/memtest.conf"]
    assert before.items() <= tools.tree().items()


def test_the_longest_version_is_the_kernels_own(tools: Tools) -> None:
    tools.install_kernel("amd64")
    assert set(words(tools)) == {*KERNELS, "amd64"}


def test_a_kernel_beside_its_modules_is_found(tools: Tools) -> None:
    tools.install_kernel("6.12.1", "/usr/lib/modules/{}/vmlinuz")
    settled(BACKEND, tools.host, wish("a=1"))
    assert ("kernel-install", "add", "6.12.1", "/usr/lib/modules/6.12.1/vmlinuz") in tools.ran


def test_a_kernel_that_went_away_during_the_run_is_an_error(tools: Tools) -> None:
    with pytest.raises(CommandError, match=r"kernel 1\.0 is gone"):
        AddKernel("1.0").perform(tools.host)


# --- no /etc/kernel/cmdline -----------------------------------------------------------------------

RUNNING = "BOOT_IMAGE=/vmlinuz initrd=\\hearth\\initrd root=UUID=1 ro quiet console=ttyS0\n"


@pytest.fixture(name="unset")
def _unset(make: t.Callable[[], Tools]) -> t.Callable[[], Tools]:
    def build() -> Tools:
        tools = make()
        tools.remove(CMDLINE)
        tools.write("/proc/cmdline", RUNNING)
        return tools

    return build


def test_without_a_file_it_is_started_as_kernel_install_would_have(unset: t.Callable[[], Tools]) -> None:
    tools = unset()
    assert menu_of(BACKEND, tools.host).given == (
        Source("/proc/cmdline", ("root=UUID=1", "ro", "quiet", "console=ttyS0")),
    )
    settled(BACKEND, tools.host, wish("a=1", "quiet"))
    assert tools.text(CMDLINE) == "root=UUID=1 ro console=ttyS0 a=1\n"


def test_the_vendors_file_comes_before_the_running_kernels(unset: t.Callable[[], Tools]) -> None:
    tools = unset()
    tools.write("/usr/lib/kernel/cmdline", "root=LABEL=image ro\n")
    settled(BACKEND, tools.host, wish("a=1"))
    assert tools.text(CMDLINE) == "root=LABEL=image ro a=1\n"


def test_a_file_that_was_started_stays_when_our_words_leave(unset: t.Callable[[], Tools]) -> None:
    """Without it, kernel-install would take the running kernel's words, ours among them, until the reboot."""
    tools = unset()
    settled(BACKEND, tools.host, wish("a=1"))
    tools.write("/proc/cmdline", RUNNING.replace("\n", " a=1\n"))
    settled(BACKEND, tools.host, wish())
    assert tools.text(CMDLINE) == "root=UUID=1 ro quiet console=ttyS0\n"
    assert not tools.host.exists(RECORD)


def test_a_file_that_somebody_removed_is_started_again_without_our_words(
    unset: t.Callable[[], Tools],
) -> None:
    tools = unset()
    settled(BACKEND, tools.host, wish("a=1", "quiet"))
    tools.remove(CMDLINE)
    tools.write("/proc/cmdline", "root=UUID=1 ro a=1\n")
    settled(BACKEND, tools.host, wish("a=2"))
    assert tools.text(CMDLINE) == "root=UUID=1 ro quiet a=2\n"


def test_killed_anywhere_a_started_file_has_the_same_words(unset: t.Callable[[], Tools]) -> None:
    survives_a_kill_anywhere(unset, BACKEND, [wish("a=1", "quiet")], words)


def test_without_a_wish_none_is_started(unset: t.Callable[[], Tools]) -> None:
    tools = unset()
    assert steps(BACKEND, tools.host, wish()) == ()


def test_a_container_does_not_take_the_command_line_of_its_host(unset: t.Callable[[], Tools]) -> None:
    tools = unset()
    tools.write("/run/systemd/container", "systemd-nspawn\n")
    with pytest.raises(ParseError, match="the command line is unknown") as caught:
        menu_of(BACKEND, tools.host)
    assert CMDLINE in caught.value.remedy


# --- what is refused, and detection ---------------------------------------------------------------


def test_a_comment_in_the_command_line_is_refused(tools: Tools) -> None:
    tools.write(CMDLINE, "# hugepages for the guests\nroot=UUID=1\n")
    with pytest.raises(ParseError, match="has a comment"):
        menu_of(BACKEND, tools.host)


def test_unified_kernel_images_alone_cannot_be_changed(make: t.Callable[[], Tools]) -> None:
    tools = make()
    tools.write("/boot/EFI/Linux/debian.efi", "")
    assert [entry.name for entry in menu_of(BACKEND, tools.host).entries or () if entry.bare] == [
        "/boot/EFI/Linux/debian.efi"
    ]
    for name in tools.host.listdir(ENTRIES):
        tools.remove(f"{ENTRIES}/{name}")
    with pytest.raises(Refusal, match="Only unified kernel images") as caught:
        menu_of(BACKEND, tools.host)
    assert "by hand" in caught.value.remedy


def test_a_kernel_with_entries_in_two_places_is_refused(tools: Tools) -> None:
    tools.write(f"/efi/loader/entries/other-{KERNELS[0]}.conf", "options root=UUID=1\nlinux /x\n")
    with pytest.raises(
        Refusal, match=f"{KERNELS[0]} has entries in /boot/loader/entries and /efi/loader/entries"
    ):
        menu_of(BACKEND, tools.host)


@pytest.mark.parametrize(
    ("files", "is_it"),
    [
        ({}, False),
        ({"/efi/EFI/systemd/systemd-bootx64.efi": ""}, True),
        ({"/boot/efi/EFI/systemd/systemd-bootaa64.efi": ""}, True),
        ({"/boot/EFI/debian/grubx64.efi": "", "/boot/EFI/systemd/notes.txt": ""}, False),
        ({f"{ENTRIES}/x.conf": ""}, True),
        ({f"{ENTRIES}/x.conf": "", "/etc/default/grub": "GRUB_ENABLE_BLSCFG=true\n"}, False),
        ({f"{ENTRIES}/x.conf": "", "/etc/default/grub": "GRUB_ENABLE_BLSCFG=false\n"}, True),
    ],
)
def test_it_is_told_by_what_is_there(tmp_path: pathlib.Path, files: dict[str, str], is_it: bool) -> None:
    tools = Tools(tmp_path)
    for path, text in files.items():
        tools.write(path, text)
    assert SystemdBoot.detect(tools.host) is is_it


def test_reading_and_planning_touch_nothing(tools: Tools) -> None:
    before = tools.tree()
    assert converge(BACKEND, tools.host, wish("a=1"), stop=0) == 5
    assert tools.tree() == before and tools.ran == []
