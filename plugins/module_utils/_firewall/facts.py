# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What a task tells about the firewall: the diff, and the facts it returns. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.bundle import digest
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.disk import TEXTS, UNIT_FILE, Disk
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    FIRST,
    LAST,
    Jump,
    Objection,
    Ruleset,
    Table,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.plan import Live
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.scene import Scene
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import foreign, owner_of

BUILT_IN = ("INPUT", "FORWARD", "OUTPUT")


def rule_lines(ruleset: Ruleset) -> list[str]:
    """Return rules as lines of ``iptables-save``: policies, jumps, chains."""
    return [
        *(f"-P {chain} {policy}" for chain, policy in ruleset.policies),
        *(f"-A {jump.source} -j {jump.chain}" for jump in ruleset.jumps),
        *(f"-A {chain} {rule}" for chain, rules in ruleset.chains for rule in rules),
    ]


def show(live: Live | None, disk: Disk, boot: str) -> str:
    """Return our part of both tables, the block lists, and what the next boot loads, as text for the diff."""
    lines: list[str] = []
    if live is not None:
        for family, ruleset in sorted(live.rules.items()):
            lines += [f"# IPv{family}", *_rules(ruleset)]
            lines += live.blocked.get(family, "").splitlines()
    lines += ["# Boot", *_boot(disk, boot)]
    return "\n".join(lines) + "\n"


def _rules(ruleset: Ruleset) -> t.Iterator[str]:
    for chain, policy in ruleset.policies:
        yield f"-P {chain} {policy}"
    for jump in ruleset.jumps:
        yield f"-A {jump.source} -j {jump.chain}  # {_where(jump)}"
    for chain, rules in ruleset.chains:
        yield f"-N {chain}"
        yield from (f"-A {chain} {rule}" for rule in rules)
    if not ruleset:
        yield "# nothing of ours"


def _where(jump: Jump) -> str:
    return {FIRST: "first", LAST: "last"}.get(jump.place, f"rule {jump.place}")


def _boot(disk: Disk, boot: str) -> t.Iterator[str]:
    for path in TEXTS:
        if disk.texts[path]:
            yield f"{path} {digest({path: disk.texts[path]})}"
    if disk.enabled:
        yield f"{UNIT_FILE} is enabled"
    if boot:
        yield f"loads {boot}"


def foreign_chains(tables: t.Mapping[int, Table]) -> list[dict[str, t.Any]]:
    """Return the chains that are neither built in nor ours, with their likely owners."""
    return [
        {"family": family, "chain": chain, "owner": owner_of(chain)}
        for family, table in sorted(tables.items())
        for chain, _rules in foreign(table).chains
        if chain not in BUILT_IN
    ]


def objection_facts(objections: t.Iterable[Objection], allowed: t.Collection[str]) -> list[dict[str, t.Any]]:
    """Return what speaks against the rules as plain data."""
    return [
        {**dataclasses.asdict(objection), "allowed": objection.name in allowed} for objection in objections
    ]


def scene_facts(scene: Scene) -> dict[str, t.Any]:
    """Return what is wanted and what was found as plain data."""
    return {
        "rules": {f"v{family}": rule_lines(ruleset) for family, ruleset in sorted(scene.rules.items())},
        "backend": scene.backend.kind if scene.backend else None,
        "foreign": foreign_chains(scene.tables),
        "caller": dataclasses.asdict(scene.caller) if scene.caller else None,
    }
