# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What roles declared and what the inventory says, merged into the zones and services of one policy. Pure."""

from __future__ import annotations

import itertools
import re
import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.hearth.gpu_host.plugins.plugin_utils import _networks

ANY, MANAGEMENT = "any", "mgmt"
EVERYWHERE = ("0.0.0.0/0", "::/0")
NAME = re.compile(r"[a-z][a-z0-9_-]*")

Data = t.Mapping[str, t.Any]
Zones = dict[str, dict[str, t.Any]]


def policy(
    services: t.Sequence[Data],
    declared: t.Sequence[Data] = (),
    zones: Data | None = None,
    management: t.Sequence[str] = (),
) -> dict[str, t.Any]:
    """Return ``zones``, ``services`` and ``management`` as the module takes them, and the ``owners`` of services.

    A service of the inventory that has the name of a declared one is laid over it, key by key. One that has no ports
    then is only named in ``unused``: the role that would declare it is not on this host.

    :raises AnsibleFilterError: a zone is unknown, an address is none; the message names who says so.
    """
    given = {str(name): _zone(str(name), zone) for name, zone in (zones or {}).items()}
    managing = [_place(entry, {ANY, *given}, "firewall_management") for entry in management]
    known = _with_management(given, managing)
    found, owners = _declared(declared, {ANY, *known})
    for service in services:
        name = str(service.get("name") or "")
        found[name] = {**found.get(name, {}), **_service(service, {ANY, *known})}
    used = [name for name in sorted(found) if found[name].get("ports")]
    return {
        "zones": known,
        "services": [found[name] for name in used],
        "management": managing,
        "owners": {name: owners.get(name, []) for name in used},
        "unused": sorted(set(found) - set(used)),
    }


def _zone(name: str, zone: t.Any) -> dict[str, t.Any]:
    if not isinstance(zone, t.Mapping):
        raise AnsibleFilterError(
            f"firewall_zones: {name} is {zone!r}. Remedy: give it sources, a list of networks, or interfaces."
        )
    where = f"firewall_zones: {name}"
    sources = {"sources": _networks.canonical(zone["sources"], where)} if zone.get("sources") else {}
    return {**zone, **sources}


def _with_management(zones: Zones, management: t.Sequence[str]) -> Zones:
    """Add the zone ``mgmt``: who manages the host, unless the inventory has a zone of that name."""
    if MANAGEMENT in zones or not management:
        return zones
    bound = [entry for entry in management if zones.get(entry, {}).get("interfaces")]
    if bound:
        raise AnsibleFilterError(
            f"firewall_management names the zone {bound[0]}, which is bound to interfaces, so that the zone"
            f" {MANAGEMENT} cannot be made of it. Remedy: define {MANAGEMENT} in firewall_zones."
        )
    sources = itertools.chain.from_iterable(_sources(entry, zones) for entry in management)
    return {**zones, MANAGEMENT: {"sources": list(dict.fromkeys(sources))}}


def _sources(entry: str, zones: Zones) -> t.Iterable[str]:
    if entry in zones:
        return [str(source) for source in zones[entry].get("sources") or ()]
    return EVERYWHERE if entry == ANY else [entry]


def _place(entry: t.Any, zones: t.Collection[str], where: str, instead: str = "") -> str:
    """Return a zone's name, or a network in its canonical form.

    :param instead: what else could be mended, for the message.
    """
    text = str(entry)
    if text in zones:
        return text
    if NAME.fullmatch(text):
        missing = "set firewall_management" if text == MANAGEMENT else "add it to firewall_zones"
        raise AnsibleFilterError(
            f"{where} names the zone {text!r}, which this host does not have. Remedy: {missing}"
            f"{f', or {instead}' if instead else ''}. Zones of this host: {', '.join(sorted(zones))}."
        )
    return _networks.network(text, where)


def _service(service: Data, zones: t.Collection[str]) -> dict[str, t.Any]:
    where = f"firewall_services: {service.get('name') or 'an item without a name'}"
    if not service.get("name"):
        raise AnsibleFilterError(f"{where}: {dict(service)!r}. Remedy: give it a name, such as ssh.")
    if "zones" not in service:
        return dict(service)
    if isinstance(service["zones"], str) or not isinstance(service["zones"], t.Sequence):
        raise AnsibleFilterError(
            f"{where}: zones is {service['zones']!r}. Remedy: give a list of zones or networks."
        )
    return {**service, "zones": [_place(entry, zones, where) for entry in service["zones"]]}


def _declared(
    declared: t.Sequence[Data], zones: t.Collection[str]
) -> tuple[dict[str, dict[str, t.Any]], dict[str, list[str]]]:
    """Return the services that roles declared, by name, and who declared them.

    Ports of one name that are open to the same zones are one service.
    """
    sources: dict[tuple[str, str], set[str]] = {}
    owners: dict[tuple[str, str], set[str]] = {}
    for port in declared:
        key = (str(port["name"]), f"{port['port']}/{port['proto']}")
        sources.setdefault(key, set()).add(_declared_place(port, zones))
        owners.setdefault(key, set()).update(port.get("owners") or ())
    services: dict[str, dict[str, t.Any]] = {}
    who: dict[str, list[str]] = {}
    for (name, places), keys in _together(sources):
        free = _free(name, services)
        services[free] = {"name": free, "ports": [port for _name, port in keys], "zones": list(places)}
        who[free] = sorted(set().union(*(owners[key] for key in keys)))
    return services, who


def _declared_place(port: Data, zones: t.Collection[str]) -> str:
    owners = " and ".join(port.get("owners") or ()) or "a role"
    where = f"The port {port['name']} ({port['port']}/{port['proto']}), declared by {owners},"
    return _place(port["from"], zones, where, f"let {owners} declare another one")


def _together(
    sources: t.Mapping[tuple[str, str], set[str]],
) -> t.Iterator[tuple[tuple[str, tuple[str, ...]], list[tuple[str, str]]]]:
    """Group ports by their service's name and the places they are open to."""
    groups: dict[tuple[str, tuple[str, ...]], list[tuple[str, str]]] = {}
    for key in sorted(sources, key=_by_number):
        groups.setdefault((key[0], tuple(sorted(sources[key]))), []).append(key)
    yield from sorted(groups.items())


def _by_number(key: tuple[str, str]) -> tuple[str, int, str]:
    name, port = key
    return name, int(re.split("[-/]", port)[0]), port


def _free(name: str, taken: t.Container[str]) -> str:
    """Return the name, or the name with the first number that makes it a new one."""
    names = itertools.chain([name], (f"{name[:59]}-{number}" for number in itertools.count(2)))
    return next(candidate for candidate in names if candidate not in taken)
