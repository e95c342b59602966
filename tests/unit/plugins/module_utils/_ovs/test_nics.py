# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The devices of the host, out of one process, with what of the host depends on each."""

from __future__ import annotations

import json

import pytest
from ovsdbengine import FIXTURES

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError, ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import Caller
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.nics import parse_nics, read_nics

CAPTURES = FIXTURES.parent / "nics"
QUESTIONS = "address show\nroute show table all exact default\n"
CONNECTION = "192.0.2.99 50000 192.0.2.11 22"
SSH, DEFAULT = "the SSH connection", "the default route"


class Machine:
    """A host whose ``ip`` prints one text."""

    def __init__(self, root, out, connection="", rc=0, err=""):
        self.host = Host(str(root), self.run, environ=lambda name: connection or None)
        self.done = Completed(rc, out, err)
        self.root = root
        self.asked = []

    def run(self, argv, *, stdin=None, timeout_s=60.0, check=True):
        assert not check, "a way back that is not there is no failure"
        self.asked.append((tuple(argv), stdin))
        return self.done

    def sysfs(self, *paths):
        for path in paths:
            (self.root / "sys/class/net" / path).mkdir(parents=True)

    def read(self):
        return read_nics(self.host)


def captured(name):
    return (CAPTURES / f"{name}.json").read_text()


@pytest.fixture
def host(tmp_path):
    return Machine(tmp_path, captured("host"), CONNECTION).read()


def test_one_process_is_asked_for_everything(tmp_path):
    machine = Machine(tmp_path, captured("host"), CONNECTION)
    machine.read()
    ((argv, stdin),) = machine.asked
    assert argv == ("ip", "-j", "-d", "-force", "-batch", "-")
    assert stdin == f"{QUESTIONS}route get 192.0.2.99 from 192.0.2.11\n"


def test_without_an_ssh_connection_nobody_asks_for_a_way_back(tmp_path):
    machine = Machine(tmp_path, captured("host"))
    assert machine.read()["eno1"].carries[0] == DEFAULT
    assert machine.asked[0][1] == QUESTIONS


def test_the_card_of_the_host_carries_all_that_makes_it_the_host(host):
    assert host["eno1"].carries == (
        SSH,
        DEFAULT,
        "the address 192.0.2.11/24",
        "the address 2001:db8:1::11/64",
    )
    assert host["eno1"].addresses == ("192.0.2.11/24", "2001:db8:1::11/64")
    assert (host["eno1"].mac, host["eno1"].mtu, host["eno1"].max_mtu) == ("02:00:00:00:00:01", 1500, 65535)


def test_a_member_of_a_linux_bridge_carries_what_the_bridge_carries(host):
    assert host["eno2"].master == "br0"
    assert host["eno2"].carries == (
        "the default route through br0",
        "the address 198.51.100.11/24 through br0",
    )
    assert (host["br0"].kind, host["br0"].master) == ("bridge", "")


def test_a_device_below_a_macvlan_carries_what_the_macvlan_carries(host):
    assert host["eno3"].carries == ("the address 203.0.113.11/24 through mv0",)


def test_the_other_end_of_a_veth_is_not_built_on_it(host):
    assert host["eno1x"].carries == ()
    assert host["eno3x"].carries == ()


def test_link_local_addresses_and_those_of_the_host_alone_carry_nothing(host):
    assert host["eno4"].carries == host["lo"].carries == ()


def test_carrier_is_told_from_no_carrier_and_from_nobody_knows(host):
    assert host["eno1"].carrier is True
    assert host["eno4"].carrier is False
    assert host["eno4x"].carrier is None


def test_the_kind_is_what_made_a_device_or_its_link_type(host):
    assert {name: host[name].kind for name in ("eno1", "lo", "l3", "br-int", "mv0")} == {
        "eno1": "veth",
        "lo": "loopback",
        "l3": "none",
        "br-int": "tun",
        "mv0": "macvlan",
    }


def test_after_the_move_the_bridge_carries_what_the_card_did(tmp_path):
    moved = Machine(tmp_path, captured("moved"), CONNECTION).read()
    assert moved["eno1"].carries == ()
    assert set(moved["br-int"].carries) == {
        SSH,
        DEFAULT,
        "the address 192.0.2.11/24",
        "the address 2001:db8:1::11/64",
    }


def test_no_way_back_to_the_caller_leaves_the_device_that_was_called(tmp_path):
    # What remains is two arrays, with status 1 (README of the captures).
    two = "".join(captured("host").splitlines(keepends=True)[:-1])
    machine = Machine(tmp_path, two, CONNECTION, rc=1, err="RTNETLINK answers: Network is unreachable\n")
    assert machine.read()["eno1"].carries[0] == SSH


def test_the_way_back_counts_as_much_as_the_address_that_was_called(tmp_path):
    caller = Caller("192.0.2.99", "192.0.2.11", 22)
    devices, routes, _path = (json.loads(line) for line in captured("host").splitlines())
    found = parse_nics(devices, routes, [{"dst": "192.0.2.99", "dev": "eno3"}], caller)
    assert found["eno3"].carries[0] == found["eno1"].carries[0] == SSH


