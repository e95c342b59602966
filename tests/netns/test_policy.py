# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is rendered, on a real kernel: stored as it is written, and published ports and rates do what is said."""

from __future__ import annotations

import contextlib
import pathlib
import sys
import typing as t

import pytest
from hypothesis import HealthCheck, given, settings

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "unit/plugins/module_utils/_firewall"))

import policies
from conftest import Net, namespace

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import DOCKER, FAMILIES
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy import parse_policy
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import Policy
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.render import render, rescue, sets

Chains = t.Iterable[tuple[str, t.Sequence[str]]]

# A namespace is made once for all the examples: each of them begins by emptying it.
RANDOM = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def load(net: Net, family: int, chains: Chains) -> None:
    found = list(chains)
    lines = [f":{name} - [0:0]" for name, _rules in found]
    lines += [f"-A {name} {rule}" for name, rules in found for rule in rules]
    net.restore(family, "\n".join(["*filter", *lines, "COMMIT", ""]))


def stored(net: Net, family: int) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: dict[str, list[str]] = {}
    for line in net.save(family).splitlines():
        head, _blank, rest = line.partition(" ")
        if head.startswith(":HEARTH"):
            found[head[1:]] = []
        elif head == "-A":
            chain, _blank, rule = rest.partition(" ")
            found[chain].append(rule)
    return tuple((name, tuple(rules)) for name, rules in sorted(found.items()))


def empty(net: Net, family: int) -> None:
    net.run(f"{net.tool(family)}-restore", stdin="*filter\nCOMMIT\n")
    net.run("ipset", "destroy")


@RANDOM
@given(policy=policies.policies())
def test_rules_are_stored_as_they_are_rendered(net: Net, policy: Policy) -> None:
    for family in FAMILIES:
        for chains in (render(policy, family).chains, rescue(policy, family)):
            empty(net, family)
            text = sets(policy, family)
            net.run("ipset", "restore", stdin=text)
            load(net, family, chains)
            assert stored(net, family) == chains
            members = net.run("ipset", "save").out.splitlines()[1:]
            assert sorted(members) == sorted(text.splitlines()[1:])


class Wire:
    """A client, this host that publishes a port as Docker does, and a container."""

    def __init__(self, net: Net, client: int, container: int) -> None:
        self.net = net
        self.pids = {"client": client, "container": container}

    def inside(self, where: str, *argv: str, check: bool = True) -> int:
        return self.net.run("nsenter", f"--net=/proc/{self.pids[where]}/ns/net", *argv, check=check).rc

    def plug(self, where: str, network: str) -> None:
        """Connect one of them by a cable; the host has the address 1, the other 2."""
        self.net.run("ip", "link", "add", where, "type", "veth", "peer", "name", "up0")
        self.net.run("ip", "link", "set", "up0", "netns", str(self.pids[where]))
        self.net.run("ip", "address", "add", f"{network}.1/24", "dev", where)
        self.net.run("ip", "link", "set", where, "up")
        self.inside(where, "ip", "address", "add", f"{network}.2/24", "dev", "up0")
        self.inside(where, "ip", "link", "set", "up0", "up")
        self.inside(where, "ip", "link", "set", "lo", "up")
        self.inside(where, "ip", "route", "add", "default", "via", f"{network}.1")

    def reaches(self, address: str, port: int) -> bool:
        """Tell whether the client gets an answer, even a refusal, from behind the host."""
        probe = (
            "import errno, socket, sys; s = socket.socket(); s.settimeout(1);"
            f" sys.exit(s.connect_ex(({address!r}, {port})) not in (0, errno.ECONNREFUSED))"
        )
        return self.inside("client", "python3", "-c", probe, check=False) == 0


@pytest.fixture
def wire(net: Net) -> t.Iterator[Wire]:
    """Port 8188 of the host leads to port 80 of the container; nothing listens there, and the refusal comes back."""
    with contextlib.ExitStack() as stack:
        wire = Wire(net, stack.enter_context(namespace()), stack.enter_context(namespace()))
        wire.plug("client", "192.0.2")
        wire.plug("container", "203.0.113")
        net.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        dnat = "-p tcp -d 192.0.2.1 --dport 8188 -j DNAT --to-destination 203.0.113.2:80"
        net.iptables(4, "-t", "nat", "-A", "PREROUTING", *dnat.split())
        yield wire


def publish(net: Net, zones: list[str], **options: t.Any) -> None:
    service = {"name": "comfyui", "ports": ["8188/tcp"], "zones": zones, "published_by": "docker", **options}
    chains = dict(render(parse_policy({"services": [service]}), 4).chains)
    load(net, 4, [(DOCKER, chains[DOCKER])])
    if f"-A FORWARD -j {DOCKER}" not in net.save(4):
        net.iptables(4, "-A", "FORWARD", "-j", DOCKER)


def test_a_published_port_is_filtered_by_the_port_that_the_client_wrote(wire: Wire) -> None:
    """INPUT never sees it, and in FORWARD it has the port of the container already (pitfall 22)."""
    assert wire.reaches("192.0.2.1", 8188)
    publish(wire.net, ["198.51.100.0/24"])
    assert not wire.reaches("192.0.2.1", 8188)
    publish(wire.net, ["192.0.2.0/24"])
    assert wire.reaches("192.0.2.1", 8188)


def test_the_same_port_of_somebody_else_is_not_filtered(wire: Wire) -> None:
    publish(wire.net, [])
    assert not wire.reaches("192.0.2.1", 8188)
    assert wire.reaches("203.0.113.2", 8188)


def test_a_changed_rate_counts_from_the_moment_it_is_loaded(wire: Wire) -> None:
    """The kernel finds a table of rates by its name: with the old name it would keep the old rate."""
    publish(wire.net, ["any"], rate_limit={"new": "1/hour", "burst": 2})
    assert [wire.reaches("192.0.2.1", 8188) for _attempt in range(4)][-1] is False
    publish(wire.net, ["any"], rate_limit={"new": "100/second", "burst": 100})
    assert wire.reaches("192.0.2.1", 8188)
