# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import os
import pathlib

import pytest
import usedhost
from usedhost import CARD, TWIN

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Listing
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import use_opened
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import GUEST, OPENED

DRM = "drivers/gpu/drm/drm_sysfs.c"
PROC = "kernel-open/nvidia/nv-procfs.c of open-gpu-kernel-modules"
QEMU = (
    "/usr/bin/qemu-system-x86_64",
    "-name",
    "guest=win11,debug-threads=on",
    "-machine",
    "pc-q35-7.2,accel=kvm",
)


@pytest.fixture
def used(tmp_path: pathlib.Path) -> usedhost.Used:
    """Return a host with two cards of one DRM driver, in groups of their own."""
    used = usedhost.Used(tmp_path)
    for number, address in enumerate((CARD, TWIN)):
        folder = used.card(address, "038000", driver="bochs-drm", group=str(15 + number))
        used.node(f"c226:{number}", f"dri/card{number}", f"{folder}/drm/card{number}")
    return used.process(
        1, "systemd", "/dev/null", "/dev/pts/0", "socket:[1]", "/var/log/x", maps=["/usr/lib/x"]
    )


def read(used: usedhost.Used) -> use_opened.RawOpened:
    return use_opened.read_opened(used.host, used.places(CARD, TWIN), used.snapshot)


def told(used: usedhost.Used, address: str = CARD, kind: str = OPENED) -> list[str]:
    uses = use_opened.parse_opened(read(used), address)
    assert {use.kind for use in uses} <= {kind}
    return [use.what for use in uses]


def nvidia(used: usedhost.Used, *addresses: str) -> None:
    """Let NVIDIA's driver have the cards; its nodes are not below them."""
    for minor, address in enumerate(addresses):
        path = f"/proc/driver/nvidia/gpus/{address}/information"
        used.put(path, f"Model: \t\t X\nBus Location: \t {address}\nDevice Minor: \t {minor}\n", source=PROC)
        driver = used.root / f"sys/devices/pci0000:00/{address}/driver"
        driver.unlink()
        used.link(f"/sys/devices/pci0000:00/{address}/driver", "/sys/bus/pci/drivers/nvidia", source=PROC)
        used.numbers[f"/dev/nvidia{minor}"] = f"c195:{minor}"
    used.numbers["/dev/nvidiactl"] = "c195:255"


def vfio(used: usedhost.Used, number: str = "244:0", group: str = "15") -> None:
    used.put(f"/sys/class/vfio/{group}/dev", f"{number}\n", source="drivers/vfio/group.c")
    used.numbers[f"/dev/vfio/{group}"] = f"c{number}"


def test_a_device_that_nobody_has_open_is_free(used: usedhost.Used) -> None:
    assert told(used) == []
    assert [process.pid for process in read(used).processes] == []


def test_who_has_a_node_open_is_named_and_only_for_that_device(used: usedhost.Used) -> None:
    used.process(812, "Xorg", "/dev/dri/card0", "/dev/dri/card0", "/dev/tty7")
    assert told(used) == ["Xorg (process 812) has /dev/dri/card0 open"]
    assert told(used, TWIN) == []


def test_a_node_that_is_only_mapped_is_in_use(used: usedhost.Used) -> None:
    """Descriptors can be closed while the memory stays: lsof shows nobody, and the unbind hangs."""
    used.process(812, "cuda", maps=["/dev/dri/card0 (deleted)"])
    assert told(used) == ["cuda (process 812) has /dev/dri/card0 mapped"]


def test_a_container_may_give_a_node_another_name(used: usedhost.Used) -> None:
    used.numbers["/dev/gpu"] = "c226:0"
    used.process(812, "train", "/dev/gpu")
    assert told(used) == ["train (process 812) has /dev/dri/card0 open"]
    used.numbers["/dev/dri/card0"] = "c226:1"
    used.process(813, "other", "/dev/dri/card0")
    assert told(used) == ["train (process 812) has /dev/dri/card0 open"]
    assert told(used, TWIN) == ["other (process 813) has /dev/dri/card1 open"]


def test_a_node_below_a_changed_root_is_known_by_its_name(used: usedhost.Used) -> None:
    used.process(812, "jail", "/srv/jail/dev/dri/card0")
    assert told(used) == ["jail (process 812) has /dev/dri/card0 open"]


