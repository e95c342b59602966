# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Who has to go to VFIO together: whole IOMMU groups, and whole cards. Pure."""

from __future__ import annotations

import collections
import dataclasses
import fnmatch
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model

# Host and ISA bridges have a type-0 header, and yet are no devices to give away.
_SYSTEM_BRIDGES = ("0600", "0601")
# Audio, USB, the controller of a USB-C port: before everything else, and a display after everything else.
_RANKS = {"0403": 0, "0c03": 1, "0c80": 2}
_OTHER, _DISPLAY = 3, 4
_DISPLAYS = ("03", "12")
# The drivers of VFIO that take any device; each other one knows its own.
_GENERIC = (model.AUTO, model.VFIO_PCI, "pci-stub")

_ALIAS = re.compile(r"^alias\s+vfio_(pci:\S+)\s+(\S+)$", re.ASCII | re.MULTILINE)
_GENERIC_MODULE = "vfio_pci"


def expand(
    snapshot: pci.PciSnapshot, chosen: t.Sequence[model.Member], excluded: t.Collection[str] = ()
) -> tuple[model.Member, ...]:
    """Return ``chosen`` and everything that has to go or may stay with them, in the order of binding.

    A group goes as a whole, because VFIO opens no other; a card goes as a whole, because the bus is reset for all
    functions of it. Bridges stay, and so do host and ISA bridges without a driver. Companions are bound even without
    a driver: a reset wants to own them. They inherit the allowance and the driver of those that draw them in.
    Of the devices of ``snapshot``, group, ids, class, header type, driver, root and ``physfn`` are looked at, for
    the groups and cards concerned. ``excluded`` functions of a card that are in no group of ours stay with the host.

    :raises Contradiction: an excluded device is in one group with a chosen one.
    """
    members = {member.address: _seated(snapshot, member) for member in chosen}
    neighbours = _Neighbours(snapshot, frozenset(excluded).difference(members))
    found = dict(members)
    for address in sorted(members):
        if members[address].binds and address not in neighbours.visited:
            _draw(neighbours, address, members, found)
    return in_order(snapshot, found.values())


def in_order(snapshot: pci.PciSnapshot, members: t.Iterable[model.Member]) -> tuple[model.Member, ...]:
    """Return ``members`` in the order of binding: cards by address, in each companions first, the display last."""
    return tuple(sorted(members, key=lambda member: _order(snapshot, member.address)))


def resolve_driver(modalias: str | None, aliases: str) -> str:
    """Return the best driver of VFIO's for ``modalias``, with the text of ``modules.alias`` of the running kernel.

    That is the entry with the fewest wildcards, as the kernel asks of its users (commit cc6711b0bf36). The variants
    name their driver like their module (``.name = KBUILD_MODNAME``); only the generic one is ``vfio-pci``.
    """
    best, fewest = _GENERIC_MODULE, None
    for pattern, module in _ALIAS.findall(aliases):
        wildcards = pattern.count("*")
        if modalias and (fewest is None or wildcards < fewest) and fnmatch.fnmatchcase(modalias, pattern):
            best, fewest = module, wildcards
    return model.VFIO_PCI if best == _GENERIC_MODULE else best


class _Neighbours:
    """What shares a group or a card with a device."""

    def __init__(self, snapshot: pci.PciSnapshot, excluded: frozenset[str]) -> None:
        self.snapshot = snapshot
        self.excluded = excluded
        self.visited: set[str] = set()
        self._cards: dict[str, list[str]] = collections.defaultdict(list)
        self._groups: dict[str, set[str]] = collections.defaultdict(set)
        for number, group in (snapshot.groups or {}).items():
            self._groups[number].update(group.devices)
        for device in snapshot.devices.values():
            if device.group:
                self._groups[device.group].add(device.address)
            if self._resets_by_bus(device):
                self._cards[device.card].append(device.address)

    def _resets_by_bus(self, device: pci.PciDevice) -> bool:
        """Tell whether the reset of ``device`` may need the other functions of its card.

        Not for a virtual function, and not on a root bus: VFIO then has a set of its own for each device, as
        vfio_pci_core_register_device() shows.
        """
        if device.physfn is not None or self.snapshot.is_bridge(device):
            return False
        return not device.root or not device.address.startswith(f"{device.root[len('pci') :]}:")

    def group(self, device: pci.PciDevice) -> list[str]:
        """Return what is in the group of ``device``; nothing when asked again, for the sake of large groups."""
        return sorted(self._groups.pop(device.group or "", ()))

    def card(self, device: pci.PciDevice) -> list[str]:
        """Return the functions of the card of ``device`` that its reset concerns; nothing when asked again."""
        return self._cards.pop(device.card, []) if self._resets_by_bus(device) else []


