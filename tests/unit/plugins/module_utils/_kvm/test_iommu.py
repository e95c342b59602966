# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The IOMMU's questions on hosts of every kind; each verdict names its cause and the kind of remedy."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import trees
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import acpi_iommu, iommu, iommu_arguments
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import FIXES, Finding
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

CAPTURES = (
    "accelerator",
    "amd-ryzen-1600",
    "arm64",
    "intel-i7-1270p",
    "intel-xeon-l5640",
    "nvidia-accelerator",
)
POSTED_CAP = {"intel-iommu/cap": "8d2078c106f0466\n"}  # bit 59 set, as a Xeon of the Ice Lake generation


def ask(tree: trees.Tree, **policy: t.Any) -> dict[str, Finding]:
    findings = iommu.checks(tree.host, Policy(**policy))
    answers = {finding.id.partition(".")[2]: finding for finding in findings}
    assert [finding.id for finding in findings] == list(iommu.IDS)
    assert {finding.fix for finding in findings} <= set(FIXES)
    return answers


def statuses(answers: dict[str, Finding]) -> dict[str, str]:
    return {name: finding.status for name, finding in answers.items()}


def with_gpu(tree: trees.Tree, **more: t.Any) -> trees.Tree:
    return tree.device("01:00.0", "10de:2330", "030200", group="1", source=trees.SYSFS, **more).group("1")


def test_a_good_host_passes(tmp_path: pathlib.Path) -> None:
    answers = ask(with_gpu(trees.translating(tmp_path)))
    assert statuses(answers) == {
        "firmware_table": "pass",
        "active": "pass",
        "groups": "pass",
        "default_domain": "pass",
        "interrupt_remapping": "pass",
        "isolation": "pass",
        "posted_interrupts": "na",
        "arguments": "pass",
        "unsafe_overrides": "na",
    }
    assert answers["interrupt_remapping"].value == ["IR-IO-APIC", "IR-PCI-MSIX"]
    assert answers["default_domain"].value == {"DMA-FQ": 1}


def test_lab_an_amd_cpu_under_intels_table_is_fine(tmp_path: pathlib.Path) -> None:
    """virt-host-validate wants IVRS of an AMD CPU and fails here; the table says nothing about the CPU."""
    answers = ask(trees.lab(tmp_path))
    assert [answers[name].status for name in ("firmware_table", "active", "groups", "isolation")] == [
        "pass"
    ] * 4
    assert answers["firmware_table"].value["tables"] == ["DMAR"]
    assert len(answers["groups"].value) == 16
    assert answers["groups"].value["10"] == ["0000:01:00.0", "0000:01:00.1", "0000:01:00.2"]


def test_lab_a_shared_group_matters_only_to_those_who_want_it(tmp_path: pathlib.Path) -> None:
    tree = trees.lab(tmp_path)
    assert ask(tree)["isolation"].value == {"15": ["0000:09:01", "0000:09:02"]}
    wanted = ask(tree, devices=("09:01.0",))["isolation"]
    assert (wanted.status, wanted.fix) == ("warn", "hardware")
    assert "15" in wanted.why


