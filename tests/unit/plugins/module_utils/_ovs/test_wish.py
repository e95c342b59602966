# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ovscontract import CONTRACT

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    Contradiction,
    ParseError,
    Refusal,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    InterfaceWish,
    MirrorWish,
    PortWish,
    QosWish,
    Wish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import (
    AUTO,
    check_secure,
    parse_wish,
    primary_controllers,
    uplinks,
    wants_auto_hwaddr,
    with_hwaddr,
)

EMPTY: frozenset[t.Any] = frozenset()
MAC = "02:00:00:00:00:aa"


def parse(**given: t.Any) -> Wish:
    return parse_wish({"name": "br0", **given})


def of(*values: t.Any) -> frozenset[t.Any]:
    return frozenset(values)


def test_a_name_alone_manages_nothing_of_the_bridge() -> None:
    assert parse() == Wish("br0")
    options = (
        "state datapath_type fail_mode stp rstp mcast_snooping protocols controllers hwaddr mtu other_config "
        "external_ids ports mirrors qos purge allow other_config_mode external_ids_mode options_mode"
    )
    assert parse(**dict.fromkeys(options.split())) == Wish("br0")


def test_the_whole_contract_is_one_wish() -> None:
    wish = parse_wish(CONTRACT)
    assert wish == Wish(
        "br-ex",
        bridge={
            "datapath_type": "netdev",
            "fail_mode": of("standalone"),
            "stp_enable": False,
            "rstp_enable": False,
            "mcast_snooping_enable": True,
            "protocols": of("OpenFlow10", "OpenFlow13"),
            "other_config": {"mcast-snooping-disable-flood-unregistered": "true", "hwaddr": AUTO},
            "external_ids": {},
        },
        local=InterfaceWish("br-ex", {"mtu_request": of(9000)}),
        ports=(
            PortWish(
                "eno1",
                (InterfaceWish("eno1"),),
                qos=QosWish(
                    "linux-htb",
                    {"other_config": {"max-rate": "10000000000"}},
                    {0: {"other_config": {"min-rate": "1000000000"}}},
                ),
            ),
            PortWish("eno2", (InterfaceWish("eno2"),), {"tag": of(40)}, QosWish()),
            PortWish(
                "eno3",
                (InterfaceWish("eno3"),),
                {"vlan_mode": of("native-untagged"), "tag": of(10), "trunks": of(20, 30, 31, 32)},
                QosWish(),
            ),
            PortWish(
                "bond0",
                (InterfaceWish("ens1f0"), InterfaceWish("ens1f1")),
                {
                    "bond_mode": of("balance-tcp"),
                    "lacp": of("active"),
                    "bond_updelay": 200,
                    "bond_downdelay": 0,
                    "other_config": {"lacp-time": "fast", "bond-miimon-interval": "100"},
                },
                QosWish(),
            ),
            PortWish(
                "storage0",
                (InterfaceWish("storage0", {"type": "internal", "mtu_request": of(9000)}),),
                {"tag": of(30)},
                QosWish(),
            ),
            PortWish(
                "vx-host2",
                (
                    InterfaceWish(
                        "vx-host2",
                        {
                            "type": "vxlan",
                            "options": {"remote_ip": "192.0.2.2", "key": "100", "dst_port": "4789"},
                        },
                    ),
                ),
                qos=QosWish(),
            ),
            PortWish(
                "gnv-host3",
                (
                    InterfaceWish(
                        "gnv-host3", {"type": "geneve", "options": {"remote_ip": "192.0.2.3", "key": "flow"}}
                    ),
                ),
                qos=QosWish(),
            ),
            PortWish(
                "p-to-int",
                (InterfaceWish("p-to-int", {"type": "patch", "options": {"peer": "p-to-ex"}}),),
                qos=QosWish(),
            ),
            PortWish(
                "dpdk0",
                (InterfaceWish("dpdk0", {"type": "dpdk", "options": {"dpdk-devargs": "0000:01:00.0"}}),),
                qos=QosWish(),
            ),
        ),
        mirrors=(
            MirrorWish(
                "span0",
                {
                    "select_src_port": of("eno2"),
                    "select_dst_port": of("eno2"),
                    "output_port": of("storage0"),
                    "output_vlan": EMPTY,
                },
            ),
        ),
        controllers=(),
    )
    assert uplinks(wish) == ("eno1", "eno2", "eno3", "ens1f0", "ens1f1")


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        ({"datapath_type": "system"}, {"datapath_type": "system"}),
        ({"datapath_type": ""}, {"datapath_type": "system"}),
        ({"fail_mode": "secure"}, {"fail_mode": {"secure"}}),
        ({"fail_mode": "none"}, {"fail_mode": EMPTY}),
        ({"fail_mode": ""}, {"fail_mode": EMPTY}),
        ({"stp": True, "rstp": False}, {"stp_enable": True, "rstp_enable": False}),
        ({"mcast_snooping": False}, {"mcast_snooping_enable": False}),
        ({"protocols": []}, {"protocols": EMPTY}),
        ({"protocols": ["OpenFlow13", "OpenFlow13"]}, {"protocols": {"OpenFlow13"}}),
        ({"hwaddr": MAC.upper()}, {"other_config": {"hwaddr": MAC}}),
        ({"hwaddr": ""}, {"other_config": {"hwaddr": None}}),
        ({"hwaddr": "none"}, {"other_config": {"hwaddr": None}}),
        ({"external_ids": {"a": 1, "b": None}}, {"external_ids": {"a": "1", "b": None}}),
    ],
)
def test_each_option_of_a_bridge_is_its_column(options: dict[str, t.Any], columns: dict[str, t.Any]) -> None:
    assert parse(**options) == Wish("br0", bridge=columns)


