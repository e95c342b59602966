# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real ``main()`` on built hosts, and once on the machine that runs the tests."""

from __future__ import annotations

import os
import pathlib
import typing as t

import hosts
import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import device
from ansible_collections.hearth.gpu_host.plugins.modules import kvm_check

REPOSITORY = pathlib.Path(__file__).resolve().parents[4]
DMI = "/sys/class/dmi/id"


class Left(SystemExit):
    """What the module returned on leaving."""

    def __init__(self, failed: bool, result: dict[str, t.Any]) -> None:
        super().__init__(result.get("msg"))
        self.failed = failed
        self.result = result


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., Left]:
    """Return a function that runs ``main()`` on a host with a pretended ``/dev/kvm``."""

    def leave(failed: bool) -> t.Callable[..., None]:
        def exit_(module: t.Any, msg: str = "", **result: t.Any) -> None:
            raise Left(failed, {"msg": msg, **result})

        return exit_

    def main(host: Host, kernel: t.Any, check_mode: bool = False, **options: t.Any) -> Left:
        monkeypatch.setattr(kvm_check, "Host", lambda: host)
        monkeypatch.setattr(device, "Linux", lambda: kernel)
        monkeypatch.setattr(kvm_check.AnsibleModule, "exit_json", leave(False))
        monkeypatch.setattr(kvm_check.AnsibleModule, "fail_json", leave(True))
        with patch_module_args({**options, "_ansible_check_mode": check_mode}), pytest.raises(Left) as caught:
            kvm_check.main()
        return caught.value

    return main


Run = t.Callable[..., Left]


def test_without_requirements_nothing_fails(run: Run, tmp_path: pathlib.Path) -> None:
    left = run(hosts.intel(tmp_path).host, hosts.Kernel())
    assert not left.failed
    assert left.result["changed"] is False
    assert left.result["verdict"] == "fail"


def test_check_mode_makes_no_difference(run: Run, tmp_path: pathlib.Path) -> None:
    machine = hosts.loaded(hosts.intel(tmp_path, "vmx"), "kvm_intel", ept="Y", nested="Y")
    options = {"require": ["kvm", "ept", "nested"]}
    real = run(machine.host, hosts.working(), **options)
    predicted = run(machine.host, hosts.working(), check_mode=True, **options)
    assert real.result == predicted.result
    assert real.result["verdict"] == "pass"


def test_the_result_has_what_the_documentation_says(run: Run, tmp_path: pathlib.Path) -> None:
    result = run(hosts.paravirtual(tmp_path).host, hosts.working()).result
    returned = yaml.safe_load(kvm_check.RETURN)
    assert set(returned) == set(result) - {"changed", "msg"}
    assert set(returned["checks"]["contains"]) == set(result["checks"][0])


def test_the_documented_options_are_the_real_ones() -> None:
    documented = yaml.safe_load(kvm_check.DOCUMENTATION)["options"]
    assert set(documented) == set(kvm_check.ARGUMENT_SPEC)
    for name, spec in kvm_check.ARGUMENT_SPEC.items():
        assert documented[name].get("choices") == spec.get("choices")
        assert documented[name].get("default") == spec.get("default")
    assert set(documented["peers"]["suboptions"]) == set(kvm_check.PEER)


def firmware_off(root: pathlib.Path) -> hosts.Machine:
    return hosts.intel(root, log="x86/cpu: VMX (outside TXT) disabled by BIOS\n")


def secure(root: pathlib.Path) -> hosts.Machine:
    variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    return hosts.intel(root, "vmx").put(
        variable, b"\x06\0\0\0\1", source="efivarfs.rst: 4 bytes attributes, value"
    )


def old_firmware(root: pathlib.Path) -> hosts.Machine:
    return hosts.intel(root, "vmx").put(f"{DMI}/bios_date", "12/31/2019\n", source="SMBIOS type 0")


def threads(root: pathlib.Path) -> hosts.Machine:
    machine = hosts.intel(root, "vmx")
    return machine.put("/sys/devices/system/cpu/smt/active", "1\n", source="kernel/cpu.c")


def far_away(root: pathlib.Path) -> hosts.Machine:
    machine = hosts.intel(root, "vmx")
    machine.commands["ping"] = Completed(0, "rtt min/avg/max/mdev = 0.9/1.5/2.1/0.4 ms\n", "")
    return machine


def no_pages(root: pathlib.Path) -> hosts.Machine:
    pool = "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"
    return hosts.intel(root, "vmx").put(pool, "0\n", source="mm/hugetlb_sysfs.c")


def option_off(name: str) -> t.Callable[[pathlib.Path], hosts.Machine]:
    return lambda root: hosts.loaded(hosts.intel(root, "vmx"), "kvm_intel", **{name: "N"})


def without_iommu(root: pathlib.Path) -> hosts.Machine:
    machine = hosts.intel(root, "vmx")
    machine.put("/sys/firmware/acpi/tables/APIC", "", source="a machine without the table DMAR")
    machine.put("/proc/interrupts", "  1: 0 IO-APIC 1-edge i8042\n", source="kernel/irq/proc.c")
    for folder in ("/sys/class/iommu", "/sys/kernel/iommu_groups", "/sys/bus/pci/devices"):
        (root / folder.lstrip("/")).mkdir(parents=True)
    return machine


def plain(root: pathlib.Path) -> hosts.Machine:
    return without_iommu(root)


