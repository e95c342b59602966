# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The IOMMU's questions, kept apart: announced, driven, groups, domain, interrupts, isolation."""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import (
    iommu_arguments,
    iommu_evidence,
    values,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    UNKNOWN,
    WARN,
    Finding,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.iommu_evidence import Evidence
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.question import Question
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci

_GROUPS = "/sys/kernel/iommu_groups"
_UNSAFE = (("vfio", "enable_unsafe_noiommu_mode"), ("vfio_iommu_type1", "allow_unsafe_interrupts"))
_SEV_FLAGS = ("sev", "sev_es", "sev_snp")
_NO_GROUPS = "No IOMMU group can be seen; iommu.groups says why."

_TABLE = Question(
    "iommu.firmware_table",
    "The firmware announces an IOMMU",
    iommu_evidence.TABLES,
    "one of DMAR, IVRS, IORT with an SMMU, VIOT",
)
_ACTIVE = Question(
    "iommu.active", "The kernel drives at least one IOMMU", iommu_evidence.UNITS, "at least one unit"
)
_GROUPED = Question(
    "iommu.groups",
    "Devices are in groups that an IOMMU made, not VFIO's no-IOMMU mode",
    _GROUPS,
    "at least one group",
)
_DOMAIN = Question(
    "iommu.default_domain", "How the IOMMU treats the devices that the host keeps", f"{_GROUPS}/*/type"
)
_REMAPPING = Question(
    "iommu.interrupt_remapping",
    "Interrupts of devices are remapped, without which VFIO refuses to work",
    iommu_evidence.INTERRUPTS,
    "interrupt chips that start with IR- (x86) or ITS- (Arm)",
)
_ISOLATION = Question(
    "iommu.isolation",
    "No device to pass through shares its group with another card, and nothing fakes that",
    _GROUPS,
    "one card in each group that is passed through",
)
_POSTED = Question(
    "iommu.posted_interrupts",
    "Interrupts reach a running guest without an exit, a matter of speed only",
    f"{iommu_evidence.UNITS}/*/*-iommu",
)
_ARGUMENTS = Question(
    "iommu.arguments", "The kernel arguments about the IOMMU do what they seem to say", iommu_evidence.CMDLINE
)
_OVERRIDES = Question(
    "iommu.unsafe_overrides",
    "No module parameter of VFIO gives up its protection",
    "/sys/module/vfio*/parameters",
    "off",
)
_QUESTIONS = (
    _TABLE,
    _ACTIVE,
    _GROUPED,
    _DOMAIN,
    _REMAPPING,
    _ISOLATION,
    _POSTED,
    _ARGUMENTS,
    _OVERRIDES,
)
IDS: dict[str, str] = {question.id: question.meaning for question in _QUESTIONS}


def checks(host: Host, policy: Policy) -> list[Finding]:
    """Answer every question in :data:`IDS`."""
    evidence = iommu_evidence.read(host)
    findings = [
        _firmware_table(evidence),
        _active(evidence),
        _groups(evidence),
        _default_domain(evidence),
        _interrupt_remapping(evidence),
        _isolation(evidence, policy),
        _posted_interrupts(evidence, host),
        _arguments(evidence, policy),
        _unsafe_overrides(host),
    ]
    return [_seen_from(evidence.container, finding) for finding in findings]


def _seen_from(container: str, finding: Finding) -> Finding:
    """Take the blame from a container: what it lacks is the business of its host."""
    if not container or finding.status not in (FAIL, WARN):
        return finding
    why = f"{finding.why} This is a container ({container}): only its host can change that."
    return dataclasses.replace(finding, status=NOT_APPLICABLE, why=why, fix="host")


def _missing(question: Question, evidence: Evidence, value: t.Any, what: str) -> Finding:
    """Report that there is no IOMMU, with the cause."""
    cause = iommu_evidence.cause(evidence)
    return question.answer(FAIL, value, f"{what}: {cause.why}.", cause.hint, cause.fix)


def _partial(question: Question) -> Finding:
    why = f"{question.source} is not there: a kernel without IOMMU support, or only part of a host is seen."
    return question.answer(UNKNOWN, None, why, "Look on the host itself.")


