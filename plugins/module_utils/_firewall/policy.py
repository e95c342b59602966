# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Read the policy out of the options of the module; refuse by name what cannot be meant. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall import words
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.extra import extra_rule
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import (
    ACCEPT,
    ANY,
    AT_FORWARD,
    DROP,
    EVERYONE,
    FAMILY_NAMES,
    LEAVE,
    REJECT,
    ExtraRule,
    Limit,
    Log,
    Networks,
    Policy,
    Ports,
    Service,
    Zone,
)

Given = t.Mapping[str, t.Any]
Zones = t.Mapping[str, Zone]
DOCKER_PUBLISHES = "docker"


def parse_policy(params: Given) -> Policy:
    """Return the policy of the options; options that are not about the policy are not looked at.

    :raises ParseError: a word is none that iptables keeps as it is; the message names the option and the right word.
    :raises Contradiction: two options exclude each other.
    """
    zones = _zones(params.get("zones") or {})
    policy = Policy(
        families=_families(params.get("families")),
        default_input=_choice(params, "default_input", (DROP, REJECT, ACCEPT)),
        input_policy=_choice(params, "input_policy", (LEAVE, ACCEPT, DROP)),
        default_forward=_choice(params, "default_forward", (LEAVE, DROP)),
        zones=tuple(zone for key, zone in sorted(zones.items()) if zone is not ANY),
        services=_services(_list(params, "services"), zones),
        management=_resolved("management", _list(params, "management"), zones),
        management_ports=words.ports("management_ports", _list(params, "management_ports", ["22/tcp"])),
        guest_networks=_guests(_list(params, "guest_networks")),
        blocklist=_blocklist(_dict("blocklist", params.get("blocklist"), ("sources",))),
        anti_spoof=_anti_spoof(_dict("anti_spoof", params.get("anti_spoof"), ("interfaces",))),
        log=_log(params.get("log")),
        essential_icmp=params.get("essential_icmp") is not False,
        extra_rules=_extra_rules(_list(params, "extra_rules")),
    )
    _agree(policy)
    return policy


def _agree(policy: Policy) -> None:
    if policy.default_input == ACCEPT and policy.input_policy == DROP:
        raise Contradiction(
            "default_input is accept and input_policy is drop: what the one lets through, the other drops.",
            remedy="set default_input: drop, or leave input_policy alone",
        )
    if policy.default_forward == LEAVE and any(rule.where == AT_FORWARD for rule in policy.extra_rules):
        raise Contradiction(
            "extra_rules has a rule for forward, and default_forward is leave: FORWARD is not managed.",
            remedy="set default_forward: drop, or put the rule to 'docker'",
        )


def _choice(params: Given, option: str, choices: tuple[str, ...]) -> str:
    value = params.get(option)
    if value is None:
        return choices[0]
    if value not in choices:
        raise words.wrong(option, f"{value!r} is not possible", f"use one of {', '.join(choices)}")
    return str(value)


def _list(given: Given, option: str, default: t.Sequence[t.Any] = (), parent: str = "") -> t.Sequence[t.Any]:
    value = given.get(option)
    if value is None:
        return default
    if not isinstance(value, (list, tuple)):
        raise words.wrong(f"{parent}{option}", f"{value!r} is no list", "give a list")
    return value


