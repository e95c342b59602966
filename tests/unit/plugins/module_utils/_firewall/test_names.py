# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall import words
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.names import PORTLESS, SERVICES


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_shipped_name_is_one_of_ports(name):
    assert words.ports("x", [name])
    assert words.name("x", name) == name


def test_ceph_has_the_range_that_its_daemons_take_today():
    """firewalld/firewalld#1329: its service still opens 6800-7300, and the daemons bind above."""
    assert SERVICES["ceph-osd"] == ("6800-7568/tcp",)
    assert set(SERVICES["ceph"]) == {*SERVICES["ceph-mon"], *SERVICES["ceph-osd"]}


def test_a_protocol_without_ports_is_its_own_name():
    assert all(SERVICES[name] == (name,) for name in PORTLESS)
