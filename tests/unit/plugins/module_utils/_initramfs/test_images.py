# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import errno
import os
import pathlib
import sys
import types
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from fakeimages import BOOTED, NEW, OLD, FakeImages

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal, VerifyError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._initramfs import images as disk
from ansible_collections.hearth.gpu_host.plugins.module_utils._initramfs import tools
from ansible_collections.hearth.gpu_host.plugins.module_utils._initramfs.content import Content

MIB = 2**20


@pytest.fixture
def fake(tmp_path: pathlib.Path) -> FakeImages:
    return FakeImages(tmp_path)


def test_images_of_installed_kernels_are_listed_and_no_others(fake: FakeImages) -> None:
    fake.write("/boot/initrd.img-5.0-removed", "stock\n")
    fake.write("/etc/machine-id", "0123\n")
    fake.write(fake.image(OLD), "torn")
    found = disk.read_images(fake.host, tools.InitramfsTools())
    assert [(image.kernel, image.listing is None) for image in found] == [(OLD, True), (NEW, False)]
    assert found[1].changed == BOOTED - 100
    assert set(disk.read_rooms(fake.host, found)) == {"/boot"}
    assert disk.read_rooms(fake.host, found)["/boot"].writable is True


def test_a_link_to_nowhere_is_no_image(fake: FakeImages) -> None:
    image = fake.root / fake.image(OLD)[1:]
    image.unlink()
    image.symlink_to("gone")
    found = disk.read_images(fake.host, tools.InitramfsTools())
    assert [image.kernel for image in found] == [NEW]
    assert disk.read_without(fake.host, found) == (), "modules alone, such as what dkms leaves, start nothing"
    fake.write(f"/boot/vmlinuz-{OLD}", "")
    assert disk.read_without(fake.host, found) == (OLD,)


def test_a_host_says_when_it_booted_or_nothing_is_known(fake: FakeImages) -> None:
    assert disk.booted_at(fake.host) == BOOTED
    assert disk.booted_at(Host(root="/nowhere")) == 0.0


def test_what_an_image_lacks_is_found_in_its_listing() -> None:
    kernel = disk.Kernel(frozenset({"vfio_pci", "dm_mod"}), frozenset({"pci_stub"}))
    content = Content(("dm_mod", "nvidia", "pci_stub", "vfio_pci"), ("/etc/a", "/lib/b"))
    listing = "usr/lib/modules/x/kernel/dm-mod.ko.zst\nusr/lib/b\netc/hearth/initramfs.0123456789abcdef\n"
    image = disk.parse_image(disk.Found("x", "/i", listing, 7, 8.0), tools.InitramfsTools(), content, kernel)
    assert (image.missing, image.digests) == (("vfio_pci", "/etc/a"), ("0123456789abcdef",))
    torn = disk.parse_image(disk.Found("x", "/i", None, 7, 8.0), tools.InitramfsTools(), content, kernel)
    assert (torn.missing, torn.digests) == ((), None)


def test_sums_are_of_regular_files_only(fake: FakeImages) -> None:
    fake.file("/etc/modprobe.d/folder.conf").mkdir()
    fake.write("/etc/modprobe.d/.hidden.conf", "")
    sums = disk.read_sums(fake.host, Content(files=("/etc/missing",)))
    assert [path for path, checksum in sums.items() if checksum] == ["/etc/modprobe.d/stock.conf"]
    assert (sums["/etc/missing"], sums["/etc/modprobe.d/folder.conf"]) == (None, None)
    fake.file("/etc/modprobe.d/stock.conf").chmod(0o640)
    assert disk.mode_of(fake.host, "/etc/modprobe.d/stock.conf") == 0o640
    assert disk.mode_of(fake.host, "/etc/missing") == 0


