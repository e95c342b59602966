# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Put rules together in the order and the spelling of ``iptables-save``. Pure."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import BLOCK_SETS
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import (
    Limit,
    Log,
    Policy,
    Ports,
    Service,
    Zone,
)

MOST_PORTS = 15
"""What the match ``multiport`` takes; a range counts twice."""
DEFAULT_BURST = 5
"""The burst of ``limit`` that ``iptables-save`` does not print; it prints every burst of ``hashlimit``."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def rule(*matches: str, note: str, to: str) -> str:
    """Return a rule; ``note`` is the service's name, ``to`` the target with its options."""
    return " ".join([*filter(None, matches), f'-m comment --comment "hearth:{note}"', f"-j {to}"])


def sources(zones: t.Iterable[Zone], family: int) -> t.Iterator[str]:
    """Yield the words that match one of the zones, one text a rule."""
    for zone in zones:
        yield from zone.selectors(family)


def all_ports(every: t.Iterable[Ports]) -> t.Iterator[str]:
    """Yield the words that match the ports of several protocols, one text a rule."""
    for ports in every:
        yield from port_matches(ports)


def port_matches(ports: Ports) -> t.Iterator[str]:
    """Yield the words that match the ports, one text a rule: no more than ``multiport`` takes."""
    if not ports.ranges:
        yield f"-p {ports.proto}"
    for chunk in _chunks(ports.ranges):
        if len(chunk) == 1:
            yield f"-p {ports.proto} -m {ports.proto} --dport {span(*chunk[0])}"
        else:
            yield f"-p {ports.proto} -m multiport --dports {','.join(span(*item) for item in chunk)}"


def _chunks(ranges: tuple[tuple[int, int], ...]) -> t.Iterator[list[tuple[int, int]]]:
    chunk: list[tuple[int, int]] = []
    size = 0
    for low, high in ranges:
        weight = 1 if low == high else 2
        if size + weight > MOST_PORTS:
            yield chunk
            chunk, size = [], 0
        chunk.append((low, high))
        size += weight
    if chunk:
        yield chunk


def span(low: int, high: int) -> str:
    """Spell a port or a range of ports."""
    return str(low) if low == high else f"{low}:{high}"


def above(service: Service, family: int) -> str:
    """Return the words that match a source which comes more often than it may.

    The rate is part of the table's name: the kernel finds a table by its name while the old rule still holds it, and
    would go on with the old rate. An IPv6 host owns its whole /64, so that is what is counted.
    """
    limit = service.limit
    if limit is None:
        return ""
    return " ".join(
        filter(
            None,
            (
                f"-m hashlimit --hashlimit-above {limit.rate} --hashlimit-burst {limit.burst}",
                "--hashlimit-mode srcip",
                f"--hashlimit-name hearth-{service.name}-{limit.rate.replace('/', '-')}-{limit.burst}",
                "--hashlimit-srcmask 64" if family == 6 else "",
            ),
        )
    )


def within(limit: Limit) -> str:
    """Return the words that match no more packets than the limit."""
    burst = "" if limit.burst == DEFAULT_BURST else f" --limit-burst {limit.burst}"
    return f"-m limit --limit {limit.rate}{burst}"


def blocked(policy: Policy, family: int) -> tuple[str, ...]:
    """Return the rule that drops the block list, if the family has one."""
    if not policy.blocklist.of(family):
        return ()
    return (rule(f"-m set --match-set {BLOCK_SETS[family]} src", note="blocklist", to="DROP"),)


def logged(log: Log | None) -> tuple[str, ...]:
    """Return the rule that logs what the next rule drops."""
    if log is None:
        return ()
    prefix = log.prefix if _PLAIN.fullmatch(log.prefix) else f'"{log.prefix}"'
    to = f"LOG --log-prefix {prefix}" if log.prefix else "LOG"
    return (rule(within(log.limit), note="log", to=to),)
