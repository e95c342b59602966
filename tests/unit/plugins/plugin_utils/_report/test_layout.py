# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Geometry: whatever the machine, nothing overlaps, nothing is lost, nothing is outside."""

from __future__ import annotations

import itertools
import typing as t

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import layout
from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report.machine import Device, Machine, Node


def device(address: str, parent: str = "", group: str = "", node: int = -1) -> Device:
    return Device(address, "Device", "", group=group, node=node, parent=parent)


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    """Any machine: deep and wide trees, groups scattered over them, unknown nodes."""
    size = draw(st.integers(0, 70))
    nodes = draw(st.integers(0, 4))
    groups = st.sampled_from(["", *map(str, range(12))])
    devices: list[Device] = []
    for number in range(size):
        parent = draw(st.sampled_from(["", *(item.address for item in devices)]))
        devices.append(device(f"0000:{number:02x}:00.0", parent, draw(groups), draw(st.integers(-1, 4))))
    return Machine(tuple(Node(number) for number in range(nodes)), tuple(draw(st.permutations(devices))))


def boxes(drawing: layout.Drawing) -> list[layout.Box]:
    return [box for panel in drawing.panels for box in panel.boxes]


def overlap(one: layout.Rect, other: layout.Rect) -> bool:
    return one.x < other.right and other.x < one.right and one.y < other.bottom and other.y < one.bottom


def inside(inner: layout.Rect, outer: layout.Rect) -> bool:
    return (
        outer.x <= inner.x
        and outer.y <= inner.y
        and inner.right <= outer.right + 0.01
        and inner.bottom <= outer.bottom + 0.01
    )


@given(machines())
def test_every_device_stands_in_the_drawing_once(machine: Machine) -> None:
    drawn = [row.device.address for box in boxes(layout.arrange(machine)) for row in box.rows]
    assert sorted(drawn) == sorted(item.address for item in machine.devices)


@given(machines())
def test_nothing_overlaps_and_nothing_is_outside(machine: Machine) -> None:
    drawing = layout.arrange(machine)
    picture = layout.Rect(0, 0, drawing.width, drawing.height)
    for one, other in itertools.combinations([panel.place for panel in drawing.panels], 2):
        assert not overlap(one, other)
    for one, other in itertools.combinations([box.place for box in boxes(drawing)], 2):
        assert not overlap(one, other)
    for panel in drawing.panels:
        assert inside(panel.place, picture)
        for box in panel.boxes:
            assert inside(box.place, panel.place)
            assert all(inside(row.place, box.place) for row in box.rows)
            assert all(one.place.bottom <= other.place.y for one, other in itertools.pairwise(box.rows))


@given(machines())
def test_a_box_holds_one_group_and_devices_without_a_group_stand_alone(machine: Machine) -> None:
    for box in boxes(layout.arrange(machine)):
        assert {row.device.group for row in box.rows} == {box.group}
        assert box.group or len(box.rows) == 1


@given(machines())
def test_lines_join_parent_and_child_in_their_panel(machine: Machine) -> None:
    for panel in layout.arrange(machine).panels:
        ends = {(row.place.x, row.place.middle) for box in panel.boxes for row in box.rows}
        for line in panel.lines:
            assert (line.end, line.bottom) in ends
            assert panel.place.y < line.top
            assert line.bottom < panel.place.bottom


def test_the_tree_is_walked_parents_first() -> None:
    devices = [
        device("00:01.0"),
        device("00:00.0"),
        device("01:00.0", "00:00.0"),
        device("02:00.0", "01:00.0"),
    ]
    rows = [row for box in layout.boxes_of(devices) for row in box.rows]
    assert [(row.device.address, row.depth) for row in rows] == [
        ("00:00.0", 0),
        ("01:00.0", 1),
        ("02:00.0", 2),
        ("00:01.0", 0),
    ]


def test_a_port_without_isolation_shares_the_box_of_what_is_behind_it() -> None:
    devices = [device("00:01.0", group="5"), device("01:00.0", "00:01.0", "5"), device("00:02.0", group="6")]
    assert [len(box.rows) for box in layout.boxes_of(devices)] == [2, 1]


def test_a_lone_node_takes_the_devices_that_name_none() -> None:
    drawing = layout.arrange(Machine((Node(0),), (device("00:00.0"),)))
    assert [(panel.node.number, len(panel.boxes)) for panel in drawing.panels] == [(0, 1)]


def test_with_several_nodes_the_unknown_has_a_panel_of_its_own() -> None:
    drawing = layout.arrange(Machine((Node(0), Node(1)), (device("00:00.0"), device("00:01.0", node=1))))
    counts: list[t.Any] = [(panel.node.number, len(panel.boxes)) for panel in drawing.panels]
    assert counts == [(0, 0), (1, 1), (-1, 1)]


def test_two_full_nodes_stand_side_by_side_and_one_is_split_in_two_columns() -> None:
    devices = tuple(
        device(f"{node:02x}:{number:02x}.0", node=node) for node in (0, 1) for number in range(20)
    )
    one, other = layout.arrange(Machine((Node(0), Node(1)), devices)).panels
    assert one.place.y == other.place.y
    assert one.place.right < other.place.x
    (panel,) = layout.arrange(Machine((Node(0),), devices)).panels
    columns = [box.place.x for box in panel.boxes]
    assert [columns.count(left) for left in sorted(set(columns))] == [20, 20]


def test_seventy_devices_are_no_taller_than_two_columns_need() -> None:
    devices = tuple(device(f"{number:02x}:00.0") for number in range(70))
    drawing = layout.arrange(Machine((Node(0),), devices))
    row = layout.ROW + 2 * layout.PAD + layout.ROW_GAP
    assert drawing.height <= 36 * row + layout.HEADER + layout.MARGIN
