# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Where everything of the drawing goes. Pure geometry: boxes and lines, no text and no colour.

A machine is a column of *rows*, one a device, in the order of the PCI tree. Neighbouring rows of
one IOMMU group share a *box*. Because the PCI specification isolates at ports, the members of a
group are nearly always neighbours in that order; where they are not, the group has several boxes.
Columns break between boxes only, and every NUMA node has a panel of its own.
"""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report.machine import Device, Machine, Node

WIDTH, GUTTER = 1080.0, 24.0
ROW, ROW_GAP, PAD, INDENT = 22.0, 7.0, 3.0, 20.0
# All of the indentation together: in a deep tree a step is smaller, so that every row keeps its room.
INDENTATION = 120.0
MARGIN, HEADER = 16.0, 46.0
UNKNOWN_NODE = Node(-1)


@dataclasses.dataclass(frozen=True)
class Rect:
    """A rectangle: left, top, width, height."""

    x: float
    y: float
    w: float
    h: float

    @property
    def right(self) -> float:
        """Return the x of the right edge."""
        return self.x + self.w

    @property
    def bottom(self) -> float:
        """Return the y of the bottom edge."""
        return self.y + self.h

    @property
    def middle(self) -> float:
        """Return the y of the middle."""
        return self.y + self.h / 2


@dataclasses.dataclass(frozen=True)
class Row:
    """A device and its place."""

    device: Device
    depth: int
    place: Rect = Rect(0, 0, 0, 0)


@dataclasses.dataclass(frozen=True)
class Box:
    """Neighbouring rows of one IOMMU group (or one row without a group)."""

    group: str
    rows: tuple[Row, ...]
    place: Rect = Rect(0, 0, 0, 0)

    @property
    def depth(self) -> int:
        """Return how deep in the tree the box begins."""
        return min(row.depth for row in self.rows)

    @property
    def height(self) -> float:
        """Return the height that its rows need."""
        return len(self.rows) * ROW + 2 * PAD


@dataclasses.dataclass(frozen=True)
class Line:
    """A connection: down from (x, top) to (x, bottom), then right to ``end``."""

    x: float
    top: float
    bottom: float
    end: float


@dataclasses.dataclass(frozen=True)
class Panel:
    """A NUMA node with its devices."""

    node: Node
    place: Rect
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


@dataclasses.dataclass(frozen=True)
class Drawing:
    """All panels, and the size of the picture."""

    panels: tuple[Panel, ...]
    height: float
    width: float = WIDTH


Contents = t.Sequence[tuple[Node, tuple[Box, ...]]]


def arrange(machine: Machine) -> Drawing:
    """Place the machine: panels below each other or in pairs, whichever is lower."""
    contents = [(node, boxes_of(devices)) for node, devices in _by_node(machine)]
    stacked = _place(contents, beside=1)
    paired = _place(contents, beside=2)
    return paired if len(contents) > 1 and paired.height <= stacked.height else stacked


def boxes_of(devices: t.Sequence[Device]) -> tuple[Box, ...]:
    """Return the devices as boxes, in the order of the tree."""
    boxes: list[Box] = []
    for row in _preorder(devices):
        last = boxes[-1] if boxes else None
        if last is not None and row.device.group and last.group == row.device.group:
            boxes[-1] = dataclasses.replace(last, rows=(*last.rows, row))
        else:
            boxes.append(Box(row.device.group, (row,)))
    return tuple(boxes)


def _by_node(machine: Machine) -> t.Iterator[tuple[Node, list[Device]]]:
    """Give every device a node: its own, or where that is unknown and there is but one node, that one."""
    known = {node.number for node in machine.nodes}
    only = machine.nodes[0].number if len(machine.nodes) == 1 else UNKNOWN_NODE.number
    homes = [(device.node if device.node in known else only, device) for device in machine.devices]
    for node in (*machine.nodes, UNKNOWN_NODE):
        devices = [device for home, device in homes if home == node.number]
        if devices or node is not UNKNOWN_NODE:
            yield node, devices


def _preorder(devices: t.Sequence[Device]) -> t.Iterator[Row]:
    """Walk the PCI tree; a device whose parent is on another node is a root here."""
    here = {device.address for device in devices}
    children: dict[str, list[Device]] = {}
    for device in sorted(devices, key=lambda device: device.address):
        children.setdefault(device.parent if device.parent in here else "", []).append(device)
    pending = [Row(root, 0) for root in reversed(children.get("", []))]
    while pending:
        row = pending.pop()
        yield row
        below = children.get(row.device.address, [])
        pending += [Row(child, row.depth + 1) for child in reversed(below)]


def _place(contents: Contents, beside: int) -> Drawing:
    panels: list[Panel] = []
    top = 0.0
    for part in _in_lines(contents, beside):
        width = (WIDTH - GUTTER * (len(part) - 1)) / len(part)
        line = [
            _panel(node, boxes, Rect(index * (width + GUTTER), top, width, 0), 2 if len(part) == 1 else 1)
            for index, (node, boxes) in enumerate(part)
        ]
        height = max(panel.place.h for panel in line)
        panels += [
            dataclasses.replace(panel, place=dataclasses.replace(panel.place, h=height)) for panel in line
        ]
        top += height + GUTTER
    return Drawing(tuple(panels), max(top - GUTTER, 0.0))


def _in_lines(contents: Contents, beside: int) -> t.Iterator[Contents]:
    """Divide the nodes into lines; those without a device are small, so they always go in pairs."""
    for empty, run in itertools.groupby(contents, key=lambda content: not content[1]):
        nodes, length = list(run), 2 if empty else beside
        for start in range(0, len(nodes), length):
            yield nodes[start : start + length]


def _panel(node: Node, boxes: tuple[Box, ...], place: Rect, columns: int) -> Panel:
    inner = place.w - 2 * MARGIN
    width = (inner - GUTTER * (columns - 1)) / columns
    placed: list[Box] = []
    lines: list[Line] = []
    for index, column in enumerate(_split(boxes, columns)):
        left = place.x + MARGIN + index * (width + GUTTER)
        stack = _stack(column, left, place.y + HEADER, width)
        placed += stack
        lines += _lines(stack)
    bottom = max((box.place.bottom for box in placed), default=place.y + HEADER)
    return Panel(node, dataclasses.replace(place, h=bottom - place.y + MARGIN), tuple(placed), tuple(lines))


def _split(boxes: tuple[Box, ...], columns: int) -> tuple[tuple[Box, ...], ...]:
    """Break into at most two columns of like height, rather before a root of the tree than inside one."""
    if columns == 1 or len(boxes) < 2:
        return (boxes,)

    def cost(cut: int) -> float:
        height = max(_height(boxes[:cut]), _height(boxes[cut:]))
        return height + 6 * ROW * min(boxes[cut].depth, 1)

    cut = min(range(1, len(boxes)), key=cost)
    return boxes[:cut], boxes[cut:]


def _height(boxes: t.Sequence[Box]) -> float:
    return sum(box.height + ROW_GAP for box in boxes)


def _stack(boxes: t.Sequence[Box], left: float, top: float, width: float) -> list[Box]:
    placed = []
    indent = _indent(boxes)
    for box in boxes:
        shift = box.depth * indent
        place = Rect(left + shift, top, width - shift, box.height)
        rows = tuple(
            dataclasses.replace(
                row,
                place=Rect(
                    left + row.depth * indent, top + PAD + index * ROW, width - row.depth * indent, ROW
                ),
            )
            for index, row in enumerate(box.rows)
        )
        placed.append(dataclasses.replace(box, rows=rows, place=place))
        top += box.height + ROW_GAP
    return placed


def _indent(boxes: t.Iterable[Box]) -> float:
    deepest = max((row.depth for box in boxes for row in box.rows), default=0)
    return min(INDENT, INDENTATION / max(deepest, 1))


def _lines(boxes: t.Sequence[Box]) -> t.Iterator[Line]:
    """Connect every row with its parent in the same column."""
    rows = {row.device.address: row for box in boxes for row in box.rows}
    indent = _indent(boxes)
    for row in rows.values():
        parent = rows.get(row.device.parent)
        if parent is not None:
            yield Line(parent.place.x + indent / 2, parent.place.bottom, row.place.middle, row.place.x)