def test_a_caller_from_this_very_host_depends_on_no_device():
    lo = {
        "ifname": "lo",
        "link_type": "loopback",
        "addr_info": [{"local": "127.0.0.1", "prefixlen": 8, "scope": "host"}],
    }
    found = parse_nics([lo], [], [{"dst": "127.0.0.1", "dev": "lo"}], Caller("127.0.0.1", "127.0.0.1", 22))
    assert found["lo"].carries == ()


def test_a_dead_hop_and_a_route_to_nowhere_are_no_default_routes():
    devices = [{"ifname": name} for name in ("eno1", "eno2", "lo")]
    hops = [{"dev": "eno1", "flags": ["dead", "linkdown"]}, {"dev": "eno2", "flags": []}]
    routes = [{"dst": "default", "nexthops": hops}, {"type": "unreachable", "dst": "default", "dev": "lo"}]
    found = parse_nics(devices, routes)
    assert [name for name in found if found[name].carries] == ["eno2"]


def vlan(**more):
    """A VLAN device; the kernel of the test machine makes none, the form is that of the macvlan in the capture."""
    return {"ifname": "eno1.40", "link": "eno1", "linkinfo": {"info_kind": "vlan"}, **more}


def test_what_is_built_on_what_is_built_on_a_card_is_on_the_card():
    devices = [{"ifname": "eno1", "master": "bond0"}, {"ifname": "bond0"}, vlan(link="bond0")]
    found = parse_nics(devices, [{"dst": "default", "dev": "eno1.40"}])
    assert found["eno1"].carries == ("the default route through eno1.40",)
    assert found["eno1"].master == "bond0"


def test_a_lower_device_in_another_namespace_is_not_the_one_of_that_name_here():
    found = parse_nics([{"ifname": "eno1"}, vlan(link_netnsid=0)], [{"dst": "default", "dev": "eno1.40"}])
    assert found["eno1"].carries == ()


def test_devices_that_stand_on_each_other_in_a_circle_end():
    devices = [vlan(ifname="a", link="b"), vlan(ifname="b", link="a")]
    assert parse_nics(devices, [{"dst": "default", "dev": "a"}])["b"].carries == (
        "the default route through a",
    )


@pytest.mark.parametrize(
    "devices",
    [
        [{"ifname": "eno1", "master": "ovs-system", "linkinfo": {"info_slave_kind": "openvswitch"}}],
        [
            {"ifname": "eno1", "master": "ovs-system"},
            {"ifname": "ovs-system", "linkinfo": {"info_kind": "openvswitch"}},
        ],
    ],
)
def test_open_vswitch_is_no_master_that_would_have_to_give_a_device_up(devices):
    assert parse_nics(devices, [])["eno1"].master == ""


# As the test machine's own card: a virtio device has no linkinfo, and iproute2 6.1 says what bus it is on.
CARD = {"ifname": "eno1", "link_type": "ether", "parentbus": "virtio", "parentdev": "virtio2"}


def answer(*devices):
    return f"{json.dumps(devices)}\n[]\n"


def test_a_card_is_on_a_bus(tmp_path):
    assert Machine(tmp_path, answer(CARD)).read()["eno1"].physical


def test_an_older_ip_does_not_name_the_bus_and_sysfs_does(tmp_path):
    old = {key: value for key, value in CARD.items() if not key.startswith("parent")}
    machine = Machine(tmp_path, answer(old, {**old, "ifname": "eno2"}))
    machine.sysfs("eno1/device")
    found = machine.read()
    assert (found["eno1"].physical, found["eno2"].physical) == (True, False)


def test_what_software_made_is_no_card_whatever_sysfs_has_of_that_name(host, tmp_path):
    # In a network namespace /sys may be the one of another.
    machine = Machine(tmp_path, captured("host"))
    machine.sysfs("eno1/device", "eno1/phy80211")
    assert not machine.read()["eno1"].physical
    assert not machine.read()["eno1"].wireless


@pytest.mark.parametrize("mark", ["phy80211", "wireless"])
def test_a_wireless_card_is_known_by_sysfs(tmp_path, mark):
    machine = Machine(tmp_path, answer(CARD))
    machine.sysfs(f"eno1/{mark}")
    assert machine.read()["eno1"].wireless


@pytest.mark.parametrize("out", ["", "ip: unrecognized option", answer(CARD).splitlines()[0]])
def test_an_ip_that_does_not_answer_in_json_is_refused_with_what_it_said(tmp_path, out):
    # The message is that of BusyBox.
    with pytest.raises(ParseError, match="told too little.*unrecognized option: j") as raised:
        Machine(tmp_path, out, rc=1, err="ip: unrecognized option: j").read()
    assert "iproute2" in raised.value.remedy


def test_a_host_without_ip_fails_with_its_name(tmp_path):
    def run(argv, **_options):
        raise CommandError("ip cannot be run: No such file or directory.")

    with pytest.raises(CommandError, match="ip cannot be run"):
        read_nics(Host(str(tmp_path), run, environ=lambda name: None))


def test_empty_entries_of_older_versions_are_passed_over(tmp_path):
    out = f"[{{}},{json.dumps(CARD)},{{}}]\n[]\n"
    assert list(Machine(tmp_path, out).read()) == ["eno1"]
