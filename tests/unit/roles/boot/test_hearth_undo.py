# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""hearth-undo and what it calls, on a root of their own; the tools of GRUB are stubs."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest

FILES = pathlib.Path(__file__).resolve().parents[4] / "roles" / "boot" / "files"
FIXTURE = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "grub" / "debian-12.cfg"
# A record as the back-ends other than GRUB keep it.
RECORD = """{
  "patterns": [],
  "words": [
    "intel_iommu=on",
    "vfio-pci.ids=10de:2330,10de:22a3"
  ]
}
"""
MKCONFIG = """#!/bin/sh
if [ -e "$HEARTH_ROOT/no-menu" ]; then echo broken >&2; exit 1; fi
cat "$HEARTH_ROOT/new-menu" > "$2"
"""
EDITENV = """#!/bin/sh
[ "$2 $3" = "unset next_entry" ] && sed -i /^next_entry=/d "$1"
"""


class Rescue:
    """A shell on a host whose kernel arguments went wrong."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        for name in ("hearth-undo", "hearth-undo-boot-arguments"):
            target = (
                "usr/local/sbin/hearth-undo" if name == "hearth-undo" else "etc/hearth/undo.d/boot-arguments"
            )
            (root / target).parent.mkdir(parents=True)
            shutil.copy(FILES / name, root / target)
        (root / "stubs").mkdir()
        self.stub("grub-mkconfig", MKCONFIG)
        self.stub("grub-editenv", EDITENV)
        self.stub("grub-script-check", "#!/bin/sh\n[ -s $1 ]\n")
        self.write("new-menu", FIXTURE.read_text())

    def stub(self, name: str, text: str) -> None:
        self.write(f"stubs/{name}", text).chmod(0o755)

    def write(self, path: str, text: str) -> pathlib.Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def arm(self) -> None:
        """Write what our modules write on a host with GRUB."""
        self.write("etc/default/grub.d/zz-hearth.cfg", "ours\n")
        self.write("etc/default/grub.d/zz-hearth-trial.cfg", "trial\n")
        self.write("etc/default/grub.d/operator.cfg", "theirs\n")
        self.write("etc/grub.d/42_hearth", "script\n").chmod(0o755)
        self.write("boot/grub/grub.cfg", "old\n").chmod(0o400)
        self.write("boot/grub/grubenv", "saved_entry=1\nnext_entry=hearth-trial\n")

    def __call__(self, *words: str) -> tuple[int, str, str]:
        shell = shutil.which("dash") or "/bin/sh"
        done = subprocess.run(
            [shell, str(self.root / "usr/local/sbin/hearth-undo"), *words],
            # As in a rescue shell: nothing but what the script itself sets.
            env={"HEARTH_ROOT": str(self.root)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def kept(self) -> list[str]:
        return sorted(path.name for path in self.root.glob("var/lib/hearth/backup/undo-*/*"))


@pytest.fixture
def rescue(tmp_path: pathlib.Path) -> Rescue:
    return Rescue(tmp_path)


def test_without_a_name_it_lists_what_can_be_taken_back(rescue: Rescue) -> None:
    rescue.write("etc/hearth/undo.d/notes.txt", "no script")
    status, out, err = rescue()
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "boot-arguments\ttakes the kernel arguments of hearth.gpu_host out of the boot configuration",
        "",
        "Take one back with: hearth-undo NAME",
    ]
    assert "usage: hearth-undo [NAME]" in rescue("--help")[1]


def test_an_empty_folder_says_so(rescue: Rescue) -> None:
    shutil.rmtree(rescue.root / "etc/hearth/undo.d")
    status, out, _err = rescue()
    assert status == 0 and "there is nothing to take back" in out


@pytest.mark.parametrize(
    "words", [("vanished",), ("../../bin/sh",), (".",), ("-x",), ("boot-arguments", "more")]
)
def test_what_is_no_name_is_an_error_and_runs_nothing(rescue: Rescue, words: tuple[str, ...]) -> None:
    rescue.arm()
    status, out, err = rescue(*words)
    assert status == 2 and out == "" and err.startswith("hearth-undo: ")
    assert rescue.kept() == []


def test_the_status_is_that_of_what_was_called(rescue: Rescue) -> None:
    rescue.write("etc/hearth/undo.d/other", '#!/bin/sh\necho "$1"; exit 7\n').chmod(0o755)
    assert rescue("other") == (7, "undo\n", "")


def test_grub_loses_our_words_and_nothing_of_the_operators(rescue: Rescue) -> None:
    rescue.arm()
    status, out, err = rescue("boot-arguments")
    assert (status, err) == (0, "")
    assert rescue.kept() == ["42_hearth", "zz-hearth-trial.cfg", "zz-hearth.cfg"]
    assert os.listdir(rescue.root / "etc/default/grub.d") == ["operator.cfg"]
    assert os.listdir(rescue.root / "etc/grub.d") == []
    menu = rescue.root / "boot/grub/grub.cfg"
    assert menu.read_text() == FIXTURE.read_text() and menu.stat().st_mode & 0o777 == 0o400
    assert (rescue.root / "boot/grub/grubenv").read_text() == "saved_entry=1\n"
    assert sorted(os.listdir(menu.parent)) == ["grub.cfg", "grubenv"]
    assert "the next boot is without the arguments" in out and "declarations.d" in out


def test_once_more_finds_nothing_to_move_and_makes_the_menu_again(rescue: Rescue) -> None:
    rescue.arm()
    rescue("boot-arguments")
    (rescue.root / "boot/grub/grub.cfg").write_text("made by a run that was cut off")
    status, out, _err = rescue("boot-arguments")
    assert status == 0 and "Moved" not in out
    assert (rescue.root / "boot/grub/grub.cfg").read_text() == FIXTURE.read_text()


def test_a_one_shot_of_the_operator_stays(rescue: Rescue) -> None:
    rescue.arm()
    rescue.write("boot/grub/grubenv", "next_entry=windows\n")
    assert rescue("boot-arguments")[0] == 0
    assert (rescue.root / "boot/grub/grubenv").read_text() == "next_entry=windows\n"


@pytest.mark.parametrize("how", ["fails", "empty", "no kernel"])
def test_a_menu_that_cannot_be_made_leaves_the_old_one_and_says_what_next(rescue: Rescue, how: str) -> None:
    rescue.arm()
    if how == "fails":
        rescue.write("no-menu", "")
    else:
        rescue.write("new-menu", "" if how == "empty" else "set timeout=5\n")
    status, _out, err = rescue("boot-arguments")
    assert status == 1 and "is as it was" in err and "recovery entry" in err
    assert (rescue.root / "boot/grub/grub.cfg").read_text() == "old\n"
    assert sorted(os.listdir(rescue.root / "boot/grub")) == ["grub.cfg", "grubenv"]


def test_a_root_that_cannot_be_written_is_said_before_anything_is_moved(rescue: Rescue) -> None:
    rescue.arm()
    # A folder in the way stands for a read-only file system, which root could write otherwise.
    (rescue.root / "boot/grub/.hearth-undo").mkdir()
    status, _out, err = rescue("boot-arguments")
    assert status == 1 and "mount -o remount,rw /" in err
    assert rescue.kept() == []


@pytest.mark.parametrize(
    ("loader", "steps"),
    [
        ("proxmox", ["rm -f /etc/default/grub.d/zz-hearth.cfg", "proxmox-boot-tool refresh"]),
        (
            "bls",
            ["grubby --update-kernel=ALL --remove-args='intel_iommu=on vfio-pci.ids=10de:2330,10de:22a3'"],
        ),
        ("systemd-boot", ["take the words out of /etc/kernel/cmdline", "kernel-install add VERSION"]),
    ],
)
def test_other_loaders_get_the_steps_and_nothing_is_touched(
    rescue: Rescue, loader: str, steps: list[str]
) -> None:
    rescue.write("etc/hearth/kernel_args.json", RECORD)
    if loader == "proxmox":
        rescue.arm()
        rescue.write("etc/kernel/proxmox-boot-uuids", "1234-ABCD\n")
    if loader == "bls":
        (rescue.root / "boot/loader/entries").mkdir(parents=True)
        rescue.stub("grubby", "#!/bin/sh\n")
    status, out, _err = rescue("boot-arguments")
    assert status == 1 and rescue.kept() == []
    assert [step for step in steps if step not in out] == []
    assert "intel_iommu=on vfio-pci.ids=10de:2330,10de:22a3" in out
