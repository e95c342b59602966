# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's page in a real browser: it renders, nothing overlaps, nothing is loaded, nothing complains."""

from __future__ import annotations

import pathlib
import struct
import typing as t
import zlib

import browser
import pytest
import report_samples

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import html

HOSTS: dict[str, t.Callable[[pathlib.Path], dict[str, t.Any]]] = {
    "lab": report_samples.lab,
    "server": report_samples.server,
    "named": report_samples.named,
    "container": lambda _root: report_samples.container(),
    "plain": lambda _root: report_samples.checked(),
    "pending": lambda _root: report_samples.checked("pass", report_samples.FINDINGS[:3]),
    "rebooting": report_samples.lab,
}
# The roles boot and reboot ran on these, vfio and firewall on the last one.
BOOTED: dict[str, dict[str, t.Any]] = {
    "pending": {"boot": report_samples.BOOT, "reboots": [report_samples.reboot()]},
    "rebooting": {
        "boot": report_samples.BOOT,
        "reboots": report_samples.REBOOTS,
        "vfio": report_samples.VFIO,
        "firewall": report_samples.FIREWALL,
    },
}
DRAWN = ("lab", "server", "named")
WIDE, NARROW = 1200, 400
# A character may be drawn a hair beyond its advance width.
HAIR = 0.5

# Rectangles of everything of a class, as [left, top, right, bottom].
RECTANGLES = """[...document.querySelectorAll(%r)].map(node => {
    const place = node.getBoundingClientRect();
    return [place.left, place.top, place.right, place.bottom];
})"""
ROWS = """[...document.querySelectorAll('svg g.group')].map(group =>
    [...group.querySelectorAll('g.row')].map((row, index) =>
        [...row.querySelectorAll('text'), ...(index ? [] : [group.querySelector('text.tag')])].map(text => {
            const place = text.getBoundingClientRect();
            return [place.left, place.right, text.textContent];
        })))"""


@pytest.fixture(scope="module")
def tab() -> t.Iterator[browser.Page]:
    program = browser.executable()
    if program is None:
        pytest.skip("chromium is not installed: the page was not opened in a browser")
    with browser.running(program) as page:
        yield page


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    folder = tmp_path_factory.mktemp("pages")
    files = {name: folder / f"{name}.html" for name in HOSTS}
    for name, path in files.items():
        report = report_samples.build(name, preflight=HOSTS[name](folder / name), **BOOTED.get(name, {}))
        path.write_text(html.render(report), encoding="utf-8")
    return files


def rectangles(tab: browser.Page, selector: str) -> list[list[float]]:
    found: list[list[float]] = tab.evaluate(RECTANGLES % selector)
    return found


