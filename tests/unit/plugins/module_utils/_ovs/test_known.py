# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import known

BRIDGE, PORT = known.OTHER_CONFIG["Bridge"], known.OTHER_CONFIG["Port"]


def test_what_open_vswitch_knows_is_no_doubt() -> None:
    given = {
        "stp-priority": "32768",
        "forward-bpdu": "true",
        "hwaddr": "02:00:00:00:00:aa",
        "dp-desc": None,
        "stp-max-age": None,
    }
    assert known.doubts("here", given, BRIDGE) == ()


def test_a_key_without_effect_is_told_with_the_nearest_one_that_has_it() -> None:
    # ovs-vsctl set bridge br0 other_config:mcast_snooping=1 ends with 0 and does nothing.
    assert known.doubts("other_config of bridge br0", {"mac_aging_time": "60", "zebra": None}, BRIDGE) == (
        "other_config of bridge br0: 'mac_aging_time' is not known to Open vSwitch, which takes it and leaves it "
        "without effect. Did you mean 'mac-aging-time'?",
        "other_config of bridge br0: 'zebra' is not known to Open vSwitch, which takes it and leaves it without "
        "effect.",
    )


@pytest.mark.parametrize(
    ("key", "value", "knows"),
    [
        ("lacp-time", "quick", "only fast, slow"),
        ("stp-port-num", "256", "whole numbers from 1 to 255"),
        ("stp-port-num", "0", "whole numbers from 1 to 255"),
        ("stp-port-num", "-1", "whole numbers from 1 to 255"),
        ("stp-port-num", "", "whole numbers from 1 to 255"),
        ("stp-port-num", "٣", "whole numbers from 1 to 255"),
        ("rstp-enable", "yes", "only true, false"),
        ("rstp-enable", "True", "only true, false"),
    ],
)
def test_a_value_that_is_not_used_is_told_with_those_that_are(key: str, value: str, knows: str) -> None:
    assert known.doubts("port p0", {key: value}, PORT) == (
        f"port p0: {key} is {value!r}, and Open vSwitch knows {knows}.",
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [("lacp-time", "fast"), ("stp-port-num", "1"), ("stp-port-num", "255"), ("rstp-enable", "false")],
)
def test_values_at_the_ends_are_used(key: str, value: str) -> None:
    assert known.doubts("port p0", {key: value}, PORT) == ()


def test_a_type_is_of_one_kind_and_ordinary_devices_have_no_options() -> None:
    assert not set(known.TUNNELS) & set(known.USERSPACE)
    assert set(known.OPTIONS) == {"", "internal", "tap", "patch", *known.TUNNELS, *known.USERSPACE}
    assert known.OPTIONS[known.SYSTEM] == {}
    assert set(known.QUEUED) <= set(known.QOS_TYPES)


def test_secrets_are_options_that_exist() -> None:
    assert all(any(secret in keys for keys in known.OPTIONS.values()) for secret in known.SECRETS)


def test_every_type_that_an_open_vswitch_has_told_is_known() -> None:
    # Captured, see the README beside it. This one was built without DPDK.
    captured = pathlib.Path(__file__).parents[3] / "fixtures" / "ovs" / "database.json"
    (root,) = json.loads(captured.read_text())[0]["rows"]
    told = set(root["iface_types"][1])
    assert len(told) == 16
    assert told - {"system"} <= set(known.OPTIONS)
