# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""A filter table as ``iptables-save`` prints it: what in it is ours, and what the loader will make of it. Pure.

The nft and the legacy tool print the same text for the same rules, so that one reader serves both. The order of
chains means nothing to the kernel and everything to a comparison: built-in chains come first, the others by name.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    FIRST,
    LAST,
    PREFIX,
    Jump,
    Ruleset,
    Table,
)

BUILT_IN = ("INPUT", "FORWARD", "OUTPUT")

# Where a jump goes is decided twice: here, for the prediction, and by awk in the loader on the host. Both use these
# expressions, which are therefore POSIX extended ones.
ABOVE = "(^| )-j (f2b-|ufw6?-before-|LIBVIRT_INP|KUBE-|cali-|neutron-|ts-)[^ ]*$"
"""Jumps that may stand above a ``first`` one of ours: their owners insert them at rule 1 whenever they start, so that
taking the place back would be a change in every run after a reboot."""
COMMENT = '-m comment --comment ("([^"\\\\]|\\\\.)*"|[^" ]+) '
"""What is taken out of a rule before it is compared with :data:`FINAL`: a comment is no condition."""
FINAL = "^(-j (ACCEPT|DROP|REJECT|RETURN|QUEUE|NFQUEUE|TARPIT)( .*)?|-g [^ ]+)$"
"""A rule of a built-in chain after which no packet goes on to the next one."""
OWN_JUMP = f"^-j {PREFIX}[^ ]+$"
"""A jump of ours, unless it stands in one of our chains. With any condition it is somebody else's rule."""

_above, _comment, _final, _own_jump = map(re.compile, (ABOVE, COMMENT, FINAL, OWN_JUMP))
_word = re.compile(r'"(?:[^"\\]|\\.)*"|\S+')

_OWNERS = (
    ("DOCKER", "docker"),
    ("LIBVIRT_", "libvirt"),
    ("f2b-", "fail2ban"),
    ("fail2ban-", "fail2ban"),
    ("ufw-", "ufw"),
    ("ufw6-", "ufw"),
    ("KUBE-", "kubernetes"),
    ("cali-", "calico"),
    ("CNI-", "cni"),
    ("ts-", "tailscale"),
    ("neutron-", "neutron"),
    ("IN_", "firewalld"),
    ("FWD_", "firewalld"),
    ("FWDI_", "firewalld"),
    ("FWDO_", "firewalld"),
    ("OUT_", "firewalld"),
    ("RFC3964_IPv4", "firewalld"),
)
_FIREWALLD = re.compile(
    "(INPUT|FORWARD|OUTPUT)_(direct|ZONES(_SOURCE)?|(IN|OUT)_ZONES(_SOURCE)?|POLICIES_(pre|post))$"
)

_DECLARED = re.compile(r":(\S+) (\S+)(?: \[\d+:\d+\])?$")
_RULE = re.compile(r"(?:\[\d+:\d+\] )?-A (\S+) ?(.*)$")


def parse_save(text: str) -> Table:
    """Read what ``iptables-save``, with or without ``-c`` or ``-t filter``, printed. Counters are left out.

    No table at all is the table that the kernel begins with.

    :raises ParseError: the text is no such thing, is cut off, or says that the table is beyond the tool's grammar.
    """
    policies: dict[str, str] = dict.fromkeys(BUILT_IN, "ACCEPT")
    chains: dict[str, list[str]] = {name: [] for name in BUILT_IN}
    for number, line in _lines_of_filter(text):
        declared, rule = _DECLARED.match(line), _RULE.match(line)
        if declared:
            chains.setdefault(declared[1], [])
            if declared[2] != "-":
                policies[declared[1]] = declared[2]
        elif rule and rule[1] in chains:
            chains[rule[1]].append(rule[2].strip())
        else:
            raise ParseError(
                f"line {number} of iptables-save's output is neither a chain nor a rule of one: {line!r}.",
                remedy="run iptables-save -t filter and ip6tables-save -t filter by hand and read what they print",
            )
    return Table(tuple(policies.items()), _ordered(chains))


