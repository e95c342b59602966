# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What the scripts are made of: lines for ``ip -batch``, and shell functions. Pure."""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import (
    Address,
    Capture,
    Client,
    Neighbour,
    Route,
    Words,
)

FUNCTIONS = r"""
# put SETTING VALUE: without a file there is nothing to set, and an equal value is no reason to start anything.
put() {
    [ -e "/proc/sys/net/$1" ] || return 0
    [ "$(cat "/proc/sys/net/$1" 2> /dev/null)" = "$2" ] || { echo "$2" > "/proc/sys/net/$1"; } 2> /dev/null
}

# settled DEVICE: wait until its addresses of IPv6 can be used.
settled() {
    patience=30
    while [ -n "$(ip -6 -o address show dev "$1" tentative)" ] && [ $patience -gt 0 ]; do
        sleep 0.1
        patience=$((patience - 1))
    done
}

# client NAME 'COMMAND LINE ': print the pid of this DHCP client, in this network namespace only.
client() {
    for found in $(grep -lx "$1" /proc/[0-9]*/comm 2> /dev/null); do
        found=${found%/comm}
        [ "$found/ns/net" -ef /proc/self/ns/net ] || continue
        [ "$(tr '\0' ' ' < "$found/cmdline")" != "$2" ] || echo "${found#/proc/}"
    done
}

# Not asked to end: it would take the address away, or give the lease back.
stop_client() {
    for pid in $(client "$1" "$2"); do kill -9 "$pid" 2> /dev/null; done
}

start_client() {
    name=$1 line=$2
    shift 2
    [ -z "$(client "$name" "$line")" ] || return 0
    ( cd / && setsid "$@" < /dev/null > /dev/null 2>&1 & )
}
"""


def settings(capture: Capture, device: str, quick: bool = True) -> str:
    """Return the lines that give a device the settings of a capture.

    :param quick: have new addresses of IPv6 usable at once: they are no new ones on this wire.
    """
    wanted = {**capture.sysctls, **({"ipv6/conf/%/accept_dad": "0"} if quick else {})}
    return "".join(_put(name, device, value) for name, value in wanted.items())


def final_settings(capture: Capture, device: str) -> str:
    """Return the lines that end what ``settings`` had to have otherwise for a moment."""
    return _put("ipv6/conf/%/accept_dad", device, capture.sysctls.get("ipv6/conf/%/accept_dad", "1"))


def _put(name: str, device: str, value: str) -> str:
    return f"put {shlex.quote(name.replace('%', device))} {shlex.quote(value)}\n"


def batch(lines: t.Iterable[str], options: str = "") -> str:
    """Return the command that has ``ip`` do these lines, each even if one before failed."""
    lines = list(lines)
    if not lines:
        return ""
    return "".join([f"ip {options}-force -batch - <<'END'\n", *(f"{line}\n" for line in lines), "END\n"])


def address_lines(capture: Capture, device: str) -> list[str]:
    """Return what gives a device the addresses of a capture."""
    return [f"address replace {_address(one, device)}" for one in capture.every_address]


def address_drops(capture: Capture, device: str) -> list[str]:
    """Return what takes the addresses of a capture off a device, and no others."""
    # The kernel leaves the network of an address of IPv6 behind that would have ended by itself.
    stale = {one.route[0] for one in capture.every_address if one.family == 6 and one.route and one.lifetimes}
    return [
        *(f"address delete {' '.join(_bare(one))} dev {device}" for one in capture.every_address),
        *(f"route delete {network} proto kernel dev {device}" for network in sorted(stale)),
    ]


def _address(one: Address, device: str) -> str:
    words = (*one.words, *(("label", device + one.label) if one.family == 4 else ()), *one.lifetimes)
    return f"{' '.join(words)} dev {device}"


def _bare(one: Address) -> Words:
    return one.words[:3] if "peer" in one.words else one.words[:1]


def route_lines(capture: Capture) -> list[str]:
    """Return what adds the routes of a capture; one that is there already stays alone."""
    return [f"route append {' '.join(_explicit(one))}" for one in capture.every_route if not _is_late(one)]


def route_drops(capture: Capture) -> list[str]:
    """Return what deletes the routes of a capture: those of IPv6 stay when the addresses go."""
    return [f"route delete {' '.join(_explicit(one))}" for one in capture.every_route if one.own]


def late_routes(capture: Capture) -> str:
    """Return the commands that add routes of IPv6 with a source: the kernel takes a moment before it is a valid one."""
    lines = [f"route append {' '.join(_explicit(one))}" for one in capture.every_route if _is_late(one)]
    return f"settled {capture.device}\n{batch(lines)}" if lines else ""


def _is_late(one: Route) -> bool:
    return one.family == 6 and "src" in one.words


def rules(capture: Capture, verb: str) -> str:
    """Return the commands that add or delete the rules of a capture: their family is an option of ``ip``."""
    commands = ""
    for family in (4, 6):
        lines = [f"rule {verb} {' '.join(one.words)}" for one in capture.rules if one.family == family]
        commands += batch(lines, f"-{family} ")
    return commands


def _explicit(one: Route) -> t.Iterator[str]:
    """A line of a batch has no place for the family: it must follow from the words."""
    everything = "0.0.0.0/0" if one.family == 4 else "::/0"
    for word in (*one.words, *one.expires):
        yield everything if word == "default" else word


def neighbour_lines(capture: Capture, device: str) -> list[str]:
    """Return what tells a device its neighbours, so that the first packet need not ask."""
    every: tuple[Neighbour, ...] = (*capture.neighbours, *capture.passing.neighbours)
    return [f"neigh replace {' '.join(one.words)} dev {device}" for one in every]


def stops(clients: t.Iterable[Client]) -> str:
    """Return the lines that stop DHCP clients."""
    return "".join(f"stop_client {_which(one.argv)}\n" for one in clients)


def starts(clients: t.Iterable[Client]) -> str:
    """Return the lines that start DHCP clients, unless they run."""
    return "".join(f"start_client {_which(one.argv)} {shlex.join(one.argv)}\n" for one in clients)


def takeovers(clients: t.Iterable[Client], old: str, new: str) -> str:
    """Return the lines that start the same clients for another device, with the leases of the old one."""
    return "".join(_leases(one, old, new) + starts([client_on(one, old, new)]) for one in clients)


def client_on(client: Client, old: str, new: str) -> Client:
    """Return a client as it is started for another device."""
    return Client(0, tuple(_spoken(word, old, new) for word in client.argv))


def _leases(client: Client, old: str, new: str) -> str:
    lines = []
    for word in client.argv:
        other = _spoken(word, old, new)
        if word.startswith("/") and "lease" in word and other != word:
            here, there = shlex.quote(word), shlex.quote(other)
            edit = shlex.quote(f's/interface "{old}"/interface "{new}"/')
            lines.append(f"[ ! -f {here} ] || sed {edit} {here} > {there}\n")
    return "".join(lines)


def _spoken(word: str, old: str, new: str) -> str:
    """Return a word with the name of a device in it replaced, such as the name of a file of leases."""
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(old)}(?![A-Za-z0-9])", lambda _found: new, word)


def _which(argv: Words) -> str:
    return f"{shlex.quote(argv[0].rpartition('/')[2])} {shlex.quote(''.join(f'{word} ' for word in argv))}"
