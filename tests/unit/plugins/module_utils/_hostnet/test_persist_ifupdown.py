# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ifupdown is told, so that the bridge has after a reboot what the card had."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cards import BRIDGE, NIC, card, plain

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet import interfaces
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import (
    IFUPDOWN,
    Address,
    Capture,
    Owner,
    Persistence,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.persist_ifupdown import (
    own_path,
    persist_ifupdown,
)

OWN = "/etc/network/interfaces.d/hearth-br-ex"
TEXT = """\
source /etc/network/interfaces.d/*

auto eth9
iface eth9 inet static
    address 192.0.2.11/24
    gateway 192.0.2.1
    mtu 1400
    up ip route add 198.18.0.0/15 via 192.0.2.3 dev eth9
    up ethtool -K eth9 gro off
    dns-nameservers 192.0.2.53

iface eth9 inet6 static
    address 2001:db8:1::11/64
"""
CARRIED = """\
# Written by hearth.gpu_host: eth9 is a port of the bridge br-ex of Open vSwitch, which has what eth9 had.
# hearth:br-ex nic=eth9
iface eth9 inet manual
    mtu 1400
    up ethtool -K eth9 gro off
    up ip link set dev $IFACE up
    down ip link set dev $IFACE down

auto br-ex
iface br-ex inet static
    pre-up n=0; until [ -e /sys/class/net/br-ex ] || [ $n -ge 100 ]; do sleep 0.1; n=$((n+1)); done
    address 192.0.2.11/24
    gateway 192.0.2.1
    up ip route add 198.18.0.0/15 via 192.0.2.3 dev br-ex
    dns-nameservers 192.0.2.53
iface br-ex inet6 static
    address 2001:db8:1::11/64
"""


def persisted(text: str = TEXT, capture: Capture | None = None, **more: str) -> Persistence:
    owner = Owner(IFUPDOWN, {interfaces.MAIN: text, **{f"/etc/network/{path}": more[path] for path in more}})
    return persist_ifupdown(owner, capture or plain(), BRIDGE, NIC)


def test_the_stanzas_are_carried_over_and_what_is_of_the_card_stays_with_it() -> None:
    made = persisted()
    assert made.files[OWN] == CARRIED
    assert list(made.files) == [OWN, interfaces.MAIN], "ours first: nothing is ever without an address"
    assert interfaces.switched_on(made.files[interfaces.MAIN] or "", BRIDGE) == TEXT
    assert made.warnings == ()


def test_it_is_the_same_again_when_it_is_there_already() -> None:
    made = persisted()
    owner = Owner(IFUPDOWN, {path: text or "" for path, text in made.files.items()})
    assert persist_ifupdown(owner, plain(), BRIDGE, NIC).files == made.files


def test_restarting_the_network_never_removes_the_bridge() -> None:
    """OpenNebula/one#1214: with ovs_type, ifdown removes the bridge and with it the ports of all guests."""
    assert "ovs_" not in CARRIED


def test_a_bridge_is_there_after_a_reboot_although_nothing_brings_up_what_is_allowed_for_ovs() -> None:
    """iesgn/openstack-debian-ansible#4: br-ex not present after a reboot."""
    assert "\nauto br-ex\n" in CARRIED
    assert "allow-ovs" not in CARRIED


@pytest.mark.parametrize("line", ["source interfaces.d/*", "source-directory interfaces.d"])
def test_our_file_is_included_once(line: str) -> None:
    text = TEXT.replace("source /etc/network/interfaces.d/*", line)
    assert OWN not in (persisted(text).files[interfaces.MAIN] or "")


def test_our_file_is_included_where_nothing_includes_it() -> None:
    changed = persisted(TEXT.replace("source", "# source")).files[interfaces.MAIN] or ""
    assert f"\nsource {OWN}\n" in changed


def test_stanzas_in_another_file_are_switched_off_there() -> None:
    made = persisted("source /etc/network/interfaces.d/*\n", **{"interfaces.d/eth9": TEXT})
    assert set(made.files) == {OWN, "/etc/network/interfaces.d/eth9"}


def test_a_card_that_nothing_starts_is_started() -> None:
    assert "\nauto eth9\niface eth9 inet manual\n" in (
        persisted(TEXT.replace("auto eth9\n", "")).files[OWN] or ""
    )


def test_what_nobody_wrote_down_is_written_down() -> None:
    own = persisted("auto lo\n", card()).files[OWN] or ""
    assert "iface br-ex inet manual\n    pre-up n=0" in own
    assert "    up ip address replace 192.0.2.11/24 broadcast 192.0.2.255 scope 0 dev br-ex\n" in own
    assert (
        "    up ip -6 route append unicast default table 254 proto 3 metric 50 pref medium via fe80::1 dev br-ex\n"
        in own
    )
    assert "    up ip -4 rule add pref 1001 from all fwmark 0x10/0xff iif br-ex lookup 100 || true\n" in own
    assert "fe80::5054" not in own


def test_only_the_families_that_are_there_are_written_down() -> None:
    own = persisted("auto lo\n", plain(addresses=plain().addresses[:1], routes=())).files[OWN] or ""
    assert "inet6" not in own


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("inet static", "inet ppp", "iface eth9 inet ppp"),
        ("mtu 1400", "bond-slaves eth1 eth2", "bond-slaves"),
        ("mtu 1400", "wpa-ssid home", "wpa-ssid"),
        ("auto eth9\n", "mapping eth9\n    script /bin/x\n", "mapping eth9"),
        ("auto eth9\n", "iface eth9 inherits base\n", "iface eth9 inherits base"),
    ],
)
def test_what_is_no_plain_card_is_refused_in_its_own_words(old: str, new: str, said: str) -> None:
    with pytest.raises(Refusal, match=f"cannot be carried over to a bridge: .*{said}"):
        persisted(TEXT.replace(old, new, 1))


def test_an_address_that_is_in_no_file_is_named() -> None:
    extra = Address(4, "192.0.2.1", ("192.0.2.1/24",))
    text = TEXT.replace("gateway 192.0.2.1", "gateway 192.0.2.10")
    (warning,) = persisted(text, plain(addresses=(*plain().addresses, extra))).warnings
    assert warning.startswith("192.0.2.1 will be gone after a reboot, as before")


def test_what_comes_from_a_server_is_not_missed() -> None:
    text = "auto eth9\niface eth9 inet dhcp\niface eth9 inet6 auto\n"
    assert persisted(text).warnings == ()


@pytest.mark.parametrize(("bridge", "name"), [("br-ex", "hearth-br-ex"), ("br.1", "hearth-br_1")])
def test_our_file_has_a_name_that_source_directory_takes(bridge: str, name: str) -> None:
    assert own_path(bridge) == f"/etc/network/interfaces.d/{name}"
