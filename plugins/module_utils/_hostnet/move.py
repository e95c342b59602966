# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Move everything from one network device to another: on to a bridge, and back. Pure."""

from __future__ import annotations

import dataclasses
import re
import shlex

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet import batch
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Capture, Move, Persistence

LONGEST_NAME = 15

_OVS = "ovs-system"
# The kernel takes more, but neither a shell nor ip -batch does without quotes of its own kind.
_NAME = re.compile(r"[A-Za-z0-9_.:@-]+")

# All of it is one process, so that a connection that breaks half-way cannot keep the other half from being done.
_MOVE = """\
set -u
trap '' HUP INT PIPE
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
{functions}
ip link show dev {new} > /dev/null || exit 1
{runtime}{settings}{stops}put ipv6/conf/{old}/disable_ipv6 1
{addresses}{routes}{rules}{announce}{neighbours}{late}{final}{takeovers}{reload}exit 0
"""


def plan_move(capture: Capture, bridge: str, persistence: Persistence | None = None) -> Move:
    """Return how everything moves from a network card to the bridge that it is a port of by then.

    :param persistence: what the manager of the card is told to keep its hands off until the next reboot.
    :raises Refusal: something cannot be moved so that it is the same afterwards.
    """
    refuse_unmovable(capture, bridge)
    runtime = "".join(
        _placed(path, text) for path, text in (persistence.runtime if persistence else {}).items()
    )
    reload = f"{shlex.join(persistence.reload)} || true\n" if persistence and persistence.reload else ""
    # On a virtual port this only tells everybody where the addresses are now; a card might start anew.
    announce = (
        f"put ipv4/conf/{bridge}/arp_notify 1\nput ipv6/conf/{bridge}/ndisc_notify 1\n"
        f"ip link set dev {bridge} address {capture.mac}\n"
        f"put ipv4/conf/{bridge}/arp_notify 0\nput ipv6/conf/{bridge}/ndisc_notify 0\n"
    )
    release = persistence.release if persistence else ""
    return _move(capture, bridge, runtime + release, announce, reload)


def plan_back(capture: Capture, nic: str, reload: tuple[str, ...] = ()) -> Move:
    """Return how everything that a bridge has moves back to the card, which the bridge has let go by then.

    :param capture: of the bridge, taken while it was there.
    :raises Refusal: something cannot be moved so that it is the same afterwards.
    """
    refuse_unmovable(capture, nic)
    return _move(capture, nic, "", "", f"{shlex.join(reload)} || true\n" if reload else "")


def refuse_unmovable(capture: Capture, to: str) -> None:
    """Refuse what would be lost, or would be cut off, by a move.

    :raises Refusal: with everything that stands in the way.
    """
    odd = [name for name in (capture.device, to) if not _NAME.fullmatch(name) or name.startswith("-")]
    if odd:
        raise Refusal(f"{odd[0]!r} is no name that a network device should have.", remedy="rename the device")
    if capture.children:
        raise Refusal(
            f"On {capture.device} there are {', '.join(capture.children)}, which get nothing any more once it is a port"
            f" of a bridge.",
            remedy="make them internal ports of the bridge with a tag, and remove them",
        )
    if capture.master not in ("", _OVS):
        raise Refusal(
            f"{capture.device} belongs to {capture.master}, so it cannot belong to a bridge of Open vSwitch.",
            remedy=f"take it out first: ip link set dev {capture.device} nomaster",
        )
    if capture.unknown:
        raise Refusal(
            f"What {capture.device} has cannot be moved faithfully: {'; '.join(capture.unknown)}.",
            remedy="remove that from the device, or move the addresses by hand and use host_network.mode: off",
        )
    labels = [to + one.label for one in capture.addresses if len(to + one.label) > LONGEST_NAME]
    if labels:
        raise Refusal(
            f"The labels {', '.join(labels)} would be longer than {LONGEST_NAME} characters.",
            remedy=f"give the bridge a shorter name, or remove the labels from the addresses of {capture.device}",
        )


def _move(capture: Capture, new: str, runtime: str, announce: str, reload: str) -> Move:
    old, after = capture.device, capture.on(new)
    # The manager may have taken the old device down as it let go, and a port must be up.
    up = [f"link set dev {device} up" for device in (new, old) if capture.up]
    # An argument that ip does not know ends the whole batch, in spite of -force: the addresses have one of their own.
    addresses = [
        *up,
        f"address flush dev {old}",
        *batch.address_lines(capture, new),
    ]
    script = _MOVE.format(
        functions=batch.FUNCTIONS,
        old=old,
        new=new,
        runtime=runtime,
        settings=batch.settings(capture, new),
        stops=batch.stops(capture.clients),
        addresses=batch.batch(addresses),
        routes=batch.batch(batch.route_lines(after)),
        rules=batch.rules(after, "add") + batch.rules(capture, "delete"),
        announce=announce,
        neighbours=batch.batch(batch.neighbour_lines(capture, new)),
        late=batch.late_routes(after),
        final=batch.final_settings(capture, new),
        takeovers=batch.takeovers(capture.clients, old, new),
        reload=reload,
    )
    clients = tuple(batch.client_on(one, old, new) for one in capture.clients)
    return Move(script, dataclasses.replace(after, clients=clients))


def _placed(path: str, text: str) -> str:
    folder = shlex.quote(path.rpartition("/")[0])
    return f"mkdir -p {folder} && printf %s {shlex.quote(text)} > {shlex.quote(path)}\n"