# Why there is no IOMMU: what the host shows, words of the reason, kind of remedy.
NOTHING: list[tuple[str, t.Callable[[trees.Tree], t.Any], str, str]] = [
    ("off in firmware", lambda tree: None, "off there or not built in", "firmware"),
    (
        "chip without table",
        lambda tree: tree.device("00:00.2", "1022:1451", "080600", source="AMD Ryzen 5 1600"),
        "the chip shows one at 0000:00:00.2",
        "firmware",
    ),
    ("argument missing", lambda tree: tree.table("DMAR", trees.dmar()), "does not use it unasked", "cmdline"),
    (
        "argument off",
        lambda tree: tree.table("DMAR", trees.dmar()).cmdline("intel_iommu=on intel_iommu=off"),
        "intel_iommu=off switches it off",
        "cmdline",
    ),
    ("amd off", lambda tree: tree.table("IVRS").cmdline("amd_iommu=off"), "amd_iommu=off", "cmdline"),
    ("any off", lambda tree: tree.table("IVRS").cmdline("iommu=off"), "iommu=off", "cmdline"),
    ("no driver", lambda tree: tree.table("IVRS"), "the kernel does not drive it", "module"),
    (
        "asked in vain",
        lambda tree: tree.table("DMAR", trees.dmar()).cmdline("intel_iommu=on"),
        "the kernel does not drive it",
        "module",
    ),
    (
        "virtual machine",
        lambda tree: tree.cpuinfo("AuthenticAMD", "hypervisor"),
        "without a virtual IOMMU",
        "hardware",
    ),
    ("no SMMU", lambda tree: tree.table("IORT", trees.iort(0, 2)), "names no SMMU", "firmware"),
]


@pytest.mark.parametrize(
    ("build", "why", "fix"), [row[1:] for row in NOTHING], ids=[row[0] for row in NOTHING]
)
def test_no_iommu_and_why(
    tmp_path: pathlib.Path, build: t.Callable[[trees.Tree], t.Any], why: str, fix: str
) -> None:
    tree = trees.bare(tmp_path)
    build(tree)
    answers = ask(tree)
    for name in ("active", "groups", "interrupt_remapping"):
        assert (answers[name].status, answers[name].fix) == ("fail", fix)
        assert why in answers[name].why
        assert answers[name].hint
        assert answers[name].needs_reboot == (fix in ("firmware", "cmdline"))
    assert answers["isolation"].status == answers["default_domain"].status == "na"


def test_an_argument_does_not_take_the_table_away(tmp_path: pathlib.Path) -> None:
    answers = ask(trees.bare(tmp_path).cmdline("intel_iommu=off"))
    assert (answers["firmware_table"].status, answers["firmware_table"].fix) == ("fail", "firmware")
    assert answers["arguments"].status == "pass"


def test_noiommu_groups_never_pass(tmp_path: pathlib.Path) -> None:
    tree = trees.bare(tmp_path).group("0", name="vfio-noiommu")
    tree.device("01:00.0", "10de:2330", "030200", group="0", driver="vfio-pci", source=trees.SYSFS)
    tree.put("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n", source="drivers/vfio/group.c")
    answers = ask(tree)
    assert answers["groups"].status == "fail"
    assert "All 1 groups are VFIO's no-IOMMU fakes" in answers["groups"].why
    assert (answers["isolation"].status, answers["unsafe_overrides"].status) == ("na", "warn")


def test_one_fake_group_among_true_ones_is_named(tmp_path: pathlib.Path) -> None:
    groups = ask(with_gpu(trees.translating(tmp_path).group("9", name="vfio-noiommu")))["groups"]
    assert (groups.status, groups.fix) == ("warn", "module")
    assert "9" in groups.why
    assert groups.value == {"1": ["0000:01:00.0"]}


def test_an_acpi_member_is_reported(tmp_path: pathlib.Path) -> None:
    tree = with_gpu(trees.translating(tmp_path))
    tree.member("1", "AMDI0020:00", "/sys/devices/platform/AMDI0020:00")
    answers = ask(tree)
    assert "AMDI0020:00 in group 1" in answers["groups"].why
    assert (answers["isolation"].status, answers["isolation"].value) == (
        "warn",
        {"1": ["0000:01:00", "AMDI0020:00"]},
    )


# No interrupt remapping: DMAR flags, arguments, words of the reason, kind of remedy.
UNMAPPED = [
    (1, "quiet", "no interrupt is remapped", "firmware"),
    (0, "quiet", "does not offer interrupt remapping", "firmware"),
    (1, "intremap=off", "intremap=off", "cmdline"),
]


