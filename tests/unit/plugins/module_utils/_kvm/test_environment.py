# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import typing as t

import hosts
import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import environment
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

DMI = "/sys/class/dmi/id"


def answers(machine: hosts.Machine) -> list[tuple[str, t.Any]]:
    return [(finding.status, finding.value) for finding in environment.checks(machine.host, Policy())]


def test_bare_metal_outside_a_container(tmp_path: pathlib.Path) -> None:
    assert answers(hosts.intel(tmp_path, "vmx")) == [("pass", "bare metal"), ("pass", "")]


@pytest.mark.parametrize(
    ("name", "text", "machine"),
    [
        ("sys_vendor", "QEMU", "QEMU"),
        ("product_name", "VMware Virtual Platform", "VMware"),
        ("product_name", "Virtual Machine", "Hyper-V"),
        ("sys_vendor", "innotek GmbH", "VirtualBox"),
    ],
)
def test_virtual_machines_are_named_by_their_firmware_tables(
    name: str, text: str, machine: str, tmp_path: pathlib.Path
) -> None:
    tree = hosts.intel(tmp_path, "vmx").put(
        f"{DMI}/{name}", text + "\n", source="dmidecode; systemd-detect-virt"
    )
    status, value = answers(tree)[0]
    assert (status, value) == ("warn", machine)
    assert "emulated" in environment.checks(tree.host, Policy())[0].why


def test_a_hypervisor_without_a_name_still_emulates(tmp_path: pathlib.Path) -> None:
    assert answers(hosts.paravirtual(tmp_path))[0] == ("warn", "unnamed hypervisor")


def test_xen_names_itself(tmp_path: pathlib.Path) -> None:
    tree = hosts.intel(tmp_path).put("/sys/hypervisor/type", "xen\n", source="drivers/xen/sys-hypervisor.c")
    assert answers(tree)[0] == ("warn", "xen")


def test_a_physical_arm64_server_is_known_by_its_tables_only(tmp_path: pathlib.Path) -> None:
    machine = hosts.arm64(tmp_path)
    assert answers(machine)[0] == ("unknown", None)
    machine.put(f"{DMI}/sys_vendor", "Ampere(R)\n", source="dmidecode on an Ampere server")
    assert answers(machine)[0] == ("pass", "bare metal")


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("/run/systemd/container", "systemd-nspawn\n", "systemd-nspawn"),
        ("/proc/1/environ", "A=1\0container=lxc\0", "lxc"),
        ("/run/.containerenv", "", "podman"),
        ("/.dockerenv", "", "docker"),
    ],
)
def test_containers_are_named(path: str, text: str, name: str, tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path).put(path, text, source="systemd.io/CONTAINER_INTERFACE; podman; docker")
    assert answers(machine)[1] == ("na", name)


def test_an_empty_mark_names_nothing(tmp_path: pathlib.Path) -> None:
    machine = hosts.intel(tmp_path).put("/proc/1/environ", "container=\0", source="an empty variable")
    assert answers(machine)[1] == ("pass", "")


def test_without_a_view_of_the_first_process_only_systemd_rules_a_container_out(
    tmp_path: pathlib.Path,
) -> None:
    machine = hosts.Machine(tmp_path)
    assert answers(machine)[1] == ("unknown", None)
    machine.put("/run/systemd/system/marker", "", source="sd_booted(3)")
    assert answers(machine)[1] == ("pass", "")
