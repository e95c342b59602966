# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What a wish makes of the columns of a row, and which part of a row it is about. Pure.

There is no code for single options: a column holds a scalar, a set or a map, and that decides.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    BRIDGE,
    INTERFACE,
    OWNER,
    Columns,
)

EXTERNAL_IDS = "external_ids"

# The empty text and this word mean the same there.
_SYNONYMS: t.Mapping[tuple[str, str], str] = {
    (BRIDGE, "datapath_type"): "system",
    (INTERFACE, "type"): "system",
}


def canonical(table: str, column: str, value: t.Any) -> t.Any:
    """Return the one form of a value that can be spelled in several ways."""
    if value == "":
        return _SYNONYMS.get((table, column), "")
    return value


def is_empty(value: t.Any) -> bool:
    """Tell whether a column holds nothing; a number and a boolean always are something."""
    return value is None or (isinstance(value, (str, frozenset, dict)) and not value)


@dataclasses.dataclass(frozen=True)
class Rules:
    """How maps are treated: whose mark rows carry, and which maps are enforced whole (``Table.column``)."""

    owner: str
    replace: frozenset[str] = frozenset()

    def marks(self, columns: Columns) -> bool:
        """Tell whether a row is ours."""
        return bool(columns.get(EXTERNAL_IDS, {}).get(OWNER) == self.owner)

    def target(self, table: str, current: Columns, wish: Columns) -> dict[str, t.Any]:
        """Return the values that the columns of the wish shall have, and those of the mark."""
        target = {column: self._value(table, column, current, value) for column, value in wish.items()}
        others: t.Any = target.get(EXTERNAL_IDS, current.get(EXTERNAL_IDS, {}))
        return {**target, EXTERNAL_IDS: {**others, OWNER: self.owner}}

    def managed(self, table: str, current: Columns, wish: Columns) -> dict[str, t.Any]:
        """Return what the wish is about: its columns with their current values, the mark, and no empty ones."""
        wanted = {EXTERNAL_IDS: {OWNER: self.owner}, **wish}
        wanted[EXTERNAL_IDS] = wanted[EXTERNAL_IDS] and {**wanted[EXTERNAL_IDS], OWNER: self.owner}
        found = {
            column: self._part(table, column, value, current.get(column)) for column, value in wanted.items()
        }
        return {column: value for column, value in found.items() if not is_empty(value)}

    def _value(self, table: str, column: str, current: Columns, value: t.Any) -> t.Any:
        now: t.Any = current.get(column)
        if isinstance(value, dict):
            kept: Columns = {} if self._whole(table, column, value) else now or {}
            return {key: word for key, word in {**kept, **value}.items() if word is not None}
        if isinstance(now, frozenset) and not isinstance(value, frozenset):
            value = frozenset() if value is None else frozenset((value,))
        # What is only spelled in another way is left as it is.
        return now if canonical(table, column, now) == canonical(table, column, value) else value

    def _part(self, table: str, column: str, value: t.Any, now: t.Any) -> t.Any:
        if isinstance(value, dict) and not self._whole(table, column, value):
            return {key: word for key, word in (now or {}).items() if key in value}
        return canonical(table, column, now)

    def _whole(self, table: str, column: str, value: Columns) -> bool:
        """Tell whether other keys go: an empty map clears."""
        return not value or f"{table}.{column}" in self.replace
