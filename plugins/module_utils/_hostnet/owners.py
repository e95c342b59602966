# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Who configures a network device: found in files and in what the managers say, never guessed."""

from __future__ import annotations

import re

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet import interfaces
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import (
    IFUPDOWN,
    MANAGERS,
    NETPLAN,
    NETWORK_MANAGER,
    NETWORKD,
    Owner,
)

ORIGINAL = "# hearth:original "
"""In a file of ours for networkd, the line that names the file which configured the card before."""

_DEEPEST_SOURCE = 8
_LINKS = "/run/systemd/netif/links"
_LEASES = "/run/systemd/netif/leases"
_DROP_INS = ("/usr/lib/systemd/network", "/run/systemd/network", "/etc/systemd/network")
_FROM_NETPLAN = re.compile(r"/run/systemd/network/\d+-netplan-")
_IDLE = ("unmanaged", "unavailable", "disconnected")


def owner_of(host: Host, nic: str) -> Owner:
    """Return who configures a network card.

    :raises Contradiction: two managers do.
    """
    found = [
        one for one in (_networkd(host, nic), _network_manager(host, nic), _ifupdown(host, nic)) if one.name
    ]
    if len(found) > 1:
        names = " and ".join(one.name for one in found)
        raise Contradiction(
            f"{nic} is configured by two managers: {names}.",
            remedy=f"let only one of them have it, such as by removing {nic} from the files of the other"
            f" ({'; '.join(', '.join(one.texts) or one.name for one in found)})",
        )
    return found[0] if found else Owner()


def choose(owner: Owner, wanted: str, nic: str) -> str:
    """Return the manager that is to have the bridge.

    :param wanted: ``auto``, ``none``, or a manager.
    :raises Contradiction: a manager is wanted, and another one has the card.
    :raises Refusal: nobody has the card, and nobody is wanted.
    """
    if wanted == "none":
        return ""
    if wanted == "auto":
        if owner.name:
            return owner.name
        raise Refusal(
            f"Nobody on this host configures {nic}, so nothing says who would configure the bridge after a reboot.",
            remedy=f"say it: host_network.persist: one of {', '.join(MANAGERS)}, or none",
        )
    # What netplan renders is read by networkd.
    if owner.name not in ("", wanted) and {owner.name, wanted} != {NETPLAN, NETWORKD}:
        raise Contradiction(
            f"{wanted} is to configure the bridge, and {owner.name} configures {nic}.",
            remedy=f"use host_network.persist: {owner.name}, or hand {nic} over to {wanted} first",
        )
    return owner.name or wanted


# --- networkd, also for netplan --------------------------------------------------------------


def _networkd(host: Host, nic: str) -> Owner:
    index = host.text(f"/sys/class/net/{nic}/ifindex")
    said = host.text(f"{_LINKS}/{index}") if index else None
    values = dict(line.split("=", 1) for line in (said or "").splitlines() if "=" in line)
    path = values.get("NETWORK_FILE", "")
    if not path or values.get("ADMIN_STATE") == "unmanaged":
        return Owner()
    own = re.search(f"(?m)^{re.escape(ORIGINAL)}(.*)$", host.read(path).text or "")
    path = own.group(1) if own else path
    name = NETPLAN if _FROM_NETPLAN.match(path) else NETWORKD
    texts = {one: host.read(one).text or "" for one in (path, *_drop_ins(host, path))}
    return Owner(name, texts, lease=host.text(f"{_LEASES}/{index}") or "")


def _drop_ins(host: Host, path: str) -> list[str]:
    """Return the files that complete another one: one name counts once, and they are read by name."""
    folder = f"{path.rpartition('/')[2]}.d"
    found = {
        name: f"{place}/{folder}/{name}"
        for place in _DROP_INS
        for name in host.listdir(f"{place}/{folder}")
        if name.endswith(".conf")
    }
    return [found[name] for name in sorted(found)]


# --- NetworkManager --------------------------------------------------------------------------


def _network_manager(host: Host, nic: str) -> Owner:
    if not host.exists("/run/NetworkManager"):
        return Owner()
    done = host.run(("nmcli", "-t", "-f", "DEVICE,STATE,CONNECTION", "device"), check=False)
    for line in done.out.splitlines() if done.rc == 0 else ():
        device, state, *connection = _fields(line)
        # "connected (externally)" is what it says of a device that somebody else has configured.
        if device == nic and state not in _IDLE and "externally" not in state:
            # With -g each answer is one line, several values of it have " | " in between.
            servers = host.run(("nmcli", "-g", "IP4.DNS,IP6.DNS", "device", "show", nic)).out
            name = f"connection {connection[0]}" if connection and connection[0] else "connection"
            return Owner(NETWORK_MANAGER, {name: ""}, servers=tuple(servers.replace("|", " ").split()))
    return Owner()


def _fields(line: str) -> list[str]:
    found = [one.replace("\\:", ":") for one in re.split(r"(?<!\\):", line)]
    return found + [""] * (3 - len(found))


# --- ifupdown --------------------------------------------------------------------------------


def _ifupdown(host: Host, nic: str) -> Owner:
    if not any(host.exists(path) for path in ("/sbin/ifup", "/usr/sbin/ifup")):
        return Owner()
    texts = read_interfaces(host)
    named = [
        text for text in texts.values() if interfaces.stanzas_of(text, nic) or interfaces.oddities(text, nic)
    ]
    return Owner(IFUPDOWN, texts) if named else Owner()


def read_interfaces(host: Host) -> dict[str, str]:
    """Return the files of ifupdown with what they include, in the order in which they are read."""
    texts: dict[str, str] = {}
    waiting = [interfaces.MAIN]
    for _depth in range(_DEEPEST_SOURCE):
        fresh = {path: host.read(path).text for path in waiting if path not in texts}
        texts.update({path: text for path, text in fresh.items() if text is not None})
        waiting = [
            one
            for path, text in fresh.items()
            if text is not None
            for one in interfaces.included(path, text, host.listdir)
        ]
    return texts
