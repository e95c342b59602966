# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import pathlib
import signal
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from fakepci import BLOCKED_PID, BRIDGE, FakeKernel, Killed

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Gate, Untouchable
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    CommandError,
    EffectError,
    HearthError,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci_sysfs
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.device import (
    driver_of,
    has_driver,
    hung_marks,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.steps import (
    LoadFor,
    LoadModule,
    Probe,
    PutBack,
    ReleaseConsole,
    ReturnConsole,
    SetOverride,
    Unbind,
)

DISPLAY, AUDIO, USB = "0000:01:00.0", "0000:01:00.1", "0000:01:00.2"
ORIGIN = {AUDIO: "snd_hda_intel", USB: "xhci_hcd", DISPLAY: "bochs-drm"}
TWIN = "0000:0b:00.0"
VFIO = "vfio-pci"
BIND: tuple[Action, ...] = (
    LoadModule(VFIO),
    ReleaseConsole("vtcon1", DISPLAY),
    *(
        step
        for address, origin in ORIGIN.items()
        for step in (SetOverride(address, VFIO), Unbind(address, origin), Probe(address, VFIO))
    ),
)
GIVE_BACK: tuple[Action, ...] = tuple(
    step
    for address, origin in reversed(ORIGIN.items())
    for step in (SetOverride(address, "", VFIO), Unbind(address, VFIO), Probe(address, origin))
)
WRITES = 1 + 3 * len(ORIGIN)


@pytest.fixture
def kernel(tmp_path: pathlib.Path) -> FakeKernel:
    kernel = FakeKernel(tmp_path)
    kernel.adapter("01", group="13")
    kernel.adapter("0b", group="14")
    kernel.driver(VFIO, loaded=False)
    kernel.console("vtcon1")
    return kernel


def apply(kernel: FakeKernel, *plan: Action) -> Gate:
    gate = Gate(kernel.host, check_mode=False)
    gate.apply(plan)
    return gate


def refused(kernel: FakeKernel, *plan: Action) -> tuple[Gate, HearthError]:
    gate = Gate(kernel.host, check_mode=False)
    with pytest.raises(HearthError) as caught:
        gate.apply(plan)
    return gate, caught.value


def drivers(kernel: FakeKernel) -> dict[str, str | None]:
    return {address: kernel.driver_of(address) for address in ORIGIN}


def without_module(tree: dict[str, str]) -> dict[str, str]:
    """Return a tree without what a loaded module and its driver add: those stay."""
    return {
        path: text
        for path, text in tree.items()
        if "vfio_pci" not in path and "drivers/vfio-pci/" not in path
    }


def test_a_card_is_moved_to_vfio_with_all_its_functions_and_its_twin_is_not(kernel: FakeKernel) -> None:
    gate = apply(kernel, *BIND)
    assert drivers(kernel) == dict.fromkeys(ORIGIN, VFIO)
    assert {kernel.override_of(address) for address in ORIGIN} == {VFIO}
    assert kernel.driver_of(TWIN) == "bochs-drm"
    assert kernel.calls == [("modprobe", "--", VFIO)]
    assert gate.actions[:5] == [
        "load module vfio-pci",
        "take the text console off vtcon1",
        f"set driver_override of {AUDIO} to vfio-pci",
        f"unbind {AUDIO} from snd_hda_intel",
        f"bind {AUDIO} to vfio-pci",
    ]


def test_every_write_is_one_word_to_one_attribute(kernel: FakeKernel) -> None:
    apply(kernel, *BIND)
    folder = f"/sys/devices/pci0000:00/0000:00:10.0/{AUDIO}"
    assert kernel.writes[:4] == [
        ("/sys/class/vtconsole/vtcon1/bind", "0\n"),
        (f"{folder}/driver_override", "vfio-pci\n"),
        ("/sys/bus/pci/drivers/snd_hda_intel/unbind", f"{AUDIO}\n"),
        ("/sys/bus/pci/drivers_probe", f"{AUDIO}\n"),
    ]
    assert len(kernel.writes) == WRITES
    assert all("new_id" not in path for path, _text in kernel.writes)


def test_it_is_given_back_to_the_drivers_it_had(kernel: FakeKernel) -> None:
    before = without_module(kernel.snapshot("/sys"))
    apply(kernel, *BIND)
    apply(kernel, ReturnConsole("vtcon1", DISPLAY), *GIVE_BACK)
    assert without_module(kernel.snapshot("/sys")) == before
    assert [action.describe() for action in GIVE_BACK[:3]] == [
        f"clear driver_override of {DISPLAY}",
        f"unbind {DISPLAY} from vfio-pci",
        f"bind {DISPLAY} to bochs-drm",
    ]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, WRITES + 1))