@pytest.mark.parametrize(("flags", "cmdline", "why", "fix"), UNMAPPED)
def test_groups_without_interrupt_remapping(
    tmp_path: pathlib.Path, flags: int, cmdline: str, why: str, fix: str
) -> None:
    tree = with_gpu(trees.translating(tmp_path)).table("DMAR", trees.dmar(flags)).cmdline(cmdline)
    answer = ask(tree.interrupts("IO-APIC", "PCI-MSI"))["interrupt_remapping"]
    assert (answer.status, answer.fix) == ("fail", fix)
    assert why in answer.why
    assert "Do not set allow_unsafe_interrupts" in answer.hint


def test_interrupts_are_looked_for_in_sysfs_as_well(tmp_path: pathlib.Path) -> None:
    tree = trees.translating(tmp_path)
    (tmp_path / "proc/interrupts").unlink()
    assert ask(tree)["interrupt_remapping"].status == "unknown"
    tree.put("/sys/kernel/irq/24/chip_name", "IR-PCI-MSI\n", source="kernel/irq/irqdesc.c")
    assert ask(tree)["interrupt_remapping"].value == ["IR-PCI-MSI"]


def test_arm64_with_an_smmu_and_an_its(tmp_path: pathlib.Path) -> None:
    tree = trees.bare(tmp_path).table("IORT", trees.iort(0, 2, 4)).unit("smmu3.0x0000000009050000")
    tree.put(
        "/proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\n", source="arch/arm64/kernel/cpuinfo.c"
    )
    tree.cmdline("iommu=pt").interrupts("GICv3", "ITS-PCI-MSIX-0000:01:00.0")
    answers = ask(with_gpu(tree))
    assert answers["firmware_table"].value["smmus"] == 1
    assert [answers[name].status for name in ("active", "interrupt_remapping", "posted_interrupts")] == [
        "pass",
        "pass",
        "na",
    ]
    assert "iommu.passthrough=1" in answers["arguments"].hint


def test_identity_domains_are_said_but_do_no_harm(tmp_path: pathlib.Path) -> None:
    domain = ask(with_gpu(trees.translating(tmp_path)).group("1", domain="identity"))["default_domain"]
    assert (domain.status, domain.value) == ("pass", {"identity": 1})
    assert "may reach all memory" in domain.why


def test_a_kernel_without_domain_types_says_nothing(tmp_path: pathlib.Path) -> None:
    tree = with_gpu(trees.translating(tmp_path))
    (tmp_path / "sys/kernel/iommu_groups/1/type").unlink()
    assert ask(tree)["default_domain"].status == "unknown"


# Posted interrupts: unit and register, KVM's parameter, status.
POSTED = [
    ("dmar0", POSTED_CAP, ("kvm_intel/parameters/enable_apicv", "Y"), "pass"),
    ("dmar0", POSTED_CAP, ("kvm_intel/parameters/enable_apicv", "N"), "warn"),
    ("dmar0", POSTED_CAP, ("other/parameters/x", "Y"), "unknown"),
    ("dmar0", {"intel-iommu/cap": "d2008c40660462\n"}, ("kvm_intel/parameters/enable_apicv", "Y"), "na"),
    ("ivhd0", {"amd-iommu/features": "25bf732fa2295afe:1d\n"}, ("kvm_amd/parameters/avic", "1"), "pass"),
    ("ivhd0", {"amd-iommu/features": "25bf732fa2295afe\n"}, ("kvm_amd/parameters/avic", "N"), "warn"),
    ("dmar0", {"intel-iommu/cap": "not a number\n"}, ("kvm_intel/parameters/enable_apicv", "Y"), "na"),
]


@pytest.mark.parametrize(("unit", "register", "parameter", "status"), POSTED)
def test_posted_interrupts(
    tmp_path: pathlib.Path, unit: str, register: dict[str, str], parameter: tuple[str, str], status: str
) -> None:
    tree = trees.bare(tmp_path).unit(unit, register)
    tree.put(f"/sys/module/{parameter[0]}", f"{parameter[1]}\n", source="arch/x86/kvm")
    assert ask(tree)["posted_interrupts"].status == status


