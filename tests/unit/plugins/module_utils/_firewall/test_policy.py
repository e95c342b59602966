# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import policies
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction, ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy import parse_policy
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import (
    ANY,
    ExtraRule,
    Limit,
    Log,
    Networks,
    Policy,
    Ports,
    Service,
    Zone,
)

SSH = (Ports("tcp", ((22, 22),)),)
LAN = Zone("lan", Networks(("192.0.2.0/24",), ("2001:db8::/64",)))
LAN_OPTIONS = {"lan": {"sources": ["192.0.2.0/24", "2001:db8::/64"]}}


def service(**options: t.Any) -> dict[str, t.Any]:
    return {"name": "web", "ports": ["80/tcp"], **options}


def web(**fields: t.Any) -> Policy:
    return Policy(
        management_ports=SSH, services=(Service("web", (Ports("tcp", ((80, 80),)),), **fields),), zones=(LAN,)
    )


# options, the policy
GOOD: list[tuple[dict[str, t.Any], Policy]] = [
    ({}, Policy(management_ports=SSH)),
    # What Ansible makes of options that were left out, and options of the module that are no policy.
    (
        dict.fromkeys(
            ["families", "zones", "services", "management", "log", "blocklist", "anti_spoof", "state"]
        ),
        Policy(management_ports=SSH),
    ),
    ({"families": ["ipv6", "ipv6"]}, Policy(families=(6,), management_ports=SSH)),
    ({"zones": LAN_OPTIONS, "services": [service()]}, web(zones=(ANY,))),
    ({"zones": LAN_OPTIONS, "services": [service(zones=None)]}, web(zones=(ANY,))),
    ({"zones": LAN_OPTIONS, "services": [service(zones=["lan"])]}, web(zones=(LAN,))),
    # Nobody at all, which is not the same as everybody.
    ({"zones": LAN_OPTIONS, "services": [service(zones=[])]}, web(zones=())),
    ({"zones": LAN_OPTIONS, "services": [service(zones=["any", "lan", "192.0.2.1"])]}, web(zones=(ANY,))),
    (
        {
            "zones": LAN_OPTIONS,
            "services": [service(zones=["203.0.113.9", "lan", "2001:db8:1::1", "203.0.113.8"])],
        },
        web(zones=(Zone("", Networks(("203.0.113.8/31",), ("2001:db8:1::1/128",))), LAN)),
    ),
    ({"zones": LAN_OPTIONS, "services": [service(rate_limit={})]}, web(limit=Limit("10/min", 20))),
    (
        {"zones": LAN_OPTIONS, "services": [service(rate_limit={"new": "1/s", "burst": 3})]},
        web(limit=Limit("1/sec", 3)),
    ),
    ({"zones": LAN_OPTIONS, "services": [service(published_by="docker")]}, web(published=True)),
    (
        {
            "zones": {
                "lab": {"interfaces": ["eno2", "eno1", "eno2"]},
                "both": {"sources": ["192.0.2.1"], "interfaces": ["eno1"]},
            }
        },
        Policy(
            management_ports=SSH,
            zones=(
                Zone("both", Networks(("192.0.2.1/32",)), ("eno1",)),
                Zone("lab", None, ("eno1", "eno2")),
            ),
        ),
    ),
    (
        {"management": ["lan"], "management_ports": ["2222/tcp", "ssh"], "zones": LAN_OPTIONS},
        Policy(management=(LAN,), management_ports=(Ports("tcp", ((22, 22), (2222, 2222))),), zones=(LAN,)),
    ),
    (
        {
            "guest_networks": ["virbr+", "lab0"],
            "blocklist": {"sources": ["203.0.113.0/24"]},
            "essential_icmp": False,
        },
        Policy(
            management_ports=SSH,
            guest_networks=("lab0", "virbr+"),
            blocklist=Networks(("203.0.113.0/24",)),
            essential_icmp=False,
        ),
    ),
    (
        {"anti_spoof": {"interfaces": {"eno1": ["192.0.2.0/24"]}}, "log": {}},
        Policy(
            management_ports=SSH,
            anti_spoof=(("eno1", Networks(("192.0.2.0/24",))),),
            log=Log("hearth-drop: ", Limit("5/min", 10)),
        ),
    ),
    (
        {"log": {"prefix": "", "limit": "1/second", "burst": 5}},
        Policy(management_ports=SSH, log=Log("", Limit("1/sec", 5))),
    ),
    ({"log": {"drops": False, "prefix": "x" * 40}}, Policy(management_ports=SSH)),
    (
        {"default_input": "reject", "input_policy": "drop", "default_forward": "drop"},
        Policy(management_ports=SSH, default_input="reject", input_policy="drop", default_forward="drop"),
    ),
    (
        {"extra_rules": [{"where": "input", "rule": "-j LOG", "comment": "x"}]},
        Policy(
            management_ports=SSH,
            extra_rules=(ExtraRule("input", (4, 6), '-m comment --comment "hearth:x" -j LOG'),),
        ),
    ),
]

