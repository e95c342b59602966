# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from captures import CAPTURES
from placements import save_text

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.invariants import object_to
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    Caller,
    Objection,
    Ruleset,
    Table,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.policy_model import (
    ACCEPT,
    AT_FIRST,
    ExtraRule,
    Networks,
    Policy,
    Ports,
    Service,
    Zone,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.render import render
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import parse_save, predict

SSH = Ports("tcp", ((22, 22),))
MANAGEMENT = Zone("mgmt", Networks(("192.0.2.0/24",), ("2001:db8::/64",)))
SAFE = Policy(management=(MANAGEMENT,), management_ports=(SSH,))
NOBODY = dataclasses.replace(SAFE, management=())
HERE = Caller("192.0.2.7", "198.51.100.1", 22)
ELSEWHERE = Caller("203.0.113.5", "198.51.100.1", 22)
HERE6 = Caller("2001:db8::7", "2001:db8:1::1", 22)
DENIED = '-A HEARTH-INPUT -m comment --comment "hearth:default" -j DROP'


def tables(policy: Policy, *lines: str, saved: t.Mapping[int, str] | None = None) -> dict[int, Table]:
    """The tables that would result; ``lines`` are foreign ones, in both families."""
    before = saved or dict.fromkeys((4, 6), save_text(lines))
    return {family: predict(parse_save(text), render(policy, family)) for family, text in before.items()}


def brief(found: t.Iterable[Objection]) -> list[tuple[str, int]]:
    return [(objection.name, objection.family) for objection in found]


@pytest.mark.parametrize("caller", [None, HERE, HERE6, Caller("2001:db8::7%eth0", "2001:db8:1::1%eth0", 22)])
def test_a_policy_that_lets_management_in_is_not_objected_to(caller: Caller | None) -> None:
    assert object_to(tables(SAFE), SAFE, caller) == ()


# --- the controller --------------------------------------------------------------------------


def test_the_next_login_of_the_controller_would_be_dropped() -> None:
    """geerlingguy/ansible-role-firewall#88, debops/ansible-ferm#64: the first run locks its own play out."""
    assert object_to(tables(NOBODY), NOBODY, ELSEWHERE) == (
        Objection(
            "controller",
            4,
            "IPv4: the next login from 203.0.113.5, where this play comes from, to port 22 would be dropped by"
            f" '{DENIED}'.",
            "management: [203.0.113.5/32] lets it in; allow: [controller] lifts this one refusal",
        ),
    )


# caller, policy -> what the remedy says
CURED = [
    (ELSEWHERE, SAFE, "management: [203.0.113.5/32] lets it in"),
    (Caller("2001:db8:9::5", "2001:db8:1::1", 22), SAFE, "management: [2001:db8:9::5/128] lets it in"),
    (
        Caller("192.0.2.7", "198.51.100.1", 2222),
        SAFE,
        'management: [192.0.2.7/32] with management_ports: ["2222/tcp"] lets it in',
    ),
]


@pytest.mark.parametrize(("caller", "policy", "remedy"), CURED)
def test_the_remedy_is_a_line_of_the_policy(caller: Caller, policy: Policy, remedy: str) -> None:
    (found,) = object_to(tables(policy), policy, caller)
    assert (found.name, found.family) == ("controller", caller.family)
    assert found.remedy.startswith(remedy)


def test_a_mistake_in_one_family_is_seen_in_that_family() -> None:
    only4 = dataclasses.replace(SAFE, management=(Zone("mgmt", Networks(("192.0.2.0/24",), ())),))
    assert object_to(tables(only4), only4, HERE) == ()
    assert brief(object_to(tables(only4), only4, HERE6)) == [("controller", 6)]


def test_a_family_that_is_left_out_keeps_nobody_out() -> None:
    only4 = dataclasses.replace(SAFE, families=(4,))
    # It is unclear whether the caller comes over x; that was so before, and here he is.
    assert object_to(tables(only4, "-A INPUT -i x -j DROP"), only4, HERE6) == ()
    assert brief(object_to(tables(only4, "-A INPUT -j DROP"), only4, HERE6)) == [("controller", 6)]


def test_a_ban_of_fail2ban_is_undone_with_fail2ban() -> None:
    policy = dataclasses.replace(SAFE, management=(Zone("", Networks(("203.0.113.0/24",), ())),))
    saved = {4: CAPTURES["docker_fail2ban"]}
    (found,) = object_to(tables(policy, saved=saved), policy, Caller("203.0.113.9", "198.51.100.1", 22))
    assert "would be refused by '-A f2b-sshd -s 203.0.113.9/32" in found.message
    assert "which belongs to fail2ban" in found.message
    assert found.remedy.startswith("fail2ban-client unban 203.0.113.9 lets it in;")


def test_a_rule_of_somebody_above_ours_has_to_go() -> None:
    lines = (
        "-A INPUT -j ufw-before-input",
        "-A ufw-before-input -s 192.0.2.7/32 -p tcp -m tcp --dport 22 -j DROP",
    )
    (found,) = object_to(tables(SAFE, *lines), SAFE, HERE)
    assert found.remedy.startswith("remove that rule: it stands above ours;")
    assert "--dport 22 -j DROP', which belongs to ufw" in found.message


def test_a_foreign_rule_between_our_chains_is_passed_by_management() -> None:
    lines = ("-A INPUT -s 203.0.113.5/32 -j DROP",)
    (found,) = object_to(tables(SAFE, *lines), SAFE, ELSEWHERE)
    assert "'-A INPUT -s 203.0.113.5/32 -j DROP', which is not ours" in found.message
    assert found.remedy.startswith("management: [203.0.113.5/32] lets it in;")
    # Somebody's reject of everything stands below all of ours.
    assert object_to(tables(SAFE, "-A INPUT -j REJECT --reject-with tcp-reset"), SAFE, HERE) == ()


def test_an_interface_decides_only_when_it_is_known() -> None:
    bound = dataclasses.replace(SAFE, management=(dataclasses.replace(MANAGEMENT, interfaces=("eno1",)),))
    assert object_to(tables(bound), bound, HERE, arrives_on="eno1") == ()
    assert brief(object_to(tables(bound), bound, HERE, arrives_on="eno2")) == [("controller", 4)]
    (found,) = object_to(tables(bound), bound, HERE)
    assert (
        "only the kernel can tell what becomes of it at '-A HEARTH-EARLY -s 192.0.2.0/24 -i eno1"
        in found.message
    )


def test_a_link_local_caller_says_his_interface_himself() -> None:
    zone = Zone("", Networks((), ("fe80::/10",)), ("eno1",))
    policy = dataclasses.replace(SAFE, management=(zone,))
    assert object_to(tables(policy), policy, Caller("fe80::5%eno1", "fe80::1%eno1", 22)) == ()
    assert brief(object_to(tables(policy), policy, Caller("fe80::5%eno2", "fe80::1%eno2", 22))) == [
        ("controller", 6)
    ]


def test_what_is_in_the_block_list_is_asked() -> None:
    policy = dataclasses.replace(
        SAFE,
        management=(),
        services=(Service("ssh", (SSH,)),),
        blocklist=Networks(("203.0.113.0/24",), ()),
    )
    result = tables(policy)
    assert object_to(result, policy, HERE, {"hearth-block4": ("203.0.113.0/24",)}) == ()
    (found,) = object_to(result, policy, ELSEWHERE, {"hearth-block4": ("203.0.113.0/24",)})
    assert "-m set --match-set hearth-block4 src" in found.message


def test_going_away_is_refused_only_where_the_controller_would_be_cut_off() -> None:
    """darkwizard242/cis_ubuntu_2004#5: the rules go, the policy DROP stays."""

    def gone(policy: str) -> dict[int, Table]:
        return {4: predict(parse_save(save_text((), {"INPUT": policy})), Ruleset())}

    assert object_to(gone("ACCEPT"), None, HERE) == ()
    (found,) = object_to(gone("DROP"), None, HERE)
    assert "would be dropped by '-P INPUT DROP', the policy of the chain" in found.message
    assert object_to(gone("DROP"), None, None) == ()


# --- the others ------------------------------------------------------------------------------


def spoilt(*rules: str, policy: Policy = SAFE) -> dict[int, Table]:
    """Tables in which rules stand above ours, in both families."""
    return tables(policy, "-A INPUT -j ufw-before-input", *(f"-A ufw-before-input {rule}" for rule in rules))


# foreign rule above ours -> objections (family 6 comes first)
SPOILT = [
    ("-i lo -j DROP", [("loopback", 6), ("loopback", 4)]),
    ("-i lo -p udp -j DROP", [("loopback", 6), ("loopback", 4)]),
    ("-p tcp -m tcp --sport 443 -j DROP", [("established", 6), ("established", 4)]),
    (
        "-m conntrack --ctstate ESTABLISHED -j DROP",
        [("established", 6), ("established", 4)],
    ),
    ("-p tcp -m tcp --dport 22 -j DROP", [("management", 6), ("management", 4)]),
    ("-m mark --mark 0x1 -p tcp -m tcp --dport 22 -j DROP", [("management", 6), ("management", 4)]),
]


@pytest.mark.parametrize(("rule", "names"), SPOILT)
def test_what_must_always_work_is_looked_up(rule: str, names: list[tuple[str, int]]) -> None:
    found = object_to(spoilt(rule), SAFE, None)
    assert brief(found) == names
    assert all(rule in objection.message and objection.remedy for objection in found)
    assert all(f"allow: [{objection.name}]" in objection.remedy for objection in found)


def test_a_drop_before_established_cuts_the_session_of_the_controller_too() -> None:
    found = object_to(spoilt("-s 192.0.2.7/32 -m conntrack --ctstate ESTABLISHED -j DROP"), SAFE, HERE)
    assert brief(found) == [("established", 4)]
    assert "a packet from the controller of a connection that is already there" in found[0].message


def test_answers_from_a_management_network_are_looked_up() -> None:
    found = object_to(spoilt("-s 192.0.2.1/32 -m conntrack --ctstate ESTABLISHED -j DROP"), SAFE, None)
    assert brief(found) == [("established", 4)]
    assert "management (192.0.2.0/24)" in found[0].message


@pytest.mark.parametrize("number", [133, 134, 135, 136])
def test_ipv6_without_its_neighbours_dies_sooner_or_later(number: int) -> None:
    rule = f"-p ipv6-icmp -m icmp6 --icmpv6-type {number} -j DROP"
    text = save_text(("-A INPUT -j ufw6-before-input", f"-A ufw6-before-input {rule}"))
    (found,) = object_to(tables(SAFE, saved={6: text}), SAFE, HERE6)
    assert (found.name, found.family) == ("neighbour_discovery", 6)
    assert f"(ICMPv6 type {number})" in found.message


def test_essential_icmp_left_out_is_objected_to_in_ipv6_only() -> None:
    policy = dataclasses.replace(SAFE, essential_icmp=False)
    found = object_to(tables(policy), policy, HERE)
    # A packet-too-big belongs to a connection, and comes in with those.
    assert brief(found) == [("neighbour_discovery", 6)] * 4
    assert all(objection.remedy.startswith("essential_icmp: true") for objection in found)


def test_path_mtu_discovery_is_part_of_it() -> None:
    rule = "-A ufw6-before-input -p ipv6-icmp -m icmp6 --icmpv6-type 2 -j DROP"
    (found,) = object_to(
        tables(SAFE, saved={6: save_text(("-A INPUT -j ufw6-before-input", rule))}), SAFE, HERE6
    )
    assert "a packet-too-big (ICMPv6 type 2) would be dropped" in found.message


def test_an_address_that_is_being_tried_has_nothing_to_send_from() -> None:
    rule = "-A ufw6-before-input ! -s fe80::/10 -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j DROP"
    found = object_to(
        tables(SAFE, saved={6: save_text(("-A INPUT -j ufw6-before-input", rule))}), SAFE, HERE6
    )
    assert brief(found) == [("neighbour_discovery", 6)]


def test_networks_that_one_rule_drops_are_told_once() -> None:
    nets = tuple(f"198.51.100.{n * 16}/28" for n in range(5))
    policy = dataclasses.replace(SAFE, management=(Zone("", Networks(nets, ())),))
    saved = {4: save_text(("-A INPUT -j ufw-before-input", "-A ufw-before-input -s 198.51.100.0/24 -j DROP"))}
    found = [o for o in object_to(tables(policy, saved=saved), policy, None) if o.name == "management"]
    assert len(found) == 1
    assert (
        "a login from 198.51.100.0/28, 198.51.100.16/28, 198.51.100.32/28 and 2 more, which is in management,"
        in (found[0].message)
    )


@pytest.mark.parametrize("drop", ["192.0.2.1/32", "192.0.2.254/32"])
def test_a_management_network_is_looked_up_at_both_ends(drop: str) -> None:
    saved = {4: save_text(("-A INPUT -j ufw-before-input", f"-A ufw-before-input -s {drop} -j DROP"))}
    assert ("management", 4) in brief(object_to(tables(SAFE, saved=saved), SAFE, None))


def test_management_by_interface_port_or_single_address_is_looked_up() -> None:
    zones = (
        Zone("a", None, ("eno1",)),
        Zone("b", Networks(("0.0.0.0/0",), ("2001:db8::9/128",)), ("eno2",)),
    )
    policy = dataclasses.replace(SAFE, management=zones, management_ports=(SSH, Ports("icmp")))
    assert object_to(tables(policy), policy, None) == ()
    rule = "-A ufw-before-input -i eno1 -p tcp -j DROP"
    saved = {4: save_text(("-A INPUT -j ufw-before-input", rule))}
    (found,) = [o for o in object_to(tables(policy, saved=saved), policy, None) if o.name == "management"]
    assert "a login from interface eno1, which is in management," in found.message


def test_a_raw_rule_of_the_policy_itself_stands_above_management() -> None:
    extra = ExtraRule(AT_FIRST, (4,), '-p tcp -m tcp --dport 22 -m comment --comment "hearth:extra" -j DROP')
    policy = dataclasses.replace(SAFE, extra_rules=(extra,))
    found = object_to(tables(policy), policy, HERE)
    assert brief(found) == [("controller", 4), ("management", 4)]
    assert "unless that is a rule of extra_rules (where: first)" in found[0].remedy


def test_firewalld_hides_our_last_jump() -> None:
    saved = {4: CAPTURES["firewalld"]}
    assert ("foreign_above", 4) in brief(object_to(tables(SAFE, saved=saved), SAFE, HERE))


# --- nobody ----------------------------------------------------------------------------------


def test_an_image_that_nobody_could_log_in_to_is_objected_to() -> None:
    (found,) = object_to(tables(NOBODY), NOBODY, None)
    assert (found.name, found.message) == (
        "management",
        "nobody could log in: management is empty, and no service has one of its ports.",
    )
    assert object_to({}, NOBODY, None) == ()


REACHABLE = [
    dataclasses.replace(NOBODY, services=(Service("ssh", (Ports("tcp", ((20, 30),)),), (MANAGEMENT,)),)),
    dataclasses.replace(NOBODY, default_input=ACCEPT),
    dataclasses.replace(
        NOBODY, extra_rules=(ExtraRule("input", (4,), "-p tcp -m tcp --dport 22 -j ACCEPT"),)
    ),
    dataclasses.replace(NOBODY, management_ports=(Ports("icmp"),), default_input=ACCEPT),
]


@pytest.mark.parametrize("policy", REACHABLE)
def test_a_declared_service_or_a_raw_rule_is_a_way_in(policy: Policy) -> None:
    assert object_to(tables(policy), policy, None) == ()
