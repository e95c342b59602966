# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Which network interfaces below a device are in use, by themselves or by what was built on them.

Whatever has an address, a route or a master carries something. An interface that is down, or up with nothing on it, is
free.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import network_tables as tables
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import NETWORK, Use
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.places import Places, read_things

LIST_ADDRESSES = ("ip", "-json", "address", "show")

_NET = "/sys/class/net"
_RDMA = "/sys/class/infiniband"
_ROUTES = ("/proc/net/route", "/proc/net/ipv6_route")
_ADDRESSES6 = "/proc/net/if_inet6"
_SOCKETS = ("/proc/net/tcp", "/proc/net/tcp6")
_UPPER = "upper_"
_IFF_UP = 0x1
_NETWORK_CLASS = "02"
# Drivers that make no network interface of a network card.
_PASSIVE = ("vfio", "uio", "igb_uio", "pci-stub", "pciback", "xen-pciback")
_ACTIVE_PORT = "ACTIVE"


@dataclasses.dataclass(frozen=True)
class Interface:
    """A network interface; ``uppers`` are what was built on it. ``up`` is ``None`` when it cannot be told."""

    name: str
    up: bool | None = None
    uppers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class RawNetwork:
    """What was read. ``hidden`` are network cards, by address, whose driver shows no interface here."""

    owned: t.Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    interfaces: t.Mapping[str, Interface] = dataclasses.field(default_factory=dict)
    routes: tuple[Reading, ...] = ()
    addresses: Reading = Reading(missing=True)
    addresses6: Reading = Reading(missing=True)
    sockets: tuple[Reading, ...] = ()
    session: str = ""
    rdma: t.Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    hidden: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    why: str = ""


def read_network(host: Host, places: Places, snapshot: pci.PciSnapshot) -> RawNetwork:
    """Read the interfaces below the devices; addresses and routes only when there are any."""
    things, why = read_things(host, _NET)
    owned = {address: tuple(thing.name for thing in own) for address, own in places.sort(things).items()}
    rdma, rdma_why = _read_rdma(host, places)
    candidates = [name for names in owned.values() for name in names]
    partial = RawNetwork(
        owned=owned,
        rdma=rdma,
        hidden=_hidden(snapshot, [address for address in owned if not owned[address] and not rdma[address]]),
        why=why or rdma_why,
    )
    if not candidates:
        return partial
    return dataclasses.replace(
        partial,
        interfaces=_read_interfaces(host, candidates),
        routes=tuple(map(host.read, _ROUTES)),
        addresses=_read_addresses(host),
        addresses6=host.read(_ADDRESSES6),
        sockets=tuple(map(host.read, _SOCKETS)),
        session=host.environ("SSH_CONNECTION") or "",
    )


def _read_interfaces(host: Host, names: t.Iterable[str]) -> dict[str, Interface]:
    """Read the interfaces and all that is built on them, such as bonds, bridges and VLANs."""
    found: dict[str, Interface] = {}
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in found:
            entries = host.listdir(f"{_NET}/{name}")
            master = host.link(f"{_NET}/{name}/master") if "master" in entries else None
            uppers = [entry[len(_UPPER) :] for entry in entries if entry.startswith(_UPPER)]
            flags = pci.parse_int(host.text(f"{_NET}/{name}/flags"))
            up = None if flags is None else bool(flags & _IFF_UP)
            found[name] = Interface(name, up, tuple(dict.fromkeys([*filter(None, [master]), *uppers])))
            pending += found[name].uppers
    return found


def _read_addresses(host: Host) -> Reading:
    try:
        return Reading(text=host.run(LIST_ADDRESSES).out)
    except CommandError as error:
        return Reading(why=error.message.rstrip("."))


def _read_rdma(host: Host, places: Places) -> tuple[dict[str, tuple[str, ...]], str]:
    """Return the RDMA devices of each address whose link is active, each with its port."""
    things, why = read_things(host, _RDMA)
    active: dict[str, tuple[str, ...]] = {}
    for address, own in places.sort(things).items():
        ports = [(thing, port) for thing in own for port in host.listdir(f"{thing.path}/ports")]
        active[address] = tuple(
            f"{thing.name} port {port}"
            for thing, port in ports
            if _ACTIVE_PORT in (host.text(f"{thing.path}/ports/{port}/state") or _ACTIVE_PORT)
        )
    return active, why


