# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Have ifupdown give the bridge what it gave the card. Pure.

The stanzas themselves are carried over, so nothing of what a person wrote there is lost; in their files they become
comments. Neither ``ovs_type`` nor ``allow-ovs`` is used: the switch keeps ports by itself, no unit of Debian 12 brings
up what is allowed for ``ovs`` only, and taking such a bridge down removes it with the ports of all guests.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet import interfaces
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import (
    IFUPDOWN,
    Capture,
    Owner,
    Persistence,
)

_METHODS = ("static", "dhcp", "manual", "auto")
_COMMANDS = ("pre-up", "up", "post-up", "pre-down", "down", "post-down")
_OF_THE_CARD = ("mtu", "hwaddress")
_OF_THE_CARD_TOO = ("ethtool-", "link-", "offload-", "driver-", "hardware-")
_NO_PLAIN_CARD = ("wpa-", "wireless-", "bond-", "bridge_", "bridge-", "vlan", "ovs_", "vrf", "macvlan")

_OWN = """\
# Written by hearth.gpu_host: {nic} is a port of the bridge {bridge} of Open vSwitch, which has what {nic} had.
# hearth:{bridge} nic={nic}
{start}iface {nic} inet manual
{options}    up ip link set dev $IFACE up
    down ip link set dev $IFACE down

auto {bridge}
{stanzas}"""
# The switch is started before ifupdown, but nothing says that it has made the bridge by then.
_WAIT = "pre-up n=0; until [ -e /sys/class/net/{bridge} ] || [ $n -ge 100 ]; do sleep 0.1; n=$((n+1)); done"
_SETTLE = """\
state=/run/network/ifstate
if [ -e $state ]; then
    grep -qx '{nic}={nic}' $state || echo '{nic}={nic}' >> $state
    grep -qx '{bridge}={bridge}' $state || echo '{bridge}={bridge}' >> $state
fi
"""


def own_path(bridge: str) -> str:
    """Return the file in which a bridge and its card are configured. ``source-directory`` takes no dots."""
    return f"/etc/network/interfaces.d/hearth-{re.sub('[^A-Za-z0-9_-]', '_', bridge)}"


def persist_ifupdown(owner: Owner, capture: Capture, bridge: str, nic: str) -> Persistence:
    """Return the files of ifupdown for a card whose stanzas ``owner`` has.

    :raises Refusal: the stanzas are of a kind that cannot be carried over.
    """
    texts = {path: interfaces.switched_on(text, bridge) for path, text in owner.texts.items()}
    texts.pop(own_path(bridge), None)
    stanzas = [one for text in texts.values() for one in interfaces.stanzas_of(text, nic)]
    _refuse(texts, stanzas, nic)
    started = any(interfaces.is_started(text, nic) for text in texts.values())
    own = _OWN.format(
        nic=nic,
        bridge=bridge,
        start="" if started else f"auto {nic}\n",
        options="".join(f"    {line}\n" for line in _options(stanzas, nic, for_card=True)),
        stanzas="".join(_carried(stanzas, bridge, nic) if stanzas else _made(capture, bridge)),
    )
    files: dict[str, str | None] = {own_path(bridge): own}
    for path, text in texts.items():
        changed = interfaces.switched_off(text, nic, bridge)
        if path == interfaces.MAIN and not _is_included(texts[path], bridge):
            changed = interfaces.with_source(changed, own_path(bridge), bridge)
        if changed != text:
            files[path] = changed
    return Persistence(
        IFUPDOWN,
        nic,
        bridge,
        files,
        check=("ifquery", bridge),
        settle=_SETTLE.format(nic=nic, bridge=bridge),
        warnings=_lost(own, capture),
    )


def _refuse(texts: t.Mapping[str, str], stanzas: t.Sequence[interfaces.Stanza], nic: str) -> None:
    odd = [line for text in texts.values() for line in interfaces.oddities(text, nic)]
    for stanza in stanzas:
        if stanza.words[3:4] and stanza.words[3] not in _METHODS:
            odd.append(" ".join(stanza.words))
        odd += [name for name, _value in stanza.options if name.startswith(_NO_PLAIN_CARD)]
    if odd:
        raise Refusal(
            f"How ifupdown configures {nic} cannot be carried over to a bridge: {'; '.join(odd)}.",
            remedy=f"write a plain stanza 'iface {nic} inet static' (or dhcp), or use host_network.persist: none and"
            " configure the bridge by hand",
        )


def _is_included(text: str, bridge: str) -> bool:
    folder, name = own_path(bridge).rsplit("/", 1)
    return bool(interfaces.included(interfaces.MAIN, text, lambda path: [name] if path == folder else []))


def _options(stanzas: t.Sequence[interfaces.Stanza], nic: str, for_card: bool) -> list[str]:
    lines = [
        f"{name} {value}"
        for one in stanzas
        for name, value in one.options
        if _is_cards(name, value) == for_card
    ]
    return list(dict.fromkeys(lines))


def _is_cards(name: str, value: str) -> bool:
    if name in _COMMANDS:
        return "ethtool" in value
    return name in _OF_THE_CARD or name.startswith(_OF_THE_CARD_TOO)


def _carried(stanzas: t.Sequence[interfaces.Stanza], bridge: str, nic: str) -> t.Iterator[str]:
    name = re.compile(rf"(?<![\w.-]){re.escape(nic)}(?![\w-])")
    for number, stanza in enumerate(stanzas):
        words = ("iface", bridge, *stanza.words[2:])
        lines = [name.sub(bridge, line) for line in _options([stanza], nic, for_card=False)]
        yield _stanza(words, lines, bridge, first=number == 0)


def _made(capture: Capture, bridge: str) -> t.Iterator[str]:
    """Nobody wrote anything down: what is there now is written."""
    there = capture.on(bridge)
    first = True
    for family, name in ((4, "inet"), (6, "inet6")):
        lines = [f"up ip address replace {' '.join(one.words)} dev {bridge}" for one in there.addresses
                 if one.family == family and not one.local.startswith("fe80:")]  # fmt: skip
        lines += [
            f"up ip -{family} route append {' '.join(one.words)}"
            for one in there.routes
            if one.family == family
        ]
        lines += [
            f"up ip -{family} rule add {' '.join(one.words)} || true"
            for one in there.rules
            if one.family == family
        ]
        if lines:
            yield _stanza(
                ("iface", bridge, name, "manual"), ["up ip link set dev $IFACE up", *lines], bridge, first
            )
            first = False


def _stanza(words: t.Sequence[str], lines: t.Sequence[str], bridge: str, first: bool) -> str:
    wait = [_WAIT.format(bridge=bridge)] if first else []
    return "".join([" ".join(words), "\n", *(f"    {line}\n" for line in (*wait, *lines))])


def _lost(own: str, capture: Capture) -> tuple[str, ...]:
    lost = [
        one.local
        for one in capture.addresses
        if not one.lifetimes
        and not one.local.startswith("fe80:")
        and not re.search(rf"(?m)\b{re.escape(one.local)}(?![\w:.])", own)
    ]
    dynamic = re.search(r"(?m)^iface \S+ (inet dhcp|inet6 (dhcp|auto))", own)
    if not lost or (dynamic and len(lost) == len(capture.addresses)):
        return ()
    return (f"{', '.join(lost)} will be gone after a reboot, as before: no file of ifupdown has it.",)
