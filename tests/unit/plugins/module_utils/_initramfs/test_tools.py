# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import pathlib
import subprocess
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from fakeimages import NEW, FakeImages

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Run
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._initramfs import tools
from ansible_collections.hearth.gpu_host.plugins.module_utils._initramfs.content import Content

CONTENT = Content(("dm_mod", "vfio_pci"), ("/etc/udev/rules.d/10-hearth.rules",))
TOOLS = [tools.InitramfsTools(), tools.Dracut()]


def test_the_tool_is_the_one_that_owns_the_images(tmp_path: pathlib.Path) -> None:
    host = Host(root=str(tmp_path))
    assert tools.detect(host) is None
    (tmp_path / "usr/sbin").mkdir(parents=True)
    (tmp_path / "usr/sbin/update-initramfs").write_text("#!/bin/sh\nexec dracut --force\n")
    assert tools.detect(host) is None, "what live systems and wrappers put in its place builds nothing"
    (tmp_path / "usr/sbin/dracut").touch()
    assert isinstance(tools.detect(host), tools.Dracut)
    # From update-initramfs of initramfs-tools 0.142 (Debian 12).
    (tmp_path / "usr/sbin/update-initramfs").write_text(
        'if mkinitramfs ${OPTS} "${initramfs}.new" "${version}"; then\n'
    )
    assert isinstance(tools.detect(host), tools.InitramfsTools)


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    "content", [CONTENT, Content(modules=("tun",)), Content(files=("/etc/x",)), Content()]
)
def test_what_we_write_is_good_shell(tool: tools.Tool, content: Content, tmp_path: pathlib.Path) -> None:
    for path, own in tool.own_files(content).items():
        assert path in tool.paths
        script = tmp_path / "script"
        script.write_text(own.text)
        subprocess.run(["bash", "-n", str(script)], check=True)
        assert (own.mode == 0o755) is own.text.startswith("#!")


def test_the_hook_names_what_it_puts_in_and_stamps_it() -> None:
    text = tools.InitramfsTools().own_files(CONTENT)["/etc/initramfs-tools/hooks/hearth"].text
    assert "\nforce_load dm_mod\nforce_load vfio_pci\nhearth_copy /etc/udev/rules.d/10-hearth.rules\n" in text
    inputs = "/etc/initramfs-tools/hooks/hearth /etc/udev/rules.d/10-hearth.rules /etc/modprobe.d/*.conf"
    assert f"$(hearth_digest {inputs})" in text
    empty = tools.InitramfsTools().own_files(Content())["/etc/initramfs-tools/hooks/hearth"].text
    assert "hearth_digest" not in empty and "prereqs" in empty


def test_dracut_is_told_of_modprobe_d_as_well() -> None:
    files = tools.Dracut().own_files(CONTENT)
    conf = files["/etc/dracut.conf.d/90-hearth.conf"].text
    assert 'force_drivers+=" dm_mod vfio_pci "\n' in conf
    assert 'install_items+=" /etc/udev/rules.d/10-hearth.rules "\n' in conf
    assert 'install_optional_items+=" /etc/modprobe.d/*.conf "\n' in conf
    assert list(tools.Dracut().own_files(Content())) == ["/etc/dracut.conf.d/90-hearth.conf"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("update_initramfs=no\n", True),
        ("  update_initramfs = 'no'\n", True),
        ("# update_initramfs=no\nupdate_initramfs=yes\n", False),
        ("update_initramfs=all\n", False),
    ],
)
def test_an_operator_who_forbids_builds_is_heard(tmp_path: pathlib.Path, text: str, found: bool) -> None:
    (tmp_path / "etc/initramfs-tools").mkdir(parents=True)
    (tmp_path / "etc/initramfs-tools/update-initramfs.conf").write_text(text)
    assert bool(tools.InitramfsTools().obstacle(Host(root=str(tmp_path)))) is found
    assert tools.Dracut().obstacle(Host(root=str(tmp_path))) == ""


# From lsinitramfs 0.142 and lsinitrd 059 of Debian 12, on images of linux-image-cloud-amd64.
LSINITRAMFS = """.
bin
etc/modprobe.d
usr/lib/modules/6.1.0-50-cloud-amd64/kernel/drivers/vfio/pci/vfio-pci.ko
./lib/udev/rules.d/x.rules
"""
LSINITRD = """Image: /boot/initrd.img-6.1.0-50-cloud-amd64: 16M
========================================================================
Version:

Arguments:  -q --force

dracut modules:
kernel-modules
========================================================================
drwxr-xr-x  12 root     root            0 Nov 22 05:16 .
crw-r--r--   1 root     root       5,   1 Nov 22 05:16 dev/console
-rwsr-xr-x   1 root     root        59704 Nov 21  2024 usr/bin/mount
lrwxrwxrwx   1 root     root            4 Nov 22 05:16 usr/bin/sh -> bash
-rw-r--r--   1 root     root        78633 Jul  2 13:50 usr/lib/modules/6.1.0-50-cloud-amd64/kernel/a b.ko
========================================================================
"""


