# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the loader that works: what needs no kernel. The rest is in tests/netns."""

from __future__ import annotations

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.loader import LOADER
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.loading import LOADING
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import BLOCK_SETS


def test_it_is_part_of_the_loader_and_knows_the_names_of_our_lists() -> None:
    assert LOADING.strip() in LOADER
    assert "@" not in LOADING.replace('"$@"', "")
    for family, name in BLOCK_SETS.items():
        assert f"name={name[:-1]}$1" in LOADING
        assert name.endswith(str(family))


def test_nothing_of_others_is_ever_flushed() -> None:
    # docker#21, geerlingguy.firewall#82, #43: roles that flush take the rules of Docker and fail2ban with them.
    assert "-restore" in LOADING
    assert '-restore" -w 20 -n ' in LOADING
    assert LOADING.count('-restore" -w') == 1
    assert "iptables -F" not in LOADER
    assert "flush" not in LOADER