def test_memory_of_the_device_itself_is_in_use_without_any_node(used: usedhost.Used) -> None:
    path = f"/sys/devices/pci0000:00/{CARD}/resource0"
    used.process(812, "dpdk-testpmd", maps=[path])
    assert told(used) == [f"dpdk-testpmd (process 812) has {path} mapped"]


def test_a_disk_that_a_guest_has_open_names_the_guest(used: usedhost.Used) -> None:
    used.block(f"/sys/devices/pci0000:00/{CARD}/nvme/nvme0/nvme0n1", "259:0")
    used.process(4242, "qemu-system-x86", "/dev/nvme0n1", argv=QEMU)
    assert told(used) == ["guest win11 (process 4242) has /dev/nvme0n1 open"]


def test_the_first_thread_may_have_ended(used: usedhost.Used) -> None:
    used.process(812, "daemon")
    used.folder("/proc/812/task/812/fd", source="proc(5)")
    os.makedirs(used.root / "proc/812/task/813/fd")
    os.symlink("/dev/dri/card0", used.root / "proc/812/task/813/fd/4")
    assert told(used) == ["daemon (process 812) has /dev/dri/card0 open"]


def test_a_node_without_a_name_is_told_by_its_number(used: usedhost.Used) -> None:
    used.node("c10:63", "vga_arbiter", f"/sys/devices/pci0000:00/{CARD}/misc/x")
    (used.root / f"sys/devices/pci0000:00/{CARD}/misc/x/uevent").unlink()
    used.process(812, "x", "/dev/vga_arbiter")
    assert told(used) == ["x (process 812) has device c10:63 open"]


# --- nodes that all devices of a driver share -----------------------------------------------------------


def test_nvidias_nodes_are_found_by_the_minor_that_the_driver_tells(used: usedhost.Used) -> None:
    nvidia(used, TWIN, CARD)
    used.process(812, "nvidia-persistenced", "/dev/nvidia1", "/dev/nvidiactl")
    assert told(used, CARD) == ["nvidia-persistenced (process 812) has /dev/nvidia1 open"]
    assert told(used, TWIN) == []


