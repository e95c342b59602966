# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
import usedhost
from usedhost import CARD, DOWN, TWIN, UP

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import use_network
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.model import NETWORK

FOLDER = f"/sys/devices/pci0000:00/{CARD}"
HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
DEFAULT = "{}\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
STATIC = "{}\t006433C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
NONE = "0" * 32
DEFAULT6 = (
    f"{NONE} 00 {NONE} 00 20010db8000000000000000000000001 00000400 00000003 00000000 00000003     {{}}\n"
)
# An established connection to port 22 of 192.0.2.2, see test_network_tables.py.
SOCKETS = "head\n   1: 020200C0:0016 076433C6:DE63 01 0:0 00:0 0 0 0 1874\n"


@pytest.fixture
def used(tmp_path: pathlib.Path) -> usedhost.Used:
    """Return a host with a network card that is driven; nothing is set up."""
    used = usedhost.Used(tmp_path)
    used.card(class_code="020000", driver="e1000e")
    for path in ("route", "ipv6_route", "if_inet6", "tcp", "tcp6"):
        used.put(f"/proc/net/{path}", HEAD if path == "route" else "", source="proc(5)")
    return addressed(used)


def addressed(used: usedhost.Used, **interfaces: str) -> usedhost.Used:
    """Let ``ip`` list these addresses."""
    entries = [
        {"ifname": name, "addr_info": [{"family": "inet", "local": address, "scope": "global"}]}
        for name, address in interfaces.items()
    ]
    used.commands["ip"] = Completed(0, json.dumps(entries), "")
    return used


def told(used: usedhost.Used, address: str = CARD) -> list[str]:
    raw = use_network.read_network(used.host, used.places(address), used.snapshot)
    uses = use_network.parse_network(raw, address)
    assert all(use.kind == NETWORK for use in uses)
    return [use.what for use in uses]


def route(used: usedhost.Used, form: str, name: str) -> None:
    used.put("/proc/net/route", HEAD + form.format(name), source="net/ipv4/fib_trie.c")


@pytest.mark.parametrize("flags", [UP, DOWN])
def test_an_interface_without_address_route_and_master_is_free(used: usedhost.Used, flags: int) -> None:
    used.interface(f"{FOLDER}/net/eth0", flags)
    assert told(used) == []


def test_the_default_route_is_named_first(used: usedhost.Used) -> None:
    used.interface(f"{FOLDER}/net/eth0")
    route(used, DEFAULT, "eth0")
    used.put("/proc/net/ipv6_route", DEFAULT6.format("eth0"), source="net/ipv6/route.c")
    assert told(addressed(used, eth0="192.0.2.2")) == [
        "eth0 has the default route (IPv4, IPv6)",
        "eth0 has the address 192.0.2.2",
    ]


def test_a_route_is_a_use_without_any_address(used: usedhost.Used) -> None:
    used.interface(f"{FOLDER}/net/eth0")
    route(used, STATIC, "eth0")
    assert told(used) == ["eth0 has a route"]


def test_an_address_is_a_use_even_of_an_interface_that_is_down(used: usedhost.Used) -> None:
    used.interface(f"{FOLDER}/net/eth0", DOWN)
    assert told(addressed(used, eth0="192.0.2.2")) == ["eth0 has the address 192.0.2.2"]


def test_the_default_route_of_a_bridge_is_that_of_its_uplink(used: usedhost.Used) -> None:
    used.interface(f"{FOLDER}/net/eth0", master="bond0")
    used.interface("/sys/devices/virtual/net/bond0", master="br0")
    used.interface("/sys/devices/virtual/net/br0", uppers=["br0.7"])
    used.interface("/sys/devices/virtual/net/br0.7")
    route(used, DEFAULT, "br0")
    assert told(addressed(used, **{"br0.7": "192.0.2.7"})) == [
        "eth0 is part of br0, which has the default route (IPv4)",
        "eth0 is part of br0.7, which has the address 192.0.2.7",
        "eth0 is part of bond0",
    ]


@pytest.mark.parametrize("master", ["br0", "bond0", "ovs-system"])
def test_an_uplink_is_in_use_whatever_its_master_carries(used: usedhost.Used, master: str) -> None:
    used.interface(f"{FOLDER}/net/eth0", DOWN, master=master)
    assert told(used) == [f"eth0 is part of {master}"]


def test_interfaces_in_a_circle_come_to_an_end(used: usedhost.Used) -> None:
    used.interface(f"{FOLDER}/net/eth0", uppers=["macvlan0"])
    used.interface("/sys/devices/virtual/net/macvlan0", uppers=["eth0"])
    assert told(used) == ["eth0 is part of macvlan0"]


@pytest.mark.parametrize(
    ("sockets", "session"),
    [
        (SOCKETS, ""),
        ("", "198.51.100.7 56931 192.0.2.2 22"),
        (SOCKETS.replace(":0016", ":08AE"), "a 1 b 2222"),
    ],
)
def test_the_ssh_connection_is_named(used: usedhost.Used, sockets: str, session: str) -> None:
    used.interface(f"{FOLDER}/net/eth0")
    used.put("/proc/net/tcp", sockets, source="net/ipv4/tcp_ipv4.c")
    used.session = session
    assert told(addressed(used, eth0="192.0.2.2")) == [
        "eth0 carries an SSH connection",
        "eth0 has the address 192.0.2.2",
    ]


