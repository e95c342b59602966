# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What the boot menu shall be, from the options of ``kernel_args`` and what others wrote. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import backend, cmdline, validate
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.compose import (
    Owners,
    compose,
    remaining,
    same_argument,
    spelled,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.machine import Machine
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError

Params = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Goal:
    """What is wished, and how it will stand.

    ``line`` are the words of others and ours, as a new entry will have them, without the boot loader's own.
    """

    wishes: tuple[cmdline.Argument, ...]
    wish: backend.Wish
    line: tuple[str, ...]
    notices: tuple[str, ...] = ()
    owners: Owners = dataclasses.field(default_factory=Owners)

    def text_of(self, wish: cmdline.Argument, words: cmdline.Words) -> str | None:
        """Return what ``words`` say of an argument; ``None`` when nothing."""
        return cmdline.join(same_argument(wish, words)) or None


def wished(
    params: Params, menu: backend.Menu, arch: str
) -> tuple[tuple[cmdline.Argument, ...], tuple[str, ...]]:
    """Return the arguments that shall be effective, and what is to be said about those that do nothing.

    :raises Refusal: a word cannot be written safely.
    """
    if params["args"] is None:
        return cmdline.arguments(menu.ours), ()
    words, notices = validate.useful(validate.words_of(params["args"]), arch)
    return cmdline.arguments(words), notices


def set_goal(params: Params, menu: backend.Menu, machine: Machine) -> Goal:
    """Decide what the menu shall be.

    :raises Refusal: it would hurt the host, or contradicts what somebody else wrote.
    """
    wishes, notices = wished(params, menu, machine.arch)
    removed = (
        menu.removed if params["remove"] is None else validate.words_of(params["remove"], "pattern of remove")
    )
    removed = tuple(dict.fromkeys(removed))
    owners = _owners(params["owners"])
    kept = remaining(menu.given, removed)
    if params["args"] is None:
        ours = menu.ours
    else:
        ours = compose(menu.given, wishes, removed, owners)
        validate.refuse_contradictory(wishes, kept, owners, params["sev_snp"])
    line = (*(word for source in kept for word in source.words), *ours)
    if params["args"] is not None:
        validate.refuse_harmful(wishes, (*_loaders_own(menu), *line), machine)
    notices = (*notices, *validate.pointed_out(kept, machine.arch))
    return Goal(wishes, backend.Wish(ours, removed), line, notices, owners)


def _owners(option: t.Mapping[str, t.Any]) -> Owners:
    for argument, roles in option.items():
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            raise ParseError(
                f"The owners of {argument} are {roles!r}.",
                remedy=f"give a list of roles, such as {argument}: [vfio]",
            )
    return Owners(option)


def _loaders_own(menu: backend.Menu) -> tuple[str, ...]:
    """Return the words of an entry that neither others configured nor we: the root, the kernel's path."""
    known = (*menu.given_words, *menu.ours, *menu.leaving)
    own = [
        tuple(word for word in entry.words if not any(cmdline.same_word(word, other) for other in known))
        for entry in menu.entries or ()
        if not entry.bare
    ]
    return max(own, key=lambda words: len(cmdline.join(words)), default=())


def faults(menu: backend.Menu, goal: Goal) -> tuple[str, ...]:
    """Say what is wrong with the entries: a wish may also be served by words of others."""
    found = [*backend.faults(menu, goal.wish)]
    for entry in menu.entries or ():
        if not entry.bare:
            lacking = cmdline.missing(goal.wishes, entry.words)
            found += [f"{entry.name} lacks {cmdline.join(wish.words)}" for wish in lacking]
    return tuple(dict.fromkeys(found))


def is_complete(entry: backend.Entry, goal: Goal) -> bool:
    """Tell whether an entry has every wish."""
    return not cmdline.missing(goal.wishes, entry.words)


def as_result(wish: cmdline.Argument, goal: Goal) -> dict[str, t.Any]:
    """Return the part of an argument's result that is known without a host."""
    return {
        "name": spelled(wish) if wish.name != cmdline.HUGEPAGES else wish.name,
        "wanted": cmdline.join(wish.words),
        "owners": list(goal.owners.of(wish)),
    }
