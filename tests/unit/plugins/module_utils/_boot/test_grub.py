# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's GRUB: what others say is measured with a real shell, the menu is looked at entry by entry."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from fakeboot import converge, menu_of, settled, steps, survives_a_kill_anywhere, wish
from fakegrub import DEFAULTS, DROPIN, KERNEL, STOCK, GrubHost

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Run
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Source, faults
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub import Grub
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed, run_command
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    CommandError,
    HearthError,
    ParseError,
    Refusal,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures" / "grub"
GRUB_D = "/etc/default/grub.d"
# As the packages write them: cloud-init's builder of Debian images, Hetzner's installimage, kdump-tools, init-select.
CLOUDIMG = '# Cloud Image specific\nGRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0"\n'
HETZNER = 'GRUB_CMDLINE_LINUX_DEFAULT="consoleblank=0"\nGRUB_CMDLINE_LINUX="systemd.show_status=true"\n'
KDUMP = 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=384M-:128M"\n'
GRUB = Grub()


def sources(fake: GrubHost) -> list[tuple[str, str]]:
    return [
        (source.owner.rpartition("/")[2], " ".join(source.words)) for source in menu_of(GRUB, fake.host).given
    ]


@pytest.mark.parametrize(
    ("defaults", "dropins", "given"),
    [
        (STOCK, {}, [("grub", "console=ttyS0"), ("grub", "quiet")]),
        (None, {}, []),
        ("", {}, []),
        (
            STOCK,
            {"50_cloudimg_settings": CLOUDIMG},
            [("grub", "console=ttyS0"), ("50-cloudimg-settings.cfg", "console=tty1 console=ttyS0")],
        ),
        (
            STOCK,
            {"hetzner": HETZNER},
            [("hetzner.cfg", "systemd.show_status=true"), ("hetzner.cfg", "consoleblank=0")],
        ),
        (
            STOCK,
            {"kdump": KDUMP},
            [("grub", "console=ttyS0"), ("grub", "quiet"), ("kdump.cfg", "crashkernel=384M-:128M")],
        ),
        (
            STOCK,
            {"first": 'GRUB_CMDLINE_LINUX="a=1 $GRUB_CMDLINE_LINUX"\n'},
            [("first.cfg", "a=1"), ("grub", "console=ttyS0"), ("grub", "quiet")],
        ),
        (
            STOCK,
            {"glued": 'GRUB_CMDLINE_LINUX_DEFAULT="${GRUB_CMDLINE_LINUX_DEFAULT}er"\n'},
            [("grub", "console=ttyS0"), ("glued.cfg", "quieter")],
        ),
        (
            "GRUB_CMDLINE_LINUX_DEFAULT=$(echo quiet; echo told >&2; echo lost >/dev/null)\necho noise\n",
            {},
            [("grub", "quiet")],
        ),
        (
            STOCK,
            {"zzz_local": KDUMP},
            [("grub", "console=ttyS0"), ("grub", "quiet"), ("zzz-local.cfg", "crashkernel=384M-:128M")],
        ),
    ],
)
def test_every_word_of_others_is_found_with_its_file(
    tmp_path: pathlib.Path, defaults: str | None, dropins: dict[str, str], given: list[tuple[str, str]]
) -> None:
    assert sources(GrubHost(tmp_path, defaults, **dropins)) == given


@pytest.mark.parametrize("name, text", [("50_cloudimg_settings", CLOUDIMG), ("hetzner", HETZNER)])
def test_stackhpc_29_and_installimage_39_a_file_that_assigns_does_not_wipe_ours(
    tmp_path: pathlib.Path, name: str, text: str
) -> None:
    fake = GrubHost(tmp_path, **{name: text}).generate()
    settled(GRUB, fake.host, wish("intel_iommu=on"))
    assert all("intel_iommu=on" in entry.split() for entry in fake.entries())


def test_a_later_file_that_assigns_is_refused_by_name(tmp_path: pathlib.Path) -> None:
    fake = GrubHost(tmp_path, zzz_local=CLOUDIMG).generate()
    with pytest.raises(
        Refusal, match=f"^{GRUB_D}/zzz-local.cfg sets GRUB_CMDLINE_LINUX_DEFAULT without"
    ) as caught:
        menu_of(GRUB, fake.host)
    assert "sorts before zz-hearth.cfg" in caught.value.remedy


