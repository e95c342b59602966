# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Have NetworkManager let go of a card, and the switch's own unit give the bridge what the card had. Pure.

NetworkManager could configure the bridge itself only with a plugin that Debian does not build, and would then own the
rows of the switch: it makes and removes them, and knows a part of what they can say. So it is told to leave card and
bridge alone, and what is there is set by a script that runs whenever the switch was started. Two managers never meet.
"""

from __future__ import annotations

import shlex

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet import batch
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import (
    NETWORK_MANAGER,
    Capture,
    Owner,
    Persistence,
)

_HEADER = """\
# Written by hearth.gpu_host: {nic} is a port of the bridge {bridge} of Open vSwitch, which has what {nic} had.
# Changes are overwritten.
# hearth:{bridge} nic={nic}
"""
_CONF = """\
[keyfile]
unmanaged-devices+=interface-name:={nic},interface-name:={bridge}
"""
# Names are asked of the servers that the card's connection had: it has none any more.
_DNS = """\

[global-dns-domain-*]
servers={servers}
"""
_SCRIPT = """\
#!/bin/sh
{header}{functions}
ip link set dev {nic} up
ip link show dev {bridge} > /dev/null || exit 1
{settings}{addresses}{routes}{rules}{late}{final}exit 0
"""
# The switch's daemon has made the bridge once it says that it has started.
_UNIT = """\
[Service]
ExecStartPost=-/bin/sh {script}
"""
# It lets go after it has answered, and takes the link down as its last word.
_RELEASE = """\
nmcli general reload conf
patience=50
until [ "$(nmcli -g GENERAL.STATE device show {nic})" = '10 (unmanaged)' ] || [ $patience -eq 0 ]; do
    sleep 0.1
    patience=$((patience - 1))
done
"""
_RELOAD = ("nmcli", "general", "reload", "conf")


def own_paths(bridge: str) -> tuple[str, str, str]:
    """Return the files of ours: what NetworkManager reads, the script, and what makes the switch's unit run it."""
    return (
        f"/etc/NetworkManager/conf.d/hearth-{bridge}.conf",
        f"/etc/hearth/hostnet/{bridge}",
        f"/etc/systemd/system/ovs-vswitchd.service.d/hearth-{bridge}.conf",
    )


def persist_nm(owner: Owner, capture: Capture, bridge: str, nic: str) -> Persistence:
    """Return the files that have the bridge keep what the card has now.

    :raises Refusal: some of it is not there to stay: only NetworkManager itself could renew it.
    """
    passing = [one.local for one in capture.every_address if one.lifetimes or one.fleeting]
    if passing:
        raise Refusal(
            f"{', '.join(passing)} of {nic} came from a server, through NetworkManager, which cannot ask for it on a"
            f" bridge of Open vSwitch.",
            remedy=f"give {nic} fixed addresses, or let networkd or ifupdown configure it",
        )
    conf, script, unit = own_paths(bridge)
    header = _HEADER.format(nic=nic, bridge=bridge)
    text = header + _CONF.format(nic=nic, bridge=bridge)
    text += _DNS.format(servers=",".join(owner.servers)) if owner.servers else ""
    runtime = {conf.replace("/etc/", "/run/", 1): text}
    return Persistence(
        NETWORK_MANAGER,
        nic,
        bridge,
        {
            script: _script(header, capture, bridge, nic),
            unit: header + _UNIT.format(script=script),
            conf: text,
        },
        runtime=runtime,
        release=_RELEASE.format(nic=nic),
        reload=_RELOAD,
        settle=f"systemctl daemon-reload || true\n{shlex.join(_RELOAD)} || true\n",
    )


def _script(header: str, capture: Capture, bridge: str, nic: str) -> str:
    there = capture.on(bridge)
    return _SCRIPT.format(
        header=header,
        functions=batch.FUNCTIONS,
        nic=nic,
        bridge=bridge,
        settings=batch.settings(there, bridge),
        addresses=batch.batch([f"link set dev {bridge} up", *batch.address_lines(there, bridge)]),
        routes=batch.batch(batch.route_lines(there)),
        rules=batch.rules(there, "add"),
        late=batch.late_routes(there),
        final=batch.final_settings(there, bridge),
    )