# Arguments: command line, CPU flags, required, status, words of the reason.
ARGUMENTS: list[tuple[str, tuple[str, ...], tuple[str, ...], str, str]] = [
    ("quiet splash", (), (), "pass", "ignored or harmful"),
    ("intel_iommu=on iommu=pt", (), (), "pass", ""),
    ("amd_iommu=on", (), (), "warn", "amd_iommu=on: the kernel ignores this value"),
    ("iommu=1", (), (), "warn", "iommu=1: the kernel ignores this value"),
    ("intel_iommu=on,sm_on,bogus", (), (), "warn", "intel_iommu=bogus"),
    ("intel_iommu=off", (), (), "fail", "it switches the IOMMU off"),
    ("intel_iommu=off intel_iommu=on", (), (), "pass", ""),
    ("amd_iommu=off", (), (), "pass", ""),
    ("iommu=off iommu=force", (), (), "pass", ""),
    ("intremap=off", (), (), "fail", "VFIO refuses"),
    ("intremap=nosid", (), (), "warn", "in another's name"),
    ("pcie_acs_override=downstream,multifunction", (), (), "warn", "pretends that devices are isolated"),
    ("pci=noaer,disable_acs_redir=pci:12d8:8533", (), (), "warn", "merges groups"),
    ("pci=config_acs=x1@0000:00:01.0", (), (), "warn", "merges groups"),
    ("iommu=pt", ("sev_snp",), (), "warn", "SEV-SNP cannot be had"),
    ("iommu=pt", (), ("sev_snp",), "fail", "SEV-SNP cannot be had"),
    ("iommu=pt iommu=nopt", (), ("sev_snp",), "pass", ""),
    ("iommu.passthrough=1", (), ("sev_snp",), "fail", "iommu.passthrough=1"),
    ("iommu.passthrough=1 iommu.passthrough=0", (), ("sev_snp",), "pass", ""),
    ("amd_iommu=pgtbl_v2", (), ("sev_snp",), "fail", "amd_iommu=pgtbl_v2"),
]


@pytest.mark.parametrize(("cmdline", "flags", "require", "status", "why"), ARGUMENTS)
def test_arguments(
    tmp_path: pathlib.Path,
    cmdline: str,
    flags: tuple[str, ...],
    require: tuple[str, ...],
    status: str,
    why: str,
) -> None:
    tree = trees.translating(tmp_path).cmdline(cmdline)
    tree.cpuinfo("AuthenticAMD", *flags)
    answer = ask(tree, require=require)["arguments"]
    assert answer.status == status
    assert why in answer.why
    assert bool(answer.fix) == (status != "pass")


def test_faked_isolation_never_passes(tmp_path: pathlib.Path) -> None:
    tree = with_gpu(trees.translating(tmp_path)).cmdline("pcie_acs_override=downstream")
    answer = ask(tree)["isolation"]
    assert (answer.status, answer.fix) == ("warn", "cmdline")
    assert "isolation_faked" in answer.why


@pytest.mark.parametrize(("value", "status"), [("Y", "warn"), ("1", "warn"), ("N", "pass")])
def test_unsafe_interrupts(tmp_path: pathlib.Path, value: str, status: str) -> None:
    tree = trees.translating(tmp_path)
    path = "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
    tree.put(path, f"{value}\n", source="drivers/vfio/vfio_iommu_type1.c")
    assert ask(tree)["unsafe_overrides"].status == status


def test_a_container_takes_no_blame(tmp_path: pathlib.Path) -> None:
    tree = trees.bare(tmp_path).cmdline("amd_iommu=on")
    tree.put("/run/systemd/container", "docker\n", source="https://systemd.io/CONTAINER_INTERFACE")
    answers = ask(tree)
    assert {answer.status for answer in answers.values()} == {"na"}
    assert "container (docker)" in answers["active"].why
    assert answers["active"].fix == "host"


