# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What a task returns of a device and its virtual functions. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.read import Function

_NUMBERS = ("vlan", "qos", "max_tx_rate", "min_tx_rate")
_SWITCHES = ("spoofchk", "trust")


def of_function(function: Function | None) -> dict[str, t.Any]:
    """Return the device and its VFs as they are."""
    if function is None:
        return {"physical": None, "vfs": []}
    fields = model.vfs_of(function.settings)
    vfs = [_vf(index, fields.get(index, {}), vf) for index, vf in enumerate(function.vfs)]
    return {"physical": _physical(function, function.settings), "vfs": vfs}


def of_plan(function: Function | None, target: model.Settings) -> dict[str, t.Any]:
    """Return them as they will be. Where VFs are made, nobody knows their addresses before."""
    if function is None or not target:
        return of_function(function)
    settings = {**function.settings, **target}
    number = int(target.get(model.NUMBER, function.number))
    stays = number == function.number
    fields = model.vfs_of(settings if stays else target)
    vfs = [
        _vf(
            index, fields.get(index, {}), function.vfs[index] if stays and index < len(function.vfs) else None
        )
        for index in range(number)
    ]
    return {"physical": _physical(function, settings), "vfs": vfs}


def _physical(function: Function, settings: model.Settings) -> dict[str, t.Any]:
    device = function.device
    return {
        "address": device.address,
        "ids": device.ids,
        "driver": device.driver,
        "netdev": function.netdev or None,
        "total": device.sriov.total if device.sriov else 0,
        "number": int(settings.get(model.NUMBER, 0)),
        "autoprobe": {"1": True, "0": False}.get(settings.get(model.AUTOPROBE, "")),
    }


def _vf(index: int, fields: t.Mapping[str, str], device: pci.PciDevice | None) -> dict[str, t.Any]:
    shown: dict[str, t.Any] = {
        "index": index,
        "address": device.address if device else None,
        "iommu_group": device.group if device else None,
        "driver": device.driver if device else None,
    }
    for field in model.FIELDS:
        value: t.Any = fields.get(field)
        if value is not None and field in _NUMBERS:
            value = int(value)
        elif value is not None and field in _SWITCHES:
            value = value == "on"
        shown[field] = value
    return shown
