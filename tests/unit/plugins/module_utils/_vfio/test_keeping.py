# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from fakepci import FakeKernel

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import HearthError
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import record, rules
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.keeping import SetFile, SetRecord
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import Entry, Identity
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.steps import (
    LoadModule,
    Probe,
    SetOverride,
    Unbind,
)

DISPLAY = "0000:01:00.0"
VFIO = "vfio-pci"
ENTRY = Entry(DISPLAY, Identity("1234", "1111", "1af4", "1100"), VFIO, "bochs-drm")
TEXT, RULES = record.render_record({DISPLAY: ENTRY}), rules.render_rules([ENTRY])
PLAN: tuple[Action, ...] = (
    SetRecord(TEXT, "", (ENTRY,)),
    LoadModule(VFIO),
    SetOverride(DISPLAY, VFIO),
    Unbind(DISPLAY, "bochs-drm"),
    Probe(DISPLAY, VFIO),
    SetFile(rules.PATH, RULES, ""),
)


@pytest.fixture
def kernel(tmp_path: pathlib.Path) -> FakeKernel:
    kernel = FakeKernel(tmp_path)
    kernel.adapter("01", group="13")
    kernel.driver(VFIO)
    return kernel


def failing(kernel: FakeKernel, *plan: Action) -> Gate:
    gate = Gate(kernel.host, check_mode=False)
    with pytest.raises(HearthError):
        gate.apply(plan)
    return gate


def test_the_record_is_first_and_the_rules_are_last(kernel: FakeKernel) -> None:
    gate = Gate(kernel.host, check_mode=False)
    gate.apply(PLAN)
    assert (
        gate.actions[0] == f"write {record.PATH} (0644)" and gate.actions[-1] == f"write {rules.PATH} (0644)"
    )
    assert (kernel.text(record.PATH), kernel.text(rules.PATH)) == (TEXT, RULES)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_record_goes_when_the_device_is_back(kernel: FakeKernel, number: int) -> None:
    before = kernel.snapshot()
    kernel.fail(number)
    gate = failing(kernel, *PLAN)
    assert gate.undone[-1] == f"remove {record.PATH}"
    assert kernel.snapshot() == before


def test_rules_that_cannot_be_written_take_the_binding_back(kernel: FakeKernel) -> None:
    kernel.put("/etc", "a file where a folder should be")
    before = kernel.snapshot()
    gate = failing(kernel, *PLAN)
    assert kernel.snapshot() == before
    assert gate.rollback["ok"] is True


@pytest.mark.parametrize("number", [2, 3])
def test_the_record_stays_when_the_device_hangs(kernel: FakeKernel, number: int) -> None:
    kernel.block(number)
    gate = failing(kernel, *PLAN)
    assert kernel.text(record.PATH) == TEXT
    assert gate.undo_failed[-1] == f"remove {record.PATH}: not tried, see the error"


def test_the_record_stays_when_the_old_driver_does_not_take_the_device_back(kernel: FakeKernel) -> None:
    kernel.refuses[VFIO, DISPLAY] = kernel.refuses["bochs-drm", DISPLAY] = 5
    gate = failing(kernel, *PLAN)
    assert kernel.text(record.PATH) == TEXT, "it is all that tells what the device was"
    assert "the record is kept, as 0000:01:00.0 is not back at bochs-drm" in gate.undo_failed[-1]
    assert kernel.override_of(DISPLAY) == "", "what can be taken back is"


def test_the_record_stays_when_a_device_had_no_driver_and_has_one_now(kernel: FakeKernel) -> None:
    entry = Entry("0000:01:00.1", ENTRY.identity, VFIO, "")
    gate = failing(kernel, SetRecord(TEXT, "", (entry,)), Unbind(DISPLAY, "nouveau"))
    assert "is not back at no driver" in gate.undo_failed[-1]


def test_an_earlier_record_comes_back_as_it_was(kernel: FakeKernel) -> None:
    earlier = record.render_record({"0000:02:00.0": Entry("0000:02:00.0", ENTRY.identity, VFIO, "")})
    kernel.put(record.PATH, earlier)
    kernel.fail(2)
    failing(kernel, SetRecord(TEXT, earlier, (ENTRY,)), *PLAN[1:])
    assert kernel.text(record.PATH) == earlier


def test_rules_come_back_when_giving_back_fails(kernel: FakeKernel) -> None:
    Gate(kernel.host, check_mode=False).apply(PLAN)
    before = kernel.snapshot()
    kernel.fail(len(kernel.writes) + 2)
    back = (
        SetFile(rules.PATH, "", RULES),
        SetOverride(DISPLAY, "", VFIO),
        Unbind(DISPLAY, VFIO),
        Probe(DISPLAY, "bochs-drm"),
        SetRecord("", TEXT),
    )
    gate = failing(kernel, *back)
    assert kernel.snapshot() == before
    assert gate.undone[-1] == f"write {rules.PATH} (0644)"


@pytest.mark.parametrize("found", ["", "# somebody else\n"])
def test_a_file_that_changed_meanwhile_is_not_replaced(kernel: FakeKernel, found: str) -> None:
    kernel.put(rules.PATH, found)
    gate = failing(kernel, SetFile(rules.PATH, RULES, "# as it was read\n"))
    assert kernel.text(rules.PATH) == found, "nor by taking back"
    assert "has changed since" in gate.undo_failed[0]