def test_nothing_to_see_is_unknown(tmp_path: pathlib.Path) -> None:
    answers = ask(trees.Tree(tmp_path))
    assert set(statuses(answers).values()) == {"unknown"}


def test_hidden_tables_are_unknown(tmp_path: pathlib.Path) -> None:
    """Container managers mask the folder with an empty one; that is no sign of firmware settings."""
    tree = trees.Tree(tmp_path).folder("/sys/firmware/acpi/tables", source="moby: masked paths")
    tree.folder("/sys/class/iommu", source="drivers/iommu/iommu-sysfs.c")
    answers = ask(tree)
    assert answers["firmware_table"].status == "unknown"
    assert (answers["active"].status, answers["active"].fix) == ("fail", "")


def test_an_unreadable_iort_is_unknown(tmp_path: pathlib.Path) -> None:
    assert ask(trees.bare(tmp_path).table("IORT", b"IORT"))["firmware_table"].status == "unknown"


def test_dmar_is_parsed() -> None:
    table = trees.dmar(0b011, width=46, kinds=(0, 0, 1, 2))
    assert acpi_iommu.parse_dmar(table) == acpi_iommu.Dmar(46, True, True, False, units=2, reserved_regions=1)
    assert acpi_iommu.parse_dmar(table[:47]) is None


def test_damaged_tables_end_where_the_damage_is() -> None:
    after_damage = trees.dmar(kinds=(0,)) + bytes(20) + trees.dmar(kinds=(0,))[48:]
    dmar = acpi_iommu.parse_dmar(after_damage)
    assert dmar is not None
    assert dmar.units == 1
    cut = trees.iort(4, 4)[:70]
    assert acpi_iommu.count_smmus(cut) == 1
    no_length = bytearray(trees.iort(4, 4))
    no_length[49:51] = bytes(2)
    assert acpi_iommu.count_smmus(bytes(no_length)) == 1


@given(st.binary(max_size=200))
def test_no_table_upsets_the_parsers(content: bytes) -> None:
    for table in (content, b"DMAR" + content, b"IORT" + content):
        acpi_iommu.parse_dmar(table)
        acpi_iommu.count_smmus(table)


WORDS = st.sampled_from(["intel_iommu", "amd_iommu", "iommu", "intremap", "pci", "iommu.passthrough", "x"])
OPTIONS = st.sampled_from(["on", "off", "pt", "nopt", "force", "1", "", "on,off", "config_acs=1", "pgtbl_v2"])


@given(
    words=st.lists(st.builds("{}={}".format, WORDS, OPTIONS) | st.text(max_size=8)),
    tables=st.none() | st.sampled_from([("DMAR",), ("IVRS",), ()]),
    arch=st.sampled_from(["x86", "arm64", "unknown"]),
    snp=st.sampled_from(["", "possible", "wanted"]),
)
def test_every_remark_says_what_why_and_how(
    words: list[str], tables: tuple[str, ...] | None, arch: str, snp: str
) -> None:
    arguments = iommu_arguments.Arguments(tuple(words))
    for remark in iommu_arguments.remarks(arguments, tables, arch, snp):
        assert remark.status in ("warn", "fail")
        assert remark.argument
        assert remark.why
        assert remark.hint


@pytest.mark.parametrize("name", CAPTURES)
def test_captures(capture: t.Callable[[str], pathlib.Path], name: str) -> None:
    """The captures hold no IOMMU files beyond links to groups: nothing may be called a failure."""
    findings = iommu.checks(Host(root=str(capture(name))), Policy())
    assert {finding.status for finding in findings} <= {"pass", "unknown", "na"}
    groups = next(finding for finding in findings if finding.id == "iommu.groups")
    assert groups.status == ("pass" if name == "intel-i7-1270p" else "unknown")
    if groups.value:
        assert groups.value["0"] == ["0000:00:02.0"]
        assert len(groups.value) == 15
