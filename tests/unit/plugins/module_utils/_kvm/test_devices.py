# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Readiness of devices: what stands between a card and a guest, and which card it is."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import trees

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import devices
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import FIXES, Finding
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

# GPUs in the captures, BMC displays (Matrox in the L5640 server) left out.
CAPTURES = {
    "accelerator": 2,
    "amd-ryzen-1600": 1,
    "arm64": 0,
    "intel-i7-1270p": 1,
    "intel-xeon-l5640": 0,
    "nvidia-accelerator": 2,
}
GIB = 1 << 30
GPU = "0000:3b:00.0"
PORT = "00:01.0"
FULL_LINK = {
    "current_link_speed": "16.0 GT/s PCIe\n",
    "max_link_speed": "16.0 GT/s PCIe\n",
    "current_link_width": "16\n",
    "max_link_width": "16\n",
}
NO_ERRORS = {"aer_dev_correctable": "RxErr 0\nTOTAL_ERR_COR 0\n"}
GOOD = {
    **FULL_LINK,
    **NO_ERRORS,
    "resource": trees.resource((0x3E0000000000, 0x3E1FFFFFFFFF, trees.MEM64_PREFETCH)),
    "reset_method": "flr bus\n",
    "boot_vga": "0\n",
    "numa_node": "1\n",
    "config": trees.config(serial=bytes.fromhex("efcdab8967452301")),
}
IOMEM = "3e0000000000-3e1fffffffff : PCI Bus 0000:3b\n  3e0000000000-3e00007fffff : {}\n"


def ask(tree: trees.Tree, **policy: t.Any) -> dict[str, Finding]:
    findings = devices.checks(tree.host, Policy(**policy))
    assert [finding.id for finding in findings] == list(devices.IDS)
    assert {finding.fix for finding in findings} <= set(FIXES)
    return {finding.id.partition(".")[2]: finding for finding in findings}


def with_gpu(
    root: pathlib.Path,
    files: t.Mapping[str, str | bytes] | None = None,
    port: t.Mapping[str, str | bytes] | None = None,
    without: str = "",
) -> trees.Tree:
    """Return a two-node host with one good GPU, changed by ``files``; a port is above it."""
    tree = trees.translating(root).nodes("0", "1").group("1").group("2")
    shown = {name: text for name, text in {**GOOD, **(files or {})}.items() if name != without}
    tree.device(
        PORT,
        "8086:352a",
        "060400",
        header=trees.BRIDGE,
        driver="pcieport",
        group="1",
        files={**FULL_LINK, "reset_method": "pm\n", **(port or {})},
        source=trees.SYSFS,
    )
    return tree.device(
        "3b:00.0", "10de:2330", "030000", under=(PORT,), group="2", files=shown, source=trees.SYSFS
    )


def test_a_good_gpu_passes_everything(tmp_path: pathlib.Path) -> None:
    tree = with_gpu(tmp_path)
    answers = ask(tree, devices=("3B:00.0",), expected_gpus=1)
    assert {name: a.status for name, a in answers.items() if a.status != "pass"} == {"sriov": "na"}
    assert not any(answer.hint or answer.fix for name, answer in answers.items() if name != "sriov")


