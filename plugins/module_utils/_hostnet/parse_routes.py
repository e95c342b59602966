# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Routes and policy rules as ``ip -N -j -d`` prints them. Pure."""

from __future__ import annotations

import ipaddress
import json
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import (
    Address,
    Route,
    Rule,
    Words,
)

Raw = t.Mapping[str, t.Any]

_MAIN, _LOCAL = "254", "255"
_KERNEL, _ADVERTISED = "2", "9"
_TYPES = {
    "1": "unicast",
    "2": "local",
    "4": "anycast",
    "6": "blackhole",
    "7": "unreachable",
    "8": "prohibit",
    "9": "throw",
}
_METRICS = ("mtu", "advmss", "window", "hoplimit", "initcwnd", "initrwnd", "quickack", "congctl", "features")
_FLAGS = ("onlink",)
_STATES = ("linkdown", "dead", "offload", "trap", "offload_failed", "rt_offload", "rt_trap", "notify")
_ROUTE_WORDS = (
    ("from", "from"),
    ("tos", "tos"),
    ("table", "table"),
    ("protocol", "proto"),
    ("scope", "scope"),
    ("prefsrc", "src"),
    ("metric", "metric"),
    ("pref", "pref"),
)
_HOP = ("gateway", "via", "dev", "weight", "flags")
_ROUTE = (
    "type",
    "dst",
    "gateway",
    "via",
    "dev",
    "flags",
    "metrics",
    "expires",
    "nexthops",
    *(key for key, _word in _ROUTE_WORDS),
)
_RULE = (
    "priority", "not", "src", "srclen", "dst", "dstlen", "tos", "fwmark", "fwmask", "iif", "oif", "ipproto", "sport",
    "dport", "sport_start", "sport_end", "dport_start", "dport_end", "table", "protocol", "iif_detached",
    "oif_detached", "uid_start", "uid_end", "suppress_prefixlen",
)  # fmt: skip


def table(text: str, what: str) -> list[Raw]:
    """Return the rows that ``ip -j`` printed.

    :raises ParseError: it is no JSON.
    """
    try:
        found: list[Raw] = json.loads(text or "[]")
    except ValueError as error:
        raise ParseError(
            f"ip -j {what} did not print JSON: {text[:80]!r}.",
            remedy="install iproute2 of Debian 11 or later",
        ) from error
    # Older versions print an empty object for what has nothing to show.
    return [one for one in found if one]


def note(unknown: list[str], name: str, raw: Raw, known: t.Container[str]) -> None:
    """Note the keys of a row that mean nothing to us: what they say would be lost."""
    unknown += [f"{name}: {key}" for key in raw if key not in known]


# --- routes ------------------------------------------------------------------------------------


def parse_routes(
    texts: t.Mapping[int, str], device: str, addresses: t.Sequence[Address], unknown: list[str]
) -> list[Route]:
    """Return the routes that a device has, or that use one of its addresses, but for those that the kernel makes."""
    made = {one.route for one in addresses if one.route}
    sources = {one.local for one in addresses}
    found = []
    for family, text in sorted(texts.items()):
        for number, raw in enumerate(table(text, "route")):
            own = device in _devices(raw)
            if (own or raw.get("prefsrc") in sources) and not _is_made(raw, family, made):
                found.append(_route(raw, family, own, number, unknown))
    return found


def _devices(raw: Raw) -> set[str]:
    return {str(one.get("dev", "")) for one in (raw, *raw.get("nexthops", ()))}


def _is_made(raw: Raw, family: int, made: set[Words]) -> bool:
    """Tell whether the kernel makes this route by itself as soon as the device has its addresses."""
    if str(raw.get("protocol")) != _KERNEL:
        return False
    if str(raw.get("table")) == _LOCAL:
        return True
    if raw.get("gateway") or str(raw.get("table")) != _MAIN:
        return False
    network = str(ipaddress.ip_network(raw["dst"])) if raw["dst"] != "default" else ""
    return (network, str(raw.get("prefsrc", "")), str(raw.get("metric", 0))) in made