def _lines_of_filter(text: str) -> t.Iterator[tuple[int, str]]:
    """Yield the lines of the filter table, numbered."""
    table = ""
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if "is incompatible, use 'nft' tool" in line:
            raise ParseError(
                f"iptables cannot print a table: {line.lstrip('# ')}",
                remedy="something wrote rules with nft into the table that belongs to iptables; look at them with"
                " nft list table ip filter (and ip6 filter) and move them to a table of their own",
            )
        if line.startswith("*"):
            table = line[1:]
        elif line == "COMMIT":
            table = ""
        elif table == "filter" and line and not line.startswith("#"):
            yield number, line
    if table:
        raise ParseError(
            f"iptables-save's output ends inside the table {table}.",
            remedy="run iptables-save by hand; it was cut off or died",
        )


def owner_of(chain: str) -> str | None:
    """Guess from its name whose chain it is; ``None`` for built-in, own and hand-made ones."""
    if _FIREWALLD.match(chain):
        return "firewalld"
    return next((owner for prefix, owner in _OWNERS if chain.startswith(prefix)), None)


def is_ours(chain: str) -> bool:
    """Tell whether a chain is ours."""
    return chain.startswith(PREFIX)


def without_comment(rule: str) -> str:
    """Return the rule without what means nothing to a packet."""
    return _comment.sub("", rule)


def is_final(rule: str) -> bool:
    """Tell whether no packet goes on after this rule of a built-in chain."""
    return bool(_final.match(without_comment(rule)))


def foreign(table: Table) -> Table:
    """Return the table without anything of ours: what has to be the same before and after."""
    return dataclasses.replace(
        table,
        chains=tuple(
            (name, tuple(rule for rule in rules if not _own_jump.match(rule)))
            for name, rules in table.chains
            if not is_ours(name)
        ),
    )


def ours(table: Table) -> Ruleset:
    """Return our chains, and our jumps with the numbers of their rules."""
    return Ruleset(
        chains=tuple((name, rules) for name, rules in table.chains if is_ours(name)),
        jumps=tuple(
            Jump(source, rule[len("-j ") :], str(number))
            for source, rules in table.chains
            if not is_ours(source)
            for number, rule in enumerate(rules, 1)
            if _own_jump.match(rule)
        ),
    )


def snapshot(table: Table, policies: t.Iterable[str] = ()) -> Ruleset:
    """Return what brings our part of the table back, whatever others changed meanwhile.

    :param policies: the built-in chains whose policy is about to change; others may change while we look away.
    """
    part = ours(table)
    sources = {jump.source for jump in part.jumps} - set(BUILT_IN)
    return dataclasses.replace(
        part,
        policies=tuple((chain, policy) for chain, policy in table.policies if chain in set(policies)),
        # Only what is there to be brought back: a jump that was missing stays missing.
        needs=tuple(sorted(s for s in sources if f"-j {s}" in table.rules("FORWARD"))),
    )


def placed(table: Table, jump: Jump) -> int:
    """Return the number that the rule of a jump gets, were it the only one of ours in its chain."""
    return _number(foreign(table).rules(jump.source), jump.place)


def _number(rules: t.Sequence[str], place: str) -> int:
    """Return the number of the rule before which a jump is placed; rules holds none of ours."""
    if place == FIRST:
        return next((n for n, rule in enumerate(rules, 1) if not _above.search(rule)), len(rules) + 1)
    if place == LAST:
        return next((n for n, rule in enumerate(rules, 1) if is_final(rule)), len(rules) + 1)
    return min(int(place), len(rules) + 1)


