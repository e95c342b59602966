# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of the scripts."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cards import BRIDGE, DHCLIENT, NIC, card, plain

from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet import batch
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Client, Route


def shell(script: str) -> str:
    """Run lines after the functions."""
    done = subprocess.run(
        ("sh",), input=f"set -u\n{batch.FUNCTIONS}\n{script}", text=True, capture_output=True, check=True
    )
    return done.stdout


def test_a_batch_of_nothing_starts_nothing() -> None:
    assert batch.batch([]) == ""
    assert (
        batch.batch(["link set dev x up"], "-6 ") == "ip -6 -force -batch - <<'END'\nlink set dev x up\nEND\n"
    )


def test_addresses_take_their_labels_along() -> None:
    lines = batch.address_lines(card(), BRIDGE)
    assert "address replace 198.51.100.5/28 scope 0 label br-ex:svc dev br-ex" in lines
    assert "address replace 203.0.113.1 peer 203.0.113.2/32 scope 0 metric 77 label br-ex dev br-ex" in lines
    assert lines.index("address replace fe80::1234/64 scope 253 nodad dev br-ex") < len(lines) - 1


def test_addresses_are_deleted_one_by_one_with_what_the_kernel_leaves_behind() -> None:
    lines = batch.address_drops(card(), BRIDGE)
    assert "address delete 203.0.113.1 peer 203.0.113.2/32 dev br-ex" in lines
    assert lines[-1] == "route delete 2001:db8:1::/64 proto kernel dev br-ex"


def test_the_family_of_a_route_follows_from_its_words() -> None:
    lines = batch.route_lines(card())
    assert (
        "route append unicast 0.0.0.0/0 table 254 proto 3 scope 0 metric 100 via 192.0.2.1 dev eth9" in lines
    )
    assert [line for line in lines if "::/0" in line and "default" not in line]
    assert not [line for line in lines if "default" in line]


def test_only_own_routes_are_deleted() -> None:
    assert not [line for line in batch.route_drops(card()) if "wg9" in line]


def test_a_route_of_ipv6_with_a_source_waits_for_its_address() -> None:
    late = batch.late_routes(card())
    assert late.startswith("settled eth9\n")
    assert "2001:db8:77::/48" in late
    assert not [line for line in batch.route_lines(card()) if "2001:db8:77::/48" in line]
    assert batch.late_routes(plain()) == ""


def test_rules_have_their_family_as_an_option() -> None:
    said = batch.rules(card(), "add")
    assert said.index("ip -4 ") < said.index("pref 1001 from all fwmark") < said.index("ip -6 ")
    assert batch.rules(plain(), "add") == ""


def test_settings_are_as_they_were_in_the_end() -> None:
    assert batch.settings(plain(), BRIDGE).splitlines() == [
        "put ipv4/conf/br-ex/rp_filter 2",
        "put ipv6/conf/br-ex/accept_dad 0",
    ]
    assert batch.final_settings(plain(), BRIDGE) == "put ipv6/conf/br-ex/accept_dad 1\n"
    assert batch.final_settings(plain(sysctls={}), BRIDGE) == "put ipv6/conf/br-ex/accept_dad 1\n"


def test_neighbours_are_told_whoever_they_are_known_by() -> None:
    assert batch.neighbour_lines(card(), BRIDGE) == [
        "neigh replace 192.0.2.1 lladdr 52:54:00:00:00:01 nud permanent dev br-ex",
        "neigh replace 192.0.2.254 lladdr 52:54:00:00:00:02 nud stale dev br-ex",
    ]


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("eth9", "br-ex"),
        ("/run/dhclient.eth9.pid", "/run/dhclient.br-ex.pid"),
        ("/var/lib/dhcp/dhclient-eth9.leases", "/var/lib/dhcp/dhclient-br-ex.leases"),
        ("eth90", "eth90"),
        ("veth9", "veth9"),
    ],
)
def test_a_client_is_started_for_the_other_device_in_the_same_way(word: str, other: str) -> None:
    assert batch.client_on(Client(7, (word,)), NIC, BRIDGE) == Client(0, (other,))


def test_a_client_goes_on_with_the_leases_that_it_had(tmp_path: pathlib.Path) -> None:
    leases = tmp_path / "dhclient.eth9.leases"
    # As dhclient 4.4 writes them.
    leases.write_text('lease {\n  interface "eth9";\n  fixed-address 192.0.2.11;\n}\n')
    client = Client(7, ("true", "-lf", str(leases), "eth9"))
    shell(batch.takeovers([client], NIC, BRIDGE))
    assert (tmp_path / "dhclient.br-ex.leases").read_text() == leases.read_text().replace("eth9", "br-ex")


def test_a_client_is_stopped_by_its_command_line_and_not_started_twice() -> None:
    client = Client(0, ("sleep", "61.4814"))
    with subprocess.Popen(client.argv) as running:
        shell(batch.starts([client]))
        assert shell("client sleep 'sleep 61.4814 '").split() == [str(running.pid)]
        assert shell("client sleep 'sleep 61.4815 '") == ""
        shell(batch.stops([client]))
        assert running.wait(5) == -9
    shell(batch.starts([client]))
    until = time.monotonic() + 5
    while not (pid := shell("client sleep 'sleep 61.4814 '")):
        assert time.monotonic() < until
    assert int(pid) != running.pid
    shell(batch.stops([client]))


def test_a_setting_that_is_not_there_and_one_that_is_right_are_left_alone() -> None:
    assert shell("put ipv4/conf/nothing/forwarding 1; echo $?") == "0\n"
    assert shell('put ipv4/conf/lo/tag "$(cat /proc/sys/net/ipv4/conf/lo/tag)"; echo $?') == "0\n"


def test_the_command_of_a_client_is_quoted() -> None:
    said = batch.starts([DHCLIENT, Client(0, ("dhclient", "a b"))])
    assert said.startswith("start_client dhclient '/sbin/dhclient -4 ")
    assert "start_client dhclient 'dhclient a b ' dhclient 'a b'\n" in said


def test_a_route_with_an_end_is_added_with_it() -> None:
    there = plain(routes=(Route(6, ("unicast", "2001:db8::/32", "dev", NIC), expires=("expires", "7")),))
    assert batch.route_lines(there) == ["route append unicast 2001:db8::/32 dev eth9 expires 7"]
