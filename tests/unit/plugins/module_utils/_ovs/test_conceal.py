# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of tunnels take a way of their own to the host, and arrive."""

from __future__ import annotations

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.conceal import (
    with_secrets,
    without_secrets,
)

PLAIN = {"name": "vx0", "type": "vxlan", "options": {"remote_ip": "192.0.2.2"}}
SECRET = {**PLAIN, "options": {**PLAIN["options"], "psk": "swordfish"}}


def test_a_key_is_taken_out_and_comes_back():
    given = {"name": "br0", "ports": [SECRET, {"name": "eno1"}]}
    hidden = without_secrets(given)
    assert hidden == {
        "name": "br0",
        "ports": [PLAIN, {"name": "eno1"}],
        "secrets": {"vx0": {"psk": "swordfish"}},
    }
    assert with_secrets(hidden)["ports"] == given["ports"]
    assert given["ports"][0]["options"]["psk"] == "swordfish", "the task is not ours to change"


def test_a_second_time_nothing_is_lost():
    hidden = without_secrets({"ports": [SECRET]})
    assert without_secrets(hidden) == hidden


@pytest.mark.parametrize(
    "given",
    [
        {"name": "br0"},
        {"ports": "{{ not a list }}"},
        {"ports": [PLAIN]},
        {"ports": ["eno1", {"name": "x", "options": "text"}]},
        {"ports": [{**PLAIN, "options": {"psk": None}}]},
    ],
)
def test_what_has_no_secret_stays_as_it_is(given):
    assert without_secrets(given) == given
    assert with_secrets(given) == given


def test_a_secret_of_a_port_without_options_arrives_too():
    assert with_secrets({"ports": [{"name": "a", "options": None}], "secrets": {"a": {"psk": "x"}}})[
        "ports"
    ] == [{"name": "a", "options": {"psk": "x"}}]
