# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which boot loader a host starts by; what is not managed is refused with the manual way."""

from __future__ import annotations

import pathlib

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import registry
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

GRUB = {
    "/usr/sbin/grub-mkconfig": "for x in ${sysconfdir}/default/grub.d/*.cfg; do . $x; done\n",
    "/etc/default/grub": "",
}
BLS = {
    "/etc/default/grub": "GRUB_ENABLE_BLSCFG=true\n",
    "/boot/loader/entries/1-6.1.conf": "linux /vmlinuz-6.1\noptions root=/dev/vda1\n",
    "/usr/sbin/grubby": "",
}
SD_BOOT = {
    "/boot/efi/EFI/systemd/systemd-bootx64.efi": "",
    "/boot/efi/loader/entries/1-6.1.conf": "options ro\n",
}
PROXMOX = {"/etc/kernel/proxmox-boot-uuids": "5A2F-1B3C\n"}


def host(root: pathlib.Path, *trees: dict[str, str]) -> Host:
    for path, text in {path: text for tree in trees for path, text in tree.items()}.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Host(root=str(root))


@pytest.mark.parametrize(
    ("trees", "name"),
    [
        ([GRUB], "grub"),
        ([BLS], "bls"),
        ([SD_BOOT], "systemd-boot"),
        ([PROXMOX], "proxmox"),
        # mocaccinoOS/mocaccino#33, kubevirt-gpu-device-plugin#66: what is installed is not what the host starts by.
        ([GRUB, SD_BOOT], "systemd-boot"),
        # proxmox_toolbox#9: /etc/default/grub is there and does nothing.
        ([GRUB, SD_BOOT, PROXMOX], "proxmox"),
        ([GRUB, {"/etc/kernel/proxmox-boot-uuids": "\n"}], "grub"),
    ],
)
def test_the_boot_loader_is_told_by_what_is_there(
    tmp_path: pathlib.Path, trees: list[dict[str, str]], name: str
) -> None:
    assert registry.choose(host(tmp_path, *trees), "auto").name == name


@pytest.mark.parametrize(
    ("tree", "named", "manual"),
    [
        ({"/run/ostree-booted": ""}, "ostree", "rpm-ostree kargs"),
        ({"/etc/kernelstub/configuration": ""}, "kernelstub", "kernelstub --add-options"),
        ({"/etc/zypp/zypp.conf": ""}, "SUSE", "grub2-mkconfig -o /boot/grub2/grub.cfg"),
        ({"/efi/EFI/Linux/debian-6.1.efi": ""}, "unified kernel images", "/etc/kernel/cmdline"),
        ({"/etc/hostname": ""}, "No boot loader that is managed here", "add the arguments by hand"),
    ],
)
def test_every_other_way_is_refused_by_name_with_the_manual_one(
    tmp_path: pathlib.Path, tree: dict[str, str], named: str, manual: str
) -> None:
    with pytest.raises(Refusal, match=named) as caught:
        registry.choose(host(tmp_path, tree), "auto")
    assert manual in caught.value.remedy


@pytest.mark.parametrize("tree", [{"/run/ostree-booted": ""}, {"/etc/hostname": ""}])
def test_a_host_that_starts_in_another_way_is_no_error_where_nothing_is_wished(
    tmp_path: pathlib.Path, tree: dict[str, str]
) -> None:
    assert registry.choose(host(tmp_path / "clean", tree), "auto", wanted=False).name == ""
    for number, record in enumerate(("/etc/hearth/kernel_args.json", "/etc/default/grub.d/zz-hearth.cfg")):
        # What is ours is to be taken back, and it is unknown how.
        with pytest.raises(Refusal):
            registry.choose(host(tmp_path / str(number), tree, {record: "{}"}), "auto", wanted=False)


def test_foreign_ways_win_over_leftovers_of_grub(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Refusal, match="ostree"):
        registry.detect(host(tmp_path, GRUB, PROXMOX, {"/run/ostree-booted": ""}))


def test_a_backend_that_is_named_is_taken_as_it_is(tmp_path: pathlib.Path) -> None:
    assert [registry.choose(host(tmp_path), name).name for name in registry.CHOICES[1:]] == registry.CHOICES[
        1:
    ]
