# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The words that the page and the Markdown file share."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import boot, machine, model

SIGNS = {model.FAIL: "✕", model.WARN: "!", model.UNKNOWN: "?", model.PASS: "✓", model.NOT_APPLICABLE: "–"}
ONE = {model.FAIL: "Fails", model.WARN: "Warning", model.UNKNOWN: "Unknown"}
MANY = {
    model.FAIL: "failed",
    model.WARN: "warnings",
    model.UNKNOWN: "unknown",
    model.PASS: "passed",
    model.NOT_APPLICABLE: "not applicable here",
}
OWNERS = {
    machine.HOST: "host",
    machine.VFIO: "vfio",
    machine.UNBOUND: "unbound",
    machine.MIXED: "mixed",
    machine.PORTS: "ports",
    machine.NO_GROUP: "no group",
}
MEANINGS = {
    machine.HOST: "used by a driver of the host",
    machine.VFIO: "given to VFIO, for guests",
    machine.UNBOUND: "no driver bound",
    machine.MIXED: "host and VFIO in one group: no guest can use it",
    machine.PORTS: "ports and bridges only",
    machine.NO_GROUP: "in no IOMMU group",
}
EMULATED = "What is true of it need not be true of a physical machine."
PREDICTED = "The run was in check mode: it changed nothing on the host."
NOT_RECORDED = (
    "Changes were not recorded in this run, which does not mean that there were none. "
    "Enable the callback in ansible.cfg: callbacks_enabled = hearth.gpu_host.changes."
)
IMAGES = "Looked into for what must be inside."
NO_DEVICES = "No PCI device is visible from here, so there is nothing to draw."
FIXES = {
    "firmware": "a firmware (BIOS/UEFI) setting",
    "cmdline": "a kernel argument",
    "module": "a kernel module",
    "package": "a package",
    "hardware": "the hardware itself",
    "host": "the configuration of the host",
}


def counted(status: str, count: int) -> str:
    """Name a number of findings, without the number."""
    return "warning" if status == model.WARN and count == 1 else MANY[status]


def facts_of(item: model.Finding) -> list[tuple[str, str]]:
    """Return the small print of a finding."""
    remedy = FIXES.get(item.fix, item.fix)
    reboot = "a reboot" if item.needs_reboot else ""
    facts = {
        "What has to change": ", then ".join(part for part in (remedy, reboot) if part),
        "Source": item.source,
    }
    return [(name, text) for name, text in facts.items() if text]


def entries_remark(shown: boot.Boot) -> str:
    """Say why an entry is without the arguments, where one is."""
    bare = any(entry.level == model.NOT_APPLICABLE for entry in shown.entries)
    return "A bare one starts the host when arguments are wrong." if bare else "Each has what is configured."


def changes_title(report: model.Report) -> str:
    """Return the title of the list of changes."""
    return "What this run would change" if report.predicted else "What this run changed"


def found(item: model.Finding) -> list[str]:
    """Return what a check found, in lines, one for each part such as a device; none without an answer."""
    parts = item.value if isinstance(item.value, dict) else {"": item.value}
    texts = {name: _evidence(part, item.status) for name, part in parts.items()}
    lines = [f"{name}: {text}" if name else text for name, text in texts.items() if text]
    return lines or ([] if item.status == model.UNKNOWN else ["nothing"])


def _evidence(part: t.Any, status: str) -> str:
    """Show what was found on one device; the reason of the whole finding is not said again."""
    if isinstance(part, dict) and "status" in part and set(part) <= {"status", "value", "why"}:
        if part.get("why") and part["status"] != status:
            return str(part["why"])
        part = part.get("value")
    return shown(part) if _says_something(part) else ""


def shown(value: t.Any) -> str:
    """Return a value as a person would write it down."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        parts = (f"{name}: {_inner(part)}" for name, part in value.items() if _says_something(part))
        return "; ".join(parts) or "nothing"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_inner, value)) or "nothing"
    return "nothing" if value is None or value == "" else str(value)


def _inner(value: t.Any) -> str:
    """Show a value inside another; brackets say where it ends."""
    return f"({shown(value)})" if isinstance(value, dict) and value else shown(value)


def _says_something(value: t.Any) -> bool:
    return value is not None and value not in ("", [], {})


def describe_change(change: model.Data) -> list[str]:
    """Say what one journalled task did, in lines."""
    if change["hidden"]:
        return ["not shown: the task has no_log"]
    return list(change["actions"]) or [f"write {name}" for name in change["files"]] or ["no details given"]


def remarks_on(change: model.Data) -> str:
    """Say what is special about one journalled task."""
    remarks = [
        "failed on the way" if change["failed"] else "",
        "predicted" if change["predicted"] else "",
        f"on {change['delegated_to']}" if change["delegated_to"] else "",
    ]
    return ", ".join(remark for remark in remarks if remark)