def test_a_later_file_that_rewrites_and_keeps_what_was_there_is_taken(tmp_path: pathlib.Path) -> None:
    fake = GrubHost(
        tmp_path, zzz='GRUB_CMDLINE_LINUX_DEFAULT="a=1 $GRUB_CMDLINE_LINUX_DEFAULT b=2"\n'
    ).generate()
    assert sources(fake)[1:] == [("zzz.cfg", "a=1 quiet"), ("zzz.cfg", "b=2")] or sources(fake)[1:] == [
        ("zzz.cfg", "a=1 quiet b=2")
    ]
    settled(GRUB, fake.host, wish("intel_iommu=on"))


@pytest.mark.parametrize(
    ("later", "ours", "removed"),
    [
        ("iommu=off", "iommu=pt", ""),
        ("hugepagesz=2M", "hugepages=8", ""),
        ("quiet", "", "quiet"),
        ("vfio_pci.ids=1:1", "vfio-pci.ids=1:1,2:2", ""),
    ],
)
def test_a_later_file_that_undoes_ours_is_refused_by_name(
    tmp_path: pathlib.Path, later: str, ours: str, removed: str
) -> None:
    fake = GrubHost(
        tmp_path, zzz=f'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT {later}"\n'
    ).generate()
    with pytest.raises(Refusal, match=f"{GRUB_D}/zzz.cfg sets {later} after"):
        GRUB.plan(menu_of(GRUB, fake.host), wish(ours, removed))


def test_a_file_that_ends_the_shell_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ParseError, match=f"{GRUB_D}/50-end.cfg ends the shell"):
        menu_of(GRUB, GrubHost(tmp_path, **{"50_end": "exit 0\n"}).host)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('GRUB_CMDLINE_LINUX="never closed\n', "quot|EOF"),
        ("no-such-command\n", "no-such-command"),
        ("set -e; false\n", ""),
        ("exit 3\n", ""),
    ],
)
def test_a_file_that_fails_is_named_with_what_the_shell_says(
    tmp_path: pathlib.Path, text: str, said: str
) -> None:
    for path, host in (
        (DEFAULTS, GrubHost(tmp_path / "a", text).host),
        (f"{GRUB_D}/50-own.cfg", GrubHost(tmp_path / "b", **{"50_own": text}).host),
    ):
        with pytest.raises(
            ParseError, match=f"^{path} ends the shell that reads it(?s:.*)({said})"
        ) as caught:
            menu_of(GRUB, host)
        assert "hearth_file" not in caught.value.message, "the script is of no use to the operator"


def test_a_file_that_never_ends_is_an_error_without_our_script_in_it(tmp_path: pathlib.Path) -> None:
    fake = GrubHost(tmp_path, "while :; do :; done\n")

    def run(argv: t.Sequence[str], **options: t.Any) -> Completed:
        return run_command(argv, **{**options, "timeout_s": 0.2})

    with pytest.raises(
        CommandError, match=f"^The shell that reads {DEFAULTS}.* does not come to an end"
    ) as caught:
        menu_of(GRUB, Host(root=str(fake.root), run=run))
    assert "correct that file" in caught.value.remedy


@pytest.mark.parametrize(
    "text", ["quiet # splash", "quiet; splash", "quiet\nsplash", "quiet \\\\", "a={b}", "a&b"]
)
def test_words_of_others_that_cut_off_what_follows_are_refused_before_anything_is_written(
    tmp_path: pathlib.Path, text: str
) -> None:
    fake = GrubHost(tmp_path, f'GRUB_CMDLINE_LINUX_DEFAULT="{text}"\n')
    fake.write("/boot/grub/grub.cfg", (FIXTURES / "debian-12.cfg").read_text())
    with pytest.raises(Refusal, match="What is appended to the words of others would be lost") as caught:
        GRUB.plan(menu_of(GRUB, fake.host), wish("intel_iommu=on"))
    assert "/etc/default/grub" in caught.value.remedy
    assert GRUB.plan(menu_of(GRUB, fake.host), wish("")), "what is ours can be taken back"


def test_a_link_to_nowhere_is_passed_over_as_grub_mkconfig_does(tmp_path: pathlib.Path) -> None:
    fake = GrubHost(tmp_path, **{"50_own": "GRUB_CMDLINE_LINUX=a=1\n"})
    (tmp_path / "etc/default/grub.d/60-gone.cfg").symlink_to("nowhere.cfg")
    assert sources(fake) == [("50-own.cfg", "a=1"), ("grub", "quiet")]


