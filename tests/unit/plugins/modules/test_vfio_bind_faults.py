# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transcripts of vfio_bind: what it refuses, and what becomes of a run that fails, hangs or dies anywhere."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from vfio_main import (
    AUDIO,
    CARD,
    GPU,
    LEDGER,
    MINE,
    RECORD,
    RULES,
    TWIN,
    FakeKernel,
    Killed,
    Task,
    of,
    prepared,
)

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Gate
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import unreadable
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import effects, evidence

HOST_DRIVERS = ["snd_hda_intel", "xhci_hcd", "bochs-drm"]
FOLDER = "/sys/devices/pci0000:00/0000:00:10.0/0000:01:00.0"
# Writes to the kernel when the card is bound: override, unbind and probe of three functions.
WRITES = 9


@pytest.fixture
def task(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    return Task(prepared(tmp_path / "host"), monkeypatch, capsys)


def process(kernel: FakeKernel, pid: int, name: str, node: str) -> None:
    """Let a process hold a device node; see proc(5)."""
    kernel.put(f"/proc/{pid}/comm", f"{name}\n")
    kernel.put(f"/proc/{pid}/cmdline", f"{name}\0")
    kernel.put(f"/proc/{pid}/maps", "")
    (kernel.root / f"proc/{pid}/fd").mkdir(parents=True)
    os.symlink(node, kernel.root / f"proc/{pid}/fd/5")


def opened(kernel: FakeKernel) -> None:
    """Let a process show something on the card."""
    kernel.put(f"{FOLDER}/drm/card0/uevent", "MAJOR=226\nMINOR=0\nDEVNAME=dri/card0\n")
    kernel.link("/sys/dev/char/226:0", f"{FOLDER}/drm/card0")
    process(kernel, 900, "Xorg", "/dev/dri/card0")


def console(kernel: FakeKernel) -> None:
    """Let the text console be on the card: drivers/video/fbdev/core/fbsysfs.c, drivers/tty/vt/vt.c."""
    kernel.put(f"{FOLDER}/graphics/fb0/name", "bochs-drmdrmfb\n")
    kernel.link("/sys/class/graphics/fb0", f"{FOLDER}/graphics/fb0")
    kernel.console("vtcon0", "(S) dummy device", bound=False)
    kernel.console("vtcon1")


# --- refusals ------------------------------------------------------------------------------------


def test_a_device_that_a_process_has_open_is_refused_and_lifted_by_name(task: Task) -> None:
    opened(task.kernel)
    result = task.refused(**MINE)
    assert "Xorg (process 900) has /dev/dri/card0 open (opened)" in result["msg"]
    assert [one["address"] for one in result["obstacles"]] == [GPU]
    assert task.refused(devices=[{"address": GPU, "allow": ["display", "guest"]}])["error"] == "Refusal"
    lifted = task.settled(devices=[{"address": GPU, "allow": ["opened"]}])
    assert [one["kind"] for one in of(lifted, GPU)["obstacles"]] == ["opened"]


def test_what_a_process_has_open_is_nothing_to_the_next_boot(task: Task) -> None:
    opened(task.kernel)
    assert task.settled(**MINE, rebind="boot")["reboot_required"] is True


def test_the_console_is_refused_and_lifted_it_is_released_first(task: Task) -> None:
    """Issue 4, shown by 1: the display is in use by its driver, with a console on it."""
    console(task.kernel)
    result = task.refused(**MINE)
    assert "the text console is on it" in result["msg"]
    lifted = task.predicted(devices=[{"address": GPU, "allow": ["display"]}])
    steps = lifted["actions"]
    assert steps.index("take the text console off vtcon1") < steps.index(
        f"set driver_override of {AUDIO} to vfio-pci"
    )
    assert task.kernel.text("/sys/class/vtconsole/vtcon1/bind") == "0\n"


def test_a_boot_framebuffer_in_the_memory_of_the_card_is_refused(task: Task) -> None:
    """40-peers.md §3 row 14: talos#14356; vfio-pci takes no framebuffer off a display of class 0380."""
    line = "0x00000000fd000000 0x00000000fdffffff 0x0000000000040208\n"
    task.kernel.put(f"{FOLDER}/resource", line)
    task.kernel.put("/proc/iomem", "fd000000-fdffffff : PCI Bus 0000:01\n  fd000000-fd2fffff : BOOTFB\n")
    assert "the boot framebuffer is in its memory (BOOTFB in /proc/iomem)" in task.refused(**MINE)["msg"]


def test_a_device_without_remapped_interrupts_is_refused(task: Task) -> None:
    task.kernel.put(
        "/proc/interrupts", "  24:         27          0  PCI-MSI 65536-edge      virtio0-config\n"
    )
    assert "interrupts are not remapped" in task.refused(**MINE)["msg"]


def test_no_iommu_is_final_for_a_device_that_is_bound_now(task: Task) -> None:
    for address in task.kernel.devices:
        (task.kernel.root / task.kernel.devices[address].folder.lstrip("/") / "iommu_group").unlink()
    for folder in (task.kernel.root / "sys/kernel/iommu_groups").iterdir():
        folder.rename(task.kernel.root / f"gone-{folder.name}")
    assert "the kernel drives no IOMMU" in task.refused(**MINE)["msg"]


def test_the_persistent_half_comes_before_the_boot_that_switches_the_iommu_on(task: Task) -> None:
    """Refusing here would keep the role boot from ever writing the argument that is missing."""
    for address in task.kernel.devices:
        (task.kernel.root / task.kernel.devices[address].folder.lstrip("/") / "iommu_group").unlink()
    for folder in (task.kernel.root / "sys/kernel/iommu_groups").iterdir():
        folder.rename(task.kernel.root / f"gone-{folder.name}")
    task.kernel.put(
        "/proc/interrupts", "  24:         27          0  PCI-MSI 65536-edge      virtio0-config\n"
    )
    result = task.settled(**MINE, parts=["persistent"])
    assert result["files"][RULES].count("KERNEL==") == 3, "the functions of the card are known without groups"
    assert any("no IOMMU is active" in warning for warning in of(result, GPU)["warnings"])


def test_every_obstacle_of_every_device_is_named_in_one_message(task: Task) -> None:
    opened(task.kernel)
    task.kernel.put(
        "/sys/kernel/iommu_groups/14/reserved_regions", "0x0000000000000000 0x0000000000ffffff direct\n"
    )
    result = task.refused(devices=[{"class": "0380"}])
    assert {one["kind"] for one in result["obstacles"]} == {"opened", "direct_regions"}
    assert "RMRR" in result["msg"] and "Xorg" in result["msg"]


def test_a_bridge_is_refused_for_good(task: Task) -> None:
    assert "it is a bridge (header type 1)" in task.refused(devices=[{"address": "00:10.0"}])["msg"]


def test_a_port_on_its_own_driver_hinders_nobody(task: Task) -> None:
    """PCILeechFWGenerator#77 demanded vfio-pci on pcieport."""
    task.settled(**MINE)
    assert task.drivers("0000:00:10.0") == ["pcieport"]


def test_a_physical_function_with_virtual_ones_is_refused(task: Task) -> None:
    kernel = task.kernel
    kernel.add("0000:03:00.0", "1b36:0010:1af4:1100", "010802", driver="nvme", group="20", vfs=4)
    kernel.write_sysfs(kernel.host.path("/sys/bus/pci/devices/0000:03:00.0/sriov_numvfs"), "2", 30)
    kernel.writes.clear()
    result = task.refused(devices=[{"address": "03:00.0", "allow": ["storage", "opened"]}])
    assert "it has 2 virtual functions" in result["msg"]


def test_what_a_guest_holds_is_not_given_back_under_it(task: Task) -> None:
    task(**MINE)
    process(task.kernel, 901, "qemu-system-x86", "/dev/vfio/13")
    task.kernel.writes.clear()
    result = task.refused(**MINE, state="absent")
    assert "so that it cannot be given back now" in result["msg"]
    assert {one["kind"] for one in result["obstacles"]} == {"guest"}
    assert task.predicted(**MINE)["changed"] is False, "and a run that wants nothing else does not look"
    task(devices=[{"address": GPU, "allow": ["guest"]}], state="absent")
    assert task.drivers(*CARD) == HOST_DRIVERS


def test_bad_input_changes_nothing_and_says_what_to_write(task: Task) -> None:
    assert "10de:2330" in task.refused(devices=[{"vendor_device": "10de"}])["msg"]
    assert "can never be allowed" in task.refused(devices=[{"address": GPU, "allow": ["no_iommu"]}])["msg"]
    assert "matches no device" in task.refused(devices=[{"address": "7f:00.0"}])["msg"]
    assert "parts is empty" in task.refused(**MINE, parts=[])["msg"]
    assert "deadline is 0" in task.refused(**MINE, deadline=0)["msg"]
    assert "exclusive means nothing" in task.refused(**MINE, state="absent", exclusive=True)["msg"]
    assert (
        "cannot be resolved where the host does not run"
        in task.refused(devices=[{"class": "03"}], running=False)["msg"]
    )


def test_a_damaged_record_is_named_and_nothing_is_guessed(task: Task) -> None:
    task.kernel.put(RECORD, "half a line\n")
    assert f"{RECORD} is damaged" in task.refused(**MINE)["msg"]


def test_a_run_that_changes_nothing_looks_at_no_process(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    task(**MINE)

    def never(*_args: t.Any) -> t.Any:
        raise AssertionError("a run that changes nothing looks for uses")

    monkeypatch.setattr(evidence, "read_evidence", never)
    assert task(**MINE)["changed"] is False


# --- failing -------------------------------------------------------------------------------------


def devices(kernel: FakeKernel) -> dict[str, str]:
    return kernel.snapshot("/sys/devices")


@pytest.mark.parametrize("number", range(1, WRITES + 1))
@pytest.mark.parametrize("after", [False, True])
def test_a_write_that_fails_is_taken_back_with_all_before_it(task: Task, number: int, after: bool) -> None:
    before = devices(task.kernel)
    task.kernel.fail(number, after=after)
    result = task(**MINE)
    if "failed" not in result:
        assert after and number % 3 == 0, "a probe that worked and said otherwise has worked"
        return
    assert result["rollback"]["ok"] is True
    assert devices(task.kernel) == before
    assert not (task.kernel.root / RULES.lstrip("/")).exists()
    assert not (task.kernel.root / RECORD.lstrip("/")).exists()
    task.kernel.injections.clear()
    task.settled(**MINE)
    assert task.drivers(*CARD) == ["vfio-pci"] * 3


@pytest.mark.parametrize("number", range(1, WRITES + 1))
def test_a_return_that_fails_leaves_the_card_to_the_guests(task: Task, number: int) -> None:
    task(**MINE)
    before = task.kernel.snapshot()
    task.kernel.writes.clear()
    task.kernel.fail(number)
    result = task(**MINE, state="absent")
    if "failed" in result:
        assert result["rollback"]["ok"] is True
        assert task.kernel.snapshot() == before
        task.kernel.injections.clear()
        task.settled(**MINE, state="absent")
    assert task.drivers(*CARD) == HOST_DRIVERS


def test_a_module_that_cannot_be_loaded_is_named_and_nothing_is_touched(task: Task) -> None:
    task.kernel.broken_modules.add("vfio_pci")
    before = devices(task.kernel)
    result = task(**MINE)
    assert "could not insert 'vfio-pci'" in result["msg"]
    assert devices(task.kernel) == before


def test_a_driver_that_does_not_let_go_is_reported_marked_and_never_touched_again(task: Task) -> None:
    task.kernel.held.add(GPU)
    result = task(**MINE, deadline=5)
    assert "the driver did not let go within 5 s" in result["msg"]
    assert result["reboot_required"] is True
    assert result["hung"]["address"] == GPU
    mark = task.kernel.text(f"/run/hearth/vfio-hung/{GPU}")
    assert "unbind" in mark
    assert '"vfio-hung"' in task.kernel.text(LEDGER), "a reboot is asked for, and not only told of"
    task.kernel.writes.clear()
    seen = task.predicted()
    assert (seen["reboot_required"], seen["reason"]) == (True, f"{GPU} (its driver does not let go of it)")
    again = task.refused(**MINE)
    assert "its driver did not let go" in again["msg"]
    assert "reboot the host" in again["remedy"]
    task.reboot()
    assert task(**MINE)["changed"] is True


def test_driver_override_of_a_device_that_hangs_is_not_read(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes the lock of the device for that, and the reader would never return."""
    task.kernel.put(f"/run/hearth/vfio-hung/{GPU}", "unbind: blocked\n")
    read = type(task.kernel.host).read
    seen: list[str] = []
    monkeypatch.setattr(
        type(task.kernel.host), "read", lambda host, path: seen.append(path) or read(host, path)
    )
    task.refused(**MINE)
    assert [path for path in seen if GPU in path and path.endswith("driver_override")] == []


@pytest.mark.parametrize("name", ["driver_override", "config"])
def test_a_device_that_somebody_else_lets_hang_is_refused_and_not_waited_for(
    task: Task, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As after an unbind by hand or by libvirt, or when a run was killed before it could leave its mark."""
    monkeypatch.setattr(unreadable, "PATIENCE_S", 0.2)
    (task.kernel.root / f"{FOLDER}/{name}".lstrip("/")).unlink()
    os.mkfifo(task.kernel.root / f"{FOLDER}/{name}".lstrip("/"))
    result = task.refused(**MINE)
    assert f"{GPU}: its driver did not let go: what the kernel shows of it cannot be read" in result["msg"]
    assert {one["kind"] for one in result["obstacles"]} == {"hung"}
    assert {one["address"] for one in result["obstacles"]} == set(CARD), "nor is its group touched"


def test_beside_a_device_that_hangs_nothing_is_given_back(task: Task) -> None:
    task(**MINE)
    task.kernel.put(f"/run/hearth/vfio-hung/{GPU}", "unbind: blocked\n")
    writes = list(task.kernel.writes)
    before = task.kernel.snapshot()
    result = task(devices=[{"address": AUDIO}], state="absent", exclude=[])
    assert {(one["address"], one["kind"]) for one in result["obstacles"]} == {(one, "hung") for one in CARD}
    task.kernel.driver_of(GPU)
    assert (task.kernel.snapshot(), task.kernel.writes) == (before, writes)


# --- another one ---------------------------------------------------------------------------------


def test_what_another_play_recorded_meanwhile_is_not_lost(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two plays decide at the same time, and then wait for the lock one after the other."""
    plan = effects.plan_effects

    def overtaken(*arguments: t.Any) -> tuple[Action, ...]:
        monkeypatch.setattr(effects, "plan_effects", plan)
        assert task(devices=[{"address": TWIN}])["changed"] is True
        return plan(*arguments)

    monkeypatch.setattr(effects, "plan_effects", overtaken)
    result = task(**MINE)
    assert f"{RECORD} has changed since this task read it" in result["msg"]
    assert task.drivers(*CARD) == HOST_DRIVERS
    assert TWIN in task.kernel.text(RECORD) and GPU not in task.kernel.text(RECORD)
    assert task(**MINE)["changed"] is True
    assert {GPU, TWIN} <= {line.split()[0] for line in task.kernel.text(RECORD).splitlines()}


# --- dying ---------------------------------------------------------------------------------------


class DyingGate(Gate):
    """Dies before the effect of one number."""

    dies_before = -1

    def _perform(self, action: Action) -> None:
        if len(self.actions) - 1 == self.dies_before:
            raise Killed(action.describe())
        super()._perform(action)


def test_killed_before_any_effect_the_next_run_converges(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Task(prepared(tmp_path / "whole"), monkeypatch, capsys)
    count = len(whole(**MINE)["actions"])
    wanted = whole.kernel.snapshot()
    for number in range(count):
        task = Task(prepared(tmp_path / str(number)), monkeypatch, capsys)
        die(task, monkeypatch, number, **MINE)
        task(**MINE)
        assert task.kernel.snapshot() == wanted, f"killed before effect {number}"
        assert task(**MINE)["changed"] is False


def test_killed_while_giving_back_the_next_run_converges_either_way(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Task(prepared(tmp_path / "whole"), monkeypatch, capsys)
    whole(**MINE)
    bound = whole.kernel.snapshot()
    count = len(whole(**MINE, state="absent")["actions"])
    wanted = whole.kernel.snapshot()
    for number in range(count):
        for again, expected in (({"state": "absent"}, wanted), ({}, bound)):
            task = Task(prepared(tmp_path / f"{number}{len(again)}"), monkeypatch, capsys)
            task(**MINE)
            die(task, monkeypatch, number, **MINE, state="absent")
            task(**MINE, **again)
            assert task.kernel.snapshot() == expected, f"killed before effect {number}, then {again}"


def test_killed_while_binding_everything_can_be_given_back(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(WRITES + 5):
        task = Task(prepared(tmp_path / str(number)), monkeypatch, capsys)
        before = devices(task.kernel)
        die(task, monkeypatch, number, **MINE)
        task(state="absent")
        assert devices(task.kernel) == before, f"killed before effect {number}"
        assert not (task.kernel.root / RECORD.lstrip("/")).exists()


def test_killed_before_the_reboot_the_request_is_not_lost(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        task = Task(prepared(tmp_path / str(number)), monkeypatch, capsys)
        die(task, monkeypatch, number, **MINE, rebind="boot")
        ruled = (task.kernel.root / RULES.lstrip("/")).exists()
        assert not ruled or (task.kernel.root / LEDGER.lstrip("/")).exists(), "the request comes first"
        task(**MINE, rebind="boot")
        assert task(**MINE, rebind="boot")["changed"] is False
        assert (task.kernel.root / LEDGER.lstrip("/")).exists()


def die(task: Task, monkeypatch: pytest.MonkeyPatch, number: int, **options: t.Any) -> None:
    """Run until the effect of this number, and die there as by SIGKILL."""
    with monkeypatch.context() as patch:
        patch.setattr("ansible_collections.hearth.gpu_host.plugins.module_utils._module.Gate", DyingGate)
        patch.setattr(DyingGate, "dies_before", number)
        with pytest.raises(Killed):
            task.run(**options)