def test_empty_lists_are_enforced_and_omitted_ones_are_not_managed() -> None:
    assert parse(ports=[], mirrors=[], controllers=[]) == Wish("br0", ports=(), mirrors=(), controllers=())
    assert parse(qos={}) == Wish("br0")
    assert parse(mtu="none").local == InterfaceWish("br0", {"mtu_request": EMPTY})


@pytest.mark.parametrize(
    ("options", "message", "remedy"),
    [
        ({"name": "bridge-of-16-char"}, "name: 'bridge-of-16-char' has 17 characters", "at most 15"),
        ({"name": None}, "name: None is no name", "at most 15"),
        ({"datapath_type": "user"}, "datapath_type of bridge br0: 'user' is not known", "system, netdev"),
        ({"fail_mode": "safe"}, "fail_mode of bridge br0: 'safe' is not known", "or none to clear it"),
        ({"stp": "yes"}, "stp of bridge br0: 'yes'", "true or false"),
        ({"protocols": ["OpenFlow1.3"]}, "protocols of bridge br0: 'OpenFlow1.3'", "mean 'OpenFlow13'?"),
        ({"protocols": ["none"]}, "protocols of bridge br0: an item is empty", "is the default"),
        ({"hwaddr": "02:00:00:00:00"}, "hwaddr: '02:00:00:00:00' is no MAC address", "in quotes"),
        ({"mtu": 70000}, "mtu of bridge br0: 70000 is no whole number from 68 to 65535", "none to clear"),
        ({"other_config": ["a=b"]}, "other_config of bridge br0: .* is no mapping", "null one key"),
        ({"other_config": {"a": [1]}}, "a in other_config of bridge br0: .* is no text", "in quotes"),
        ({"external_ids": {"hearth-owner": "x"}}, "hearth-owner marks", "leave it out"),
        ({"controllers": "tcp:192.0.2.1"}, "controllers: 'tcp:192.0.2.1' is no list", "a list"),
        ({"controllers": ["192.0.2.1"]}, "controllers: '192.0.2.1' is no target", "'tcp:192.0.2.1:6653'"),
        ({"controllers": ["tcp:2001:db8::1"]}, "is no target", r"'ssl:[2001:db8::1]:6653'"),
        ({"controllers": ["tcp:"]}, "is no target", "write it like"),
        ({"controllers": [None]}, "controllers: None is no target", "write it like"),
        ({"controllers": ["ptcp:", "ptcp:"]}, "controllers: 'ptcp:' is there twice", "once"),
        ({"allow": ["force"]}, "'force' is nothing to allow", "there is no name for all"),
        ({"qos": {"eno1": {}}}, "qos: 'eno1' is no port of this task", "name one of ports"),
    ],
)
def test_a_bridge_that_could_not_work_is_refused_with_the_option(
    options: dict[str, t.Any], message: str, remedy: str
) -> None:
    with pytest.raises(ParseError, match=message) as error:
        parse(**options)
    assert remedy in error.value.remedy


@pytest.mark.parametrize(
    ("options", "message", "remedy"),
    [
        ({"stp": True, "rstp": True}, "Bridge br0 has both stp and rstp", "set one of them to false"),
        ({"purge": "all"}, "purge: all of bridge br0 has no list to compare with", "an empty list removes"),
        (
            {"hwaddr": MAC, "other_config": {"hwaddr": MAC}},
            "the address of the bridge is given twice",
            "leave it out",
        ),
        ({"ports": [{"name": "br0"}]}, "Port br0 has the name of its bridge", "mtu and hwaddr"),
        (
            {"ports": [{"name": "d0", "type": "dpdk", "options": {"dpdk-devargs": "0000:01:00.0"}}]},
            "bridge br0 says no datapath_type",
            "datapath_type: netdev",
        ),
    ],
)
def test_wishes_that_exclude_each_other_are_refused(
    options: dict[str, t.Any], message: str, remedy: str
) -> None:
    with pytest.raises(Contradiction, match=f"(?i){message}") as error:
        parse(**options)
    assert remedy in error.value.remedy


