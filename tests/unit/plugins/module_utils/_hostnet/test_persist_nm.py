# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What NetworkManager and the switch's unit are told, so that the bridge has after a reboot what the card had."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cards import BRIDGE, NIC, card, plain

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import (
    NETWORK_MANAGER,
    Address,
    Owner,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.persist_nm import own_paths, persist_nm

OWNER = Owner(NETWORK_MANAGER, {"connection lan": ""}, servers=("192.0.2.53", "2001:db8::53"))
CONF, SCRIPT, UNIT = own_paths(BRIDGE)


def test_it_leaves_card_and_bridge_alone_but_still_knows_whom_to_ask_for_names() -> None:
    text = persist_nm(OWNER, plain(), BRIDGE, NIC).files[CONF] or ""
    assert "\nunmanaged-devices+=interface-name:=eth9,interface-name:=br-ex\n" in text
    assert "\nservers=192.0.2.53,2001:db8::53\n" in text
    assert "global-dns" not in (persist_nm(Owner(NETWORK_MANAGER), plain(), BRIDGE, NIC).files[CONF] or "")


def test_the_unit_of_the_switch_runs_what_gives_the_bridge_its_addresses() -> None:
    made = persist_nm(OWNER, plain(), BRIDGE, NIC)
    assert (made.files[UNIT] or "").endswith(f"[Service]\nExecStartPost=-/bin/sh {SCRIPT}\n")
    script = made.files[SCRIPT] or ""
    subprocess.run(("sh", "-n"), input=script, text=True, check=True)
    assert "address replace 192.0.2.11/24 broadcast 192.0.2.255 scope 0 label br-ex dev br-ex" in script
    assert "via 192.0.2.1 dev br-ex" in script
    assert script.index("ip link set dev eth9 up") < script.index("ip link show dev br-ex")


def test_it_has_let_go_before_the_addresses_move() -> None:
    made = persist_nm(OWNER, plain(), BRIDGE, NIC)
    assert made.runtime == {CONF.replace("/etc/", "/run/"): made.files[CONF]}
    assert made.release.startswith("nmcli general reload conf\n")
    assert "device show eth9)\" = '10 (unmanaged)'" in made.release


@pytest.mark.parametrize(
    "address",
    [
        Address(
            4, "192.0.2.77", ("192.0.2.77/24",), lifetimes=("valid_lft", "3000", "preferred_lft", "3000")
        ),
        Address(6, "2001:db8::77", ("2001:db8::77/64",), fleeting=True),
    ],
)
def test_what_only_it_could_renew_is_refused(address: Address) -> None:
    with pytest.raises(Refusal, match=f"{address.local} of eth9 came from a server"):
        persist_nm(OWNER, plain(addresses=(address,)), BRIDGE, NIC)
    with pytest.raises(Refusal, match="192.0.2.77, 2001:db8:1::99"):
        persist_nm(OWNER, card(), BRIDGE, NIC)
