# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Per-device readiness: one finding per aspect, which lists what holds for each address."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import readiness, topology
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    UNKNOWN,
    WARN,
    Finding,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.question import Question
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.readiness import Answer, Surroundings
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci, pci_sysfs
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci.framebuffers import parse_framebuffers

_SYSFS = "/sys/bus/pci/devices"
_IOMEM = "/proc/iomem"
_WORST_FIRST = (FAIL, WARN, UNKNOWN, PASS, NOT_APPLICABLE)

Judge = t.Callable[[pci.PciDevice, Surroundings], Answer]


@dataclasses.dataclass(frozen=True)
class Aspect:
    """A question that is put to every device."""

    question: Question
    judge: Judge


def _aspect(name: str, meaning: str, source: str, expected: str | None, judge: Judge) -> Aspect:
    return Aspect(Question(f"device.{name}", meaning, source, expected), judge)


_PRESENT = Question("device.present", "The named devices are in the host", _SYSFS)
_COUNT = Question("device.gpu_count", "As many GPUs as expected are in the host", _SYSFS)
_SRIOV = Question(
    "device.sriov", "Devices can be split into virtual functions (SR-IOV)", f"{_SYSFS}/*/sriov_totalvfs"
)
_ASPECTS = (
    _aspect(
        "reserved_regions",
        "Firmware reserves no memory that pins a device to the host (RMRR)",
        "/sys/kernel/iommu_groups/*/reserved_regions",
        "no region of type direct",
        readiness.reserved_regions,
    ),
    _aspect(
        "isolation",
        "A device shares its IOMMU group with its own functions and bridges only",
        "/sys/kernel/iommu_groups/*/devices",
        "no other card in the group",
        readiness.isolation,
    ),
    _aspect(
        "reset",
        "A device can be reset between two guests",
        f"{_SYSFS}/*/reset_method",
        "at least one method",
        readiness.reset,
    ),
    _aspect(
        "bars",
        "All memory windows of a device have an address, those above 4 GiB included",
        f"{_SYSFS}/*/resource",
        "no window at address 0",
        readiness.bars,
    ),
    _aspect(
        "boot_framebuffer",
        "A device is not the host's boot display",
        f"{_SYSFS}/*/boot_vga, {_IOMEM}",
        "another display, or none",
        readiness.boot_framebuffer,
    ),
    _aspect(
        "link_width",
        "A PCI Express link uses all its lanes",
        f"{_SYSFS}/*/current_link_width",
        "the maximum of the device",
        readiness.link_width,
    ),
    _aspect(
        "link_speed",
        "A PCI Express link runs at its full speed",
        f"{_SYSFS}/*/current_link_speed",
        "the maximum of the device",
        readiness.link_speed,
    ),
    _aspect(
        "errors",
        "No PCI Express errors were counted on the way to a device (AER)",
        f"{_SYSFS}/*/aer_dev_*",
        "all counters 0",
        readiness.errors,
    ),
    _aspect(
        "numa_node",
        "The NUMA node of a device is known where there are several",
        f"{_SYSFS}/*/numa_node",
        "a node",
        readiness.numa_node,
    ),
    _aspect(
        "identity",
        "Serial number, slot and address tell which card is which",
        f"{_SYSFS}/*/config, /sys/bus/pci/slots",
        "a serial number, slot or label",
        readiness.identity,
    ),
)
_QUESTIONS = (_PRESENT, _COUNT, _SRIOV, *(aspect.question for aspect in _ASPECTS))
IDS: dict[str, str] = {question.id: question.meaning for question in _QUESTIONS}


