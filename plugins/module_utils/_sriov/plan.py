# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Decide what is done to a device with virtual functions, and what is kept in the two files. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.check import check_indexes
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.files import Entries
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.read import Function
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.steps import (
    SetAutoprobe,
    SetNumber,
    SetVf,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import Identity, Uses


@dataclasses.dataclass(frozen=True)
class Scene:
    """What is known: the device, if there is a running system with it, both files, and who uses VFs that would go.

    ``given`` are the addresses that the record of ``vfio_bind`` names.
    """

    function: Function | None
    block: model.Entry | None
    record: model.Entry | None
    uses: Uses = dataclasses.field(default_factory=dict)
    given: frozenset[str] = frozenset()


def identity_of(device: pci.PciDevice) -> Identity:
    """Return who a device is."""
    parts = (device.vendor, device.device, device.subsystem_vendor, device.subsystem_device)
    return Identity(*(part or "0000" for part in parts))


def identity(wish: model.Wish, function: Function | None) -> Identity:
    """Return who the device is that the wish is about.

    :raises Refusal: it is somebody else, or nobody can tell.
    """
    if function is not None:
        found = identity_of(function.device)
        if not f"{found}:".startswith(f"{wish.expect}:" if wish.expect else ""):
            raise Refusal(
                f"{wish.address} is {found}, and {wish.expect} was expected.",
                "correct address, or expect after a change of hardware; addresses move when cards are added",
            )
        return found
    if wish.expect.count(":") != 3:
        raise Refusal(
            f"There is no PCI device {wish.address} to ask who it is.",
            "correct address; without the device name all four ids in expect, such as '8086:1572:8086:0001'",
        )
    return Identity(*wish.expect.split(":"))


def target_of(wish: model.Wish, scene: Scene) -> model.Settings:
    """Return what is to be set on the running system; for a device that is let go, what it was before."""
    function = scene.function
    if not wish.absent:
        return wish.settings
    if function is None or function.device.sriov is None:
        return {}
    settings = {**_by_our_rule(scene), **(_same(scene.record, function) or {})}
    return model.below(settings, int(settings.get(model.NUMBER, function.number)))


def going(function: Function | None, target: model.Settings) -> tuple[str, ...]:
    """Return the VFs that would be taken away, even if as many or more come back."""
    if function is None or target.get(model.NUMBER, str(function.number)) == str(function.number):
        return ()
    return tuple(device.address for device in function.vfs)


def running_steps(function: Function, target: model.Settings, deadline_s: float) -> list[Action]:
    """Return what makes the running system so."""
    address, now = function.device.address, function.settings
    number = target.get(model.NUMBER, now[model.NUMBER])
    renewed = number != now[model.NUMBER]
    steps: list[Action] = []
    if renewed and function.number:
        lost = tuple(SetVf(function.netdev, *vf) for vf in model.vfs_of(now).items())
        steps.append(SetNumber(address, "0", now[model.NUMBER], deadline_s, lost=lost))
    if target.get(model.AUTOPROBE, now.get(model.AUTOPROBE)) != now.get(model.AUTOPROBE):
        steps.append(SetAutoprobe(address, target[model.AUTOPROBE], now.get(model.AUTOPROBE, ""), deadline_s))
    if renewed and number != "0":
        steps.append(SetNumber(address, number, "0", deadline_s))
    known = {} if renewed else model.vfs_of(now)
    for index, fields in model.vfs_of(target).items():
        sent = _to_send(fields, known.get(index, {}))
        if sent:
            before = {field: known[index][field] for field in sent if field in known.get(index, {})}
            steps.append(SetVf(function.netdev, index, sent, before))
    return steps


def _to_send(fields: t.Mapping[str, str], known: t.Mapping[str, str]) -> dict[str, str]:
    """Return what has to be set. A VLAN and its priority are one thing to the kernel: it takes both or forgets one."""
    sent = {field: value for field, value in fields.items() if known.get(field) != value}
    if "vlan" in sent or "qos" in sent:
        both = {**known, **fields}
        sent["vlan"] = both.get("vlan", "0")
        sent["qos"] = both.get("qos", "0") if sent["vlan"] != "0" else "0"
    return sent


def record_after(wish: model.Wish, scene: Scene, who: Identity) -> model.Entry | None:
    """Return what is recorded of the time before; what was recorded once is never overwritten."""
    function = scene.function
    if function is None:
        return scene.record
    kept = _same(scene.record, function) or {}
    settings = {**_before(wish, scene, function, kept), **kept}
    return model.Entry(wish.address, who, settings) if settings else None


def _before(wish: model.Wish, scene: Scene, function: Function, kept: model.Settings) -> dict[str, str]:
    """Return what the device says now of what is about to be ours."""
    now = function.settings
    before = {key: now[key] for key in model.own(wish.settings) if key in now}
    before.update({key: value for key, value in _by_our_rule(scene).items() if key in before})
    original = kept.get(model.NUMBER, before.get(model.NUMBER, now.get(model.NUMBER, "0")))
    if going(function, wish.settings) and original == now[model.NUMBER]:
        return {**{key: value for key, value in now.items() if key not in model.DEFAULTS}, **before}
    vfs = {key: now[key] for key in wish.settings if key in now and key not in before}
    return {**before, **model.below(vfs, int(original))}


def _by_our_rule(scene: Scene) -> dict[str, str]:
    """Return what the device would be without our rule, where it is as the rule says: then a boot made it so."""
    function = scene.function
    block = _same(scene.block, function) if function else None
    return {
        key: model.DEFAULTS[key]
        for key, value in model.own(block or {}).items()
        if function and function.settings.get(key) == value
    }


def _same(entry: model.Entry | None, function: Function) -> model.Settings | None:
    """Return the settings of an entry, if it is about this very device."""
    return entry.settings if entry and entry.identity == identity_of(function.device) else None


def block_after(wish: model.Wish, block: model.Entry | None, who: Identity) -> model.Entry | None:
    """Return what every boot is to do; what the wish does not speak of stays.

    :raises ParseError: VFs would be set that nobody makes.
    """
    settings = dict(block.settings) if block and block.identity == who else {}
    if wish.vfs:
        settings = model.own(settings)
    settings.update(wish.settings)
    number = int(settings.get(model.NUMBER, 0))
    if model.vfs_of(wish.settings) and model.NUMBER not in settings:
        raise ParseError(
            f"vfs of {wish.address} would be lost at the next boot: nothing makes the VFs then.",
            "set number as well, or persistent to false",
        )
    check_indexes(wish.settings, number)
    if not number:
        # None is what a boot brings anyway; a rule that takes VFs away would do so under their users.
        settings.pop(model.NUMBER, None)
    settings = model.below(settings, number)
    return model.Entry(wish.address, who, settings) if settings else None


def with_entry(entries: Entries, address: str, entry: model.Entry | None) -> dict[str, model.Entry]:
    """Return the entries of a file with another one for ``address``."""
    others = {name: other for name, other in entries.items() if name != address}
    return {**others, address: entry} if entry else others
