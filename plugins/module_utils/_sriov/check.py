# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Refuse what would not work on a device, and say who uses the VFs that would go. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.read import Function
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import (
    DISPLAY,
    GUEST,
    NETWORK,
    OPENED,
    STORAGE,
    Obstacle,
    Uses,
)

_FIRST_VF_WINDOW = 7
_REMEDIES = {
    model.BOUND: "give it back with vfio_bind and state absent",
    GUEST: "stop the guest, or detach the device from it",
    OPENED: "end the process",
    NETWORK: "take its addresses and routes away, or take it out of its bridge or bond",
    STORAGE: "unmount it, and stop what is built on it",
    DISPLAY: "stop what shows something on it",
}


def check(wish: model.Wish, function: Function, target: model.Settings) -> None:
    """Refuse what cannot work on the running system.

    :raises Refusal: naming the device, and what to do.
    """
    device = function.device
    if device.physfn:
        raise Refusal(f"{device.address} is a VF itself.", f"name its physical function {device.physfn}")
    if device.sriov is None:
        raise Refusal(
            f"{device.address} makes no virtual functions.",
            "switch on SR-IOV in the firmware of the host and in that of the card (for network cards of NVIDIA "
            "mlxconfig SRIOV_EN and NUM_OF_VFS); otherwise the device has none",
        )
    if model.AUTOPROBE in target and model.AUTOPROBE not in function.settings:
        raise Refusal(
            f"The kernel has no switch for who takes the VFs of {device.address}.",
            "run Linux 4.13 or newer, or leave out autoprobe",
        )
    _check_number(function, int(target.get(model.NUMBER, function.number)), device.sriov.total)
    if not wish.absent and model.vfs_of(target) and not function.netdev:
        raise Refusal(
            f"Nothing can be set of the VFs of {device.address}: {function.why}.",
            "leave out vfs for what is no network device; otherwise load its driver and install iproute2",
        )
    check_indexes(target, int(target.get(model.NUMBER, function.number)))


def refuse_missing(address: str, function: Function | None) -> None:
    """Refuse to set something of a device that is not there.

    :raises Refusal: it is not.
    """
    if function is None:
        raise Refusal(
            f"There is no PCI device {address}.",
            "correct address, look at the hardware, or set running to false to prepare a boot only",
        )


def refuse_hung(function: Function | None, going: t.Sequence[str] = ()) -> None:
    """Refuse to touch a device that hangs, or to take VFs away of which one does: that would wait for its lock.

    :raises Refusal: naming each that hangs.
    """
    named = (function.device.address, *going) if function else ()
    found = [f"{one} hangs: {function.hung[one]}" for one in named if function and one in function.hung]
    if found:
        raise Refusal(
            f"{'; '.join(found)}.",
            "reboot the host; do not reset, remove or rescan the device",
        )


def _check_number(function: Function, number: int, total: int) -> None:
    device = function.device
    if number > total:
        raise Refusal(
            f"{device.address} can have {total} VFs, and {number} are wanted.",
            f"ask for at most {total}; some cards have a setting for more in their own firmware",
        )
    if number in (0, function.number):
        return
    if device.driver is None:
        raise Refusal(
            f"{device.address} has no driver, and only its driver can make VFs.",
            "load the driver of the vendor for the physical function",
        )
    windows = [each.index for each in device.bars or () if each.index >= _FIRST_VF_WINDOW and each.unmapped]
    if windows:
        raise Refusal(
            f"The firmware left no room for the memory windows of the VFs of {device.address} (not enough MMIO "
            "resources).",
            "switch on SR-IOV, Above 4G Decoding and ARI in the firmware; where they are on, try the kernel argument "
            "pci=realloc",
        )


def check_indexes(settings: model.Settings, number: int) -> None:
    """Refuse settings of VFs that ``number`` of them do not have.

    :raises ParseError: there are some.
    """
    beyond = [index for index in model.vfs_of(settings) if index >= number]
    if beyond:
        last = f"the last is {number - 1}" if number else "there is none"
        raise ParseError(
            f"vfs speaks of VF {beyond[0]}, and with {number} VFs {last}.",
            "correct index, which starts at 0, or number",
        )


def obstacles(uses: Uses, given: t.Container[str], addresses: t.Iterable[str]) -> tuple[Obstacle, ...]:
    """Return what speaks against taking VFs away, device by device.

    The kernel knows no other way to another number than none in between.
    """
    found = []
    for address in addresses:
        reasons = [(use.kind, use.what) for use in uses.get(address, ())]
        if address in given:
            reasons.append((model.BOUND, "vfio_bind keeps it for guests"))
        for kind, what in reasons:
            remedy = f"{_REMEDIES[kind]}; to take it away all the same, put {kind} into allow"
            found.append(Obstacle(address, kind, what, remedy))
    return tuple(found)
