# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What a task has to judge: what the goal is, what speaks against it, and what is worth a warning. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall import disk as disks
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall import loader, plan
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.backend import NFT
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.bundle import render_bundle
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.facts import objection_facts
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    BLOCK_SETS,
    MIXED_BACKENDS,
    OTHER_FIREWALL,
    Bundle,
    Objection,
    Table,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import ACCEPT, DROP
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.render import rescue
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.scene import (
    Scene,
    Wish,
    wanted_sets,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import (
    foreign,
    owner_of,
    predict,
    snapshot,
)

# The units of EL's iptables-services. They start after sysinit.target, and so after ours.
_RESTORERS = ("iptables", "ip6tables")
_DENIES = "it denies what we let in, and the other way round"
_REPLACES = "it replaces the whole tables at each boot, after ours are loaded, so that they are gone"
_IMAGE_TOOLS = {"auto": "iptables", "nft": "iptables-nft", "legacy": "iptables-legacy"}


def goal_of(wish: Wish, scene: Scene) -> plan.Goal:
    """Return what shall be, in the kernel and on disk."""
    sets = wanted_sets(wish.policy)
    bundle = {
        **render_bundle(_tool(wish, scene), scene.rules, sets, _rescues(wish)),
        plan.BEFORE: plan.keep_before(scene.disk.current, scene.rules, scene.tables) if wish.policy else "",
    }
    live = None
    if scene.backend is not None:
        live = plan.Live(scene.rules, sets)
    disk = disks.NOTHING
    if wish.boots:
        texts = {
            loader.PROGRAM: loader.LOADER,
            disks.UNIT_FILE: loader.unit_text(scene.disk.late_nftables),
            disks.DROPIN_FILE: loader.DOCKER_DROPIN,
        }
        disk = disks.Disk(texts, enabled=True, told=True, current=bundle)
    return plan.Goal(live, disk, bundle, wish.window_s)


def _tool(wish: Wish, scene: Scene) -> str:
    return scene.backend.tool4 if scene.backend else _IMAGE_TOOLS[wish.backend]


def _rescues(wish: Wish) -> dict[int, t.Any]:
    policy = wish.policy
    return {family: rescue(policy, family) for family in policy.families} if policy else {}


def snapshot_of(wish: Wish, scene: Scene) -> Bundle:
    """Return what brings back the rules that are there now.

    Those that stand in the other back end are not read. What was kept of them says the same, and names that back end.
    """
    if scene.strays and scene.disk.current:
        return scene.disk.current
    rules = {
        family: snapshot(table, [chain for chain, _policy in scene.rules[family].policies])
        for family, table in scene.tables.items()
    }
    return render_bundle(_tool(wish, scene), rules, scene.sets, {})


def foretold(scene: Scene) -> dict[int, Table]:
    """Return the tables as they will be.

    :raises Refusal: a rule of somebody else leads to a chain that would go.
    """
    return {
        family: predict(table, scene.rules[family], scene.made.get(family, ()))
        for family, table in scene.tables.items()
    }


def objections(wish: Wish, scene: Scene, tables: t.Mapping[int, Table]) -> tuple[Objection, ...]:
    """Return everything that speaks against the tables as they will be."""
    # The evaluator is asked when something changes. A run that changes nothing does without.
    from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.invariants import object_to

    found = object_to(tables, wish.policy, scene.caller, _blocked(wish), scene.arrives_on)
    if wish.policy is None:
        # Whoever else filters here: going away is what makes that clear.
        return found
    return (*_standing(wish, scene), *found)


def _blocked(wish: Wish) -> dict[str, tuple[str, ...]]:
    return {
        BLOCK_SETS[family]: tuple(line.split()[2] for line in text.splitlines() if line.startswith("add "))
        for family, text in wanted_sets(wish.policy).items()
    }


def _standing(wish: Wish, scene: Scene) -> tuple[Objection, ...]:
    """Return what speaks against any policy of ours on this host as it is."""
    return (*_rivals(scene), *_mixed(scene), *_forwarders(wish, scene))


def _forwarders(wish: Wish, scene: Scene) -> t.Iterator[Objection]:
    if wish.policy is None or wish.policy.default_forward != DROP:
        return
    chains = {chain for table in scene.tables.values() for chain, _rules in table.chains}
    for owner in sorted({"calico", "kubernetes"} & {owner_of(chain) for chain in chains}):
        yield Objection(
            OTHER_FIREWALL,
            0,
            f"{owner} forwards packets of its own here, and default_forward: drop would drop them.",
            f"set default_forward to leave; allow: [{OTHER_FIREWALL}] lifts this one refusal",
        )


def _mixed(scene: Scene) -> t.Iterator[Objection]:
    if scene.backend is not None and scene.backend.other_has_rules:
        yield Objection(
            MIXED_BACKENDS,
            0,
            f"The kernel asks both back ends of iptables, {scene.backend.kind} is ours, and the other one has rules"
            f" as well ({'; '.join(scene.backend.other_has_rules)}): it may drop what we let in.",
            "move those rules, or set backend to the one that has them;"
            f" allow: [{MIXED_BACKENDS}] lifts this one refusal",
        )


def _rivals(scene: Scene) -> t.Iterator[Objection]:
    for other in scene.others:
        if other.name in ("ufw", "firewalld") or (other.name in _RESTORERS and other.enabled):
            loads = other.name in _RESTORERS
            yield Objection(
                OTHER_FIREWALL,
                0,
                f"{other.name} is {'active' if other.running else 'enabled'}: {_REPLACES if loads else _DENIES}.",
                f"take it away, such as systemctl disable {'' if loads else '--now '}{other.name};"
                f" allow: [{OTHER_FIREWALL}] lifts this one refusal",
            )


def refuse(found: t.Iterable[Objection], wish: Wish) -> None:
    """Refuse with everything that speaks against the change and was not allowed.

    :raises Refusal: there is such a thing.
    """
    left = [objection for objection in found if objection.name not in wish.allow]
    if left:
        raise Refusal(
            f"Nothing was changed. {' '.join(f'[{objection.name}] {objection.message}' for objection in left)}",
            remedy="; ".join(dict.fromkeys(objection.remedy for objection in left)),
            objections=objection_facts(left, wish.allow),
        )


def warnings(wish: Wish, scene: Scene, tables: t.Mapping[int, Table]) -> list[str]:
    """Return what makes the policy worth less, now or after the next boot."""
    if wish.policy is None:
        return []
    # What is refused when something changes is said also when nothing does: it may have come since.
    said = [objection.message for objection in _standing(wish, scene) if objection.name not in wish.allow]
    return [*_others(scene), *said, *_holes(wish, tables)]


def _holes(wish: Wish, tables: t.Mapping[int, Table]) -> t.Sequence[str]:
    """Return what others let in. Where INPUT has no rule of others, they let nothing in, and nobody has to be asked."""
    if not any(foreign(table).rules("INPUT") for table in tables.values()):
        return ()
    from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.reach import warnings_about

    denies = wish.policy is not None and wish.policy.default_input != ACCEPT
    return warnings_about(tables, denies, _blocked(wish))


def _others(scene: Scene) -> t.Iterator[str]:
    for other in scene.others:
        if other.name == "nftables" and scene.backend is not None and scene.backend.kind == NFT:
            yield (
                "nftables.service flushes every rule of the host when it starts, reloads or stops, ours and those of"
                " Docker too. Disable it, or take 'flush ruleset' out of its file."
            )
        if other.frozen:
            yield (
                f"{other.name} brings saved rules of {', '.join(other.frozen)} back at each boot, as they were when"
                " they were saved. Take them out of what it has saved."
            )
