# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from fakenic import DISK, NETDEV, NIC, FakeHost
from fakepci import DEVICES

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import unreadable
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov import read
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.read import parse_link

ZERO = {"vf0.mac": "00:00:00:00:00:00", "vf0.vlan": "0", "vf0.qos": "0"}


def link(**vf: t.Any) -> str:
    return json.dumps([{"ifname": "enp3s0", "vfinfo_list": [{"vf": 0, **vf}]}])


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("[{}]", {}),
        (link(), ZERO),
        # iproute2 before 5.0 (commit 01e5409: print_vfinfo) has mac, later ones address.
        (link(mac="52:54:00:AA:00:01"), {**ZERO, "vf0.mac": "52:54:00:aa:00:01"}),
        (link(address="52:54:00:aa:00:01"), {**ZERO, "vf0.mac": "52:54:00:aa:00:01"}),
        (link(vlan=7, qos=1), {**ZERO, "vf0.vlan": "7", "vf0.qos": "1"}),
        (link(vlan_list=[{"vlan": 7}]), {**ZERO, "vf0.vlan": "7"}),
        (link(vlan_list=[{}]), ZERO),
        (link(rate={"max_tx": 10, "min_tx": 2}), {**ZERO, "vf0.max_tx_rate": "10", "vf0.min_tx_rate": "2"}),
        (link(spoofchk=True, trust=False), {**ZERO, "vf0.spoofchk": "on", "vf0.trust": "off"}),
        (link(link_state="disable"), {**ZERO, "vf0.link_state": "disable"}),
        # InfiniBand has addresses of 20 bytes: nothing that could be set.
        (link(address="00:00:10:49:fe:80:00:00:00:00"), {"vf0.vlan": "0", "vf0.qos": "0"}),
    ],
)
def test_what_ip_tells_of_a_vf(text: str, settings: dict[str, str]) -> None:
    assert parse_link(text) == settings


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", '[{"vfinfo_list": [{}]}]', link(rate=3)])
def test_what_is_no_answer_tells_nothing(text: str) -> None:
    assert parse_link(text) is None


def test_ports_that_stand_for_vfs_are_not_the_device(tmp_path: pathlib.Path) -> None:
    host = FakeHost(tmp_path)
    host.put(f"{DEVICES}/{NIC}/net/eth9/phys_port_name", "pf0vf3\n")
    found = read.parse_function(read.read_function(host.host, NIC), NIC)
    assert found and found.netdev == NETDEV
    host.put(f"{DEVICES}/{NIC}/net/eth8/phys_port_name", "p1\n")
    found = read.parse_function(read.read_function(host.host, NIC), NIC)
    assert found and "several" in found.why and not found.netdev


def test_a_device_without_the_tool_has_its_reason(tmp_path: pathlib.Path) -> None:
    fake = FakeHost(tmp_path)

    def run(argv: t.Sequence[str], **options: t.Any) -> Completed:
        raise CommandError("ip cannot be run: No such file or directory.")

    found = read.parse_function(read.read_function(Host(str(tmp_path), run), NIC), NIC)
    assert (
        found
        and found.why.startswith("ip cannot be run")
        and found.settings == {"numvfs": "0", "autoprobe": "1"}
    )
    assert fake.calls == []


def test_nobody_is_asked_about_a_device_that_hangs(tmp_path: pathlib.Path) -> None:
    host = FakeHost(tmp_path)
    host.put(f"/run/hearth/vfio-hung/{NIC}", "set sriov_numvfs: blocked\n")
    found = read.parse_function(read.read_function(host.host, NIC), NIC)
    assert found and (found.hung, found.settings) == ({NIC: "set sriov_numvfs: blocked"}, {})
    assert host.calls == []


@pytest.mark.parametrize("marked", [True, False])
def test_a_vf_that_hangs_is_not_waited_for_and_all_else_is_read(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, marked: bool
) -> None:
    monkeypatch.setattr(unreadable, "PATIENCE_S", 0.2)
    host = FakeHost(tmp_path)
    host._numvfs(host.devices[NIC], 2)
    override = tmp_path / f"{host.devices[host.vf(1)].folder}/driver_override".lstrip("/")
    override.unlink()
    # Who opens it waits, as for the lock of the device.
    os.mkfifo(override)
    if marked:
        host.put(f"/run/hearth/vfio-hung/{host.vf(1)}", "unbind: blocked\n")
    found = read.parse_function(read.read_function(host.host, NIC), NIC)
    assert found and list(found.hung) == [host.vf(1)]
    assert found.hung[host.vf(1)] == "unbind: blocked" or not marked
    assert (found.number, found.netdev, len(found.vfs)) == (2, NETDEV, 2)
    assert found.settings["vf0.vlan"] == "0"


def test_a_physical_function_that_does_not_answer_is_not_waited_for(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unreadable, "PATIENCE_S", 0.2)
    host = FakeHost(tmp_path)
    number = tmp_path / f"{host.devices[NIC].folder}/sriov_numvfs".lstrip("/")
    number.unlink()
    os.mkfifo(number)
    found = read.parse_function(read.read_function(host.host, NIC), NIC)
    assert found and "does not come back" in found.hung[NIC]
    assert host.calls == []


def test_vfs_are_in_the_order_of_their_indexes(tmp_path: pathlib.Path) -> None:
    host = FakeHost(tmp_path)
    host._numvfs(host.devices[DISK], 4)
    found = read.parse_function(read.read_function(host.host, DISK), DISK)
    assert found and [vf.address for vf in found.vfs] == host.devices[DISK].vfs
