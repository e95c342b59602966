# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real ``main()`` of sriov_vfs on an injected root with a fake kernel."""

from __future__ import annotations

import pathlib
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_vfio"))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_sriov"))

from fakenic import DISK, DISK_IDS, NETDEV, NIC, NIC_IDS, FakeHost
from fakepci import DEVICES
from sriov_main import DISK_WISH, MAC, NIC_WISH, Task

from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.files import RECORD, RULES
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import record
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import Entry, Identity


@pytest.fixture
def task(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    return Task(FakeHost(tmp_path), monkeypatch, capsys)


def _given(host: FakeHost, address: str) -> None:
    """Let vfio_bind's record name a device."""
    entry = Entry(address, Identity(*NIC_IDS.split(":")), "vfio-pci", "igb")
    host.put(record.PATH, record.render_record({address: entry}))


def test_create_then_nothing_to_do_and_back(task: Task) -> None:
    before = task.kernel.snapshot()
    result = task.predicted(**NIC_WISH)
    assert result["actions"] == [
        f"write {RECORD} (0644)",
        f"set sriov_drivers_autoprobe of {NIC} to 0",
        f"set sriov_numvfs of {NIC} to 4",
        f"set VF 0 of {NETDEV}: mac {MAC}, vlan 100, qos 3, spoofchk off, trust on",
        f"set VF 1 of {NETDEV}: vlan 200, max_tx_rate 1000, link_state enable, qos 0",
        f"write {RULES} (0644)",
    ]
    assert (result["runtime_changed"], result["persistent_changed"]) == (True, True)
    assert [vf["address"] for vf in result["vfs"]] == [f"0000:03:00.{n}" for n in (1, 2, 3, 4)]
    assert all(vf["iommu_group"] and vf["driver"] is None for vf in result["vfs"])
    assert result["vfs"][0] == {
        **result["vfs"][0],
        **{"mac": MAC, "vlan": 100, "qos": 3, "spoofchk": False, "trust": True, "link_state": "auto"},
    }
    assert result["physical"] == {
        "address": NIC,
        "ids": "8086:10c9",
        "driver": "igb",
        "netdev": NETDEV,
        "total": 7,
        "number": 4,
        "autoprobe": False,
    }
    writes = len(task.kernel.writes)
    again = task.predicted(**NIC_WISH)
    assert (again["changed"], again["actions"], again["vfs"]) == (False, [], result["vfs"])
    assert again["files"] == result["files"]
    assert len(task.kernel.writes) == writes
    back = task.predicted(address=NIC, state="absent")
    assert back["actions"] == [
        f"remove {RULES}",
        f"set sriov_numvfs of {NIC} to 0",
        f"set sriov_drivers_autoprobe of {NIC} to 1",
        f"remove {RECORD}",
    ]
    assert task.kernel.snapshot() == before
    assert task.predicted(address=NIC, state="absent")["changed"] is False


def test_omitted_stays_and_an_empty_list_clears_the_rules(task: Task) -> None:
    task(**NIC_WISH)
    assert task.predicted(address=NIC)["changed"] is False
    assert task.predicted(address=NIC, number=4)["changed"] is False
    result = task.predicted(address=NIC, vfs=[])
    assert result["actions"] == [f"write {RULES} (0644)"]
    assert "numvfs=4" in task.kernel.text(RULES) and "ip link" not in task.kernel.text(RULES)
    assert task.kernel.told[0]["mac"] == MAC


def test_without_a_wish_a_device_is_only_told_of(task: Task) -> None:
    result = task.predicted(address="03:00.0")
    assert (result["changed"], result["physical"]["total"], result["vfs"]) == (False, 7, [])
    assert not (task.kernel.root / RECORD[1:]).exists()


def test_another_number_goes_through_none(task: Task) -> None:
    task(**NIC_WISH)
    result = task.predicted(**{**NIC_WISH, "number": 2})
    assert result["actions"][:2] == [f"set sriov_numvfs of {NIC} to 0", f"set sriov_numvfs of {NIC} to 2"]
    assert (task.kernel.number(), task.kernel.told[0]["mac"]) == ("2", MAC)
    assert task.predicted(**{**NIC_WISH, "number": 2})["changed"] is False
    assert "numvfs=2" in task.kernel.text(RULES)


def test_none_at_all_leaves_no_rule_that_could_take_vfs_away_at_a_boot(task: Task) -> None:
    task(address=NIC, number=3)
    result = task.predicted(address=NIC, number=0)
    assert result["actions"] == [f"set sriov_numvfs of {NIC} to 0", f"remove {RULES}"]
    assert task.predicted(address=NIC, number=0)["changed"] is False


def test_drift_of_one_setting_is_mended_alone(task: Task) -> None:
    task(**NIC_WISH)
    task.kernel.told[0]["trust"] = "off"
    task.kernel.told[1]["vlan"] = 7
    result = task.predicted(**NIC_WISH)
    assert result["actions"] == [
        f"set VF 0 of {NETDEV}: trust on",
        f"set VF 1 of {NETDEV}: vlan 200, qos 0",
    ]


def test_a_vlan_is_set_with_the_priority_that_nobody_spoke_of(task: Task) -> None:
    """The kernel takes both at once: telling it the VLAN alone would forget the priority."""
    task(address=NIC, number=1)
    task.kernel.told[0].update(vlan=5, qos=6)
    task.predicted(address=NIC, number=1, vfs=[{"index": 0, "vlan": 9}])
    assert (task.kernel.told[0]["vlan"], task.kernel.told[0]["qos"]) == (9, 6)


def test_a_hand_in_the_rules_is_undone(task: Task) -> None:
    task(**DISK_WISH)
    text = task.kernel.text(RULES)
    task.kernel.put(RULES, text.replace('sriov_numvfs}="4"', 'sriov_numvfs}="1"'))
    assert task.predicted(**DISK_WISH)["actions"] == [f"write {RULES} (0644)"]
    assert task.kernel.text(RULES) == text


def test_regression_vfs_are_never_made_anew_under_those_who_use_them(task: Task) -> None:
    task(**DISK_WISH)
    group = task.kernel.devices[task.kernel.vf(1, DISK)].group
    task.kernel.opened(4242, f"/dev/vfio/{group}", name="db1")
    message = task.refused(**{**DISK_WISH, "number": 3})
    assert (
        f"{task.kernel.vf(1, DISK)}: guest db1 (process 4242) has /dev/vfio/{group} open (guest)" in message
    )
    assert "put guest into allow" in message
    assert "guest db1" in task.refused(address=DISK, number=0)
    assert "guest db1" in task.refused(address=DISK, state="absent")
    assert task.predicted(**DISK_WISH)["changed"] is False, "the number that is there hurts nobody"
    result = task.predicted(**{**DISK_WISH, "number": 3, "allow": ["guest"]})
    assert [one["kind"] for one in result["obstacles"]] == ["guest"]
    assert task.kernel.number(DISK) == "3"


def test_a_vf_that_vfio_bind_keeps_is_in_use_by_nobody_and_refused_all_the_same(task: Task) -> None:
    task(**DISK_WISH)
    _given(task.kernel, task.kernel.vf(2, DISK))
    message = task.refused(**{**DISK_WISH, "number": 2})
    assert "0000:04:00.3: vfio_bind keeps it for guests (bound)" in message
    assert task.predicted(**{**DISK_WISH, "number": 2, "allow": ["bound"]})["changed"] is True


def test_a_vf_in_a_bridge_is_in_use(task: Task) -> None:
    task(address=NIC, number=2)
    folder = f"{task.kernel.devices[task.kernel.vf(1)].folder}/net/{NETDEV}v1"
    task.kernel.put("/sys/devices/virtual/net/br0/flags", "0x1003\n")
    task.kernel.link("/sys/class/net/br0", "/sys/devices/virtual/net/br0")
    task.kernel.link(f"{folder}/master", "/sys/devices/virtual/net/br0")
    task.kernel.link(f"{folder}/upper_br0", "/sys/devices/virtual/net/br0")
    message = task.refused(address=NIC, number=0)
    assert task.kernel.vf(1) in message and "br0" in message and "(network)" in message


def test_a_process_is_nothing_that_guest_allows(task: Task) -> None:
    task(address=DISK, number=2)
    vf = task.kernel.devices[task.kernel.vf(0, DISK)]
    task.kernel.put(f"{vf.folder}/nvme/nvme1/uevent", "DEVNAME=nvme1\n")
    task.kernel.put(f"{vf.folder}/nvme/nvme1/dev", "240:1\n")
    task.kernel.link("/sys/dev/char/240:1", f"{vf.folder}/nvme/nvme1")
    task.kernel.opened(77, "/dev/nvme1", comm="spdk_tgt")
    options = {"address": DISK, "number": 1, "allow": ["guest", "bound"]}
    assert "spdk_tgt (process 77) has /dev/nvme1 open (opened)" in task.refused(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"address": "0000:09:00.0"}, "There is no PCI device 0000:09:00.0."),
        ({"number": 8}, f"{NIC} can have 7 VFs, and 8 are wanted"),
        ({"number": -1}, "number is '-1'"),
        ({"address": "card"}, "'card' is no"),
        ({"address": "0000:05:00.0"}, "makes no virtual functions"),
        ({"address": "0000:05:00.0", "state": "present", "number": None}, "mlxconfig SRIOV_EN"),
        ({"expect": "8086:1572"}, f"{NIC} is {NIC_IDS}, and 8086:1572 was expected"),
        ({"expect": "8086"}, "are no ids to expect"),
        ({"vfs": [{"index": 4, "vlan": 1}]}, "speaks of VF 4, and with 4 VFs the last is 3"),
        ({"vfs": [{"index": 0}, {"index": 0}]}, "VF 0 is named twice"),
        ({"vfs": [{"index": 0, "mac": "01:00:5e:00:00:01"}]}, "mac of VF 0 is '01:00:5e:00:00:01'"),
        ({"vfs": [{"index": 0, "vlan": 4095}]}, "vlan of VF 0 is '4095'"),
        ({"vfs": [{"index": 0, "qos": 3}]}, "needs a VLAN"),
        ({"vfs": [{"index": 0, "vlan": 5, "qos": 8}]}, "qos of VF 0 is '8'"),
        ({"vfs": [{"index": 0, "max_tx_rate": 10, "min_tx_rate": 20}]}, "above its max_tx_rate"),
        ({"vfs": [{"index": -1, "vlan": 2}]}, "vlan of VF -1"),
        ({"number": None, "vfs": [{"index": 0, "vlan": 5}]}, "with 0 VFs"),
        (
            {"address": DISK, "vfs": [{"index": 0, "vlan": 5}]},
            "it must have one network interface and has none",
        ),
        ({"allow": ["force"]}, "value of allow must be one or more of"),
        ({"running": False, "address": "0000:09:00.0"}, "to ask who it is"),
        ({"contents": {RECORD: "nonsense"}}, f"{RECORD} is damaged: 'nonsense'"),
        ({"contents": {RULES: f"# hearth: {NIC} numvfs=4"}}, f"{RULES} is damaged"),
    ],
)
def test_refusals_come_before_the_first_write(task: Task, options: dict[str, t.Any], words: str) -> None:
    task.kernel.add("0000:05:00.0", "1234:11e8:1af4:1100", "00ff00", group="30")
    assert words in task.refused(**{"address": NIC, "number": 4, **options})


