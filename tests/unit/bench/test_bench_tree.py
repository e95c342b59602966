# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The built host on which `make bench` measures: whole, and with nothing to do for the module."""

from __future__ import annotations

import dataclasses
import subprocess

import bench_tree as tree
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci_sysfs
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import record, rules
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.capability import VfioBind

PARAMS = {
    "devices": [{**one, "allow": [], "driver": "auto", "allow_missing": False} for one in tree.SELECTORS],
    "exclude": [],
    "state": "present",
    "exclusive": True,
    "parts": ["persistent", "runtime"],
    "rebind": "auto",
    "running": True,
    "contents": {},
    "rebooted": False,
    "deadline": 30,
}


@pytest.fixture
def host(tmp_path):
    """Build a host of 64 functions."""
    tree.build(tmp_path, tree.functions(64))
    return Host(root=str(tmp_path))


@pytest.mark.parametrize("count", [8, 64, 65, 512])
def test_it_has_as_many_functions_as_asked_each_at_a_place_of_its_own(count):
    laid_out = tree.functions(count)
    assert len({one.address for one in laid_out}) == count
    assert sum(one.ours for one in laid_out) == tree.GIVEN


def test_the_module_finds_nothing_to_do_and_everything_in_place(host):
    result = VfioBind(PARAMS, host).execute(Gate(host, False))
    assert result["changed"] is False and result["told"] == []
    assert [(device["driver"], device["warnings"]) for device in result["devices"]] == [
        (tree.VFIO, [])
    ] * tree.GIVEN


def test_the_record_and_the_rules_are_as_the_collection_writes_them():
    laid_out = tree.functions(64)
    entries = record.parse_record(tree.record(laid_out))
    assert record.render_record(entries) == tree.record(laid_out)
    assert rules.render_rules(entries.values()) == tree.rules(laid_out)


def test_the_rest_of_the_host_has_other_drivers_each_in_a_group_of_its_own(host):
    found = pci_sysfs.read_pci(host)
    others = [one for one in found.devices.values() if one.driver != tree.VFIO]
    assert {one.driver for one in others} == {"pcieport", "mlx5_core"}
    assert len({one.group for one in others}) == len(others)
    assert not [one.address for one in found.devices.values() if None in dataclasses.astuple(one)[1:6]]


def test_what_runs_inside_finds_the_tree_in_the_place_of_the_machine_and_writes_nothing(tmp_path):
    tree.build(tmp_path, tree.functions(8))
    names = "ls /sys/bus/pci/devices; cat /etc/udev/rules.d/10-hearth-vfio.rules; touch /etc/hearth-bench || exit 3"
    done = subprocess.run(
        [*tree.inside(tmp_path), "sh", "-c", names], capture_output=True, text=True, timeout=60, check=False
    )
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"this machine has no namespaces of mounts: {done.stderr.splitlines()[0]}")
    assert done.returncode == 3
    assert done.stdout.splitlines()[:8] == sorted(one.address for one in tree.functions(8))
    assert tree.rules(tree.functions(8)) in done.stdout
