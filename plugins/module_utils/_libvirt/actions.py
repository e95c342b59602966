# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The effects on libvirt, one class each, performed by the gate."""

from __future__ import annotations

import abc
import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils import _textfile
from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import (
    Action,
    RemoveFile,
    WriteFile,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import record
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.connection import Link
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.inventory import Kind


@dataclasses.dataclass(frozen=True)
class Remember(Action):
    """Write the record of what is ours, or remove an empty one; without libvirt, do nothing and fail."""

    link: Link = dataclasses.field(compare=False, repr=False)
    content: str

    def describe(self) -> str:
        # Whether it gets empty depends on earlier tasks, which check mode does not perform.
        return f"record what is ours in {record.PATH}"

    def perform(self, host: Host) -> None:
        self.link.open()
        if self.content:
            WriteFile(record.PATH, self.content, 0o600).perform(host)
        else:
            RemoveFile(record.PATH).perform(host)


@dataclasses.dataclass(frozen=True)
class LibvirtAction(Action):
    """An effect on one network or pool; the connection is no part of what is compared."""

    link: Link = dataclasses.field(compare=False, repr=False)
    kind: Kind = dataclasses.field(repr=False)
    name: str

    verb: t.ClassVar[str]

    def describe(self) -> str:
        return f"{self.verb} {self.kind.noun} {self.name}"

    def perform(self, host: Host) -> None:
        self.link.call(self.describe(), self.act)

    @abc.abstractmethod
    def act(self, connection: t.Any) -> None:
        """Make the call."""

    def find(self, connection: t.Any) -> t.Any:
        """Return libvirt's object of this name."""
        return getattr(connection, self.kind.lookup)(self.name)


@dataclasses.dataclass(frozen=True)
class Replacing(LibvirtAction):
    """An effect after which a definition is gone: it is kept first, like a file that is replaced."""

    previous: str | None

    def perform(self, host: Host) -> None:
        self.link.open()
        if self.previous is not None:
            _textfile.keep(host, f"{self.kind.stored}/{self.name}.xml", self.previous.encode())
        super().perform(host)


@dataclasses.dataclass(frozen=True)
class Define(Replacing):
    """Store a definition; what runs now keeps the old one until it is restarted."""

    xml: str

    verb: t.ClassVar[str] = "define"

    def act(self, connection: t.Any) -> None:
        getattr(connection, self.kind.define)(self.xml)


@dataclasses.dataclass(frozen=True)
class SetAutostart(LibvirtAction):
    """Start with the host, or not."""

    wanted: bool

    def describe(self) -> str:
        return f"{'set' if self.wanted else 'clear'} autostart of {self.kind.noun} {self.name}"

    def act(self, connection: t.Any) -> None:
        self.find(connection).setAutostart(int(self.wanted))


class Build(LibvirtAction):
    """Make the directory of a pool; an existing one is left as it is."""

    verb = "build"

    def act(self, connection: t.Any) -> None:
        self.find(connection).build(0)


class Start(LibvirtAction):
    """Start it as defined."""

    verb = "start"

    def act(self, connection: t.Any) -> None:
        self.find(connection).create()


class Stop(LibvirtAction):
    """Stop it; libvirt calls this destroy, but no data is lost."""

    verb = "stop"

    def act(self, connection: t.Any) -> None:
        self.find(connection).destroy()


class Undefine(Replacing):
    """Forget the definition."""

    verb = "undefine"

    def act(self, connection: t.Any) -> None:
        self.find(connection).undefine()
