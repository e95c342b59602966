# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""systemd-boot with entries that kernel-install makes: the command line is ``/etc/kernel/cmdline``."""

from __future__ import annotations

import dataclasses
import os
import posixpath
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline, cmdline_file
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import (
    Backend,
    Entry,
    Menu,
    Source,
    Wish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.bls import Bls
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError, ParseError, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading

# In the order in which kernel-install looks.
BOOT_ROOTS = ("/efi", "/boot", "/boot/efi")
MODULES = ("/usr/lib/modules", "/lib/modules")
TRIES = "/etc/kernel/tries"
# Some plugins of kernel-install build an initramfs.
_TIMEOUT_S = 900.0
_OPTIONS = re.compile(r"^options[ \t]+(.*)$", re.MULTILINE)
# Tries left and tries done, which systemd-boot counts in the name: token-VERSION+2-1.conf.
_COUNTER = re.compile(r"(?:\+\d+(?:-\d+)?)?\.conf$")


@dataclasses.dataclass(frozen=True)
class Raw:
    """What was read. ``entries`` maps paths to texts, ``images`` kernel versions to their kernel."""

    record: Reading
    cmdline: Reading
    start: tuple[str, Reading]
    entries: t.Mapping[str, Reading]
    images: t.Mapping[str, str]
    unified: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class AddKernel(Action):
    """Have kernel-install write the entry of an installed kernel anew."""

    version: str

    def describe(self) -> str:
        return f"run kernel-install add {self.version}"

    def perform(self, host: Host) -> None:
        image = kernel_image(host, self.version)
        if image is None:
            raise CommandError(f"The kernel {self.version} is gone.", remedy="run again")
        host.run(("kernel-install", "add", self.version, image), timeout_s=_TIMEOUT_S)
        self._tidy(host)

    def _tidy(self, host: Host) -> None:
        """Remove the kernel's entries with another counter: kernel-install writes beside them, with the old words."""
        tries = host.text(TRIES)
        for folder in _folders():
            names = [name for name in host.listdir(folder) if stem(name).endswith(f"-{self.version}")]
            for name in names:
                fresh = f"{stem(name)}+{tries}.conf" if tries else f"{stem(name)}.conf"
                if fresh in names and name != fresh:
                    os.unlink(host.path(posixpath.join(folder, name)))


def stem(name: str) -> str:
    """Return the name of an entry's file without the counter and the suffix."""
    return _COUNTER.sub("", name)


def kernel_image(host: Host, version: str) -> str | None:
    """Return where the kernel of a version lies; Debian has it in ``/boot``, others beside the modules."""
    places = [f"{folder}/{version}/vmlinuz" for folder in MODULES] + [f"/boot/vmlinuz-{version}"]
    return next((path for path in places if host.exists(path)), None)


def _folders() -> tuple[str, ...]:
    return tuple(f"{root}/loader/entries" for root in BOOT_ROOTS)


def _listed(host: Host, folder: str, suffix: str) -> list[str]:
    return [posixpath.join(folder, name) for name in host.listdir(folder) if name.endswith(suffix)]


class SystemdBoot(Backend):
    """systemd-boot, or whatever reads what kernel-install writes."""

    name = "systemd-boot"

    @staticmethod
    def detect(host: Host) -> bool:
        """Tell whether systemd-boot is installed, or entries are there that are not GRUB's."""
        if Bls.detect(host):
            return False
        loaders = [name for root in BOOT_ROOTS for name in host.listdir(f"{root}/EFI/systemd")]
        installed = any(name.startswith("systemd-boot") and name.endswith(".efi") for name in loaders)
        return installed or any(_listed(host, folder, ".conf") for folder in _folders())

    def read(self, host: Host) -> Raw:
        """Read the command line, the entries, and which kernels are installed."""
        versions = {version for folder in MODULES for version in host.listdir(folder)}
        images = {version: kernel_image(host, version) for version in sorted(versions)}
        return Raw(
            record=host.read(cmdline_file.RECORD),
            cmdline=host.read(cmdline_file.CMDLINE),
            start=cmdline_file.start(host),
            entries={
                path: host.read(path) for folder in _folders() for path in _listed(host, folder, ".conf")
            },
            images={version: image for version, image in images.items() if image},
            unified=tuple(path for root in BOOT_ROOTS for path in _listed(host, f"{root}/EFI/Linux", ".efi")),
        )

    def parse(self, raw: Raw) -> Menu:
        """Turn it into a menu.

        :raises Refusal: nothing but unified kernel images, or a kernel with entries in two places.
        """
        if raw.unified and not raw.entries:
            raise Refusal(
                f"Only unified kernel images are installed ({raw.unified[0]}); their command line is sealed in them.",
                remedy=f"write the arguments into {cmdline_file.CMDLINE} by hand, then build and sign the images anew",
            )
        _refuse_two_places(raw)
        record_text = cmdline_file.need(raw.record)
        record = cmdline_file.parse_record(record_text or "")
        files = {} if record_text is None else {cmdline_file.RECORD: record_text}
        source, files = read_cmdline(raw.cmdline, raw.start, record, files)
        return Menu(
            given=(source,),
            ours=record.words,
            removed=record.patterns,
            leaving=record.leaving,
            entries=tuple(_entry(path, reading, raw.images) for path, reading in raw.entries.items())
            + tuple(Entry(path, (), bare=True) for path in raw.unified),
            files=files,
        )

    def plan(self, menu: Menu, wish: Wish) -> tuple[Action, ...]:
        """Write the command line, then every entry anew."""
        versions = dict.fromkeys(entry.name for entry in menu.entries or () if not entry.bare)
        return cmdline_file.plan(menu, target(menu, wish), wish, [AddKernel(version) for version in versions])

    def files_after(self, menu: Menu, wish: Wish) -> dict[str, str]:
        """Return the command line and the record as they will be."""
        return cmdline_file.files_after(target(menu, wish), wish)


def target(menu: Menu, wish: Wish) -> cmdline_file.Target:
    """Return ``/etc/kernel/cmdline`` as it shall be; where there is none, only a wish of ours begins one."""
    record = cmdline_file.parse_record(menu.files.get(cmdline_file.RECORD, ""))
    if cmdline_file.CMDLINE not in menu.files and not (
        wish.ours or wish.removed or record.own or record.patterns
    ):
        return cmdline_file.Target({}, {})
    text, taken = cmdline_file.kernel_cmdline(menu, record, wish)
    return cmdline_file.Target({cmdline_file.CMDLINE: text}, {cmdline_file.CMDLINE: taken})


def read_cmdline(
    reading: Reading, start: tuple[str, Reading], record: cmdline_file.Record, files: dict[str, str]
) -> tuple[Source, dict[str, str]]:
    """Return what others want on the command line, and ``files`` with ``/etc/kernel/cmdline`` if it is there.

    :raises ParseError: there is no command line to begin with.
    """
    text = cmdline_file.need(reading)
    if text is None:
        owner, begin = start[0], cmdline_file.need(start[1])
        if begin is None:
            raise ParseError(
                f"Neither {cmdline_file.CMDLINE} nor {owner} is there: the command line is unknown.",
                remedy=f"write the command line, with root=, into {cmdline_file.CMDLINE}",
            )
        chunks = cmdline_file.started(begin, owner, record)
        return Source(owner, tuple(map(cmdline_file.word_in, chunks))), files
    cmdline_file.refuse_comments(text)
    chunks = cmdline_file.given_on(text, cmdline_file.CMDLINE, record)
    words = tuple(map(cmdline_file.word_in, chunks))
    return Source(cmdline_file.CMDLINE, words), {**files, cmdline_file.CMDLINE: text}


def _version(path: str, versions: t.Iterable[str]) -> str | None:
    """Return the kernel whose entry this is, if kernel-install wrote it: its names are TOKEN-VERSION."""
    name = stem(posixpath.basename(path))
    return max((version for version in versions if name.endswith(f"-{version}")), key=len, default=None)


def _entry(path: str, reading: Reading, images: t.Mapping[str, str]) -> Entry:
    version = _version(path, images)
    words = cmdline.split(" ".join(_OPTIONS.findall(cmdline_file.need(reading) or "")))
    # An entry that somebody wrote by hand, or of a kernel that is gone: kernel-install will not write
    # it anew, so it stays as it is.
    return Entry(path, words, bare=True) if version is None else Entry(version, words)


def _refuse_two_places(raw: Raw) -> None:
    places: dict[str, set[str]] = {}
    for path in raw.entries:
        version = _version(path, raw.images)
        if version is not None:
            places.setdefault(version, set()).add(posixpath.dirname(path))
    for version, folders in sorted(places.items()):
        if len(folders) > 1:
            raise Refusal(
                f"The kernel {version} has entries in {' and '.join(sorted(folders))}; kernel-install writes to one.",
                remedy="remove the entries that systemd-boot does not show (bootctl list)",
            )
