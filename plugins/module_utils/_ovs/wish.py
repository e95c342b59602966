# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The options of ovs_bridge as a wish: everything that can be said without a look at the host. Pure.

Omitted or null is not managed, empty is cleared, and a value is enforced. In maps an empty one clears all keys, and a
key with null is deleted; in the wish that key has ``None``.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    Contradiction,
    ParseError,
    Refusal,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import wish_words as words
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_interfaces import MTU, type_of
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_mirrors import parse_mirrors
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_ports import parse_ports
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_qos import with_qos

AUTO = "auto"
"""The hwaddr that stands in a wish until :func:`with_hwaddr` puts the address of a device there."""
MERGE, REPLACE = "merge", "replace"
PROTOCOLS = tuple(f"OpenFlow1{minor}" for minor in range(6))
HWADDR = "hwaddr"
_OTHER_CONFIG = "other_config"
_REPLACED_BRIDGE = f"{model.BRIDGE}.{_OTHER_CONFIG}"

# Which maps of which tables one ``_mode`` speaks of; those of the bridge only when the task gives them.
_MODES: t.Mapping[str, tuple[str, ...]] = {
    _OTHER_CONFIG: (model.PORT, model.QOS, model.QUEUE),
    "external_ids": (model.PORT,),
    "options": (model.INTERFACE,),
}
_HOST = r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.%a-z]+\])"
_ACTIVE = re.compile(rf"(?:tcp|ssl):{_HOST}(?::[0-9]{{1,5}})?|unix:/\S+", re.ASCII)
_PASSIVE = re.compile(rf"(?:ptcp|pssl):(?:[0-9]{{1,5}})?(?::{_HOST})?|punix:/\S+", re.ASCII)


def _datapath(where: str, value: t.Any) -> str:
    return words.choice("system", "netdev")(where, value) or "system"


def _protocols(where: str, value: t.Any) -> frozenset[str]:
    given = [words.choice(*PROTOCOLS)(where, item) for item in words.items(where, value)]
    if None in given:
        raise words.wrong(
            where, "an item is empty", "give names of protocols; [] is the default of Open vSwitch"
        )
    return frozenset(filter(None, given))


_COLUMNS: words.Table = {
    "datapath_type": ("datapath_type", _datapath),
    "fail_mode": ("fail_mode", words.optional(words.choice("standalone", "secure"))),
    "stp": ("stp_enable", words.flag),
    "rstp": ("rstp_enable", words.flag),
    "mcast_snooping": ("mcast_snooping_enable", words.flag),
    "protocols": ("protocols", _protocols),
    _OTHER_CONFIG: (_OTHER_CONFIG, words.text_map),
    "external_ids": ("external_ids", words.external_ids),
}


def parse_wish(params: words.Given) -> model.Wish:
    """Parse the options of the module.

    :raises ParseError: a value has not its grammar.
    :raises Refusal: two values exclude each other, or what is wished could only cut the host off.
    """
    name = words.name("name", params.get("name"))
    allow = _allowance(params.get("allow") or ())
    purge = params.get("purge") or model.OWNED
    if params.get("state") == "absent":
        return model.Wish(name, present=False, purge=purge, allow=allow)
    columns = words.columns(f"bridge {name}", params, _COLUMNS)
    ports = params.get("ports")
    if ports is not None:
        ports = parse_ports(name, ports, columns.get("datapath_type"), allow)
    wish = model.Wish(
        name,
        bridge=_with_own_address(columns, params),
        local=_local(name, params.get("mtu")),
        ports=ports if params.get("qos") is None else with_qos(ports, params["qos"]),
        mirrors=_when(params, "mirrors", lambda given: parse_mirrors(name, ports, given, allow)),
        controllers=_when(params, "controllers", _controllers),
        purge=purge,
        replace=_replaced(params),
        allow=allow,
    )
    _check(wish)
    return wish


def uplinks(wish: model.Wish) -> tuple[str, ...]:
    """Return the ordinary devices that the wish names, in its order: what the bridge has of the host's NICs."""
    return tuple(one.name for port in wish.ports or () for one in port.interfaces if not type_of(one))


def primary_controllers(targets: t.Iterable[str]) -> tuple[str, ...]:
    """Return the controllers that Open vSwitch connects to: those that it listens for set up no flows."""
    return tuple(target for target in targets if _ACTIVE.fullmatch(target))


def wants_auto_hwaddr(wish: model.Wish) -> bool:
    """Tell whether :func:`with_hwaddr` has to be called before the wish is planned."""
    return (wish.bridge.get(_OTHER_CONFIG) or {}).get(HWADDR) == AUTO


