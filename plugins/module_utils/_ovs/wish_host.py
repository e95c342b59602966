# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The option ``host_network``: whose addresses move on to the bridge, and how it is watched. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import wish_words as words
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import Wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import check_secure, uplinks

OFF, AUTO, REQUIRED = "off", "auto", "required"
DEFAULT_ROUTE = "default_route"
LEAST_TIMEOUT, DEFAULT_TIMEOUT = 45, 90
"""Half a minute of STP or a quarter of a minute with a dead controller, and then a connection, fit in no less."""
_LONGEST_TIMEOUT = 3600
_PERSIST = ("networkd", "netplan", "ifupdown", "networkmanager")


@dataclasses.dataclass(frozen=True)
class HostNetworkWish:
    """What the task says of the host's own network.

    ``nic`` is empty when it is to be found, ``persist`` is ``none``, ``auto`` or a manager, and ``confirm_host`` is
    where the host answers afterwards when its address changes.
    """

    mode: str = AUTO
    nic: str = ""
    persist: str = AUTO
    rollback_timeout: int = DEFAULT_TIMEOUT
    confirm_host: str = ""


_OPTIONS = ("mode", "from", "persist", "rollback_timeout", "confirm_host")


def parse_host_network(params: words.Given, wish: Wish) -> HostNetworkWish | None:
    """Parse ``host_network``; omitted it is ``None``, and nothing of the host moves.

    :raises ParseError: a value has not its grammar, or the device is none of the bridge's.
    :raises Refusal: the host would be on a bridge that carries nothing.
    """
    if params.get("host_network") is None:
        return None
    given = words.only("host_network", params["host_network"], _OPTIONS)
    found = HostNetworkWish(
        mode=_word(given, "mode", (OFF, AUTO, REQUIRED), AUTO),
        nic=_nic(given.get("from"), wish),
        persist=words.NONE
        if given.get("persist") == words.NONE
        else _word(given, "persist", (AUTO, *_PERSIST), AUTO),
        rollback_timeout=_timeout(given.get("rollback_timeout")),
        confirm_host=str(given.get("confirm_host") or ""),
    )
    check_secure(wish, carries_host=found.mode == REQUIRED)
    return found


def _word(given: words.Given, option: str, allowed: tuple[str, ...], default: str) -> str:
    value = given.get(option)
    if value is None:
        return default
    return words.choice(*allowed)(f"{option} of host_network", value) or default


def _nic(value: t.Any, wish: Wish) -> str:
    if value in (None, "", DEFAULT_ROUTE):
        return ""
    nic = words.name("from of host_network", value)
    if wish.ports is not None and nic not in uplinks(wish):
        raise words.wrong(
            "from of host_network",
            f"{nic!r} is no device of this bridge",
            f"list it in ports, or use {DEFAULT_ROUTE}.{words.did_you_mean(nic, uplinks(wish))}",
        )
    return nic


def _timeout(value: t.Any) -> int:
    if value is None:
        return DEFAULT_TIMEOUT
    return (
        words.number(LEAST_TIMEOUT, _LONGEST_TIMEOUT)("rollback_timeout of host_network", value)
        or DEFAULT_TIMEOUT
    )
