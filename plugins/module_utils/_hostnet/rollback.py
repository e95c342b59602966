# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The script with which the guard takes a move back, now or at the next boot. Pure.

It needs ``ip``, the tools of Open vSwitch and a shell, may be run again after having been cut off anywhere, and does
not rely on the switch's daemons. At boot there is none: Debian starts the database after ``network-pre.target``, and
the guard is through before that. So the script serves the database itself for a moment, on a socket of its own. What
the daemons then find is as it was; addresses are what the network's manager gives as before.
"""

from __future__ import annotations

import json
import shlex
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet import batch
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Capture, Persistence

Step = t.Union[t.Sequence[str], t.Mapping[str, t.Any]]
"""Words of one command of ``ovs-vsctl``, or an operation of an OVSDB transaction."""

_START = """\
set -u
trap '' HUP INT PIPE
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mode=${{1:-now}}
status=0
{functions}
{database}
"""
_DATABASE = r"""
conf=${OVS_DBDIR:-/etc/openvswitch}/conf.db
socket=${OVS_RUNDIR:-/run/openvswitch}/db.sock
own=${HEARTH_ROOT:-}/run/hearth/ovs-rollback

vsctl() { ovs-vsctl --db="unix:$socket" --no-wait -t 5 "$@"; }

# Who serves the database? If nobody does, we do: two at a time it does not allow.
open_database() {
    command -v ovs-vsctl > /dev/null && [ -s "$conf" ] || return 1
    if [ -S "$socket" ] && vsctl get-manager > /dev/null 2>&1; then return 0; fi
    mkdir -p "${own%/*}" && rm -f "$own.sock"
    ovsdb-server "$conf" --remote="punix:$own.sock" --unixctl="$own.ctl" --pidfile="$own.pid" --no-chdir --detach ||
        { status=1; return 1; }
    socket=$own.sock
}

# The next one to serve it must find it free.
close_database() {
    [ "$socket" = "$own.sock" ] || return 0
    server=$(cat "$own.pid")
    kill "$server"
    patience=50
    while [ -e "/proc/$server" ] && [ $patience -gt 0 ]; do
        sleep 0.1
        patience=$((patience - 1))
    done
    rm -f "$own.sock" "$own.ctl" "$own.pid"
}

# transact JSON: once only, since it may add rows.
transact() {
    [ ! -e ./restored ] || return 0
    answer=$(ovsdb-client -t 5 transact "unix:$socket" "$1") || return 1
    case $answer in *'"error"'*) echo "$answer"; return 1 ;; esac
    ( : > ./restored ) 2> /dev/null
    return 0
}
"""
_RESTORE = """\
if open_database; then
    {restore} || status=1
    close_database
fi
if [ "$mode" = boot ]; then exit $status; fi
"""
# A daemon that hangs would keep the card for ever; the kernel gives it back also without it.
_WAIT_FOR_CARD = """\
patience=50
while ip -o link show dev {device} | grep -q ' master ovs-system ' && [ $patience -gt 0 ]; do
    sleep 0.1
    patience=$((patience - 1))
done
[ $patience -gt 0 ] || ovs-dpctl del-if system@ovs-system {device} || status=1
"""
_WAIT_FOR_BRIDGE = """\
patience=100
while ! ip link show dev {device} > /dev/null 2>&1 && [ $patience -gt 0 ]; do
    sleep 0.1
    patience=$((patience - 1))
done
[ $patience -gt 0 ] || status=1
"""


def rollback_text(
    capture: Capture,
    bridge: str,
    nic: str,
    snapshot_ops: t.Sequence[Step] = (),
    persistence: Persistence | None = None,
) -> str:
    """Return the script that brings everything back to the device of the capture.

    :param capture: of the card before it became a port; of the bridge before it was removed.
    :param snapshot_ops: what brings the switch back: commands of ``ovs-vsctl``, which must stand being repeated, or
        operations of one transaction; with none of them, the bridge is a new one and is removed.
    :param persistence: whose ``runtime`` files go.
    """
    device = capture.device
    other = bridge if device == nic else nic
    wait = _WAIT_FOR_CARD if device == nic else _WAIT_FOR_BRIDGE
    return "".join(
        [
            _START.format(functions=batch.FUNCTIONS, database=_DATABASE),
            _RESTORE.format(restore=_restore(bridge, snapshot_ops)),
            wait.format(device=device),
            # A port has no addresses of its own, not even that of the link.
            f"put ipv6/conf/{nic}/disable_ipv6 1\n" if device == bridge else "",
            _live(capture, device, other),
            _forget(persistence),
            "exit $status\n",
        ]
    )


def _restore(bridge: str, steps: t.Sequence[Step]) -> str:
    operations = [step for step in steps if isinstance(step, t.Mapping)]
    commands = [step for step in steps if not isinstance(step, t.Mapping)]
    if operations:
        return f"transact {shlex.quote(json.dumps(['Open_vSwitch', *operations]))}"
    if not commands:
        commands = [("--if-exists", "del-br", bridge)]
    return "vsctl " + " -- ".join(shlex.join(words) for words in commands)


def _live(capture: Capture, device: str, other: str) -> str:
    there = capture.on(other)
    clients = [batch.client_on(one, device, other) for one in capture.clients]
    lines = [
        *([f"link set dev {device} up"] if capture.up else []),
        *batch.address_lines(capture, device),
    ]
    return "".join(
        [
            batch.settings(capture, device),
            batch.stops(clients),
            f"if ip link show dev {other} > /dev/null 2>&1; then\n",
            batch.batch([*batch.route_drops(there), *batch.address_drops(there, other)]),
            "fi\n",
            batch.batch(lines),
            batch.batch(batch.route_lines(capture)),
            batch.rules(capture, "add") + batch.rules(there, "delete"),
            batch.batch(batch.neighbour_lines(capture, device)),
            batch.late_routes(capture),
            batch.final_settings(capture, device),
            _proof(capture),
            batch.starts(capture.clients),
        ]
    )


def _proof(capture: Capture) -> str:
    """The script has failed if the first address is not there."""
    return "".join(
        f"ip -o address show dev {capture.device} | grep -qwF {one.local} || status=1\n"
        for one in capture.addresses[:1]
    )


def _forget(persistence: Persistence | None) -> str:
    if persistence is None or not persistence.runtime:
        return ""
    files = shlex.join(sorted(persistence.runtime))
    return f"rm -f {files}\n{shlex.join(persistence.reload)} || true\n"
