# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Turn selectors into exact addresses. No id is ever bound: ids only find devices, now. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.wish import KINDS, parse_selectors

__all__ = ["excluded", "identity", "parse_selectors", "select"]

# What a device that is not there may be waiting for, by kind of selector.
_REMEDIES = {
    "iommu_group": "name the device by its address: the numbers of groups change from boot to boot",
    "slot": "see /sys/bus/pci/slots for the slots that the firmware names",
    "virtfns_of": "create the virtual functions first, with hearth.gpu_host.sriov_vfs",
    "gpu_uuid": "name the GPU by its address: only a loaded driver of the host tells UUIDs",
    "class_code": "quote the class, which YAML may otherwise read as an octal number",
}
_ANYWAY = "see lspci -nn for what is there, look at the hardware, or set allow_missing"


def identity(device: pci.PciDevice) -> model.Identity:
    """Return who ``device`` is; an id that could not be read is empty."""
    ids = (device.vendor, device.device, device.subsystem_vendor, device.subsystem_device)
    return model.Identity(*(value or "" for value in ids))


def select(
    snapshot: pci.PciSnapshot,
    selectors: t.Sequence[model.Selector],
    exclude: t.Sequence[model.Selector],
    uuids: t.Mapping[str, str],
    record: model.Record,
) -> tuple[model.Member, ...]:
    """Return the devices that ``selectors`` match, less those of ``exclude``, by address.

    Of ``snapshot``, only what selectors of that kind look at needs to be read. ``uuids`` are the addresses of GPUs
    as their driver tells them now; ``record`` answers for those that no longer have that driver. Everything but an
    address finds devices only, no bridges. ``driver`` of a member may still be ``auto``.

    :raises Refusal: a selector matches nothing, another number than its ``count``, or another device than its
        ``expect``; all such selectors are named.
    :raises Contradiction: two selectors want different drivers for one device.
    """
    search = _Search(snapshot, uuids, record)
    found = {selector: search(selector) for selector in selectors}
    problems = [problem for selector in selectors for problem in _problems(search, selector, found[selector])]
    if problems:
        message = "; ".join(dict.fromkeys(text for text, _remedy in problems))
        remedy = "; ".join(dict.fromkeys(remedy for _text, remedy in problems))
        raise Refusal(f"Not all devices are as described: {message}.", remedy)
    banned = excluded(snapshot, exclude, uuids, record)
    wishes: dict[str, list[model.Selector]] = {}
    for selector in selectors:
        for address in found[selector]:
            wishes.setdefault(address, []).append(selector)
    return tuple(
        _member(snapshot, address, wishes[address]) for address in sorted(wishes) if address not in banned
    )


def excluded(
    snapshot: pci.PciSnapshot,
    exclude: t.Sequence[model.Selector],
    uuids: t.Mapping[str, str],
    record: model.Record,
) -> frozenset[str]:
    """Return the addresses that ``exclude`` matches, which may be none."""
    search = _Search(snapshot, uuids, record)
    return frozenset(address for selector in exclude for address in search(selector))


class _Search(t.NamedTuple):
    """Find the addresses that a selector matches."""

    snapshot: pci.PciSnapshot
    uuids: t.Mapping[str, str]
    record: model.Record

    def __call__(self, selector: model.Selector) -> list[str]:
        kind, value = next(
            (kind, getattr(selector, kind)) for kind in KINDS if getattr(selector, kind) is not None
        )
        if kind == "address":
            return [value] if value in self.snapshot.devices else []
        if kind == "gpu_uuid":
            return self._gpu(value)
        return [
            device.address for device in self._matching(kind, value) if not self.snapshot.is_bridge(device)
        ]

    def bridges(self, selector: model.Selector) -> list[str]:
        """Return the bridges that it would match if bridges were to be had."""
        kind, value = _wanted(selector)
        devices = self._matching(kind, value) if kind in _MATCHES else []
        return [device.address for device in devices if self.snapshot.is_bridge(device)]

    def _matching(self, kind: str, value: str) -> list[pci.PciDevice]:
        matches = _MATCHES[kind]
        return [device for device in self.snapshot.devices.values() if matches(device, value)]

    def _gpu(self, uuid: str) -> list[str]:
        told = [address for known, address in self.uuids.items() if known.lower() == uuid.lower()]
        taken = [
            entry.address
            for entry in self.record.values()
            if entry.gpu_uuid.lower() == uuid.lower() and self._still_there(entry)
        ]
        # Whatever the driver tells now is newer than the record.
        return [address for address in told or taken if address in self.snapshot.devices]

    def _still_there(self, entry: model.Entry) -> bool:
        device = self.snapshot.devices.get(entry.address)
        return device is not None and identity(device) == entry.identity