# One thing wrong: files changed, aspect, status, kind of remedy, words of the reason.
WRONG: list[tuple[dict[str, str | bytes], str, str, str, str]] = [
    ({"reset_method": "\n"}, "reset", "warn", "hardware", "cannot be reset on its own"),
    ({"boot_vga": "1\n"}, "boot_framebuffer", "warn", "firmware", "boot display"),
    ({"current_link_width": "8\n"}, "link_width", "warn", "hardware", "8 lanes of 16"),
    ({"current_link_speed": "2.5 GT/s PCIe\n"}, "link_speed", "warn", "hardware", "2.5 GT/s of 16.0"),
    ({"current_link_width": "0\n"}, "link_width", "unknown", "", "cannot be read"),
    ({"max_link_speed": "Unknown\n"}, "link_speed", "unknown", "", "cannot be read"),
    (
        {"aer_dev_correctable": "RxErr 7\nTOTAL_ERR_COR 7\n"},
        "errors",
        "warn",
        "hardware",
        "correctable RxErr 7",
    ),
    ({"aer_dev_fatal": "DLP 1\nTOTAL_ERR_FATAL 1\n"}, "errors", "warn", "hardware", "fatal DLP 1"),
    ({"numa_node": "-1\n"}, "numa_node", "unknown", "firmware", "which NUMA node"),
    ({"config": trees.config()}, "identity", "unknown", "", "no serial number"),
    (
        {"resource": trees.resource((0, 128 * GIB - 1, trees.MEM64_PREFETCH))},
        "bars",
        "fail",
        "firmware",
        "BAR 0 (128 GiB)",
    ),
    ({"resource": trees.resource((0, 0xFFFF, trees.MEM32))}, "bars", "fail", "cmdline", "BAR 0 (64 KiB)"),
    (
        {"resource": trees.resource(), "config": trees.config(bars=(0xC,))},
        "bars",
        "fail",
        "firmware",
        "BAR 0 (size unknown)",
    ),
    (
        {"resource": trees.resource(*[(0, 0, 0)] * 7, (0, 8 * GIB - 1, trees.MEM64_PREFETCH))},
        "bars",
        "warn",
        "firmware",
        "no room for its virtual functions: BAR 7 (8 GiB)",
    ),
]


@pytest.mark.parametrize(("files", "aspect", "status", "fix", "why"), WRONG)
def test_one_thing_wrong(
    tmp_path: pathlib.Path, files: dict[str, str | bytes], aspect: str, status: str, fix: str, why: str
) -> None:
    answers = ask(with_gpu(tmp_path, files))
    answer = answers[aspect]
    assert (answer.status, answer.fix) == (status, fix)
    assert why in answer.why
    assert GPU in answer.why
    assert answer.value[GPU]["status"] == status
    others = {
        name: a.status for name, a in answers.items() if a.status not in ("pass", "na") and name != aspect
    }
    assert others in ({}, {"identity": "unknown"})


# A file that is not there: name, aspect, status. Where its neighbours have one, that is an answer.
ABSENT = [
    ("reset_method", "reset", "warn"),
    ("resource", "bars", "unknown"),
    ("current_link_width", "link_width", "na"),
    ("aer_dev_correctable", "errors", "unknown"),
    ("boot_vga", "boot_framebuffer", "unknown"),
]


@pytest.mark.parametrize(("name", "aspect", "status"), ABSENT)
def test_a_file_that_is_not_there(tmp_path: pathlib.Path, name: str, aspect: str, status: str) -> None:
    assert ask(with_gpu(tmp_path, without=name))[aspect].status == status


def test_link_that_trained_down_is_told_from_a_narrow_slot(tmp_path: pathlib.Path) -> None:
    narrow = {"current_link_width": "8\n"}
    trained = ask(with_gpu(tmp_path / "a", narrow))["link_width"]
    slot = ask(with_gpu(tmp_path / "b", narrow, port={"max_link_width": "8\n"}))["link_width"]
    assert "Reseat" in trained.hint
    assert "the port above it offers no more" in slot.why
    assert "Reseat" not in slot.hint
    assert slot.value[GPU]["value"] == {"now": 8, "max": 16, "port_max": 8}


def test_a_slow_link_may_only_be_idle(tmp_path: pathlib.Path) -> None:
    assert (
        "under load" in ask(with_gpu(tmp_path, {"current_link_speed": "2.5 GT/s PCIe\n"}))["link_speed"].hint
    )


def test_errors_of_the_port_above_count(tmp_path: pathlib.Path) -> None:
    port = {"aer_dev_nonfatal": "CmpltTO 2\nTOTAL_ERR_NONFATAL 2\n"}
    answer = ask(with_gpu(tmp_path, port=port))["errors"]
    assert answer.status == "warn"
    assert "0000:00:01.0 nonfatal CmpltTO 2" in answer.why


