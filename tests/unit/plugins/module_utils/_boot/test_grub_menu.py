# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import grub_menu
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub_menu import (
    GRUB_CFG,
    GenerateMenu,
    MenuEntry,
    default_of,
    find,
    parse_menu,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    CommandError,
    EffectError,
    ParseError,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures" / "grub"
DISK = "7c1f6f5e-2f1b-4c8e-9d53-0a4d9a1b6c01"
ROOT = (f"root=UUID={DISK}", "ro")
ADVANCED = f"gnulinux-advanced-{DISK}"


def menu(name: str) -> tuple[MenuEntry, ...]:
    return parse_menu((FIXTURES / name).read_text())


def test_debian_12_as_it_is_installed() -> None:
    simple, advanced, recovery = menu("debian-12.cfg")
    assert simple.id == simple.path == f"gnulinux-simple-{DISK}"
    assert (simple.title, simple.position, simple.bare) == ("Debian GNU/Linux", (0,), False)
    assert simple.kernel == "/boot/vmlinuz-6.1.0-56-amd64"
    assert simple.words == (*ROOT, "console=ttyS0", "quiet")
    assert simple.initrd == ("/boot/initrd.img-6.1.0-56-amd64",)
    assert simple.options == "--class debian --class gnu-linux --class gnu --class os"
    assert simple.body[0] == "load_video" and simple.body[-1] == "initrd\t/boot/initrd.img-6.1.0-56-amd64"
    assert advanced.path == f"{ADVANCED}>gnulinux-6.1.0-56-amd64-advanced-{DISK}"
    assert (advanced.position, advanced.words) == ((1, 0), simple.words)
    assert (recovery.position, recovery.words) == ((1, 1), (*ROOT, "single", "console=ttyS0"))
    assert [entry.bare for entry in (simple, advanced, recovery)] == [False, False, True]


def test_debian_13_has_an_entry_of_the_firmware_that_is_no_kernel() -> None:
    *linux, firmware = menu("debian-13.cfg")
    assert [entry.of_distribution for entry in linux] == [True, True, True]
    assert (firmware.id, firmware.of_distribution, firmware.bare) == ("uefi-firmware", False, False)
    assert (firmware.kernel, firmware.words, firmware.initrd) == ("", (), ())


def test_every_kernel_has_its_entries_and_only_recovery_is_bare() -> None:
    entries = menu("debian-12-many.cfg")
    assert [entry.id.replace(f"-{DISK}", "") for entry in entries] == [
        "gnulinux-simple",
        "gnulinux-6.1.0-99-amd64-advanced",
        "gnulinux-6.1.0-99-amd64-init-sysvinit",
        "gnulinux-6.1.0-99-amd64-recovery",
        "gnulinux-6.1.0-56-amd64-advanced",
        "gnulinux-6.1.0-56-amd64-init-sysvinit",
        "gnulinux-6.1.0-56-amd64-recovery",
        "The operator's rescue > disk",
        "chain",
    ]
    assert [entry.bare for entry in entries] == [False, False, False, True, False, False, True, False, False]
    assert {"intel_iommu=on", "dyndbg=file drivers/usb/* +p"} <= set(entries[2].words)
    assert entries[2].words[-1] == "init=/lib/sysvinit/init"


def test_an_entry_of_the_operator_is_read_as_grub_reads_it() -> None:
    custom = menu("debian-12-many.cfg")[-2]
    assert custom.path == "The operator's rescue >> disk"
    assert custom.words == ("mem=$total", 'quoted "word"')
    assert custom.initrd == ("/boot/early.img", "/boot/rescue.img")
    assert custom.options == "--class tool --hotkey=r"
    assert custom.of_distribution is False


def test_an_entry_that_the_operator_copied_with_its_id_is_his() -> None:
    # What one finds in a file of one's own is mostly copied out of grub.cfg, as the manual of GRUB says.
    text = (FIXTURES / "debian-12.cfg").read_text()
    copy = text[text.index("menuentry 'Debian GNU/Linux' ") : text.index("submenu ")]
    begin = "### BEGIN /etc/grub.d/40_custom ###\n"
    entries = parse_menu(text.replace(begin, f"{begin}{copy}"))
    assert [(entry.maker, entry.of_distribution) for entry in entries] == [
        ("10_linux", True),
        ("10_linux", True),
        ("10_linux", True),
        ("40_custom", False),
    ]
    assert entries[3].id == entries[0].id
    # Without the lines of grub-mkconfig the id decides.
    (alone,) = parse_menu(copy)
    assert (alone.maker, alone.of_distribution) == ("", True)
    (outside,) = parse_menu(f"{begin}### END /etc/grub.d/40_custom ###\n{copy}")
    assert (outside.maker, outside.of_distribution) == ("", True)


def test_words_that_only_grub_knows_are_left_out() -> None:
    simple = menu("ubuntu-flags.cfg")[0]
    assert simple.words == (*ROOT, "console=ttyS0", "quiet", "splash", "intel_iommu=on")
    assert "recordfail" in simple.body and any("$vt_handoff" in line for line in simple.body)


def test_blocks_in_an_entry_belong_to_it() -> None:
    text = """
        function f { echo ' } '; }
        menuentry a --id 'i' { if [ "$x" = 1 ]; then linux /v a=1; else
          linux /v b=2; fi
          for x in 1; do { echo; } done }
        submenu s { submenu "t > u" --id=t { menuentry b {
          initrd /i } } }
    """
    one, two = parse_menu(text)
    assert (one.id, one.kernel, one.words) == ("i", "/v", ("a=1",))
    assert one.body[-1].strip() == "for x in 1; do { echo; } done"
    assert (two.path, two.position, two.initrd, two.kernel) == ("s>t>b", (1, 0, 0), ("/i",), "")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("menuentry a {\n linux /v", "the block of 'menuentry' is never closed (line 1)"),
        ("\n{", "the block of 'line' is never closed (line 2)"),
        ("menuentry a {\n}\n}", "there is a closing brace too many (line 3)"),
        ("menuentry 'a {\n}", "a quotation mark or a $ without a counterpart (line 1)"),
    ],
)
def test_half_a_menu_is_an_error(text: str, what: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_menu(text)
    assert what in caught.value.message


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ((FIXTURES / "debian-12.cfg").read_text(), "0"),
        ((FIXTURES / "debian-12-many.cfg").read_text(), "${saved_entry}"),
        (
            'if [ "${next_entry}" ]; then\nset default="${next_entry}"\nelse\nset default="a b>c"\nfi\n',
            "a b>c",
        ),
        ("", "0"),
        ('set default=""\n', "0"),
    ],
)
def test_what_boots_by_itself(text: str, spec: str) -> None:
    assert default_of(text) == spec