def predict(table: Table, ruleset: Ruleset, made: t.Collection[str] = ()) -> Table:
    """Return what ``hearth-firewall load`` makes of the table; the loader does the same steps in awk.

    1. All our jumps go, and all our chains that are not wanted.
    2. A chain that is needed is made; the jump to it is put at rule 1 of FORWARD where it is missing or stands below
       Docker's own rules, which would let packets in before they are asked.
    3. Where nothing of ours is left, a chain that the loader has ``made`` goes again, unless somebody uses it.
    4. ``first`` jumps in their order, before the first rule that may not stand above them; ``last`` ones in their
       order, before the first final rule; then numbered ones by number. A source that does not exist gets none.

    :raises Refusal: a rule of somebody else refers to a chain that would go.
    """
    chains: dict[str, t.Sequence[str]] = dict(foreign(table).chains)
    _refuse_references(chains, {name for name, _rules in ruleset.chains})
    for name in ruleset.needs:
        chains.setdefault(name, ())
        if not _is_hooked(chains["FORWARD"], name):
            others = (rule for rule in chains["FORWARD"] if rule != f"-j {name}")
            chains["FORWARD"] = (f"-j {name}", *others)
    for name in made:
        if not ruleset.chains and name not in ruleset.needs and _is_idle(chains, name):
            chains["FORWARD"] = [rule for rule in chains["FORWARD"] if rule != f"-j {name}"]
            del chains[name]
    for source in chains:
        jumps = [jump for jump in ruleset.jumps if jump.source == source]
        chains[source] = _with_jumps(chains[source], jumps)
    chains.update(ruleset.chains)
    policies = {**dict(table.policies), **dict(ruleset.policies)}
    return Table(tuple(policies.items()), _ordered(chains))


def _is_hooked(forward: t.Sequence[str], name: str) -> bool:
    """Tell whether FORWARD asks a chain before it asks Docker's."""
    theirs = (
        number
        for number, rule in enumerate(forward)
        if (target_of(rule).startswith("DOCKER") and target_of(rule) != name) or "-o docker0" in rule
    )
    hook = f"-j {name}"
    return hook in forward and forward.index(hook) < next(theirs, len(forward))


def _is_idle(chains: t.Mapping[str, t.Sequence[str]], name: str) -> bool:
    """Tell whether a chain is empty, Docker is not there, and only the jump that we made leads to it."""
    uses = (
        (chain, rule)
        for chain, rules in chains.items()
        for rule in rules
        if target_of(rule) == name and (chain, rule) != ("FORWARD", f"-j {name}")
    )
    docker = any(chain.startswith("DOCKER") and chain != name for chain in chains)
    return name in chains and not chains[name] and not docker and not any(uses)


def satisfied(table: Table, ruleset: Ruleset, made: t.Collection[str] = ()) -> bool:
    """Tell whether loading the rules would change nothing."""
    return predict(table, ruleset, made) == table


def _with_jumps(rules: t.Sequence[str], jumps: t.Sequence[Jump]) -> list[str]:
    first = [f"-j {jump.chain}" for jump in jumps if jump.place == FIRST]
    last = [f"-j {jump.chain}" for jump in jumps if jump.place == LAST]
    numbered = sorted((int(j.place), j.chain) for j in jumps if j.place not in (FIRST, LAST))
    above, below = _number(rules, FIRST) - 1, _number(rules, LAST) - 1
    # A final rule may be the very first one; both kinds of jump then stand before it, in this order.
    done = [*rules[:above], *first, *rules[above:below], *last, *rules[below:]]
    for number, chain in numbered:
        done.insert(number - 1, f"-j {chain}")
    return done


def _refuse_references(chains: t.Mapping[str, t.Sequence[str]], kept: t.Collection[str]) -> None:
    for chain, rules in chains.items():
        for rule in rules:
            target = target_of(rule)
            if is_ours(target) and target not in kept:
                raise Refusal(
                    f"the chain {target} cannot go: the rule '-A {chain} {rule}', which is not ours, refers to it.",
                    remedy=f"remove that rule first: iptables -D {chain} {rule}",
                    chain=target,
                )


def words(rule: str) -> list[str]:
    """Split a rule into its words; one that is quoted keeps its quotes, so that it cannot be taken for an option."""
    return _word.findall(rule)


def target_of(rule: str) -> str:
    """Return the target of a rule, whatever its conditions; empty for a rule that only counts."""
    parts = words(without_comment(f"{rule} "))
    return next((b for a, b in zip(parts, parts[1:]) if a in ("-j", "-g")), "")


def _ordered(chains: t.Mapping[str, t.Sequence[str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    built_in = [name for name in chains if name in BUILT_IN]
    others = sorted(name for name in chains if name not in BUILT_IN)
    return tuple((name, tuple(chains[name])) for name in built_in + others)
