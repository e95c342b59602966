# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What a task about a bridge has to know of the host: as little as nothing has to change, as much as a change needs."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    BRIDGE,
    Database,
    Nic,
    Wish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan import Planned, plan
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import (
    AUTO,
    HWADDR,
    uplinks,
    wants_auto_hwaddr,
    with_hwaddr,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish_host import OFF, HostNetworkWish

if t.TYPE_CHECKING:
    from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.model import Pending
    from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Capture
    from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.hostmove import HostMove, Leftover

Nics = t.Mapping[str, Nic]

GUARDED = tuple(f"/var/lib/hearth/guard/{place}" for place in ("armed", "confirming", "undoing"))
"""Where changes wait that nobody has decided about."""


@dataclasses.dataclass(frozen=True)
class Server:
    """A database of Open vSwitch: its address, and how long it may take to answer."""

    remote: str
    timeout_s: float


@dataclasses.dataclass(frozen=True)
class Scene:
    """What was read, and the wish with everything in it that only the host could say.

    Where nothing changes ``nics`` is ``None``: nobody looked. ``capture`` is what hangs on the device that the host is
    reached by, where a change needs a guard, and ``move`` how it gets to another device; ``stands`` is what moves where
    it is now. ``missing`` says that there is no Open vSwitch yet.
    """

    database: Database
    wish: Wish
    now: float = 0.0
    pending: tuple[Pending, ...] = ()
    missing: bool = False
    nics: Nics | None = None
    answers: t.Mapping[str, bool] = dataclasses.field(default_factory=dict)
    move: HostMove | None = None
    capture: Capture | None = None
    stands: Capture | None = None
    leftover: Leftover | None = None

    @functools.cached_property
    def planned(self) -> Planned:
        """Return what would make the bridge as it is wished."""
        return plan(self.database, self.wish)

    @property
    def moves(self) -> str:
        """Return the device whose addresses move on to the bridge or come back from it, or nothing."""
        return self.move.nic if self.move else ""

    @property
    def changes(self) -> bool:
        """Tell whether the bridge or the host's own network changes."""
        return bool(self.move or self.planned.operations)


def is_guarded(host: Host) -> bool:
    """Tell whether any change waits to be decided."""
    return any(map(host.listdir, GUARDED))


def read_pending(host: Host) -> tuple[Pending, ...]:
    """Return the changes that wait."""
    if not is_guarded(host):
        return ()
    from ansible_collections.hearth.gpu_host.plugins.module_utils._guard import actions

    return actions.read_pending(host)


def with_pinned_address(params: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    """Return the options with ``hwaddr: auto`` where the host may be on the bridge and nothing is said of its address.

    By itself Open vSwitch gives the bridge another one each time a port with a lower one comes. Pure.
    """
    network = params.get("host_network")
    silent = params.get(HWADDR) is None and HWADDR not in (params.get("other_config") or {})
    if network is None or network.get("mode") == OFF or not silent:
        return params
    return {**params, HWADDR: AUTO}


def read_scene(host: Host, wish: Wish, network: HostNetworkWish | None, database: Database | None) -> Scene:
    """Read what the task has to know.

    :param database: what Open vSwitch has; ``None`` where there is none yet.
    :raises HearthError: something cannot be read, or what is wished cannot be.
    """
    found = Scene(database or Database(), wish, host.now(), read_pending(host), missing=database is None)
    looks = network is not None and network.mode != OFF
    if looks or wants_auto_hwaddr(wish):
        found = _with_devices(host, found, network if looks else None)
    if not wish.present and not found.move:
        found = dataclasses.replace(found, leftover=_leftover(host, wish))
    return _with_dangers(host, found) if found.changes else found


def _with_devices(host: Host, scene: Scene, network: HostNetworkWish | None) -> Scene:
    from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.nics import read_nics

    nics = read_nics(host)
    move = None
    if network is not None:
        from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import hostmove

        move = hostmove.read_move(host, scene.wish, network, scene.database, nics)
    wish = scene.wish
    if wants_auto_hwaddr(wish):
        wish = with_hwaddr(wish, own_address(wish, scene.database, nics, move.nic if move else ""))
    return dataclasses.replace(scene, wish=wish, nics=nics, move=move, stands=move.capture if move else None)


def read_again(host: Host, scene: Scene, database: Database) -> Scene:
    """Read after a change what it was about; what was wished then is what counts."""
    found = dataclasses.replace(scene, database=database)
    if scene.move:
        from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.capture import read_capture

        found = dataclasses.replace(found, stands=read_capture(host, scene.move.after.device))
    if scene.leftover:
        found = dataclasses.replace(found, leftover=_leftover(host, scene.wish))
    return found


def own_address(wish: Wish, database: Database, nics: Nics, moves: str = "") -> str:
    """Return the address that ``hwaddr: auto`` means. Pure.

    It is the one of the device that moves on to the bridge. Where it is pinned already to one of the bridge's devices
    it stays, and so does the one that the host is known by; else it is the one of the first device.
    """
    if moves:
        return nics[moves].mac
    macs = [nics[name].mac for name in uplinks(wish) if name in nics and nics[name].mac]
    row = database.named(BRIDGE, wish.name)
    pinned = str(row.columns.get("other_config", {}).get(HWADDR, "")) if row else ""
    local = nics.get(wish.name)
    if local and local.carries:
        return local.mac
    if pinned in macs or not macs:
        return pinned
    return macs[0]


def _leftover(host: Host, wish: Wish) -> Leftover | None:
    from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.hostmove import read_leftover

    return read_leftover(host, wish.name)


def _with_dangers(host: Host, scene: Scene) -> Scene:
    """Add what is needed to know whom the change could hurt."""
    from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import guarded
    from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.nics import read_nics
    from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections import ask_controllers

    nics = scene.nics if scene.nics is not None else read_nics(host)
    answers = ask_controllers(scene.wish, scene.database, nics, scene.moves)
    known = dataclasses.replace(scene, nics=nics, answers=answers)
    device = guarded.endangered(known)
    if not device:
        return known
    from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.capture import capture

    return dataclasses.replace(known, capture=scene.move.capture if scene.move else capture(host, device))
