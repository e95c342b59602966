# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Read what decisions are made from: who is there, and then the rest of the few devices that matter."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config import kernel
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci, pci_sysfs
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci.unreadable import unreadable
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model, record, rules
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.decide import decide, members_of
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.device import (
    DEVICES,
    DRIVERS,
    cdev_of,
    has_driver,
    hung_marks,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.groups import resolve_driver
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.plan import TYPE1, Loaded, Texts
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.scene import BIND, Decision, Scene
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.selection import identity
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.task import Task
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.uuids import read_gpu_uuids

BOOT_ID = "/proc/sys/kernel/random/boot_id"
# Where the id cannot be read: a boot that never was, so that what ends with it is over at the next look.
NO_BOOT = "00000000-0000-0000-0000-000000000000"
NEXT_BOOT = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_IOMMUFD = "/dev/iommu"


def read_texts(host: Host, contents: t.Mapping[str, str]) -> Texts:
    """Read the managed files; ``contents`` are those that earlier tasks would have written.

    :raises ParseError: one cannot be read.
    """
    found = {}
    for path in (record.PATH, rules.PATH):
        reading = Reading(text=contents[path]) if path in contents else host.read(path)
        if reading.unknown:
            raise ParseError(f"{reading.why}.", remedy=f"make {path} readable")
        found[path] = reading.text or ""
    return Texts(found[record.PATH], found[rules.PATH])


def read_scene(host: Host, task: Task, texts: Texts, watched: t.Iterable[str]) -> Scene:
    """Read the devices: all of them a little, and the selected ones, those on record and ``watched`` in full."""
    boot_id = host.text(BOOT_ID) or NO_BOOT
    recorded = record.parse_record(texts.record)
    snapshot = pci_sysfs.read_pci_ids(host) if task.running else _imagined(task)
    known = {
        address: entry
        for address, entry in recorded.items()
        if entry.boot_id in ("", boot_id) or _is_left(entry, snapshot.devices.get(address))
    }
    ruled = {rule.address: rule for rule in rules.parse_rules(texts.rules)}
    if not task.running:
        return Scene(snapshot, known, ruled, boot_id, {})
    scene = Scene(snapshot, known, ruled, boot_id, read_gpu_uuids(host))
    near = {member.address for member in members_of(task, scene)}
    marked = frozenset(hung_marks(host))
    wanted = _with_physfns(scene.snapshot, {*near, *known, *watched})
    hung = marked | unreadable(host, (address for address in wanted if address not in marked))
    found = pci_sysfs.complete(host, scene.snapshot, wanted, hung)
    scene = dataclasses.replace(scene, snapshot=found, hung=hung)
    return _after_reboot(scene) if task.rebooted else scene


def read_decisions(host: Host, task: Task, scene: Scene) -> tuple[Scene, tuple[Decision, ...]]:
    """Decide; what is only needed for that is read here, such as the aliases of the kernel's drivers."""
    members = members_of(task, scene)
    open_ones = [member.address for member in members if member.binds and _is_open(scene, member)]
    if task.running and open_ones and not task.absent:
        release = kernel.running_kernel(host)
        aliases = host.read(f"{kernel.MODULES_DIR}/{release}/modules.alias").text or ""
        drivers = {
            address: resolve_driver(host.text(f"{DEVICES}/{address}/modalias"), aliases)
            for address in open_ones
        }
        scene = dataclasses.replace(scene, drivers=drivers)
    return scene, decide(task, scene, members)


def read_loaded(host: Host, decisions: t.Iterable[Decision]) -> Loaded:
    """Read which of the drivers are there that devices are to get; nothing when none changes."""
    live = [decision for decision in decisions if decision.live]
    names = {d.member.driver if d.verb == BIND else d.entry.origin if d.entry else "" for d in live} - {""}
    return Loaded(
        frozenset(name for name in names if has_driver(host, name)),
        # A kernel that has IOMMUFD may come without the older interface.
        not live or kernel.is_loaded(host, TYPE1) or host.exists(_IOMMUFD),
    )


def read_builtin(host: Host, decisions: t.Iterable[Decision]) -> frozenset[str]:
    """Return the drivers of the host that are part of the kernel, which no rule comes before."""
    names = {_host_driver(decision) for decision in decisions if decision.verb == BIND} - {""}
    if not names:
        return frozenset()
    builtin = kernel.builtin(host, kernel.running_kernel(host))
    modules = {name: host.link(f"{DRIVERS}/{name}/module") or name for name in names}
    return frozenset(name for name, module in modules.items() if module.replace("-", "_") in builtin)


def read_cdev(host: Host, address: str) -> str:
    """Return the device node of its own that VFIO gives a bound device where the kernel has IOMMUFD."""
    return cdev_of(host, f"{DEVICES}/{address}")


def _host_driver(decision: Decision) -> str:
    driver = decision.after.origin if decision.after else decision.before
    return "" if "vfio" in driver else driver


def _is_open(scene: Scene, member: model.Member) -> bool:
    """Tell whether the best driver of a device has to be looked up."""
    device = scene.snapshot.devices[member.address]
    recorded = member.address in scene.record and not scene.stranger(member.address)
    return member.driver == model.AUTO and not recorded and "vfio" not in (device.driver or "")


def _is_left(entry: model.Entry, device: pci.PciDevice | None) -> bool:
    """Tell whether a device still has our driver in a boot that was to come without: its initramfs is an old one."""
    held = device is not None and device.driver == entry.driver != entry.origin
    return bool(device and held and identity(device) == entry.identity)


def _with_physfns(snapshot: pci.PciSnapshot, addresses: t.Iterable[str]) -> list[str]:
    """Return those of ``addresses`` that are there, and the physical functions of those that are virtual ones."""
    devices = [snapshot.devices[address] for address in addresses if address in snapshot.devices]
    physfns = {device.physfn for device in devices if device.physfn in snapshot.devices}
    return sorted({device.address for device in devices} | {physfn for physfn in physfns if physfn})


def _imagined(task: Task) -> pci.PciSnapshot:
    """Return the devices that the selectors describe, for a root that does not run."""
    devices = {}
    for selector in task.selectors or ():
        ids = (selector.expect or "").split(":")
        if selector.address and len(ids) == 4:
            devices[selector.address] = pci.PciDevice(
                selector.address,
                vendor=ids[0],
                device=ids[1],
                subsystem_vendor=ids[2],
                subsystem_device=ids[3],
            )
    return pci.PciSnapshot(devices)


def _after_reboot(scene: Scene) -> Scene:
    """Return the scene as the next boot makes it: the rules bind, and what ends with this boot is over."""
    devices = dict(scene.snapshot.devices)
    for address, device in scene.snapshot.devices.items():
        rule, entry = scene.rules.get(address), scene.record.get(address)
        if rule is not None and rule.identity == identity(device):
            devices[address] = dataclasses.replace(device, driver=rule.driver, driver_override=rule.driver)
        elif entry is not None and device.driver == entry.driver and not scene.stranger(address):
            devices[address] = dataclasses.replace(device, driver=entry.origin or None, driver_override=None)
    return dataclasses.replace(
        scene,
        snapshot=dataclasses.replace(scene.snapshot, devices=devices),
        record={address: entry for address, entry in scene.record.items() if not entry.boot_id},
        boot_id=NEXT_BOOT,
        hung=frozenset(),
    )