def test_a_failure_at_any_write_takes_all_back_in_reverse_order(
    kernel: FakeKernel, number: int, after: bool
) -> None:
    """one-deploy#251: restore on failure."""
    before = without_module(kernel.snapshot())
    kernel.fail(number, after=after)
    gate, error = refused(kernel, *BIND)
    assert without_module(kernel.snapshot()) == before
    done = BIND[1 : len(gate.actions)]
    expected = [undo.describe() for undo in (action.undo() for action in reversed(done)) if undo]
    assert gate.undone == expected and gate.undo_failed == []
    assert error.details["rollback"] == {"attempted": True, "ok": True, "undone": expected, "failed": []}
    assert "was taken back" in error.message


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, len(GIVE_BACK) + 1))
def test_a_failure_at_any_write_of_giving_back_leaves_the_card_with_vfio(
    kernel: FakeKernel, number: int, after: bool
) -> None:
    apply(kernel, *BIND)
    before = kernel.snapshot()
    kernel.fail(len(kernel.writes) + number, after=after)
    gate, _error = refused(kernel, *GIVE_BACK)
    assert kernel.snapshot() == before
    assert gate.rollback["ok"] is True


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(1, WRITES + 1))
def test_after_a_kill_at_any_write_the_next_run_ends_where_it_should(
    kernel: FakeKernel, number: int, after: bool
) -> None:
    kernel.kill(number, after=after)
    with pytest.raises(Killed):
        apply(kernel, *BIND)
    apply(kernel, *planned_anew(kernel))
    assert drivers(kernel) == dict.fromkeys(ORIGIN, VFIO)
    assert {kernel.override_of(address) for address in ORIGIN} == {VFIO}
    assert list(planned_anew(kernel)) == []


def planned_anew(kernel: FakeKernel) -> t.Iterator[Action]:
    """Plan from what the host says now, as the next run does."""
    snapshot = pci_sysfs.read_pci(kernel.host)
    for address in ORIGIN:
        device = snapshot.devices[address]
        if device.driver_override != VFIO:
            yield SetOverride(address, VFIO, device.driver_override or "")
        if device.driver != VFIO:
            if device.driver:
                yield Unbind(address, device.driver)
            yield Probe(address, VFIO)


