# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Whether the host's own addresses move on to the bridge or back from it, and how."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet import move as moving
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet import owners, persist
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.capture import capture
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Capture, Move, Persistence
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import Database, Nic, Wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.nics import DEFAULT_ROUTE, SSH
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections import carriers
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_view import view_of
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_host import (
    REQUIRED,
    HostNetworkWish,
)

Nics = t.Mapping[str, Nic]

# What weighs most of what a device can carry.
_WEIGHTS = (SSH, DEFAULT_ROUTE)


@dataclasses.dataclass(frozen=True)
class HostMove:
    """A move of all that hangs on a device: ``nic`` is the device that is, or was, a port of the bridge.

    ``files`` wait in the folder of the guarded change, and ``commit`` puts them in their places; empty where nothing is
    to be kept over a reboot.
    """

    nic: str
    capture: Capture
    script: str
    after: Capture
    persistence: Persistence | None = None
    files: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    commit: str = ""


@dataclasses.dataclass(frozen=True)
class Leftover:
    """Files that give a bridge which goes, or is gone, what a device had; and what gives it back.

    ``files`` and ``commit`` do the same as ``actions`` when a guarded change is confirmed.
    """

    paths: tuple[str, ...]
    actions: tuple[Action, ...]
    files: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    commit: str = ""


@dataclasses.dataclass(frozen=True)
class TellManager(Action):
    """Tell who configures the network that its files are other ones now."""

    manager: str
    script: str

    def describe(self) -> str:
        return f"tell {self.manager}"

    def perform(self, host: Host) -> None:
        host.run(("sh", "-s"), stdin=self.script, check=False)


def read_move(
    host: Host, wish: Wish, network: HostNetworkWish, database: Database, nics: Nics
) -> HostMove | None:
    """Return the move that the task makes, ``None`` where everything is in its place.

    :raises Refusal: it is required and there is nothing to move, or it cannot be as it was afterwards.
    """
    if not wish.present:
        return _read_back(host, wish, network, database, nics)
    nic = carrier(wish, network, database, nics)
    if not nic:
        return None
    found = capture(host, nic)
    kept = _kept(host, network, found, wish.name)
    planned = moving.plan_move(found, wish.name, kept)
    return _staged(host, nic, found, planned, kept)


def carrier(wish: Wish, network: HostNetworkWish, database: Database, nics: Nics) -> str:
    """Return the device whose addresses move on to the bridge, or nothing. Pure.

    :raises Refusal: one must, and there is none.
    """
    listed = (network.nic,) if network.nic else carriers(wish, database, nics)
    found = [name for name in listed if name in nics and nics[name].carries]
    if found:
        return min(found, key=lambda name: weight(nics[name]))
    local = nics.get(wish.name)
    if network.mode == REQUIRED and not (local and local.carries):
        there = [f"{nic.name} carries {', '.join(nic.carries)}" for nic in nics.values() if nic.carries]
        raise Refusal(
            f"host_network is required, and no device of {wish.name} carries anything of the host."
            f" {'; '.join(there)}.",
            remedy="list the device that does in ports, or use host_network.mode: auto",
        )
    return ""


def weight(nic: Nic) -> int:
    """Tell how much hangs on a device; the less the number, the more. Pure."""
    return next((number for number, what in enumerate(_WEIGHTS) if what in nic.carries), len(_WEIGHTS))


def _kept(host: Host, network: HostNetworkWish, found: Capture, bridge: str) -> Persistence | None:
    owner = owners.owner_of(host, found.device)
    manager = owners.choose(owner, network.persist, found.device)
    if not manager:
        return None
    kept = persist.persist(dataclasses.replace(owner, name=manager), found, bridge, found.device)
    return dataclasses.replace(kept, files={**kept.files, **persist.cloud_file(host, bridge, found.device)})


def _staged(host: Host, nic: str, found: Capture, planned: Move, kept: Persistence | None) -> HostMove:
    files, commit = persist.stage(kept, host) if kept else ({}, "")
    return HostMove(nic, found, planned.script, planned.after, kept, files, commit)


# --- back ------------------------------------------------------------------------------------


def _read_back(
    host: Host, wish: Wish, network: HostNetworkWish, database: Database, nics: Nics
) -> HostMove | None:
    local = nics.get(wish.name)
    view = view_of(wish.name, database)
    if view is None or local is None or not local.carries:
        return None
    kept = persist.read_persisted(host, wish.name)
    nic = way_back(network, kept.device if kept else "", view.nics(), local, nics)
    found = capture(host, wish.name)
    planned = moving.plan_back(found, nic, kept.reload if kept else ())
    return _staged(host, nic, found, planned, kept)


def way_back(network: HostNetworkWish, persisted: str, ports: t.Sequence[str], local: Nic, nics: Nics) -> str:
    """Return the device that gets what the bridge carries. Pure.

    It is the one that the task names, the one that had it, or the only one.

    :raises Refusal: there are several, and nothing tells which.
    """
    twins = [name for name in ports if name in nics and nics[name].mac == local.mac]
    for found in ((network.nic,), (persisted,), twins, ports):
        names = [name for name in found if name in ports]
        if len(names) == 1:
            return names[0]
    raise Refusal(
        f"{local.name} carries {', '.join(local.carries)}, and nothing tells which of its devices gets that back:"
        f" {', '.join(ports) or 'there is none'}.",
        remedy="name it with host_network.from",
    )


def read_leftover(host: Host, bridge: str) -> Leftover | None:
    """Return what is left on disk of a bridge that is not to be, ``None`` for nothing."""
    kept = persist.read_persisted(host, bridge)
    actions = persist.actions(kept, host) if kept else ()
    if kept is None or not actions:
        return None
    files, commit = persist.stage(kept, host)
    told = (*actions, TellManager(kept.manager, kept.settle))
    return Leftover(tuple(sorted(kept.files)), told, files, commit)
