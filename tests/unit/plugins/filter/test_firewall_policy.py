# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that merges a policy, on values as Ansible hands them to a filter."""

from __future__ import annotations

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.hearth.gpu_host.plugins.filter import firewall_policy
from ansible_collections.hearth.gpu_host.plugins.plugin_utils import _firewall


def test_the_filter_is_there_by_its_name() -> None:
    assert firewall_policy.FilterModule().filters() == {"firewall_policy": _firewall.policy}


def test_templates_inside_of_values_are_evaluated() -> None:
    data = {
        "lan": "192.0.2.0/24",
        "zones": {"desk": {"sources": [trust_as_template("{{ lan }}")]}},
        "services": [{"name": "web", "ports": ["80/tcp"], "zones": [trust_as_template("{{ 'de' ~ 'sk' }}")]}],
    }
    templar = Templar(loader=DataLoader(), variables=data)
    built = _firewall.policy(
        templar.template(data["services"]), zones=templar.template(data["zones"]), management=["desk"]
    )
    assert built["services"] == [{"name": "web", "ports": ["80/tcp"], "zones": ["desk"]}]
    assert built["zones"]["mgmt"] == {"sources": ["192.0.2.0/24"]}
