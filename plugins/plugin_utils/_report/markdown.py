# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The report as Markdown, for tickets and terminals. The order is that of the page."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import boot, model, passthrough, words


def render(report: model.Report) -> str:
    """Return the text of the Markdown file."""
    parts = [
        _head(report),
        _attention(report),
        _quiet(report),
        _boot(report),
        _passthrough(report),
        _firewall(report),
        _machine(report),
        _changes(report),
        _declared(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(report: model.Report) -> str:
    lines = [
        f"# {_safe(report.title)}",
        f"**{words.SIGNS[report.verdict.level]} {_safe(report.verdict.headline)}.** {_safe(report.verdict.detail)}",
    ]
    if report.emulated:
        lines.append(f"> **This hardware is emulated ({_safe(report.emulated)}).** {words.EMULATED}")
    if report.predicted:
        lines.append(f"> **This is a prediction.** {words.PREDICTED}")
    lines.append("\n".join(f"* {_safe(name)}: {_safe(value)}" for name, value in report.summary))
    return "\n\n".join(line for line in lines if line)


def _attention(report: model.Report) -> str:
    cards = [
        _finding(advice.first) if len(advice.findings) == 1 else _several(advice) for advice in report.advice
    ]
    return "\n\n".join(["## What needs attention", *cards]) if cards else ""


def _several(advice: model.Advice) -> str:
    first, lines = advice.first, []
    for why, findings in advice.reasons:
        lines += [_safe(why), ""] if why else []
        lines += [f"* {_safe(item.title)} (`{item.id}`, {_safe(item.source)})" for item in findings] + [""]
    head = f"### {words.SIGNS[first.status]} {words.ONE[first.status]}: {len(advice.findings)} checks"
    tail = [f"**Next step: {_safe(first.hint)}**"] if first.hint else []
    return "\n".join([head, "", *lines, *tail]).rstrip()


def _finding(item: model.Finding) -> str:
    facts = [
        ("Found", "; ".join(words.found(item))),
        ("Expected", "" if item.expected in (None, "") else words.shown(item.expected)),
        ("Next step", item.hint),
        *words.facts_of(item),
    ]
    lines = [
        f"### {words.SIGNS[item.status]} {words.ONE[item.status]}: {_safe(item.title)} (`{item.id}`)",
        "",
        _safe(item.why),
        "",
    ]
    return "\n".join(lines + [f"* {name}: {_safe(text)}" for name, text in facts if text])


def _quiet(report: model.Report) -> str:
    findings = report.having(model.PASS, model.NOT_APPLICABLE)
    rows = [
        (words.SIGNS[item.status], item.title, f"`{item.id}`", "; ".join(words.found(item)))
        for item in findings
    ]
    return f"## Passed, or not applicable\n\n{_table(('', 'Check', 'Id', 'Found'), rows)}" if rows else ""


def _boot(report: model.Report) -> str:
    shown = report.boot
    parts = [
        *(f"### {title}\n\n{_requests(requests)}" for title, requests in shown.waiting),
        _arguments(shown),
        "\n".join(f"* {words.SIGNS[model.WARN]} {_safe(notice)}" for notice in shown.notices),
        _items("Boot entries", shown.entries),
        _items("Initramfs", shown.images),
    ]
    return "\n\n".join(["## Boot", *(part for part in parts if part)]) if shown else ""


def _requests(requests: t.Iterable[boot.Request]) -> str:
    rows = [
        (
            f"{words.SIGNS[item.level]} {item.reason}",
            "; ".join(item.lacking),
            item.requested_by,
            item.since,
        )
        for item in requests
    ]
    return _table(("Reason", "Lacking", "Asked for by", "Since"), rows)


def _arguments(shown: boot.Boot) -> str:
    rows = [
        (
            item.name,
            *(cell.text or cell.otherwise for cell in item.cells),
            f"{words.SIGNS[item.level]} {item.state}{': ' if item.why else ''}{item.why}",
            item.owners,
        )
        for item in shown.arguments
    ]
    if not (rows or shown.loader):
        return ""
    heads = ("Argument", "Wanted", "Configured", "Effective", "State", "Asked for by")
    title = f"### Kernel arguments{' of ' if shown.loader else ''}{_safe(shown.loader)}"
    return f"{title}\n\n" + (_table(heads, rows) if rows else "No role asks for one.")


def _items(title: str, items: t.Iterable[boot.Item]) -> str:
    lines = []
    for item in items:
        contents = f": {', '.join(map(_safe, item.contents))}" if item.contents else ""
        lines.append(f"* {words.SIGNS[item.level]} {_safe(item.name)} {item.state}{contents}")
    return "\n".join([f"### {title}", "", *lines]) if lines else ""


def _passthrough(report: model.Report) -> str:
    rows = [
        (
            f"`{row.short}`",
            row.title,
            row.group or "none",
            row.wanted or "its own",
            row.found or passthrough.NO_DRIVER,
            f"{words.SIGNS[row.level]} {row.state}",
            "; ".join(part for part in (row.why, *row.remarks) if part),
        )
        for row in report.passthrough.rows
    ]
    heads = ("Address", "Device", "IOMMU group", "Driver wanted", "Driver found", "State", "Why")
    parts = [_table(heads, rows), f"Waits for a reboot: {_safe(report.passthrough.reason)}"]
    return "\n\n".join(["## Passthrough", *parts[: 2 if report.passthrough.reason else 1]]) if rows else ""


def _firewall(report: model.Report) -> str:
    shown = report.firewall
    rows = [(row.name, row.ports, *(cell.text for cell in row.cells), row.about) for row in shown.rows]
    parts = [
        _table(("Service", "Ports", *shown.columns, "Remark"), rows) if rows else "",
        "\n".join(f"* {_safe(name)}: {_safe(members)}" for name, members in shown.zones),
        "\n".join(f"* {_safe(note)}" for note in shown.notes),
        "\n".join(f"* {words.SIGNS[model.WARN]} {_safe(notice)}" for notice in shown.notices),
    ]
    return "\n\n".join(["## Firewall", *(part for part in parts if part)]) if shown else ""


def _machine(report: model.Report) -> str:
    owners = report.machine.owners()
    rows = [
        (
            f"`{device.short}`",
            device.title,
            device.driver or "no driver",
            device.group or "none",
            words.OWNERS[owners[device.group]],
            str(device.node) if device.node >= 0 else "",
        )
        for device in report.machine.devices
    ]
    if not rows:
        return f"## The machine\n\n{words.NO_DEVICES}"
    return f"## The machine\n\n{_table(('Address', 'Device', 'Driver', 'IOMMU group', 'Owner', 'NUMA node'), rows)}"


def _changes(report: model.Report) -> str:
    title = f"## {words.changes_title(report)}"
    if report.journal is None:
        return f"{title}\n\n{words.NOT_RECORDED}"
    changes = report.journal["changes"]
    rows = [
        (change["role"], change["task"], "; ".join(words.describe_change(change)), words.remarks_on(change))
        for change in changes
    ]
    return f"{title}\n\n" + (_table(("Role", "Task", "Change", "Remark"), rows) if rows else "Nothing.")


def _declared(report: model.Report) -> str:
    parts = [
        f"### {_safe(section.title)}\n\n"
        + "\n".join(f"* {_code(item)} {_safe(owner)}".rstrip() for item, owner in section.items)
        for section in report.declared
    ]
    return "\n\n".join(["## Declared for this host", *parts]) if parts else ""


def _table(heads: t.Sequence[str], rows: t.Iterable[t.Sequence[str]]) -> str:
    head, *lines = [f"| {' | '.join(map(_safe, line))} |" for line in (heads, *rows)]
    return "\n".join([head, f"|{' --- |' * len(heads)}", *lines])


def _code(text: str) -> str:
    return f"`{' '.join(text.replace('`', ' ').split())}`"


def _safe(text: str) -> str:
    """Keep text from the host in its line and its cell, and from becoming markup, a heading or a list."""
    line = re.sub(r"([|<>\\\[\]*])", r"\\\1", " ".join(text.split()))
    return re.sub(r"^(\d*)([-#+=~]|(?<=\d)[.)])(?=[-#+=~ ]|$)", r"\1\\\2", line)