def test_words_that_grub_cannot_read_are_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ParseError, match=f"words in {DEFAULTS} cannot be read: a='b"):
        menu_of(GRUB, GrubHost(tmp_path, 'GRUB_CMDLINE_LINUX="a=\'b"\n').host)


def test_what_cannot_be_read_is_no_empty_menu(tmp_path: pathlib.Path) -> None:
    fake = GrubHost(tmp_path)
    (tmp_path / "boot/grub/grub.cfg").mkdir(parents=True)
    with pytest.raises(ParseError, match="make /boot/grub/grub.cfg readable|Is a directory"):
        menu_of(GRUB, fake.host)


# The real menus; the last has words in quotation marks of GRUB.
@pytest.mark.parametrize(
    ("name", "judged", "bare", "words"),
    [
        ("debian-12.cfg", 2, 1, "quiet"),
        ("debian-13.cfg", 2, 1, "quiet"),
        ("debian-12-many.cfg", 5, 2, "intel_iommu=on"),
        ("ubuntu-flags.cfg", 2, 1, "quiet"),
    ],
)
def test_entries_of_real_menus(tmp_path: pathlib.Path, name: str, judged: int, bare: int, words: str) -> None:
    fake = GrubHost(tmp_path)
    fake.write("/boot/grub/grub.cfg", (FIXTURES / name).read_text())
    menu = menu_of(GRUB, fake.host)
    normal = [entry for entry in menu.entries or () if not entry.bare]
    assert (len(normal), len(menu.entries or ()) - len(normal)) == (judged, bare)
    assert all(
        words in entry.words and entry.words[0].startswith("BOOT_IMAGE=/boot/vmlinuz-") for entry in normal
    )
    assert faults(menu, wish(words)) == ()
    assert len(faults(menu, wish("nosmt"))) == judged


def test_arguments_are_added_changed_and_removed_and_the_host_is_as_it_was(tmp_path: pathlib.Path) -> None:
    fake = GrubHost(tmp_path, kdump=KDUMP).generate()
    before = fake.tree()
    for wanted, line in (
        (
            wish("intel_iommu=on hugepagesz=1G hugepages=2"),
            "console=ttyS0 quiet crashkernel=384M-:128M intel_iommu=on hugepagesz=1G hugepages=2",
        ),
        (wish("iommu=pt", "quiet console"), "crashkernel=384M-:128M iommu=pt"),
        (wish("", "quiet"), "console=ttyS0 crashkernel=384M-:128M"),
        (wish(), "console=ttyS0 quiet crashkernel=384M-:128M"),
    ):
        settled(GRUB, fake.host, wanted)
        assert fake.entries() == [line, line]
    assert fake.tree() == before
    assert fake.text(DEFAULTS) == STOCK, "the operator's file is never written"


def test_recovery_entries_stay_bare(tmp_path: pathlib.Path) -> None:
    fake = GrubHost(tmp_path).generate()
    settled(GRUB, fake.host, wish("intel_iommu=on"))
    assert fake.entries(bare=True) == ["single console=ttyS0"]


def described(fake: GrubHost, ours: str, removed: str = "") -> list[str]:
    return [action.describe().split(" (")[0] for action in steps(GRUB, fake.host, wish(ours, removed))]


def test_edpm_the_menu_is_generated_only_when_needed(tmp_path: pathlib.Path) -> None:
    # 40-peers.md A2, A3, A4, A14: dracut, grub2-mkconfig or update-grub on every run.
    write, generate, remove = f"write {DROPIN}", "generate /boot/grub/grub.cfg", f"remove {DROPIN}"
    fake = GrubHost(tmp_path).generate()
    assert described(fake, "") == []
    assert described(fake, "iommu=pt") == [write, generate]
    settled(GRUB, fake.host, wish("iommu=pt"))
    assert described(fake, "iommu=pt") == []
    assert described(fake, "iommu=pt nosmt") == [write, generate]
    assert described(fake, "nosmt") == [write, generate, write]
    assert described(fake, "") == [write, generate, remove]
    fake.write("/boot/grub/grub.cfg", (fake.text("/boot/grub/grub.cfg") or "").replace(" iommu=pt", ""))
    assert described(fake, "iommu=pt") == [generate]


def test_a_new_kernel_has_the_arguments_too(tmp_path: pathlib.Path) -> None:
    fake = GrubHost(tmp_path).generate()
    settled(GRUB, fake.host, wish("iommu=pt"))
    fake.write("/boot/vmlinuz-6.1.0-99-amd64", "kernel")
    fake.generate()
    assert len(fake.entries()) == 3 and all(entry.endswith("iommu=pt") for entry in fake.entries())
    assert described(fake, "iommu=pt") == []


