# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Have networkd give the bridge what it gave the card, also when netplan wrote its files. Pure.

Of the first file that matches, by name, a device gets all. So two files of ours that come before any other take card
and bridge over, and no file of anybody is changed: removing ours gives everything back. Netplan goes on writing its
file for the card, which nobody reads then; a file beside netplan's own says so.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import (
    NETPLAN,
    Capture,
    Owner,
    Persistence,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.owners import ORIGINAL

FOLDER = "/etc/systemd/network"

_RUNTIME = "/run/systemd/network"
# By name the first one wins. A letter comes after all digits, so ours begin with some, too.
_PREFIXES = ("00-hearth-", "0-hearth-", "!hearth-")
_OF_THE_BRIDGE = (
    "Network", "Address", "Neighbor", "IPv6AddressLabel", "RoutingPolicyRule", "NextHop", "Route", "DHCPv4", "DHCPv6",
    "DHCPPrefixDelegation", "IPv6AcceptRA", "DHCPServer", "DHCPServerStaticLease", "IPv6SendRA", "IPv6Prefix",
    "IPv6RoutePrefix", "IPv6PREF64Prefix",
)  # fmt: skip
_ONLINE = ("RequiredForOnline", "RequiredFamilyForOnline")
_ON_TOP = (
    "VLAN", "MACVLAN", "MACVTAP", "IPVLAN", "IPVTAP", "VXLAN", "Tunnel", "MACsec", "Bridge", "Bond", "VRF",
    "BatmanAdvanced", "IPoIB", "Xfrm",
)  # fmt: skip
_DEVICES = ("IncomingInterface", "OutgoingInterface")
_HEADER = """\
# Written by hearth.gpu_host: {nic} is a port of the bridge {bridge} of Open vSwitch, which has what {nic} had.
# Changes are overwritten.
# hearth:{bridge} nic={nic}
"""
_CARD = """\
[Match]
Name={nic}

[Link]
{link}RequiredForOnline=no

[Network]
DHCP=no
LinkLocalAddressing=no
IPv6AcceptRA=no
LLDP=no
"""
_NETPLAN = """\
# {nic} is a port of the bridge {bridge} of Open vSwitch. What netplan says of {nic} has no effect any more:
# the bridge has what {nic} had, see {path}.
network:
  version: 2
"""


def card_path(owner: Owner, name: str, folder: str = FOLDER) -> str:
    """Return the file of ours for a device, whose name comes before that of the file which it has now."""
    old = next(iter(owner.texts), "zz").rpartition("/")[2]
    prefix = next((one for one in _PREFIXES if f"{one}{name}.network" < old), "")
    if not prefix:
        raise Refusal(
            f"No name for a file comes before {old}, so nothing can take over from it.",
            remedy=f"rename {old} to 10-{old.lstrip('!')}",
        )
    return f"{folder}/{prefix}{name}.network"


def persist_networkd(owner: Owner, capture: Capture, bridge: str, nic: str) -> Persistence:
    """Return the files of networkd for a card that the file in ``owner`` configures.

    :raises Refusal: the file has something for which the card is needed.
    """
    sections = [one for text in owner.texts.values() for one in _sections(text)]
    _refuse(sections, nic)
    header = _HEADER.format(nic=nic, bridge=bridge)
    header += "".join(f"{ORIGINAL}{path}\n" for path in list(owner.texts)[:1])
    own = {
        nic: header + _card(sections, nic),
        bridge: header + _bridge(sections, owner, capture, bridge, nic),
    }
    files: dict[str, str | None] = {card_path(owner, name): text for name, text in own.items()}
    modes = {}
    if owner.name == NETPLAN:
        notice = f"/etc/netplan/99-hearth-{bridge}.yaml"
        files[notice] = _NETPLAN.format(nic=nic, bridge=bridge, path=card_path(owner, bridge))
        # Netplan complains about files that everybody may read.
        modes[notice] = 0o600
    # What came by DHCP is kept until the bridge has asked for it itself.
    kept = own[bridge].replace("\n[Network]\n", "\n[Network]\nKeepConfiguration=yes\n", 1)
    return Persistence(
        owner.name,
        nic,
        bridge,
        files,
        modes,
        runtime={
            card_path(owner, nic, _RUNTIME): own[nic],
            card_path(owner, bridge, _RUNTIME): kept,
        },
        reload=("networkctl", "reload"),
        warnings=_lost(own[bridge], capture),
    )


