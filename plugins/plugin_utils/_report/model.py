# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The report as a value: everything the three renderers show, decided once, in one order."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import (
    boot,
    declared,
    firewall,
    machine,
    passthrough,
)

SCHEMA = "hearth.gpu_host/readiness/1"
FAIL, WARN, UNKNOWN, PASS, NOT_APPLICABLE = "fail", "warn", "unknown", "pass", "na"
PROOF = "proof."
# What a run found out at its end decides with what was checked at its beginning.
_PROVING = (PROOF, boot.REBOOT)
DECISIVE = "kvm.virtualisation"
STATUSES = (FAIL, WARN, UNKNOWN, PASS, NOT_APPLICABLE)
# Written in capitals in a title.
_ACRONYMS = frozenset({
    "acs", "aer", "bios", "bmc", "cpu", "dmar", "dmi", "es", "gpu", "iommu", "kvm", "mok", "numa",
    "rtt", "sev", "smt", "snp", "thp", "tdx", "vm",
})  # fmt: skip
_SPELLINGS = {
    "sriov": "SR-IOV", "hugepages": "huge pages", "1g": "of 1 GiB", "2m": "of 2 MiB", "qemu": "QEMU",
    "bars": "BARs", "uefi": "UEFI",
}  # fmt: skip

Data = t.Mapping[str, t.Any]

