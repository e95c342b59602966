# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Which words of ours make every wish effective beside the words of others. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Source
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.cmdline import Argument
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.model import (
    COMMA,
    PAIRS,
    REPEAT,
    normal,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction

_OPPOSITES = {"on", "off"}


@dataclasses.dataclass(frozen=True)
class Owners:
    """Which roles want which argument, by its name or by one of its words."""

    roles: t.Mapping[str, t.Sequence[str]] = dataclasses.field(default_factory=dict)

    def of(self, argument: Argument) -> tuple[str, ...]:
        """Return the roles that want an argument, sorted."""
        found: set[str] = set()
        for key, roles in self.roles.items():
            words = cmdline.split(key)
            named = normal(key) == argument.name
            if named or any(cmdline.same_word(word, own) for word in words for own in argument.words):
                found.update(roles)
        return tuple(sorted(found))

    def label(self, argument: Argument) -> str:
        """Name them for a message."""
        roles = self.of(argument)
        if not roles:
            return "this task"
        return f"role {roles[0]}" if len(roles) == 1 else f"the roles {' and '.join(roles)}"


def compose(
    given: t.Sequence[Source],
    wishes: t.Sequence[Argument],
    removed: t.Collection[str],
    owners: Owners | None = None,
) -> tuple[str, ...]:
    """Return what must be appended to the words of others, so that every wish is effective.

    What others say already is not said twice.

    :param removed: patterns of words of others that are taken out first.
    :raises Contradiction: somebody else says something that excludes a wish.
    """
    kept = remaining(given, removed)
    words = tuple(word for source in kept for word in source.words)
    ours: list[str] = []
    for wish in wishes:
        refuse_two_values(wish, owners or Owners())
        _refuse_other_value(wish, kept, owners or Owners())
        ours += _append(wish, words)
    return tuple(ours)


def remaining(given: t.Sequence[Source], removed: t.Collection[str]) -> tuple[Source, ...]:
    """Return the words of others that are not taken out."""
    return tuple(Source(source.owner, cmdline.without(source.words, removed)) for source in given)


def same_argument(wish: Argument, words: cmdline.Words) -> tuple[str, ...]:
    """Return the words that are of the wish's argument, whatever they say."""
    names = {wish.name, cmdline.PAGE_SIZE} if wish.style == PAIRS else {wish.name}
    return tuple(word for word in words if cmdline.name_of(word) in names)


def _append(wish: Argument, words: cmdline.Words) -> tuple[str, ...]:
    if wish.style == REPEAT:
        unique = tuple(dict.fromkeys(wish.words))
        return tuple(word for word in unique if not any(cmdline.same_word(word, one) for one in words))
    if cmdline.is_effective(wish, words):
        return ()
    if wish.style == PAIRS:
        return wish.words
    if wish.style != COMMA or not wish.values:
        return wish.words[-1:]
    # The last word of a list wins, so it has to repeat what others listed.
    theirs = _options(wish, words)
    listed = dict.fromkeys([*theirs, *(value for value in wish.values if value)])
    return (f"{spelled(wish)}={','.join(listed)}",)


def _options(wish: Argument, words: cmdline.Words) -> list[str]:
    values = [cmdline.value_of(word) or "" for word in same_argument(wish, words)]
    return [option for value in values for option in value.split(",") if option]


def spelled(wish: Argument) -> str:
    """Return the argument's name as it is written."""
    return wish.words[-1].partition("=")[0]


def refuse_two_values(wish: Argument, owners: Owners) -> None:
    """Refuse a wish that excludes itself."""
    if wish.style == PAIRS:
        counts = sum(1 for word in wish.words if cmdline.name_of(word) == cmdline.HUGEPAGES)
        alone = counts == len(wish.values)
    elif wish.style == COMMA:
        alone = not set(wish.values) >= _OPPOSITES
    else:
        alone = wish.style == REPEAT or len(set(wish.values)) == 1
    if not alone:
        raise Contradiction(
            f"Two values of one kernel argument are wanted by {owners.label(wish)}: {cmdline.join(wish.words)}.",
            remedy="decide for one of them",
            owners=list(owners.of(wish)),
            words=list(wish.words),
        )


def _refuse_other_value(wish: Argument, kept: t.Sequence[Source], owners: Owners) -> None:
    for source in kept:
        same = same_argument(wish, source.words)
        if same and _excludes(wish, same, tuple(word for one in kept for word in one.words)):
            raise contradiction(wish, source.owner, same, owners)


def _excludes(wish: Argument, same: cmdline.Words, words: cmdline.Words) -> bool:
    """Tell whether words of one source exclude the wish; of one value, only the last word counts."""
    if wish.style == REPEAT or cmdline.is_effective(wish, words):
        return False
    if wish.style == COMMA:
        return {*_options(wish, same), *wish.values} >= _OPPOSITES
    return wish.style == PAIRS or not cmdline.is_effective(wish, same)


def contradiction(wish: Argument, owner: str, words: cmdline.Words, owners: Owners) -> Contradiction:
    """Return the error that names both owners, and both ways out."""
    label = owners.label(wish)
    return Contradiction(
        f"The kernel argument {cmdline.join(wish.words)} is wanted by {label}, and {owner} says"
        f" {cmdline.join(words)}.",
        remedy=f"let {label} and {owner} agree, or have {cmdline.join(words)} taken out: list it in the option"
        " remove (variable boot_remove_args of the role boot)",
        owners=[*owners.of(wish), owner],
        words=list(words),
    )
