# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""GRUB's environment block: what a booted system and GRUB tell each other, such as what to boot once."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub_menu import take_place
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    CommandError,
    HearthError,
    ParseError,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

GRUBENV = "/boot/grub/grubenv"
NEXT_ENTRY, SAVED_ENTRY = "next_entry", "saved_entry"

_HEADER = "# GRUB Environment Block\n"
# File systems whose blocks GRUB overwrites in place: no checksum, copy or compression would belie the change.
_WRITABLE = ("ext2", "fat", "xfs")


def parse_env(text: str, path: str = GRUBENV) -> dict[str, str]:
    """Return the variables of an environment block; an empty text has none.

    :raises ParseError: it is no environment block.
    """
    if not text:
        return {}
    if not text.startswith(_HEADER):
        raise ParseError(
            f"{path} is no environment block of GRUB.",
            remedy=f"run grub-editenv {path} create, which empties it",
        )
    # A backslash takes away the meaning of what comes after it, newlines included.
    unescaped = re.sub(r"\\(.)", lambda found: f"\\{ord(found.group(1)):07x}", text, flags=re.DOTALL)
    pairs = (line.partition("=") for line in unescaped.split("\n") if not line.startswith("#"))
    return {name: _plain(value) for name, equals, value in pairs if equals}


def _plain(value: str) -> str:
    return re.sub(r"\\([0-9a-f]{7})", lambda found: chr(int(found.group(1), 16)), value)


def why_not_writable(host: Host, folder: str = "/boot/grub") -> str:
    """Say why GRUB could not write its environment block there at boot, or nothing when it can.

    GRUB reads LVM, RAID and many file systems that it cannot write. What is to be booted once would then
    be booted again and again, as nobody takes the mark away. Asks GRUB itself.
    """
    try:
        abstraction = _probe(host, "abstraction", folder)
        system = _probe(host, "fs", folder)
    except CommandError as error:
        return f"grub-probe does not tell what {folder} is on: {error.message}"
    if abstraction:
        return f"{folder} is on {abstraction}, which GRUB reads and cannot write"
    return "" if system in _WRITABLE else f"{folder} is on {system}, which GRUB reads and cannot write safely"


def _probe(host: Host, target: str, folder: str) -> str:
    return " ".join(host.run(("grub-probe", f"--target={target}", folder)).out.split())


@dataclasses.dataclass(frozen=True)
class SetEnv(Action):
    """Set one variable of the environment block; an empty value takes it out.

    ``grub-editenv`` truncates the file that it writes, and a kill in there takes the variables of others
    along. So it writes a copy, which then takes the name.
    """

    name: str
    value: str
    path: str = GRUBENV

    def describe(self) -> str:
        return (
            f"set {self.name}={self.value} in {self.path}"
            if self.value
            else f"unset {self.name} in {self.path}"
        )

    def perform(self, host: Host) -> None:
        made = f"{self.path}.hearth-new"
        try:
            self._copy(host, made)
            change = ("set", f"{self.name}={self.value}") if self.value else ("unset", self.name)
            host.run(("grub-editenv", made, *change))
            take_place(host, made, self.path)
        except (HearthError, OSError):
            with contextlib.suppress(OSError):
                os.unlink(host.path(made))
            raise

    def _copy(self, host: Host, made: str) -> None:
        content = host.read_bytes(self.path)
        if content:
            with open(host.path(made), "wb") as stream:
                stream.write(content)
        else:
            host.run(("grub-editenv", made, "create"))


def variable(env: t.Mapping[str, str], spec: str) -> str:
    """Resolve what ``GRUB_DEFAULT`` says where it names the saved entry."""
    if spec in ("saved", "${saved_entry}"):
        return env.get(SAVED_ENTRY, "") or "0"
    return spec or "0"
