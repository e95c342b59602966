# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from fakepci import BLOCKED_PID, FakeKernel

from ansible_collections.hearth.gpu_host.plugins.module_utils._sysfs import WriteBlocked
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import device, hung

WHAT = "unbind 0000:01:00.0 from nvidia"


@pytest.fixture
def kernel(tmp_path: pathlib.Path) -> FakeKernel:
    kernel = FakeKernel(tmp_path)
    kernel.adapter("01", group="13")
    kernel.add("0000:02:00.0", "1234:11e8:1af4:1100", "00ff00", group="14")
    return kernel


def test_a_mark_says_what_hangs_since_when_and_where(kernel: FakeKernel) -> None:
    kernel.put(f"/proc/{BLOCKED_PID}/wchan", "__nv_drm_remove")
    assert device.hung_marks(kernel.host) == {}
    error = hung.mark_hung(kernel.host, "0000:01:00.0", WHAT, WriteBlocked("unbind", 30, BLOCKED_PID))
    assert device.hung_marks(kernel.host) == {
        "0000:01:00.0": f"{WHAT}: blocked since 2027-01-15 08:00:00 UTC, in process {BLOCKED_PID}"
    }
    assert error.message == (
        f"Cannot {WHAT}: the driver did not let go within 30 s. The host is marked, and nothing more is done to this"
        " device and its group until a reboot. Do not reset it and do not rescan the bus: that would hang, too."
    )
    assert "reboot" in error.remedy
    assert error.details["hung"]["wchan"] == "__nv_drm_remove"
    assert error.details["reboot_required"] is True


def test_the_group_and_the_card_are_not_to_be_touched_and_others_are(kernel: FakeKernel) -> None:
    kernel.add("0000:01:00.3", "10de:1ad9:1af4:1100", "0c8000", group="15")
    kernel.add("0000:03:00.0", "1234:11e8:1af4:1100", "00ff00", group="13")
    error = hung.mark_hung(kernel.host, "0000:01:00.0", WHAT, WriteBlocked("unbind", 30, BLOCKED_PID))
    assert error.subjects == {f"0000:01:00.{number}" for number in range(4)} | {"0000:03:00.0"}


def test_a_device_without_a_group_is_held_with_its_card(kernel: FakeKernel) -> None:
    kernel.add("0000:03:00.0", "1234:11e8:1af4:1100", "00ff00")
    error = hung.mark_hung(kernel.host, "0000:03:00.0", WHAT, WriteBlocked("unbind", 30, BLOCKED_PID))
    assert error.subjects == {"0000:03:00.0"}


def test_a_mark_that_cannot_be_written_is_said_and_the_error_stays(kernel: FakeKernel) -> None:
    kernel.put("/run", "a file where a folder should be")
    error = hung.mark_hung(kernel.host, "0000:01:00.0", WHAT, WriteBlocked("unbind", 30, BLOCKED_PID))
    assert "The mark for later runs could not be written" in error.message
    assert "touch this device no more" in error.message


def test_a_mark_that_is_being_written_is_none_yet(kernel: FakeKernel) -> None:
    kernel.put(f"{device.MARKS}/.0000:01:00.0.hearth-new", "half")
    assert device.hung_marks(kernel.host) == {}
    os.unlink(kernel.host.path(f"{device.MARKS}/.0000:01:00.0.hearth-new"))