# options, the option that the message names, what else it says
BAD: list[tuple[dict[str, t.Any], str, str]] = [
    ({"families": []}, "families", "state: absent"),
    ({"families": ["ipv5"]}, "families", "use ipv4, ipv6 or both"),
    ({"families": "ipv4"}, "families", "use ipv4, ipv6 or both"),
    ({"default_input": "deny"}, "default_input", "use one of drop, reject, accept"),
    ({"input_policy": "reject"}, "input_policy", "use one of leave, accept, drop"),
    ({"default_forward": "accept"}, "default_forward", "use one of leave, drop"),
    ({"zones": ["lan"]}, "zones", "is no mapping"),
    ({"zones": {"lan": ["192.0.2.0/24"]}}, "zones.lan", "it takes sources, interfaces"),
    ({"zones": {"lan": {"source": ["192.0.2.0/24"]}}}, "zones.lan", "unknown: source"),
    ({"zones": {"lan": {}}}, "zones.lan", "no source and no interface"),
    ({"zones": {"lan": None}}, "zones.lan", "no source and no interface"),
    ({"zones": {"lan": {"sources": [], "interfaces": []}}}, "zones.lan", "no source and no interface"),
    (
        {"zones": {"lan": {"sources": [], "interfaces": ["eno1"]}}},
        "zones.lan",
        "its list of sources is empty",
    ),
    ({"zones": {"lan": {"sources": "192.0.2.0/24"}}}, "zones.lan.sources", "is no list"),
    ({"zones": {"lan": {"sources": ["192.0.2.1/24"]}}}, "zones.lan.sources", "write 192.0.2.0/24"),
    (
        {"zones": {"lan": {"interfaces": ["virbr+"]}}},
        "zones.lan.interfaces",
        "patterns with + are not taken here",
    ),
    ({"zones": {"any": {"sources": ["192.0.2.0/24"]}}}, "zones.any", "always exists"),
    ({"zones": {"Lan": {"sources": ["192.0.2.0/24"]}}}, "zones.Lan", "is no name of a zone"),
    ({"services": "ssh"}, "services", "is no list"),
    ({"services": ["ssh"]}, "services[0]", "it takes name, ports"),
    ({"services": [service(port="80/tcp")]}, "services[0]", "unknown: port"),
    ({"services": [{"ports": ["80/tcp"]}]}, "services[0].name", "is no name of a service"),
    ({"services": [{"name": "web"}]}, "services[0] (web).ports", "the list is empty"),
    ({"services": [service(ports=[])]}, "services[0] (web).ports", "the list is empty"),
    ({"services": [service(ports="80/tcp")]}, "services[0] (web).ports", "is no list"),
    ({"services": [service(ports=["80"])]}, "services[0] (web).ports", "write 22/tcp"),
    ({"services": [service(zones=["dmz"])]}, "services[0] (web).zones", "there is no zone 'dmz'"),
    (
        {"services": [service(zones=["host.example.org"])]},
        "services[0] (web).zones",
        "names are not looked up",
    ),
    ({"services": [service(zones="lan")]}, "services[0] (web).zones", "is no list"),
    ({"services": [service(), service()]}, "services[1]", "two services with the name 'web'"),
    ({"services": [service(rate_limit="10/minute")]}, "services[0] (web).rate_limit", "it takes new, burst"),
    (
        {"services": [service(rate_limit={"new": "much"})]},
        "services[0] (web).rate_limit.new",
        "write 10/minute",
    ),
    ({"services": [service(published_by="podman")]}, "services[0] (web).published_by", "only publisher"),
    (
        {"services": [service(ports=["gre"], published_by="docker")]},
        "services[0] (web).ports",
        "Docker publishes no gre",
    ),
    ({"management": ["admins"]}, "management", "there is no zone 'admins'"),
    ({"management": ["192.0.2.9/24"]}, "management", "write 192.0.2.0/24"),
    ({"management_ports": ["22"]}, "management_ports", "write 22/tcp"),
    ({"guest_networks": ["+"]}, "guest_networks", "is no name of an interface"),
    ({"blocklist": {"sources": ["0.0.0.0/0"]}}, "blocklist.sources", "blocks everyone"),
    ({"blocklist": {"sources": ["8000::/1", "::/1"]}}, "blocklist.sources", "blocks everyone"),
    ({"blocklist": {"ipset": "x"}}, "blocklist", "unknown: ipset"),
    ({"blocklist": {"sources": "192.0.2.1"}}, "blocklist.sources", "is no list"),
    ({"anti_spoof": {"rpfilter": True}}, "anti_spoof", "unknown: rpfilter"),
    ({"anti_spoof": {"interfaces": ["eno1"]}}, "anti_spoof.interfaces", "is no mapping"),
    ({"anti_spoof": {"interfaces": {"eno1": []}}}, "anti_spoof.interfaces.eno1", "no network may use"),
    (
        {"anti_spoof": {"interfaces": {"eno1": "192.0.2.0/24"}}},
        "anti_spoof.interfaces.eno1",
        "list the networks",
    ),
    ({"anti_spoof": {"interfaces": {"eno+": ["192.0.2.0/24"]}}}, "anti_spoof.interfaces.eno+", "patterns"),
    ({"log": {"prefix": "x" * 30}}, "log.prefix", "cuts it silently after 29"),
    ({"log": {"limit": "1/day"}}, "log.limit", "overflows"),
    ({"extra_rules": ["-j DROP"]}, "extra_rules[0]", "it takes where, families, rule, comment"),
    ({"extra_rules": [{"where": "input", "rule": "-j DROP", "raw": True}]}, "extra_rules[0]", "unknown: raw"),
]


