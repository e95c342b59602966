# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What a host shows of its IOMMU, read once, and why it may be missing."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import acpi_iommu, cpu, environment
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.iommu_arguments import Arguments
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci, pci_sysfs

TABLES = "/sys/firmware/acpi/tables"
UNITS = "/sys/class/iommu"
CMDLINE = "/proc/cmdline"
INTERRUPTS = "/proc/interrupts"
IRQS = "/sys/kernel/irq"
_IOMMU_CLASS = "0806"
# Interrupt chips behind a remapper: Intel and AMD share the prefix; Arm's is the GIC's ITS.
_REMAPPED = re.compile(r"\b(?:IR-|ITS-)[A-Za-z]\w*(?:-[A-Za-z]\w*)*")
# Intel VT-d specification, capability register bit 59 (posted interrupts); AMD IOMMU
# specification, extended feature register bit 7 (guest virtual APIC).
_POSTING_REGISTERS = (("intel-iommu/cap", 59), ("amd-iommu/features", 7))


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Everything the IOMMU checks look at; ``None`` is not known."""

    tables: tuple[str, ...] | None
    dmar: acpi_iommu.Dmar | None
    smmus: int | None
    units: tuple[str, ...] | None
    capable: t.Mapping[str, bool]
    arguments: Arguments | None
    remapped: tuple[str, ...] | None
    processor: cpu.Cpu
    machine: str | None
    container: str
    snapshot: pci.PciSnapshot

    @property
    def announced(self) -> tuple[str, ...] | None:
        """Return the tables that announce an IOMMU; an IORT without SMMUs does not."""
        if self.tables is None or (self.tables == ("IORT",) and self.smmus is None):
            return None
        return tuple(name for name in self.tables if name != "IORT" or self.smmus != 0)

    @property
    def groups(self) -> list[pci.IommuGroup]:
        """Return the groups that an IOMMU made."""
        return [group for group in (self.snapshot.groups or {}).values() if not group.fake]

    @property
    def off_argument(self) -> str:
        """Return the kernel argument that switches the IOMMU off, if any."""
        return self.arguments.switched_off(self.announced) if self.arguments else ""


@dataclasses.dataclass(frozen=True)
class Cause:
    """Why there is no IOMMU, the operator's next step, and what kind of step that is."""

    why: str
    hint: str
    fix: str


def read(host: Host) -> Evidence:
    """Collect the evidence."""
    processor = cpu.read(host)
    machine = environment.machine(host, processor)
    container = environment.container(host)
    units = tuple(host.listdir(UNITS)) if host.exists(UNITS) else None
    cmdline = host.text(CMDLINE)
    return Evidence(
        tables=_tables(host),
        dmar=acpi_iommu.parse_dmar(host.read_bytes(f"{TABLES}/DMAR")),
        smmus=acpi_iommu.count_smmus(host.read_bytes(f"{TABLES}/IORT")),
        units=units,
        capable=_posting(host, units or ()),
        arguments=None if cmdline is None else Arguments(tuple(cmdline.split())),
        remapped=read_remapped(host),
        processor=processor,
        machine=machine.name if machine else None,
        container=container.name if container else "",
        snapshot=pci_sysfs.read_pci_once(host),
    )


def cause(evidence: Evidence) -> Cause:
    """Say why no IOMMU works: switched off, not switched on, off in firmware, or not there."""
    if evidence.off_argument:
        return Cause(
            f"the kernel argument {evidence.off_argument} switches it off",
            f"Remove {evidence.off_argument} from the kernel arguments.",
            "cmdline",
        )
    if evidence.announced is None:
        return Cause("nothing here tells whether the firmware announces one", "Look on the host as root.", "")
    if evidence.announced:
        return _not_driven(evidence, evidence.announced)
    return _not_announced(evidence)


def _not_driven(evidence: Evidence, announced: t.Sequence[str]) -> Cause:
    tables = ", ".join(announced)
    given = evidence.arguments.last("intel_iommu", ("on", "off")) if evidence.arguments else ""
    if "DMAR" in announced and not given:
        return Cause(
            f"the firmware announces one ({tables}) and the kernel does not use it unasked",
            "Add the kernel argument intel_iommu=on.",
            "cmdline",
        )
    return Cause(
        f"the firmware announces one ({tables}), no argument switches it off, and the kernel does not drive it",
        "Look for DMAR, AMD-Vi, SMMU or virtio_iommu in the kernel log; the kernel may lack the driver.",
        "module",
    )


def _not_announced(evidence: Evidence) -> Cause:
    if evidence.machine:
        return Cause(
            f"this is a virtual machine ({evidence.machine}) without a virtual IOMMU",
            "Give the machine one, with interrupt remapping (QEMU: -device intel-iommu,intremap=on).",
            "hardware",
        )
    if evidence.smmus == 0:
        return Cause("the firmware's IORT names no SMMU", "Ask the maker for firmware that does.", "firmware")
    devices = evidence.snapshot.devices.values()
    chips = [device.address for device in devices if (device.class_code or "").startswith(_IOMMU_CLASS)]
    seen = f"although the chip shows one at {chips[0]}" if chips else "so it is off there or not built in"
    return Cause(
        f"the firmware announces no IOMMU, {seen}",
        "Enable VT-d (Intel), AMD-Vi / IOMMU (AMD) or SMMU (Arm) in the firmware setup.",
        "firmware",
    )


def _tables(host: Host) -> tuple[str, ...] | None:
    """Return the IOMMU tables; ``None`` when no table at all is to be seen.

    An empty folder is a container's mask and a missing one a machine without ACPI.
    """
    names = host.listdir(TABLES)
    return tuple(name for name in acpi_iommu.TABLES if name in names) if names else None


def read_remapped(host: Host) -> tuple[str, ...] | None:
    """Return the remapped interrupt chips in use; ``None`` when no interrupt is to be seen."""
    text = host.text(INTERRUPTS)
    if not text:
        chips = [host.text(f"{IRQS}/{number}/chip_name") or "" for number in host.listdir(IRQS)]
        text = "\n".join(chips).strip()
    return tuple(sorted(set(_REMAPPED.findall(text)))) if text else None


def _posting(host: Host, units: t.Sequence[str]) -> dict[str, bool]:
    """Return per unit whether it can deliver interrupts straight to a running guest."""
    capable = {}
    for unit in units:
        for name, bit in _POSTING_REGISTERS:
            register = (host.text(f"{UNITS}/{unit}/{name}") or "").partition(":")[0]
            if re.fullmatch(r"[0-9a-f]{1,16}", register, re.ASCII | re.IGNORECASE):
                capable[unit] = bool(int(register, 16) >> bit & 1)
    return capable
