# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Kernel arguments that touch the IOMMU: which work, which do nothing, which do harm. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import FAIL, WARN

# Documentation/admin-guide/kernel-parameters.txt of the kernel. Other values are ignored.
_INTEL = "on off igfx_off forcedac strict sp_off sm_on sm_off tboot_noforce"
_AMD = "fullflush off force_isolation force_enable pgtbl_v1 pgtbl_v2 irtcachedis nohugepages v2_pgsizes_only"
_ANY = "off force noforce biomerge merge nomerge panic nopanic forcesac allowdac nodac usedac soft pt nopt"
_KNOWN = {"intel_iommu": _INTEL.split(), "amd_iommu": _AMD.split(), "iommu": _ANY.split()}
_DRIVER_OF_TABLE = {"intel_iommu": "DMAR", "amd_iommu": "IVRS"}
_YES, _NO = ("1", "y", "Y", "on"), ("0", "n", "N", "off")
_INTERESTING = ("iommu", "intremap", "pcie_acs_override=", "pci=", "vfio")


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The words of the kernel command line, in order: of contradicting ones the last wins."""

    words: tuple[str, ...] = ()

    def options(self, name: str) -> list[str]:
        """Return the comma-separated options of every ``name=``, in order."""
        values = [word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")]
        return [option for value in values for option in value.split(",")]

    def last(self, name: str, choices: t.Sequence[str]) -> str:
        """Return which of ``choices`` was said last, or an empty string."""
        said = [option for option in self.options(name) if option in choices]
        return said[-1] if said else ""

    @property
    def interesting(self) -> list[str]:
        """Return the words that have to do with the IOMMU or with passthrough."""
        return [word for word in self.words if any(mark in word for mark in _INTERESTING)]

    @property
    def passthrough(self) -> str:
        """Return the argument that lets the host's own devices bypass the IOMMU, if any."""
        if self.last("iommu", ("pt", "nopt")) == "pt":
            return "iommu=pt"
        return "iommu.passthrough=1" if self.last("iommu.passthrough", _YES + _NO) in _YES else ""

    @property
    def against_snp(self) -> list[str]:
        """Return the arguments that forbid SEV-SNP, which needs the IOMMU to translate with AMD's own page tables."""
        page_tables = "amd_iommu=pgtbl_v2" if "pgtbl_v2" in self.options("amd_iommu") else ""
        return [argument for argument in (self.passthrough, page_tables) if argument]

    @property
    def faked_isolation(self) -> str:
        """Return the argument of the out-of-tree patch that pretends isolation, if any."""
        return next((word for word in self.words if word.startswith("pcie_acs_override=")), "")

    def switched_off(self, tables: t.Sequence[str] | None) -> str:
        """Return the argument that switches this machine's IOMMU off, if any.

        :param tables: the firmware's IOMMU tables: ``amd_iommu=off`` is no matter with a DMAR.
        """
        if self.last("iommu", ("off", "force")) == "off":
            return "iommu=off"
        for name, table in _DRIVER_OF_TABLE.items():
            if self.last(name, ("on", "off")) == "off" and (tables is None or table in tables):
                return f"{name}=off"
        return ""


@dataclasses.dataclass(frozen=True)
class Remark:
    """What is wrong with one argument."""

    argument: str
    status: str
    why: str
    hint: str


def remarks(arguments: Arguments, tables: t.Sequence[str] | None, arch: str, snp: str) -> list[Remark]:
    """Judge the arguments.

    :param arch: ``x86`` or ``arm64``; the latter does not know ``iommu=``.
    :param snp: what SEV-SNP is to this host: ``wanted``, ``possible``, or an empty string.
    """
    found = [*_harmful(arguments, tables), *_ineffective(arguments, arch), *_against_snp(arguments, snp)]
    return list(dict.fromkeys(found))


def _harmful(arguments: Arguments, tables: t.Sequence[str] | None) -> t.Iterator[Remark]:
    off = arguments.switched_off(tables)
    if off:
        yield Remark(off, FAIL, "it switches the IOMMU off", f"Remove {off}.")
    if "off" in arguments.options("intremap"):
        yield Remark("intremap=off", FAIL, "VFIO refuses to work without it", "Remove intremap=off.")
    if "nosid" in arguments.options("intremap"):
        why = "a device may then send interrupts in another's name"
        yield Remark("intremap=nosid", WARN, why, "Remove intremap=nosid.")
    if arguments.faked_isolation:
        why = "a patched kernel pretends that devices are isolated; a guest may reach its neighbours"
        yield Remark(arguments.faked_isolation, WARN, why, "Remove it and plan with the true groups.")
    for name in ("disable_acs_redir", "config_acs"):
        if any(word.startswith("pci=") and f"{name}=" in word for word in arguments.words):
            why = "it lets devices reach each other past the IOMMU and so merges groups"
            yield Remark(f"pci={name}", WARN, why, "Keep it only where peer-to-peer matters more.")


def _ineffective(arguments: Arguments, arch: str) -> t.Iterator[Remark]:
    for name, known in _KNOWN.items():
        for option in arguments.options(name):
            if arch == "arm64" and name == "iommu":
                hint = "Use iommu.passthrough=1 if that was meant." if option == "pt" else "Remove it."
                yield Remark(f"iommu={option}", WARN, "arm64 does not know it", hint)
            elif option not in known:
                hint = f"Remove it.{_INSTEAD[name]}"
                yield Remark(f"{name}={option}", WARN, "the kernel ignores this value", hint)


_INSTEAD = {
    "intel_iommu": " To switch the IOMMU on, write intel_iommu=on.",
    "amd_iommu": " An AMD IOMMU needs no argument: it is on unless the firmware has it off.",
    "iommu": "",
}


def _against_snp(arguments: Arguments, snp: str) -> t.Iterator[Remark]:
    status = {"wanted": FAIL, "possible": WARN}.get(snp)
    if status is None:
        return
    for argument in arguments.against_snp:
        yield Remark(argument, status, "SEV-SNP cannot be had with it", f"Remove {argument}.")
