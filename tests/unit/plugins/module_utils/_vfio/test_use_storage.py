# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import pathlib
import typing as t

import pytest
import usedhost
from hypothesis import given
from hypothesis import strategies as st
from usedhost import CARD, TWIN

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import use_storage
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import STORAGE

MAPPER = "/sys/devices/virtual/block"
SUBSYSTEM = "/sys/devices/virtual/nvme-subsystem/nvme-subsys0"


@pytest.fixture
def used(tmp_path: pathlib.Path) -> usedhost.Used:
    """Return a host with an AHCI controller, a disk on it, and nothing mounted."""
    used = usedhost.Used(tmp_path)
    folder = used.card(class_code="010601", driver="ahci")
    used.block(f"{folder}/ata1/host0/target0:0:0/0:0:0:0/block/sda", "8:0")
    used.block(f"{folder}/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda1", "8:1")
    return used.mounted("0:22 /proc proc proc").swapped()


def disk(used: usedhost.Used) -> str:
    return f"/sys/devices/pci0000:00/{CARD}/ata1/host0/target0:0:0/0:0:0:0/block/sda"


def told(used: usedhost.Used, address: str = CARD) -> list[str]:
    raw = use_storage.read_storage(used.host, used.places(address))
    uses = use_storage.parse_storage(raw, address)
    assert all(use.kind == STORAGE for use in uses)
    return [use.what for use in uses]


def holder(used: usedhost.Used, *names: str) -> None:
    """Let the partition be held."""
    used.block(f"{disk(used)}/sda2", "8:2", holders=names)


def test_a_disk_that_nobody_uses_is_free(used: usedhost.Used) -> None:
    assert told(used) == []


def test_a_device_without_disks_needs_no_reading(tmp_path: pathlib.Path) -> None:
    used = usedhost.Used(tmp_path)
    used.card()
    assert told(used) == []


@pytest.mark.parametrize(
    ("point", "what"),
    [
        ("/", "sda1, mounted on / (the root file system)"),
        ("/boot/efi", "sda1, mounted on /boot/efi (the boot files)"),
        ("/srv/my\\040data", "sda1, mounted on /srv/my data"),
    ],
)
def test_a_mounted_partition_is_named_with_its_mount_point(
    used: usedhost.Used, point: str, what: str
) -> None:
    used.mounted(f"8:1 {point} ext4 /dev/sda1")
    used.claims.update({"/dev/sda": errno.EBUSY, "/dev/sda1": errno.EBUSY})
    assert told(used) == [what]


def test_a_mounted_disk_that_cannot_be_opened_is_known_to_be_in_use(used: usedhost.Used) -> None:
    used.mounted("8:1 / ext4 /dev/sda1")
    used.claims.update({"/dev/sda1": errno.EPERM})
    assert told(used) == ["sda1, mounted on / (the root file system)"]


def test_many_mounts_are_counted(used: usedhost.Used) -> None:
    used.mounted(*(f"8:1 {point} ext4 /dev/sda1" for point in ("/srv/b", "/srv/c", "/", "/srv/a", "/srv/d")))
    assert told(used) == ["sda1, mounted on / (the root file system), /srv/a, /srv/b and 2 more"]


@pytest.mark.parametrize("source", ["/dev/sda1", "/dev/disk/by-label/data"])
def test_btrfs_is_found_by_its_source_since_its_number_is_nobodys(used: usedhost.Used, source: str) -> None:
    used.numbers[source] = "b8:1"
    used.mounted(f"0:35 /srv btrfs {source}")
    assert told(used) == ["sda1, mounted on /srv"]


def test_swap_is_a_use(used: usedhost.Used) -> None:
    used.swapped("/dev/sda1")
    assert told(used) == ["sda1, in use as swap"]


