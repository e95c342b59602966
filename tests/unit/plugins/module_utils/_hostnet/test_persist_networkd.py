# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What networkd is told, so that the bridge has after a reboot what the card had."""

from __future__ import annotations

import pathlib
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cards import BRIDGE, NIC, card, plain

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import (
    NETPLAN,
    NETWORKD,
    Capture,
    Owner,
    Persistence,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.persist_networkd import (
    card_path,
    persist_networkd,
)

OLD = "/etc/systemd/network/10-lan.network"
TEXT = """\
# The uplink.
[Match]
Type=ether

[Link]
MTUBytes=1400
RequiredForOnline=routable

[Network]
Address=192.0.2.11/24
Address=2001:db8:1::11/64
DNS=192.0.2.53

[Route]
Gateway=192.0.2.1
; a comment
Metric=100

[RoutingPolicyRule]
IncomingInterface=eth9
Table=\\
100

[TokenBucketFilter]
Rate=1G
"""
CARD = """\
[Match]
Name=eth9

[Link]
MTUBytes=1400
RequiredForOnline=no

[Network]
DHCP=no
LinkLocalAddressing=no
IPv6AcceptRA=no
LLDP=no

[TokenBucketFilter]
Rate=1G
"""
CARRIED = """\
[Match]
Name=br-ex

[Link]
RequiredForOnline=routable

[Network]
ConfigureWithoutCarrier=yes

[Network]
Address=192.0.2.11/24
Address=2001:db8:1::11/64
DNS=192.0.2.53

[Route]
Gateway=192.0.2.1
Metric=100

[RoutingPolicyRule]
IncomingInterface=br-ex
Table= 100
"""
CARD_FILE, BRIDGE_FILE = (f"/etc/systemd/network/00-hearth-{name}.network" for name in (NIC, BRIDGE))


def persisted(text: str = TEXT, capture: Capture | None = None, **fields: t.Any) -> Persistence:
    given = {"name": NETWORKD, "texts": {OLD: text}, **fields}
    return persist_networkd(Owner(**given), capture or plain(), BRIDGE, NIC)


def body(text: str | None) -> str:
    """Return a file without its own comments."""
    return (text or "").partition("[Match]")[1] + (text or "").partition("[Match]")[2]


def test_all_but_what_is_of_the_card_itself_goes_to_the_bridge() -> None:
    made = persisted()
    assert {path: body(text) for path, text in made.files.items()} == {CARD_FILE: CARD, BRIDGE_FILE: CARRIED}
    assert (made.warnings, made.modes, made.reload) == ((), {}, ("networkctl", "reload"))


def test_our_files_say_whose_place_they_took() -> None:
    for text in persisted().files.values():
        assert f"\n# hearth:br-ex nic=eth9\n# hearth:original {OLD}\n" in (text or "")


def test_drop_ins_count_as_part_of_the_file() -> None:
    texts = {OLD: TEXT, f"{OLD}.d/more.conf": "[Address]\nAddress=192.0.2.12/24\n"}
    assert "\n[Address]\nAddress=192.0.2.12/24\n" in (persisted(texts=texts).files[BRIDGE_FILE] or "")


def test_until_it_is_confirmed_the_same_holds_until_the_reboot_only() -> None:
    made = persisted()
    assert set(made.runtime) == {path.replace("/etc/", "/run/") for path in made.files}
    kept = made.runtime[BRIDGE_FILE.replace("/etc/", "/run/")]
    assert kept.replace("KeepConfiguration=yes\n", "") == made.files[BRIDGE_FILE]
    assert kept.count("KeepConfiguration=yes") == 1


@pytest.mark.parametrize(
    ("old", "ours"),
    [
        ("10-lan.network", "00-hearth-eth9.network"),
        ("eth9.network", "00-hearth-eth9.network"),
        ("00-a.network", "0-hearth-eth9.network"),
        ("-lan.network", "!hearth-eth9.network"),
    ],
)
def test_our_file_comes_before_the_one_that_the_card_has(old: str, ours: str) -> None:
    """The specification's own hearth-eno1.network would come after 10-lan.network, and have no effect."""
    assert (
        card_path(Owner(NETWORKD, {f"/etc/systemd/network/{old}": ""}), NIC) == f"/etc/systemd/network/{ours}"
    )
    assert ours < old


def test_where_no_name_comes_before_the_old_one_that_is_said() -> None:
    with pytest.raises(Refusal, match="No name for a file comes before !a.network") as refused:
        card_path(Owner(NETWORKD, {"/etc/systemd/network/!a.network": ""}), NIC)
    assert refused.value.remedy == "rename !a.network to 10-a.network"


def test_the_dhcp_server_still_knows_the_client() -> None:
    # Of systemd 252, in /run/systemd/netif/leases: type 255, IAID, DUID.
    lease = "ADDRESS=192.0.2.11\nCLIENTID=ff5054aabb0002000000ab11aabbccdd\n"
    text = persisted(TEXT + "[DHCPv4]\nUseDNS=no\n", lease=lease).files[BRIDGE_FILE] or ""
    assert text.endswith(f"\n[DHCPv4]\nIAID={0x5054AABB}\n\n[DHCPv6]\nIAID={0x5054AABB}\n")
    assert "IAID" not in (persisted(lease="CLIENTID=0152540000\n").files[BRIDGE_FILE] or "")
    said = persisted(TEXT + "[DHCPv4]\nIAID=7\n", lease=lease).files[BRIDGE_FILE] or ""
    assert said.count("IAID=") == 1


@pytest.mark.parametrize("line", ["VLAN=vlan10", "MACVLAN=m0", "Bridge=br0", "Bond=bond0"])
def test_what_needs_the_card_itself_is_refused(line: str) -> None:
    with pytest.raises(Refusal, match=f"has {line}, which needs the card itself"):
        persisted(TEXT.replace("[Network]", f"[Network]\n{line}"))


def test_netplan_keeps_its_files_and_gets_a_note_beside_them() -> None:
    made = persisted(name=NETPLAN, texts={"/run/systemd/network/10-netplan-eth9.network": TEXT})
    notice = "/etc/netplan/99-hearth-br-ex.yaml"
    assert set(made.files) == {CARD_FILE, BRIDGE_FILE, notice}
    assert (made.files[notice] or "").endswith("network:\n  version: 2\n")
    assert BRIDGE_FILE in (made.files[notice] or "")
    assert made.modes == {notice: 0o600}


def test_what_nobody_wrote_down_is_written_down() -> None:
    text = body(persisted(capture=card(), texts={}).files[BRIDGE_FILE])
    assert "\n[Address]\nAddress=203.0.113.1\nPeer=203.0.113.2/32\n" in text
    assert "\n[Route]\nDestination=0.0.0.0/0\nTable=254\nMetric=100\nGateway=192.0.2.1\n" in text
    assert "\n[Route]\nDestination=198.18.9.0/24\nTable=100\nGateway=198.18.55.1\nGatewayOnLink=yes\n" in text
    assert "\n[Route]\nDestination=::/0\nTable=254\nMetric=50\nGateway=fe80::1\n" in text
    assert "wg9" not in text
    assert "fe80::1234" not in text


def test_an_address_that_is_in_no_file_is_named() -> None:
    (warning,) = persisted(TEXT.replace("192.0.2.11", "192.0.2.110")).warnings
    assert warning == "192.0.2.11 will be gone after a reboot, as before: no file of networkd has it."