@pytest.mark.parametrize("node", ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-caps/nvidia-cap2"])
def test_a_shared_node_alone_may_mean_any_of_the_gpus(used: usedhost.Used, node: str) -> None:
    nvidia(used, CARD, TWIN)
    used.process(812, "dcgm-exporter", node)
    line = f"dcgm-exporter (process 812) has {node} open, and which device it uses cannot be told"
    used.process(813, "getty", "/dev/tty7")
    assert told(used, CARD) == told(used, TWIN) == [line]


def test_a_shared_node_means_nothing_for_a_card_with_another_driver(used: usedhost.Used) -> None:
    nvidia(used, TWIN)
    used.process(812, "dcgm-exporter", "/dev/nvidiactl")
    assert told(used, CARD) == []


# --- guests ----------------------------------------------------------------------------------------------


def test_a_guest_that_holds_the_group_is_named(used: usedhost.Used) -> None:
    vfio(used)
    used.process(4242, "qemu-system-x86", "/dev/vfio/vfio", "/dev/vfio/15", argv=QEMU)
    assert told(used, kind=GUEST) == ["guest win11 (process 4242) has /dev/vfio/15 open"]
    assert told(used, TWIN) == []


def test_another_program_that_holds_the_group_is_named_as_well(used: usedhost.Used) -> None:
    used.process(812, "spdk_tgt", "/dev/vfio/15")
    assert told(used, kind=GUEST) == ["spdk_tgt (process 812) has /dev/vfio/15 open"]


def test_a_group_whose_number_begins_alike_is_another(used: usedhost.Used) -> None:
    used.process(812, "spdk_tgt", "/dev/vfio/115", "/dev/vfio/1")
    assert told(used) == []


def test_the_device_may_be_held_without_its_group(used: usedhost.Used) -> None:
    folder = f"/sys/devices/pci0000:00/{CARD}/vfio-dev/vfio0"
    used.node("c511:0", "vfio/devices/vfio0", folder)
    used.process(4242, "qemu-system-x86", "/dev/iommu", "/dev/vfio/devices/vfio0", argv=QEMU)
    assert told(used, kind=GUEST) == ["guest win11 (process 4242) has /dev/vfio/devices/vfio0 open"]


def test_a_guest_with_a_mediated_device_holds_the_card(used: usedhost.Used) -> None:
    folder = f"/sys/devices/pci0000:00/{CARD}/aa618089-8b16-4d01-a136-25a0f3c73123"
    used.link(
        "/sys/bus/mdev/devices/aa618089-8b16-4d01-a136-25a0f3c73123", folder, source="drivers/vfio/mdev"
    )
    used.link(f"{folder}/iommu_group", "/sys/kernel/iommu_groups/40", source="drivers/vfio/mdev")
    vfio(used, "244:7", "40")
    used.process(4242, "qemu-system-x86", "/dev/vfio/40", argv=QEMU)
    assert told(used, kind=GUEST) == ["guest win11 (process 4242) has /dev/vfio/40 open"]


def test_an_open_device_whose_group_was_closed_may_be_any(used: usedhost.Used) -> None:
    driver = used.root / f"sys/devices/pci0000:00/{CARD}/driver"
    driver.unlink()
    used.link(
        f"/sys/devices/pci0000:00/{CARD}/driver", "/sys/bus/pci/drivers/vfio-pci", source="drivers/vfio/pci"
    )
    used.process(812, "python3", "anon_inode:[vfio-device]")
    used.process(813, "qemu", "anon_inode:[vfio-device]", "/dev/vfio/99")
    assert told(used, kind=GUEST) == [
        "python3 (process 812) has anon_inode:[vfio-device] open, and which device it uses cannot be told"
    ]
    assert told(used, TWIN) == []


# --- what cannot be read -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Closed(usedhost.UsedHost):
    """A host where some folders are not for us to see."""

    closed: tuple[str, ...] = ()

    def listing(self, path: str) -> Listing:
        return Listing(why=f"{path}: Permission denied") if path in self.closed else super().listing(path)


@pytest.mark.parametrize(
    ("closed", "what"),
    [
        (("/proc",), "cannot be told: /proc: Permission denied"),
        (("/proc/1/fd",), "cannot be told: /proc/1/fd: Permission denied"),
        (("/proc/1/fd", "/proc/2/fd"), "cannot be told: /proc/1/fd: Permission denied and 1 more"),
        (("/sys/dev/char",), "cannot be told: /sys/dev/char: Permission denied"),
        (("/sys/class/nvme-subsystem",), "cannot be told: /sys/class/nvme-subsystem: Permission denied"),
    ],
)
def test_what_cannot_be_read_is_no_free_device(
    used: usedhost.Used, closed: tuple[str, ...], what: str
) -> None:
    used.process(2, "hidden")
    host = Closed(root=str(used.root), closed=closed)
    places = use_opened.Places(used.places().folders, used_why(host))
    raw = use_opened.read_opened(host, places, used.snapshot)
    assert [use.what for use in use_opened.parse_opened(raw, CARD)] == [what]


def used_why(host: Closed) -> str:
    """Return what the reader of places would say of this host."""
    listing = host.listing("/sys/class/nvme-subsystem")
    return listing.why if listing.unknown else ""


def test_a_process_that_ended_meanwhile_holds_nothing(used: usedhost.Used) -> None:
    used.folder("/proc/900", source="a process between the listing and the look")
    assert told(used) == []


def test_no_process_is_read_for_nothing(used: usedhost.Used) -> None:
    host = Closed(root=str(used.root), closed=("/proc",))
    assert use_opened.read_opened(host, use_opened.Places({}), used.snapshot) == use_opened.RawOpened()


def test_a_process_that_is_stuck_is_not_waited_for(
    used: usedhost.Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its maps and its command line are read under a lock that it holds; the FIFO keeps its reader as well."""
    monkeypatch.setattr(use_opened, "_PATIENCE_S", 0.2)
    used.process(812, "cuda", "/dev/dri/card0")
    for name in ("maps", "cmdline"):
        (used.root / f"proc/812/{name}").unlink(missing_ok=True)
        os.mkfifo(used.root / f"proc/812/{name}")
    assert told(used) == [
        "cuda (process 812) has /dev/dri/card0 open",
        "cannot be told: /proc/812/maps: no answer",
    ]
    assert told(used, TWIN) == ["cannot be told: /proc/812/maps: no answer"]
