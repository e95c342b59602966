# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""proxmox-boot-tool. Its status lines are those of its source (proxmox-kernel-helper, bin/proxmox-boot-tool)."""

from __future__ import annotations

import itertools
import pathlib
import typing as t

import pytest
from fakeboot import Tools, menu_of, settled, steps, survives_a_kill_anywhere, wish

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.cmdline_file import CMDLINE, RECORD
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.proxmox import UUIDS, Proxmox
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError, Refusal

GIVEN = "root=ZFS=rpool/ROOT/pve-1 boot=zfs\n"
GRUB = 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="root=ZFS=rpool/ROOT/pve-1"\n'
UEFI = "5A2F-1B3C is configured with: uefi (versions: 6.8.12-4-pve, 6.8.12-8-pve)\n"
ON_GRUB = "5A2F-1B3C is configured with: grub (versions: 6.8.12-4-pve)\n"
DROPIN = "/etc/default/grub.d/zz-hearth.cfg"
BACKEND = Proxmox()


def build(root: pathlib.Path, status: str = UEFI) -> Tools:
    tools = Tools(root)
    tools.status = f"System currently booted with uefi\n{status}"
    tools.write(UUIDS, "5A2F-1B3C\n")
    tools.write(CMDLINE, GIVEN)
    tools.write("/etc/default/grub", GRUB)
    tools.write("/usr/sbin/grub-mkconfig", "")
    tools.write("/sys/firmware/efi/fw_platform_size", "64\n")
    tools(["proxmox-boot-tool", "refresh"])
    tools.ran.clear()
    return tools


@pytest.fixture(name="make")
def _make(tmp_path: pathlib.Path) -> t.Callable[..., Tools]:
    numbers = itertools.count()
    return lambda status=UEFI: build(tmp_path / str(next(numbers)), status)


def booted(tools: Tools) -> tuple[t.Any, str, str]:
    """Return the host's files, and what the next boot will read on the ESP."""
    return tools.tree(), tools.text("/var/esp/cmdline"), tools.text("/var/esp/grub")


def test_on_zfs_and_uefi_the_command_line_is_written_and_not_the_defaults_of_grub(
    make: t.Callable[..., Tools],
) -> None:
    """proxmox_toolbox#9: /etc/default/grub was edited, where systemd-boot starts the host and nobody reads it."""
    tools = make()
    before = booted(tools)
    settled(BACKEND, tools.host, wish("intel_iommu=on"))
    assert tools.text(CMDLINE) == "root=ZFS=rpool/ROOT/pve-1 boot=zfs intel_iommu=on\n"
    assert tools.text("/var/esp/cmdline") == tools.text(CMDLINE).strip()
    assert tools.text("/etc/default/grub") == GRUB and not tools.host.exists(DROPIN)
    settled(BACKEND, tools.host, wish())
    assert booted(tools) == before


def test_the_esps_are_refreshed_once_and_only_when_needed(make: t.Callable[..., Tools]) -> None:
    tools = make()
    plan = [action.describe() for action in steps(BACKEND, tools.host, wish("a=1"))]
    assert plan == [
        f"write {RECORD} (0644)",
        f"write {CMDLINE} (0644)",
        "run proxmox-boot-tool refresh",
        f"write {RECORD} (0644)",
    ]
    assert set(tools.ran) == {("proxmox-boot-tool", "status")}


def test_what_is_on_the_esps_is_unknown(make: t.Callable[..., Tools]) -> None:
    assert menu_of(BACKEND, make().host).entries is None


@pytest.mark.parametrize(
    "walk",
    [
        [wish("a=1 hugepagesz=1G hugepages=2 hugepagesz=2M hugepages=2")],
        [wish("a=1"), wish("a=1 b=1")],
        [wish("a=1"), wish()],
        [wish("a=1", "boot"), wish("b=1")],
    ],
)
def test_killed_anywhere_the_next_run_converges(make: t.Callable[..., Tools], walk: list[Wish]) -> None:
    survives_a_kill_anywhere(make, BACKEND, walk, booted)


def test_only_the_first_line_is_read(make: t.Callable[..., Tools]) -> None:
    tools = make()
    tools.write(CMDLINE, f"{GIVEN}quiet\n")
    with pytest.raises(ParseError, match="reads the first one only"):
        menu_of(BACKEND, tools.host)


def test_without_a_file_it_is_started_from_the_running_kernel(make: t.Callable[..., Tools]) -> None:
    tools = make()
    tools.remove(CMDLINE)
    tools.write("/proc/cmdline", f"initrd=\\EFI\\proxmox\\6.8.12-4-pve\\initrd.img-6.8.12-4-pve {GIVEN}")
    settled(BACKEND, tools.host, wish("a=1"))
    assert tools.text(CMDLINE) == GIVEN.replace("\n", " a=1\n")


@pytest.mark.parametrize(
    "status", ["", f"{UEFI}{ON_GRUB}", UEFI.replace("uefi (", "uefi (versions: 1), grub (")]
)
def test_esps_that_do_not_say_one_boot_loader_are_refused(make: t.Callable[..., Tools], status: str) -> None:
    tools = make(status)
    with pytest.raises(Refusal, match="which one starts this host is unknown") as caught:
        menu_of(BACKEND, tools.host)
    assert "by hand, and run proxmox-boot-tool refresh" in caught.value.remedy


@pytest.mark.parametrize(("text", "is_it"), [("5A2F-1B3C\n", True), ("\n", False), (None, False)])
def test_it_is_told_by_the_list_of_esps(tmp_path: pathlib.Path, text: str | None, is_it: bool) -> None:
    tools = Tools(tmp_path)
    if text is not None:
        tools.write(UUIDS, text)
    assert Proxmox.detect(tools.host) is is_it


# --- GRUB on the ESPs: the drop-in of the backend grub, copied by proxmox-boot-tool ------------------


@pytest.fixture(name="grub")
def _grub(make: t.Callable[..., Tools]) -> t.Callable[[], Tools]:
    return lambda: make(ON_GRUB)


def test_with_grub_the_drop_in_is_written_and_copied(grub: t.Callable[[], Tools]) -> None:
    """The installer writes /etc/kernel/cmdline in either case: that it is there says nothing."""
    tools = grub()
    plan = [action.describe() for action in steps(BACKEND, tools.host, wish("a=1"))]
    assert plan == [
        f"write {DROPIN} (0644)",
        "run proxmox-boot-tool refresh",
        f"write {DROPIN} (0644)",
    ]
    settled(BACKEND, tools.host, wish("a=1"))
    assert "a=1" in tools.text(DROPIN) and tools.text(CMDLINE) == GIVEN
    assert menu_of(BACKEND, tools.host).entries is None


def test_with_legacy_firmware_it_is_grub(grub: t.Callable[[], Tools]) -> None:
    tools = grub()
    tools.status = "not asked"
    tools.remove("/sys/firmware/efi/fw_platform_size")
    (tools.root / "sys/firmware/efi").rmdir()
    settled(BACKEND, tools.host, wish("a=1"))
    assert ("proxmox-boot-tool", "status") not in tools.ran and tools.host.exists(DROPIN)


@pytest.mark.parametrize(
    "walk",
    [[wish("a=1")], [wish("a=1"), wish("a=1 b=1")], [wish("a=1"), wish()], [wish("", "quiet"), wish()]],
)
def test_with_grub_too_the_next_run_converges(grub: t.Callable[[], Tools], walk: list[Wish]) -> None:
    survives_a_kill_anywhere(
        grub, BACKEND, walk, lambda tools: {"dropin": tools.tree().get(DROPIN.lstrip("/"))}
    )
