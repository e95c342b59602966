# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import re
import typing as t

import hosts
import pytest
import trees
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import device, gate, report
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import FIXES, Finding
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

REPOSITORY = pathlib.Path(__file__).resolve().parents[5]
STATUSES = ["pass", "warn", "fail", "unknown", "na"]
CATALOGUE = {identity: text for source in report.CHECKS for identity, text in source.IDS.items()}
MACHINES: dict[str, t.Callable[[pathlib.Path], hosts.Machine]] = {
    "intel": lambda root: hosts.intel(root, "vmx"),
    "amd": lambda root: hosts.amd(root, "svm"),
    "arm64": hosts.arm64,
    "paravirtual": hosts.paravirtual,
    "nothing at all": hosts.Machine,
}
TEXT_FILES = [
    "/proc/cpuinfo",
    "/proc/cmdline",
    "/proc/1/environ",
    "/proc/iomem",
    "/proc/interrupts",
    "/proc/self/mounts",
    "/proc/sys/kernel/osrelease",
    "/run/systemd/container",
    "/sys/hypervisor/type",
    "/sys/class/dmi/id/bios_date",
    "/sys/class/dmi/id/sys_vendor",
    "/sys/class/iommu/dmar0/intel-iommu/cap",
    "/sys/devices/system/cpu/smt/active",
    "/sys/devices/system/cpu/vulnerabilities/l1tf",
    "/sys/devices/system/node/node0/meminfo",
    "/sys/firmware/acpi/tables/DMAR",
    "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
    "/sys/kernel/iommu_groups/0/reserved_regions",
    "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/kernel/security/lockdown",
    "/sys/module/kvm_amd/parameters/nested",
    "/sys/module/kvm_intel/parameters/ept",
]


def documented() -> dict[str, str]:
    text = (REPOSITORY / "docs/kvm_check.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `([a-z_]+\.[a-z0-9_]+)` \| (.+?) \|$", text, re.MULTILINE))


def test_the_documentation_lists_exactly_the_checks_that_there_are() -> None:
    assert documented() == CATALOGUE


def test_the_documentation_lists_every_requirement() -> None:
    text = (REPOSITORY / "docs/kvm_check.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9_]+)` \| ((?:`[a-z0-9_.]+`(?:, )?)+) \|", text, re.MULTILINE)
    assert {name: tuple(re.findall("`(.+?)`", checks)) for name, checks in rows} == gate.REQUIREMENTS


def test_ids_are_unique_and_stable_in_form() -> None:
    assert len(CATALOGUE) == sum(len(source.IDS) for source in report.CHECKS)
    assert all(re.fullmatch(r"[a-z]+\.[a-z0-9_]+", identity) for identity in CATALOGUE)


def test_every_requirement_names_checks_that_exist() -> None:
    assert {identity for names in gate.REQUIREMENTS.values() for identity in names} <= set(CATALOGUE)


@pytest.fixture(autouse=True)
def no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "Linux", hosts.Kernel)


@pytest.mark.parametrize("build", MACHINES.values(), ids=MACHINES)
def test_every_source_answers_every_one_of_its_questions_once(
    build: t.Callable[[pathlib.Path], hosts.Machine], tmp_path: pathlib.Path
) -> None:
    host = build(tmp_path).host
    for source in report.CHECKS:
        findings = source.checks(host, Policy())
        assert sorted(finding.id for finding in findings) == sorted(source.IDS)
        assert {finding.status for finding in findings} <= set(STATUSES)
        assert {finding.fix for finding in findings} <= set(FIXES)


@pytest.mark.parametrize(
    "name",
    [
        "lab-q35-intel",
        "intel-i7-1270p",
        "amd-ryzen-1600",
        "intel-xeon-l5640",
        "nvidia-accelerator",
        "accelerator",
        "arm64",
    ],
)
def test_real_captures_give_a_whole_report(name: str, capture: t.Callable[[str], pathlib.Path]) -> None:
    result = report.examine(hosts.Machine(capture(name)).host, Policy())
    assert {check["id"] for check in result["checks"]} == set(CATALOGUE)
    assert result["verdict"] == "unknown", "a tree without /dev proves nothing about KVM"
    assert result["facts"]["kvm"] is None