# requirement, host, options, what the message must hold: the finding's remedy
REFUSALS: list[tuple[str, t.Callable[[pathlib.Path], hosts.Machine], dict[str, t.Any], str]] = [
    ("kvm", firmware_off, {}, "Enable Intel Virtualization Technology (VT-x, VMX) in the firmware setup"),
    ("nested", option_off("nested"), {}, "options kvm_intel nested=1"),
    ("ept", option_off("ept"), {}, "Remove ept=0"),
    ("iommu", without_iommu, {}, "VT-d"),
    ("intremap", without_iommu, {}, "Remedy: "),
    ("isolation", without_iommu, {}, "iommu.groups"),
    ("sriov", plain, {}, "SR-IOV in the firmware setup"),
    ("hugepages_1g", no_pages, {}, "hugepagesz=1G hugepages=N"),
    ("hugepages_2m", plain, {}, "unknown"),
    ("sev", plain, {}, "Use an AMD EPYC host."),
    ("sev_es", plain, {}, "Use an AMD EPYC host."),
    ("sev_snp", plain, {}, "Use an AMD EPYC host."),
    ("tdx", plain, {}, "enable TME-MT and TDX"),
    ("secure_boot_off", secure, {}, "mokutil --import"),
    ("min_kernel", plain, {"min_kernel": "7.0"}, "Install a kernel of version 7.0 or newer"),
    ("bios_date", old_firmware, {"min_bios_date": "2023-06-01"}, "BIOS) to a release of 2023-06-01 or later"),
    ("smt", threads, {"smt": "off"}, "kernel argument nosmt"),
    ("peer_rtt", far_away, {"peers": [{"address": "192.0.2.1", "max_rtt_us": 200}]}, "1500 µs"),
    ("gpu_count", plain, {"expected_gpus": 2}, "0 GPUs are there, 2 were expected"),
    ("devices", plain, {"devices": ["3b:00.0"]}, "Not in this host: 0000:3b:00.0"),
]


@pytest.mark.parametrize(
    ("requirement", "build", "options", "words"),
    REFUSALS,
    ids=[requirement for requirement, *_rest in REFUSALS],
)
def test_a_requirement_that_is_not_met_fails_with_its_remedy(
    requirement: str,
    build: t.Callable[[pathlib.Path], hosts.Machine],
    options: dict[str, t.Any],
    words: str,
    run: Run,
    tmp_path: pathlib.Path,
) -> None:
    left = run(build(tmp_path).host, hosts.Kernel(), require=[requirement], **options)
    assert left.failed
    assert words in left.result["msg"]
    assert {entry["requirement"] for entry in left.result["unmet"]} == {requirement}
    assert left.result["changed"] is False
    assert left.result["checks"], "the findings come with the failure"


def test_every_requirement_has_a_refusal_here() -> None:
    assert {requirement for requirement, *_rest in REFUSALS} == set(kvm_check.REQUIREMENTS)


@pytest.mark.parametrize("scenario", ["container", "virtual_host"])
def test_the_scenarios_ask_real_hosts_for_every_requirement(scenario: str) -> None:
    text = (REPOSITORY / "molecule" / scenario / "refusals.yml").read_text(encoding="utf-8")
    rows = yaml.safe_load(text)["refusals"]
    assert {name for row in rows for name in row["require"]} == set(kvm_check.REQUIREMENTS)
    assert {key for row in rows for key in row} <= {"require", "options", "expect", "says"}
    assert {option for row in rows for option in row.get("options", {})} <= set(kvm_check.ARGUMENT_SPEC)
    assert {row["expect"] for row in rows} <= {"met", "refused", "found"}
    assert all(row.get("says") for row in rows if row["expect"] == "refused")


def test_an_unknown_requirement_is_refused_as_unknown(run: Run, tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path, "vmx").put(
        "/run/systemd/container", "lxc\n", source="CONTAINER_INTERFACE"
    )
    left = run(machine.host, hosts.Kernel(), require=["kvm"])
    assert left.failed
    assert "kvm could not be verified (unknown) by kvm.virtualisation: Container (lxc)" in left.result["msg"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"require": ["smt"]}, "smt is not set"),
        ({"min_kernel": "newest"}, "min_kernel is 'newest'"),
        ({"min_bios_date": "1.6.2023"}, "min_bios_date"),
        ({"require": ["vmx"]}, "value of require must be one or more of"),
        ({"devices": ["card0"]}, "card0"),
    ],
)
def test_bad_input_gets_one_clear_error(
    options: dict[str, t.Any], word: str, run: Run, tmp_path: pathlib.Path
) -> None:
    left = run(hosts.intel(tmp_path, "vmx").host, hosts.Kernel(), **options)
    assert left.failed
    assert word in left.result["msg"]
    assert "Internal error" not in left.result["msg"]


def test_this_machine_itself(run: Run) -> None:
    """Whatever this machine is: the verdict on KVM agrees with its device, and flags alone never condemn it."""
    result = run(Host(), device.Linux()).result
    kvm = next(check for check in result["checks"] if check["id"] == "kvm.virtualisation")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        assert kvm["status"] != "pass"
        return
    assert kvm["status"] == "pass"
    flags = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    paravirtual = not {"vmx", "svm"} & set(flags) and pathlib.Path("/sys/module/kvm_pvm").exists()
    assert (kvm["value"] == "paravirtual") is paravirtual
