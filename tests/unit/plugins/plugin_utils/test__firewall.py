# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared ports and the inventory's services become one policy; what does not fit is refused by its owner's name."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.plugin_utils import _firewall

LAN = "192.0.2.0/24"


def port(
    name: str,
    number: str = "22",
    source: str = "mgmt",
    proto: str = "tcp",
    owners: tuple[str, ...] = ("kvm",),
) -> dict[str, t.Any]:
    """Return a port as declarations returns it in merged."""
    return {"name": name, "port": number, "proto": proto, "from": source, "owners": list(owners)}


def policy(
    *declared: dict[str, t.Any],
    services: t.Sequence[dict[str, t.Any]] = (),
    zones: dict[str, t.Any] | None = None,
    management: t.Sequence[str] = (LAN,),
) -> dict[str, t.Any]:
    return _firewall.policy(services, declared, zones, management)


def refusal(*declared: dict[str, t.Any], **more: t.Any) -> str:
    with pytest.raises(AnsibleFilterError) as refused:
        policy(*declared, **more)
    return str(refused.value)


def test_ports_of_one_name_and_zone_are_one_service_in_the_order_of_their_numbers() -> None:
    declared = [
        port("ceph-mon", "6789"),
        port("ceph-mon", "3300"),
        port("ceph-mon", "10000-10010", owners=("rgw",)),
    ]
    built = policy(*declared)
    assert built["services"] == [
        {"name": "ceph-mon", "ports": ["3300/tcp", "6789/tcp", "10000-10010/tcp"], "zones": ["mgmt"]}
    ]
    assert built["owners"] == {"ceph-mon": ["kvm", "rgw"]}


def test_one_port_for_two_zones_is_one_service() -> None:
    built = policy(port("metrics", "9100"), port("metrics", "9100", "198.51.100.0/24"))
    assert built["services"] == [
        {"name": "metrics", "ports": ["9100/tcp"], "zones": ["198.51.100.0/24", "mgmt"]}
    ]


def test_one_name_with_different_zones_for_its_ports_opens_no_port_to_the_zones_of_another() -> None:
    built = policy(port("api", "80", "any"), port("api", "8443", "mgmt"), port("api-2", "1", "any"))
    assert built["services"] == [
        {"name": "api", "ports": ["80/tcp"], "zones": ["any"]},
        {"name": "api-2", "ports": ["8443/tcp"], "zones": ["mgmt"]},
        {"name": "api-2-2", "ports": ["1/tcp"], "zones": ["any"]},
    ]


def test_mgmt_is_who_manages_the_host() -> None:
    zones = {"desk": {"sources": ["198.51.100.0/24", LAN]}}
    built = policy(port("ssh"), management=["desk", LAN, "2001:DB8::7"], zones=zones)
    assert built["zones"]["mgmt"] == {"sources": ["198.51.100.0/24", LAN, "2001:db8::7/128"]}
    assert built["management"] == ["desk", LAN, "2001:db8::7/128"]
    assert policy(management=["any"])["zones"]["mgmt"] == {"sources": ["0.0.0.0/0", "::/0"]}


def test_a_zone_mgmt_of_the_inventory_stays_as_it_is() -> None:
    zones = {"mgmt": {"sources": ["198.51.100.7"], "interfaces": ["eno1"]}}
    built = policy(port("ssh"), management=["mgmt"], zones=zones)
    assert built["zones"] == {"mgmt": {"sources": ["198.51.100.7/32"], "interfaces": ["eno1"]}}


def test_mgmt_is_not_made_of_a_zone_that_is_bound_to_interfaces() -> None:
    said = refusal(management=["desk"], zones={"desk": {"interfaces": ["eno1"]}})
    assert "firewall_management names the zone desk" in said
    assert "define mgmt in firewall_zones" in said