@pytest.mark.parametrize(("options", "policy"), GOOD)
def test_options_become_a_policy(options, policy):
    assert parse_policy(options) == policy


@pytest.mark.parametrize(("options", "where", "said"), BAD)
def test_what_cannot_be_meant_is_refused_by_the_name_of_the_option(options, where, said):
    with pytest.raises(ParseError) as caught:
        parse_policy({"zones": LAN_OPTIONS, **options})
    assert caught.value.message.startswith(f"{where}: ")
    assert caught.value.remedy
    assert said in caught.value.as_result()["msg"]


def test_a_default_that_accepts_what_the_policy_drops_is_a_contradiction():
    with pytest.raises(Contradiction, match="default_input is accept and input_policy is drop"):
        parse_policy({"default_input": "accept", "input_policy": "drop"})


def test_a_raw_rule_for_forward_without_management_of_forward_is_a_contradiction():
    rules = [{"where": "forward", "rule": "-j ACCEPT"}]
    with pytest.raises(Contradiction, match="FORWARD is not managed"):
        parse_policy({"extra_rules": rules})
    assert parse_policy({"extra_rules": rules, "default_forward": "drop"}).extra_rules


@given(policies.options(), st.randoms(use_true_random=False))
def test_the_order_in_which_things_are_said_does_not_matter(options, random):
    shuffled = dict(options)
    for key in ("services", "management", "guest_networks"):
        shuffled[key] = random.sample(options[key], len(options[key]))
    zones = list(options["zones"].items())
    shuffled["zones"] = dict(random.sample(zones, len(zones)))
    assert parse_policy(shuffled) == parse_policy(options)