def _draw(
    neighbours: _Neighbours,
    start: str,
    members: t.Mapping[str, model.Member],
    found: dict[str, model.Member],
) -> None:
    """Add to ``found`` whatever ``start`` draws in, through others as well.

    All of it goes together, so companions inherit from each of ``members`` among them.
    """
    drawn: list[str] = []
    patrons: list[str] = []
    waiting = collections.deque([start])
    neighbours.visited.add(start)
    while waiting:
        address = waiting.popleft()
        (patrons if address in members else drawn).append(address)
        for name, why in _ties(neighbours, address):
            if name not in found:
                found[name] = _companion(neighbours, name, why)
            if name not in neighbours.visited and found[name].binds:
                neighbours.visited.add(name)
                waiting.append(name)
    for address in drawn:
        found[address] = _inheriting(
            neighbours.snapshot, found[address], [found[one] for one in sorted(patrons)]
        )


def _ties(neighbours: _Neighbours, address: str) -> t.Iterator[tuple[str, str]]:
    """Yield what ``address`` draws in directly, and why."""
    device = neighbours.snapshot.devices.get(address)
    if device is None:
        return
    for name in neighbours.group(device):
        if name != address:
            why = f"shares IOMMU group {device.group} with {address}"
            _refuse_excluded(neighbours, name, address, why)
            yield name, why
    for name in neighbours.card(device):
        if name != address:
            yield name, f"is on one card with {address}, and takes part in its reset"


def _refuse_excluded(neighbours: _Neighbours, name: str, address: str, why: str) -> None:
    device = neighbours.snapshot.devices.get(name)
    if name in neighbours.excluded and not (device and _stays(neighbours.snapshot, device)):
        raise Contradiction(
            f"{name} is excluded, but {why}: no guest gets the one without the other.",
            f"exclude {address} as well, or let {name} go, too",
        )


def _companion(neighbours: _Neighbours, name: str, why: str) -> model.Member:
    """Return what becomes of one that was not chosen; what it inherits is still to come."""
    member = _seated(neighbours.snapshot, model.Member(name, binds=True, why=why, driver=model.AUTO))
    if not member.binds or name not in neighbours.excluded:
        return member
    note = "is excluded and stays: the bus cannot be reset, only the function"
    return dataclasses.replace(member, binds=False, why=f"{why}; {note}")


def _seated(snapshot: pci.PciSnapshot, member: model.Member) -> model.Member:
    """Return ``member`` as it can be: a bridge stays with the host."""
    device = snapshot.devices.get(member.address)
    if device is None or not member.binds:
        return member
    stays = "" if member.chosen and not snapshot.is_bridge(device) else _stays(snapshot, device)
    if not stays:
        return member
    return dataclasses.replace(member, binds=False, why="; ".join(filter(None, (member.why, stays))))


def _stays(snapshot: pci.PciSnapshot, device: pci.PciDevice) -> str:
    """Return why ``device`` may stay with the host, empty when it may not."""
    if snapshot.is_bridge(device):
        return "stays: a bridge, told by its header, does not hinder VFIO"
    if device.driver is None and (device.class_code or "").startswith(_SYSTEM_BRIDGES):
        return "stays: a host or ISA bridge without a driver does not hinder VFIO"
    return ""


def _inheriting(
    snapshot: pci.PciSnapshot, companion: model.Member, patrons: t.Sequence[model.Member]
) -> model.Member:
    """Return ``companion`` with what those that draw it in bring along.

    The driver of another kind of device is not for it: it then gets the best one of its own.
    """
    kind = _ids(snapshot, companion.address)
    drivers = [
        patron.driver
        for patron in patrons
        if patron.driver in _GENERIC or (kind and kind == _ids(snapshot, patron.address))
    ]
    # The first that is a wish, in the order of the addresses.
    driver = next((name for name in drivers if name != model.AUTO), model.AUTO)
    allow = companion.allow.union(*(patron.allow for patron in patrons))
    return dataclasses.replace(companion, allow=allow, driver=driver)


def _ids(snapshot: pci.PciSnapshot, address: str) -> str:
    device = snapshot.devices.get(address)
    return device.ids if device else ""


def _order(snapshot: pci.PciSnapshot, address: str) -> tuple[int, str, int, str]:
    device = snapshot.devices.get(address)
    code = (device.class_code if device else None) or ""
    rank = _DISPLAY if code.startswith(_DISPLAYS) else _RANKS.get(code[:4], _OTHER)
    card = address.rpartition(".")[0]
    return len(card), card, rank, address
