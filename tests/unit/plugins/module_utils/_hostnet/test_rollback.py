# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script that takes a move back. That it does is shown in tests/netns, with the real switch."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cards import BRIDGE, DHCLIENT, NIC, card, plain

from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Capture, Persistence
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.rollback import rollback_text


@pytest.mark.parametrize("capture", [card(), plain(clients=(DHCLIENT,)), card().on(BRIDGE)])
def test_a_rollback_is_one_that_a_shell_reads(capture: Capture) -> None:
    subprocess.run(("sh", "-n"), input=rollback_text(capture, BRIDGE, NIC), text=True, check=True)


@pytest.mark.parametrize(
    ("steps", "command"),
    [
        ((), "    vsctl --if-exists del-br br-ex || status=1\n"),
        (
            (
                ("del-port", BRIDGE, NIC),
                ("set", "Bridge", BRIDGE, 'other_config:hwaddr="02:00"'),
            ),
            "    vsctl del-port br-ex eth9 -- set Bridge br-ex 'other_config:hwaddr=\"02:00\"' || status=1\n",
        ),
        (
            ({"op": "comment", "comment": "it's"},),
            """    transact '["Open_vSwitch", {"op": "comment", "comment": "it'"'"'s"}]' || status=1\n""",
        ),
    ],
    ids=["a new bridge", "commands", "operations"],
)
def test_the_switch_is_brought_back_as_it_was(steps: tuple[t.Any, ...], command: str) -> None:
    assert command in rollback_text(plain(), BRIDGE, NIC, steps)


def test_at_boot_only_the_database_is_touched() -> None:
    script = rollback_text(plain(), BRIDGE, NIC)
    end = script.index('if [ "$mode" = boot ]; then exit $status; fi')
    assert script.index("vsctl --if-exists del-br") < end
    assert (
        min(script.index(part) for part in ("address replace", "patience=50\nwhile ip -o link", "put ipv4/"))
        > end
    )


def test_a_card_is_waited_for_until_the_kernel_lets_go_of_it() -> None:
    assert "ovs-dpctl del-if system@ovs-system eth9" in rollback_text(plain(), BRIDGE, NIC)
    back = rollback_text(plain().on(BRIDGE), BRIDGE, NIC)
    assert "ovs-dpctl" not in back
    assert "while ! ip link show dev br-ex" in back


def test_clients_of_the_bridge_end_and_those_of_the_card_start_again() -> None:
    script = rollback_text(plain(clients=(DHCLIENT,)), BRIDGE, NIC)
    stop, start = script.index("\nstop_client dhclient"), script.index("\nstart_client dhclient")
    assert stop < script.index("address replace") < start
    assert "br-ex" in script[stop:].split("\n")[1]
    assert "br-ex" not in script[start:].split("\n")[1]


def test_a_script_that_did_not_bring_the_first_address_back_has_failed() -> None:
    assert "grep -qwF 192.0.2.11 || status=1" in rollback_text(plain(), BRIDGE, NIC)


def test_a_card_without_addresses_has_none_afterwards() -> None:
    assert "grep -qwF" not in rollback_text(plain(addresses=()), BRIDGE, NIC)


def test_the_manager_has_the_card_again() -> None:
    persistence = Persistence(
        "networkd", NIC, BRIDGE, runtime={"/run/a": "", "/run/b c": ""}, reload=("tell", "it")
    )
    assert "rm -f /run/a '/run/b c'\ntell it || true\n" in rollback_text(
        plain(), BRIDGE, NIC, (), persistence
    )
    without = rollback_text(plain(), BRIDGE, NIC, (), Persistence("ifupdown", NIC, BRIDGE))
    assert "tell it" not in without
