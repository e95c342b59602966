# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What a host says of its packet filter: tables, block lists, who calls, who else filters."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.backend import LEGACY, NAMES, Backend
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    BLOCK_SETS,
    FAMILIES,
    Caller,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import owner_of
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

# One process of ours for all: what it costs is paid in every run, also in those that change nothing.
_READ = """\
one() {
    echo "= $1"
    # Only root may look. To anybody else every table would be empty.
    if [ -n "$3" ] && [ -e "$3" ] && ! [ -r "$3" ]; then echo "$3 cannot be read" >&2; exit 77; fi
    # Asking the legacy tool for a table that is not there makes it.
    if [ -n "$3" ] && ! grep -qx filter "$3"; then return; fi
    # A kernel that was started without IPv6 has no tables of it.
    if [ "$1" = table6 ] && ! [ -e /proc/net/if_inet6 ]; then return; fi
    "$2-save" -t filter || exit
}
one table4 "$1" "$3"
one table6 "$2" "$4"
shift 4
command -v ipset >/dev/null || exit 0
for name; do
    echo "= set${name##*k}"
    # Of one that is not there, it says so and fails.
    ipset -q save "$name"
done
exit 0
"""


@dataclasses.dataclass(frozen=True)
class Kernel:
    """By family, the text of ``iptables-save -t filter`` and of ``ipset save`` of our block list; empty for none."""

    tables: t.Mapping[int, str]
    sets: t.Mapping[int, str]


def read_kernel(host: Host, backend: Backend) -> Kernel:
    """Read both tables and both block lists.

    :raises CommandError: a tool failed.
    """
    names = [NAMES[family] if backend.kind == LEGACY else "" for family in FAMILIES]
    argv = ("sh", "-c", _READ, "sh", backend.tool4, backend.tool6, *names, *BLOCK_SETS.values())
    done = host.run(argv, check=False)
    if done.rc != 0:
        raise CommandError(
            f"The tables cannot be read: {done.err.strip() or f'status {done.rc}'}.",
            remedy=f"run the task as root (become: true), or see what {backend.tool4}-save says",
        )
    parts = dict(_parts(done.out))
    return Kernel(
        {family: parts.get(f"table{family}", "") for family in FAMILIES},
        {family: parts.get(f"set{family}", "") for family in FAMILIES},
    )


def read_tables(host: Host, backend: Backend) -> t.Mapping[int, str]:
    """Read both tables only.

    :raises CommandError: a tool failed.
    """
    return read_kernel(host, backend).tables


def _parts(out: str) -> t.Iterator[tuple[str, str]]:
    for part in f"\n{out}".split("\n= ")[1:]:
        name, _newline, text = part.partition("\n")
        yield name, text


# --- block lists -----------------------------------------------------------------------------

_OWN_BUSINESS = re.compile(r" (hashsize|bucketsize) \d+| initval 0x[0-9a-f]+")


def plain_set(text: str) -> str:
    """Return the text of a block list without what the kernel makes up, its members in order. Pure."""
    lines = {_OWN_BUSINESS.sub("", line).strip() for line in text.splitlines()}
    return "".join(f"{line}\n" for line in sorted(lines - {""}, key=lambda line: (line[:1] != "c", line)))


# --- who calls -------------------------------------------------------------------------------

_GENERATIONS = 64
_VARIABLE = "SSH_CONNECTION"


def read_caller(host: Host, pid: int | None = None) -> Caller | None:
    """Return the SSH connection that this process was started over; ``None`` when there is none to be seen.

    sudo takes the variable away; an older process still has it.

    :param pid: where to begin; this process when it is left out.
    """
    said = host.environ(_VARIABLE) if pid is None else None
    return parse_connection(said or _inherited(host, os.getppid() if pid is None else pid))


def _inherited(host: Host, pid: int) -> str:
    for _generation in range(_GENERATIONS):
        if pid < 1:
            break
        words = (host.read_bytes(f"/proc/{pid}/environ") or b"").decode(errors="replace").split("\0")
        said = next((word for word in words if word.startswith(f"{_VARIABLE}=")), "")
        if said:
            return said.partition("=")[2]
        # The name of a program, in brackets, may hold anything.
        fields = (host.text(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
        pid = int(fields[1]) if len(fields) > 1 else 0
    return ""


def parse_connection(said: str) -> Caller | None:
    """Read ``SSH_CONNECTION``: client, its port, server, its port; ``None`` when it is no such thing. Pure."""
    words = said.split()
    if len(words) != 4 or not words[1].isdecimal() or not words[3].isdecimal():
        return None
    # A link-local address has its interface behind it.
    return Caller(words[0].partition("%")[0], words[2].partition("%")[0], int(words[3]))


# --- who else filters ------------------------------------------------------------------------

_UNITS = "/etc/systemd/system"
_ACTIVE = "/run/systemd/units/invocation:"
"""systemd keeps such a link as long as a unit is not inactive (``unit_notify`` in its source)."""
_UFW = "/etc/ufw/ufw.conf"
_FROZEN = ("/etc/iptables/rules.v4", "/etc/iptables/rules.v6")


@dataclasses.dataclass(frozen=True)
class OtherFirewall:
    """Something else that loads rules: now, or at the next boot.

    ``frozen`` names the owners of chains that it has saved and will bring back as they were then.
    """

    name: str
    running: bool
    enabled: bool
    frozen: tuple[str, ...] = ()


def read_other_firewalls(host: Host) -> tuple[OtherFirewall, ...]:
    """Look for other firewalls, in files only."""
    wanted = _wanted(host)
    found = [
        OtherFirewall(
            name,
            host.exists(f"{_ACTIVE}{name}.service"),
            f"{name}.service" in wanted,
            _frozen(host) if name == "netfilter-persistent" else (),
        )
        for name in ("firewalld", "nftables", "netfilter-persistent", "iptables", "ip6tables")
    ]
    # Its unit is active on every host that has it installed; whether it does anything is in its own file.
    if re.search(r"(?mi)^\s*ENABLED\s*=\s*[\"']?yes", host.text(_UFW) or ""):
        found.insert(0, OtherFirewall("ufw", True, True))
    return tuple(other for other in found if other.running or other.enabled)


def _wanted(host: Host) -> frozenset[str]:
    """Return the units that are enabled, but for masked ones."""
    folders = [name for name in host.listdir(_UNITS) if name.endswith((".wants", ".requires"))]
    units = {unit for folder in folders for unit in host.listdir(f"{_UNITS}/{folder}")}
    return frozenset(unit for unit in units if host.target(f"{_UNITS}/{unit}") != "/dev/null")


def _frozen(host: Host) -> tuple[str, ...]:
    chains = re.findall(r"(?m)^:(\S+) ", "\n".join(host.text(path) or "" for path in _FROZEN))
    return tuple(sorted({owner for owner in map(owner_of, chains) if owner}))
