# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What the host has on a network device, and what it takes to have it on another one."""

from __future__ import annotations

import dataclasses
import typing as t

Words = tuple[str, ...]
"""Arguments of ``ip``, without the verb."""

_NAMERS = ("dev", "iif", "oif")


def renamed(words: Words, old: str, new: str) -> Words:
    """Return the words with a device's name replaced where a device is named. Pure."""
    return tuple(
        new if word == old and before in _NAMERS else word for before, word in zip(("", *words), words)
    )


@dataclasses.dataclass(frozen=True)
class Address:
    """An address of a device.

    ``words`` say all of it but the device, its label and how long it lives. ``label`` is what follows the device's name
    in the label. ``route`` is what the kernel makes of it by itself, as network, source and metric. ``fleeting`` tells
    that a router's advertisement made it: it comes and goes. ``nth`` is its place when all are added one by one.
    """

    family: int
    local: str
    words: Words
    label: str = ""
    route: Words = ()
    fleeting: bool = False
    lifetimes: Words = dataclasses.field(default=(), compare=False)
    nth: int = dataclasses.field(default=0, compare=False)


@dataclasses.dataclass(frozen=True)
class Route:
    """A route. ``own`` is false for one of another device that only uses one of our addresses as its source."""

    family: int
    words: Words
    own: bool = True
    fleeting: bool = False
    expires: Words = dataclasses.field(default=(), compare=False)
    nth: int = dataclasses.field(default=0, compare=False)

    @property
    def direct(self) -> bool:
        """Tell whether no other route must be there first."""
        return "via" not in self.words


@dataclasses.dataclass(frozen=True)
class Rule:
    """A policy rule that names the device."""

    family: int
    words: Words


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """A neighbour of the device; ``permanent`` when a person said so, else what the kernel has learned."""

    words: Words
    permanent: bool = False


@dataclasses.dataclass(frozen=True)
class Client:
    """A DHCP client that runs for the device."""

    pid: int
    argv: Words


@dataclasses.dataclass(frozen=True)
class Passing:
    """What comes and goes by itself: moved too, so that nothing stops, but never compared."""

    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()


@dataclasses.dataclass(frozen=True)
class Capture:
    """All of the host that hangs on one device.

    Two are equal when neither the network nor the host can tell them apart. ``sysctls`` are by their path below
    ``/proc/sys/net``, with ``%`` for the device. ``unknown`` says what cannot be moved faithfully, ``children`` what
    would be cut off.
    """

    device: str
    mac: str = ""
    up: bool = False
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    sysctls: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    passing: Passing = dataclasses.field(default=Passing(), compare=False)
    clients: tuple[Client, ...] = dataclasses.field(default=(), compare=False)
    mtu: int = dataclasses.field(default=0, compare=False)
    index: int = dataclasses.field(default=0, compare=False)
    kind: str = dataclasses.field(default="", compare=False)
    master: str = dataclasses.field(default="", compare=False)
    children: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    unknown: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    @property
    def carries(self) -> bool:
        """Tell whether there is anything to move: an address that is more than the link's own, or a route."""
        addresses = [one for one in self.every_address if not one.local.startswith("fe80:")]
        return bool(addresses) or any(route.own for route in self.every_route)

    @property
    def every_address(self) -> tuple[Address, ...]:
        """The addresses in the order in which adding them gives what was found."""
        return tuple(sorted(self.addresses + self.passing.addresses, key=lambda one: (one.family, one.nth)))

    @property
    def every_route(self) -> tuple[Route, ...]:
        """The routes in an order in which each can be added: what needs no gateway first."""
        routes = self.routes + self.passing.routes
        return tuple(sorted(routes, key=lambda one: (not one.direct, one.family, one.nth)))

    def on(self, device: str) -> Capture:
        """Return the same on another device. Pure."""
        old = self.device
        passing = self.passing
        return dataclasses.replace(
            self,
            device=device,
            routes=_moved(self.routes, old, device),
            rules=_moved(self.rules, old, device),
            passing=dataclasses.replace(passing, routes=_moved(passing.routes, old, device)),
        )


_Named = t.TypeVar("_Named", Route, Rule)


def _moved(items: tuple[_Named, ...], old: str, new: str) -> tuple[_Named, ...]:
    named = [dataclasses.replace(one, words=renamed(one.words, old, new)) for one in items]
    return in_order(named)


def in_order(items: t.Iterable[_Named]) -> tuple[_Named, ...]:
    """Sort routes or rules in the one order in which captures hold them. Pure."""
    return tuple(sorted(items, key=lambda one: (one.family, one.words)))


@dataclasses.dataclass(frozen=True)
class Move:
    """A POSIX sh script that moves all of a capture, and what is on the new device then."""

    script: str
    after: Capture


# Who configures a device.
NETPLAN, NETWORK_MANAGER, NETWORKD, IFUPDOWN = "netplan", "networkmanager", "networkd", "ifupdown"
MANAGERS = (NETPLAN, NETWORK_MANAGER, NETWORKD, IFUPDOWN)


@dataclasses.dataclass(frozen=True)
class Owner:
    """Who configures a device: one of ``MANAGERS``, or an empty name for nobody.

    ``texts`` are the files that say how, in the order in which they are read, ``lease`` is what networkd noted of a
    DHCP server, ``servers`` are those that NetworkManager asks for names on behalf of the device.
    """

    name: str = ""
    texts: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    lease: str = ""
    servers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Persistence:
    """Files that have the same after a reboot; a content of ``None`` is a file that must not be there.

    ``runtime`` are files that hold until the next reboot only: the manager keeps its hands off the old device as long
    as nobody has confirmed the move. ``release`` has it let go before the move, ``reload`` tells it afterwards.
    ``check`` prints something when the files make sense, and ``settle`` is what a shell does once they are in place
    and the host is not just starting.
    """

    manager: str
    device: str
    bridge: str
    files: t.Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    modes: t.Mapping[str, int] = dataclasses.field(default_factory=dict)
    runtime: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    release: str = ""
    reload: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    settle: str = ""
    warnings: tuple[str, ...] = ()