@pytest.mark.parametrize(
    ("spec", "position"),
    [
        ("0", (0,)),
        ("1", (1, 0)),
        ("1>3", (1, 3)),
        (f"{ADVANCED}>gnulinux-6.1.0-56-amd64-advanced-{DISK}", (1, 3)),
        ("Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.1.0-56-amd64", (1, 3)),
        (f"1>gnulinux-6.1.0-56-amd64-advanced-{DISK}", (1, 3)),
        (ADVANCED, (1, 0)),
        ("The operator's rescue >> disk", (2,)),
        ("chain", (3,)),
        ("vanished", (0,)),
        ("0>0", (0,)),
        ("", (0,)),
    ],
)
def test_the_default_is_found_by_number_id_and_title(spec: str, position: tuple[int, ...]) -> None:
    found = find(menu("debian-12-many.cfg"), spec)
    assert found is not None and found.position == position


def test_an_empty_menu_has_no_default() -> None:
    assert find((), "0") is None


class Tools:
    """Stands for grub-mkconfig and grub-script-check: writes ``text``, fails where told to."""

    def __init__(self, root: pathlib.Path, text: str, failing: str = "") -> None:
        self._root, self._text, self._failing = root, text, failing
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, argv: t.Sequence[str], **options: t.Any) -> Completed:
        self.calls.append(tuple(argv))
        if argv[0] == "grub-mkconfig":
            made = self._root / argv[2].lstrip("/")
            made.write_text(self._text)
            made.with_name(f"{made.name}.new").write_text("half")
        if argv[0] == self._failing:
            raise CommandError(f"{argv[0]} ended with status 1: broken")
        if argv[0] == "grub-mkconfig":
            made.with_name(f"{made.name}.new").unlink()
        return Completed(0, "", "")


