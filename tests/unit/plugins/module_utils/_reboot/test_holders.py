# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds a reboot back."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from machine import Machine

from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.holders import (
    HOLDS,
    SOCKETS,
    guest_of,
    read_holders,
)


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def names(machine: Machine) -> dict[str, str]:
    return {holder.name: holder.reason for holder in read_holders(machine.host)}


def test_an_idle_host_is_held_by_nobody_and_libvirt_is_not_started_to_ask(machine: Machine) -> None:
    assert names(machine) == {}
    assert machine.called == []


@pytest.mark.parametrize("socket", SOCKETS)
def test_running_guests_are_named_by_the_daemon_that_serves_them(machine: Machine, socket: str) -> None:
    machine.write(socket, "")
    machine.guests = ["web1", "name with blank"]
    assert list(names(machine)) == ["guest:name with blank", "guest:web1"]


def test_guests_that_cannot_be_listed_are_not_none(machine: Machine) -> None:
    machine.start_libvirt()
    machine.guests = None
    assert names(machine) == {"libvirt": "its guests could not be listed: virsh gave no answer within 60 s."}


def test_a_guest_without_libvirt_is_seen_by_its_process(machine: Machine) -> None:
    machine.start_process(4711, "/usr/bin/qemu-system-x86_64", "-name", "guest=web1,debug-threads=on")
    machine.start_process(4712, "/usr/libexec/qemu-kvm", "-m", "1G")
    machine.start_process(4713, "vim", "qemu-system-x86_64")
    machine.write("/proc/4714/cmdline", "")
    machine.write("/proc/meminfo", "MemTotal: 1 kB")
    assert names(machine) == {
        "guest:pid-4712": "the guest runs (process 4712)",
        "guest:web1": "the guest runs (process 4711)",
    }


def test_a_guest_that_is_seen_twice_is_named_once(machine: Machine) -> None:
    machine.start_process(4711, "/usr/bin/qemu-system-x86_64", "-name", "guest=web1,debug-threads=on")
    machine.start_libvirt("web1")
    assert names(machine) == {"guest:web1": "the guest runs (libvirt)"}


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        # The form that libvirt writes, src/qemu/qemu_command.c.
        ("/usr/bin/qemu-system-x86_64 -name guest=a,,b,debug-threads=on -S", "a,b"),
        ("/usr/bin/qemu-system-x86_64 -name plain,process=x", "plain"),
        ("/usr/bin/qemu-system-x86_64 --name plain", "plain"),
        ("kvm -name process=x", "pid-7"),
        ("qemu-system-aarch64", "pid-7"),
        ("qemu-system-x86_64 -name", "pid-7"),
        ("qemu-system-x86_64 -machine q35,accel=kvm -name x", "x"),
        # How libvirt asks an emulator for what it can do, src/qemu/qemu_process.c.
        (
            "/usr/bin/qemu-system-x86_64 -S -no-user-config -nodefaults -nographic"
            " -machine none,accel=kvm:tcg -qmp unix:monitor.sock -daemonize",
            "",
        ),
        ("qemu-system-x86_64 -M none", ""),
        ("/usr/bin/qemu-img convert a b", ""),
        ("grep qemu-system-x86_64", ""),
        ("qemu-kvm-helper", ""),
        ("", ""),
    ],
)
def test_which_guest_a_process_runs(argv: str, name: str) -> None:
    assert guest_of(argv.split(" "), "7") == name


def test_an_unconfirmed_rollback_holds_the_reboot_back_by_its_note(machine: Machine) -> None:
    machine.write(
        f"{HOLDS}/firewall", "rules of 08:00 UTC are not confirmed yet,\n  rolled back at 08:02 UTC\n"
    )
    machine.write(f"{HOLDS}/bridge", "")
    machine.write(f"{HOLDS}/.firewall.hearth-new", "half")
    machine.blind(f"{HOLDS}/broken")
    assert names(machine) == {
        "bridge": f"{HOLDS}/bridge says nothing more",
        "broken": f"{HOLDS}/broken: Is a directory",
        "firewall": "rules of 08:00 UTC are not confirmed yet, rolled back at 08:02 UTC",
    }
    machine.boot("")
    assert names(machine) == {}