def test_a_chain_is_followed_from_the_partition_to_the_mount_point(used: usedhost.Used) -> None:
    holder(used, "dm-0")
    used.block(f"{MAPPER}/dm-0", "253:0", holders=("dm-1", "dm-2"), dm=("luks", "CRYPT-LUKS2-0123-luks"))
    used.block(f"{MAPPER}/dm-1", "253:1", dm=("vg-root", "LVM-abc"))
    used.block(f"{MAPPER}/dm-2", "253:2", dm=("vg-swap", "LVM-def"))
    used.mounted("253:1 / ext4 /dev/mapper/vg-root").swapped("/dev/dm-2")
    assert told(used) == [
        "sda2 > dm-0 (encrypted luks) > dm-1 (LVM vg-root), mounted on / (the root file system)",
        "sda2 > dm-0 (encrypted luks) > dm-2 (LVM vg-swap), in use as swap",
    ]


@pytest.mark.parametrize("name", ["md127", "bcache0", "dm-4"])
def test_what_is_held_is_in_use_even_when_nothing_is_mounted(used: usedhost.Used, name: str) -> None:
    holder(used, name)
    used.block(f"{MAPPER}/{name}", "9:127")
    assert told(used) == [f"sda2 > {name}"]


def test_a_holder_that_is_gone_is_still_named(used: usedhost.Used) -> None:
    holder(used, "md127")
    assert told(used) == ["sda2 > md127"]


def test_holders_in_a_circle_come_to_an_end(used: usedhost.Used) -> None:
    holder(used, "dm-0")
    used.block(f"{MAPPER}/dm-0", "253:0", holders=("sda2",))
    assert told(used) == ["sda2 > dm-0 > sda2"]


@pytest.mark.parametrize(
    ("claims", "what"),
    [
        ({"/dev/sda": errno.EBUSY}, ["sda is claimed"]),
        ({"/dev/sda": errno.EBUSY, "/dev/sda1": errno.EBUSY}, ["sda1 is claimed"]),
        ({"/dev/sda": errno.ENOMEDIUM}, []),
        ({"/dev/sda": errno.EIO}, ["cannot be told: /dev/sda cannot be opened: Input/output error"]),
        (
            {"/dev/sda1": errno.ENOENT},
            ["cannot be told: /dev/sda1 cannot be opened: No such file or directory"],
        ),
    ],
)
def test_a_claim_tells_of_zfs_and_ceph_which_mount_nothing(
    used: usedhost.Used, claims: dict[str, int], what: list[str]
) -> None:
    used.claims.update(claims)
    found = told(used)
    assert len(found) == len(what)
    assert all(line.startswith(start) for line, start in zip(found, what))


def multipath(used: usedhost.Used, *addresses: str) -> None:
    """Give a device an NVMe disk with native multipath, as drivers/nvme/host/multipath.c makes it."""
    for number, address in enumerate(addresses):
        controller = f"{used.card(address, '010802', driver='nvme')}/nvme/nvme{number}"
        used.block(f"{controller}/nvme0c{number}n1")
        used.link(f"{SUBSYSTEM}/nvme{number}", controller, source="drivers/nvme/host/core.c")
    used.link("/sys/class/nvme-subsystem/nvme-subsys0", SUBSYSTEM, source="drivers/nvme/host/core.c")
    used.block(f"{SUBSYSTEM}/nvme0n1", "259:0")
    used.block(f"{SUBSYSTEM}/nvme0n1/nvme0n1p1", "259:1")


def test_an_nvme_disk_with_native_multipath_is_no_child_of_its_controller(tmp_path: pathlib.Path) -> None:
    used = usedhost.Used(tmp_path)
    multipath(used, CARD, TWIN)
    used.mounted("259:1 / ext4 /dev/nvme0n1p1").swapped()
    assert told(used) == told(used, TWIN) == ["nvme0n1p1, mounted on / (the root file system)"]
    used.mounted()
    assert told(used) == [], "the hidden disk of one path has no number and is not opened"


def test_a_usb_disk_holds_its_controller(tmp_path: pathlib.Path) -> None:
    used = usedhost.Used(tmp_path)
    folder = used.card(class_code="0c0330", driver="xhci_hcd")
    used.block(f"{folder}/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb/sdb1", "8:17")
    used.mounted("8:17 /media vfat /dev/sdb1")
    assert told(used) == ["sdb1, mounted on /media"]


