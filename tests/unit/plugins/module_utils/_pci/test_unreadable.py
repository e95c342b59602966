# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib

import pytest
import trees

from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci_sysfs, unreadable

CARD, OTHER = "0000:3b:00.0", "0000:5e:00.0"


@pytest.mark.parametrize("name", ["driver_override", "sriov_numvfs", "config"])
def test_who_reads_everything_does_not_wait_for_a_device_that_hangs(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(unreadable, "PATIENCE_S", 0.2)
    tree = trees.bare(tmp_path)
    for address in (CARD, OTHER):
        tree.device(address, "10de:2330", "030200", source=trees.SYSFS, group="2")
    file = tmp_path / f"sys/bus/pci/devices/{CARD}/{name}"
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    assert unreadable.unreadable(tree.host, [CARD, OTHER]) == {CARD}
    found = pci_sysfs.read_pci(tree.host).devices
    assert (found[CARD].ids, found[CARD].driver_override, found[CARD].sriov) == ("10de:2330", None, None)
    assert found[OTHER].ids == "10de:2330"