# Checks whose answers introduce a host.
SUMMARY = {
    "kernel.version": "Kernel",
    "firmware.dmi": "Machine",
    "firmware.mode": "Firmware",
    "kvm.virtualisation": "KVM",
    "iommu.active": "IOMMU",
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One answered question, as ``kvm_check`` returns it."""

    id: str
    status: str
    value: t.Any = None
    expected: t.Any = None
    source: str = ""
    why: str = ""
    hint: str = ""
    fix: str = ""
    needs_reboot: bool = False

    @property
    def title(self) -> str:
        """Return the id as words: ``iommu.interrupt_remapping`` is ``IOMMU: interrupt remapping``."""
        area, _dot, rest = self.id.partition(".")
        words = ": ".join(_words(part) for part in (area, rest) if part)
        return words[:1].upper() + words[1:]


_FIELDS = frozenset(field.name for field in dataclasses.fields(Finding))


@dataclasses.dataclass(frozen=True)
class Advice:
    """Findings with one next step; those without an answer are often many and have one cause."""

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        """Return the finding that stands for all where they agree: status, next step, kind of step."""
        return self.findings[0]

    @property
    def reasons(self) -> tuple[tuple[str, tuple[Finding, ...]], ...]:
        """Return the findings by their reason."""
        reasons = dict.fromkeys(item.why for item in self.findings)
        return tuple((why, tuple(item for item in self.findings if item.why == why)) for why in reasons)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The answer in plain words; ``level`` is a status."""

    level: str
    headline: str
    detail: str


@dataclasses.dataclass(frozen=True)
class Report:
    """All of it. ``journal`` is None when changes were not recorded."""

    host: str
    generated: str
    predicted: bool
    verdict: Verdict
    emulated: str
    summary: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    machine: machine.Machine
    boot: boot.Boot
    passthrough: passthrough.Passthrough
    firewall: firewall.Firewall
    journal: Data | None
    declared: tuple[declared.Section, ...]
    raw: Data

    def having(self, *statuses: str) -> tuple[Finding, ...]:
        """Return the findings with one of the statuses, worst first."""
        return tuple(finding for status in statuses for finding in self.findings if finding.status == status)

    @property
    def advice(self) -> tuple[Advice, ...]:
        """Return what needs attention, worst first; unknown answers with the same next step are together."""
        together: dict[t.Any, list[Finding]] = {}
        for number, item in enumerate(self.having(FAIL, WARN, UNKNOWN)):
            key = (item.hint, item.fix, item.needs_reboot) if item.status == UNKNOWN else number
            together.setdefault(key, []).append(item)
        return tuple(Advice(tuple(items)) for items in together.values())

    @property
    def counts(self) -> dict[str, int]:
        """Count the findings of every status."""
        return {status: len(self.having(status)) for status in STATUSES}

    @property
    def title(self) -> str:
        """Return the title; a prediction is never mistaken for a result."""
        return f"{'Predicted readiness' if self.predicted else 'Readiness'} of {self.host}"


def verdict_of(findings: t.Sequence[Finding], required: str, unmet: t.Collection[str] = ()) -> Verdict:
    """Decide: what was required, and what a role could not prove, says whether the host is ready.

    :param required: the verdict of ``kvm_check`` on KVM and on what was required of the host; empty
        when no check was made.
    :param unmet: the ids of the findings by which a requirement is not met.
    """
    pending = [item for item in findings if item.id.startswith(boot.REBOOT) and item.status == WARN]
    verdict = _judged([item for item in findings if item not in pending], required, unmet)
    return _awaiting(verdict, [item.why for item in pending]) if pending else verdict


def _awaiting(verdict: Verdict, reasons: t.Sequence[str]) -> Verdict:
    """Say that a reboot is pending: no host is ready without what it waits for."""
    if verdict.level in (PASS, WARN):
        return Verdict(WARN, boot.PENDING_REBOOT, _sentences(*reasons, verdict.detail))
    headline = f"{verdict.headline}, and a reboot is pending"
    return Verdict(verdict.level, headline, _sentences(verdict.detail, *reasons))


def _judged(findings: t.Sequence[Finding], required: str, unmet: t.Collection[str]) -> Verdict:
    disproved = any(item.id.startswith(_PROVING) and item.status == FAIL for item in findings)
    remarks = _remarks(findings)
    if required == FAIL or disproved:
        return Verdict(FAIL, "Not ready", _sentences(*_reasons(findings, FAIL, unmet), remarks))
    if not required:
        return Verdict(UNKNOWN, "Not checked", "No check was made in this run.")
    if required == UNKNOWN:
        reasons = _reasons(findings, UNKNOWN, unmet)
        return Verdict(UNKNOWN, "Not known to be ready", _sentences(*reasons, remarks))
    if remarks:
        return Verdict(WARN, "Ready, with remarks", f"What was required of it holds. {remarks}.")
    return Verdict(PASS, "Ready", f"{_many(len(findings), 'check', 'checks')}, nothing to remark.")


def _reasons(findings: t.Sequence[Finding], status: str, unmet: t.Collection[str]) -> list[str]:
    """Say why the verdict is what it is, in the words of the findings that decided."""
    deciding = {DECISIVE, *unmet}
    return [
        item.why
        for item in findings
        if item.status == status and (item.id in deciding or item.id.startswith(_PROVING))
    ]


def _sentences(*parts: str) -> str:
    return " ".join(f"{part.rstrip('.')}." for part in dict.fromkeys(parts) if part)


def _remarks(findings: t.Sequence[Finding]) -> str:
    count = {status: sum(item.status == status for item in findings) for status in STATUSES}
    words = (
        (FAIL, "check fails", "checks fail"),
        (WARN, "check warns", "checks warn"),
        (UNKNOWN, "check has no answer", "checks have no answer"),
    )
    return ", ".join(_many(count[status], one, several) for status, one, several in words if count[status])


def build(host: str, generated: str, predicted: bool, given: Data) -> Report:
    """Build the report.

    :param given: ``preflight`` (the result of kvm_check), ``verify`` (role to what its proof found),
        ``declared`` (what ``declarations`` merged), ``boot``, ``reboots``, ``vfio`` and ``firewall`` (what those
        roles export) and ``journal``; each may be empty or None.
    """
    preflight = given.get("preflight") or {}
    booting = boot.build(given.get("boot") or {}, given.get("reboots") or [])
    hardware = machine.from_topology(preflight.get("topology") or {})
    requests = [request.finding() for request in booting.requests]
    checks = [*(preflight.get("checks") or []), *_proofs(given.get("verify") or {}), *requests]
    findings = tuple(Finding(**{key: data[key] for key in data if key in _FIELDS}) for data in checks)
    return Report(
        host=host,
        generated=generated,
        predicted=predicted,
        verdict=verdict_of(
            findings,
            str(preflight.get("verdict") or ""),
            {str(item["id"]) for item in preflight.get("unmet") or []},
        ),
        emulated=_emulated(findings),
        summary=(("Host", host), ("Written", generated), *_summary(findings)),
        findings=findings,
        machine=hardware,
        boot=booting,
        passthrough=passthrough.build(given.get("vfio") or {}, hardware),
        firewall=firewall.build(given.get("firewall") or {}),
        journal=given.get("journal"),
        declared=declared.declared_from(given.get("declared") or {}),
        raw=_raw(given),
    )


def _raw(given: Data) -> Data:
    """Return what was given as it is, for the report for programs."""
    preflight = given.get("preflight") or {}
    return {
        "facts": preflight.get("facts") or {},
        "topology": preflight.get("topology") or {},
        "proofs": given.get("verify") or {},
        "declared": given.get("declared") or {},
        "boot": given.get("boot") or {},
        "reboots": given.get("reboots") or [],
        "vfio": given.get("vfio") or {},
        "firewall": given.get("firewall") or {},
    }


def _proofs(verified: Data) -> t.Iterator[Data]:
    """Show what a role proved at the end as a finding beside those of the beginning."""
    for role, proof in verified.items():
        yield {
            "id": f"{PROOF}{role}",
            "status": proof.get("status") or UNKNOWN,
            "value": f"{proof['seconds']} s" if proof.get("seconds") else None,
            "why": proof.get("why") or "",
            "source": f"the proof of role {role}, at the end of the run",
        }


def _emulated(findings: t.Sequence[Finding]) -> str:
    """Return what emulates this machine; empty for a physical one, and where that is not known."""
    return "".join(str(item.value) for item in findings if item.id == "host.virtual" and item.status == WARN)


def _summary(findings: t.Sequence[Finding]) -> t.Iterator[tuple[str, str]]:
    values = {item.id: item.value for item in findings if item.status != UNKNOWN}
    for check, name in SUMMARY.items():
        value = values.get(check)
        if isinstance(value, dict):
            value = " ".join(str(value[key]) for key in ("sys_vendor", "product_name") if value.get(key))
        text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value or "")
        if text:
            yield name, _SPELLINGS.get(text, text)


def _words(text: str) -> str:
    return " ".join(
        _SPELLINGS.get(word, word.upper() if word in _ACRONYMS else word) for word in text.split("_")
    )


def _many(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"