def test_rmrr_of_hpe_pins_the_device_and_direct_relaxable_does_not(tmp_path: pathlib.Path) -> None:
    """harvester/harvester#7340: the remedy is a platform setting; no kernel argument helps."""
    region = "0x0000000079000000 0x0000000079ffffff direct"
    tree = with_gpu(tmp_path / "a").group("2", reserved=f"{trees.MSI}\n{region}")
    answer = ask(tree)["reserved_regions"]
    assert (answer.status, answer.fix) == ("fail", "firmware")
    assert "0x79000000-0x79ffffff" in answer.why
    assert "Shared Memory Features" in answer.hint
    relaxed = with_gpu(tmp_path / "b").group("2", reserved=f"{trees.MSI}\n{region}-relaxable")
    assert ask(relaxed)["reserved_regions"].status == "pass"


def test_reserved_regions_that_cannot_be_read_are_unknown(tmp_path: pathlib.Path) -> None:
    tree = with_gpu(tmp_path)
    (tmp_path / "sys/kernel/iommu_groups/2/reserved_regions").unlink()
    assert ask(tree)["reserved_regions"].status == "unknown"


@pytest.mark.parametrize("name", ["BOOTFB", "simplefb", "efifb", "simpledrm"])
def test_the_owner_of_the_boot_framebuffer(tmp_path: pathlib.Path, name: str) -> None:
    """siderolabs/talos#14356: a display of class 0380 has no boot_vga and yet holds the memory."""
    tree = with_gpu(tmp_path, without="boot_vga")
    tree.put("/proc/iomem", IOMEM.format(name), source="kernel/resource.c")
    answer = ask(tree)["boot_framebuffer"]
    assert answer.status == "warn"
    assert name in answer.why


def test_addresses_hidden_from_users_are_unknown(tmp_path: pathlib.Path) -> None:
    tree = with_gpu(tmp_path, without="boot_vga")
    hidden = "00000000-00000000 : System RAM\n  00000000-00000000 : BOOTFB\n"
    tree.put("/proc/iomem", hidden, source="kernel/resource.c: zeros without CAP_SYS_ADMIN")
    assert ask(tree)["boot_framebuffer"].status == "unknown"


def test_a_framebuffer_elsewhere_is_no_matter(tmp_path: pathlib.Path) -> None:
    tree = with_gpu(tmp_path, without="boot_vga")
    tree.put("/proc/iomem", "fd000000-fd7fffff : BOOTFB\n", source="kernel/resource.c")
    assert ask(tree)["boot_framebuffer"].status == "pass"


def test_slot_of_the_port_above_names_the_card(tmp_path: pathlib.Path) -> None:
    tree = with_gpu(tmp_path)
    tree.put("/sys/bus/pci/slots/5/address", "0000:00:01\n", source="drivers/pci/slot.c")
    value = ask(tree)["identity"].value[GPU]["value"]
    assert value == {"ids": "10de:2330", "serial": "01-23-45-67-89-ab-cd-ef", "slot": "5", "label": None}


def test_multi_function_gpu_brings_companions_not_strangers(tmp_path: pathlib.Path) -> None:
    answers = ask(trees.lab(tmp_path))
    value = answers["isolation"].value["0000:01:00.0"]["value"]
    assert answers["isolation"].status == "pass"
    assert value == {"group": "10", "companions": ["0000:01:00.1", "0000:01:00.2"], "others": []}
    assert "shares its bus with 0000:01:00.1, 0000:01:00.2" in answers["reset"].why


# Devices of the lab: address, isolation, what else is in the group. Ports do not count.
LAB_ISOLATION = [
    ("02:00.0", "pass", []),
    ("03:00.0", "pass", []),
    ("06:00.0", "pass", []),
    ("09:01.0", "warn", ["0000:09:02.0"]),
    ("00:1f.2", "pass", []),
]


