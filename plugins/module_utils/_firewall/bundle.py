# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""A bundle: the files that ``hearth-firewall load FOLDER`` reads. Pure.

Every file is always there, an empty one included, and its lines are in one order: what is equal has one digest.
"""

from __future__ import annotations

import dataclasses
import hashlib
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    FAMILIES,
    FIRST,
    LAST,
    Bundle,
    Jump,
    Ruleset,
)

BACKENDS = ("iptables", "iptables-nft", "iptables-legacy")
DIGEST_LENGTH = 12
Chains = tuple[tuple[str, tuple[str, ...]], ...]


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a bundle says, by family where a family matters."""

    backend: str = BACKENDS[0]
    rulesets: t.Mapping[int, Ruleset] = dataclasses.field(default_factory=dict)
    sets: t.Mapping[int, str] = dataclasses.field(default_factory=dict)
    rescues: t.Mapping[int, Chains] = dataclasses.field(default_factory=dict)


def render_bundle(
    backend: str,
    rulesets: t.Mapping[int, Ruleset],
    sets: t.Mapping[int, str],
    rescues: t.Mapping[int, Chains],
) -> Bundle:
    """Return the files of a bundle; a family that is left out has nothing of ours."""
    every = [(family, rulesets.get(family, Ruleset())) for family in FAMILIES]
    files = {
        "backend": f"{backend}\n",
        "jumps": _lines(f"{f} {j.source} {j.chain} {j.place}" for f, r in every for j in r.jumps),
        "needs": _lines(f"{f} {chain}" for f, r in every for chain in r.needs),
        "policies": _lines(f"{f} {chain} {policy}" for f, r in every for chain, policy in r.policies),
    }
    for family, ruleset in every:
        files[f"rules{family}"] = _chains_text(ruleset.chains)
        files[f"rescue{family}"] = _chains_text(rescues.get(family, ()))
        files[f"sets{family}"] = sets.get(family, "")
    return dict(sorted(files.items()))


def digest(bundle: Bundle) -> str:
    """Return the name of the folder that holds the bundle."""
    text = "".join(f"{name}\0{bundle[name]}\0" for name in sorted(bundle))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def parse_bundle(texts: Bundle) -> Contents:
    """Read the files of a bundle; one that is missing is empty. The inverse of :func:`render_bundle`.

    :raises ParseError: a line is not in its file's grammar.
    """
    backend = texts.get("backend", "").strip()
    if backend not in BACKENDS:
        raise _fault("backend", backend)
    jumps, needs, policies = (list(_words(texts, name, n)) for name, n in _FILES.items())
    for words in jumps:
        if words[3] not in (FIRST, LAST) and not (words[3].isdecimal() and int(words[3])):
            raise _fault("jumps", " ".join(words))
    rulesets = {
        family: Ruleset(
            _parse_chains(texts, f"rules{family}"),
            tuple(Jump(*words[1:]) for words in jumps if words[0] == str(family)),
            tuple((words[1], words[2]) for words in policies if words[0] == str(family)),
            tuple(words[1] for words in needs if words[0] == str(family)),
        )
        for family in FAMILIES
    }
    return Contents(
        backend,
        rulesets,
        {family: texts.get(f"sets{family}", "") for family in FAMILIES},
        {family: _parse_chains(texts, f"rescue{family}") for family in FAMILIES},
    )


# How many words a line of each file has; the first one is the family.
_FILES = {"jumps": 4, "needs": 2, "policies": 3}


def _words(texts: Bundle, name: str, count: int) -> t.Iterator[list[str]]:
    for line in texts.get(name, "").splitlines():
        words = line.split()
        if len(words) != count or words[0] not in map(str, FAMILIES):
            raise _fault(name, line)
        yield words


def _chains_text(chains: Chains) -> str:
    ordered = sorted(chains)
    return _lines(
        [f":{chain} - [0:0]" for chain, _rules in ordered]
        + [f"-A {chain} {rule}" for chain, rules in ordered for rule in rules]
    )


def _parse_chains(texts: Bundle, name: str) -> Chains:
    chains: dict[str, list[str]] = {}
    for line in texts.get(name, "").splitlines():
        head, _space, rest = line.partition(" ")
        chain, _space, rule = rest.partition(" ")
        if head.startswith(":") and rest == "- [0:0]":
            chains[head[1:]] = []
        elif head == "-A" and rule and chain in chains:
            chains[chain].append(rule)
        else:
            raise _fault(name, line)
    return tuple((chain, tuple(rules)) for chain, rules in chains.items())


def _lines(lines: t.Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _fault(name: str, line: str) -> ParseError:
    return ParseError(
        f"the firewall's file {name!r} on the host holds {line!r}, which no run of this collection writes.",
        remedy="restore the folder below /etc/hearth/firewall, or remove it and its link current and run again",
    )


EMPTY = render_bundle(BACKENDS[0], {}, {}, {})
"""The bundle that takes away all that is ours."""