def _dict(where: str, value: t.Any, keys: tuple[str, ...]) -> Given:
    """Narrow a mapping; options that were left out are None after Ansible has read them, or absent."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise words.wrong(where, f"{value!r} is no mapping", f"it takes {', '.join(keys)}")
    unknown = sorted(str(key) for key in value if key not in keys)
    if unknown:
        raise words.wrong(where, f"unknown: {', '.join(unknown)}", f"it takes {', '.join(keys)}")
    return value


def _families(given: t.Any) -> tuple[int, ...]:
    names = list(FAMILY_NAMES) if given is None else given
    if not isinstance(names, (list, tuple)) or not names or not set(names) <= set(FAMILY_NAMES):
        raise words.wrong(
            "families",
            f"{given!r} is not possible",
            "use ipv4, ipv6 or both; state: absent takes the firewall away",
        )
    return tuple(sorted({FAMILY_NAMES[name] for name in names}))


def _zones(given: t.Any) -> Zones:
    if not isinstance(given, dict):
        raise words.wrong("zones", f"{given!r} is no mapping", "give each zone by its name")
    zones = {ANY.name: ANY}
    for key, value in given.items():
        where = f"zones.{key}"
        if key == ANY.name:
            raise words.wrong(where, "this zone always exists and is everyone", "use another name")
        zones[words.zone_name(where, key)] = _zone(where, key, _dict(where, value, ("sources", "interfaces")))
    return zones


def _zone(where: str, key: str, given: Given) -> Zone:
    sources = _list(given, "sources", parent=f"{where}.")
    interfaces = _list(given, "interfaces", parent=f"{where}.")
    if not sources and not interfaces:
        raise words.wrong(where, "it has no source and no interface", "give one, or remove the zone")
    if not sources and given.get("sources") is not None:
        # A list computed from an inventory group that turned out empty must not open the interface to everyone.
        raise words.wrong(
            where, "its list of sources is empty", "leave sources out when the interface alone decides"
        )
    return Zone(
        key,
        words.networks(f"{where}.sources", sources) if sources else None,
        tuple(sorted({words.interface(f"{where}.interfaces", item) for item in interfaces})),
    )


def _resolved(where: str, given: t.Sequence[t.Any], zones: Zones) -> tuple[Zone, ...]:
    """Return the zones that are named, and one zone of all networks that stand beside them."""
    found = {}
    loose = []
    for item in given:
        if not words.is_zone_name(item):
            loose.append(item)
        elif item not in zones:
            raise words.wrong(
                where,
                f"there is no zone {item!r}",
                f"declare it in zones, or use one of {', '.join(sorted(zones))}, or a network",
            )
        else:
            found[item] = zones[item]
    if ANY.name in found:
        return (ANY,)
    if loose:
        found[""] = Zone("", words.networks(where, loose))
    return tuple(zone for _name, zone in sorted(found.items()))


def _services(given: t.Sequence[t.Any], zones: Zones) -> tuple[Service, ...]:
    services: dict[str, Service] = {}
    for index, item in enumerate(given):
        service = _service(f"services[{index}]", item, zones)
        if service.name in services:
            raise words.wrong(
                f"services[{index}]",
                f"there are two services with the name {service.name!r}",
                "give each a name of its own, or put ports and zones into one",
            )
        services[service.name] = service
    return tuple(service for _name, service in sorted(services.items()))


def _service(where: str, item: t.Any, zones: Zones) -> Service:
    given = _dict(where, item, ("name", "ports", "zones", "rate_limit", "published_by"))
    name = words.name(f"{where}.name", given.get("name"))
    where = f"{where} ({name})"
    ports = words.ports(f"{where}.ports", _list(given, "ports", parent=f"{where}."))
    if not ports:
        raise words.wrong(f"{where}.ports", "the list is empty", "give a port, or remove the service")
    return Service(
        name,
        ports,
        _resolved(f"{where}.zones", _list(given, "zones", [ANY.name], f"{where}."), zones),
        _rate_limit(f"{where}.rate_limit", given.get("rate_limit")),
        _published(where, given.get("published_by"), ports),
    )


def _rate_limit(where: str, given: t.Any) -> Limit | None:
    if given is None:
        return None
    keys = _dict(where, given, ("new", "burst"))
    return words.limit(
        f"{where}.new", _or(keys.get("new"), "10/minute"), _or(keys.get("burst"), 20), words.HASHLIMIT_SCALE
    )


def _or(value: t.Any, default: t.Any) -> t.Any:
    return default if value is None else value


def _published(where: str, value: t.Any, ports: tuple[Ports, ...]) -> bool:
    if value is None:
        return False
    if value != DOCKER_PUBLISHES:
        raise words.wrong(f"{where}.published_by", f"{value!r} is not known", "docker is the only publisher")
    for port in ports:
        if not port.ranges:
            raise words.wrong(f"{where}.ports", f"Docker publishes no {port.proto}", "publish ports only")
    return True


def _guests(given: t.Sequence[t.Any]) -> tuple[str, ...]:
    return tuple(sorted({words.interface("guest_networks", item, pattern=True) for item in given}))


def _blocklist(given: Given) -> Networks:
    found = words.networks("blocklist.sources", _list(given, "sources", parent="blocklist."))
    for family in FAMILY_NAMES.values():
        if EVERYONE[family] in found.of(family):
            raise words.wrong(
                "blocklist.sources", f"{EVERYONE[family]} blocks everyone", "give smaller networks"
            )
    return found


def _anti_spoof(given: Given) -> tuple[tuple[str, Networks], ...]:
    interfaces = given.get("interfaces") or {}
    if not isinstance(interfaces, dict):
        raise words.wrong(
            "anti_spoof.interfaces", f"{interfaces!r} is no mapping", "give networks by interface"
        )
    found = []
    for key, sources in sorted(interfaces.items()):
        where = f"anti_spoof.interfaces.{key}"
        if not isinstance(sources, (list, tuple)) or not sources:
            raise words.wrong(where, "no network may use this interface", "list the networks behind it")
        found.append((words.interface(where, key), words.networks(where, sources)))
    return tuple(found)


def _log(given: t.Any) -> Log | None:
    keys = _dict("log", given, ("drops", "prefix", "limit", "burst"))
    if given is None or keys.get("drops") is False:
        return None
    return Log(
        words.text("log.prefix", _or(keys.get("prefix"), "hearth-drop: "), words.LOG_PREFIX_LENGTH),
        words.limit(
            "log.limit", _or(keys.get("limit"), "5/minute"), _or(keys.get("burst"), 10), words.LIMIT_SCALE
        ),
    )


def _extra_rules(given: t.Sequence[t.Any]) -> tuple[ExtraRule, ...]:
    return tuple(
        extra_rule(
            f"extra_rules[{index}]",
            _dict(f"extra_rules[{index}]", item, ("where", "families", "rule", "comment")),
        )
        for index, item in enumerate(given)
    )
