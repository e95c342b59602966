# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""One lock per host: effects are serialised, and a play can keep others away until it ends.

Two parts. The *flock* on ``/run/hearth/lock`` is held while one module changes the host; the
kernel drops it when the process dies, however it dies. The *lease* is the text in that file:
a play writes it through ``play_lock`` and it names the holder until it is released or expires.
``/run`` is emptied by a reboot, and so is the lease.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import time
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import HostBusy
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

LOCK_FILE = "/run/hearth/lock"
PLAY_VARIABLE = "HEARTH_PLAY"
_PATIENCE_S = 20.0


@dataclasses.dataclass(frozen=True)
class Lease:
    """Who holds the host: a play id, a description for people, and times in epoch seconds."""

    play: str
    who: str
    since: float
    expires: float


def own_play() -> str:
    """Return the id of the play that this module runs in, or an empty string."""
    return os.environ.get(PLAY_VARIABLE, "")


def parse_lease(text: str) -> Lease | None:
    """Parse the text of the lock file; anything that is no lease counts as none. Pure."""
    try:
        data = json.loads(text)
        return Lease(str(data["play"]), str(data["who"]), float(data["since"]), float(data["expires"]))
    except (ValueError, TypeError, KeyError):
        return None


def blocking(lease: Lease | None, play: str, now: float) -> Lease | None:
    """Return the lease if it keeps ``play`` away at the time ``now``. Pure."""
    if lease is None or lease.play == play or now >= lease.expires:
        return None
    return lease


def take_lease(host: Host, wanted: Lease, instead_of: str = "") -> None:
    """Write the lease of a play.

    :param instead_of: the id of the play whose lease does not count, known to be dead; ``*``
        for any.
    :raises HostBusy: another play has the lease.
    """
    with flocked(host) as stream:
        lease = parse_lease(stream.read())
        refuse_foreign(host, None if yields(lease, instead_of) else lease)
        stream.truncate(0)
        stream.write(json.dumps(dataclasses.asdict(wanted)))


def check_lease(host: Host, instead_of: str = "") -> None:
    """Refuse as :func:`take_lease` does, writing nothing."""
    lease = parse_lease(host.read(LOCK_FILE).text or "")
    refuse_foreign(host, None if yields(lease, instead_of) else lease)


def drop_lease(host: Host) -> None:
    """Give the host back; a lease that another play took in the meantime stays."""
    with flocked(host) as stream:
        if blocking(parse_lease(stream.read()), own_play(), host.now()) is None:
            stream.truncate(0)


def yields(lease: Lease | None, instead_of: str) -> bool:
    """Tell whether the lease does not count for the one who named ``instead_of``. Pure."""
    return lease is not None and instead_of in (lease.play, "*")


@contextlib.contextmanager
def hold_host(host: Host) -> t.Iterator[None]:
    """Hold the host while effects happen.

    :raises HostBusy: another play has the lease, or another module did not finish in time.
    """
    with flocked(host) as stream:
        refuse_foreign(host, parse_lease(stream.read()))
        yield


def refuse_foreign(host: Host, lease: Lease | None) -> None:
    """Raise :class:`HostBusy` when another play's lease is alive."""
    holder = blocking(lease, own_play(), host.now())
    if holder is not None:
        raise HostBusy(
            f"This host is held by {holder.who} since {_clock(holder.since)},"
            f" until {_clock(holder.expires)} at the latest.",
            remedy="wait for that play to end; if it is dead, run again with gpu_host_lock_takeover=true",
            holder=dataclasses.asdict(holder),
        )


@contextlib.contextmanager
def flocked(host: Host) -> t.Iterator[t.TextIO]:
    """Open the lock file and hold its flock."""
    path = host.path(LOCK_FILE)
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as stream:
        _acquire(stream)
        stream.seek(0)
        yield stream


def _acquire(stream: t.TextIO) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise HostBusy(
                    f"Another module has been changing this host for more than {_PATIENCE_S:g} s.",
                    remedy=f"see who holds {LOCK_FILE} (fuser -v {LOCK_FILE}) and run again",
                ) from None
            time.sleep(0.1)


def _clock(epoch: float) -> str:
    # The text of the file is anybody's: a time beyond the calendar must not be an error here.
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(epoch))
    return "an impossible time"
