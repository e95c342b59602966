# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a move. What the kernel makes of it is in tests/netns."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cards import BRIDGE, DHCLIENT, MAC, NIC, card, plain

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Capture, Persistence
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.move import plan_back, plan_move


def place(script: str, *parts: str) -> list[int]:
    """Return where parts are in a script."""
    return [script.index(part) for part in parts]


@pytest.mark.parametrize("capture", [card(), plain(), plain(clients=(DHCLIENT,))])
def test_a_script_is_one_that_a_shell_reads(capture: Capture) -> None:
    for script in (plan_move(capture, BRIDGE).script, plan_back(capture.on(BRIDGE), NIC).script):
        subprocess.run(("sh", "-n"), input=script, text=True, check=True)
        assert "{" + "new}" not in script


def test_after_a_move_everything_is_on_the_bridge_and_after_the_way_back_on_the_card() -> None:
    assert plan_move(card(), BRIDGE).after == card().on(BRIDGE)
    assert plan_back(card().on(BRIDGE), NIC).after == card()


def test_addresses_leave_the_card_right_before_they_come_to_the_bridge() -> None:
    script = plan_move(plain(), BRIDGE).script
    order = place(
        script,
        "ip link show dev br-ex > /dev/null || exit 1",
        "put ipv4/conf/br-ex/rp_filter 2",
        "put ipv6/conf/eth9/disable_ipv6 1",
        "link set dev br-ex up",
        "address flush dev eth9",
        "address replace 192.0.2.11/24",
        "route append unicast 0.0.0.0/0",
        f"ip link set dev br-ex address {MAC}",
        "put ipv6/conf/br-ex/accept_dad 1",
    )
    assert order == sorted(order)


def test_a_link_that_is_down_stays_down() -> None:
    assert " up\n" not in plan_move(plain(up=False), BRIDGE).script


def test_nothing_is_announced_by_a_card_which_might_start_anew() -> None:
    assert f"address {MAC}" not in plan_back(plain().on(BRIDGE), NIC).script


def test_a_client_ends_before_and_starts_after_for_the_new_device() -> None:
    plan = plan_move(plain(clients=(DHCLIENT,)), BRIDGE)
    order = place(plan.script, "\nstop_client dhclient", "address flush", "\nstart_client dhclient")
    assert order == sorted(order)
    assert [one.argv[-1] for one in plan.after.clients] == [BRIDGE]


def test_the_manager_lets_go_before_and_is_told_after() -> None:
    persistence = Persistence(
        "networkd",
        NIC,
        BRIDGE,
        runtime={"/run/x/a b.network": "it's"},
        release="let_go\n",
        reload=("tell", "it"),
    )
    script = plan_move(plain(), BRIDGE, persistence).script
    order = place(
        script, "mkdir -p /run/x && printf %s 'it'", "\nlet_go\n", "address flush", "\ntell it || true\n"
    )
    assert order == sorted(order)
    assert "\ntell it || true\n" in plan_back(plain(), BRIDGE, ("tell", "it")).script


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"children": ("eth9.10", "mac9")}, "eth9.10, mac9, which get nothing"),
        ({"master": "bond0"}, "eth9 belongs to bond0"),
        ({"unknown": ("route 198.18.0.0/15: nhid",)}, "route 198.18.0.0/15: nhid"),
    ],
)
def test_what_would_be_lost_or_cut_off_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(Refusal, match=message) as refused:
        plan_move(plain(**fields), BRIDGE)
    assert refused.value.remedy


def test_a_port_of_open_vswitch_may_go_back() -> None:
    plan_back(plain(master="ovs-system"), BRIDGE)


def test_a_label_that_would_be_too_long_is_refused_rather_than_dropped() -> None:
    with pytest.raises(Refusal, match="br-external01:svc would be longer than 15"):
        plan_move(card(), "br-external01")


@pytest.mark.parametrize("name", ["a;b", "a b", "-x", "$(x)", ""])
def test_a_name_that_a_shell_would_read_otherwise_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match="no name that a network device should have"):
        plan_move(plain(), name)
