# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What the module ``kernel_args`` knows of a boot loader: its menu as data, and how to make it another one."""

from __future__ import annotations

import abc
import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host


@dataclasses.dataclass(frozen=True)
class Source:
    """Words of the command line that somebody else wrote, and where: ``/etc/default/grub``, say."""

    owner: str
    words: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Entry:
    """An entry of the boot menu as it stands on the disk.

    ``bare`` is a recovery or rescue entry: it never carries our arguments, so that a host can be
    started when they are wrong.
    """

    name: str
    words: tuple[str, ...]
    bare: bool = False


@dataclasses.dataclass(frozen=True)
class Menu:
    """A boot loader's configuration.

    ``given`` are the words of others, ``ours`` those that we configured, ``removed`` the patterns of
    others' words that we take out. ``leaving`` are words that a run was about to take out of the entries
    and may not have got to. ``entries`` is ``None`` where they cannot be read: unknown, no pass.
    ``files`` holds the text of every file that is ours, wholly or in part. ``other_default`` is what the host
    starts by itself where that is known to be none of the entries that carry our words.
    """

    given: tuple[Source, ...]
    ours: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    entries: tuple[Entry, ...] | None = ()
    files: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    other_default: str = ""

    @property
    def given_words(self) -> tuple[str, ...]:
        """Return all words of others, in the order in which they come."""
        return tuple(word for source in self.given for word in source.words)


@dataclasses.dataclass(frozen=True)
class Wish:
    """What the menu shall be: our words, and the patterns of others' words that are taken out."""

    ours: tuple[str, ...]
    removed: tuple[str, ...]


class Backend(abc.ABC):
    """A boot loader. ``read`` does I/O, ``parse`` and ``plan`` are pure."""

    name: t.ClassVar[str]

    @staticmethod
    @abc.abstractmethod
    def detect(host: Host) -> bool:
        """Tell whether this host boots by it. Reads only."""

    @abc.abstractmethod
    def read(self, host: Host) -> t.Any:
        """Read sources, entries, and files of ours."""

    @abc.abstractmethod
    def parse(self, raw: t.Any) -> Menu:
        """Turn it into a menu.

        :raises ParseError: a file has a form that cannot be changed safely; the remedy says by hand how.
        :raises Refusal: what we would write would not survive, such as in a drop-in that another overrides.
        """

    @abc.abstractmethod
    def plan(self, menu: Menu, wish: Wish) -> tuple[Action, ...]:
        """Plan the change; called only when something is to be done.

        The order is safe at every point: what is ours stays on record until the entries are without it.
        """

    @abc.abstractmethod
    def files_after(self, menu: Menu, wish: Wish) -> dict[str, str]:
        """Return the text of every file that is ours once ``plan`` is carried out."""


def faults(menu: Menu, wish: Wish) -> tuple[str, ...]:
    """Say what is wrong with the entries, entry by entry; nothing when they cannot be read."""
    found = []
    wanted = cmdline.arguments(wish.ours)
    unwanted = (*wish.removed, *menu.leaving)
    for entry in menu.entries or ():
        if entry.bare:
            continue
        for argument in cmdline.missing(wanted, entry.words):
            found.append(f"{entry.name} lacks {cmdline.join(argument.words)}")
        for word in entry.words:
            gone = any(cmdline.matches(word, pattern) for pattern in unwanted)
            if gone and not any(cmdline.same_word(word, own) for own in wish.ours):
                found.append(f"{entry.name} still has {cmdline.quote(word)}")
    return tuple(found)
