# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The round-trip time to the peers that the policy names. What cannot be measured stays unknown."""

from __future__ import annotations

import dataclasses
import re
import socket
import time
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import HearthError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    UNKNOWN,
    Finding,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

_PACKETS = 5
_PING_TIMEOUT_S = 8.0
_TCP_PORT = 22
_TCP_ATTEMPTS = 3
_TCP_TIMEOUT_S = 1.0
# iputils: "rtt min/avg/max/mdev = 0.03/0.04/0.05/0.01 ms"; busybox: "round-trip min/avg/max = ...".
_SUMMARY = re.compile(r"(?:rtt|round-trip) min/avg/max(?:/\w+)? = [0-9.]+/([0-9]+(?:\.[0-9]+)?)/")
IDS = {"network.peer_rtt": "The average round-trip time to each of `peers` is within its limit"}

Connect = t.Callable[[str], t.Optional[float]]


def checks(host: Host, policy: Policy) -> list[Finding]:
    """Measure the way to each peer."""
    measured = {address: rtt_us(host, address, tcp_seconds) for address, _limit in policy.peers}
    return [judge(policy.peers, measured)]


def parse_ping(output: str) -> int | None:
    """Return the average of ping's summary in microseconds. Pure."""
    match = _SUMMARY.search(output)
    return round(float(match.group(1)) * 1000) if match else None


def rtt_us(host: Host, address: str, connect: Connect) -> int | None:
    """Measure by ping; where that gives no number, by the time that a TCP handshake takes."""
    argv = ["ping", "-n", "-q", "-c", str(_PACKETS), "-i", "0.2", "-W", "1", address]
    try:
        average = parse_ping(host.run(argv, timeout_s=_PING_TIMEOUT_S, check=False).out)
    except HearthError:
        average = None
    if average is not None:
        return average
    seconds = connect(address)
    return None if seconds is None else round(seconds * 1_000_000)


def tcp_seconds(address: str) -> float | None:
    """Time TCP handshakes; a refused one is a round trip as well."""
    try:
        family, kind, protocol, _name, target = socket.getaddrinfo(
            address, _TCP_PORT, type=socket.SOCK_STREAM
        )[0]
    except OSError:
        return None
    times = []
    for _attempt in range(_TCP_ATTEMPTS):
        with socket.socket(family, kind, protocol) as connection:
            connection.settimeout(_TCP_TIMEOUT_S)
            started = time.perf_counter()
            try:
                connection.connect(target)
            except ConnectionRefusedError:
                pass
            except OSError:
                return None
            times.append(time.perf_counter() - started)
    return sorted(times)[_TCP_ATTEMPTS // 2]


def judge(peers: t.Sequence[tuple[str, int]], measured: t.Mapping[str, int | None]) -> Finding:
    """Compare the measured times with their limits. Pure."""
    finding = Finding(
        "network.peer_rtt",
        PASS,
        {f"{address}": measured.get(address) for address, _limit in peers},
        dict(peers),
        "ping, TCP handshake; microseconds",
    )
    if not peers:
        return dataclasses.replace(finding, status=NOT_APPLICABLE, why="No peer is named.")
    slow = [
        f"{address} takes {measured[address]} µs, at most {limit} µs are allowed"
        for address, limit in peers
        if (measured.get(address) or 0) > limit
    ]
    silent = [address for address, _limit in peers if measured.get(address) is None]
    if slow:
        return dataclasses.replace(
            finding,
            status=FAIL,
            why=f"Too far away: {'; '.join(slow)}.",
            hint="Check the path to the peer: link speed, switches between, offload and power-saving settings; or "
            "name a peer on the storage network's own segment.",
            fix="host",
        )
    if silent:
        return dataclasses.replace(
            finding,
            status=UNKNOWN,
            why=f"No answer from {', '.join(silent)}, neither to ping nor on TCP port {_TCP_PORT}.",
            hint="Check the address and the route, and that the peer answers ICMP echo.",
            fix="host",
        )
    return dataclasses.replace(finding, why="Every peer is within its limit.")