def test_a_disk_of_another_device_is_not_ours(used: usedhost.Used) -> None:
    used.card(TWIN, "010601")
    used.mounted("8:1 / ext4 /dev/sda1")
    assert told(used, TWIN) == []


def test_a_node_in_a_folder_is_spelt_with_an_exclamation_mark_in_sysfs(tmp_path: pathlib.Path) -> None:
    used = usedhost.Used(tmp_path)
    used.block(f"{used.card(class_code='010400')}/block/cciss!c0d0", "104:0", name="cciss/c0d0")
    used.mounted().swapped("/dev/cciss/c0d0")
    assert told(used) == ["cciss!c0d0, in use as swap"]


def test_what_a_loop_device_and_an_nvme_target_stand_on_is_in_use(used: usedhost.Used) -> None:
    used.block(f"{MAPPER}/loop0", "7:0")
    used.put(f"{MAPPER}/loop0/loop/backing_file", "/dev/sda1\n", source="drivers/block/loop.c")
    target = "/sys/kernel/config/nvmet/subsystems/nqn.2026-01.org.example:disk/namespaces/1/device_path"
    used.put(target, "/dev/disk/by-id/ata-1\n", source="drivers/nvme/target/configfs.c")
    used.numbers["/dev/disk/by-id/ata-1"] = "b8:0"
    assert told(used) == [
        "sda, behind namespace 1 of the NVMe target nqn.2026-01.org.example:disk",
        "sda1, behind the loop device loop0",
    ]


def test_mounts_that_cannot_be_read_are_no_free_disk(used: usedhost.Used) -> None:
    os.unlink(used.root / "proc/self/mountinfo")
    assert told(used) == ["cannot be told: /proc/self/mountinfo: No such file or directory"]


def test_swap_that_cannot_be_read_is_no_free_disk(used: usedhost.Used) -> None:
    os.unlink(used.root / "proc/swaps")
    (used.root / "proc/swaps").mkdir()
    assert told(used) == ["cannot be told: /proc/swaps: Is a directory"]


def test_a_kernel_without_swap_is_known(used: usedhost.Used) -> None:
    os.unlink(used.root / "proc/swaps")
    assert told(used) == []


def test_a_disk_that_cannot_be_looked_at_is_no_free_disk(used: usedhost.Used) -> None:
    event = used.root / disk(used).lstrip("/") / "uevent"
    event.unlink()
    event.mkdir()
    assert told(used) == [f"cannot be told: {disk(used)}/uevent: Is a directory"]


def test_a_list_of_disks_that_cannot_be_read_is_no_host_without_disks() -> None:
    raw = use_storage.RawStorage(why="/sys/class/block: Permission denied")
    assert [use.what for use in use_storage.parse_storage(raw, CARD)] == [
        "cannot be told: /sys/class/block: Permission denied"
    ]


@given(st.text())
def test_no_mount_table_upsets_the_parsers(text: str) -> None:
    use_storage.parse_mounts(text)
    use_storage.parse_swaps(text)


@given(st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1))
def test_what_the_kernel_escapes_is_taken_back(text: str) -> None:
    escaped = "".join(f"\\{ord(c):03o}" if c in " \t\n\\" else c for c in text)
    assert use_storage.unescape(escaped) == text


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3), min_size=1),
    st.data(),
)
def test_a_disk_below_a_mounted_one_is_never_free(graph: dict[str, list[str]], data: st.DataObject) -> None:
    blocks = {
        name: use_storage.Block(name, f"/sys/{name}", f"8:{ord(name)}", f"/dev/{name}", tuple(holders))
        for name, holders in graph.items()
    }
    name = data.draw(st.sampled_from(sorted(blocks)))
    mounts = f"1 1 8:{ord(name)} / /srv rw - ext4 /dev/{name} rw\n"
    raw = use_storage.RawStorage({CARD: (name,)}, blocks, Reading(text=mounts), Reading(text=""))
    uses: t.Sequence[t.Any] = use_storage.parse_storage(raw, CARD)
    assert any("mounted on /srv" in use.what for use in uses)
