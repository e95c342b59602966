# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What a task wants of the firewall, and everything that it has to know of the host for that."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    Contradiction,
    ParseError,
    Refusal,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall import plan
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.backend import (
    LEGACY,
    NFT,
    Backend,
    backend_of,
    is_asked,
    is_installed,
    read_backend,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.disk import Disk, read_disk
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    FAMILIES,
    Caller,
    Ruleset,
    Table,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy import parse_policy
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import LEAVE, Policy
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.read import (
    OtherFirewall,
    plain_set,
    read_caller,
    read_kernel,
    read_other_firewalls,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.render import render, sets
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import (
    BUILT_IN,
    parse_save,
    satisfied,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Params

if t.TYPE_CHECKING:
    from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.model import Pending

SSH_PORT = 22
MADE = "/run/hearth/firewall.made"
LOADED_BY = "/run/hearth/firewall.backend"
GUARDED = tuple(f"/var/lib/hearth/guard/{place}" for place in ("armed", "confirming", "undoing"))
LEAST_WINDOW_S, MOST_WINDOW_S = 45, 3600
PRISTINE = Table(tuple((chain, "ACCEPT") for chain in BUILT_IN), tuple((chain, ()) for chain in BUILT_IN))
"""What the kernel begins with: what an image will find when it boots."""

Rules = t.Mapping[int, Ruleset]


@dataclasses.dataclass(frozen=True)
class Wish:
    """What the task is about. ``policy`` is ``None`` when everything of ours goes.

    ``awaited``: where iptables is missing, it will be there in time.
    """

    policy: Policy | None
    boots: bool
    running: bool
    window_s: int
    backend: str
    allow: frozenset[str]
    controller: str
    awaited: bool = False


def parse_wish(params: Params) -> Wish:
    """Check the options. Pure.

    :raises ParseError: one has no meaning.
    :raises Contradiction: two exclude each other.
    """
    present = params["state"] == "present"
    policy = parse_policy(params) if present else None
    wish = Wish(
        policy,
        present and params["persist"] == "unit",
        params["running"],
        _window(params["rollback_timeout"]),
        params["backend"],
        frozenset(params["allow"]),
        params["controller"],
        params["awaited"],
    )
    if policy is not None and not wish.boots:
        _refuse_fleeting(policy, wish)
    return wish


def _window(seconds: int) -> int:
    if seconds and not LEAST_WINDOW_S <= seconds <= MOST_WINDOW_S:
        raise ParseError(
            f"rollback_timeout is {seconds}.",
            remedy=f"give {LEAST_WINDOW_S} to {MOST_WINDOW_S} seconds: a new login takes its time; 0 is no guard",
        )
    return seconds


def _refuse_fleeting(policy: Policy, wish: Wish) -> None:
    if not wish.running:
        raise Contradiction(
            "running: false manages what the boot loads only, and persist: none says that it loads nothing.",
            remedy="set persist to unit, or state to absent",
        )
    if policy.input_policy != LEAVE:
        raise Contradiction(
            f"input_policy: {policy.input_policy} needs a place on disk that says what the policy was before, and"
            " persist: none leaves nothing on disk.",
            remedy="set persist to unit, or leave input_policy out",
        )


@dataclasses.dataclass(frozen=True)
class Scene:
    """What was read. ``rules`` are the wanted ones in the kernel's own spelling.

    ``arrives_on`` is the interface of the caller, where a policy wants to know, ``made`` the chains that the loader has
    made for others, by family. ``strays``: it has loaded rules into the other back end.

    Where no kernel is looked at, ``backend`` is ``None`` and the tables are those of a kernel that has just begun.
    """

    disk: Disk
    rules: Rules
    now: float
    backend: Backend | None = None
    tables: t.Mapping[int, Table] = dataclasses.field(
        default_factory=lambda: dict.fromkeys(FAMILIES, PRISTINE)
    )
    sets: t.Mapping[int, str] = dataclasses.field(default_factory=dict)
    caller: Caller | None = None
    arrives_on: str = ""
    others: tuple[OtherFirewall, ...] = ()
    pending: tuple[Pending, ...] = ()
    made: t.Mapping[int, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    strays: bool = False


def read_scene(host: Host, wish: Wish, known: Rules | None = None, looking: bool = False) -> Scene:
    """Read what the task has to know.

    :param known: the wanted rules, where they have been worked out before.
    :param looking: nothing will be changed; see ``is_asked``.
    :raises ParseError: iptables does not take one of the rules.
    :raises CommandError: iptables is not there, or fails.
    """
    disk, now, pending = read_disk(host), host.now(), _pending(host)
    if not wish.running:
        return Scene(disk, known or rendered(wish.policy, disk), now, pending=pending)
    if wish.awaited and not is_installed(host):
        return _before_installation(
            host, wish, Scene(disk, rendered(wish.policy, disk), now, pending=pending)
        )
    _refuse_missing_family(host, wish)
    backend = read_backend(host, wish.backend)
    kernel = read_kernel(host, backend)
    tables = {family: parse_save(text) for family, text in kernel.tables.items()}
    made = parse_made(host.text(MADE) or "")
    caller = _caller(host, wish)
    return Scene(
        disk,
        known or _spelled(host, wish, backend, tables, made, disk, looking),
        now,
        backend,
        tables,
        {family: plain_set(text) for family, text in kernel.sets.items()},
        caller,
        _arrives_on(host, wish, caller),
        read_other_firewalls(host),
        pending,
        made,
        _strays(host.text(LOADED_BY) or "", backend),
    )


def _before_installation(host: Host, wish: Wish, scene: Scene) -> Scene:
    """Return what will be read when iptables is there."""
    return dataclasses.replace(
        scene,
        backend=backend_of(wish.backend),
        sets=dict.fromkeys(FAMILIES, ""),
        caller=_caller(host, wish),
        made=parse_made(""),
    )


def _refuse_missing_family(host: Host, wish: Wish) -> None:
    if wish.policy is not None and 6 in wish.policy.families and not host.exists("/proc/net/if_inet6"):
        raise Refusal(
            "The kernel of this host was started without IPv6, so that there is nothing to put its rules into.",
            remedy="say so with families: [ipv4], or take ipv6.disable=1 off the kernel's command line",
        )


def _strays(loaded_by: str, backend: Backend) -> bool:
    """Tell whether the loader has worked with the other back end. What plain iptables was is not known any more."""
    return loaded_by.endswith(f"-{LEGACY if backend.kind == NFT else NFT}")


def parse_made(text: str) -> dict[int, tuple[str, ...]]:
    """Return the chains that the loader has made for others, by family. Pure."""
    words = [line.split() for line in text.splitlines()]
    return {family: tuple(w[1] for w in words if len(w) == 2 and w[0] == str(family)) for family in FAMILIES}


def _arrives_on(host: Host, wish: Wish, caller: Caller | None) -> str:
    """Return the interface that the caller comes over, where the policy speaks of interfaces."""
    if caller is None or wish.policy is None or not _speaks_of_interfaces(wish.policy):
        return ""
    said = host.run(("ip", "-o", "route", "get", caller.address), check=False)
    words = said.out.split()
    return next((after for word, after in zip(words, words[1:]) if word == "dev"), "") if said.rc == 0 else ""


def _speaks_of_interfaces(policy: Policy) -> bool:
    rules = " ".join(extra.rule for extra in policy.extra_rules)
    return bool(policy.anti_spoof or "-i " in rules or any(zone.interfaces for zone in policy.zones))


def is_guarded(host: Host) -> bool:
    """Tell whether a change waits to be confirmed, of the firewall or of something else."""
    return any(map(host.listdir, GUARDED))


def _pending(host: Host) -> tuple[Pending, ...]:
    if not is_guarded(host):
        return ()
    from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.actions import read_pending

    return read_pending(host)


def _caller(host: Host, wish: Wish) -> Caller | None:
    caller = read_caller(host)
    if not wish.controller:
        return caller
    found = caller or Caller("", "", SSH_PORT)
    return dataclasses.replace(found, address=wish.controller)


def _spelled(
    host: Host,
    wish: Wish,
    backend: Backend,
    tables: t.Mapping[int, Table],
    made: t.Mapping[int, tuple[str, ...]],
    disk: Disk,
    looking: bool,
) -> Rules:
    """Return the wanted rules in the kernel's own spelling; ours is meant to be that, and it is asked where not."""
    rules, sets = rendered(wish.policy, disk), wanted_sets(wish.policy)
    raw = wish.policy is not None and bool(wish.policy.extra_rules)
    differing = [
        family
        for family, table in tables.items()
        if rules[family].chains and not satisfied(table, rules[family], made[family])
        if not looking or is_asked(raw, table)
    ]
    if not differing:
        return rules
    from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.scratch import canonical

    found = {
        family: canonical(host, backend, rules[family], family, sets[family], dict(tables[family].chains))
        for family in differing
    }
    return {**rules, **found}


def rendered(policy: Policy | None, disk: Disk) -> Rules:
    """Return the wanted rules as we spell them. Pure."""
    if policy is None:
        return plan.given_back(disk.current, FAMILIES)
    return {family: render(policy, family) for family in FAMILIES}


def wanted_sets(policy: Policy | None) -> dict[int, str]:
    """Return the wanted block lists, as ``ipset restore`` reads them; empty where there is none. Pure."""
    return {family: plain_set(sets(policy, family)) if policy else "" for family in FAMILIES}