def _wanted(selector: model.Selector) -> tuple[str, str]:
    return next((kind, getattr(selector, kind)) for kind in KINDS if getattr(selector, kind) is not None)


def _of_ids(device: pci.PciDevice, ids: str) -> bool:
    return f"{identity(device)}:".startswith(f"{ids}:")


_MATCHES: dict[str, t.Callable[[pci.PciDevice, str], bool]] = {
    "vendor_device": _of_ids,
    "class_code": lambda device, code: (device.class_code or "").startswith(code),
    "slot": lambda device, slot: device.slot == slot,
    "iommu_group": lambda device, group: device.group == group,
    "parent": lambda device, parent: parent in device.parents,
    "virtfns_of": lambda device, physfn: device.physfn == physfn,
}


def _problems(
    search: _Search, selector: model.Selector, addresses: t.Sequence[str]
) -> t.Iterator[tuple[str, str]]:
    """Yield what is wrong with the matches of one selector, and the remedy."""
    if not addresses and not selector.allow_missing:
        yield _missing(search, selector)
    elif selector.count not in (None, len(addresses)) and (addresses or not selector.allow_missing):
        yield (
            f"{selector} matches {len(addresses)} devices ({', '.join(sorted(addresses))}) and not {selector.count}",
            "look for a device that died or came, or correct the count",
        )
    for address in _unlike(search.snapshot, selector, addresses):
        yield (
            f"{address} ({selector}) is {identity(search.snapshot.devices[address])} and not {selector.expect}",
            f"correct the address or the expected ids, or lift this one refusal with allow: [{model.IDENTITY}]",
        )


def _missing(search: _Search, selector: model.Selector) -> tuple[str, str]:
    kind, _value = _wanted(selector)
    bridges = search.bridges(selector)
    if bridges:
        return (
            f"{selector} matches only bridges ({', '.join(bridges)})",
            "select the devices below: bridges stay",
        )
    return f"{selector} matches no device", "; ".join(filter(None, (_REMEDIES.get(kind), _ANYWAY)))


def _unlike(snapshot: pci.PciSnapshot, selector: model.Selector, addresses: t.Iterable[str]) -> list[str]:
    """Return the matches that are other devices than expected, unless that is allowed."""
    expect = selector.expect
    if expect is None or model.IDENTITY in selector.allow:
        return []
    return [address for address in sorted(addresses) if not _of_ids(snapshot.devices[address], expect)]


def _member(snapshot: pci.PciSnapshot, address: str, selectors: t.Sequence[model.Selector]) -> model.Member:
    """Make one member of all wishes for ``address``."""
    drivers = sorted({selector.driver for selector in selectors} - {model.AUTO})
    if len(drivers) > 1:
        names = " and ".join(str(selector) for selector in selectors if selector.driver != model.AUTO)
        raise Contradiction(
            f"{address} is wanted with the drivers {' and '.join(drivers)} ({names}).",
            "let the selectors agree on one driver",
        )
    lifted = [s.expect for s in selectors if s.expect and not _of_ids(snapshot.devices[address], s.expect)]
    return model.Member(
        address=address,
        binds=True,
        chosen=True,
        why=f"is not {' or '.join(lifted)}, which is allowed" if lifted else "",
        allow=frozenset().union(*(selector.allow for selector in selectors)),
        driver=drivers[0] if drivers else model.AUTO,
    )
