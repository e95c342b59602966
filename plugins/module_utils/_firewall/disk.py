# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What the firewall keeps on disk for the boot, and the effects on it."""

from __future__ import annotations

import dataclasses
import os
import posixpath
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, RemoveFile, WriteFile
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.bundle import digest
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.loader import PROGRAM
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import Bundle
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

FOLDER = "/etc/hearth/firewall"
CURRENT = f"{FOLDER}/current"
UNIT_FILE = "/etc/systemd/system/hearth-firewall.service"
DROPIN_FILE = "/etc/systemd/system/docker.service.d/hearth-firewall.conf"
ENABLED = "/etc/systemd/system/sysinit.target.wants/hearth-firewall.service"
TEXTS = (PROGRAM, UNIT_FILE, DROPIN_FILE)
# What is for this boot only: a file system in memory, which a reboot empties.
TRANSIENT = "/run/hearth/firewall"
UNTOLD = "/run/hearth/firewall-untold"
_SYSTEMD = "/run/systemd/system"
_RED_HAT = "/etc/redhat-release"
_LINK_TO = "../hearth-firewall.service"

FORGET = f"""\
set -eu
PATH=${{HEARTH_ROOT:+$HEARTH_ROOT/stubs:}}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
root=${{HEARTH_ROOT:-}}
rm -f "$root{ENABLED}" "$root{DROPIN_FILE}" "$root{UNIT_FILE}"
rmdir "$root{posixpath.dirname(DROPIN_FILE)}" 2> /dev/null || :
rm -rf "$root{FOLDER}" "$root{TRANSIENT}"
if [ -d "$root{_SYSTEMD}" ]; then
    systemctl daemon-reload
fi
# The last, so that a run that is cut off is seen and finished by the next.
rm -f "$root{UNTOLD}" "$root{PROGRAM}"
"""
"""Removes everything that is for the boot."""


@dataclasses.dataclass(frozen=True)
class Disk:
    """What is on disk: our files by path, empty for one that is missing, and what the boot loads.

    ``told`` says that systemd knows of the last change of its units. ``late_nftables`` is about the unit of somebody
    else: see ``loader.unit_text``.
    """

    texts: t.Mapping[str, str]
    enabled: bool = False
    told: bool = True
    current: Bundle = dataclasses.field(default_factory=dict)
    late_nftables: bool = dataclasses.field(default=False, compare=False)

    def __bool__(self) -> bool:
        return self.enabled or not self.told or bool(self.current) or any(self.texts.values())


NOTHING = Disk(dict.fromkeys(TEXTS, ""))


def read_disk(host: Host) -> Disk:
    """Read all of it.

    :raises ParseError: a file is there and cannot be read.
    """
    return Disk(
        {path: _text(host, path) for path in TEXTS},
        host.target(ENABLED) == _LINK_TO,
        not host.exists(UNTOLD),
        read_current(host),
        # By the distribution, not by the unit: that one may be installed tomorrow.
        host.exists(_RED_HAT),
    )


def read_current(host: Host) -> Bundle:
    """Read what the boot loads; nothing where there is no such thing, or where it is damaged."""
    name = host.link(CURRENT)
    if name is None:
        return {}
    folder = f"{FOLDER}/{name}"
    bundle = {file: _text(host, f"{folder}/{file}") for file in host.listdir(folder)}
    # Somebody may have edited a file. Then it is not what we have confirmed, and is made anew.
    return bundle if digest(bundle) == name else {}


def _text(host: Host, path: str) -> str:
    reading = host.read(path)
    if reading.unknown:
        raise ParseError(f"{reading.why}.", remedy=f"make {path} a readable file, or remove it")
    return reading.text or ""


def plan_units(now: Disk, goal: Disk) -> tuple[Action, ...]:
    """Write the loader and the units; systemd is told, even when a run died before it could. Pure."""
    writes = tuple(
        WriteFile(path, text, 0o755 if path == PROGRAM else 0o644)
        for path, text in goal.texts.items()
        if text != now.texts[path]
    )
    units = any(goal.texts[path] != now.texts[path] for path in (UNIT_FILE, DROPIN_FILE))
    links = (Enable(),) if goal.enabled and not now.enabled else ()
    before = (NoteUntold(),) if units and now.told else ()
    tell = (TellSystemd(),) if units or not now.told else ()
    return (*before, *writes, *links, *tell)


@dataclasses.dataclass(frozen=True)
class Stage(Action):
    """Write a bundle into its folder. Nobody loads it before it is complete."""

    folder: str
    bundle: Bundle = dataclasses.field(repr=False)

    def describe(self) -> str:
        return f"stage the rules in {self.folder}"

    def perform(self, host: Host) -> None:
        for name in host.listdir(self.folder):
            if name not in self.bundle:
                RemoveFile(f"{self.folder}/{name}").perform(host)
        for name, text in self.bundle.items():
            if host.read(f"{self.folder}/{name}").text != text:
                WriteFile(f"{self.folder}/{name}", text, 0o600).perform(host)


@dataclasses.dataclass(frozen=True)
class Enable(Action):
    """Have systemd start our unit at boot, by the link that ``systemctl enable`` makes."""

    def describe(self) -> str:
        return f"link {ENABLED}"

    def perform(self, host: Host) -> None:
        place = host.path(ENABLED)
        os.makedirs(posixpath.dirname(place), exist_ok=True)
        beside = f"{place}.hearth-new"
        if os.path.lexists(beside):
            os.unlink(beside)
        os.symlink(_LINK_TO, beside)
        os.rename(beside, place)


@dataclasses.dataclass(frozen=True)
class NoteUntold(Action):
    """Note that systemd has to be told. A boot, after which it knows, takes the note away."""

    def describe(self) -> str:
        return "note that systemd has to be told"

    def perform(self, host: Host) -> None:
        place = host.path(UNTOLD)
        os.makedirs(posixpath.dirname(place), exist_ok=True)
        with open(place, "wb"):
            pass


@dataclasses.dataclass(frozen=True)
class TellSystemd(Action):
    """Have systemd read its units again, where it runs, and take the note away."""

    def describe(self) -> str:
        return "tell systemd"

    def perform(self, host: Host) -> None:
        if host.exists(_SYSTEMD):
            host.run(("systemctl", "daemon-reload"))
        if host.exists(UNTOLD):
            os.unlink(host.path(UNTOLD))


@dataclasses.dataclass(frozen=True)
class Forget(Action):
    """Remove everything that is for the boot."""

    def describe(self) -> str:
        return "remove what the boot loads, its loader and its unit"

    def perform(self, host: Host) -> None:
        host.run(("sh", "-c", FORGET))
