# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What libvirt has of one kind of object, networks or pools, reduced to what is managed."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Reading

Config = t.TypeVar("Config")


@dataclasses.dataclass(frozen=True)
class Found:
    """One object as libvirt describes it, before parsing.

    ``inactive`` is the stored definition, ``None`` for a transient object; ``live`` is the
    running one, ``None`` when it is stopped; ``users`` names the guests that run on it.
    """

    inactive: str | None
    live: str | None
    autostart: bool
    users: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Inventory:
    """All objects of one kind that have a name we were told, and how they were read.

    ``why`` is empty when libvirt answered. Otherwise it says why not, and ``found`` comes from
    the files that libvirt will load when it starts: on a bare host there are none.
    ``record`` is the file that says what is ours.
    """

    found: t.Mapping[str, Found]
    record: Reading
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Item(t.Generic[Config]):
    """One object in the terms that are managed; ``live`` is what runs now, if anything.

    ``source`` is libvirt's own text, the base that a new definition is edited from, so that
    what is not managed (uuid, MAC address, hand-made additions) stays.
    """

    config: Config | None
    live: Config | None
    autostart: bool
    owned: bool
    users: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    source: str | None = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass(frozen=True)
class Wanted(t.Generic[Config]):
    """One object as it shall be: its definition as data and as libvirt's XML."""

    config: Config
    xml: str
    autostart: bool
    active: bool
    owned: bool = True


def terms(config: t.Any) -> dict[str, str]:
    """Return the managed terms of a definition as text; what is not managed does not appear."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, default=vars)
        for key, value in vars(config).items()
        if value is not None
    }
