# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Which boot loader a host starts by, and what to do by hand where none of ours fits."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline_file, grub
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Backend, Menu, Wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.bls import Bls
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub import Grub
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.proxmox import Proxmox
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.systemd_boot import SystemdBoot
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

AUTO = "auto"
# In the order in which they are looked for: a host has leftovers of more than one.
BACKENDS: tuple[type[Backend], ...] = (Proxmox, SystemdBoot, Bls, Grub)
_BY_NAME = {backend.name: backend for backend in BACKENDS}
CHOICES = [AUTO, "grub", "bls", "systemd-boot", "proxmox"]


class _Foreign(t.NamedTuple):
    """A way to boot that is not managed here: how it is told, and the manual way."""

    what: str
    path: str
    remedy: str


_OSTREE = _Foreign(
    "a deployment of ostree",
    "/run/ostree-booted",
    "run rpm-ostree kargs --append-if-missing=NAME=VALUE for each argument, then reboot",
)
_KERNELSTUB = _Foreign(
    "kernelstub", "/etc/kernelstub/configuration", 'run kernelstub --add-options "NAME=VALUE …" and reboot'
)
_SUSE_REMEDY = (
    "add the arguments to GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub and run"
    " grub2-mkconfig -o /boot/grub2/grub.cfg (with systemd-boot: to /etc/kernel/cmdline, and run"
    " sdbootutil update-all-entries; on a transactional system both inside transactional-update shell)"
)
_SUSE = _Foreign("SUSE's boot configuration", "/etc/zypp", _SUSE_REMEDY)
_IMAGES = ("/efi/EFI/Linux", "/boot/EFI/Linux", "/boot/efi/EFI/Linux")


class Nothing(Backend):
    """A boot loader that is not managed here, of which nothing is wanted and in which nothing is ours."""

    name = ""

    @staticmethod
    def detect(host: Host) -> bool:
        return not any(map(host.exists, (cmdline_file.RECORD, grub.DROPIN)))

    def read(self, host: Host) -> None:
        """Read nothing."""

    def parse(self, raw: None) -> Menu:
        return Menu((), entries=None)

    def plan(self, menu: Menu, wish: Wish) -> tuple[Action, ...]:
        return ()

    def files_after(self, menu: Menu, wish: Wish) -> dict[str, str]:
        return {}


def choose(host: Host, name: str, wanted: bool = True) -> Backend:
    """Return the backend of that name, or with ``auto`` the one that fits.

    :param wanted: whether anything is to be configured; if not, a host that starts in another way is no error.
    :raises Refusal: none fits; the remedy says what to do by hand.
    """
    if name != AUTO:
        return _BY_NAME[name]()
    try:
        return detect(host)
    except Refusal:
        if wanted or not Nothing.detect(host):
            raise
    return Nothing()


def detect(host: Host) -> Backend:
    """Return the backend that fits; the first that does wins.

    :raises Refusal: the host starts in a way that is not managed here, or in none that is known.
    """
    _refuse(host, _OSTREE)
    if Proxmox.detect(host):
        return Proxmox()
    _refuse(host, _KERNELSTUB)
    _refuse(host, _SUSE)
    for backend in BACKENDS:
        if backend.detect(host):
            return backend()
    for folder in _IMAGES:
        if any(image.endswith(".efi") for image in host.listdir(folder)):
            raise Refusal(
                f"The host starts unified kernel images ({folder}): the command line is sealed in them.",
                remedy="write the arguments into /etc/kernel/cmdline, then build and sign the images anew",
            )
    raise Refusal(
        "No boot loader that is managed here was found: no /etc/kernel/proxmox-boot-uuids, no systemd-boot,"
        " no /boot/loader/entries with GRUB_ENABLE_BLSCFG=true, no grub-mkconfig that reads /etc/default/grub.d.",
        remedy="add the arguments by hand where the boot loader of this host reads them; where one of these is in"
        " use and was not recognised, name it with the option backend",
    )


def _refuse(host: Host, foreign: _Foreign) -> None:
    if host.exists(foreign.path):
        raise Refusal(
            f"The host starts by {foreign.what} ({foreign.path}), which is not managed here.",
            remedy=foreign.remedy,
        )