def _firmware_table(evidence: Evidence) -> Finding:
    announced = evidence.announced
    if announced is None:
        why = "No table can be read: a machine without ACPI, a container, or no permission."
        return _TABLE.answer(UNKNOWN, None, why, "Look on the host itself, as root.")
    value = {
        "tables": list(announced),
        "dmar": dataclasses.asdict(evidence.dmar) if evidence.dmar else None,
        "smmus": evidence.smmus,
    }
    if announced:
        return _TABLE.answer(PASS, value, f"The firmware publishes {', '.join(announced)}.")
    # An argument switches off the kernel's driver; it cannot take a table away.
    return _missing(_TABLE, dataclasses.replace(evidence, arguments=None), value, "There is no such table")


def _active(evidence: Evidence) -> Finding:
    if evidence.units is None:
        return _partial(_ACTIVE)
    units = list(evidence.units)
    if not units:
        return _missing(_ACTIVE, evidence, units, "The kernel drives no IOMMU")
    return _ACTIVE.answer(PASS, units, f"The kernel drives {', '.join(units)}.")


def _groups(evidence: Evidence) -> Finding:
    if evidence.snapshot.groups is None:
        return _partial(_GROUPED)
    value = {group.number: [*group.devices, *group.others] for group in evidence.groups}
    fakes = [group.number for group in evidence.snapshot.groups.values() if group.fake]
    if not value:
        what = f"All {len(fakes)} groups are VFIO's no-IOMMU fakes" if fakes else "There is no group"
        return _missing(_GROUPED, evidence, value, what)
    if fakes:
        why = f"VFIO's no-IOMMU mode made these groups up, they isolate nothing: {', '.join(fakes)}."
        hint = "Load vfio without enable_unsafe_noiommu_mode."
        return _GROUPED.answer(WARN, value, why, hint, "module")
    return _GROUPED.answer(PASS, value, f"There are {len(value)} groups.{_strangers(evidence.groups)}")


def _strangers(groups: t.Sequence[pci.IommuGroup]) -> str:
    """Name the members that are no PCI devices: vfio-pci cannot take them."""
    named = [f"{name} in group {group.number}" for group in groups for name in group.others]
    return f" Not PCI devices: {', '.join(named)}." if named else ""


def _groupless(question: Question, evidence: Evidence) -> Finding:
    cause = iommu_evidence.cause(evidence)
    status = UNKNOWN if evidence.snapshot.groups is None else NOT_APPLICABLE
    return question.answer(status, None, _NO_GROUPS, cause.hint, cause.fix)


def _default_domain(evidence: Evidence) -> Finding:
    if not evidence.groups:
        return _groupless(_DOMAIN, evidence)
    kinds = collections.Counter(group.domain for group in evidence.groups if group.domain)
    if not kinds:
        return _DOMAIN.answer(UNKNOWN, None, "The kernel does not say; it does since 5.11.")
    why = "The IOMMU confines the devices that the host keeps, too."
    if "identity" in kinds:
        why = "Some devices that the host keeps may reach all memory (identity); guests' devices may not."
    return _DOMAIN.answer(PASS, dict(sorted(kinds.items())), why)


def _interrupt_remapping(evidence: Evidence) -> Finding:
    if evidence.remapped is None:
        return _REMAPPING.answer(UNKNOWN, None, "No interrupt can be seen.", "Look on the host itself.")
    if evidence.remapped:
        return _REMAPPING.answer(PASS, list(evidence.remapped), "Interrupts are remapped.")
    if not evidence.units and not evidence.groups:
        return _missing(_REMAPPING, evidence, [], "No interrupt is remapped, and there is no IOMMU")
    never = "Do not set allow_unsafe_interrupts instead: a guest could then attack the host."
    if evidence.arguments and "off" in evidence.arguments.options("intremap"):
        why = "The kernel argument intremap=off switches it off."
        return _REMAPPING.answer(FAIL, [], why, f"Remove intremap=off. {never}", "cmdline")
    why = "The IOMMU is on, but no interrupt is remapped."
    if evidence.dmar and not evidence.dmar.interrupt_remapping:
        why = "The IOMMU is on, but the firmware's DMAR table does not offer interrupt remapping."
    hint = f"Enable interrupt remapping / x2APIC in the firmware setup. {never}"
    return _REMAPPING.answer(FAIL, [], why, hint, "firmware")