def different_lines(png: bytes) -> int:
    """Count the different lines of pixels of a PNG; a blank picture has one or two."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, depth, colour = struct.unpack(">I4xBB", png[16:26])
    assert depth == 8
    place, packed = 8, b""
    while place < len(png):
        size, kind = struct.unpack(">I4s", png[place : place + 8])
        packed += png[place + 8 : place + 8 + size] if kind == b"IDAT" else b""
        place += size + 12
    data, step = zlib.decompress(packed), width * {2: 3, 6: 4}[colour] + 1
    return len({data[start : start + step] for start in range(0, len(data), step)})


@pytest.mark.parametrize("name", HOSTS)
def test_the_page_renders_alone_and_without_a_complaint(
    tab: browser.Page, pages: dict[str, pathlib.Path], name: str
) -> None:
    tab.open(pages[name], WIDE)
    assert different_lines(tab.screenshot()) > 100
    assert tab.happened("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled") == []
    urls = {event["params"]["request"]["url"] for event in tab.happened("Network.requestWillBeSent")}
    assert urls == {pages[name].as_uri()}


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", HOSTS)
def test_the_page_never_scrolls_sideways(
    tab: browser.Page, pages: dict[str, pathlib.Path], name: str, width: int
) -> None:
    tab.open(pages[name], width)
    tab.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true; })")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", DRAWN)
def test_the_drawing_is_wholly_visible(tab: browser.Page, pages: dict[str, pathlib.Path], name: str) -> None:
    tab.open(pages[name], WIDE)
    (picture,) = rectangles(tab, "svg.machine")
    assert picture[0] >= 0
    assert picture[2] <= WIDE
    boxes = rectangles(tab, "svg .box")
    assert len(boxes) > 10
    for box in [*boxes, *rectangles(tab, "svg text")]:
        assert picture[0] <= box[0] < box[2] <= picture[2]
        assert picture[1] <= box[1] < box[3] <= picture[3]


@pytest.mark.parametrize("name", DRAWN)
def test_texts_of_the_drawing_do_not_touch(
    tab: browser.Page, pages: dict[str, pathlib.Path], name: str
) -> None:
    tab.open(pages[name], WIDE)
    groups = tab.evaluate(ROWS)
    assert groups
    for row in (row for group in groups for row in group):
        for left, right in zip(row, row[1:]):
            assert left[1] <= right[0] + HAIR, f"{left[2]!r} runs into {right[2]!r}"


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", BOOTED)
def test_the_tables_of_the_boot_never_scroll_sideways(
    tab: browser.Page, pages: dict[str, pathlib.Path], name: str, width: int
) -> None:
    tab.open(pages[name], width)
    rooms = tab.evaluate(
        "[...document.querySelectorAll('#boot .scroll')].map(node => [node.scrollWidth, node.clientWidth])"
    )
    assert len(rooms) == 1 + len({item["status"] for item in BOOTED[name]["reboots"]})
    assert all(needed <= given for needed, given in rooms)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_the_table_of_the_devices_for_guests_never_scrolls_sideways(
    tab: browser.Page, pages: dict[str, pathlib.Path], width: int
) -> None:
    tab.open(pages["rebooting"], width)
    (room,) = tab.evaluate(
        "[...document.querySelectorAll('#passthrough .scroll')].map(node => [node.scrollWidth, node.clientWidth])"
    )
    assert room[0] <= room[1]


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_the_table_of_who_reaches_what_never_scrolls_sideways(
    tab: browser.Page, pages: dict[str, pathlib.Path], width: int
) -> None:
    tab.open(pages["rebooting"], width)
    (room,) = tab.evaluate(
        "[...document.querySelectorAll('#firewall .scroll')].map(node => [node.scrollWidth, node.clientWidth])"
    )
    assert room[0] <= room[1]


def test_who_reaches_a_service_stands_below_the_name_of_the_zone(
    tab: browser.Page, pages: dict[str, pathlib.Path]
) -> None:
    tab.open(pages["rebooting"], WIDE)
    heads = rectangles(tab, "#firewall thead th")
    cells = rectangles(tab, "tr[data-service=ceph-osd] > *")
    assert len(heads) == len(cells) == 1 + len(report_samples.FIREWALL["zones"]) + 2
    assert all(head[0] == cell[0] and head[3] <= cell[1] + HAIR for head, cell in zip(heads, cells))
    assert {cell[1] for cell in cells} == {cells[0][1]}
    tab.open(pages["rebooting"], NARROW)
    label = "getComputedStyle(document.querySelector('#firewall td[data-label=storage]'), '::before').content"
    assert tab.evaluate(label) == '"storage"'


def test_wanted_configured_and_effective_stand_side_by_side(
    tab: browser.Page, pages: dict[str, pathlib.Path]
) -> None:
    tab.open(pages["pending"], WIDE)
    cells = rectangles(tab, "tr[data-argument=hugepages] > *")
    assert len(cells) == 6
    assert {cell[1] for cell in cells} == {cells[0][1]}
    assert [cell[0] for cell in cells] == sorted(cell[0] for cell in cells)


def test_narrow_rows_name_their_cells(tab: browser.Page, pages: dict[str, pathlib.Path]) -> None:
    tab.open(pages["pending"], NARROW)
    cells = rectangles(tab, "tr[data-argument=hugepages] > *")
    assert all(upper[3] <= lower[1] + HAIR for upper, lower in zip(cells, cells[1:]))
    # Once the head of a row kept the width of its column, and its words were broken letter by letter.
    assert {cell[2] - cell[0] for cell in cells} == {cells[0][2] - cells[0][0]}
    label = "getComputedStyle(document.querySelector('#boot td[data-label=Effective]'), '::before').content"
    assert tab.evaluate(label) == '"Effective"'


def test_the_verdict_is_the_first_thing_seen(tab: browser.Page, pages: dict[str, pathlib.Path]) -> None:
    tab.open(pages["lab"], WIDE)
    (verdict,) = rectangles(tab, "h1")
    (banner,) = rectangles(tab, "#emulated")
    assert verdict[3] < banner[1]
    assert banner[3] < 300
    assert float(tab.evaluate("parseFloat(getComputedStyle(document.querySelector('h1')).fontSize)")) >= 32


def test_light_and_dark(tab: browser.Page, pages: dict[str, pathlib.Path]) -> None:
    brightness = []
    for dark in (False, True):
        tab.open(pages["lab"], WIDE, dark=dark)
        for selector, what in (("body", "backgroundColor"), ("body", "color"), ("svg .address", "fill")):
            colour = tab.evaluate(f"getComputedStyle(document.querySelector({selector!r})).{what}")
            brightness.append(sum(int(part) for part in colour[4:-1].split(",")))
    paper, ink, drawn, dark_paper, dark_ink, dark_drawn = brightness
    assert paper > 600 > 300 > max(ink, drawn)
    assert dark_paper < 150 < 500 < min(dark_ink, dark_drawn)


def test_on_paper_nothing_is_folded_away(tab: browser.Page, pages: dict[str, pathlib.Path]) -> None:
    tab.open(pages["plain"], WIDE)
    visible = "document.querySelector('details.pass tbody').checkVisibility()"
    height = "document.querySelector('details.pass').getBoundingClientRect().height"
    assert tab.evaluate(visible) is False
    folded = tab.evaluate(height)
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.evaluate(visible) is True
    assert tab.evaluate(height) > folded + 50
    tab.call("Emulation.setEmulatedMedia", media="")
