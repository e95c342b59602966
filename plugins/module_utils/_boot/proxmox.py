# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""proxmox-boot-tool: Proxmox VE keeps kernels and entries on ESPs that are not mounted.

With systemd-boot the command line is the first line of ``/etc/kernel/cmdline``; ``/etc/default/grub`` does
nothing there. With GRUB it is the other way round. ``proxmox-boot-tool refresh`` copies either to the ESPs.
What is on them cannot be read, so the entries are unknown: only the next boot proves them.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Run
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline_file
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Backend, Menu, Wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub import Grub, GrubMenu
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.systemd_boot import read_cmdline, target
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading

UUIDS = "/etc/kernel/proxmox-boot-uuids"
FIRMWARE = "/sys/firmware/efi"
_TOOL = "proxmox-boot-tool"
_REFRESH = Run((_TOOL, "refresh"), timeout_s=900.0)
# Lines such as "5A2F-1B3C is configured with: uefi (versions: 6.8.12-4-pve), grub (versions: …)".
_CONFIGURED = re.compile(r"configured with: (.*)$", re.MULTILINE)
_KIND = re.compile(r"\b(uefi|grub) \(")


@dataclasses.dataclass(frozen=True)
class Raw:
    """What was read with systemd-boot on the ESPs."""

    record: Reading
    cmdline: Reading
    start: tuple[str, Reading]


class Proxmox(Backend):
    """proxmox-boot-tool, with systemd-boot or GRUB on the ESPs."""

    name = "proxmox"

    def __init__(self) -> None:
        self._grub = Grub(generate=_REFRESH)

    @staticmethod
    def detect(host: Host) -> bool:
        """Tell whether proxmox-boot-tool has ESPs to look after."""
        return bool(host.text(UUIDS))

    def read(self, host: Host) -> t.Any:
        """Read what the boot loader on the ESPs is made from.

        :raises Refusal: which one that is cannot be told.
        """
        if _has_grub(host):
            return self._grub.read(host)
        return Raw(host.read(cmdline_file.RECORD), host.read(cmdline_file.CMDLINE), cmdline_file.start(host))

    def parse(self, raw: t.Any) -> Menu:
        """Turn it into a menu.

        :raises ParseError: the command line has more than one line.
        """
        if not isinstance(raw, Raw):
            return dataclasses.replace(self._grub.parse(raw), entries=None, generated=True)
        record_text = cmdline_file.need(raw.record)
        record = cmdline_file.parse_record(record_text or "")
        files = {} if record_text is None else {cmdline_file.RECORD: record_text}
        source, files = read_cmdline(raw.cmdline, raw.start, record, files)
        if len(files.get(cmdline_file.CMDLINE, "").strip().splitlines()) > 1:
            raise ParseError(
                f"{cmdline_file.CMDLINE} has several lines; proxmox-boot-tool reads the first one only.",
                remedy="write all arguments into one line",
            )
        return Menu((source,), record.words, record.patterns, record.leaving, entries=None, files=files)

    def plan(self, menu: Menu, wish: Wish) -> tuple[Action, ...]:
        """Write the file, and have it copied to the ESPs."""
        if isinstance(menu, GrubMenu):
            # No entry can tell that the refresh is missing, so the drop-in has to say it.
            return self._grub.plan(dataclasses.replace(menu, underway=True), wish)
        return cmdline_file.plan(menu, target(menu, wish), wish, (_REFRESH,))

    def files_after(self, menu: Menu, wish: Wish) -> dict[str, str]:
        """Return our files as they will be."""
        if isinstance(menu, GrubMenu):
            return self._grub.files_after(menu, wish)
        return cmdline_file.files_after(target(menu, wish), wish)


def _has_grub(host: Host) -> bool:
    """Tell which boot loader proxmox-boot-tool keeps on the ESPs: it alone can look into them."""
    if not host.exists(FIRMWARE):
        return True
    status = host.run((_TOOL, "status")).out
    kinds = {kind for line in _CONFIGURED.findall(status) for kind in _KIND.findall(line)}
    if len(kinds) != 1:
        raise Refusal(
            f"proxmox-boot-tool status names {' and '.join(sorted(kinds)) or 'no boot loader'} on the ESPs: which"
            " one starts this host is unknown.",
            remedy="initialise every ESP with one boot loader (proxmox-boot-tool init), or write the arguments into"
            f" both {cmdline_file.CMDLINE} and /etc/default/grub by hand, and run proxmox-boot-tool refresh",
        )
    return kinds == {"grub"}
