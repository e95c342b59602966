# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What ``ip -N -j -d`` prints, as a capture. Pure.

What is not known here is named in ``Capture.unknown`` rather than dropped: it would be lost in a move.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import (
    Address,
    Capture,
    Neighbour,
    Passing,
    Words,
    in_order,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.parse_routes import (
    Raw,
    note,
    parse_routes,
    parse_rules,
    table,
)

_FOREVER = 4294967295
_FLAGS = ("home", "mngtmpaddr", "nodad", "optimistic", "noprefixroute", "autojoin")
_STATES = (
    "secondary",
    "tentative",
    "deprecated",
    "dynamic",
    "temporary",
    "dadfailed",
    "permanent",
    "stable-privacy",
)
_ADDRESS = (
    "family", "local", "address", "prefixlen", "broadcast", "scope", "label", "metric", "protocol",
    "valid_life_time", "preferred_life_time", *_FLAGS, *_STATES,
)  # fmt: skip
_USABLE = ("REACHABLE", "STALE", "DELAY", "PROBE")


@dataclasses.dataclass(frozen=True)
class Said:
    """What the tools printed: links with their addresses, and by family routes and rules; neighbours; settings."""

    links: str
    routes: t.Mapping[int, str]
    rules: t.Mapping[int, str]
    neighbours: str = ""
    sysctls: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


def parse_capture(said: Said, device: str) -> Capture | None:
    """Return what hangs on a device; ``None`` when there is no such device.

    :raises ParseError: a tool did not print JSON.
    """
    links = table(said.links, "address")
    link = next((one for one in links if one.get("ifname") == device), None)
    if link is None:
        return None
    unknown: list[str] = []
    addresses = _addresses(link, unknown)
    routes = parse_routes(said.routes, device, addresses, unknown)
    neighbours = [_neighbour(one) for one in table(said.neighbours, "neigh") if _is_known(one)]
    return Capture(
        device,
        mac=str(link.get("address", "")),
        up="UP" in link.get("flags", ()),
        addresses=tuple(sorted((one for one in addresses if not one.fleeting), key=_place)),
        routes=in_order(one for one in routes if not one.fleeting),
        rules=in_order(parse_rules(said.rules, device, unknown)),
        neighbours=tuple(one for one in neighbours if one.permanent),
        sysctls=said.sysctls,
        passing=Passing(
            tuple(one for one in addresses if one.fleeting),
            tuple(one for one in routes if one.fleeting),
            tuple(one for one in neighbours if not one.permanent),
        ),
        mtu=int(link.get("mtu", 0)),
        index=int(link.get("ifindex", 0)),
        kind=str(link.get("linkinfo", {}).get("info_kind", "")),
        master=str(link.get("master", "")),
        children=_children(links, device),
        unknown=tuple(unknown),
    )


def _place(one: Address) -> tuple[int, int, Words]:
    # The kernel uses the first address of IPv4 that fits, so their order is part of what the host is.
    return (one.family, one.nth if one.family == 4 else 0, one.words)


def _children(links: t.Sequence[Raw], device: str) -> tuple[str, ...]:
    found = []
    for link in links:
        info = link.get("linkinfo", {})
        # The other end of a veth is no child, though it is called a link.
        below = link.get("link") == device and info.get("info_kind") != "veth"
        if below or info.get("info_data", {}).get("link") == device:
            found.append(str(link.get("ifname")))
    return tuple(sorted(found))


# --- addresses -------------------------------------------------------------------------------


def _addresses(link: Raw, unknown: list[str]) -> list[Address]:
    rows = [one for one in link.get("addr_info", ()) if one.get("local")]
    found = [_address(one, str(link["ifname"]), unknown) for one in rows]
    count = len(found)
    # A new address of IPv6 becomes the first one, a new one of IPv4 the last.
    return [
        dataclasses.replace(one, nth=number if one.family == 4 else count - number)
        for number, one in enumerate(found)
    ]


def _address(raw: Raw, device: str, unknown: list[str]) -> Address:
    local, prefix = str(raw["local"]), raw["prefixlen"]
    family = 4 if raw.get("family") == "inet" else 6
    peer = str(raw.get("address", ""))
    words = [local, "peer", f"{peer}/{prefix}"] if peer else [f"{local}/{prefix}"]
    for key, word in (("broadcast", "broadcast"), ("scope", "scope"), ("metric", "metric")):
        if key in raw:
            words += [word, str(raw[key])]
    words += [flag for flag in _FLAGS if raw.get(flag)]
    note(unknown, f"address {local}", raw, _ADDRESS)
    label = str(raw.get("label", device))
    unknown += [] if label.startswith(device) else [f"address {local}: label {label}"]
    network = str(ipaddress.ip_network(f"{peer or local}/{prefix}", strict=False))
    source = local if family == 4 else ""
    metric = str(raw.get("metric", 0 if family == 4 else 256))
    return Address(
        family,
        local,
        tuple(words),
        label=label[len(device) :],
        route=() if raw.get("noprefixroute") else (network, source, metric),
        fleeting=family == 6 and bool(raw.get("dynamic")),
        lifetimes=_lifetimes(raw),
    )


def _lifetimes(raw: Raw) -> Words:
    valid, preferred = raw.get("valid_life_time", _FOREVER), raw.get("preferred_life_time", _FOREVER)
    if valid == preferred == _FOREVER:
        return ()
    return ("valid_lft", _seconds(valid), "preferred_lft", _seconds(preferred))


def _seconds(value: int) -> str:
    return "forever" if value == _FOREVER else str(value)


# --- neighbours --------------------------------------------------------------------------------


def _is_known(raw: Raw) -> bool:
    states = raw.get("state", ())
    return "lladdr" in raw and ("PERMANENT" in states or any(state in _USABLE for state in states))


def _neighbour(raw: Raw) -> Neighbour:
    permanent = "PERMANENT" in raw.get("state", ())
    # What was learned is good enough for the first packet; the kernel asks again by itself.
    state = "permanent" if permanent else "stale"
    return Neighbour((str(raw["dst"]), "lladdr", str(raw["lladdr"]), "nud", state), permanent)
