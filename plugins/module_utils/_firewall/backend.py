# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Which of the two kernel back ends the iptables tools of a host speak to, and whether the other one has rules, too.

Nothing here makes a table: asking the legacy tool for one that is not there makes it, and from then on the nft tool
warns of it for ever.
"""

from __future__ import annotations

import dataclasses
import re

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError, Contradiction
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import FAMILIES, Table
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import is_ours, target_of
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

AUTO, NFT, LEGACY = "auto", "nft", "legacy"
NAMES = {4: "/proc/net/ip_tables_names", 6: "/proc/net/ip6_tables_names"}
"""Which tables the legacy back end has; the file is missing where the kernel does not have it at all."""

_VERSIONS = 'for tool; do "$tool" --version || exit; done'
_VERSION = re.compile(r"\S+ v([0-9.]+)(?: \((nf_tables|legacy)\))?$")


@dataclasses.dataclass(frozen=True)
class Backend:
    """The tools for both families, without ``-save`` and ``-restore``, and what they speak to.

    ``other_has_rules`` says in words what the other back end holds that is not ours; the kernel asks both.
    """

    tool4: str
    tool6: str
    kind: str
    version: str = ""
    other_has_rules: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    def tool(self, family: int) -> str:
        """Return the tool of a family."""
        return self.tool4 if family == 4 else self.tool6


def backend_of(wish: str) -> Backend:
    """Return what the tools will be where they are not installed yet: today they come with nft. Pure."""
    suffix = "" if wish == AUTO else f"-{wish}"
    return Backend(f"iptables{suffix}", f"ip6tables{suffix}", LEGACY if wish == LEGACY else NFT)


def is_installed(host: Host) -> bool:
    """Tell whether the tools are there at all."""
    return any(host.exists(f"{folder}/iptables") for folder in ("/usr/sbin", "/sbin"))


def is_asked(raw: bool, table: Table) -> bool:
    """Tell whether the kernel is asked for its spelling even if nothing will be changed. Pure.

    It loads its modules for a rule, also for one in a namespace of its own, and they stay. So it is asked only about
    ``raw`` rules, whose spelling nobody else knows, and where it has rules of ours already.
    """
    return raw or any(is_ours(chain) for chain, _rules in table.chains)


def read_backend(host: Host, wish: str = AUTO) -> Backend:
    """Find out which tools to use.

    :param wish: ``auto`` for what the command iptables is, or ``nft`` or ``legacy``.
    :raises CommandError: there is no such tool.
    :raises Contradiction: iptables and ip6tables speak to different back ends.
    """
    wanted = backend_of(wish)
    tool4, tool6 = wanted.tool4, wanted.tool6
    said = host.run(("sh", "-c", _VERSIONS, "sh", tool4, tool6), check=False)
    if said.rc != 0:
        raise CommandError(
            f"{tool4} or {tool6} cannot be run: {said.err.strip() or f'status {said.rc}'}",
            remedy="install the package iptables, or set backend to auto",
        )
    version, kinds = parse_versions(said.out)
    if kinds[0] != kinds[1]:
        raise Contradiction(
            f"{tool4} speaks to the back end {kinds[0]}, and {tool6} to {kinds[1]}.",
            remedy=f"let both be the same: update-alternatives --set {tool6} /usr/sbin/{tool6}-{kinds[0]}",
        )
    return Backend(tool4, tool6, kinds[0], version, _other(host, kinds[0]))


def parse_versions(out: str) -> tuple[str, tuple[str, str]]:
    """Read what ``iptables --version`` and ``ip6tables --version`` printed: the version, and both back ends. Pure.

    :raises CommandError: it is no such thing.
    """
    found = [_VERSION.match(line) for line in out.splitlines()]
    if len(found) != 2 or found[0] is None or found[1] is None:
        raise CommandError(
            f"iptables --version and ip6tables --version print {out!r}.",
            remedy="run both by hand; two lines such as 'iptables v1.8.9 (nf_tables)' are expected",
        )
    # Before 1.8 there was the legacy one only, and nobody said so.
    kinds = [NFT if match[2] == "nf_tables" else LEGACY for match in found if match]
    return found[0][1], (kinds[0], kinds[1])


def _other(host: Host, kind: str) -> tuple[str, ...]:
    found: list[str] = []
    for family in FAMILIES:
        tool = "iptables" if family == 4 else "ip6tables"
        if kind == NFT:
            # Only what is there already is asked for.
            said = _saved(host, f"{tool}-legacy-save") if host.text(NAMES[family]) else ""
        else:
            said = _saved(host, f"{tool}-nft-save")
        found += (f"{tool}-{NFT if kind == LEGACY else LEGACY}: {line}" for line in foreign_rules(said))
    return tuple(found)


def _saved(host: Host, tool: str) -> str:
    """Return what the other back end has; a tool that is not installed, or has no kernel to ask, knows of nothing."""
    try:
        said = host.run((tool,), check=False)
    except CommandError:
        return ""
    return said.out if said.rc == 0 else ""


def _is_foreign(line: str, words: list[str]) -> bool:
    if words[:1] == ["-A"]:
        return not is_ours(words[1]) and not is_ours(target_of(line))
    return line.startswith(":") and words[1] not in ("ACCEPT", "-")


def foreign_rules(save: str) -> tuple[str, ...]:
    """Count what is not ours in the output of ``iptables-save``, a line of words for each table. Pure."""
    counts: dict[str, int] = {}
    table = ""
    for line in save.splitlines():
        words = line.split()
        if line.startswith("*"):
            table = line[1:].strip()
        elif _is_foreign(line, words):
            counts[table] = counts.get(table, 0) + 1
    return tuple(
        f"{count} rule{'s' if count > 1 else ''} or policies in the table {table}"
        for table, count in sorted(counts.items())
    )
