# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may reach what in the report: a cell is open only to whom the policy lets in."""

from __future__ import annotations

import typing as t

import pytest
import report_samples
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import firewall

ZONES = {"mgmt": {"sources": ["192.0.2.0/24"]}, "storage": {"interfaces": ["storage0"]}}


def build(*services: dict[str, t.Any], **more: t.Any) -> firewall.Firewall:
    state = {
        "zones": ZONES,
        "services": list(services),
        "families": ["ipv4", "ipv6"],
        "persist": "unit",
        **more,
    }
    return firewall.build(state)


def cells(service: dict[str, t.Any], **more: t.Any) -> dict[str, str]:
    shown = build({"name": "web", "ports": ["80/tcp"], **service}, **more)
    return dict(zip(shown.columns, (cell.text for cell in shown.rows[-1].cells)))


@pytest.mark.parametrize(
    ("service", "mgmt", "storage", "everyone"),
    [
        ({"zones": ["mgmt"]}, "open", "closed", "closed"),
        ({"zones": ["storage", "mgmt"]}, "open", "open", "closed"),
        ({"zones": ["any"]}, "open", "open", "open"),
        ({}, "open", "open", "open"),
        ({"zones": None}, "open", "open", "open"),
        ({"zones": []}, "closed", "closed", "closed"),
    ],
)
def test_a_zone_is_let_in_when_it_is_named_or_everybody_is(
    service: dict[str, t.Any], mgmt: str, storage: str, everyone: str
) -> None:
    assert cells(service) == {"mgmt": mgmt, "storage": storage, "any": everyone}


def test_networks_without_a_zone_have_a_column_of_their_own() -> None:
    found = cells({"zones": ["203.0.113.9/32", "2001:db8::/32"]})
    assert found["networks"] == "open: 203.0.113.9/32, 2001:db8::/32"
    assert "networks" not in cells({"zones": ["mgmt"]})


def test_a_limit_is_told_where_it_holds() -> None:
    found = cells({"zones": ["mgmt"], "rate_limit": {"new": "3/hour", "burst": 5}})
    assert found["mgmt"] == "open, at most 3/hour new from one source"
    assert found["any"] == "closed"
    assert "10/minute" in cells({"zones": ["mgmt"], "rate_limit": {"burst": 5}})["mgmt"]


@pytest.mark.parametrize(
    ("management", "mgmt", "networks"),
    [
        (["192.0.2.0/24"], "always", None),
        (["mgmt"], "always", None),
        (["203.0.113.9/32"], "closed", "always: 203.0.113.9/32"),
    ],
)
def test_who_manages_the_host_is_the_first_row(
    management: list[str], mgmt: str, networks: str | None
) -> None:
    shown = build(
        {"name": "web", "ports": [], "zones": []}, management=management, management_ports=["22/tcp"]
    )
    first = shown.rows[0]
    found = dict(zip(shown.columns, (cell.text for cell in first.cells)))
    assert (first.name, first.ports) == ("management", "22/tcp")
    assert (found["mgmt"], found.get("networks")) == (mgmt, networks)


def test_who_declared_a_service_and_who_publishes_it_is_told() -> None:
    shown = firewall.build(report_samples.FIREWALL)
    about = {row.name: row.about for row in shown.rows}
    assert about["comfyui"] == "comfyui, published by docker"
    assert about["ssh"] == "firewall, site"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, "Everything else to this host is dropped. So it is for IPv4 and IPv6."),
        ({"default_input": "reject", "backend": "legacy"}, "is rejected. So it is for IPv4 and IPv6, by iptables"),
        ({"default_input": "accept", "families": ["ipv6"]}, "nothing is denied. So it is for IPv6."),
        ({"default_forward": "drop"}, "Everything else that it would forward is dropped."),
        ({"guest_networks": ["virbr+", "br-x"]}, "Guests behind virbr+, br-x get"),
        ({"blocklist": ["203.0.113.0/24"]}, "never get in: 203.0.113.0/24."),
        ({"persist": "none"}, "The next boot is without these rules."),
        ({"foreign": [{"chain": "DOCKER", "owner": "docker"}, {"chain": "X"}]}, "left alone: 1 of docker, 1 of others"),
    ],
)  # fmt: skip
def test_what_holds_beside_the_table_is_told(more: dict[str, t.Any], says: str) -> None:
    assert says in " ".join(build(**more).notes)


def test_what_to_look_at_is_a_notice() -> None:
    shown = build(families=["ipv4"], warnings=["w"], objections=report_samples.FIREWALL["objections"])
    assert shown.notices == ("IPv6 is not filtered.", "w", "foreign_above was lifted: a rule accepts all")
    assert build().notices == ()


def test_without_the_role_there_is_no_section() -> None:
    assert not firewall.build({})
    assert firewall.build({"zones": None, "services": None}), "a state that says little is still one"


@given(st.dictionaries(st.sampled_from(sorted(report_samples.FIREWALL)), st.none()))
def test_a_field_that_is_missing_or_null_breaks_no_report(nothing: dict[str, None]) -> None:
    whole = {**report_samples.FIREWALL, **nothing}
    for state in (whole, {key: value for key, value in whole.items() if key not in nothing}):
        shown = firewall.build(state)
        assert all(len(row.cells) == len(shown.columns) for row in shown.rows)