def _route(raw: Raw, family: int, own: bool, number: int, unknown: list[str]) -> Route:
    kind = str(raw.get("type", "1"))
    words = [_TYPES.get(kind, kind), str(raw["dst"])]
    for key, word in _ROUTE_WORDS:
        # The scope of IPv6 is made up by ip.
        if key in raw and (family == 4 or key != "scope"):
            words += [word, str(raw[key])]
    name = f"route {raw['dst']}"
    note(unknown, name, raw, _ROUTE)
    words += _metrics(raw, name, unknown)
    words += _hop(raw, name, unknown)
    for hop in raw.get("nexthops", ()):
        note(unknown, name, hop, _HOP)
        words += ["nexthop", *_hop(hop, name, unknown), "weight", str(hop.get("weight", 1))]
    return Route(
        family,
        tuple(words),
        own,
        fleeting=str(raw.get("protocol")) == _ADVERTISED,
        expires=("expires", str(raw["expires"])) if "expires" in raw else (),
        nth=number,
    )


def _metrics(raw: Raw, name: str, unknown: list[str]) -> list[str]:
    words = []
    for metrics in raw.get("metrics", ()):
        note(unknown, name, metrics, _METRICS)
        for key in _METRICS:
            if key in metrics:
                words += [key, str(metrics[key])]
    return words


def _hop(raw: Raw, name: str, unknown: list[str]) -> list[str]:
    words = []
    if "gateway" in raw:
        words += ["via", str(raw["gateway"])]
    elif "via" in raw:
        words += ["via", str(raw["via"]["family"]), str(raw["via"]["host"])]
    if "dev" in raw:
        words += ["dev", str(raw["dev"])]
    flags = raw.get("flags", ())
    unknown += [f"{name}: {flag}" for flag in flags if flag not in (*_FLAGS, *_STATES)]
    return words + [flag for flag in flags if flag in _FLAGS]


# --- rules -------------------------------------------------------------------------------------


def parse_rules(texts: t.Mapping[int, str], device: str, unknown: list[str]) -> list[Rule]:
    """Return the rules that name a device."""
    return [
        _rule(raw, family, unknown)
        for family, text in texts.items()
        for raw in table(text, "rule")
        if device in (raw.get("iif"), raw.get("oif"))
    ]


def _rule(raw: Raw, family: int, unknown: list[str]) -> Rule:
    words = ["not"] if "not" in raw else []
    words += ["pref", str(raw["priority"])]
    for key, word in (("src", "from"), ("dst", "to")):
        if key in raw:
            length = f"/{raw[f'{key}len']}" if f"{key}len" in raw else ""
            words += [word, f"{raw[key]}{length}"]
    words += _marks(raw)
    words += ["lookup", str(raw["table"])] if "table" in raw else []
    if str(raw.get("protocol", "0")) != "0":
        words += ["protocol", str(raw["protocol"])]
    note(unknown, f"rule {raw['priority']}", raw, _RULE)
    return Rule(family, tuple(words))


def _marks(raw: Raw) -> t.Iterator[str]:
    if "fwmark" in raw:
        yield from ("fwmark", f"{raw['fwmark']}/{raw['fwmask']}" if "fwmask" in raw else str(raw["fwmark"]))
    for key in ("tos", "iif", "oif", "ipproto", "sport", "dport", "suppress_prefixlen"):
        if key in raw:
            # As a number it is printed in a way that is not read.
            yield from (key, str(raw[key]).replace("ipproto-", ""))
    for key, word in (("sport", "sport"), ("dport", "dport"), ("uid", "uidrange")):
        if f"{key}_start" in raw:
            yield from (word, f"{raw[f'{key}_start']}-{raw[f'{key}_end']}")