def test_what_the_kernel_would_refuse_is_refused_by_name(task: Task) -> None:
    task.kernel._detach(task.kernel.devices[NIC])
    assert f"{NIC} has no driver, and only its driver can make VFs" in task.refused(address=NIC, number=1)
    task.kernel._attach(task.kernel.devices[NIC], "igb")
    (task.kernel.root / f"{DEVICES}/{NIC}/sriov_drivers_autoprobe".lstrip("/")).unlink()
    assert "Linux 4.13" in task.refused(address=NIC, autoprobe=False)


def test_a_vf_is_no_physical_function(task: Task) -> None:
    task(address=NIC, number=1)
    message = task.refused(address=task.kernel.vf(0), number=1)
    assert f"is a VF itself. Remedy: name its physical function {NIC}" in message


def test_regression_openshift_docs_32619_no_room_for_vf_windows_is_seen_before(task: Task) -> None:
    """not enough MMIO resources for SR-IOV: the kernel gave the windows no address."""
    windows = ["0x0000000000000000 0x0000000000000000 0x0000000000000000"] * 7
    unset = "0x0000000000000000 0x000000000000ffff 0x0000000020140204"
    task.kernel.put(f"{DEVICES}/{NIC}/resource", "\n".join([*windows, unset, *windows[:5]]) + "\n")
    message = task.refused(address=NIC, number=1)
    assert (
        "not enough MMIO resources" in message and "Above 4G Decoding" in message and "pci=realloc" in message
    )