@pytest.mark.parametrize(
    ("room", "words"),
    [
        (disk.Room(108 * MIB, True), ""),
        (disk.Room(107 * MIB, True), "/boot has 107 MiB left, and new images need 108 MiB"),
        (disk.Room(900 * MIB, False), "/boot is mounted read-only"),
    ],
)
def test_a_folder_that_cannot_take_the_new_images_is_refused_by_name(room: disk.Room, words: str) -> None:
    images = [disk.Image(kernel, f"/boot/{kernel}", (), size=40 * MIB) for kernel in (OLD, NEW)]
    if words:
        with pytest.raises(Refusal, match=words):
            disk.check_room(images, {"/boot": room})
    else:
        disk.check_room(images, {"/boot": room})


def test_an_image_is_kept_by_a_link_and_again(fake: FakeImages) -> None:
    keep = disk.KeepImage(fake.image(NEW))
    for _attempt in range(2):
        keep.perform(fake.host)
        kept = fake.file(f"{fake.image(NEW)}{disk.PREVIOUS}")
        assert kept.stat().st_ino == fake.file(fake.image(NEW)).stat().st_ino
        assert len(fake.boot_names()) == 3, "nothing is left beside it"
    fake.write(f"{fake.image(OLD)}{disk.PREVIOUS}-new", "left by a run that was killed")
    fake.write(f"{fake.image(OLD)}{disk.PREVIOUS}", "an older one")
    disk.KeepImage(fake.image(OLD)).perform(fake.host)
    assert fake.file(f"{fake.image(OLD)}{disk.PREVIOUS}").read_text() == "stock\netc/fstab\n"
    assert disk.read_previous(fake.host, ()) == {f"{fake.image(k)}{disk.PREVIOUS}" for k in (OLD, NEW)}


def no_links(*_paths: object) -> None:
    # What link(2) says on the FAT of an EFI system partition.
    raise OSError(errno.EPERM, "Operation not permitted")


def test_an_image_is_copied_where_there_are_no_links(
    fake: FakeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    disk.KeepImage(fake.image(NEW)).perform(fake.host)
    kept = fake.file(f"{fake.image(NEW)}{disk.PREVIOUS}")
    assert (kept.read_text(), kept.stat().st_mtime) == ("stock\netc/fstab\n", BOOTED - 100)


def test_a_copy_that_does_not_fit_is_refused_before_it_begins(
    fake: FakeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    full: t.Any = types.SimpleNamespace(f_bavail=1, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    with pytest.raises(Refusal, match="/boot has 0 MiB left") as caught:
        disk.KeepImage(fake.image(NEW)).perform(fake.host)
    assert "keep_previous=false" in caught.value.remedy
    assert len(fake.boot_names()) == 2


def test_an_image_that_is_dropped_may_be_gone(fake: FakeImages) -> None:
    drop = disk.DropImage(fake.image(OLD))
    assert drop.describe() == f"remove {fake.image(OLD)}"
    drop.perform(fake.host)
    drop.perform(fake.host)
    assert fake.boot_names() == [f"initrd.img-{NEW}"]


def test_the_record_goes_only_when_the_images_are_clean(fake: FakeImages) -> None:
    fake.write("/etc/record", "")
    remove = disk.RemoveRecord(tools.RemoveOwn("/etc/record"), tools.InitramfsTools(), (fake.image(NEW),))
    assert remove.describe() == "remove /etc/record"
    fake.write(fake.image(NEW), "etc/hearth/initramfs.0123456789abcdef\n")
    with pytest.raises(VerifyError, match=f"{NEW} still holds"):
        remove.perform(fake.host)
    assert fake.file("/etc/record").exists()
    fake.write(fake.image(NEW), "stock\n")
    remove.perform(fake.host)
    assert not fake.file("/etc/record").exists()


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_the_first_effect_waits_for_what_it_needs(fake: FakeImages, kind: str) -> None:
    path = "/etc/udev/rules.d/x.rules"
    if kind == "folder":
        fake.file(path).mkdir(parents=True)
    first = disk.Guarded(disk.DropImage(fake.image(OLD)), {path: "role vfio"})
    assert first.describe() == f"remove {fake.image(OLD)}"
    with pytest.raises(Refusal, match=f"{path}, wanted in the initramfs by role vfio, is no file"):
        first.perform(fake.host)
    assert len(fake.boot_names()) == 2