@pytest.mark.parametrize(("address", "status", "others"), LAB_ISOLATION)
def test_lab_isolation(tmp_path: pathlib.Path, address: str, status: str, others: list[str]) -> None:
    answer = ask(trees.lab(tmp_path), devices=(address,))["isolation"]
    assert answer.status == status
    assert answer.value[f"0000:{address}"]["value"]["others"] == others


def test_identical_cards_behind_a_switch_without_acs(tmp_path: pathlib.Path) -> None:
    tree = trees.translating(tmp_path).group("5")
    for address in ("00:01.0", "02:00.0", "03:00.0", "03:01.0"):
        tree.device(address, "10b5:8747", "060400", header=trees.BRIDGE, group="5", source="PLX without ACS")
    for address in ("04:00.0", "05:00.0"):
        tree.device(address, "10de:2330", "030200", group="5", source="two cards of one kind")
    tree.member("5", "AMDI0020:00", "/sys/devices/platform/AMDI0020:00")
    answer = ask(tree)["isolation"]
    assert (answer.status, answer.fix) == ("warn", "hardware")
    assert answer.value["0000:04:00.0"]["value"]["others"] == ["0000:05:00.0", "AMDI0020:00"]


def test_nvswitches_of_a_group_count_as_strangers(tmp_path: pathlib.Path) -> None:
    """bigstack-oss/cubecos#259: a filter by class took NVSwitches for bridges and forgot them."""
    tree = trees.translating(tmp_path).group("5")
    tree.device("04:00.0", "10de:2330", "030200", group="5", source="HGX H100")
    tree.device("05:00.0", "10de:22a3", "068000", group="5", source="HGX H100: type-0 header")
    assert ask(tree)["isolation"].value["0000:04:00.0"]["value"]["others"] == ["0000:05:00.0"]


def test_integrated_graphics_left_out_by_the_kernels_default(tmp_path: pathlib.Path) -> None:
    tree = trees.translating(tmp_path).group("1")
    tree.device("00:1f.0", "8086:7a04", "060100", group="1", source=trees.SYSFS)
    tree.device("00:02.0", "8086:4680", "030000", source="Debian: INTEL_IOMMU_DEFAULT_ON_INTGPU_OFF")
    answer = ask(tree)["isolation"]
    assert (answer.status, answer.fix, answer.needs_reboot) == ("fail", "cmdline", True)
    assert "intel_iommu=on" in answer.hint


def test_a_device_that_bypasses_the_iommu(tmp_path: pathlib.Path) -> None:
    tree = trees.translating(tmp_path).group("1")
    tree.device("00:1f.0", "8086:7a04", "060100", group="1", source=trees.SYSFS)
    tree.device("3b:00.0", "10de:2330", "030200", source="QEMU default-bus-bypass-iommu")
    assert ask(tree)["isolation"].fix == "firmware"


def test_without_groups_isolation_is_no_question(tmp_path: pathlib.Path) -> None:
    tree = trees.bare(tmp_path).device("3b:00.0", "10de:2330", "030200", source=trees.SYSFS)
    answers = ask(tree)
    assert answers["isolation"].status == answers["reserved_regions"].status == "na"


def test_a_virtual_function_has_no_link_of_its_own(tmp_path: pathlib.Path) -> None:
    tree = with_gpu(tmp_path, {"sriov_totalvfs": "16\n", "sriov_numvfs": "1\n"})
    link = {"physfn": f"0000:{PORT}/{GPU}"}
    tree.device("3b:00.4", "10de:2330", "030200", under=(PORT,), group="7", links=link, source=trees.SYSFS)
    answers = ask(tree, devices=("3b:00.4",), expected_gpus=1)
    assert answers["link_width"].status == "na"
    assert answers["gpu_count"].status == "pass"


