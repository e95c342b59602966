# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Run every check once and put the answers together."""

from __future__ import annotations

import collections
import dataclasses
import functools
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import (
    DEFAULT_TIMEOUT_S,
    Completed,
    Runner,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import (
    cpu,
    cpu_security,
    devices,
    environment,
    firmware,
    gate,
    iommu,
    kernel,
    memory,
    network,
    secure_boot,
    topology,
    virtualisation,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    UNKNOWN,
    WARN,
    Finding,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

CHECKS = (
    environment,
    virtualisation,
    cpu,
    kernel,
    secure_boot,
    firmware,
    iommu,
    devices,
    memory,
    cpu_security,
    network,
)
_STATUSES = (PASS, WARN, FAIL, UNKNOWN, NOT_APPLICABLE)
_VALUE_FACTS = {
    "kernel": "kernel.version",
    "virtualisation": "kvm.virtualisation",
    "container": "host.container",
    "boot_mode": "firmware.mode",
    "secure_boot": "firmware.secure_boot",
    "lockdown": "kernel.lockdown",
    "dmi": "firmware.dmi",
    "bios_date": "firmware.bios_date",
    "smt": "cpu.smt",
    "numa": "memory.numa",
}
_SWITCH_FACTS = {
    "kvm": "kvm.virtualisation",
    "nested": "kvm.nested",
    "iommu": "iommu.active",
    "intremap": "iommu.interrupt_remapping",
    "secure_boot_off": "firmware.secure_boot",
    "hugepages_2m": "memory.hugepages_2m",
    "hugepages_1g": "memory.hugepages_1g",
}


def examine(host: Host, policy: Policy) -> dict[str, t.Any]:
    """Return everything that the module returns. Reads the host, changes nothing.

    :raises Refusal: a requirement lacks the option that it compares with.
    """
    gate.refuse_empty_wishes(policy)
    host = dataclasses.replace(host, run=remembering(host.run))
    findings = from_inside([finding for source in CHECKS for finding in source.checks(host, policy)])
    obstacles = gate.unmet(policy.require, findings)
    facts = {**_processor_facts(host), **flat(findings)}
    return {
        "changed": False,
        "verdict": verdict(findings, obstacles),
        "summary": summary(findings, facts),
        "counts": {**dict.fromkeys(_STATUSES, 0), **collections.Counter(f.status for f in findings)},
        "checks": [finding.as_dict() for finding in findings],
        "facts": facts,
        "topology": topology.topology(host),
        "unmet": [obstacle.as_dict() for obstacle in obstacles],
        "msg": gate.message(obstacles) if obstacles else "",
    }


def from_inside(findings: t.Sequence[Finding]) -> list[Finding]:
    """In a container, say whose firmware, kernel arguments and modules the remedies mean. Pure."""
    container = any(f.id == "host.container" and f.value for f in findings)
    return [
        dataclasses.replace(f, hint=f"{f.hint} Do this on the host of the container.")
        if container and f.hint and f.fix in ("firmware", "cmdline", "module")
        else f
        for f in findings
    ]


def verdict(findings: t.Sequence[Finding], obstacles: t.Sequence[gate.Unmet]) -> str:
    """Judge by whether virtual machines can run and whether the requirements are met. Pure."""
    deciding = [f.status for f in findings if f.id == "kvm.virtualisation"]
    deciding += [UNKNOWN if o.finding.status == UNKNOWN else FAIL for o in obstacles]
    return next((status for status in (FAIL, UNKNOWN) if status in deciding), PASS)


def flat(findings: t.Sequence[Finding]) -> dict[str, t.Any]:
    """Return the answers that roles decide by, without their evidence. Pure."""
    by_id = {finding.id: finding for finding in findings}
    facts: dict[str, t.Any] = {
        name: by_id[identity].value for name, identity in _VALUE_FACTS.items() if identity in by_id
    }
    for name, identity in _SWITCH_FACTS.items():
        status = by_id[identity].status if identity in by_id else UNKNOWN
        facts[name] = None if status == UNKNOWN else status == PASS
    virtual = by_id["host.virtual"]
    facts["machine"] = virtual.value
    facts["emulated"] = None if virtual.status == UNKNOWN else virtual.status == WARN
    return facts


def summary(findings: t.Sequence[Finding], facts: t.Mapping[str, t.Any]) -> str:
    """Say in a few sentences what kind of host this is. Pure."""
    kvm = next(finding for finding in findings if finding.id == "kvm.virtualisation")
    sentences = [kvm.why]
    if facts["emulated"]:
        sentences.append(f"The hardware is emulated ({facts['machine']}).")
    for status, phrase in ((FAIL, "failed"), (UNKNOWN, "could not be determined")):
        names = list(dict.fromkeys(finding.id for finding in findings if finding.status == status))
        if names:
            sentences.append(f"{len(names)} {phrase}: {', '.join(names)}.")
    return " ".join(sentences)


def remembering(run: Runner) -> Runner:
    """Run the same read-only command once, however many checks look at its output."""

    @functools.cache
    def once(argv: tuple[str, ...], stdin: str | None, timeout_s: float, check: bool) -> Completed:
        return run(argv, stdin=stdin, timeout_s=timeout_s, check=check)

    def runner(
        argv: t.Sequence[str],
        *,
        stdin: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        check: bool = True,
    ) -> Completed:
        return once(tuple(argv), stdin, timeout_s, check)

    return runner


def _processor_facts(host: Host) -> dict[str, t.Any]:
    processor = cpu.read(host)
    return {"arch": processor.arch, "cpu_vendor": processor.vendor, "cpu_flag": processor.flag}