_Section = tuple[str, tuple[str, ...]]


def _sections(text: str) -> list[_Section]:
    found: list[tuple[str, list[str]]] = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        plain = line.strip()
        if plain.startswith("[") and plain.endswith("]"):
            found.append((plain[1:-1], []))
        elif plain and not plain.startswith(("#", ";")) and found:
            found[-1][1].append(plain)
    return [(name, tuple(lines)) for name, lines in found]


def _key(line: str) -> str:
    return line.partition("=")[0].strip()


def _refuse(sections: t.Sequence[_Section], nic: str) -> None:
    odd = [line for name, lines in sections if name == "Network" for line in lines if _key(line) in _ON_TOP]
    if odd:
        raise Refusal(
            f"The file of networkd for {nic} has {', '.join(odd)}, which needs the card itself.",
            remedy="make that an internal port of the bridge with a tag, and remove it from the file",
        )


def _card(sections: t.Sequence[_Section], nic: str) -> str:
    link = [line for name, lines in sections if name == "Link" for line in lines if _key(line) not in _ONLINE]
    rest = [one for one in sections if one[0] not in ("Match", "Link", *_OF_THE_BRIDGE)]
    text = _CARD.format(nic=nic, link="".join(f"{line}\n" for line in link))
    return text + _printed(rest)


def _bridge(sections: t.Sequence[_Section], owner: Owner, capture: Capture, bridge: str, nic: str) -> str:
    online = [line for name, lines in sections if name == "Link" for line in lines if _key(line) in _ONLINE]
    made: list[_Section] = [("Match", (f"Name={bridge}",)), *([("Link", tuple(online))] if online else [])]
    made.append(("Network", ("ConfigureWithoutCarrier=yes",)))
    carried = [(name, tuple(_renamed(line, nic, bridge) for line in lines)) for name, lines in sections
               if name in _OF_THE_BRIDGE]  # fmt: skip
    return _printed([*made, *(carried or _from_capture(capture)), *_identity(carried, owner)]).lstrip("\n")


def _renamed(line: str, nic: str, bridge: str) -> str:
    return f"{_key(line)}={bridge}" if _key(line) in _DEVICES and line.endswith(f"={nic}") else line


def _identity(sections: t.Sequence[_Section], owner: Owner) -> list[_Section]:
    """The server knows a client of networkd by a number that is made of the name of the device: keep the old one."""
    known = re.search(r"(?m)^CLIENTID=ff([0-9a-f]{8})", owner.lease)
    if not known or any(_key(line) == "IAID" for _name, lines in sections for line in lines):
        return []
    number = f"IAID={int(known.group(1), 16)}"
    return [("DHCPv4", (number,)), ("DHCPv6", (number,))]


def _from_capture(capture: Capture) -> t.Iterator[_Section]:
    """Nobody wrote anything down: what is there now is written."""
    for address in capture.addresses:
        if not address.local.startswith("fe80:"):
            local = address.words[0] if "peer" not in address.words else address.local
            peer = (f"Peer={address.words[2]}",) if "peer" in address.words else ()
            yield "Address", (f"Address={local}", *peer)
    keys = {"via": "Gateway", "table": "Table", "metric": "Metric", "src": "PreferredSource"}
    for route in capture.routes:
        words = route.words
        pairs = {word: after for word, after in zip(words, words[1:]) if word in keys}
        everything = "0.0.0.0/0" if route.family == 4 else "::/0"
        lines = [f"Destination={everything if words[1] == 'default' else words[1]}"]
        lines += [f"{keys[word]}={value}" for word, value in pairs.items()]
        if route.own and "nexthop" not in words:
            yield "Route", (*lines, *(("GatewayOnLink=yes",) if "onlink" in words else ()))


def _printed(sections: t.Iterable[_Section]) -> str:
    return "".join(f"\n[{name}]\n" + "".join(f"{line}\n" for line in lines) for name, lines in sections)


def _lost(text: str, capture: Capture) -> tuple[str, ...]:
    lost = [
        one.local
        for one in capture.addresses
        if not one.lifetimes
        and not one.local.startswith("fe80:")
        and not re.search(rf"(?<![\w:.]){re.escape(one.local)}(?![\w:.])", text)
    ]
    if not lost:
        return ()
    return (f"{', '.join(lost)} will be gone after a reboot, as before: no file of networkd has it.",)
