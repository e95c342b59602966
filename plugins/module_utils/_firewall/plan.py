# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""From the firewall that is there to the one that is wanted: which effects, in which order, under which guard. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Run
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall import disk as disks
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.bundle import digest
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.loader import LOADER, PROGRAM
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import Bundle, Ruleset, Table
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import is_ours

if t.TYPE_CHECKING:
    from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.model import Spec

WHAT = "firewall"
BEFORE = "before"
"""The file of a bundle that says which policies built-in chains had before they were ours; no rule, only kept."""

LOAD_PATIENCE_S = 150.0
_LOADER_NAME = "hearth-firewall"
_ROLLBACK = f"""\
set -eu
# A boot has emptied the tables already, and loads what was confirmed last.
if [ "$1" = boot ]; then
    exit 0
fi
exec sh ./{_LOADER_NAME} load "$PWD"
"""
_COMMIT = """\
set -eu
exec "${{HEARTH_ROOT:-}}{program}" commit "${{HEARTH_ROOT:-}}{folder}"
"""


@dataclasses.dataclass(frozen=True)
class Live:
    """What the kernel has of ours by family: rules, and the text of the block list, empty where there is none.

    ``strays`` says that rules of ours are in the other back end, too.
    """

    rules: t.Mapping[int, Ruleset] = dataclasses.field(default_factory=dict)
    blocked: t.Mapping[int, str] = dataclasses.field(default_factory=dict)
    strays: bool = False


@dataclasses.dataclass(frozen=True)
class Goal:
    """What shall be: in the kernel, where ``live`` is not ``None``, and on disk; ``bundle`` makes it so.

    ``window_s`` is how long the guard waits; 0 is no guard.
    """

    live: Live | None
    disk: disks.Disk
    bundle: Bundle
    window_s: int


@dataclasses.dataclass(frozen=True)
class Guarding:
    """What the guard needs: how to get at the rules to go back to and at a name for it, and who makes it."""

    snapshot: t.Callable[[], Bundle]
    token: t.Callable[[], str]
    who: str


def plan_effects(
    live: Live | None, disk: disks.Disk, goal: Goal, guarding: Guarding
) -> tuple[tuple[Action, ...], Spec | None]:
    """Return the effects that lead to the goal, and the guard, if one is armed.

    What the boot loads changes last, and under a guard only when it is confirmed: a run that dies before has changed
    nothing for the next boot, and the next run sees that.
    """
    loads, commits = live != goal.live, disk != goal.disk
    if not loads and not commits:
        return (), None
    place = _place(goal)
    units = disks.plan_units(disk, goal.disk) if goal.disk else ()
    staged = disk.current == goal.bundle if goal.disk else not loads
    stage = () if staged else (_stage(goal, place),)
    # One that is still at work when the guard takes back would have the last word, and nobody would know.
    patience_s = min(LOAD_PATIENCE_S, goal.window_s / 2) if goal.window_s else LOAD_PATIENCE_S
    load = (Run((*_loader(goal, place), "load", place), timeout_s=patience_s),) if loads else ()
    if loads and goal.window_s:
        arm, spec = _guard(goal, guarding, place)
        return (*units, *stage, arm, *load), spec
    return (*units, *stage, *load, *_commit(disk, goal, place)), None


def _guard(goal: Goal, guarding: Guarding, place: str) -> tuple[Action, Spec]:
    # The guard brings its program along. A run that changes nothing does without.
    from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.actions import Arm
    from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.model import Spec

    files = _files(guarding.snapshot())
    spec = Spec(WHAT, goal.window_s, files, _ROLLBACK, _commit_script(goal, place))
    return Arm(spec, guarding.token(), guarding.who), spec


def after(live: Live | None, disk: disks.Disk, goal: Goal, guarded: bool) -> tuple[Live | None, disks.Disk]:
    """Return what is there when the effects are done: under a guard, the boot still loads what it did."""
    if not guarded:
        return goal.live, goal.disk
    return goal.live, dataclasses.replace(goal.disk, current=disk.current) if goal.disk else disk


def _place(goal: Goal) -> str:
    return f"{disks.FOLDER if goal.disk else disks.TRANSIENT}/{digest(goal.bundle)}"


def _loader(goal: Goal, place: str) -> tuple[str, ...]:
    """Return how the loader is called: what is for this boot only lies where nothing may be executed."""
    return (PROGRAM,) if goal.disk else ("sh", f"{place}/{_LOADER_NAME}")


def _stage(goal: Goal, place: str) -> Action:
    return disks.Stage(place, goal.bundle if goal.disk else _files(goal.bundle))


def _files(bundle: Bundle) -> Bundle:
    """Return a bundle that brings its own loader: it works whatever becomes of the one on the host."""
    return {**bundle, _LOADER_NAME: LOADER}


def _commit_script(goal: Goal, place: str) -> str:
    return _COMMIT.format(program=PROGRAM, folder=place) if goal.disk else disks.FORGET


def _commit(disk: disks.Disk, goal: Goal, place: str) -> tuple[Action, ...]:
    if not goal.disk:
        return (disks.Forget(),) if disk else ()
    return (Run((PROGRAM, "commit", place)),) if disk.current != goal.disk.current else ()


# --- built-in policies -----------------------------------------------------------------------


def parse_before(bundle: Bundle) -> dict[int, dict[str, str]]:
    """Return which policies built-in chains had before a bundle changed them."""
    words = [line.split() for line in bundle.get(BEFORE, "").splitlines()]
    found: dict[int, dict[str, str]] = {}
    for family, chain, policy in words:
        found.setdefault(int(family), {})[chain] = policy
    return found


def keep_before(current: Bundle, rules: t.Mapping[int, Ruleset], tables: t.Mapping[int, Table]) -> str:
    """Return the text of :data:`BEFORE` for new rules.

    What is kept already stays: it is older than what the tables have now. Where there are no tables, as in an image,
    the kernel's own policy is the one to go back to; so it is where the record is lost, and what is there may be ours.
    """
    kept = parse_before(current)
    for family, ruleset in rules.items():
        table = tables.get(family, Table())
        lost = not current and any(is_ours(chain) for chain, _rules in table.chains)
        theirs = dict(set(table.policies) - set(ruleset.policies) if lost else table.policies)
        for chain, _wanted in ruleset.policies:
            kept.setdefault(family, {}).setdefault(chain, theirs.get(chain, "ACCEPT"))
    return "".join(
        f"{family} {chain} {policy}\n"
        for family, policies in sorted(kept.items())
        for chain, policy in sorted(policies.items())
    )


def given_back(current: Bundle, families: t.Iterable[int]) -> dict[int, Ruleset]:
    """Return the rules of a host without a firewall of ours: none, and the policies that it had before."""
    kept = parse_before(current)
    return {family: Ruleset(policies=tuple(sorted(kept.get(family, {}).items()))) for family in families}
