# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The devices that guests get: what each is, its driver, what waits for a reboot, and why it is in."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import machine

Data = t.Mapping[str, t.Any]

KEPT, FLEETING, WAITS, STAYS = (
    "kept for guests",
    "kept for guests until the next boot",
    "waits for a reboot",
    "stays with the host",
)
NOT_AS_WISHED = "not as wished"
NO_DRIVER = "no driver"
CHOSEN = "chosen"


@dataclasses.dataclass(frozen=True)
class Row:
    """One device. ``level`` is a status of the report; ``remarks`` are warnings and what was lifted, in lines."""

    address: str
    title: str
    group: str
    wanted: str
    found: str
    level: str
    state: str
    why: str
    remarks: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """Return the address as people say it: without the domain when that is 0000."""
        return self.address[5:] if self.address.startswith("0000:") else self.address


@dataclasses.dataclass(frozen=True)
class Passthrough:
    """All of it; false when no role has told of a device."""

    rows: tuple[Row, ...] = ()
    reason: str = ""

    def __bool__(self) -> bool:
        return bool(self.rows)


def build(state: Data, host: machine.Machine) -> Passthrough:
    """Build it from what the role ``vfio`` exports (``vfio_state``); the machine knows what the devices are."""
    names = {device.address: device.title for device in host.devices}
    rows = tuple(_row(data, names) for data in state.get("devices") or ())
    return Passthrough(rows, str(state.get("reason") or ""))


def _row(data: Data, names: t.Mapping[str, str]) -> Row:
    address = str(data["address"])
    ids = ":".join(str(data[key]) for key in ("vendor", "device") if data.get(key))
    level, state = _state(data)
    lifted = [
        f"{item.get('kind')} was lifted: {item.get('what')}"
        for item in data.get("obstacles") or ()
        if isinstance(item, dict)
    ]
    return Row(
        address=address,
        title=names.get(address) or ids or address,
        group=str(data.get("iommu_group") or ""),
        wanted=str(data.get("driver_override") or "") if data.get("binds") else "",
        found=str(data.get("driver_after") or ""),
        level=level,
        state=state,
        why=str(data.get("why") or "") or (CHOSEN if data.get("chosen") else ""),
        remarks=(*map(str, data.get("warnings") or ()), *lifted),
    )


def _state(data: Data) -> tuple[str, str]:
    """Return the status and its words; a device is kept only when its driver was seen to be the wanted one."""
    if not data.get("binds"):
        return "na", STAYS
    if data.get("waits_for_reboot"):
        return "warn", WAITS
    if not data.get("driver_override") or data.get("driver_after") != data.get("driver_override"):
        return "fail", NOT_AS_WISHED
    return ("pass", KEPT) if data.get("persistent") else ("warn", FLEETING)