def _hidden(snapshot: pci.PciSnapshot, addresses: t.Iterable[str]) -> dict[str, str]:
    """Return the driver of each network card that works and shows nothing: its interface may be elsewhere."""
    found = {}
    for address in addresses:
        device = snapshot.devices.get(address)
        driver = device.driver if device and (device.class_code or "").startswith(_NETWORK_CLASS) else None
        if driver and not driver.startswith(_PASSIVE) and "vfio" not in driver:
            found[address] = driver
    return found


def parse_network(raw: RawNetwork, address: str) -> tuple[Use, ...]:
    """Say what uses the network interfaces of ``address``."""
    if raw.why:
        return (Use(NETWORK, f"cannot be told: {raw.why}"),)
    lines = [line for name in raw.owned.get(address, ()) for line in _told(name, raw)]
    lines += [f"the RDMA link of {port} is active" for port in raw.rdma.get(address, ())]
    if address in raw.hidden:
        lines.append(
            f"cannot be told: {raw.hidden[address]} drives it and shows no interface here, "
            "so it may be in another network namespace"
        )
    return tuple(Use(NETWORK, line) for line in lines)


def _told(name: str, raw: RawNetwork) -> list[str]:
    """Say what goes through one interface, the most important first."""
    family = _family(name, raw)
    lines = [f"{_as_part(name, carrier)} {what}" for carrier in family for what in _carries(carrier, raw)]
    uppers = raw.interfaces[name].uppers
    if uppers:
        lines.append(f"{name} is part of {', '.join(uppers)}")
    return lines or _doubts(name, raw)


def _as_part(name: str, carrier: str) -> str:
    return name if name == carrier else f"{name} is part of {carrier}, which"


def _family(name: str, raw: RawNetwork) -> list[str]:
    """Return the interface and everything that is built on it."""
    found: list[str] = []
    pending = [name]
    while pending:
        current = pending.pop(0)
        if current in raw.interfaces and current not in found:
            found.append(current)
            pending += raw.interfaces[current].uppers
    return found


def _carries(name: str, raw: RawNetwork) -> list[str]:
    routes = [
        route for route in tables.parse_routes(*(had.text or "" for had in raw.routes)) if route.name == name
    ]
    defaults = sorted({route.family for route in routes if route.default})
    addresses = _addresses(raw).get(name, ())
    told = [f"has the default route ({', '.join(defaults)})"] if defaults else []
    # Every interface that is up has a link-local address, and that says nothing, unless somebody came through it.
    local = tables.parse_addresses6(raw.addresses6.text or "", link_local=True).get(name, ())
    if {*addresses, *local} & _ssh_ends(raw):
        told.append("carries an SSH connection")
    if addresses:
        told.append(f"has the address {', '.join(addresses)}")
    elif routes and not defaults:
        told.append("has a route")
    return told


def _addresses(raw: RawNetwork) -> dict[str, tuple[str, ...]]:
    asked = tables.parse_addresses(raw.addresses.text or "") or {}
    listed = tables.parse_addresses6(raw.addresses6.text or "")
    names = dict.fromkeys([*asked, *listed])
    return {name: tuple(dict.fromkeys([*asked.get(name, ()), *listed.get(name, ())])) for name in names}


def _ssh_ends(raw: RawNetwork) -> set[str]:
    """Return the addresses of this host that SSH connections end at."""
    session = tables.parse_session(raw.session)
    texts = [had.text or "" for had in raw.sockets]
    ends = tables.parse_established(texts, {tables.SSH_PORT, *([session.port] if session else [])})
    return ends | ({session.address} if session else set())


def _doubts(name: str, raw: RawNetwork) -> list[str]:
    """Say what could not be read about an interface on which nothing was found, unless it is down."""
    if all(raw.interfaces[member].up is False for member in _family(name, raw)):
        return []
    unread = [had.why for had in (*raw.routes, raw.addresses6) if had.unknown]
    if tables.parse_addresses(raw.addresses.text or "") is None:
        unread.append(
            raw.addresses.why or f"{' '.join(LIST_ADDRESSES)} answered in another form than expected"
        )
    if raw.interfaces[name].up is None:
        unread.append(f"{_NET}/{name}/flags")
    return [f"cannot be told whether {name} is in use: {why}" for why in unread]