def _isolation(evidence: Evidence, policy: Policy) -> Finding:
    if not evidence.groups:
        return _groupless(_ISOLATION, evidence)
    cards = {group.number: _cards(evidence.snapshot, group) for group in evidence.groups}
    shared = {number: names for number, names in cards.items() if len(names) > 1}
    faked = evidence.arguments.faked_isolation if evidence.arguments else ""
    if faked:
        why = f"isolation_faked: {faked} splits groups that the hardware does not separate."
        return _ISOLATION.answer(WARN, shared, why, f"Remove {faked}.", "cmdline")
    wanted = {device.group for device in evidence.snapshot.candidates(policy.devices)}
    blocked = [number for number in shared if number in wanted]
    if blocked:
        why = f"Groups that hold a device to pass through and other cards: {', '.join(blocked)}."
        hint = "Use another slot, enable ACS in the firmware setup, or give the whole group to one guest."
        return _ISOLATION.answer(WARN, shared, why, hint, "hardware")
    return _ISOLATION.answer(PASS, shared, "No device to pass through shares its group with another card.")


def _cards(snapshot: pci.PciSnapshot, group: pci.IommuGroup) -> list[str]:
    """Return the cards in a group, bridges left out; a member that is no PCI device counts as one."""
    return [*dict.fromkeys(device.card for device in snapshot.endpoints(group)), *group.others]


def _posted_interrupts(evidence: Evidence, host: Host) -> Finding:
    value = dict(evidence.capable)
    if not value:
        status = UNKNOWN if evidence.units is None else NOT_APPLICABLE
        return _POSTED.answer(status, None, "No Intel or AMD IOMMU can be seen at work.")
    if not all(value.values()):
        return _POSTED.answer(NOT_APPLICABLE, value, "This IOMMU cannot post interrupts.")
    intel = all(unit.startswith("dmar") for unit in value)
    module, name = ("kvm_intel", "enable_apicv") if intel else ("kvm_amd", "avic")
    enabled = values.parameter(host, module, name)
    if enabled is None:
        return _POSTED.answer(UNKNOWN, value, f"The IOMMU can post interrupts; {module} is not loaded.")
    if enabled:
        return _POSTED.answer(PASS, value, f"The IOMMU can post interrupts, and {module} uses that.")
    why = f"The IOMMU can post interrupts, and {module} does not use that."
    return _POSTED.answer(WARN, value, why, f"Load {module} with {name}=1 if latency matters.", "module")


def _arguments(evidence: Evidence, policy: Policy) -> Finding:
    arguments, processor = evidence.arguments, evidence.processor
    if arguments is None:
        return _ARGUMENTS.answer(UNKNOWN, None, f"{iommu_evidence.CMDLINE} cannot be read.")
    snp = "possible" if processor.flags.intersection(_SEV_FLAGS) else ""
    snp = "wanted" if "sev_snp" in policy.require else snp
    found = iommu_arguments.remarks(arguments, evidence.announced, processor.arch, snp)
    if not found:
        return _ARGUMENTS.answer(PASS, arguments.interesting, "No such argument is ignored or harmful.")
    status = FAIL if any(remark.status == FAIL for remark in found) else WARN
    why = " ".join(f"{remark.argument}: {remark.why}." for remark in found)
    hint = " ".join(dict.fromkeys(remark.hint for remark in found))
    return _ARGUMENTS.answer(status, arguments.interesting, why, hint, "cmdline")


def _unsafe_overrides(host: Host) -> Finding:
    value = {f"{module}.{name}": values.parameter(host, module, name) for module, name in _UNSAFE}
    on = [name for name, enabled in value.items() if enabled]
    if on:
        why = f"VFIO works without protecting the host: {', '.join(on)}."
        return _OVERRIDES.answer(WARN, value, why, f"Load the modules without {', '.join(on)}.", "module")
    if not host.listdir("/sys/module"):
        return _OVERRIDES.answer(UNKNOWN, value, values.MODULES_HIDDEN, "Look on the host itself.", "host")
    if all(enabled is None for enabled in value.values()):
        return _OVERRIDES.answer(NOT_APPLICABLE, value, "VFIO is not loaded.")
    return _OVERRIDES.answer(PASS, value, "VFIO keeps its protection.")
