# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transcripts of vfio_bind: giving back, waiting for a boot, and devices that are not what they were."""

from __future__ import annotations

import json
import pathlib
import shutil
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
    TWIN_AUDIO,
    TWIN_USB,
    USB,
    Killed,
    Task,
    of,
    prepared,
)

BOTH: dict[str, t.Any] = {"devices": [{"address": GPU}, {"address": TWIN}]}
HOST_DRIVERS = ["snd_hda_intel", "xhci_hcd", "bochs-drm"]
NVIDIA = "0000:03:00.0"


@pytest.fixture
def task(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    return Task(prepared(tmp_path / "host"), monkeypatch, capsys)


def exists(task: Task, path: str) -> bool:
    return (task.kernel.root / path.lstrip("/")).exists()


def requests(task: Task) -> list[dict[str, t.Any]]:
    found: list[dict[str, t.Any]] = (
        json.loads(task.kernel.text(LEDGER))["requests"] if exists(task, LEDGER) else []
    )
    return found


def accelerator(task: Task) -> None:
    """Add a GPU whose driver hangs when it has to let go; ids of the capture nvidia-accelerator."""
    task.kernel.add(NVIDIA, "10de:2330:10de:16c1", "030200", driver="nvidia", group="15")
    # /proc/driver/nvidia/gpus/*/information of NVIDIA's driver 550, shortened.
    task.kernel.put(
        f"/proc/driver/nvidia/gpus/{NVIDIA}/information",
        "Model: \t\t NVIDIA H100\nGPU UUID: \t GPU-5fd4f087-86f3-7a43-b711-4771313afc50\n",
    )


# --- giving back ---------------------------------------------------------------------------------


def test_absent_gives_every_device_back_to_its_driver_the_display_first(task: Task) -> None:
    before = task.kernel.snapshot("/sys/devices")
    task(**MINE)
    result = task.settled(**MINE, state="absent")
    assert task.drivers(*CARD) == HOST_DRIVERS
    assert task.kernel.snapshot("/sys/devices") == before
    assert result["files"] == {RECORD: "", RULES: ""}
    assert not exists(task, RECORD) and not exists(task, RULES)
    assert result["actions"] == [
        f"remove {RULES}",
        *[
            step
            for address, driver in ((GPU, "bochs-drm"), (USB, "xhci_hcd"), (AUDIO, "snd_hda_intel"))
            for step in (
                f"clear driver_override of {address}",
                f"unbind {address} from vfio-pci",
                f"bind {address} to {driver}",
            )
        ],
        f"remove {RECORD}",
    ]


def test_absent_without_devices_gives_everything_back(task: Task) -> None:
    task(**BOTH)
    task.settled(state="absent")
    assert task.drivers(GPU, TWIN) == ["bochs-drm", "bochs-drm"]
    assert not exists(task, RECORD)


def test_absent_of_what_was_never_ours_changes_nothing(task: Task) -> None:
    assert task.predicted(**MINE, state="absent")["changed"] is False
    assert task.predicted(devices=[{"class": "ff"}], state="absent")["changed"] is False


def test_absent_gives_back_one_card_and_leaves_the_other(task: Task) -> None:
    task(**BOTH)
    task.settled(**MINE, state="absent")
    assert task.drivers(GPU, TWIN, TWIN_AUDIO, TWIN_USB) == ["bochs-drm", *["vfio-pci"] * 3]
    assert "0000:01" not in task.kernel.text(RULES) and "0000:02" in task.kernel.text(RULES)


def test_a_driver_that_is_not_loaded_any_more_is_loaded_for_its_device(task: Task) -> None:
    task(**MINE)
    kernel = task.kernel
    kernel.drivers["snd_hda_intel"].loaded = False
    shutil.rmtree(kernel.root / "sys/bus/pci/drivers/snd_hda_intel")
    kernel._detach(kernel.devices[TWIN_AUDIO]) if kernel.driver_of(TWIN_AUDIO) is None else None
    result = task.predicted(**MINE, state="absent")
    assert f"load the driver of {AUDIO}" in result["actions"]
    assert task.drivers(*CARD) == HOST_DRIVERS


def test_a_device_that_had_no_driver_has_none_again(task: Task) -> None:
    task.kernel.add("0000:04:00.0", "1234:11e8:1af4:1100", "00ff00", group="16")
    task(devices=[{"address": "04:00.0"}])
    assert task.drivers("0000:04:00.0") == ["vfio-pci"]
    task.settled(devices=[{"address": "04:00.0"}], state="absent")
    assert (task.drivers("0000:04:00.0"), task.kernel.override_of("0000:04:00.0")) == ([None], "")


def test_exclusive_gives_back_what_is_no_longer_listed_and_nothing_that_is_not_ours(task: Task) -> None:
    task(**BOTH)
    kernel = task.kernel
    kernel.add("0000:05:00.0", "1234:11e8:1af4:1100", "00ff00", driver="vfio-pci", group="17")
    assert task.predicted(**MINE)["changed"] is False, "not exclusive: what another task bound stays"
    result = task.settled(**MINE, exclusive=True)
    assert task.drivers(GPU, TWIN, TWIN_AUDIO, TWIN_USB) == [
        "vfio-pci",
        "bochs-drm",
        "snd_hda_intel",
        "xhci_hcd",
    ]
    assert of(result, TWIN)["binds"] is False
    assert task.drivers("0000:05:00.0") == ["vfio-pci"]
    task.settled(devices=[], exclusive=True)
    assert task.drivers(GPU, "0000:05:00.0") == ["bochs-drm", "vfio-pci"]
    assert not exists(task, RECORD)


def test_one_task_swaps_cards(task: Task) -> None:
    task(**MINE)
    result = task.settled(devices=[{"address": TWIN}], exclusive=True)
    assert task.drivers(GPU, TWIN) == ["bochs-drm", "vfio-pci"]
    assert "0000:01" not in result["files"][RULES] and "0000:01" not in result["files"][RECORD]


def test_giving_back_in_halves_is_the_same_as_at_once(task: Task, tmp_path: pathlib.Path) -> None:
    task(**MINE)
    rules_first = task.settled(**MINE, state="absent", parts=["persistent"])
    assert (task.drivers(GPU), exists(task, RULES), exists(task, RECORD)) == (["vfio-pci"], False, True)
    assert rules_first["runtime_changed"] is False
    task.settled(**MINE, state="absent", parts=["runtime"])
    assert (task.drivers(*CARD), exists(task, RECORD)) == (HOST_DRIVERS, False)


def test_the_rules_stay_when_only_this_boot_gives_back(task: Task) -> None:
    task(**MINE)
    result = task.settled(**MINE, state="absent", parts=["runtime"])
    assert task.drivers(*CARD) == HOST_DRIVERS
    assert exists(task, RULES) and exists(task, RECORD), "the next boot binds, and what it takes is on record"
    assert of(result, GPU)["persistent"] is True
    task.settled(**MINE, state="absent", parts=["persistent"])
    assert not exists(task, RULES) and not exists(task, RECORD)


def test_what_only_this_boot_bound_is_over_with_it(task: Task) -> None:
    result = task.settled(**MINE, parts=["runtime"])
    assert (result["persistent_changed"], exists(task, RULES)) == (False, False)
    task.reboot()
    assert task.drivers(GPU) == ["bochs-drm"]
    assert task.predicted()["devices"] == []
    assert task.settled(**MINE, parts=["runtime"])["changed"] is True


def booted_with_old_rules(task: Task) -> None:
    """Give back at the next boot, which comes with an initramfs that still has the rules."""
    task(**MINE)
    rules = task.kernel.text(RULES)
    task(**MINE, state="absent", parts=["persistent"])
    task.kernel.put(RULES, rules)
    task.reboot()
    (task.kernel.root / RULES.lstrip("/")).unlink()
    assert task.drivers(*CARD) == ["vfio-pci"] * 3


def test_what_an_old_initramfs_binds_again_is_told_and_still_given_back(task: Task) -> None:
    booted_with_old_rules(task)
    told = task.predicted()["told"]
    assert (
        f"{GPU} was to have bochs-drm again with this boot, and has vfio-pci: see whether the initramfs still has the"
        " rules; state: absent gives it back"
    ) in told
    task.predicted(**MINE, state="absent", parts=["persistent"])
    assert GPU in task.kernel.text(RECORD), "nothing but the record knows whose it was"
    task.settled(state="absent", parts=["runtime"])
    assert (task.drivers(*CARD), exists(task, RECORD)) == (HOST_DRIVERS, False)
    assert task.predicted()["told"] == []


def test_what_an_old_initramfs_binds_again_can_be_kept(task: Task) -> None:
    booted_with_old_rules(task)
    result = task.settled(**MINE)
    assert (result["runtime_changed"], result["persistent_changed"]) == (False, True)
    assert of(result, GPU)["driver_before"] == "bochs-drm"


@pytest.mark.parametrize("number", range(1, 10))
def test_killed_while_that_is_given_back_the_next_run_converges(task: Task, number: int) -> None:
    booted_with_old_rules(task)
    task.kernel.kill(number)
    with pytest.raises(Killed):
        task.run(state="absent", parts=["runtime"])
    task.kernel.injections.clear()
    task(state="absent", parts=["runtime"])
    assert (task.drivers(*CARD), exists(task, RECORD)) == (HOST_DRIVERS, False)


def test_an_override_that_a_dying_run_left_is_cleared(task: Task) -> None:
    """While the old driver is put back driver_override names it, and a run can be killed there."""
    task(**MINE)
    task.kernel._detach(task.kernel.devices[GPU])
    task.kernel.put(f"{task.kernel.devices[GPU].folder}/driver_override", "bochs-drm\n")
    task.settled(state="absent")
    assert task.drivers(GPU) == ["bochs-drm"]
    assert task.kernel.override_of(GPU) == ""


def test_what_ended_with_an_earlier_boot_leaves_no_record_behind(task: Task) -> None:
    task(**MINE, parts=["runtime"])
    task.reboot()
    assert task.predicted()["files"][RECORD], "who changes nothing leaves it as it is"
    result = task.settled(state="absent")
    assert (result["actions"], result["files"][RECORD]) == ([f"remove {RECORD}"], "")


def test_a_device_that_somebody_else_took_since_is_left_to_him(task: Task) -> None:
    task(**MINE)
    kernel = task.kernel
    kernel.driver("simple-audio", "8086:293e")
    kernel._detach(kernel.devices[AUDIO])
    kernel.put(f"{kernel.devices[AUDIO].folder}/driver_override", "simple-audio\n")
    kernel._attach(kernel.devices[AUDIO], "simple-audio")
    result = task.predicted(**MINE, state="absent")
    assert task.drivers(*CARD) == ["simple-audio", "xhci_hcd", "bochs-drm"]
    assert "simple-audio has taken it since, and keeps it" in of(result, AUDIO)["warnings"]


def test_a_device_that_lost_its_binding_is_told_and_bound_again_when_it_is_selected(task: Task) -> None:
    task(**MINE)
    kernel = task.kernel
    kernel._detach(kernel.devices[AUDIO])
    kernel.put(f"{kernel.devices[AUDIO].folder}/driver_override", "(null)\n")
    kernel._attach(kernel.devices[AUDIO], "snd_hda_intel")
    assert any("and is not" in warning for warning in of(task.predicted(), AUDIO)["warnings"])
    result = task.settled(**MINE)
    assert task.drivers(*CARD) == ["vfio-pci"] * 3
    assert (result["runtime_changed"], result["persistent_changed"]) == (True, False)


# --- devices that are not what they were ---------------------------------------------------------


def vanish(task: Task, address: str) -> None:
    kernel = task.kernel
    kernel._detach(kernel.devices[address])
    for path in (
        f"sys/bus/pci/devices/{address}",
        f"sys/kernel/iommu_groups/{kernel.devices[address].group}/devices/{address}",
    ):
        (kernel.root / path).unlink()
    shutil.rmtree(kernel.root / kernel.devices.pop(address).folder.lstrip("/"))


def test_a_device_that_is_gone_is_told_and_forgotten_by_name(task: Task) -> None:
    task.kernel.add("0000:04:00.0", "1234:11e8:1af4:1100", "00ff00", group="16")
    there: dict[str, t.Any] = {"devices": [{"address": "04:00.0", "allow_missing": True}]}
    task(**there)
    vanish(task, "0000:04:00.0")
    told = task.predicted(**there)
    assert (told["changed"], told["devices"]) == (False, [])
    assert told["told"] == [
        "0000:04:00.0 (1234:11e8:1af4:1100) is on record and gone; state: absent with this address forgets it"
    ]
    result = task.settled(**there, state="absent")
    assert result["told"] == ["0000:04:00.0 (1234:11e8:1af4:1100) is on record and gone; it is forgotten"]
    assert result["actions"] == [f"remove {RULES}", f"remove {RECORD}"]


@pytest.mark.parametrize(
    "selector",
    [{"vendor_device": "1234:11e8"}, {"gpu_uuid": "GPU-5fd4f087-86f3-7a43-b711-4771313afc50"}],
)
def test_what_is_gone_is_forgotten_by_what_is_on_record(task: Task, selector: dict[str, str]) -> None:
    kernel = task.kernel
    kernel.add("0000:04:00.0", "1234:11e8:1af4:1100", "00ff00", group="16")
    kernel.put(
        "/proc/driver/nvidia/gpus/0000:04:00.0/information",
        "GPU UUID: \t GPU-5fd4f087-86f3-7a43-b711-4771313afc50\n",
    )
    task(devices=[{"address": "04:00.0"}])
    shutil.rmtree(kernel.root / "proc/driver")
    vanish(task, "0000:04:00.0")
    assert task.settled(devices=[selector], state="absent")["files"] == {RECORD: "", RULES: ""}


def renumber(task: Task) -> None:
    """Let another card sit where ours was: somebody put one into the slot before it."""
    text = task.kernel.text(RECORD).replace("1234:1111:1af4:1100", "10de:2330:10de:16c1")
    task.kernel.put(RECORD, text)
    kernel = task.kernel
    for address, driver in zip(CARD, HOST_DRIVERS):
        kernel._detach(kernel.devices[address])
        kernel.put(f"{kernel.devices[address].folder}/driver_override", "(null)\n")
        kernel._attach(kernel.devices[address], driver)
    kernel.writes.clear()


def test_another_device_at_a_recorded_address_is_never_touched(task: Task) -> None:
    """The bus was renumbered: driverctl and vfio-pci.ids would bind the wrong card."""
    task(**MINE)
    renumber(task)
    result = task.refused(**MINE)
    assert (
        f"{GPU}: 10de:2330:10de:16c1 is on record here, and now there is 1234:1111:1af4:1100" in result["msg"]
    )
    assert "state: absent with this address forgets the one on record" in result["remedy"]
    assert task.predicted()["told"] == [
        f"{GPU} is on record as 10de:2330:10de:16c1 and is another device now;"
        " state: absent with this address forgets it"
    ]


def test_another_device_at_a_recorded_address_is_only_forgotten(task: Task) -> None:
    task(**MINE)
    renumber(task)
    result = task.settled(**MINE, state="absent")
    assert not any(GPU in action for action in result["actions"])
    assert not exists(task, RECORD)


def test_another_device_is_taken_for_the_one_meant_by_name(task: Task) -> None:
    task(**MINE)
    renumber(task)
    result = task.settled(devices=[{"address": GPU, "allow": ["identity"]}])
    assert task.drivers(GPU) == ["vfio-pci"]
    assert [one["kind"] for one in of(result, GPU)["obstacles"]] == ["identity"]
    assert "10de:2330" not in task.kernel.text(RECORD)


# --- waiting for a boot --------------------------------------------------------------------------


def test_rebind_boot_asks_for_a_reboot_first_and_touches_no_device(task: Task) -> None:
    result = task.settled(**MINE, rebind="boot")
    assert (task.drivers(*CARD), task.kernel.writes) == (HOST_DRIVERS, [])
    assert result["actions"][0] == f"write {LEDGER} (0644)"
    assert result["actions"][-2:] == [f"write {RECORD} (0644)", f"write {RULES} (0644)"]
    (request,) = requests(task)
    assert request["name"] == "vfio"
    assert [check["path"] for check in request["expect"]["checks"]] == [
        f"/sys/bus/pci/drivers/vfio-pci/{address}" for address in sorted(CARD)
    ]
    assert {check["operator"] for check in request["expect"]["checks"]} == {"filled"}
    assert [one["status"] for one in result["requests"]] == ["pending"]
    assert (result["reboot_required"], of(result, GPU)["waits_for_reboot"]) == (True, True)
    assert "bochs-drm is to keep it until then" in result["reason"]


def test_the_reboot_fulfils_the_request_and_nothing_is_left_to_do(task: Task) -> None:
    task(**MINE, rebind="boot")
    task.reboot()
    result = task.predicted(**MINE, rebind="boot")
    assert [one["status"] for one in result["requests"]] == ["fulfilled"]
    assert (result["runtime_changed"], result["persistent_changed"], requests(task)) == (False, False, [])
    assert task.predicted(**MINE, rebind="boot")["changed"] is False


def test_a_boot_that_did_not_bind_is_told_and_no_other_is_asked_for(task: Task) -> None:
    task(**MINE, rebind="boot")
    task.kernel.put("/proc/sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n")
    result = task.settled(**MINE, rebind="boot")
    assert [one["status"] for one in result["requests"]] == ["failed"]
    assert (result["changed"], result["reboot_required"]) == (False, False)
    assert any("hearth-vfio-check" in line for line in result["told"])


def test_nvidia_is_known_to_hang_and_waits_for_the_boot(task: Task) -> None:
    """40-peers.md §3 row 13: one-deploy#251, gpu-operator#1995 wait for ever in its remove callback."""
    accelerator(task)
    result = task.settled(devices=[{"address": NVIDIA}])
    assert (task.drivers(NVIDIA), task.kernel.writes) == (["nvidia"], [])
    assert result["reason"] == f"{NVIDIA} (nvidia is known to hang when it has to let go)"
    assert "GPU-5fd4f087" in task.kernel.text(RECORD)


def test_nvidia_lets_go_live_on_demand(task: Task) -> None:
    accelerator(task)
    task.settled(devices=[{"gpu_uuid": "GPU-5fd4f087-86f3-7a43-b711-4771313afc50"}], rebind="live")
    assert task.drivers(NVIDIA) == ["vfio-pci"]
    shutil.rmtree(task.kernel.root / "proc/driver")
    again = task.predicted(devices=[{"gpu_uuid": "GPU-5fd4f087-86f3-7a43-b711-4771313afc50"}], rebind="live")
    assert again["changed"] is False, "the record knows the UUID of the GPU that its driver no longer tells"


def test_one_that_waits_keeps_its_group_waiting(task: Task) -> None:
    accelerator(task)
    task.kernel.add("0000:03:00.1", "10de:22ba:10de:16c1", "040300", driver="snd_hda_intel", group="15")
    result = task.settled(devices=[{"address": NVIDIA}])
    assert task.drivers("0000:03:00.1") == ["snd_hda_intel"]
    assert "goes with the others: nvidia is known" in result["reason"]


def test_this_boot_alone_cannot_do_what_only_the_next_one_does(task: Task) -> None:
    result = task.refused(**MINE, rebind="boot", parts=["runtime"])
    assert "changes its driver at the next boot only" in result["msg"]
    assert "add persistent to parts" in result["remedy"]


def test_in_the_second_half_what_waits_goes_on_waiting(task: Task) -> None:
    task(**MINE, rebind="boot", parts=["persistent"])
    result = task.settled(**MINE, rebind="boot", parts=["runtime"])
    assert (result["changed"], result["reboot_required"]) == (False, True)


def test_a_task_about_other_devices_leaves_the_request_alone(task: Task) -> None:
    task(**MINE, rebind="boot")
    before = requests(task)
    task.settled(devices=[{"address": TWIN}])
    assert requests(task) == before
    assert task.drivers(TWIN) == ["vfio-pci"]


def test_binding_live_after_all_withdraws_the_request(task: Task) -> None:
    task(**MINE, rebind="boot")
    result = task.predicted(**MINE, rebind="live")
    assert [one["status"] for one in result["requests"]] == ["withdrawn"]
    assert (task.drivers(GPU), requests(task)) == (["vfio-pci"], [])


def test_giving_back_can_wait_for_the_boot(task: Task) -> None:
    task.kernel.add("0000:04:00.0", "1234:11e8:1af4:1100", "00ff00", group="16")
    mine: dict[str, t.Any] = {"devices": [{"address": GPU}, {"address": "04:00.0"}]}
    task(**mine)
    result = task.settled(**mine, state="absent", rebind="boot")
    assert (task.drivers(GPU), exists(task, RULES)) == (["vfio-pci"], False)
    assert result["reboot_required"] is True
    (request,) = requests(task)
    assert f"/sys/bus/pci/drivers/bochs-drm/{GPU}" in [check["path"] for check in request["expect"]["checks"]]
    assert request["expect"]["boot"] is True, "what had no driver shows nothing to wait for"
    task.reboot()
    over = task.predicted(**mine, state="absent", rebind="boot")
    assert (over["devices"] and over["reboot_required"], requests(task)) == (False, [])


def test_check_mode_of_the_second_half_does_not_ask_for_the_reboot_again(task: Task) -> None:
    halves: dict[str, t.Any] = {**MINE, "rebind": "boot"}
    first = task(check=True, **halves, parts=["persistent"])
    foretold = task(check=True, **halves, parts=["runtime"], contents=first["files"])
    task(**halves, parts=["persistent"])
    real = task(**halves, parts=["runtime"], contents=first["files"])
    assert foretold == real
    assert (real["changed"], real["reboot_required"]) == (False, True)


def test_check_mode_takes_a_request_for_settled_that_the_foreseen_reboot_fulfils(task: Task) -> None:
    first = task(**MINE, rebind="boot")
    foretold = task(
        check=True, **MINE, rebind="boot", parts=["runtime"], contents=first["files"], rebooted=True
    )
    assert (foretold["changed"], foretold["requests"]) == (False, [])
    assert of(foretold, GPU)["driver"] == "vfio-pci"


def test_what_ends_with_this_boot_is_over_after_the_foreseen_one(task: Task) -> None:
    task(**MINE, parts=["runtime"])
    foretold = task(check=True, rebooted=True)
    assert foretold["devices"] == []


# --- settings of others --------------------------------------------------------------------------


def test_what_contradicts_us_is_named_when_something_changes(task: Task) -> None:
    task.kernel.put("/proc/cmdline", "root=/dev/vda1 ro vfio-pci.ids=1234:1111\n")
    task.kernel.put(f"/etc/driverctl.d/pci-{AUDIO}", "snd_hda_intel\n")
    result = task.settled(**MINE)
    warned = {address: " ".join(of(result, address)["warnings"]) for address in CARD}
    assert f"/etc/driverctl.d/pci-{AUDIO} gives it to snd_hda_intel" in warned[AUDIO]
    assert "driverctl" not in warned[GPU] and "ids" not in warned[GPU]
    assert [line.split(":00.0: ")[0] for line in result["told"]] == ["0000:02"], "the identical card, by name"
    assert "vfio-pci.ids in /proc/cmdline gives it to vfio-pci by its ids 1234:1111" in result["told"][0]
    back = task.predicted(**MINE, state="absent")
    assert any("vfio-pci.ids" in warning for warning in of(back, GPU)["warnings"])
