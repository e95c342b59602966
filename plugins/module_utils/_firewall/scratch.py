# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""How the kernel spells a rule: it is loaded in a network namespace of its own, read back, and gone.

iptables rewrites rules: it orders their matches, adds modules, masks, compresses addresses. That is not done again
here. It is also the real check of a rule: ``iptables-restore --test`` of the nft tool lets jumps to nowhere pass.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.backend import Backend
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import Ruleset
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import (
    BUILT_IN,
    parse_save,
    target_of,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

_NO_LIST, _NO_RULES = 43, 44
# Of lists that others own, only the kind matters. No lock is shared with the host: the tables are not.
_SCRIPT = f"""\
tool=$1 lists=$2
shift 2
for name; do
    lists="$lists
$(ipset save "$name" | grep '^create ')"
done
export XTABLES_LOCKFILE=/dev/null
exec unshare -n sh -c '
    [ -z "$2" ] || printf "%s\\n" "$2" | ipset restore -exist || exit {_NO_LIST}
    "$1-restore" -w 10 || exit {_NO_RULES}
    "$1-save" -t filter' sh "$tool" "$lists"
"""
_NUMBER = re.compile(r"line:? (\d+)")
_QUOTED = re.compile(r"[`'\"]([^`'\"]+)['\"]")
_LIST = re.compile(r"--match-set (\S+)")


def canonical(
    host: Host, backend: Backend, ruleset: Ruleset, family: int, sets: str = "", others: t.Iterable[str] = ()
) -> Ruleset:
    """Return the rules in the kernel's own spelling. The host's own tables are neither read nor changed.

    Where no namespace can be made, as in many containers, the same object comes back: unproven.

    :param sets: the block list of the family, as ``ipset restore`` reads it.
    :param others: chains of others that rules may lead into.
    :raises ParseError: iptables does not take a rule, which is quoted.
    """
    text = restore_text(ruleset, others)
    creates = "\n".join(line for line in sets.splitlines() if line.startswith("create "))
    own = {line.split()[1] for line in creates.splitlines()}
    argv = ("sh", "-c", _SCRIPT, "sh", backend.tool(family), creates, *sorted(_lists(text) - own))
    done = host.run(argv, stdin=text, check=False)
    if done.rc in (_NO_LIST, _NO_RULES):
        raise _refused(done, text, family)
    if done.rc != 0:
        return ruleset
    found = parse_save(done.out)
    return dataclasses.replace(
        ruleset, chains=tuple((chain, found.rules(chain)) for chain, _rules in ruleset.chains)
    )


def restore_text(ruleset: Ruleset, others: t.Iterable[str] = ()) -> str:
    """Return rules as ``iptables-restore`` reads them, with an empty chain for each one of others. Pure."""
    own = [chain for chain, _rules in ruleset.chains]
    rules = [f"-A {chain} {rule}" for chain, rules in ruleset.chains for rule in rules]
    led = {target_of(rule) for rule in rules} & set(others)
    led |= {jump.source for jump in ruleset.jumps} | set(ruleset.needs)
    jumps = [f"-A {jump.source} -j {jump.chain}" for jump in ruleset.jumps]
    # A chain that nothing leads to is not looked at as closely.
    hooks = [f"-A FORWARD -j {chain}" for chain in ruleset.needs]
    chains = [*own, *sorted(led - set(own) - set(BUILT_IN))]
    return "\n".join(
        ["*filter", *(f":{chain} - [0:0]" for chain in chains), *rules, *hooks, *jumps, "COMMIT", ""]
    )


def _lists(text: str) -> set[str]:
    return set(_LIST.findall(text))


def _refused(done: Completed, text: str, family: int) -> ParseError:
    said = " ".join(line for line in done.err.split("\n") if line and not line.startswith("Try `")).strip()
    rule = offending(said, text)
    return ParseError(
        f"iptables does not take the IPv{family} rules: {said}" + (f" The rule is: {rule}" if rule else ""),
        remedy="correct the rule; if it is none of extra_rules, this is a fault of the collection: please report it",
        rule=rule,
    )


def offending(said: str, text: str) -> str:
    """Return the rule that iptables-restore complains of; empty when it cannot be told. Pure."""
    lines = text.splitlines()
    number = _NUMBER.search(said)
    line = lines[int(number[1]) - 1] if number and 0 < int(number[1]) <= len(lines) else ""
    if line.startswith("-A "):
        return line
    # The nft tool may notice at the end only. It names what it misses.
    words = set(_QUOTED.findall(said))
    return next((rule for rule in lines if rule.startswith("-A ") and words & set(rule.split())), "")