def host_with(root: pathlib.Path, text: str, failing: str = "") -> tuple[Host, Tools, pathlib.Path]:
    cfg = root / GRUB_CFG.lstrip("/")
    cfg.parent.mkdir(parents=True)
    tools = Tools(root, text, failing)
    return Host(root=str(root), run=tools), tools, cfg


def test_the_menu_is_made_beside_the_old_one_checked_and_takes_its_name_and_mode(
    tmp_path: pathlib.Path,
) -> None:
    text = (FIXTURES / "debian-12.cfg").read_text()
    host, tools, cfg = host_with(tmp_path, text)
    cfg.write_text("old")
    cfg.chmod(0o400)
    GenerateMenu().perform(host)
    assert tools.calls == [
        ("grub-mkconfig", "-o", f"{GRUB_CFG}.hearth-new"),
        ("grub-script-check", f"{GRUB_CFG}.hearth-new"),
    ]
    assert cfg.read_text() == text
    assert cfg.stat().st_mode & 0o777 == 0o400
    assert os.listdir(cfg.parent) == ["grub.cfg"]
    assert GenerateMenu().describe() == "generate /boot/grub/grub.cfg"


def test_a_first_menu_keeps_the_mode_that_grub_gave_it(tmp_path: pathlib.Path) -> None:
    host, _tools, cfg = host_with(tmp_path, (FIXTURES / "debian-12.cfg").read_text())
    GenerateMenu().perform(host)
    assert cfg.is_file()


@pytest.mark.parametrize("failing", ["grub-mkconfig", "grub-script-check"])
def test_a_tool_that_fails_leaves_the_old_menu_and_nothing_else(tmp_path: pathlib.Path, failing: str) -> None:
    host, _tools, cfg = host_with(tmp_path, (FIXTURES / "debian-12.cfg").read_text(), failing)
    cfg.write_text("old")
    with pytest.raises(CommandError, match=f"{failing} ended"):
        GenerateMenu().perform(host)
    assert cfg.read_text() == "old"
    assert os.listdir(cfg.parent) == ["grub.cfg"]


@pytest.mark.parametrize("text", ["", "set timeout=5\n", "menuentry 'Firmware' {\n\tfwsetup\n}\n"])
def test_a_menu_without_a_kernel_is_refused(tmp_path: pathlib.Path, text: str) -> None:
    host, _tools, cfg = host_with(tmp_path, text)
    cfg.write_text("old")
    with pytest.raises(EffectError, match="without any kernel") as caught:
        GenerateMenu().perform(host)
    assert "grub-mkconfig" in caught.value.remedy
    assert cfg.read_text() == "old"
    assert os.listdir(cfg.parent) == ["grub.cfg"]


def test_a_menu_that_is_a_link_stays_one(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (FIXTURES / "debian-12.cfg").read_text()
    host, _tools, cfg = host_with(tmp_path, text)
    real = tmp_path / "elsewhere.cfg"
    real.write_text("old")
    cfg.symlink_to(real)
    made = str(cfg.with_name("grub.cfg.hearth-new"))
    pathlib.Path(made).write_text(text)
    grub_menu.take_place(Host(), made, str(cfg))
    assert cfg.is_symlink() and real.read_text() == text