def test_refusals_are_lifted_by_their_names() -> None:
    assert parse(allow=["lockout", "steal"]).allow == {model.LOCKOUT, model.STEAL}
    ends = [{"name": one, "type": "patch", "peer": other} for one, other in (("pa", "pb"), ("pb", "pa"))]
    with pytest.raises(Refusal, match="which is a loop"):
        parse(ports=ends)
    assert parse(ports=ends, allow=["loop"]).ports
    span = [{"name": "m0", "select_all": True, "output_port": "br0"}]
    with pytest.raises(Refusal, match="would take the port of bridge br0"):
        parse(mirrors=span)
    assert parse(mirrors=span, allow=["lockout"]).mirrors


def test_of_a_bridge_that_goes_only_its_name_matters() -> None:
    wish = parse(state="absent", stp=True, rstp=True, ports=[{"name": "br0"}], allow=["guest_ports"])
    assert wish == Wish("br0", present=False, allow=of("guest_ports"))
    with pytest.raises(ParseError, match="is nothing to allow"):
        parse(state="absent", allow=["everything"])


@pytest.mark.parametrize(
    "target",
    [
        "tcp:192.0.2.1",
        "tcp:192.0.2.1:6653",
        "ssl:[2001:db8::1]:6653",
        "tcp:controller.example.org",
        "unix:/run/openvswitch/br0.controller",
    ],
)
def test_a_target_that_is_connected_to_is_a_controller(target: str) -> None:
    assert parse(controllers=[target]).controllers == (target,)
    assert primary_controllers([target]) == (target,)


@pytest.mark.parametrize(
    "target", ["ptcp:", "ptcp:6653", "pssl:6653:[::1]", "ptcp:6653:127.0.0.1", "punix:/run/br0.mgmt"]
)
def test_a_target_that_is_listened_for_sets_up_no_flows(target: str) -> None:
    assert parse(controllers=[target]).controllers == (target,)
    assert primary_controllers([target]) == ()


@pytest.mark.parametrize(
    ("options", "replace"),
    [
        ({"other_config_mode": "merge"}, ()),
        ({"other_config_mode": "replace"}, ("Port.other_config", "QoS.other_config", "Queue.other_config")),
        (
            {"other_config_mode": "replace", "other_config": {"a": 1}},
            ("Bridge.other_config", "Port.other_config", "QoS.other_config", "Queue.other_config"),
        ),
        ({"external_ids_mode": "replace"}, ("Port.external_ids",)),
        (
            {"external_ids_mode": "replace", "external_ids": {}},
            ("Bridge.external_ids", "Port.external_ids"),
        ),
        ({"options_mode": "replace"}, ("Interface.options",)),
        # An empty map and the address in it: all keys go, and the address comes.
        ({"other_config": {}, "hwaddr": MAC}, ("Bridge.other_config",)),
    ],
)
def test_maps_are_enforced_whole_where_it_is_said(
    options: dict[str, t.Any], replace: tuple[str, ...]
) -> None:
    assert parse(**options).replace == set(replace)


def test_the_address_of_a_device_is_put_where_auto_stood() -> None:
    wish = parse(hwaddr="auto", stp=False, other_config={"dp-desc": "x"})
    assert wants_auto_hwaddr(wish)
    assert with_hwaddr(wish, MAC.upper()).bridge == {
        "stp_enable": False,
        "other_config": {"dp-desc": "x", "hwaddr": MAC},
    }
    assert with_hwaddr(wish, "").bridge == {"stp_enable": False, "other_config": {"dp-desc": "x"}}
    assert not wants_auto_hwaddr(with_hwaddr(wish, MAC))
    assert not wants_auto_hwaddr(parse(hwaddr=MAC))
    assert not wants_auto_hwaddr(parse())


def test_without_a_device_auto_clears_nothing_that_nobody_asked_to_clear() -> None:
    assert with_hwaddr(parse(hwaddr="auto"), "") == Wish("br0")
    cleared = with_hwaddr(parse(hwaddr="auto", other_config={}), "")
    assert cleared.bridge == {"other_config": {}}


SECURE = {"fail_mode": "secure"}


@pytest.mark.parametrize("controllers", [[], ["ptcp:6653"]])
def test_a_bridge_that_carries_the_host_does_not_stand_still(controllers: list[str]) -> None:
    wish = parse(controllers=controllers, **SECURE)
    with pytest.raises(Refusal, match="Bridge br0 carries the host, and with fail_mode secure") as error:
        check_secure(wish, carries_host=True)
    assert "allow lockout" in error.value.remedy
    check_secure(wish, carries_host=False)
    check_secure(parse(controllers=controllers, allow=["lockout"], **SECURE), carries_host=True)
    check_secure(parse(controllers=controllers, fail_mode="standalone"), carries_host=True)


def test_controllers_that_are_not_managed_are_left_to_who_sees_the_host() -> None:
    check_secure(parse(**SECURE), carries_host=True)
    check_secure(parse(controllers=["tcp:192.0.2.1"], **SECURE), carries_host=True)
