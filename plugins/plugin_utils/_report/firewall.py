# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Who may reach what on a host: its services against the zones that packets come from."""

from __future__ import annotations

import collections
import dataclasses
import typing as t

Data = t.Mapping[str, t.Any]

ANY, MANAGEMENT = "any", "mgmt"
NETWORKS = "networks"
"""The column of networks that are named without being in a zone."""
ALWAYS, OPEN, CLOSED = "always", "open", "closed"
FAMILIES = {"ipv4": "IPv4", "ipv6": "IPv6"}
OTHERWISE = {
    "drop": "Everything else to this host is dropped.",
    "reject": "Everything else to this host is rejected.",
    "accept": "Everything else to this host is let in: nothing is denied.",
}
OUT_OF_IT = {"drop": "Everything else that it would forward is dropped."}


@dataclasses.dataclass(frozen=True)
class Cell:
    """Whether one zone reaches one service: ``kind`` is always, open or closed; ``text`` says it, with a limit."""

    kind: str
    text: str


@dataclasses.dataclass(frozen=True)
class Row:
    """One service; ``about`` is who declared it and how it is published; a cell for every column."""

    name: str
    ports: str
    about: str
    cells: tuple[Cell, ...]


@dataclasses.dataclass(frozen=True)
class Firewall:
    """All of it; false when no role has told of a firewall. ``notices`` are warnings, ``notes`` just facts."""

    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    zones: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.notes)


def build(state: Data) -> Firewall:
    """Build it from what the role ``firewall`` exports (``firewall_state``)."""
    if not state:
        return Firewall()
    zones: Data = state.get("zones") or {}
    services = [*_management(state, zones), *(state.get("services") or ())]
    named = sorted(name for name in zones if name not in (ANY, MANAGEMENT))
    loose = any(_loose(service, zones) for service in services)
    columns = (*([MANAGEMENT] if MANAGEMENT in zones else []), *named, *([NETWORKS] if loose else []), ANY)
    owners: Data = state.get("owners") or {}
    return Firewall(
        columns=columns,
        rows=tuple(_row(service, columns, zones, owners) for service in services),
        zones=tuple((name, _members(zones[name])) for name in columns if name in zones),
        notes=tuple(_notes(state)),
        notices=tuple(_notices(state)),
    )


def _management(state: Data, zones: Data) -> t.Iterator[Data]:
    """Show who manages the host as a service of its own, the first one."""
    places = [str(entry) for entry in state.get("management") or ()]
    known = {str(source) for source in (zones.get(MANAGEMENT) or {}).get("sources") or ()}
    shown = dict.fromkeys(MANAGEMENT if place in known else place for place in places)
    if shown:
        ports = state.get("management_ports") or ()
        yield {"name": "management", "ports": ports, "zones": list(shown), "always": True}


def _places(service: Data) -> list[str]:
    places = service.get("zones")
    return [ANY] if places is None else [str(place) for place in places]


def _loose(service: Data, zones: Data) -> list[str]:
    return [place for place in _places(service) if place != ANY and place not in zones]


def _row(service: Data, columns: t.Sequence[str], zones: Data, owners: Data) -> Row:
    name = str(service.get("name") or "")
    docker = f"published by {service['published_by']}" if service.get("published_by") else ""
    about = ", ".join([*map(str, owners.get(name) or ()), *([docker] if docker else [])])
    return Row(
        name=name,
        ports=", ".join(map(str, service.get("ports") or ())),
        about="before every other rule" if service.get("always") else about,
        cells=tuple(_cell(service, column, zones) for column in columns),
    )


def _cell(service: Data, column: str, zones: Data) -> Cell:
    places, loose = _places(service), _loose(service, zones)
    reached = ANY in places or (bool(loose) if column == NETWORKS else column in places)
    if not reached:
        return Cell(CLOSED, CLOSED)
    kind = ALWAYS if service.get("always") else OPEN
    which = f": {', '.join(loose)}" if column == NETWORKS and loose else ""
    limit: Data = service.get("rate_limit") or {}
    rate = f", at most {limit.get('new') or '10/minute'} new from one source" if limit else ""
    return Cell(kind, f"{kind}{which}{rate}")


def _members(zone: t.Any) -> str:
    data: Data = zone if isinstance(zone, dict) else {}
    sources = ", ".join(map(str, data.get("sources") or ()))
    interfaces = " or ".join(map(str, data.get("interfaces") or ()))
    return " ".join(part for part in (sources, f"on {interfaces}" if interfaces else "") if part)


def _notes(state: Data) -> t.Iterator[str]:
    families = [str(name) for name in state.get("families") or ()]
    shown = " and ".join(FAMILIES.get(name, name) for name in families) or "no family"
    used = f", by iptables ({state['backend']})" if state.get("backend") else ""
    yield f"{OTHERWISE.get(str(state.get('default_input')), OTHERWISE['drop'])} So it is for {shown}{used}."
    if str(state.get("default_forward")) in OUT_OF_IT:
        yield OUT_OF_IT[str(state["default_forward"])]
    if state.get("guest_networks"):
        bridges = ", ".join(map(str, state["guest_networks"]))
        yield f"Guests behind {bridges} get addresses and names from this host."
    if state.get("blocklist"):
        yield f"Networks that never get in: {', '.join(map(str, state['blocklist']))}."
    yield (
        "Every boot loads these rules before the network is up."
        if state.get("persist") == "unit"
        else "The next boot is without these rules."
    )
    if state.get("foreign"):
        owners = collections.Counter(str(item.get("owner") or "others") for item in state["foreign"])
        counted = ", ".join(f"{count} of {owner}" for owner, count in sorted(owners.items()))
        yield f"Chains that are left alone: {counted}."


def _notices(state: Data) -> t.Iterator[str]:
    families = state.get("families") or ()
    yield from (f"{shown} is not filtered." for name, shown in FAMILIES.items() if name not in families)
    yield from map(str, state.get("warnings") or ())
    for item in state.get("objections") or ():
        if item.get("allowed"):
            yield f"{item.get('name')} was lifted: {item.get('message')}"
