# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Keep a move over a reboot, with the one manager that the card has; and give the card back to it."""

from __future__ import annotations

import os
import re
import stat
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, RemoveFile, WriteFile
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet import (
    interfaces,
    persist_ifupdown,
    persist_networkd,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.commit import commit_text, staged
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import (
    IFUPDOWN,
    NETWORK_MANAGER,
    NETWORKD,
    Capture,
    Owner,
    Persistence,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.owners import read_interfaces
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.persist_nm import own_paths, persist_nm

_CLOUD = "/etc/cloud/cloud.cfg"
_CLOUD_FOLDER = "/etc/cloud/cloud.cfg.d"
_CLOUD_TEXT = """\
# Written by hearth.gpu_host: {nic} is a port of the bridge {bridge}. cloud-init would configure it again at each boot.
network: {{config: disabled}}
"""
_DISABLED = re.compile(r"(?m)^network:\s*(\{\s*config:\s*disabled\s*\}|\n\s+config:\s*disabled)\s*$")

_BACK = {
    IFUPDOWN: """\
state=/run/network/ifstate
if [ -e $state ]; then
    grep -vx '{bridge}={bridge}' $state > $state.hearth
    cat $state.hearth > $state
    rm -f $state.hearth
fi
""",
    NETWORKD: "networkctl reload || true\n",
    NETWORK_MANAGER: "systemctl daemon-reload || true\nnmcli general reload conf || true\n",
}


def persist(owner: Owner, capture: Capture, bridge: str, nic: str) -> Persistence:
    """Return what has a move to a bridge survive a reboot. Pure.

    :param owner: whose name is the manager that was chosen (``owners.choose``).
    :raises Refusal: what the manager has for the card cannot be carried over.
    """
    if owner.name == IFUPDOWN:
        return persist_ifupdown.persist_ifupdown(owner, capture, bridge, nic)
    if owner.name == NETWORK_MANAGER:
        return persist_nm(owner, capture, bridge, nic)
    return persist_networkd.persist_networkd(owner, capture, bridge, nic)


def cloud_file(host: Host, bridge: str, nic: str) -> dict[str, str | None]:
    """Return the file that keeps cloud-init off the network, if it is there and nothing does yet."""
    own = f"{_CLOUD_FOLDER}/99-hearth-{bridge}.cfg"
    others = [f"{_CLOUD_FOLDER}/{name}" for name in host.listdir(_CLOUD_FOLDER)]
    texts = [host.read(path).text or "" for path in (_CLOUD, *others) if path != own]
    if not host.exists(_CLOUD) or any(_DISABLED.search(text) for text in texts):
        return {}
    return {own: _CLOUD_TEXT.format(nic=nic, bridge=bridge)}


def read_persisted(host: Host, bridge: str) -> Persistence | None:
    """Return what gives the card back to its manager; ``None`` when nothing says that the bridge has what it had."""
    own = _own_files(host, bridge)
    said = "\n".join(host.read(path).text or "" for path in own)
    nic = next(iter(re.findall(f"(?m)^# hearth:{re.escape(bridge)} nic=(.*)$", said)), "")
    texts = {path: text for path, text in read_interfaces(host).items() if path not in own}
    as_before = {path: interfaces.switched_on(text, bridge) for path, text in texts.items()}
    changed = {path: text for path, text in as_before.items() if text != texts[path]}
    if not own and not changed:
        return None
    manager = _manager(own, bridge) if not changed else IFUPDOWN
    # The foreign files first: cut off in between, ours are still there to be found.
    files = {**changed, **dict.fromkeys(own)}
    return Persistence(manager, nic, bridge, files, settle=_BACK[manager].format(bridge=bridge))


def _own_files(host: Host, bridge: str) -> list[str]:
    folder = persist_networkd.FOLDER
    line = f"\n# hearth:{bridge} nic="
    networks = [f"{folder}/{name}" for name in host.listdir(folder) if "hearth-" in name]
    fixed = (
        f"/etc/netplan/99-hearth-{bridge}.yaml",
        f"{_CLOUD_FOLDER}/99-hearth-{bridge}.cfg",
        persist_ifupdown.own_path(bridge),
        *own_paths(bridge),
    )
    return [*(path for path in networks if line in (host.read(path).text or "")), *filter(host.exists, fixed)]


def _manager(own: t.Sequence[str], bridge: str) -> str:
    if persist_ifupdown.own_path(bridge) in own:
        return IFUPDOWN
    return NETWORK_MANAGER if set(own) & set(own_paths(bridge)) else NETWORKD


def stage(persistence: Persistence, host: Host) -> tuple[dict[str, str], str]:
    """Return the files that wait in the folder of the guarded change, and its commit."""
    before = {path: host.read(path).text for path in persistence.files}
    return staged(persistence, before), commit_text(persistence, modes_of(persistence, host))


def actions(persistence: Persistence, host: Host) -> tuple[Action, ...]:
    """Return what is left to be done for the files; nothing when they are as they should be."""
    found: list[Action] = []
    modes = modes_of(persistence, host)
    for path, text in persistence.files.items():
        if text is None and host.exists(path):
            found.append(RemoveFile(path))
        elif text is not None and host.read(path).text != text:
            found.append(WriteFile(path, text, modes[path]))
    return tuple(found)


def modes_of(persistence: Persistence, host: Host) -> dict[str, int]:
    """Return the modes of the files: that of ours, or what a foreign one has."""
    return {path: persistence.modes.get(path) or _mode(host, path) for path in persistence.files}


def _mode(host: Host, path: str) -> int:
    try:
        return stat.S_IMODE(os.stat(host.path(path)).st_mode)
    except OSError:
        return 0o644
