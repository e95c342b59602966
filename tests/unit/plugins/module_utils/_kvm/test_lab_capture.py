# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's virtual host as it really was, looked at again; and the script that captured it."""

from __future__ import annotations

import dataclasses
import gzip
import importlib.util
import io
import pathlib
import re
import tarfile
import types
import typing as t

import hosts
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import device, report
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

REPOSITORY = pathlib.Path(__file__).resolve().parents[5]
# What kvm_check would like to read and no capture holds: device nodes and the distribution's list of names.
NEVER_CAPTURED = ("/dev", "/dev/*", "/usr/share/*/pci.ids", "/.dockerenv", "/run/.containerenv")


def script(path: str) -> types.ModuleType:
    specification = importlib.util.spec_from_file_location(pathlib.Path(path).stem, REPOSITORY / path)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


capture_host = script("tests/tools/capture_host.py")
GROUPS = script("molecule/virtual_host/tests/test_virtual_host.py").GROUPS


@dataclasses.dataclass(frozen=True)
class Asked(Host):
    """A host that remembers which files it was asked for."""

    paths: set[str] = dataclasses.field(default_factory=set, compare=False)

    def read(self, path: str) -> Reading:
        self.paths.add(path)
        return super().read(path)

    def read_bytes(self, path: str) -> bytes | None:
        self.paths.add(path)
        return super().read_bytes(path)

    def listdir(self, path: str) -> list[str]:
        self.paths.add(path)
        return super().listdir(path)

    def link(self, path: str) -> str | None:
        self.paths.add(path)
        return super().link(path)


@pytest.fixture(name="root")
def _root(capture: t.Callable[[str], pathlib.Path]) -> pathlib.Path:
    return capture("lab-q35-intel")


@pytest.fixture(name="result")
def _result(root: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, t.Any]:
    monkeypatch.setattr(device, "Linux", hosts.working)
    require = ("kvm", "nested", "ept", "iommu", "intremap", "isolation", "sriov", "secure_boot_off")
    return report.examine(hosts.Machine(root, log="Linux version 6.1.0\n").host, Policy(require=require))


