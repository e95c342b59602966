# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drawing as SVG: well-formed, complete, readable without colour."""

from __future__ import annotations

import pathlib
import xml.etree.ElementTree

import pytest
import report_samples

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import drawing, machine

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(params=[report_samples.lab, report_samples.server], ids=["lab", "server"])
def shown(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> machine.Machine:
    return machine.from_topology(request.param(tmp_path)["topology"])


def parse(shown: machine.Machine) -> xml.etree.ElementTree.Element:
    return xml.etree.ElementTree.fromstring(drawing.draw(shown))


def texts(root: xml.etree.ElementTree.Element, kind: str) -> list[str]:
    return ["".join(node.itertext()) for node in root.iter(f"{SVG}text") if node.get("class") == kind]


def test_every_device_and_every_owner_is_written_out(shown: machine.Machine) -> None:
    root = parse(shown)
    assert sorted(texts(root, "address")) == sorted(device.short for device in shown.devices)
    owners = shown.owners()
    assert {f"group {group} · {owner}" for group, owner in owners.items()} == set(texts(root, "tag"))


def test_it_is_described_for_those_who_do_not_see_it(shown: machine.Machine) -> None:
    root = parse(shown)
    assert root.get("role") == "img"
    known = {node.get("id"): node.text for node in root if node.get("id")}
    assert all(known[name] for name in (root.get("aria-labelledby") or "").split())
    assert all(f"{group} {owner}" in drawing.describe(shown) for group, owner in shown.owners().items())
    for group in root.iter(f"{SVG}g"):
        if "group" in (group.get("class") or "").split():
            assert group[0].tag == f"{SVG}title"


def test_texts_of_a_row_keep_apart(shown: machine.Machine) -> None:
    """By a generous width of a character; the browser test measures the real one."""
    for row in parse(shown).iter(f"{SVG}g"):
        if row.get("class") != "row":
            continue
        address, label, driver = row.iter(f"{SVG}text")
        left, name, end = (float(node.get("x") or 0) for node in (address, label, driver))
        assert left + 7 * len(address.text or "") < name
        assert name + 6 * len(label.text or "") < end - 6 * len(driver.text or "")


def test_texts_keep_apart_in_a_deep_tree_with_long_names() -> None:
    """Once the driver ran into `group 18 · unbound`; a tree may be deeper, and names may be longer."""
    addresses = [f"10000:{number:02x}:00.0" for number in range(30)]
    devices = tuple(
        machine.Device(
            address, "Ethernet controller", "", "i915-sriov-dkms", f"{number + 100}", 0, parent, name="E810"
        )
        for number, (address, parent) in enumerate(zip(addresses, ["", *addresses]))
    )
    shown = machine.Machine((machine.Node(0), machine.Node(1)), devices)
    root = parse(shown)
    assert texts(root, "driver") == ["i915-sriov-dkms"] * 30
    for group in root.iter(f"{SVG}g"):
        if "group" in (group.get("class") or "").split():
            tag, address, label, driver = group.iter(f"{SVG}text")
            starts = [float(address.get("x") or 0), float(label.get("x") or 0)]
            starts += [
                float(driver.get("x") or 0) - 7 * 15,
                float(tag.get("x") or 0) - 7.1 * len(tag.text or ""),
            ]
            ends = [starts[0] + 7.3 * len(address.text or ""), starts[1] + 7 * len(label.text or "")]
            ends += [float(driver.get("x") or 0)]
            assert all(end < start for end, start in zip(ends, starts[1:]))


def test_text_from_the_host_is_no_markup() -> None:
    nasty = report_samples.NASTY
    device = machine.Device(nasty, nasty, "", driver=nasty, group=nasty, name=nasty)
    root = parse(machine.Machine((machine.Node(0, cpus=nasty, sockets=nasty, memory=nasty),), (device,)))
    assert not list(root.iter(f"{SVG}script"))
    assert texts(root, "address") == [nasty]


def test_without_any_iommu_group_the_legend_says_so_once() -> None:
    devices = (machine.Device("0000:00:00.0", "Device", ""), machine.Device("0000:00:01.0", "Device", ""))
    assert set(texts(parse(machine.Machine((), devices)), "tag")) == {""}


def test_a_machine_without_anything_is_an_empty_picture() -> None:
    assert parse(machine.Machine((), ())).get("height") == "0"