def with_hwaddr(wish: model.Wish, mac: str) -> model.Wish:
    """Return the wish with the address that ``hwaddr: auto`` means; an empty one leaves it unmanaged."""
    others = {key: value for key, value in wish.bridge[_OTHER_CONFIG].items() if key != HWADDR}
    columns = {key: value for key, value in wish.bridge.items() if key != _OTHER_CONFIG}
    if mac:
        others[HWADDR] = mac.lower()
    # Without any key the map would be cleared, which nobody asked for unless it is enforced whole.
    if others or _REPLACED_BRIDGE in wish.replace:
        columns[_OTHER_CONFIG] = others
    return dataclasses.replace(wish, bridge=columns)


def _when(params: words.Given, option: str, parse: t.Callable[[t.Any], t.Any]) -> t.Any:
    return None if params.get(option) is None else parse(params[option])


def _allowance(names: t.Iterable[str]) -> frozenset[str]:
    for name in names:
        if name not in model.LIFTABLE:
            raise ParseError(
                f"{name!r} is nothing to allow.",
                f"use names out of {', '.join(model.LIFTABLE)}; there is no name for all",
            )
    return frozenset(names)


def _with_own_address(columns: dict[str, t.Any], params: words.Given) -> model.Columns:
    value = params.get(HWADDR)
    if value is None:
        return columns
    other = columns.get(_OTHER_CONFIG) or {}
    if HWADDR in other:
        raise Contradiction(
            "The address of the bridge is given twice, by hwaddr and by other_config.",
            remedy="leave it out of other_config",
        )
    return {**columns, _OTHER_CONFIG: {**other, HWADDR: _address(value)}}


def _address(value: t.Any) -> str | None:
    if value in ("", words.NONE):
        return None
    return AUTO if value == AUTO else words.mac(HWADDR, value)


def _local(name: str, mtu: t.Any) -> model.InterfaceWish | None:
    if mtu is None:
        return None
    return model.InterfaceWish(name, {"mtu_request": MTU(f"mtu of bridge {name}", mtu)})


def _controllers(given: t.Any) -> tuple[str, ...]:
    targets = words.items("controllers", given)
    for target in targets:
        text = str(target)
        if not _ACTIVE.fullmatch(text) and not _PASSIVE.fullmatch(text):
            raise words.wrong(
                "controllers",
                f"{target!r} is no target",
                "write it like 'tcp:192.0.2.1:6653', 'ssl:[2001:db8::1]:6653', 'ptcp:6653:127.0.0.1' or 'unix:/run/…'",
            )
        if targets.count(target) > 1:
            raise words.wrong("controllers", f"{target!r} is there twice", "name each target once")
    return tuple(targets)


def _replaced(params: words.Given) -> frozenset[str]:
    found: set[str] = set()
    for column, tables in _MODES.items():
        if params.get(f"{column}_mode") == REPLACE:
            found.update(f"{table}.{column}" for table in tables)
            if params.get(column) is not None:
                found.add(f"{model.BRIDGE}.{column}")
    # An empty map clears all keys; hwaddr alone in it would be merged with what shall go.
    if params.get(_OTHER_CONFIG) == {} and params.get(HWADDR) is not None:
        found.add(_REPLACED_BRIDGE)
    return frozenset(found)


def _check(wish: model.Wish) -> None:
    if wish.bridge.get("stp_enable") and wish.bridge.get("rstp_enable"):
        raise Contradiction(
            f"Bridge {wish.name} has both stp and rstp, of which Open vSwitch would use rstp.",
            remedy="set one of them to false; rstp lets traffic through after seconds, stp after half a minute",
        )
    if wish.purge == model.ALL and wish.ports is None:
        raise Contradiction(
            f"purge: {model.ALL} of bridge {wish.name} has no list to compare with.",
            remedy="give ports; an empty list removes every port that is no guest's",
        )


def check_secure(wish: model.Wish, carries_host: bool) -> None:
    """Look whether the bridge would stand still with the host on it.

    :raises Refusal: it has no controller to set up flows, and shall set up none by itself.
    """
    secure = words.sole(wish.bridge.get("fail_mode")) == "secure"
    if not secure or not carries_host or model.LOCKOUT in wish.allow or wish.controllers is None:
        return
    if not primary_controllers(wish.controllers):
        raise Refusal(
            f"Bridge {wish.name} carries the host, and with fail_mode secure and no controller it would carry nothing.",
            remedy=f"use fail_mode: standalone, name a controller, or allow {model.LOCKOUT}",
        )