def test_a_host_that_shows_nothing_is_unknown_and_fails_nothing(tmp_path: pathlib.Path) -> None:
    result = report.examine(hosts.Machine(tmp_path).host, Policy())
    assert result["counts"]["fail"] == 0
    assert result["counts"]["pass"] == 0


def test_the_paravirtual_host_is_told_plainly(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "Linux", hosts.working)
    result = report.examine(hosts.paravirtual(tmp_path).host, Policy(require=("kvm",)))
    assert (result["verdict"], result["unmet"], result["changed"]) == ("pass", [], False)
    assert (result["facts"]["virtualisation"], result["facts"]["emulated"]) == ("paravirtual", True)
    assert "The hardware is emulated" in result["summary"]


@pytest.mark.parametrize(
    ("kvm", "required", "verdict"),
    [
        ("pass", "pass", "pass"),
        ("pass", "warn", "fail"),
        ("pass", "na", "fail"),
        ("pass", "unknown", "unknown"),
        ("unknown", "pass", "unknown"),
        ("fail", "unknown", "fail"),
    ],
)
def test_the_verdict_is_about_kvm_and_what_is_required(kvm: str, required: str, verdict: str) -> None:
    findings = [
        Finding("kvm.virtualisation", kvm),
        Finding("kvm.nested", required),
        Finding("cpu.smt", "fail"),
    ]
    assert report.verdict(findings, gate.unmet(["nested"], findings)) == verdict


def test_the_same_command_runs_once() -> None:
    calls: list[tuple[str, ...]] = []

    def run(argv: t.Sequence[str], **options: t.Any) -> Completed:
        calls.append(tuple(argv))
        return Completed(0, "", "")

    runner = report.remembering(run)
    assert runner(["dmesg"]) is runner(["dmesg"])
    runner(["ping", "a"])
    assert calls == [("dmesg",), ("ping", "a")]


