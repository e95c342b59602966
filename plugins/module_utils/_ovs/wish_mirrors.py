# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Mirrors of a bridge. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import wish_words as words
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    LOCKOUT,
    Columns,
    MirrorWish,
    PortWish,
)

_SOURCES = ("select_src_port", "select_dst_port")
_OUTPUTS = ("output_port", "output_vlan")


def _names(where: str, value: t.Any) -> frozenset[str]:
    return frozenset(words.name(where, item) for item in words.items(where, value))


def _port(where: str, value: t.Any) -> str | None:
    return None if value in ("", words.NONE) else words.name(where, value)


_COLUMNS: words.Table = {
    "select_all": ("select_all", words.flag),
    **{source: (source, _names) for source in _SOURCES},
    "select_vlan": ("select_vlan", words.vlans),
    "output_port": ("output_port", words.optional(_port)),
    "output_vlan": ("output_vlan", words.optional(words.number(1, words.LAST_VLAN))),
    "snaplen": ("snaplen", words.optional(words.number(14, 65535))),
}
OPTIONS = ("name", *_COLUMNS)
"""The options of a mirror."""


def parse_mirrors(
    bridge: str, ports: t.Sequence[PortWish] | None, given: t.Any, allow: t.Collection[str]
) -> tuple[MirrorWish, ...]:
    """Return the mirrors of a bridge.

    :raises ParseError: a value has not its grammar, or a port is not one of the task.
    :raises Refusal: two values exclude each other, or the host would be cut off.
    """
    found: dict[str, MirrorWish] = {}
    for number, item in enumerate(words.items("mirrors", given), 1):
        options = words.only(f"mirror {number}", item, OPTIONS)
        name = options.get("name")
        if not isinstance(name, str) or not name or name in found:
            raise words.wrong(
                f"name of mirror {number}", f"{name!r} is empty or there twice", "name each mirror once"
            )
        columns = words.columns(f"mirror {name}", options, _COLUMNS)
        _check(f"mirror {name}", columns)
        if ports is not None:
            _known(f"mirror {name}", columns, [bridge, *(port.name for port in ports)])
        if columns.get("output_port") == {bridge} and LOCKOUT not in allow:
            raise Refusal(
                f"Mirror {name} would take the port of bridge {bridge} for itself, and the host would be off it.",
                remedy=f"mirror to an internal port, or allow {LOCKOUT}",
            )
        found[name] = MirrorWish(name, _one_output(columns))
    return tuple(found.values())


def _check(where: str, columns: Columns) -> None:
    outputs = [output for output in _OUTPUTS if columns.get(output)]
    if len(outputs) != 1:
        raise words.wrong(
            where, f"it goes to {' and '.join(outputs) or 'nothing'}", f"set one of {' and '.join(_OUTPUTS)}"
        )
    if not columns.get("select_all") and not any(columns.get(source) for source in _SOURCES):
        raise words.wrong(
            where, "it selects no port, and so nothing", f"set select_all or one of {' and '.join(_SOURCES)}"
        )
    target = words.sole(columns.get("output_port"))
    for source in _SOURCES:
        if target in columns.get(source, ()):
            raise Contradiction(
                f"{words.sentence(where)} takes frames of port {target} to the same port.",
                remedy=f"remove it from {source}: a port that frames are mirrored to carries nothing else",
            )


def _known(where: str, columns: Columns, names: t.Sequence[str]) -> None:
    for option in (*_SOURCES, "output_port"):
        for name in sorted(columns.get(option, ())):
            if name not in names:
                raise words.wrong(
                    f"{option} of {where}",
                    f"{name!r} is no port of this task",
                    f"name one of ports, or the bridge.{words.did_you_mean(name, names)}",
                )


def _one_output(columns: Columns) -> Columns:
    """One of the two outputs must be empty in the database, so that setting one clears the other."""
    return {**{output: frozenset() for output in _OUTPUTS}, **columns}
