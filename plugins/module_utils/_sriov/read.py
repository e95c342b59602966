# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Read a device that has virtual functions, and what its network driver tells of them."""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci.pci_sysfs import complete, read_pci_ids
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci.unreadable import unreadable
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.device import DEVICES, hung_marks

# Ports of a switch inside the device stand for its VFs and hang below the same PCI function.
_REPRESENTOR = re.compile(r"(c\d+)?pf\d+(vf|sf)\d+", re.ASCII)
_NO_MAC = "00:00:00:00:00:00"
_SILENT = "what the kernel shows of it cannot be read, as somebody else is at it and does not come back"


@dataclasses.dataclass(frozen=True)
class RawFunction:
    """What was read. ``link`` is the answer of ``ip``, or ``None`` with the reason in ``why``.

    ``hung`` tells of the device and its VFs which hang, and why: an earlier write to it has never come back, or it does
    not answer. Nothing else is read of them, because that would wait as well.
    """

    snapshot: pci.PciSnapshot
    netdevs: tuple[str, ...] = ()
    link: str | None = None
    why: str = ""
    hung: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Function:
    """A physical function with its VFs in the order of their indexes.

    ``settings`` holds what can be told now; what is not in it is not known. ``netdev`` is empty, with the reason in
    ``why``, where nothing can be set of VFs.
    """

    device: pci.PciDevice
    vfs: tuple[pci.PciDevice, ...]
    settings: model.Settings
    netdev: str = ""
    why: str = ""
    hung: t.Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def number(self) -> int:
        """Return how many VFs there are."""
        return self.device.sriov.number if self.device.sriov else 0


def read_function(host: Host, address: str) -> RawFunction:
    """Read the device at ``address``, its VFs, and what is set of them."""
    snapshot = read_pci_ids(host)
    vfs = [device.address for device in snapshot.devices.values() if device.physfn == address]
    hung = _hung(host, [one for one in (address, *vfs) if one in snapshot.devices])
    if address in hung:
        return RawFunction(snapshot, hung=hung)
    snapshot = complete(host, snapshot, (address, *vfs), untouched=hung)
    folder = f"{DEVICES}/{address}/net"
    netdevs = tuple(
        name
        for name in host.listdir(folder)
        if not _REPRESENTOR.fullmatch(host.text(f"{folder}/{name}/phys_port_name") or "")
    )
    if len(netdevs) != 1:
        which = f"several ({', '.join(netdevs)})" if netdevs else "none"
        return RawFunction(
            snapshot, netdevs, why=f"it must have one network interface and has {which}", hung=hung
        )
    try:
        done = host.run(("ip", "-json", "link", "show", "dev", netdevs[0]))
    except CommandError as error:
        return RawFunction(snapshot, netdevs, why=error.message, hung=hung)
    return RawFunction(snapshot, netdevs, done.out, hung=hung)


def _hung(host: Host, addresses: t.Sequence[str]) -> dict[str, str]:
    """Return those of ``addresses`` that are marked, and those that do not answer though they are not."""
    marks = hung_marks(host)
    silent = unreadable(host, (one for one in addresses if one not in marks))
    return {one: marks.get(one, _SILENT) for one in addresses if one in marks or one in silent}


def parse_function(raw: RawFunction, address: str) -> Function | None:
    """Parse it; ``None`` when there is no such device."""
    device = raw.snapshot.devices.get(address)
    if device is None:
        return None
    vfs = tuple(raw.snapshot.devices[name] for name in device.virtfns if name in raw.snapshot.devices)
    settings = _own(device)
    why = raw.why
    if raw.link is not None:
        told = parse_link(raw.link)
        why = "" if told is not None else f"ip tells nothing of {raw.netdevs[0]} that could be understood"
        settings.update(told or {})
    return Function(device, vfs, settings, "" if why or not raw.netdevs else raw.netdevs[0], why, raw.hung)


def parse_link(text: str) -> dict[str, str] | None:
    """Return the settings of VFs in an answer of ``ip -json link show dev NAME``; ``None`` when it is none.

    The names are those of print_vfinfo() in ip/ipaddress.c of iproute2; before 5.0 the address was ``mac``.
    """
    try:
        vfs = [vf for link in json.loads(text) for vf in link.get("vfinfo_list", ())]
        return {
            model.key_of(vf["vf"], field): value
            for vf in vfs
            for field, value in _fields(vf).items()
            if model.valid(model.key_of(vf["vf"], field), value)
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _fields(vf: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Return the settings of one VF; those that its driver does not tell are left out."""
    vlans = vf.get("vlan_list") or [vf]
    fields = {
        "mac": str(vf.get("address") or vf.get("mac") or _NO_MAC).lower(),
        "vlan": str(vlans[0].get("vlan", 0)),
        "qos": str(vlans[0].get("qos", 0)),
    }
    if "rate" in vf:
        fields["max_tx_rate"], fields["min_tx_rate"] = (
            str(vf["rate"][name]) for name in ("max_tx", "min_tx")
        )
    for name in ("spoofchk", "trust"):
        if name in vf:
            fields[name] = "on" if vf[name] else "off"
    if "link_state" in vf:
        fields["link_state"] = vf["link_state"]
    return fields


def _own(device: pci.PciDevice) -> dict[str, str]:
    if device.sriov is None:
        return {}
    settings = {model.NUMBER: str(device.sriov.number)}
    if device.sriov.autoprobe is not None:
        settings[model.AUTOPROBE] = "1" if device.sriov.autoprobe else "0"
    return settings
