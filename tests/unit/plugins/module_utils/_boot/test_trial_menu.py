# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub_menu import (
    MenuEntry,
    find,
    parse_menu,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.trial_menu import (
    FALLBACK,
    TRIAL,
    Source,
    armed_in,
    booted_kernel,
    difference,
    fallback_words,
    ours,
    render_script,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError

FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures" / "grub"
ROOT = "root=UUID=7c1f6f5e-2f1b-4c8e-9d53-0a4d9a1b6c01"
OLD = "/boot/vmlinuz-6.1.0-56-amd64"


def source(name: str, running: str = f"BOOT_IMAGE={OLD} {ROOT} ro quiet", spec: str = "0") -> Source:
    menu = parse_menu((FIXTURES / name).read_text())
    default = find(menu, spec)
    assert default is not None
    return Source(menu, default, cmdline.split(running))


def made(source: Source) -> dict[str, MenuEntry]:
    return {entry.id: entry for entry in parse_menu(render_script(source, "boot-1", 30))}


@pytest.mark.parametrize(
    ("trial", "fallback", "said"),
    [
        ("ro quiet a=1 panic=30 hearth.trial", "ro quiet hearth.fallback", "with a=1"),
        ("ro panic=30 hearth.trial", "ro quiet panic=10 hearth.fallback", "without quiet"),
        ("ro a=2 b=1 hearth.trial", "ro a=1 hearth.fallback", "with a=2 b=1, without a=1"),
        ("ro quiet hearth.trial", "quiet ro hearth.fallback", "with the same arguments"),
    ],
)
def test_what_is_on_trial_is_told_in_words(trial: str, fallback: str, said: str) -> None:
    assert difference(cmdline.split(trial), cmdline.split(fallback)) == said


def test_the_trial_is_what_boots_by_itself_and_the_fallback_what_runs() -> None:
    given_ = source("debian-12-many.cfg")
    entries = made(given_)
    assert entries[TRIAL].kernel == "/boot/vmlinuz-6.1.0-99-amd64"
    assert entries[TRIAL].words == (*given_.default.words, "panic=30", "hearth.trial")
    assert entries[TRIAL].initrd == ("/boot/initrd.img-6.1.0-99-amd64",)
    assert entries[FALLBACK].kernel == OLD, (
        "a new kernel came along: the one that is known to start is the old one"
    )
    assert entries[FALLBACK].words == (ROOT, "ro", "quiet", "hearth.fallback")
    assert entries[FALLBACK].initrd == ("/boot/initrd.img-6.1.0-56-amd64",)
    assert entries[TRIAL].title == "Linux 6.1.0-99-amd64, new arguments on trial"
    assert [entry.position for entry in entries.values()] == [(0,), (1,)]


def test_an_entry_that_goes_away_is_never_saved_as_the_default() -> None:
    given_ = source("debian-12-many.cfg")
    assert "savedefault" in given_.default.body
    assert all("savedefault" not in entry.body for entry in made(given_).values())


def test_variables_of_grub_and_functions_of_ubuntu_are_kept_in_the_trial() -> None:
    trial = made(source("ubuntu-flags.cfg"))[TRIAL]
    assert "recordfail" in trial.body
    assert any(
        line.endswith("splash intel_iommu=on $vt_handoff panic=30 hearth.trial") for line in trial.body
    )


def test_the_initial_ram_disk_that_is_kept_goes_into_the_fallback_only() -> None:
    kept = dataclasses.replace(source("debian-12.cfg"), previous=frozenset({"initrd.img-6.1.0-56-amd64"}))
    entries = made(kept)
    assert entries[TRIAL].initrd == ("/boot/initrd.img-6.1.0-56-amd64",)
    assert entries[FALLBACK].initrd == ("/boot/initrd.img-6.1.0-56-amd64.hearth-previous",)


def test_paths_are_those_of_the_entry_where_boot_is_a_partition_of_its_own() -> None:
    text = (
        (FIXTURES / "debian-12.cfg")
        .read_text()
        .replace("/boot/vmlinuz", "/vmlinuz")
        .replace("/boot/initrd", "/early.img /initrd")
    )
    menu = parse_menu(text)
    running = ("BOOT_IMAGE=(hd0,gpt2)/vmlinuz-6.1.0-56-amd64", ROOT)
    entries = made(Source(menu, menu[0], running, frozenset({"initrd.img-6.1.0-56-amd64"})))
    assert entries[FALLBACK].kernel == "/vmlinuz-6.1.0-56-amd64"
    assert entries[FALLBACK].initrd == ("/early.img", "/initrd.img-6.1.0-56-amd64.hearth-previous")


def test_a_kernel_that_is_gone_leaves_the_default_one_to_fall_back_to() -> None:
    entries = made(source("debian-12-many.cfg", f"BOOT_IMAGE=/boot/vmlinuz-5.10 {ROOT}"))
    assert entries[FALLBACK].kernel == "/boot/vmlinuz-6.1.0-99-amd64"


@pytest.mark.parametrize(
    ("running", "words"),
    [
        (f"BOOT_IMAGE={OLD} {ROOT} ro", (ROOT, "ro")),
        ("initrd=\\\\efi\\\\initrd ro hearth.fallback", ("ro",)),
        ("ro panic=30 hearth.trial", ("ro",)),
        ("ro panic=5 quiet", ("ro", "panic=5", "quiet")),
    ],
)
def test_the_fallback_has_what_runs_without_what_loaders_and_trials_add(
    running: str, words: tuple[str, ...]
) -> None:
    assert fallback_words(cmdline.split(running)) == (*words, "hearth.fallback")


def test_the_operators_own_panic_gives_way_and_words_for_init_stay_last() -> None:
    menu = parse_menu("menuentry a --unrestricted { \n linux /v panic=0 'a=b c' -- single\n initrd /i\n}")
    trial = made(Source(menu, menu[0], ("x=1",)))[TRIAL]
    assert trial.body[0] == "linux\t/v 'a=b c' panic=30 hearth.trial -- single"
    assert trial.words == ("a=b c", "panic=30", "hearth.trial")
    assert trial.options == "--unrestricted", "or a menu with passwords would ask for one"


def test_an_entry_that_cannot_be_copied_line_by_line_is_refused() -> None:
    menu = parse_menu("menuentry a { if true; then linux /v a; fi\n}")
    with pytest.raises(ParseError, match="cannot be copied"):
        render_script(Source(menu, menu[0], ()), "boot-1", 30)


@given(
    st.lists(
        st.text(st.characters(blacklist_categories=["Cs", "Cc", "Z"], blacklist_characters='"'), min_size=1)
    )
)
def test_any_running_command_line_is_in_the_fallback_word_by_word(words: list[str]) -> None:
    names = {"panic", "initrd", "hearth.trial", "hearth.fallback"}
    words = [
        word
        for word in words
        if word != "--" and cmdline.name_of(word) not in names and word[:11] != "BOOT_IMAGE="
    ]
    running = dataclasses.replace(source("debian-12.cfg"), running=tuple(words))
    assert made(running)[FALLBACK].words == (*words, "hearth.fallback")


def test_a_trial_that_cannot_be_loaded_reboots_instead_of_waiting_for_a_key() -> None:
    entries = made(source("debian-12.cfg"))
    trial, fallback = entries[TRIAL].body, entries[FALLBACK].body
    places = [place for place, line in enumerate(trial) if line.split()[0] in ("linux", "initrd")]
    assert [trial[place + 1] for place in places] == ["if [ $? != 0 ]; then reboot; fi"] * 2
    assert not any("reboot" in line for line in fallback), "or it would start over for ever"


def test_the_script_says_when_it_was_made_and_what_is_ours() -> None:
    script = render_script(source("debian-12.cfg"), "boot-7", 30)
    assert script.startswith('#!/bin/sh\nexec tail -n +3 "$0"\n')
    assert (armed_in(script), armed_in("")) == ("boot-7", "")
    menu = parse_menu((FIXTURES / "debian-12.cfg").read_text() + script)
    assert [name for name, _words, _body in ours(menu)] == [TRIAL, FALLBACK]
    assert ours(menu) == ours(parse_menu(script)), "as it is in the script, so it is in the menu"


@pytest.mark.parametrize(
    ("words", "kernel"),
    [(("ro",), ""), (("BOOT_IMAGE=/v", "ro"), "/v"), (("BOOT_IMAGE=(hd0,gpt2)/v",), "/v")],
)
def test_the_kernel_is_the_one_that_grub_names(words: tuple[str, ...], kernel: str) -> None:
    assert booted_kernel(words) == kernel
