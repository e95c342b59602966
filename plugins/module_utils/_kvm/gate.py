# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Turn findings into a gate: what is required must be known to be so. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import PASS, UNKNOWN, Finding
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

# What can be required, and the findings that must all pass for it.
REQUIREMENTS: t.Mapping[str, tuple[str, ...]] = {
    "kvm": ("kvm.virtualisation",),
    "nested": ("kvm.nested",),
    "ept": ("cpu.nested_paging",),
    "iommu": ("iommu.active", "iommu.groups"),
    "intremap": ("iommu.interrupt_remapping",),
    "isolation": ("iommu.isolation", "device.isolation"),
    "sriov": ("device.sriov",),
    "hugepages_2m": ("memory.hugepages_2m",),
    "hugepages_1g": ("memory.hugepages_1g",),
    "sev": ("confidential.sev",),
    "sev_es": ("confidential.sev_es",),
    "sev_snp": ("confidential.sev_snp",),
    "tdx": ("confidential.tdx",),
    "secure_boot_off": ("firmware.secure_boot",),
    "min_kernel": ("kernel.version",),
    "bios_date": ("firmware.bios_date",),
    "smt": ("cpu.smt",),
    "peer_rtt": ("network.peer_rtt",),
    "gpu_count": ("device.gpu_count",),
    "devices": ("device.present", "device.reserved_regions", "device.bars"),
}
# These compare with a wish, which must then be given.
_WISHES = {
    "min_kernel": "min_kernel",
    "bios_date": "min_bios_date",
    "smt": "smt",
    "peer_rtt": "peers",
    "gpu_count": "expected_gpus",
    "devices": "devices",
}


@dataclasses.dataclass(frozen=True)
class Unmet:
    """A requirement, and the finding that does not let it pass."""

    requirement: str
    finding: Finding

    @property
    def sentence(self) -> str:
        """Say what is required and what was found."""
        verb = "could not be verified (unknown)" if self.finding.status == UNKNOWN else "is not met"
        return f"{self.requirement} {verb} by {self.finding.id}: {self.finding.why}"

    def as_dict(self) -> dict[str, t.Any]:
        """Return it as the module returns it."""
        return {"requirement": self.requirement, "id": self.finding.id, "status": self.finding.status}


def refuse_empty_wishes(policy: Policy) -> None:
    """Refuse to require the fulfilment of a wish that nobody expressed.

    :raises Refusal: a requirement lacks the option that it compares with.
    """
    for requirement in policy.require:
        option = _WISHES.get(requirement)
        if option and getattr(policy, option) in (None, ()):
            raise Refusal(
                f"require names {requirement}, and {option} is not set: there is nothing to compare with.",
                remedy=f"set {option}, or take {requirement} out of require",
            )


def unmet(require: t.Sequence[str], findings: t.Sequence[Finding]) -> list[Unmet]:
    """Return what stands in the way. Only ``pass`` meets a requirement: ``warn`` and ``unknown`` do not."""
    return [
        Unmet(requirement, finding)
        for requirement in dict.fromkeys(require)
        for identity in REQUIREMENTS[requirement]
        for finding in _answers(identity, findings)
        if finding.status != PASS
    ]


def message(obstacles: t.Sequence[Unmet]) -> str:
    """Return the one message that says everything; a remedy of several obstacles stands once, after the last."""
    sentences = ["This host is not ready."]
    for index, obstacle in enumerate(obstacles):
        hint = obstacle.finding.hint
        sentences.append(obstacle.sentence)
        if hint and hint not in (later.finding.hint for later in obstacles[index + 1 :]):
            sentences.append(f"Remedy: {hint}")
    return " ".join(sentences)


def _answers(identity: str, findings: t.Sequence[Finding]) -> list[Finding]:
    found = [finding for finding in findings if finding.id == identity]
    return found or [Finding(identity, UNKNOWN, why="This check gave no answer.")]