def check(result: dict[str, t.Any], identity: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = next(item for item in result["checks"] if item["id"] == identity)
    return found


def test_it_meets_what_the_lab_is_for(result: dict[str, t.Any]) -> None:
    assert (result["unmet"], result["verdict"], result["counts"]["fail"]) == ([], "pass", 0)
    assert {item["id"] for item in result["checks"] if item["status"] in ("warn", "unknown")} == {
        "host.virtual",
        "device.numa_node",
        "device.reset",
    }


def test_a_bus_reset_is_none_where_others_share_the_bus(result: dict[str, t.Any]) -> None:
    # The kernel lists `bus` for the first function, before it has found the others.
    found = check(result, "device.reset")
    assert found["value"]["0000:01:00.0"]["value"] == []
    assert "0000:01:00.1, 0000:01:00.2" in str(found)


def test_an_amd_cpu_under_intels_table(result: dict[str, t.Any]) -> None:
    facts = result["facts"]
    assert (facts["cpu_vendor"], facts["cpu_flag"], facts["machine"]) == ("AuthenticAMD", "svm", "QEMU")
    assert (facts["virtualisation"], facts["emulated"]) == ("hardware", True)
    table = check(result, "iommu.firmware_table")["value"]
    assert table["tables"] == ["DMAR"]
    assert (table["dmar"]["units"], table["dmar"]["interrupt_remapping"]) == (1, True)
    assert check(result, "iommu.active")["value"] == ["dmar0"]
    assert check(result, "iommu.interrupt_remapping")["value"] == ["IR-IO-APIC", "IR-PCI-MSI"]
    assert check(result, "cpu.nested_paging")["value"] == "npt"


def test_the_groups_are_those_that_are_documented(result: dict[str, t.Any], root: pathlib.Path) -> None:
    kernel = {
        frozenset(path.name for path in (folder / "devices").iterdir())
        for folder in (root / "sys/kernel/iommu_groups").iterdir()
    }
    drawn = {frozenset(group["members"]) for group in result["topology"]["groups"]}
    found = {frozenset(members) for members in check(result, "iommu.groups")["value"].values()}
    assert drawn == found == kernel
    assert kernel >= GROUPS
    assert {group["domain"] for group in result["topology"]["groups"]} == {"DMA"}


def test_two_cards_behind_a_pci_bridge_share_a_group(result: dict[str, t.Any]) -> None:
    assert list(check(result, "iommu.isolation")["value"].values()) == [["0000:09:01", "0000:09:02"]]


@pytest.mark.parametrize(
    ("address", "status"), [("0000:09:01.0", "warn"), ("0000:01:00.2", "pass"), ("0000:02:00.0", "pass")]
)
def test_isolation_of_a_named_device(address: str, status: str, root: pathlib.Path) -> None:
    policy = Policy(devices=(address,))
    result = report.examine(hosts.Machine(root).host, policy)
    assert check(result, "iommu.isolation")["status"] == status
    assert check(result, "device.isolation")["status"] == status


def test_the_devices(result: dict[str, t.Any]) -> None:
    assert check(result, "device.gpu_count")["value"]["addresses"] == ["0000:01:00.0", "0000:0a:00.0"]
    assert check(result, "device.sriov")["value"] == {"0000:03:00.0": {"total": 4, "number": 0}}
    assert check(result, "device.isolation")["value"]["0000:01:00.0"]["value"]["companions"] == [
        "0000:01:00.1",
        "0000:01:00.2",
    ]
    assert check(result, "device.reset")["value"]["0000:0a:00.0"]["value"] == ["bus"]


def test_the_drawing(result: dict[str, t.Any]) -> None:
    topology = result["topology"]
    assert [(node["node"], node["cpus"]) for node in topology["nodes"]] == [(0, "0"), (1, "1")]
    assert [socket["cpus"] for socket in topology["sockets"]] == ["0", "1"]
    (root,) = topology["pci"]
    ports = {entry["address"]: entry for entry in root["devices"]}
    (switch,) = ports["0000:00:10.3"]["children"]
    assert [below["children"][0]["address"] for below in switch["children"]] == [
        "0000:06:00.0",
        "0000:07:00.0",
    ]


def test_the_script_takes_every_file_that_kvm_check_reads(root: pathlib.Path) -> None:
    host = Asked(root=str(root), run=hosts.Machine(root).run)
    report.examine(host, Policy())
    patterns = {*capture_host.WHOLE, *capture_host.NAMES, *NEVER_CAPTURED}
    # Whoever takes a file takes the folders above it.
    patterns |= {str(folder) for pattern in patterns for folder in pathlib.PurePosixPath(pattern).parents}
    # The script names devices by their links.
    named = {
        re.sub("^/sys/devices/pci.*/(0000:[^/]+)", r"/sys/bus/pci/devices/\1", path) for path in host.paths
    }
    assert len(named) > 500
    assert {
        path for path in named if not any(pathlib.PurePosixPath(path).match(p) for p in patterns)
    } == set()


def test_a_capture_is_the_tree_again_and_nothing_else(tmp_path: pathlib.Path) -> None:
    machine = hosts.Machine(tmp_path / "host")
    machine.put("/proc/cpuinfo", "flags : svm\n", source="anything")
    machine.put("/proc/sys/kernel/hostname", "secret\n", source="what a capture must not hold")
    machine.put("/sys/devices/virtual/dmi/id/sys_vendor", "QEMU\n", source="drivers/firmware/dmi-id.c")
    machine.put("/sys/devices/virtual/dmi/id/product_serial", "secret\n", source="drivers/firmware/dmi-id.c")
    machine.put("/sys/firmware/acpi/tables/DMAR", b"DMAR\0\1", source="drivers/acpi/sysfs.c")
    machine.put("/sys/firmware/acpi/tables/MSDM", b"secret licence", source="drivers/acpi/sysfs.c")
    link = tmp_path / "host/sys/class/dmi/id"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../devices/virtual/dmi/id")
    packed = capture_host.capture("box", "a box", root=f"{tmp_path}/host/")
    assert packed == capture_host.capture("box", "a box", root=f"{tmp_path}/host/")
    assert b"secret" not in gzip.decompress(packed)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        files = {member.name: member for member in tar.getmembers() if not member.isdir()}
        content = {
            name: t.cast(t.IO[bytes], tar.extractfile(member)).read()
            for name, member in files.items()
            if member.isfile()
        }
    note = content.pop("box/PROVENANCE")
    assert b"a box\nkernel: " in note
    assert content == {
        "box/proc/cpuinfo": b"flags : svm\n",
        "box/sys/devices/virtual/dmi/id/sys_vendor": b"QEMU\n",
        "box/sys/firmware/acpi/tables/DMAR": b"DMAR\0\1",
        "box/sys/firmware/acpi/tables/MSDM": b"",
    }
    assert files["box/sys/class/dmi/id"].linkname == "../../devices/virtual/dmi/id"
    assert not any("hostname" in name or "serial" in name for name in files)