def test_listings_give_paths_as_they_are_in_the_image() -> None:
    assert tools.InitramfsTools().names(LSINITRAMFS) >= {
        "etc/modprobe.d",
        "usr/lib/modules/6.1.0-50-cloud-amd64/kernel/drivers/vfio/pci/vfio-pci.ko",
        "usr/lib/udev/rules.d/x.rules",
    }
    assert tools.Dracut().names(LSINITRD) >= {
        "dev/console",
        "usr/bin/mount",
        "usr/bin/sh",
        "usr/lib/modules/6.1.0-50-cloud-amd64/kernel/a b.ko",
    }
    assert "kernel-modules" not in tools.Dracut().names(LSINITRD)
    assert tools.inside("/lib/udev/rules.d/x.rules") == "usr/lib/udev/rules.d/x.rules"


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/etc/modprobe.d/a.conf", True),
        ("/etc/modprobe.d/.a.conf", False),
        ("/etc/modprobe.d/a.conf.bak", False),
        ("/etc/modprobe.d/sub/a.conf", False),
        ("/etc/modules-load.d/a.conf", False),
    ],
)
def test_the_pattern_of_the_hook_is_understood(path: str, taken: bool) -> None:
    assert tools.is_modprobe(path) is taken


def test_images_are_looked_for_where_the_tool_puts_them() -> None:
    assert tools.InitramfsTools().candidates("6.1", "id") == ("/boot/initrd.img-6.1",)
    assert "/boot/efi/id/6.1/initrd" in tools.Dracut().candidates("6.1", "id")
    assert tools.Dracut().candidates("6.1", "") == ("/boot/initramfs-6.1.img", "/boot/initrd.img-6.1")


def test_update_initramfs_builds_one_kernel() -> None:
    build = tools.InitramfsTools().build(NEW, f"/boot/initrd.img-{NEW}")
    assert build == Run(("update-initramfs", "-u", "-k", NEW), timeout_s=900)


def test_half_an_image_of_dracut_does_not_fill_boot(tmp_path: pathlib.Path) -> None:
    fake = FakeImages(tmp_path, dracut=True)
    before = fake.tree()

    def run(argv: t.Sequence[str], **options: t.Any) -> Completed:
        fake.write(argv[3], "half")
        raise CommandError("dracut gave no answer within 900 s.")

    for runner in (run, lambda *_argv, **_options: run(["", "", "", "/nowhere/image"])):
        with pytest.raises(CommandError, match="no answer"):
            tools.DracutBuild(NEW, fake.image(NEW)).perform(Host(root=str(tmp_path), run=runner))
    (tmp_path / "nowhere/image").unlink()
    assert fake.tree() == before


# dracut copies its result over the image (`cp --reflink=auto`, dracut 059 and 106): a crash would tear it.
def test_dracut_builds_beside_the_image_and_the_mode_stays(tmp_path: pathlib.Path) -> None:
    fake = FakeImages(tmp_path, dracut=True)
    image = fake.file(fake.image(NEW))
    image.chmod(0o600)
    inode = image.stat().st_ino
    build = tools.Dracut().build(NEW, fake.image(NEW))
    assert build.describe() == f"run dracut --force {fake.image(NEW)} {NEW}"
    build.perform(fake.host)
    assert (image.stat().st_mode & 0o777, image.stat().st_ino != inode) == (0o600, True)
    assert f"initrd.img-{NEW}.hearth-new" not in fake.boot_names()


def test_only_a_folder_of_ours_goes_with_its_last_file(tmp_path: pathlib.Path) -> None:
    host = Host(root=str(tmp_path))
    for path in tools.Dracut.paths:
        file = tmp_path / path[1:]
        file.parent.mkdir(parents=True)
        file.touch()
        assert tools.RemoveOwn(path).describe() == f"remove {path}"
        tools.RemoveOwn(path).perform(host)
        tools.RemoveOwn(path).perform(host)
    assert (tmp_path / "etc/dracut.conf.d").is_dir()
    assert not (tmp_path / "usr/lib/dracut/modules.d/99hearth").exists()
