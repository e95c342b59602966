# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The network devices of the host, and what of the host depends on each.

One process tells all: addresses, default routes of every table, and the way back to whoever is logged in.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import Caller
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.read import read_caller
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import Nic

SSH = "the SSH connection"
DEFAULT_ROUTE = "the default route"

OPENVSWITCH, LOOPBACK, ETHERNET = "openvswitch", "loopback", "ether"
_READ = ("ip", "-j", "-d", "-force", "-batch", "-")
# Without a family and with all tables, both families are listed.
_QUESTIONS = "address show\nroute show table all exact default\n"
_NET = "/sys/class/net"
# What these are built on stands in their ``link``; so does the other end of a veth, which is something else.
_STACKED = ("vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec")
_WIRELESS = ("phy80211", "wireless")

Answer = t.Sequence[t.Mapping[str, t.Any]]


def read_nics(host: Host) -> dict[str, Nic]:
    """Read the devices of the host by their names.

    :raises CommandError: ``ip`` cannot be run.
    :raises ParseError: it is no ``ip`` that answers in JSON.
    """
    caller = read_caller(host)
    asked = _QUESTIONS
    if caller is not None:
        asked += f"route get {caller.address} from {caller.server_address}\n"
    # Where there is no way back to the caller, ``ip`` says so with its status; the rest is told all the same.
    done = host.run(_READ, stdin=asked, check=False)
    answers = _answers(done.out)
    if len(answers) < _QUESTIONS.count("\n"):
        raise ParseError(
            f"{' '.join(_READ)} ended with status {done.rc} and told too little:"
            f" {done.err.strip() or done.out[:200]!r}.",
            remedy="install iproute2; Open vSwitch needs it too",
        )
    nics = parse_nics(answers[0], answers[1], answers[2] if len(answers) > 2 else (), caller)
    return {name: _with_sysfs(host, nic) for name, nic in nics.items()}


def parse_nics(
    devices: Answer, routes: Answer, path: Answer = (), caller: Caller | None = None
) -> dict[str, Nic]:
    """Turn what ``ip -j -d`` printed of addresses, default routes and the way to the caller into devices. Pure."""
    own: dict[str, list[str]] = {device["ifname"]: [] for device in devices}
    for name in _ssh_devices(devices, path, caller):
        own.setdefault(name, []).append(SSH)
    for name in dict.fromkeys(_default_devices(routes)):
        own.setdefault(name, []).append(DEFAULT_ROUTE)
    for device in devices:
        own[device["ifname"]] += [f"the address {address}" for address in _addresses(device)]
    uppers = _uppers(devices)
    return {
        device["ifname"]: _nic(device, _carried(device["ifname"], own, uppers), devices) for device in devices
    }


def _answers(text: str) -> list[Answer]:
    """Return the arrays that stand one behind the other; there is none for a question that failed."""
    decoder, text = json.JSONDecoder(), text.strip()
    found: list[Answer] = []
    while text:
        try:
            answer, end = decoder.raw_decode(text)
        except ValueError:
            break
        # Old versions print an empty object for each device that was filtered out.
        found.append([entry for entry in answer if entry])
        text = text[end:].strip()
    return found


def _nic(device: t.Mapping[str, t.Any], carries: tuple[str, ...], devices: Answer) -> Nic:
    return Nic(
        device["ifname"],
        mac=device.get("address", ""),
        mtu=device.get("mtu", 0),
        kind=_kind(device),
        master=_master(device, devices),
        carrier=_carrier(device.get("flags", ())),
        addresses=_addresses(device),
        carries=carries,
        # Only a device on a bus has one.
        physical="parentbus" in device and not _info(device, "info_kind"),
        max_mtu=device.get("max_mtu", 0),
    )


def _info(device: t.Mapping[str, t.Any], key: str) -> str:
    return str(device.get("linkinfo", {}).get(key, ""))


def _kind(device: t.Mapping[str, t.Any]) -> str:
    """Return what sort of device this is: for Ethernet what made it (empty for hardware), else its link type."""
    link_type = str(device.get("link_type", ETHERNET))
    return _info(device, "info_kind") if link_type == ETHERNET else link_type


def _master(device: t.Mapping[str, t.Any], devices: Answer) -> str:
    """Return who has the device; Open vSwitch, which has it in its database, does not count."""
    master = str(device.get("master", ""))
    kinds = {_kind(other) for other in devices if other["ifname"] == master}
    return "" if OPENVSWITCH in (*kinds, _info(device, "info_slave_kind")) else master


def _carrier(flags: t.Collection[str]) -> bool | None:
    """Of a device that is down nobody knows whether a cable is in it."""
    if "NO-CARRIER" in flags:
        return False
    return True if "LOWER_UP" in flags else None


def _addresses(device: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    return tuple(
        f"{address['local']}/{address['prefixlen']}"
        for address in device.get("addr_info", ())
        if "local" in address and address.get("scope") not in ("host", "link", "nowhere")
    )


def _ssh_devices(devices: Answer, path: Answer, caller: Caller | None) -> list[str]:
    """Return the device that leads to the caller, and the one that has the address that was called."""
    if caller is None:
        return []
    found = [str(route["dev"]) for route in path if "dev" in route]
    found += [
        device["ifname"]
        for device in devices
        for address in device.get("addr_info", ())
        if address.get("local") == caller.server_address
    ]
    loops = {device["ifname"] for device in devices if device.get("link_type") == LOOPBACK}
    return [name for name in dict.fromkeys(found) if name not in loops]


def _default_devices(routes: Answer) -> t.Iterator[str]:
    """Yield what leads everywhere; there are routes to nowhere, and hops that are dead."""
    there = [route for route in routes if route.get("type", "unicast") == "unicast"]
    for hop in (hop for route in there for hop in (route, *route.get("nexthops", ()))):
        if "dev" in hop and "dead" not in hop.get("flags", ()):
            yield str(hop["dev"])


def _uppers(devices: Answer) -> dict[str, list[str]]:
    """Return what is built on each device: its master, its VLANs and the like."""
    found: dict[str, list[str]] = {}
    for device in devices:
        master = _master(device, devices)
        if master:
            found.setdefault(device["ifname"], []).append(master)
        # One whose lower device is in another namespace has that name for something else.
        if _info(device, "info_kind") in _STACKED and "link_netnsid" not in device and "link" in device:
            found.setdefault(str(device["link"]), []).append(device["ifname"])
    return found


def _carried(
    name: str, own: t.Mapping[str, t.Sequence[str]], uppers: t.Mapping[str, t.Sequence[str]]
) -> tuple[str, ...]:
    """Return what a device carries, itself and through all that is built on it."""
    words, pending, seen = list(own[name]), list(uppers.get(name, ())), {name}
    while pending:
        upper = pending.pop(0)
        if upper not in seen:
            seen.add(upper)
            words += [f"{what} through {upper}" for what in own.get(upper, ())]
            pending += uppers.get(upper, ())
    return tuple(words)


def _with_sysfs(host: Host, nic: Nic) -> Nic:
    """Add what only sysfs tells; older versions of ``ip`` do not tell what bus a device is on either."""
    if nic.kind:
        return nic
    return dataclasses.replace(
        nic,
        physical=nic.physical or host.exists(f"{_NET}/{nic.name}/device"),
        wireless=any(host.exists(f"{_NET}/{nic.name}/{mark}") for mark in _WIRELESS),
    )