def test_an_unknown_zone_is_refused_by_the_name_of_the_role_that_declared_it() -> None:
    said = refusal(port("ceph-osd", "6800-7568", "storge", owners=("ceph_cluster", "site")))
    assert (
        "The port ceph-osd (6800-7568/tcp), declared by ceph_cluster and site, names the zone 'storge'"
        in said
    )
    assert "add it to firewall_zones, or let ceph_cluster and site declare another one" in said
    assert "any, mgmt" in said


def test_without_management_mgmt_is_unknown_and_the_remedy_is_to_set_it() -> None:
    assert "Remedy: set firewall_management" in refusal(port("ssh"), management=[])
    assert policy(management=[])["zones"] == {}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"services": [{"name": "web", "ports": ["80/tcp"], "zones": ["dmz"]}]}, "web names the zone 'dmz'"),
        ({"services": [{"name": "web", "ports": ["80/tcp"], "zones": ["192.0.2.7/24"]}]}, "write 192.0.2.0/24"),
        ({"services": [{"name": "web", "ports": ["80/tcp"], "zones": "any"}]}, "give a list of zones"),
        ({"services": [{"name": "web", "ports": ["80/tcp"], "zones": 7}]}, "give a list of zones"),
        ({"services": [{"ports": ["80/tcp"]}]}, "give it a name"),
        ({"management": ["desk"]}, "firewall_management names the zone 'desk'"),
        ({"management": ["192.0.2.1/24"]}, "firewall_management has '192.0.2.1/24'"),
        ({"zones": {"desk": {"sources": ["desk.example.com"]}}}, "firewall_zones: desk has 'desk.example.com'"),
        ({"zones": {"desk": {"sources": LAN}}}, "give a list of networks"),
        ({"zones": {"desk": [LAN]}}, "give it sources"),
    ],
)  # fmt: skip
def test_what_the_inventory_says_wrongly_is_refused_where_it_stands(
    more: dict[str, t.Any], says: str
) -> None:
    assert says in refusal(**more)


def test_a_service_of_the_inventory_is_laid_over_the_declared_one() -> None:
    limit = {"new": "10/minute", "burst": 20}
    built = policy(
        port("ssh"), services=[{"name": "ssh", "rate_limit": limit, "zones": ["any", "192.0.2.9"]}]
    )
    assert built["services"] == [
        {"name": "ssh", "ports": ["22/tcp"], "zones": ["any", "192.0.2.9/32"], "rate_limit": limit}
    ]
    assert built["owners"] == {"ssh": ["kvm"]}


def test_a_service_of_a_role_that_is_gone_opens_nothing_and_is_named() -> None:
    built = policy(
        services=[{"name": "comfyui", "published_by": "docker"}, {"name": "web", "ports": ["80/tcp"]}]
    )
    assert built["services"] == [{"name": "web", "ports": ["80/tcp"]}]
    assert built["unused"] == ["comfyui"]
    assert built["owners"] == {"web": []}


ports = st.builds(
    port,
    st.sampled_from(["ssh", "vnc", "ceph"]),
    st.integers(1, 99).map(str),
    st.sampled_from(["any", "mgmt", LAN]),
    st.sampled_from(["tcp", "udp"]),
    st.sampled_from([("kvm",), ("ceph", "kvm")]),
)


@given(st.lists(ports, unique_by=lambda p: (p["name"], p["port"], p["proto"], p["from"])), st.randoms())
def test_what_was_declared_is_opened_and_no_more(declared: list[dict[str, t.Any]], random: t.Any) -> None:
    built = policy(*declared)
    opened = sorted((p, zone) for item in built["services"] for p in item["ports"] for zone in item["zones"])
    asked = sorted({(f"{item['port']}/{item['proto']}", item["from"], item["name"]) for item in declared})
    assert opened == sorted((p, zone) for p, zone, _name in asked)
    assert len({item["name"] for item in built["services"]}) == len(built["services"])
    random.shuffle(declared)
    assert policy(*declared) == built
