# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Read all of the host that hangs on a network device: one process, and only the namespace that it runs in."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Capture, Client
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.parse import Said, parse_capture

SYSCTLS4 = (
    "forwarding",
    "rp_filter",
    "arp_ignore",
    "arp_announce",
    "arp_filter",
    "arp_accept",
    "proxy_arp",
    "accept_local",
    "accept_redirects",
    "send_redirects",
    "secure_redirects",
    "accept_source_route",
    "src_valid_mark",
    "promote_secondaries",
    "route_localnet",
    "log_martians",
)
SYSCTLS6 = (
    "disable_ipv6",
    "forwarding",
    "addr_gen_mode",
    "accept_ra",
    "accept_ra_defrtr",
    "accept_ra_pinfo",
    "accept_ra_rtr_pref",
    "accept_ra_rt_info_max_plen",
    "autoconf",
    "use_tempaddr",
    "accept_redirects",
    "accept_source_route",
    "accept_dad",
    "dad_transmits",
    "proxy_ndp",
    "keep_addr_on_down",
)
SETTINGS = (*(f"ipv4/conf/%/{name}" for name in SYSCTLS4), *(f"ipv6/conf/%/{name}" for name in SYSCTLS6))
"""Per-device settings below ``/proc/sys/net`` that change what the host does; ``%`` is the device."""

_PROC = "/proc/sys/net/"

# /sys shows the namespace that it was mounted in, /proc/sys/net that of the reader: hence the shell.
_READ = """\
device=$1
shift
one() {
    echo "= $1"
    shift
    "$@" || exit
    echo
}
one links ip -N -j -d address
one routes4 ip -N -j -d -4 route show table all
one routes6 ip -N -j -d -6 route show table all
one rules4 ip -N -j -d -4 rule
one rules6 ip -N -j -d -6 rule
if [ -n "$(ip -o link show dev "$device" 2> /dev/null)" ]; then one neighbours ip -j neigh show dev "$device"; fi
echo '= sysctls'
# One read each: the kernel gives such a file whole or not at all, which the shell's own read does not stand.
grep -H '' "$@" 2> /dev/null
for file in $(grep -lxE 'dhclient|dhcpcd|udhcpc' /proc/[0-9]*/comm 2> /dev/null); do
    [ "${file%/comm}/ns/net" -ef /proc/self/ns/net ] || continue
    pid=${file#/proc/}
    echo "= client ${pid%/comm}"
    tr '\\0' '\\n' < "${file%/comm}/cmdline"
done
exit 0
"""


def capture(host: Host, device: str) -> Capture:
    """Return all that hangs on a network device.

    :raises Refusal: there is no such device.
    :raises CommandError: ``ip`` is missing or failed.
    """
    found = read_capture(host, device)
    if found is None:
        raise Refusal(
            f"There is no network device {device} on this host.", remedy="see which there are: ip -br link"
        )
    return found


def read_capture(host: Host, device: str) -> Capture | None:
    """Return the same, or ``None`` when there is no such device."""
    files = (_PROC + name.replace("%", device) for name in SETTINGS)
    return parse_read(host.run(("sh", "-c", _READ, "sh", device, *files)).out, device)


def parse_read(out: str, device: str) -> Capture | None:
    """Turn what the reader printed into a capture. Pure."""
    parts = dict(_parts(out))
    said = Said(
        links=parts["links"],
        routes={4: parts["routes4"], 6: parts["routes6"]},
        rules={4: parts["rules4"], 6: parts["rules6"]},
        neighbours=parts.get("neighbours", ""),
        sysctls=dict(_settings(parts["sysctls"], device)),
    )
    found = parse_capture(said, device)
    clients = [_client(name, text) for name, text in parts.items() if name.startswith("client ")]
    return found and _with_clients(found, clients)


def _parts(out: str) -> t.Iterator[tuple[str, str]]:
    for part in f"\n{out}".split("\n= ")[1:]:
        name, _newline, text = part.partition("\n")
        yield name, text.strip()


def _settings(text: str, device: str) -> t.Iterator[tuple[str, str]]:
    for line in text.splitlines():
        path, _colon, value = line.rpartition(":")
        yield path[len(_PROC) :].replace(f"/{device}/", "/%/"), value


def _client(name: str, text: str) -> Client:
    return Client(int(name.rpartition(" ")[2]), tuple(text.split("\n")))


def _with_clients(found: Capture, clients: t.Iterable[Client]) -> Capture:
    own = [one for one in clients if found.device in one.argv]
    # dhcpcd without a device on its command line configures whatever it meets, the bridge too.
    stray = [one for one in clients if one not in own and _is_for_all(one)]
    notes = [f"a DHCP client for every device: {' '.join(one.argv)}" for one in stray]
    return dataclasses.replace(found, clients=tuple(own), unknown=(*found.unknown, *notes))


def _is_for_all(client: Client) -> bool:
    words = [word for word in client.argv[1:] if not word.startswith("-")]
    return client.argv[0].rpartition("/")[2].startswith("dhcpcd") and not words