def test_sriov_is_looked_for_on_the_named_devices_or_on_all(tmp_path: pathlib.Path) -> None:
    tree = trees.lab(tmp_path)
    everywhere = ask(tree)["sriov"]
    assert (everywhere.status, everywhere.value) == ("pass", {"0000:03:00.0": {"total": 4, "number": 0}})
    assert ask(tree, devices=("01:00.0",))["sriov"].status == "na"


@pytest.mark.parametrize(("expected", "status"), [(None, "na"), (1, "pass"), (2, "fail"), (0, "fail")])
def test_number_of_gpus(tmp_path: pathlib.Path, expected: int | None, status: str) -> None:
    tree = with_gpu(tmp_path)
    tree.device("04:00.0", "1a03:2000", "030000", source="ASPEED, the BMC's display")
    answer = ask(tree, expected_gpus=expected)["gpu_count"]
    assert (answer.status, answer.expected) == (status, expected)
    assert answer.value == {"number": 1, "addresses": [GPU]}


def test_a_named_device_that_is_not_there(tmp_path: pathlib.Path) -> None:
    answer = ask(with_gpu(tmp_path), devices=(GPU, "5e:00.0"))["present"]
    assert (answer.status, answer.fix) == ("fail", "hardware")
    assert answer.value == {"missing": ["0000:5e:00.0"]}


def test_a_name_that_is_no_address_is_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ParseError, match="'card0' is not a PCI address"):
        devices.checks(with_gpu(tmp_path).host, Policy(devices=("card0",)))


def test_one_reason_for_several_devices_is_said_once(tmp_path: pathlib.Path) -> None:
    tree = with_gpu(tmp_path, {"numa_node": "-1\n"})
    tree.device("5e:00.0", "10de:2330", "030200", source=trees.SYSFS)
    why = ask(tree)["numa_node"].why
    assert why.startswith("0000:3b:00.0, 0000:5e:00.0: ")


def test_the_worst_device_decides(tmp_path: pathlib.Path) -> None:
    tree = with_gpu(tmp_path)
    tree.device("5e:00.0", "10de:2330", "030200", files={"reset_method": "\n"}, source=trees.SYSFS)
    answer = ask(tree)["reset"]
    assert answer.status == "warn"
    assert {address: one["status"] for address, one in answer.value.items()} == {
        "0000:3b:00.0": "pass",
        "0000:5e:00.0": "warn",
    }
    assert GPU not in answer.why


def test_on_one_node_an_unknown_node_is_no_question(tmp_path: pathlib.Path) -> None:
    tree = trees.translating(tmp_path).nodes("0")
    tree.device("3b:00.0", "10de:2330", "030200", source=trees.SYSFS)
    assert ask(tree)["numa_node"].status == "pass"


def test_a_fake_group_among_true_ones_isolates_nothing(tmp_path: pathlib.Path) -> None:
    tree = with_gpu(tmp_path).group("9", name="vfio-noiommu")
    tree.device("5e:00.0", "10de:2330", "030200", group="9", source="drivers/vfio/group.c")
    answers = ask(tree, devices=("5e:00.0",))
    assert (answers["isolation"].status, answers["reserved_regions"].status) == ("fail", "na")


def test_a_host_without_devices(tmp_path: pathlib.Path) -> None:
    assert {answer.status for answer in ask(trees.bare(tmp_path)).values()} == {"na"}


def test_a_host_whose_bus_cannot_be_seen(tmp_path: pathlib.Path) -> None:
    assert {answer.status for answer in ask(trees.Tree(tmp_path)).values()} == {"unknown"}


@pytest.mark.parametrize(("name", "gpus"), CAPTURES.items())
def test_captures(capture: t.Callable[[str], pathlib.Path], name: str, gpus: int) -> None:
    """The captures lack most files: their absence is never called a failure."""
    findings = devices.checks(Host(root=str(capture(name))), Policy(expected_gpus=gpus))
    assert {finding.status for finding in findings} <= {"pass", "unknown", "na"}
    count = next(finding for finding in findings if finding.id == "device.gpu_count")
    assert (count.status, count.value["number"]) == ("pass", gpus)
