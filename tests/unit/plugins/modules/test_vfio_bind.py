# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transcripts of vfio_bind: binding, its two halves, and what it tells."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import textwrap
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
    Task,
    of,
    prepared,
    regroup,
)


@pytest.fixture
def task(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    return Task(prepared(tmp_path / "host"), monkeypatch, capsys)


def test_a_fresh_card_is_bound_whole_companions_first_and_a_second_run_changes_nothing(task: Task) -> None:
    result = task.settled(**MINE)
    assert task.drivers(*CARD) == ["vfio-pci"] * 3
    assert result["actions"] == [
        f"write {RECORD} (0644)",
        "load module vfio-pci",
        "load module vfio_iommu_type1",
        *[
            step
            for address, driver in ((AUDIO, "snd_hda_intel"), (USB, "xhci_hcd"), (GPU, "bochs-drm"))
            for step in (
                f"set driver_override of {address} to vfio-pci",
                f"unbind {address} from {driver}",
                f"bind {address} to vfio-pci",
            )
        ],
        "see that IOMMU group 13 can be given to a guest",
        f"write {RULES} (0644)",
    ]
    assert task.asked == ["13"]


RUN = textwrap.dedent(
    """
    import atexit, json, sys
    from ansible.module_utils.testing import patch_module_args
    from ansible_collections.hearth.gpu_host.plugins.module_utils import _host, _module
    from ansible_collections.hearth.gpu_host.plugins.modules import vfio_bind

    _module.Host = lambda: _host.Host(root=sys.argv[1])
    atexit.register(lambda: print(json.dumps(sorted(sys.modules))))
    with patch_module_args(json.loads(sys.argv[2])):
        vfio_bind.main()
    """
)


def test_a_run_that_changes_nothing_does_not_compile_what_changes(task: Task) -> None:
    """A host compiles each module anew in each run, and most runs change nothing."""
    task(**MINE)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(task.kernel.root), json.dumps(MINE)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result, modules = (json.loads(line) for line in done.stdout.splitlines() if line)
    assert result["changed"] is False
    ours = {name.rpartition("module_utils.")[2] for name in modules if "gpu_host" in name}
    assert "_vfio.decide" in ours
    assert not ours & {f"_vfio.{name}" for name in ("effects", "steps", "judge", "gates", "use", "request")}
    assert not ours & {"_lock", "_textfile", "_declarations.model"}


def test_what_is_told_of_a_bound_device(task: Task) -> None:
    task.kernel.put("/sys/devices/pci0000:00/0000:00:10.0/0000:01:00.0/numa_node", "1\n")
    told = of(task.predicted(**MINE), GPU)
    warnings = told.pop("warnings")
    assert told == {
        "address": GPU,
        "vendor": "1234",
        "device": "1111",
        "subsystem_vendor": "1af4",
        "subsystem_device": "1100",
        "class": "038000",
        "iommu_group": "13",
        "group_members": [GPU, AUDIO, USB],
        "chosen": True,
        "binds": True,
        "why": "",
        "driver_before": "bochs-drm",
        "driver": "bochs-drm",
        "driver_after": "vfio-pci",
        "driver_override": "vfio-pci",
        "persistent": True,
        "driver_at_boot": "vfio-pci",
        "waits_for_reboot": False,
        "reset_methods": [],
        "numa_node": 1,
        "vfio_group_dev": "/dev/vfio/13",
        "vfio_cdev": "",
        "hostdev": "<hostdev mode='subsystem' type='pci' managed='no'>\n  <source>\n    <address domain='0x0000'"
        " bus='0x01' slot='0x00' function='0x0'/>\n  </source>\n</hostdev>\n",
        "obstacles": [],
    }
    assert [warning.partition(":")[0] for warning in warnings] == ["no reset"]


def test_companions_say_why_they_are_in_and_the_port_why_it_stays(task: Task) -> None:
    regroup(task.kernel, "0000:00:11.0", "14")
    result = task.predicted(devices=[{"address": TWIN}])
    assert of(result, TWIN_AUDIO)["why"] == f"shares IOMMU group 14 with {TWIN}"
    port = of(result, "0000:00:11.0")
    assert (port["binds"], port["driver_after"], port["hostdev"]) == (False, "pcieport", "")
    assert "bridge" in port["why"]
    assert result["groups"] == [
        {
            "group": "14",
            "members": ["0000:00:11.0", *sorted((TWIN, TWIN_AUDIO, TWIN_USB))],
            "binds": result["groups"][0]["binds"],
        }
    ]
    assert sorted(result["groups"][0]["binds"]) == sorted((TWIN, TWIN_AUDIO, TWIN_USB))


def test_the_three_answers_are_apart(task: Task) -> None:
    def answers(result: dict[str, t.Any]) -> list[bool]:
        return [result[key] for key in ("runtime_changed", "persistent_changed", "reboot_required")]

    assert answers(task.predicted(**MINE, parts=["persistent"])) == [False, True, False]
    assert answers(task.predicted(**MINE, parts=["runtime"])) == [True, False, False]
    assert answers(task.predicted(devices=[{"address": TWIN}], rebind="boot")) == [False, True, True]
    assert answers(task.predicted(devices=[{"address": TWIN}], rebind="boot")) == [False, False, True]


def test_of_two_identical_adapters_exactly_one_is_bound_now_and_at_boot(task: Task) -> None:
    """40-peers.md §3 row 11: truenas#11397, gpu-operator#1995, nasty#603 took all cards of one id."""
    result = task.settled(devices=[{"address": GPU, "expect": "1234:1111"}])
    assert task.drivers(*CARD, TWIN, TWIN_AUDIO, TWIN_USB) == [
        *["vfio-pci"] * 3,
        "bochs-drm",
        "snd_hda_intel",
        "xhci_hcd",
    ]
    assert "0000:02" not in result["files"][RULES]
    task.reboot()
    assert task.drivers(GPU, TWIN) == ["vfio-pci", "bochs-drm"]
    assert task.predicted(devices=[{"address": GPU, "expect": "1234:1111"}])["changed"] is False


def test_a_selection_by_ids_is_still_a_list_of_addresses(task: Task) -> None:
    result = task.settled(devices=[{"vendor_device": "1234:1111", "count": 2}])
    assert task.drivers(GPU, TWIN) == ["vfio-pci", "vfio-pci"]
    assert result["files"][RULES].count("KERNEL==") == 6
    assert "new_id" not in result["files"][RULES] and "ids=" not in result["files"][RULES]


def test_companions_are_never_forgotten(task: Task) -> None:
    """40-peers.md §3 row 12: dra-driver-nvidia-gpu#1191 bound the GPU and left its audio function."""
    result = task.predicted(devices=[{"class": "0380", "count": 2}])
    assert {one["address"] for one in result["devices"] if one["driver_after"] == "vfio-pci"} == {
        *CARD,
        TWIN,
        TWIN_AUDIO,
        TWIN_USB,
    }


def test_one_half_after_the_other_is_the_same_as_both_at_once(task: Task, tmp_path: pathlib.Path) -> None:
    task(**MINE)
    both = task.kernel.snapshot()
    task.kernel = prepared(tmp_path / "other")
    first = task.settled(**MINE, parts=["persistent"])
    assert (task.drivers(GPU), task.kernel.writes, task.kernel.calls) == (["bochs-drm"], [], [])
    second = task.settled(**MINE, parts=["runtime"])
    assert task.kernel.snapshot() == both
    assert first["files"] == second["files"]
    assert task.predicted(**MINE)["changed"] is False


def test_check_mode_of_the_second_half_builds_on_what_the_first_would_have_written(task: Task) -> None:
    first = task(check=True, **MINE, parts=["persistent"])
    foretold = task(check=True, **MINE, parts=["runtime"], contents=first["files"])
    task(**MINE, parts=["persistent"])
    real = task(**MINE, parts=["runtime"], contents=first["files"])
    assert foretold == real
    assert f"write {RECORD} (0644)" not in real["actions"]


def test_check_mode_foresees_that_the_reboot_binds(task: Task) -> None:
    halves: dict[str, t.Any] = {**MINE, "rebind": "boot"}
    first = task(check=True, **halves, parts=["persistent"])
    foretold = task(check=True, **halves, parts=["runtime"], contents=first["files"], rebooted=True)
    task(**halves, parts=["persistent"])
    task.reboot()
    # The role reboot settles its ledger when the host is back.
    (task.kernel.root / LEDGER.lstrip("/")).unlink()
    real = task(**halves, parts=["runtime"])
    assert foretold == real
    assert real["changed"] is False


def test_a_reboot_is_foreseen_in_check_mode_only(task: Task) -> None:
    result = task.refused(**MINE, rebooted=True)
    assert "no prediction" in result["msg"]


def test_without_devices_nothing_changes_and_ours_are_reported(task: Task) -> None:
    empty = task.predicted()
    assert (empty["changed"], empty["devices"], empty["requests"]) == (False, [], [])
    task(**MINE)
    writes = list(task.kernel.writes)
    told = task.predicted()
    assert (told["changed"], task.kernel.writes) == (False, writes)
    assert [one["address"] for one in told["devices"]] == list(CARD)
    assert {one["driver_before"] for one in told["devices"]} == {"snd_hda_intel", "xhci_hcd", "bochs-drm"}
    assert told["files"][RULES] == task.kernel.text(RULES)


def test_what_something_else_bound_stays_as_it_is_and_goes_back_to_that(task: Task) -> None:
    """driverctl and vfio-pci.ids=: nothing to do now, a rule for the boot, and no surprise when it is given back."""
    kernel = task.kernel
    kernel._load(kernel.drivers["vfio-pci"])
    for address, override in zip(CARD, ("vfio-pci", "", "vfio-pci")):
        kernel._detach(kernel.devices[address])
        kernel.put(f"{kernel.devices[address].folder}/driver_override", f"{override or '(null)'}\n")
        kernel._attach(kernel.devices[address], "vfio-pci")
    kernel.put("/sys/module/vfio_iommu_type1/initstate", "live\n")
    before = kernel.snapshot("/sys")
    result = task.settled(**MINE)
    assert (result["runtime_changed"], result["persistent_changed"]) == (False, True)
    assert kernel.snapshot("/sys") == before
    assert any("by something else" in warning for warning in of(result, GPU)["warnings"])
    task.settled(**MINE, state="absent")
    assert kernel.snapshot("/sys") == before
    assert not (kernel.root / RECORD.lstrip("/")).exists()


def test_a_virtual_function_goes_without_its_siblings_and_its_physical_function(task: Task) -> None:
    kernel = task.kernel
    kernel.add("0000:03:00.0", "1b36:0010:1af4:1100", "010802", driver="nvme", group="20", vfs=4)
    kernel.write_sysfs(kernel.host.path("/sys/bus/pci/devices/0000:03:00.0/sriov_numvfs"), "2", 30)
    kernel.writes.clear()
    first, second = kernel.devices["0000:03:00.0"].vfs
    result = task.settled(devices=[{"virtfns_of": "0000:03:00.0"}], exclude=[{"address": second}])
    assert task.drivers(first, second, "0000:03:00.0") == ["vfio-pci", "nvme", "nvme"]
    assert [one["address"] for one in result["devices"]] == [first]


@pytest.mark.parametrize(
    ("autoprobe", "parts", "warned"), [("1", None, True), ("0", None, False), ("1", "runtime", False)]
)
def test_a_virtual_function_that_a_driver_may_have_first_at_boot_is_told(
    task: Task, autoprobe: str, parts: str | None, warned: bool
) -> None:
    """The kernel offers it to the drivers that are loaded before udev hears of it: drivers/pci/iov.c."""
    kernel, physfn = task.kernel, "/sys/bus/pci/devices/0000:03:00.0"
    kernel.add("0000:03:00.0", "1b36:0010:1af4:1100", "010802", driver="nvme", group="20", vfs=4)
    kernel.write_sysfs(kernel.host.path(f"{physfn}/sriov_drivers_autoprobe"), autoprobe, 30)
    kernel.write_sysfs(kernel.host.path(f"{physfn}/sriov_numvfs"), "1", 30)
    options = {"parts": [parts]} if parts else {}
    (told,) = task.settled(devices=[{"virtfns_of": "0000:03:00.0"}], **options)["devices"]
    assert any("set autoprobe to false" in warning for warning in told["warnings"]) is warned


def test_a_group_that_grew_since_is_completed_and_the_new_member_named(task: Task) -> None:
    """A kernel update can merge groups: kubevirt#4950, harvester#10499 did not look again."""
    task(**MINE)
    kernel = task.kernel
    kernel.add("0000:04:00.0", "1234:11e8:1af4:1100", "00ff00", group="13")
    result = task.settled(**MINE)
    assert task.drivers("0000:04:00.0") == ["vfio-pci"]
    told = of(result, "0000:04:00.0")
    assert any(
        "is new among devices that are bound already: shares IOMMU group 13" in w for w in told["warnings"]
    )


def test_a_driver_that_is_part_of_the_kernel_comes_before_any_rule(task: Task) -> None:
    kernel = task.kernel
    kernel.put("/lib/modules/6.1.0-50-amd64/modules.builtin", "kernel/drivers/usb/host/xhci-pci.ko\n")
    kernel.link("/sys/bus/pci/drivers/xhci_hcd/module", "/sys/module/xhci_pci")
    result = task.settled(**MINE)
    assert [
        one["address"] for one in result["devices"] if any("part of the kernel" in w for w in one["warnings"])
    ] == [USB]


def test_the_best_driver_of_the_kernel_is_taken(task: Task) -> None:
    kernel = task.kernel
    kernel.driver("mlx5_vfio_pci", module="mlx5_vfio_pci", loaded=False)
    kernel.add("0000:05:00.0", "15b3:101e:15b3:0001", "020000", group="30")
    # modules.alias of Linux 6.1, Debian 12.
    kernel.put(
        "/lib/modules/6.1.0-50-amd64/modules.alias",
        "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n"
        "alias vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_vfio_pci\n",
    )
    # The simulator makes the node of a group for vfio-pci alone.
    kernel.put("/dev/vfio/30", "")
    rules = task.settled(devices=[{"address": "05:00.0"}], parts=["persistent"])
    told = of(rules, "0000:05:00.0")
    assert (told["driver_at_boot"], told["driver_after"]) == ("mlx5_vfio_pci", "")
    result = task.settled(devices=[{"address": "05:00.0"}])
    assert task.drivers("0000:05:00.0") == ["mlx5_vfio_pci"]
    assert of(result, "0000:05:00.0")["vfio_group_dev"] == "/dev/vfio/30"
    assert "mlx5_vfio_pci" in result["files"][RULES]


def test_a_device_of_its_own_in_iommufd_is_told_once_it_is_there(task: Task) -> None:
    task(**MINE)
    task.kernel.put("/sys/devices/pci0000:00/0000:00:10.0/0000:01:00.0/vfio-dev/vfio3/dev", "511:3\n")
    assert of(task.predicted(**MINE), GPU)["vfio_cdev"] == "/dev/vfio/devices/vfio3"


def test_a_kernel_without_nodes_for_groups_proves_it_by_those_of_the_devices(task: Task) -> None:
    """CONFIG_VFIO_DEVICE_CDEV without CONFIG_VFIO_GROUP, drivers/vfio/Kconfig since Linux 6.6."""
    attach = task.kernel._attach

    def attach_without_group(device: t.Any, name: str) -> None:
        attach(device, name)
        if name == "vfio-pci":
            (task.kernel.root / f"dev/vfio/{device.group}").unlink()
            task.kernel.put(f"{device.folder}/vfio-dev/vfio{device.address[-1]}/dev", "511:0\n")
            task.kernel.put(f"/dev/vfio/devices/vfio{device.address[-1]}", "")

    task.kernel._attach = attach_without_group  # type: ignore[method-assign]
    result = task(**MINE)
    assert task.drivers(*CARD) == ["vfio-pci"] * 3
    for told in (of(result, GPU), of(task.predicted(**MINE), GPU)):
        assert (told["vfio_group_dev"], told["vfio_cdev"]) == ("", "/dev/vfio/devices/vfio0")
        assert any("no nodes for groups" in warning for warning in told["warnings"])


def test_a_group_that_somebody_holds_is_as_good_as_viable(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.proof.group_status",
        lambda path: "held",
    )
    assert task(**MINE)["changed"] is True


def test_a_group_that_is_not_viable_is_taken_back_and_its_members_named(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.proof.group_status",
        lambda path: "not viable",
    )
    before = task.kernel.snapshot("/sys/devices")
    result = task(**MINE)
    assert "cannot be given to a guest: /dev/vfio/13 is not viable" in result["msg"]
    assert f"{GPU} (vfio-pci)" in result["msg"]
    assert result["rollback"]["ok"] is True
    assert task.kernel.snapshot("/sys/devices") == before


def test_where_nothing_runs_the_rules_are_written_for_the_devices_that_are_described(task: Task) -> None:
    described: dict[str, t.Any] = {
        "devices": [{"address": "3b:00.0", "expect": "10de:2330:10de:16c1"}],
        "running": False,
    }
    result = task.settled(**described)
    assert result["actions"] == [f"write {RECORD} (0644)", f"write {RULES} (0644)"]
    assert 'KERNEL=="0000:3b:00.0"' in task.kernel.text(RULES)
    assert not (task.kernel.root / LEDGER.lstrip("/")).exists()
    assert task.settled(**{**described, "state": "absent"})["files"] == {RECORD: "", RULES: ""}
