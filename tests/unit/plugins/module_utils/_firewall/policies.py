# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random policies for properties: as options of the module, and parsed."""

from __future__ import annotations

import ipaddress
import typing as t

from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.names import PORTLESS, SERVICES
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy import parse_policy
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import Policy

Options = dict[str, t.Any]

INTERFACES = ("eno1", "eno2", "storage0", "br-ex", "bond0.40")
ZONES = ("mgmt", "cluster", "lan", "guests-x")
# What a kernel of a lab can load: DCCP is left out of many.
PROTOCOLS = ("tcp", "udp", "sctp")


def _spelled(family: int) -> t.Callable[[tuple[int, int]], str]:
    kind = ipaddress.IPv4Network if family == 4 else ipaddress.IPv6Network

    def spell(drawn: tuple[int, int]) -> str:
        return str(kind(drawn, strict=False))

    return spell


networks4 = st.tuples(st.integers(0x0B000000, 0xDFFFFFFF), st.integers(8, 32)).map(_spelled(4))
# Global unicast: nobody's zone is loopback, link local, or IPv4 in disguise.
networks6 = st.tuples(st.integers(0x2000 << 112, (0x4000 << 112) - 1), st.integers(16, 128)).map(_spelled(6))
networks = st.one_of(networks4, networks6)
interfaces = st.sampled_from(INTERFACES)
names = st.from_regex(r"[a-z][a-z0-9.-]{0,14}", fullmatch=True)


@st.composite
def port_words(draw: st.DrawFn) -> str:
    """Return a port, a range, or a protocol."""
    low = draw(st.integers(1, 65535))
    high = draw(st.one_of(st.just(low), st.integers(low, 65535)))
    proto = draw(st.sampled_from(PROTOCOLS))
    return f"{low}/{proto}" if low == high else f"{low}-{high}/{proto}"


ports = st.lists(
    st.one_of(port_words(), st.sampled_from(sorted(set(SERVICES) - set(PORTLESS)))), min_size=1, max_size=24
)
rates = st.fixed_dictionaries(
    {
        "new": st.sampled_from(
            ("1/second", "10/minute", "7/minute", "60/minute", "13/hour", "600/hour", "90/day")
        ),
        "burst": st.integers(1, 25),
    }
)


def _maybe(strategy: st.SearchStrategy[t.Any]) -> st.SearchStrategy[t.Any]:
    return st.one_of(st.none(), strategy)


zones = st.dictionaries(
    st.sampled_from(ZONES),
    st.one_of(
        st.fixed_dictionaries({"sources": st.lists(networks, min_size=1, max_size=4)}),
        st.fixed_dictionaries({"interfaces": st.lists(interfaces, min_size=1, max_size=2)}),
        st.fixed_dictionaries(
            {
                "sources": st.lists(networks, min_size=1, max_size=3),
                "interfaces": st.lists(interfaces, min_size=1, max_size=2),
            }
        ),
    ),
)


@st.composite
def services(draw: st.DrawFn, known: t.Sequence[str]) -> list[Options]:
    """Return services that use the zones of ``known``, networks, or everyone."""
    found = []
    for name in draw(st.lists(names, unique=True, max_size=5)):
        docker = draw(st.booleans())
        portless = st.sampled_from(PORTLESS).map(lambda proto: [proto])
        found.append(
            {
                "name": name,
                "ports": draw(ports if docker else st.one_of(ports, portless)),
                "zones": draw(
                    _maybe(st.lists(st.one_of(st.sampled_from(["any", *known]), networks), max_size=4))
                ),
                "rate_limit": draw(_maybe(rates)),
                "published_by": "docker" if docker else None,
            }
        )
    return found


@st.composite
def options(draw: st.DrawFn) -> Options:
    """Return the options of a policy that is accepted. Raw rules are left out: their spelling is the user's."""
    declared = draw(zones)
    known = sorted(declared)
    default_input = draw(st.sampled_from(("drop", "reject", "accept")))
    return {
        "families": draw(st.sampled_from((["ipv4", "ipv6"], ["ipv4"], ["ipv6"]))),
        "default_input": default_input,
        "input_policy": draw(
            st.sampled_from(("leave", "accept") if default_input == "accept" else ("leave", "accept", "drop"))
        ),
        "default_forward": draw(st.sampled_from(("leave", "drop"))),
        "zones": declared,
        "services": draw(services(known)),
        "management": draw(st.lists(st.one_of(st.sampled_from(["any", *known]), networks), max_size=3)),
        "management_ports": draw(
            st.sampled_from((["22/tcp"], ["ssh", "2222/tcp"], ["22/tcp", "60000-61000/udp"]))
        ),
        "guest_networks": draw(st.lists(st.sampled_from(("virbr+", "virbr0", "lab-br+")), max_size=2)),
        "blocklist": {"sources": draw(st.lists(networks, max_size=5))},
        "anti_spoof": {
            "interfaces": draw(
                st.dictionaries(interfaces, st.lists(networks, min_size=1, max_size=3), max_size=2)
            )
        },
        "log": draw(
            _maybe(
                st.fixed_dictionaries(
                    {
                        "prefix": st.sampled_from(("hearth-drop: ", "drop", "a.b ", "")),
                        "limit": st.sampled_from(("5/minute", "1/second", "120/minute", "100/day")),
                        "burst": st.sampled_from((1, 5, 10)),
                    }
                )
            )
        ),
        "essential_icmp": draw(st.booleans()),
    }


def policies() -> st.SearchStrategy[Policy]:
    """Return random policies."""
    return options().map(parse_policy)