# Text as people write it, raw bytes, and the pieces of which the real files are made.
PIECES = st.sampled_from(
    ["flags", "Features", ":", "\t", "\n", "vmx", "svm", "[", "]", "\0", "kB", "MemTotal:", "-", "9"]
)
CONTENT = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=60).map(str.encode),
    st.lists(PIECES).map(lambda p: " ".join(p).encode()),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contents=st.dictionaries(st.sampled_from(TEXT_FILES), CONTENT, max_size=8),
    log=st.none() | st.text(max_size=60),
)
def test_no_content_of_any_file_makes_a_check_fail_to_answer(
    contents: dict[str, bytes], log: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    machine = hosts.Machine(tmp_path_factory.mktemp("any"), log=log)
    for path, content in contents.items():
        machine.put(path, content, source="anything")
    result = report.examine(machine.host, Policy(min_kernel="6.1", min_bios_date="2024-01-01", smt="off"))
    assert {check["id"] for check in result["checks"]} == set(CATALOGUE)


def test_files_that_cannot_be_read_are_unknown(tmp_path: pathlib.Path) -> None:
    machine = hosts.Machine(tmp_path)
    for path in TEXT_FILES:
        (tmp_path / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
    checks = {
        check["id"]: check["status"] for check in report.examine(machine.host, Policy(smt="on"))["checks"]
    }
    for identity in (
        "cpu.virtualisation",
        "cpu.smt",
        "kernel.version",
        "kernel.lockdown",
        "kvm.virtualisation",
    ):
        assert checks[identity] == "unknown", identity


@pytest.mark.parametrize("build", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize("masked", [False, True])
def test_whatever_is_required_and_missing_has_a_remedy(
    build: t.Callable[[pathlib.Path], hosts.Machine], masked: bool, tmp_path: pathlib.Path
) -> None:
    machine = build(tmp_path)
    if masked:
        machine.put("/run/systemd/container", "lxc\n", source="https://systemd.io/CONTAINER_INTERFACE")
    policy = Policy(
        require=tuple(gate.REQUIREMENTS),
        min_kernel="99.0",
        min_bios_date="2099-01-01",
        smt="on",
        peers=(("192.0.2.1", 1),),
        expected_gpus=99,
        devices=("0000:7f:00.0",),
    )
    machine.commands["ping"] = Completed(0, "rtt min/avg/max/mdev = 0.9/1.5/2.1/0.4 ms\n", "")
    result = report.examine(machine.host, policy)
    by_id = {check["id"]: check for check in result["checks"]}
    assert {entry["requirement"] for entry in result["unmet"]} >= {
        "kvm",
        "isolation",
        "bios_date",
        "peer_rtt",
    }
    assert [entry["id"] for entry in result["unmet"] if not by_id[entry["id"]]["hint"]] == []
    assert all(by_id[entry["id"]]["hint"] in result["msg"] for entry in result["unmet"])


@pytest.mark.parametrize("folders", [("sys/class/iommu", "sys/kernel/iommu_groups"), ()])
def test_a_device_without_a_group_has_a_remedy(folders: tuple[str, ...], tmp_path: pathlib.Path) -> None:
    tree = trees.Tree(tmp_path).cpuinfo("GenuineIntel", "vmx")
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    t.cast(trees.Tree, tree).device("01:00.0", "10de:2330", "030200", source=trees.SYSFS)
    policy = Policy(require=("isolation", "devices"), devices=("0000:01:00.0",))
    result = report.examine(tree.host, policy)
    missing = {entry["id"] for entry in result["unmet"]}
    assert missing == {"iommu.isolation", "device.isolation", "device.reserved_regions", "device.bars"}
    assert [check["id"] for check in result["checks"] if check["id"] in missing and not check["hint"]] == []


def test_in_a_container_a_remedy_for_the_machine_says_where() -> None:
    inside = Finding("host.container", "na", "podman")
    machine = Finding("cpu.nested_paging", "unknown", hint="Load the module.", fix="module")
    here = Finding("kernel.log", "unknown", hint="Become root.", fix="host")
    hints = [finding.hint for finding in report.from_inside([inside, machine, here])]
    assert hints == ["", "Load the module. Do this on the host of the container.", "Become root."]
    outside = [Finding("host.container", "pass", ""), machine]
    assert report.from_inside(outside) == outside


def test_modules_that_cannot_be_seen_are_not_said_to_be_missing(tmp_path: pathlib.Path) -> None:
    machine = hosts.Machine(tmp_path).cpuinfo("AuthenticAMD")
    checks = {check["id"]: check for check in report.examine(machine.host, Policy())["checks"]}
    for identity in ("kvm.module", "kvm.nested", "cpu.nested_paging", "iommu.unsafe_overrides"):
        assert checks[identity]["status"] == "unknown", identity
        assert "cannot be told" in checks[identity]["why"], identity


def test_the_processor_is_read_once(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 256 threads /proc/cpuinfo has 400 kB, and its reading interrupts every one of them."""
    asked: list[str] = []
    machine = hosts.intel(tmp_path, "vmx")

    def read(host: Host, path: str) -> Reading:
        asked.append(path)
        return original(host, path)

    original = Host.read
    monkeypatch.setattr(Host, "read", read)
    report.examine(machine.host, Policy())
    assert asked.count("/proc/cpuinfo") == 1


def test_the_host_is_only_read(tmp_path: pathlib.Path) -> None:
    machine = hosts.paravirtual(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    report.examine(machine.host, Policy(read_msr="auto"))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert {call[0] for call in machine.calls} <= {"journalctl", "dmesg", "ping"}
    assert isinstance(machine.host, Host)