def test_prepared_for_the_boot_only_and_taken_over_after_it(task: Task) -> None:
    before = task.kernel.snapshot("/sys")
    result = task.predicted(**DISK_WISH, running=False)
    assert result["actions"] == [f"write {RULES} (0644)"]
    assert task.kernel.snapshot("/sys") == before
    assert task.predicted(**DISK_WISH, running=False)["changed"] is False
    task.kernel.boot(task.kernel.text(RULES))
    assert task.predicted(**DISK_WISH)["actions"] == [f"write {RECORD} (0644)"]
    task.predicted(address=DISK, state="absent")
    assert task.kernel.number(DISK) == "0", "what a boot of ours made was not there before us"
    assert task.kernel.snapshot("/sys") == before


def test_an_image_needs_no_device(task: Task) -> None:
    options = {"address": "0000:09:00.0", "expect": DISK_IDS, "number": 2, "running": False}
    result = task.predicted(**options)
    assert (result["actions"], result["physical"]) == ([f"write {RULES} (0644)"], None)
    assert task.predicted(address="0000:09:00.0", state="absent", running=False)["actions"] == [
        f"remove {RULES}"
    ]


def test_for_now_only(task: Task) -> None:
    result = task.predicted(**NIC_WISH, persistent=False)
    assert result["persistent_changed"] is False
    assert not (task.kernel.root / RULES[1:]).exists()
    task.predicted(address=NIC, number=4, vfs=[{"index": 3, "vlan": 4}], persistent=False)
    task.predicted(address=NIC, state="absent")
    assert task.kernel.number() == "0"


def test_check_mode_of_two_devices_knows_what_the_first_would_have_written(task: Task) -> None:
    first = task(check=True, **NIC_WISH)
    second = task(check=True, **DISK_WISH, contents=first["files"])
    assert NIC in second["files"][RULES] and DISK in second["files"][RULES]
    task(**NIC_WISH)
    assert task(**DISK_WISH)["files"] == second["files"]


def test_an_unreadable_file_of_ours_is_unknown_and_stops(task: Task) -> None:
    (task.kernel.root / RULES[1:]).mkdir(parents=True)
    assert f"make {RULES} readable" in task.refused(**NIC_WISH)


def test_without_ip_nothing_of_a_vf_is_promised(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    task.kernel.answer = "not json"
    assert "could be understood" in task.refused(**NIC_WISH)
    assert task.predicted(address=NIC, number=1)["vfs"][0]["mac"] is None