@pytest.mark.parametrize("number", range(2, WRITES + 1))
def test_a_write_that_blocks_marks_the_device_and_nothing_touches_its_group_again(
    kernel: FakeKernel, number: int
) -> None:
    kernel.block(number)
    gate, error = refused(kernel, *BIND)
    address = list(ORIGIN)[(number - 2) // 3]
    assert isinstance(error, Untouchable)
    assert "the driver did not let go within 30 s" in error.message and "reboot" in error.remedy
    assert list(hung_marks(kernel.host)) == [address]
    assert str(BLOCKED_PID) in hung_marks(kernel.host)[address]
    assert kernel.writes[number:] == [("/sys/class/vtconsole/vtcon1/bind", "1\n")]
    assert gate.undone == ["put the text console back on vtcon1"]
    assert gate.rollback["ok"] is False


def test_another_card_is_taken_back_when_one_hangs(kernel: FakeKernel) -> None:
    """one-deploy#251: an unbind that never ends, with a bounded wait."""
    kernel.held.add(TWIN)
    plan = (*BIND, SetOverride(TWIN, VFIO), Unbind(TWIN, "bochs-drm", 7), Probe(TWIN, VFIO))
    gate, error = refused(kernel, *plan)
    assert drivers(kernel) == ORIGIN
    assert "did not let go within 7 s" in error.message
    assert gate.undo_failed == [
        f"put {TWIN} back to bochs-drm: not tried, see the error",
        f"clear driver_override of {TWIN}: not tried, see the error",
    ]


def test_a_hang_while_it_is_taken_back_ends_all_there(kernel: FakeKernel) -> None:
    kernel.refuses[VFIO, DISPLAY] = errno.EINVAL
    apply(kernel, LoadModule(VFIO), SetOverride(USB, VFIO), Unbind(USB, "xhci_hcd"), Probe(USB, VFIO))
    kernel.held.add(USB)
    rest = (Probe(USB, VFIO), SetOverride(DISPLAY, VFIO), Unbind(DISPLAY, "bochs-drm"), Probe(DISPLAY, VFIO))
    gate, _error = refused(kernel, *rest)
    assert kernel.driver_of(DISPLAY) == "bochs-drm" and kernel.override_of(DISPLAY) == ""
    assert len(gate.undo_failed) == 1
    assert gate.undo_failed[0].startswith(f"unbind {USB} from vfio-pci: Cannot unbind {USB} from vfio-pci")
    assert list(hung_marks(kernel.host)) == [USB]


def test_the_real_writer_reports_a_blocked_unbind_in_time(kernel: FakeKernel) -> None:
    """No simulation of the deadline: a FIFO that nobody reads keeps its writer, as the kernel would."""
    host = dataclasses.replace(kernel.host, write_sysfs=type(kernel.host)().write_sysfs)
    unbind = kernel.root / "sys/bus/pci/drivers/bochs-drm/unbind"
    unbind.unlink()
    os.mkfifo(unbind)
    with pytest.raises(Untouchable) as caught:
        Unbind(DISPLAY, "bochs-drm", 0.2).perform(host)
    pid = caught.value.details["hung"]["pid"]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert list(hung_marks(host)) == [DISPLAY]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (
            errno.EBUSY,
            "virtual functions of it are enabled, another driver has it, or a guest owns its IOMMU group (EBUSY)",
        ),
        (errno.EINVAL, "(EINVAL)"),
        (errno.ENODEV, "could not work with it (ENODEV)"),
        (errno.ENOMEM, "Cannot allocate memory (ENOMEM)"),
        (524, "Unknown error 524 (524)"),
    ],
)
def test_a_driver_that_refuses_is_asked_for_the_reason(kernel: FakeKernel, code: int, why: str) -> None:
    kernel.refuses[VFIO, AUDIO] = code
    gate, error = refused(kernel, *BIND)
    assert error.message.startswith(f"vfio-pci does not take {AUDIO}: ")
    assert why in error.message and error.details["errno"] == code
    assert drivers(kernel) == ORIGIN and gate.rollback["ok"] is True


def test_a_physical_function_with_virtual_ones_is_told_from_others(kernel: FakeKernel) -> None:
    kernel.add("0000:03:00.0", "1b36:0010:1af4:1100", "010802", driver="nvme", group="15", vfs=4)
    kernel.host.write_sysfs(kernel.host.path("/sys/bus/pci/devices/0000:03:00.0/sriov_numvfs"), "2\n", 30)
    plan = (LoadModule(VFIO), SetOverride("0000:03:00.0", VFIO), Unbind("0000:03:00.0", "nvme"))
    _gate, error = refused(kernel, *plan, Probe("0000:03:00.0", VFIO))
    assert "virtual functions of it are enabled" in error.message
    assert kernel.driver_of("0000:03:00.0") == "nvme"


@pytest.mark.parametrize(("header", "group"), [(BRIDGE, "16"), (0, None)])
def test_what_vfio_cannot_have_is_named(kernel: FakeKernel, header: int, group: str | None) -> None:
    kernel.add("0000:04:00.0", "1b36:000c:0000:0000", "060400", header=header, group=group)
    _gate, error = refused(
        kernel, LoadModule(VFIO), SetOverride("0000:04:00.0", VFIO), Probe("0000:04:00.0", VFIO)
    )
    assert "it is a bridge, has no IOMMU group" in error.message
    assert kernel.override_of("0000:04:00.0") == ""


def test_a_driver_that_is_not_loaded_is_named(kernel: FakeKernel) -> None:
    _gate, error = refused(
        kernel, SetOverride(AUDIO, VFIO), Unbind(AUDIO, "snd_hda_intel"), Probe(AUDIO, VFIO)
    )
    assert "the driver is not loaded (ENOENT)" in error.message
    assert drivers(kernel) == ORIGIN


def test_of_two_drivers_that_fit_the_one_that_was_there_gets_the_device(kernel: FakeKernel) -> None:
    kernel.driver("simpler", "1234:1111")
    kernel.drivers = dict(reversed(kernel.drivers.items()))
    apply(kernel, *BIND)
    count = len(kernel.writes)
    apply(kernel, *GIVE_BACK)
    assert drivers(kernel) == ORIGIN
    assert not any(path.endswith("drivers_probe") for path, _text in kernel.writes[count:]), (
        "it would pick one"
    )


