# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Words of the command line that are meant for user space. Pure.

The kernel reports every word that it does not know itself, typos and these alike, unless there is a dot in its
name. What is not listed counts as a typo: so the list has what installed systems of Debian, Ubuntu and Enterprise
Linux read, and nothing of installers and live systems.
"""

from __future__ import annotations

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline

_READ_BY = {
    # plymouth: src/main.c, and the conditions of its units
    "plymouth": "splash nosplash rhgb",
    # udev rules of biosdevname
    "biosdevname": "biosdevname",
    # kernel-command-line(7), systemd 252; single-user words are refused where arguments are validated
    "systemd": "fstab luks modules_load noresume resume resumeflags roothash usrhash veritytab fastboot forcefsck",
    # initramfs-tools(7); some of these are the kernel's own where it is built for a root on the network
    "initramfs-tools": "BOOTIF blacklist boot break cryptopts ip netconsole nfsroot resume_offset vlan",
    # dracut.cmdline(7)
    "dracut": "bond bootdev bridge fcoe ifname iscsi_firmware iscsi_initiator nameserver netroot rootfallback team",
    # cloud-init: kernel-cmdline, ds-identify, and its generator for systemd
    "cloud-init": "ds cloud-init cloud-config-url network-config",
    # zfs-initramfs, zfs-dracut: Proxmox VE and Ubuntu with their root on ZFS
    "zfs": "bootfs rpool zfs zfs_force zfsforce",
}
_NAMES = frozenset(cmdline.name_of(name) for names in _READ_BY.values() for name in names.split())


def is_read(word: str) -> bool:
    """Tell whether something in user space is known to read a word."""
    return cmdline.name_of(word) in _NAMES
