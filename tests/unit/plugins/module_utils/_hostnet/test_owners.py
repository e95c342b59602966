# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who configures a card: found out, never guessed."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import (
    IFUPDOWN,
    NETPLAN,
    NETWORK_MANAGER,
    NETWORKD,
    Owner,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.owners import (
    choose,
    owner_of,
    read_interfaces,
)

# Of systemd-networkd 252 in a network namespace, but for lines that say nothing here.
LINK = """\
# This is private data. Do not parse.
ADMIN_STATE=configuring
OPER_STATE=routable
REQUIRED_FOR_ONLINE=yes
NETWORK_FILE=/etc/systemd/network/10-up.network
DNS=
"""
# Of NetworkManager 1.42.4 in a network namespace: nmcli -t -f DEVICE,STATE,CONNECTION device.
DEVICES = "eth9:connected:eth9\nlo:connected (externally):lo\np9:unmanaged:\n"
INTERFACES = "source /etc/network/interfaces.d/*\nauto eth9\niface eth9 inet dhcp\n"


class Machine:
    """A root to fill, and NetworkManager's tool."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.devices = DEVICES
        self.rc = 0
        self.host = Host(root=str(root), run=self.run)

    def run(self, argv: t.Sequence[str], **options: t.Any) -> Completed:
        if argv[:3] == ("nmcli", "-t", "-f"):
            return Completed(self.rc, self.devices, "")
        assert argv == ("nmcli", "-g", "IP4.DNS,IP6.DNS", "device", "show", "eth9")
        return Completed(0, "192.0.2.53 | 192.0.2.54\n\n", "")

    def write(self, path: str, text: str = "") -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def networkd(self, link: str = LINK, file: str = "[Match]\nName=eth9\n") -> None:
        self.write("/sys/class/net/eth9/ifindex", "3\n")
        self.write("/run/systemd/netif/links/3", link)
        self.write("/etc/systemd/network/10-up.network", file)

    def network_manager(self) -> None:
        self.write("/run/NetworkManager/devices/3")

    def ifupdown(self, text: str = INTERFACES) -> None:
        self.write("/sbin/ifup")
        self.write("/etc/network/interfaces", text)

    def owner(self) -> Owner:
        return owner_of(self.host, "eth9")


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def test_nobody_is_found_where_there_is_nobody(machine: Machine) -> None:
    assert machine.owner() == Owner()


def test_networkd_is_found_with_the_file_that_it_uses(machine: Machine) -> None:
    machine.networkd()
    machine.write("/run/systemd/netif/leases/3", "CLIENTID=ff01\n")
    for place, name in (("run", "b.conf"), ("etc", "a.conf"), ("etc", "b.conf"), ("etc", "c.txt")):
        machine.write(f"/{place}/systemd/network/10-up.network.d/{name}", f"[Network]\n# {place}\n")
    found = machine.owner()
    assert (found.name, found.lease) == (NETWORKD, "CLIENTID=ff01")
    assert list(found.texts) == [
        "/etc/systemd/network/10-up.network",
        "/etc/systemd/network/10-up.network.d/a.conf",
        "/etc/systemd/network/10-up.network.d/b.conf",
    ]


def test_after_the_move_the_file_before_ours_is_found(machine: Machine) -> None:
    ours = "/run/systemd/network/00-hearth-eth9.network"
    machine.networkd(LINK.replace("/etc/systemd/network/10-up.network", ours))
    machine.write(ours, "# Written\n# hearth:original /etc/systemd/network/10-up.network\n")
    assert list(machine.owner().texts) == ["/etc/systemd/network/10-up.network"]


def test_what_netplan_rendered_is_netplans(machine: Machine) -> None:
    rendered = "/run/systemd/network/10-netplan-eth9.network"
    machine.networkd(LINK.replace("/etc/systemd/network/10-up.network", rendered))
    machine.write(rendered, "[Match]\nName=eth9\n")
    assert (machine.owner().name, list(machine.owner().texts)) == (NETPLAN, [rendered])


@pytest.mark.parametrize(
    "link", [LINK.replace("configuring", "unmanaged"), LINK.replace("NETWORK_FILE", "X"), ""]
)
def test_networkd_that_leaves_the_card_alone_is_no_owner(machine: Machine, link: str) -> None:
    machine.networkd(link)
    assert machine.owner() == Owner()


def test_network_manager_is_found_with_its_connection_and_its_servers(machine: Machine) -> None:
    machine.network_manager()
    assert machine.owner() == Owner(
        NETWORK_MANAGER, {"connection eth9": ""}, servers=("192.0.2.53", "192.0.2.54")
    )


@pytest.mark.parametrize(
    "line",
    [
        "eth9:unmanaged:",
        "eth9:unavailable:",
        "eth9:disconnected:",
        "eth9:connected (externally):eth9",
        "eth1:connected:x",
        "eth9",
        "",
    ],
)
def test_network_manager_that_leaves_the_card_alone_is_no_owner(machine: Machine, line: str) -> None:
    machine.network_manager()
    machine.devices = f"{line}\n"
    assert machine.owner().name == ("" if line != "eth9" else NETWORK_MANAGER)


def test_a_connection_without_a_name_is_still_one(machine: Machine) -> None:
    machine.network_manager()
    machine.devices = "eth9:connecting (getting IP configuration):\n"
    assert list(machine.owner().texts) == ["connection"]


def test_network_manager_that_does_not_run_is_no_owner(machine: Machine) -> None:
    machine.network_manager()
    machine.rc = 8
    assert machine.owner() == Owner()


def test_ifupdown_is_found_with_all_its_files(machine: Machine) -> None:
    machine.ifupdown("source /etc/network/interfaces.d/*\n")
    machine.write("/etc/network/interfaces.d/eth9", "iface eth9 inet dhcp\nsource /etc/network/interfaces\n")
    found = machine.owner()
    assert (found.name, list(found.texts)) == (
        IFUPDOWN,
        ["/etc/network/interfaces", "/etc/network/interfaces.d/eth9"],
    )


def test_ifupdown_that_says_something_unclear_is_an_owner_too(machine: Machine) -> None:
    machine.ifupdown("rename eth9=lan\n")
    assert machine.owner().name == IFUPDOWN


def test_files_of_ifupdown_without_its_program_mean_nothing(machine: Machine) -> None:
    machine.write("/etc/network/interfaces", INTERFACES)
    assert machine.owner() == Owner()
    assert list(read_interfaces(machine.host)) == ["/etc/network/interfaces"]


def test_two_owners_are_refused_with_both_names(machine: Machine) -> None:
    machine.networkd()
    machine.ifupdown()
    with pytest.raises(Contradiction, match="two managers: networkd and ifupdown") as refused:
        machine.owner()
    assert "/etc/systemd/network/10-up.network" in refused.value.remedy


@pytest.mark.parametrize(
    ("owner", "wanted", "chosen"),
    [
        (IFUPDOWN, "auto", IFUPDOWN),
        (IFUPDOWN, IFUPDOWN, IFUPDOWN),
        (NETPLAN, NETWORKD, NETPLAN),
        (NETWORKD, NETPLAN, NETWORKD),
        ("", NETWORKD, NETWORKD),
        ("", "none", ""),
        (IFUPDOWN, "none", ""),
    ],
)
def test_the_manager_of_the_card_gets_the_bridge(owner: str, wanted: str, chosen: str) -> None:
    assert choose(Owner(owner), wanted, "eth9") == chosen


def test_another_manager_than_that_of_the_card_is_refused_with_both_names() -> None:
    with pytest.raises(
        Contradiction, match="networkd is to configure the bridge, and ifupdown configures eth9"
    ):
        choose(Owner(IFUPDOWN), NETWORKD, "eth9")


def test_nobody_is_no_answer() -> None:
    with pytest.raises(Refusal, match="Nobody on this host configures eth9") as refused:
        choose(Owner(), "auto", "eth9")
    assert "ifupdown, or none" in refused.value.remedy