def checks(host: Host, policy: Policy) -> list[Finding]:
    """Judge the devices that the policy names, or all GPUs.

    :raises ParseError: the policy names a device by something that is no PCI address.
    """
    snapshot = pci_sysfs.read_pci_once(host)
    if not snapshot.present:
        why = f"{_SYSFS} is not there: a host without PCI, or only part of a host is seen."
        hint = "Run the check on the host itself."
        return [question.answer(UNKNOWN, None, why, hint, "host") for question in _QUESTIONS]
    around = Surroundings(
        snapshot,
        framebuffers=parse_framebuffers(host.text(_IOMEM)),
        nodes=len(topology.online_nodes(host)),
    )
    devices = snapshot.candidates(policy.devices)
    return [
        _present(snapshot, policy),
        _count(snapshot, policy),
        _sriov(devices if policy.devices else list(snapshot.devices.values())),
        *(_judge(aspect, devices, around, bool(policy.devices)) for aspect in _ASPECTS),
    ]


def _present(snapshot: pci.PciSnapshot, policy: Policy) -> Finding:
    if not policy.devices:
        return _PRESENT.answer(NOT_APPLICABLE, None, "No device was named; all GPUs are looked at.")
    wanted = [pci.normalise(address) for address in policy.devices]
    missing = [address for address in wanted if address not in snapshot.devices]
    if not missing:
        return _PRESENT.answer(PASS, {address: snapshot.devices[address].ids for address in wanted})
    hint = (
        "Look for the card under another address (a new card may shift them), then check its seat and power."
    )
    return _PRESENT.answer(
        FAIL, {"missing": missing}, f"Not in this host: {', '.join(missing)}.", hint, "hardware"
    )


def _count(snapshot: pci.PciSnapshot, policy: Policy) -> Finding:
    found = [device.address for device in snapshot.devices.values() if device.is_gpu]
    value = {"number": len(found), "addresses": found}
    question = dataclasses.replace(_COUNT, expected=policy.expected_gpus)
    if policy.expected_gpus is None:
        return question.answer(NOT_APPLICABLE, value, "No number was given to compare with.")
    if len(found) == policy.expected_gpus:
        return question.answer(PASS, value)
    why = f"{len(found)} GPUs are there, {policy.expected_gpus} were expected."
    hint = "A missing GPU may be dead, badly seated, without power, or hidden by the firmware setup."
    return question.answer(FAIL, value, why, hint, "hardware")


def _sriov(devices: t.Sequence[pci.PciDevice]) -> Finding:
    """Most devices cannot be split, and most need not; only who requires it minds."""
    value = {d.address: {"total": d.sriov.total, "number": d.sriov.number} for d in devices if d.sriov}
    if not value:
        hint = "Enable SR-IOV in the firmware setup, if the device has it."
        return _SRIOV.answer(NOT_APPLICABLE, value, "No device that was looked at offers SR-IOV.", hint)
    return _SRIOV.answer(PASS, value, f"SR-IOV is offered by {', '.join(value)}.")


def _judge(aspect: Aspect, devices: t.Sequence[pci.PciDevice], around: Surroundings, named: bool) -> Finding:
    """Ask every device; the finding is as bad as the worst answer."""
    if not devices:
        why = "None of the named devices is in this host." if named else "No GPU is in this host."
        hint = (
            "See device.present." if named else "Name the devices to look at, if others than GPUs are meant."
        )
        return aspect.question.answer(NOT_APPLICABLE, {}, why, hint)
    answers = {device.address: aspect.judge(device, around) for device in devices}
    value = {address: {"status": a.status, "value": a.value, "why": a.why} for address, a in answers.items()}
    worst = min((answer.status for answer in answers.values()), key=_WORST_FIRST.index)
    telling = {address: answer for address, answer in answers.items() if answer.status == worst}
    reasons: dict[str, list[str]] = {}
    for address, answer in telling.items():
        reasons.setdefault(answer.why, []).append(address)
    why = " ".join(f"{', '.join(addresses)}: {reason}." for reason, addresses in reasons.items() if reason)
    hints = dict.fromkeys(answer.hint for answer in telling.values() if answer.hint)
    fixes = [answer.fix for answer in telling.values() if answer.fix]
    return aspect.question.answer(worst, value, why, " ".join(hints), fixes[0] if fixes else "")
