# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The drawing of the machine as inline SVG. Colours come from the page, words from here."""

from __future__ import annotations

import typing as t
from html import escape

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import layout
from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report.machine import NO_GROUP, Machine, Node

_UNGROUPED = "no group"
# Widths of DejaVu Sans, the widest of the page's fonts, at the drawing's size.
_CHAR, _CAPITAL, _NARROW_CHAR, _WIDE_CHAR, _ADDRESS_CHAR = 7.7, 8.9, 4.8, 12.0, 7.3
_NARROW, _WIDE = frozenset(" fijlrtI.,:;'|!()[]/-"), frozenset("mwMW%@")
_GROUP_COLUMN, _DRIVER_COLUMN, _EDGE = 136.0, 112.0, 10.0


def draw(machine: Machine) -> str:
    """Return the machine as one ``<svg>`` element."""
    drawing = layout.arrange(machine)
    owners = machine.owners()
    body = "\n".join(_panel(panel, owners) for panel in drawing.panels)
    size = f'viewBox="0 0 {drawing.width:g} {drawing.height:g}" width="{drawing.width:g}" height="{drawing.height:g}"'
    return (
        f'<svg class="machine" xmlns="http://www.w3.org/2000/svg" {size} role="img" '
        f'aria-labelledby="machine-title machine-text">\n'
        f'<title id="machine-title">The machine</title>\n<desc id="machine-text">{escape(describe(machine))}</desc>\n'
        f"{body}\n</svg>"
    )


def describe(machine: Machine) -> str:
    """Say in a sentence what the drawing shows, for those who do not see it."""
    owners = machine.owners()
    groups = sorted((group for group in owners if group), key=lambda group: (len(group), group))
    named = ", ".join(f"{group} {owners[group]}" for group in groups)
    return (
        f"{len(machine.nodes)} NUMA nodes, {len(machine.devices)} devices, {len(groups)} IOMMU groups"
        f"{': ' + named if named else ''}. The table below the drawing says the same."
    )


def _panel(panel: layout.Panel, owners: t.Mapping[str, str]) -> str:
    place = panel.place
    left, below = place.x + layout.MARGIN, place.y + layout.HEADER
    return "\n".join(
        [
            f'<g class="panel"><rect class="panel" {_box(place)} rx="10"/>',
            _heading(panel.node, left, place.y + layout.HEADER / 2, place.w),
            *(_line(line) for line in panel.lines),
            *(_group(box, owners) for box in panel.boxes),
            *([] if panel.boxes else [_text("faint", left, below, "no PCI device here")]),
            "</g>",
        ]
    )


def _heading(node: Node, left: float, middle: float, width: float) -> str:
    if node is layout.UNKNOWN_NODE:
        chip, title, detail = "", "PCI", "the firmware names no NUMA node for these devices"
    else:
        chip, title, detail = _chip(left, middle), f"NUMA node {node.number}", _node_detail(node)
        left += 30
    shown = f'<tspan class="faint" dx="10">{escape(_fit(detail, width - 180))}</tspan>'
    text = f'<text class="node" x="{left:g}" y="{middle:g}">{escape(title)}{shown}</text>'
    return f"<g><title>{escape(title)}: {escape(detail)}</title>{chip}{text}</g>"


def _node_detail(node: Node) -> str:
    socket = f"socket {node.sockets}" if node.sockets else ""
    cpus = f"CPUs {node.cpus}" if node.cpus else ""
    return " · ".join(part for part in (socket, node.memory, cpus) if part)


def _chip(x: float, middle: float) -> str:
    pins = "".join(f"M{x + 5 + 5 * pin:g} {middle - 11:g}v3m0 16v3" for pin in range(3))
    body = f'<rect class="chip" x="{x + 1:g}" y="{middle - 8:g}" width="18" height="16" rx="3"/>'
    return f'<path class="chip" d="{pins}"/>{body}'


def _group(box: layout.Box, owners: t.Mapping[str, str]) -> str:
    owner = owners.get(box.group, NO_GROUP) if box.group else NO_GROUP
    title = f"IOMMU group {box.group}: {owner}" if box.group else "In no IOMMU group"
    tag = f"group {box.group} · {owner}" if box.group else _UNGROUPED if len(owners) > 1 else ""
    right = box.place.right - _EDGE
    return "\n".join(
        [
            f'<g class="group {owner}"><title>{escape(title)}</title><rect class="box" {_box(box.place)} rx="5"/>',
            f'<text class="tag" text-anchor="end" x="{right:g}" y="{box.rows[0].place.middle:g}">{escape(tag)}</text>',
            *(_row(row, box.place.right) for row in box.rows),
            "</g>",
        ]
    )


def _row(row: layout.Row, right: float) -> str:
    device, y = row.device, row.place.middle
    left = row.place.x + _EDGE
    label = left + len(device.short) * _ADDRESS_CHAR + 10
    driver = _fit(device.driver or "no driver", _DRIVER_COLUMN)
    driver_end = right - _EDGE - _GROUP_COLUMN - 8
    room = driver_end - _width(driver) - 8 - label
    hover = f"{device.address} {device.title} [{device.ids}], {device.driver or 'no driver'}"
    texts = [
        _text("address", left, y, device.short),
        _text("way" if device.is_bridge else "label", label, y, _fit(device.title, room)),
        _text("driver", driver_end, y, driver, end=True),
    ]
    return f'<g class="row"><title>{escape(hover)}</title>{"".join(texts)}</g>'


def _text(kind: str, x: float, y: float, text: str, end: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ""
    return f'<text class="{kind}"{anchor} x="{x:g}" y="{y:g}">{escape(text)}</text>'


def _line(line: layout.Line) -> str:
    return f'<path class="line" d="M{line.x:g} {line.top:g}V{line.bottom:g}H{line.end:g}"/>'


def _box(place: layout.Rect) -> str:
    return f'x="{place.x:g}" y="{place.y:g}" width="{place.w:g}" height="{place.h:g}"'


def _width(text: str) -> float:
    """Estimate how wide a text is drawn, rather too wide; the page cannot tell before it is shown."""
    return sum(
        _NARROW_CHAR if char in _NARROW
        else _WIDE_CHAR if char in _WIDE or not char.isascii()
        else _CAPITAL if char.isupper()
        else _CHAR
        for char in text
    )  # fmt: skip


def _fit(text: str, room: float) -> str:
    """Shorten text to the room, to nothing if need be; the whole of it stays in the title and the table."""
    if _width(text) <= room:
        return text
    while text and _width(text) + _WIDE_CHAR > room:
        text = text[:-1]
    return f"{text.rstrip()}…" if text else ""