@pytest.mark.parametrize(
    "walk",
    [
        [wish("iommu=pt")],
        [wish("iommu=pt"), wish("iommu=pt nosmt")],
        [wish("iommu=pt nosmt"), wish("nosmt", "quiet")],
        [wish("iommu=pt", "quiet"), wish("iommu=pt")],
        [wish("", "quiet"), wish("")],
        [wish("iommu=pt"), wish()],
        [wish("hugepagesz=1G hugepages=2"), wish("hugepagesz=1G hugepages=4", "console")],
    ],
)
def test_one_deploy_a_run_that_died_after_any_effect_converges(
    tmp_path: pathlib.Path, walk: list[t.Any]
) -> None:
    # 40-peers.md A1: the menu was generated only when the file had changed in the same run.
    number = iter(range(1000))

    def make() -> t.Any:
        return GrubHost(tmp_path / str(next(number))).generate()

    survives_a_kill_anywhere(make, GRUB, walk, lambda fake: fake.tree())


def test_a_run_that_completes_a_killed_one_may_be_killed_too(tmp_path: pathlib.Path) -> None:
    for removed in ("quiet", ""):
        fake = GrubHost(tmp_path / f"host{removed}").generate()
        start = fake.tree()
        settled(GRUB, fake.host, wish("iommu=pt", "quiet"))
        for _kill in range(3):
            converge(GRUB, fake.host, wish("iommu=pt", removed), stop=1)
        settled(GRUB, fake.host, wish("iommu=pt", removed))
        assert fake.entries()[0] == f"console=ttyS0 {'' if removed else 'quiet '}iommu=pt"
        settled(GRUB, fake.host, wish())
        assert fake.tree() == start


def test_an_image_without_a_menu_gets_the_drop_in_only(tmp_path: pathlib.Path) -> None:
    fake = GrubHost(tmp_path)
    assert described(fake, "iommu=pt") == [f"write {DROPIN}"]
    settled(GRUB, fake.host, wish("iommu=pt"))
    settled(GRUB, fake.host, wish("nosmt"))
    settled(GRUB, fake.host, wish())
    assert fake.ran == [] and fake.text(DROPIN) is None


def test_a_menu_without_its_generator_is_refused_before_anything_is_written(tmp_path: pathlib.Path) -> None:
    fake = GrubHost(tmp_path).generate()
    fake.remove("/usr/sbin/grub-mkconfig")
    with pytest.raises(Refusal, match="no grub-mkconfig"):
        converge(GRUB, fake.host, wish("iommu=pt"))
    assert fake.text(DROPIN) is None


def test_words_that_the_shell_cannot_take_out_are_refused_before_anything_is_written(
    tmp_path: pathlib.Path,
) -> None:
    fake = GrubHost(tmp_path, "GRUB_CMDLINE_LINUX_DEFAULT='dyndbg=\"file x +p\"'\n").generate()
    with pytest.raises(HearthError, match="quotation marks"):
        converge(GRUB, fake.host, wish("iommu=pt", "dyndbg"))
    assert fake.text(DROPIN) is None


def test_another_generator_can_be_told(tmp_path: pathlib.Path) -> None:
    refresh = Run(("proxmox-boot-tool", "refresh"))
    fake = GrubHost(tmp_path).generate()
    assert Grub(refresh).plan(menu_of(GRUB, fake.host), wish("iommu=pt"))[-1] == refresh


def test_upstreams_grub_which_does_not_read_the_folder_is_not_taken(tmp_path: pathlib.Path) -> None:
    fake = GrubHost(tmp_path)
    assert Grub.detect(fake.host)
    fake.write("/usr/sbin/grub-mkconfig", ". ${sysconfdir}/default/grub\n")
    assert not Grub.detect(fake.host)


def test_hidden_files_are_not_sourced(tmp_path: pathlib.Path) -> None:
    # What a killed write leaves: the shell's *.cfg does not see it either.
    fake = GrubHost(tmp_path).generate()
    fake.write(f"{GRUB_D}/.zz.cfg", "exit 1\n")
    assert Source(DEFAULTS, ("quiet",)) in menu_of(GRUB, fake.host).given
    assert KERNEL in (menu_of(GRUB, fake.host).entries or ())[0].words[0]