def test_a_connection_over_another_interface_is_not_ours(used: usedhost.Used) -> None:
    used.interface(f"{FOLDER}/net/eth1")
    used.interface("/sys/devices/virtual/net/eth0")
    used.put("/proc/net/tcp", SOCKETS, source="net/ipv4/tcp_ipv4.c")
    assert told(addressed(used, eth0="192.0.2.2")) == []


def test_without_ip_an_interface_that_is_up_is_not_free(used: usedhost.Used) -> None:
    used.interface(f"{FOLDER}/net/eth0")
    del used.commands["ip"]
    assert told(used) == [
        "cannot be told whether eth0 is in use: ip cannot be run: No such file or directory"
    ]
    used.put("/proc/net/if_inet6", f"{NONE[:-1]}2 02 40 00 80     eth0\n", source="net/ipv6/addrconf.c")
    assert told(used) == ["eth0 has the address ::2"]


def test_without_ip_an_interface_that_is_down_with_all_above_it_is_free(used: usedhost.Used) -> None:
    used.interface(f"{FOLDER}/net/eth0", DOWN)
    del used.commands["ip"]
    assert told(used) == []


def test_an_answer_of_ip_in_another_form_is_no_answer(used: usedhost.Used) -> None:
    used.interface(f"{FOLDER}/net/eth0")
    used.commands["ip"] = Completed(0, "1: lo: <LOOPBACK,UP>", "")
    assert told(used) == [
        "cannot be told whether eth0 is in use: ip -json address show answered in another form than expected"
    ]


def test_what_cannot_be_read_is_no_free_interface(used: usedhost.Used) -> None:
    used.interface(f"{FOLDER}/net/eth0")
    os.unlink(used.root / "proc/net/route")
    (used.root / "proc/net/route").mkdir()
    os.unlink(used.root / FOLDER.lstrip("/") / "net/eth0/flags")
    assert told(used) == [
        "cannot be told whether eth0 is in use: /proc/net/route: Is a directory",
        "cannot be told whether eth0 is in use: /sys/class/net/eth0/flags",
    ]


def test_a_list_that_cannot_be_read_is_no_host_without_interfaces() -> None:
    raw = use_network.RawNetwork(why="/sys/class/net: Permission denied")
    assert use_network.parse_network(raw, CARD)[0].what == "cannot be told: /sys/class/net: Permission denied"


@pytest.mark.parametrize(
    ("state", "what"),
    [
        ("4: ACTIVE", ["the RDMA link of mlx5_0 port 1 is active"]),
        ("1: DOWN", []),
        (None, ["the RDMA link of mlx5_0 port 1 is active"]),
    ],
)
def test_an_rdma_link_has_users_that_no_table_lists(
    used: usedhost.Used, state: str | None, what: list[str]
) -> None:
    path = f"{FOLDER}/infiniband/mlx5_0"
    used.folder(f"{path}/ports/1", source="drivers/infiniband/core/sysfs.c")
    if state:
        used.put(f"{path}/ports/1/state", f"{state}\n", source="drivers/infiniband/core/sysfs.c state_show()")
    used.link("/sys/class/infiniband/mlx5_0", path, source="drivers/infiniband/core/device.c")
    used.interface(f"{FOLDER}/net/eth0", DOWN)
    assert told(used) == what


def test_a_card_whose_interface_is_in_another_namespace_is_not_free(used: usedhost.Used) -> None:
    assert told(used) == [
        "cannot be told: e1000e drives it and shows no interface here, so it may be in another network namespace"
    ]


@pytest.mark.parametrize("driver", [None, "vfio-pci", "mlx5_vfio_pci", "uio_pci_generic", "pci-stub"])
def test_a_card_without_a_network_driver_has_no_interface(used: usedhost.Used, driver: str | None) -> None:
    used.card(TWIN, "020000", driver=driver)
    assert told(used, TWIN) == []


def test_no_tool_is_asked_for_a_device_without_interfaces(used: usedhost.Used) -> None:
    used.card(TWIN, "030200", driver="nvidia")
    assert told(used, TWIN) == []
    assert used.calls == []


def test_a_tool_is_asked_once(used: usedhost.Used) -> None:
    used.interface(f"{FOLDER}/net/eth0")
    used.interface(f"{FOLDER}/net/eth1")
    told(used)
    assert used.calls == [use_network.LIST_ADDRESSES]


def test_a_tool_that_hangs_is_no_answer(used: usedhost.Used) -> None:
    def hang(argv: t.Sequence[str], **_options: t.Any) -> Completed:
        raise CommandError(f"{argv[0]} gave no answer within 60 s.")

    used.interface(f"{FOLDER}/net/eth0")
    used.run = hang  # type: ignore[method-assign]
    assert told(used) == ["cannot be told whether eth0 is in use: ip gave no answer within 60 s"]


def test_an_ssh_connection_to_a_link_local_address_is_one(used: usedhost.Used) -> None:
    """Such an address alone says nothing: every interface that is up has one."""
    used.interface(f"{FOLDER}/net/eth0", UP)
    used.put(
        "/proc/net/if_inet6",
        "fe80000000000000505400fffe123456 02 40 20 80     eth0\n",
        source="net/ipv6/addrconf.c",
    )
    assert told(used) == []
    used.session = "fe80::1%eth0 50000 fe80::5054:ff:fe12:3456%eth0 22"
    assert told(used) == ["eth0 carries an SSH connection"]