def test_what_is_already_so_is_not_written(kernel: FakeKernel) -> None:
    apply(kernel, *BIND)
    count = len(kernel.writes)
    apply(
        kernel, Probe(AUDIO, VFIO), PutBack(AUDIO, VFIO), ReleaseConsole("vtcon1", DISPLAY), LoadModule(VFIO)
    )
    apply(kernel, Probe(AUDIO, ""))
    assert len(kernel.writes) == count and len(kernel.calls) == 1


def test_a_device_without_a_driver_is_left_without_one(kernel: FakeKernel) -> None:
    kernel.add("0000:02:00.0", "1234:11e8:1af4:1100", "00ff00", group="15")
    before = without_module(kernel.snapshot())
    step = Probe("0000:02:00.0", "")
    assert step.describe() == "leave 0000:02:00.0 unbound" and step.undo() is None
    plan = (LoadModule(VFIO), SetOverride("0000:02:00.0", VFIO), Probe("0000:02:00.0", VFIO))
    apply(kernel, *plan)
    apply(kernel, SetOverride("0000:02:00.0", "", VFIO), Unbind("0000:02:00.0", VFIO), step)
    assert without_module(kernel.snapshot()) == before


@pytest.mark.parametrize(
    "step", [Unbind(AUDIO, "nouveau"), Probe(AUDIO, "nouveau"), PutBack(AUDIO, "nouveau")]
)
def test_a_device_that_somebody_else_moved_is_not_taken(kernel: FakeKernel, step: Action) -> None:
    _gate, error = refused(kernel, SetOverride(AUDIO, VFIO), step)
    assert error.message.startswith(f"{AUDIO} belongs to snd_hda_intel and not to nouveau")
    assert [text for _path, text in kernel.writes] == ["vfio-pci\n", "\n"], (
        "nothing but the override, and back"
    )


def test_a_device_without_a_driver_needs_no_unbind(kernel: FakeKernel) -> None:
    apply(kernel, Unbind(AUDIO, "snd_hda_intel"))
    apply(kernel, Unbind(AUDIO, "snd_hda_intel"))
    assert len(kernel.writes) == 1


class Ignored:
    """A kernel that accepts a write and does nothing."""

    def __call__(self, path: str, text: str, deadline_s: float) -> None:
        return


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (
            SetOverride(AUDIO, VFIO),
            "driver_override of 0000:01:00.1 is '' after 'vfio-pci' was written to it.",
        ),
        (Unbind(AUDIO, "snd_hda_intel"), "0000:01:00.1 belongs to snd_hda_intel and not to none"),
        (Probe(AUDIO, VFIO), "0000:01:00.1 belongs to snd_hda_intel and not to vfio-pci"),
        (ReleaseConsole("vtcon1", DISPLAY), "The kernel did not take the text console off vtcon1."),
    ],
)
def test_success_is_read_back_never_assumed(kernel: FakeKernel, step: Action, says: str) -> None:
    host = dataclasses.replace(kernel.host, write_sysfs=Ignored())
    with pytest.raises(EffectError) as caught:
        step.perform(host)
    assert caught.value.message.startswith(says) and caught.value.remedy


def test_what_took_nothing_is_named(kernel: FakeKernel) -> None:
    apply(kernel, Unbind(AUDIO, "snd_hda_intel"))
    with pytest.raises(EffectError) as caught:
        Probe(AUDIO, VFIO).perform(dataclasses.replace(kernel.host, write_sysfs=Ignored()))
    assert "belongs to nobody and not to vfio-pci" in caught.value.message


def test_an_override_that_was_there_comes_back(kernel: FakeKernel) -> None:
    kernel.add("0000:02:00.0", "1234:11e8:1af4:1100", "00ff00", group="15", override="uio_pci_generic")
    before = kernel.snapshot()
    refused(kernel, SetOverride("0000:02:00.0", VFIO, "uio_pci_generic"), Probe("0000:02:00.0", VFIO))
    assert kernel.snapshot() == before


def test_a_driver_that_was_unloaded_comes_back_by_the_alias_of_the_device(kernel: FakeKernel) -> None:
    kernel.driver("edu", "1234:11e8", module="edu_drv", loaded=False)
    kernel.add("0000:02:00.0", "1234:11e8:1af4:1100", "00ff00", group="15")
    apply(kernel, LoadFor("0000:02:00.0", "edu"), Probe("0000:02:00.0", "edu"))
    assert kernel.driver_of("0000:02:00.0") == "edu"
    alias = "pci:v00001234d000011E8sv00001AF4sd00001100bc00scFFi00"
    assert kernel.calls == [("modprobe", "--use-blacklist", "--", alias)]
    apply(kernel, LoadFor("0000:02:00.0", "edu"))
    assert len(kernel.calls) == 1
    apply(kernel, LoadFor("0000:02:00.0"))
    assert len(kernel.calls) == 2


def test_a_device_that_is_gone_needs_no_driver(kernel: FakeKernel) -> None:
    _gate, error = refused(kernel, LoadFor("0000:77:00.0"))
    assert "it is gone, or cannot be read" in error.message


def test_a_module_that_cannot_be_loaded_ends_it_before_anything_else(kernel: FakeKernel) -> None:
    kernel.broken_modules.add("vfio_pci")
    before = kernel.snapshot()
    gate, error = refused(kernel, *BIND)
    assert isinstance(error, CommandError) and "could not insert" in error.message
    assert kernel.snapshot() == before and kernel.writes == []
    assert gate.rollback["attempted"] is False


def test_a_built_in_module_is_not_loaded(kernel: FakeKernel) -> None:
    kernel.put("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit", "65535\n")
    apply(kernel, LoadModule("vfio-iommu-type1"), LoadModule("bochs-drm"))
    assert kernel.calls == []


def test_a_console_that_blocks_marks_the_device_that_shows_it(kernel: FakeKernel) -> None:
    kernel.block(1)
    gate, error = refused(kernel, *BIND)
    assert isinstance(error, Untouchable) and error.details["reboot_required"] is True
    assert "take the text console off vtcon1: blocked" in hung_marks(kernel.host)[DISPLAY]
    assert (drivers(kernel), len(kernel.writes), gate.undone) == (ORIGIN, 1, [])


def test_a_driver_that_takes_a_device_has_more_time_than_one_that_lets_go(kernel: FakeKernel) -> None:
    """mlx5 waits 120 s for its firmware, the kernel 60 s for a function level reset: neither hangs."""
    waits: list[tuple[str, float]] = []

    def write(path: str, text: str, deadline_s: float) -> None:
        waits.append((os.path.basename(path), deadline_s))
        kernel.write_sysfs(path, text, deadline_s)

    host = dataclasses.replace(kernel.host, write_sysfs=write)
    LoadModule(VFIO).perform(host)
    taken: tuple[Action, ...] = (
        SetOverride(AUDIO, VFIO, "", 7),
        Unbind(AUDIO, ORIGIN[AUDIO], 7),
        Probe(AUDIO, VFIO, 7),
    )
    back: tuple[Action, ...] = (
        SetOverride(AUDIO, "", VFIO, 7),
        Unbind(AUDIO, VFIO, 7),
        Probe(AUDIO, ORIGIN[AUDIO], 400),
    )
    for step in (*taken, *back):
        step.perform(host)
    assert waits == [
        ("driver_override", 7),
        ("unbind", 7),
        ("drivers_probe", 180),
        ("driver_override", 7),
        ("unbind", 7),
        ("bind", 400),
    ]
    assert drivers(kernel) == ORIGIN


def test_every_step_names_its_device(kernel: FakeKernel) -> None:
    for step in (SetOverride(AUDIO, VFIO), Unbind(AUDIO, VFIO), Probe(AUDIO, VFIO), PutBack(AUDIO, VFIO)):
        assert step.touches() == {AUDIO} and AUDIO in step.describe()
    assert PutBack(AUDIO, VFIO).undo() is None and ReturnConsole("vtcon1", DISPLAY).undo() is None
    assert has_driver(kernel.host, "xhci_hcd") and not has_driver(kernel.host, VFIO)
    assert driver_of(kernel.host, "0000:77:00.0") == ""


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("override", ["", VFIO])
def test_who_puts_a_device_back_leaves_the_override_as_it_was(
    kernel: FakeKernel, override: str, refused: bool
) -> None:
    """A run that was killed may have left one: then this one has no step that sets it, and none that clears it."""
    SetOverride(DISPLAY, override).perform(kernel.host)
    Unbind(DISPLAY, "bochs-drm").perform(kernel.host)
    if refused:
        kernel.refuses["bochs-drm", DISPLAY] = errno.EBUSY
    with pytest.raises(EffectError) if refused else contextlib.nullcontext():
        PutBack(DISPLAY, "bochs-drm").perform(kernel.host)
    assert kernel.override_of(DISPLAY) == override
    assert kernel.driver_of(DISPLAY) == (None if refused else "bochs-drm")
