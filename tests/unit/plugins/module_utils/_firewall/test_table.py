# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest
from captures import CAPTURES, ODD
from hypothesis import given
from hypothesis import strategies as st
from placements import OUR_CHAINS, PLACEMENTS, WANTED, Placement, save_text

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    EARLY,
    FIRST,
    INPUT,
    LAST,
    Jump,
    Ruleset,
    Table,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import (
    foreign,
    is_final,
    ours,
    owner_of,
    parse_save,
    placed,
    predict,
    satisfied,
    snapshot,
    target_of,
)

placement = pytest.mark.parametrize("case", PLACEMENTS, ids=[case.name for case in PLACEMENTS])


@placement
def test_a_jump_goes_to_its_place(case: Placement) -> None:
    assert predict(parse_save(case.before_text), case.wanted, case.made) == parse_save(case.after_text)


@placement
def test_a_second_load_changes_nothing(case: Placement) -> None:
    assert satisfied(parse_save(case.after_text), case.wanted, case.made)


@placement
def test_the_snapshot_taken_before_gives_our_part_back(case: Placement) -> None:
    before = parse_save(case.before_text)
    saved = snapshot(before, [chain for chain, _policy in case.wanted.policies])
    back = predict(predict(before, case.wanted), saved)
    assert ours(back) == ours(before)
    assert back.policies == before.policies
    # Docker's hook, once made or put above Docker's own rules, stays there.
    if foreign(predict(before, case.wanted)) == foreign(before):
        assert back == before


# --- reading ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(CAPTURES))
def test_what_the_tools_really_print_is_read_back_to_the_rule(name: str) -> None:
    table = parse_save(CAPTURES[name])
    rules = [f"-A {chain} {rule}".rstrip() for chain, rules in table.chains for rule in rules]
    printed = [line for line in CAPTURES[name].splitlines() if line.startswith("-A ")]
    assert rules == printed
    chains = [line.split()[0][1:] for line in CAPTURES[name].splitlines() if line.startswith(":")]
    assert [chain for chain, _rules in table.chains] == chains


def test_no_table_is_the_table_that_the_kernel_begins_with() -> None:
    empty = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
    assert parse_save("") == parse_save(empty)
    assert parse_save("").rules("INPUT") == ()


def test_counters_warnings_and_other_tables_are_left_out() -> None:
    # `# Warning: …` is what iptables 1.8.9 prints when the other back end has tables.
    text = (
        "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n"
        "*nat\n:PREROUTING ACCEPT [7:420]\n:DOCKER - [0:0]\n-A DOCKER -j RETURN\nCOMMIT\n"
        "*filter\n:INPUT DROP [9:999]\n:mine - [0:0]\n[3:180] -A INPUT -i lo -j ACCEPT\n[0:0] -A mine\nCOMMIT\n"
    )
    table = parse_save(text)
    assert table.rules("INPUT") == ("-i lo -j ACCEPT",)
    assert table.rules("mine") == ("",)
    assert dict(table.policies) == {"INPUT": "DROP", "FORWARD": "ACCEPT", "OUTPUT": "ACCEPT"}
    assert "DOCKER" not in dict(table.chains)


# text -> what the message says
BROKEN = [
    ("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j DROP\n", "ends inside the table filter"),
    ("*filter\n-A mine -j DROP\nCOMMIT\n", "line 2 .* neither a chain nor a rule"),
    ("*filter\nnonsense\nCOMMIT\n", "'nonsense'"),
    # What iptables-nft-save 1.8.9 printed, with exit status 0, for `meta length > 3 numgen inc mod 2 0 accept`.
    ("# Table `filter' is incompatible, use 'nft' tool.\n", "cannot print a table: Table `filter'"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_text_that_cannot_be_trusted_is_refused(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse_save(text)


def test_a_native_chain_beside_those_of_iptables_is_no_hindrance() -> None:
    # Printed by iptables-nft-save 1.8.9 for a base chain of nft's in `ip filter`; the rest of the table is whole.
    note = "# Table `filter' contains incompatible base-chains, use 'nft' tool to list them.\n"
    assert parse_save(note + save_text(("-A INPUT -j DROP",))).rules("INPUT") == ("-j DROP",)


OWNERS = [
    ("DOCKER-USER", "docker"),
    ("LIBVIRT_INP", "libvirt"),
    ("f2b-sshd", "fail2ban"),
    ("ufw-user-input", "ufw"),
    ("ufw6-user-input", "ufw"),
    ("INPUT_ZONES", "firewalld"),
    ("INPUT_ZONES_SOURCE", "firewalld"),
    ("FORWARD_IN_ZONES", "firewalld"),
    ("OUTPUT_POLICIES_pre", "firewalld"),
    ("IN_public_allow", "firewalld"),
    ("KUBE-SERVICES", "kubernetes"),
    ("cali-INPUT", "calico"),
    ("CNI-FORWARD", "cni"),
    ("ts-input", "tailscale"),
    ("neutron-linuxbri-INPUT", "neutron"),
    ("INPUT", None),
    ("INPUTS", None),
    (EARLY, None),
    ("mine", None),
]


@pytest.mark.parametrize(("chain", "owner"), OWNERS)
def test_the_owner_of_a_chain_is_told_by_its_name(chain: str, owner: str | None) -> None:
    assert owner_of(chain) == owner


@pytest.mark.parametrize("name", ["docker_fail2ban", "firewalld", "libvirt", "ufw", "ufw6"])
def test_every_chain_of_a_real_program_has_an_owner(name: str) -> None:
    built_in = ("INPUT", "FORWARD", "OUTPUT")
    assert not [
        c for c, _rules in parse_save(CAPTURES[name]).chains if c not in built_in and owner_of(c) is None
    ]


# rule -> its target, whether it ends a built-in chain
TARGETS = [
    ("-j DROP", "DROP", True),
    ("-j REJECT --reject-with icmp-host-prohibited", "REJECT", True),
    ("-j ACCEPTED", "ACCEPTED", False),
    ("-i eth0 -j DROP", "DROP", False),
    ("-g zone", "zone", True),
    ("-m comment --comment -j -j DROP", "DROP", True),
    ('-m string --string "x -j HEARTH-OLD" --algo bm -j DROP', "DROP", False),
    ('-j NFLOG --nflog-prefix "a -j DROP"', "NFLOG", False),
    ("-m recent --set --name x --rsource", "", False),
    ("", "", False),
]


@pytest.mark.parametrize(("rule", "target", "final"), TARGETS)
def test_the_target_of_a_rule(rule: str, target: str, final: bool) -> None:
    assert (target_of(rule), is_final(rule)) == (target, final)


def test_final_rules_of_a_whole_real_table_are_recognised() -> None:
    """Of all the odd rules, those without a condition; the comments that they carry have quotes in them."""
    found = [rule for rule in parse_save(ODD).rules("zz") if is_final(rule)]
    assert [target_of(rule) for rule in found] == ["DROP"] * 5 + ["aa", "NFQUEUE"]


# --- what is ours ----------------------------------------------------------------------------


def test_ours_and_foreign_are_the_two_parts_of_a_table() -> None:
    table = parse_save(save_text((f"-A INPUT -j {INPUT}", "-A INPUT -i x -j DROP", f"-A INPUT -j {EARLY}")))
    assert ours(table) == Ruleset(
        ((EARLY, ()), (INPUT, ())), (Jump("INPUT", INPUT, "1"), Jump("INPUT", EARLY, "3"))
    )
    assert foreign(table) == parse_save(save_text(("-A INPUT -i x -j DROP",)))


def test_jumps_between_our_own_chains_are_rules_of_ours_and_no_jumps() -> None:
    table = parse_save(save_text((f"-A {EARLY} -j HEARTH-ANTISPOOF",)))
    assert ours(table).jumps == ()
    assert dict(ours(table).chains)[EARLY] == ("-j HEARTH-ANTISPOOF",)


def test_a_snapshot_holds_only_the_policies_that_will_change() -> None:
    table = parse_save(save_text((), {"INPUT": "DROP", "FORWARD": "DROP"}))
    assert snapshot(table).policies == ()
    assert snapshot(table, ["INPUT"]).policies == (("INPUT", "DROP"),)


@pytest.mark.parametrize(("forward", "needs"), [(("-A FORWARD -j DOCKER-USER",), ("DOCKER-USER",)), ((), ())])
def test_a_snapshot_needs_a_foreign_chain_only_where_its_jump_was(
    forward: tuple[str, ...], needs: tuple[str, ...]
) -> None:
    table = parse_save(save_text((*forward, "-A DOCKER-USER -j HEARTH-DOCKER")))
    assert snapshot(table).needs == needs


def test_what_others_did_in_the_window_survives_the_rollback() -> None:
    """community.general's iptables_state puts the whole table back and loses it (specification, pitfall 29)."""
    before = parse_save(save_text(("-A DOCKER-USER -j RETURN",)))
    applied = predict(before, WANTED)
    meanwhile = dataclasses.replace(
        applied,
        chains=tuple(
            (c, ("-s 192.0.2.9/32 -j DROP", *rules) if c == "DOCKER-USER" else rules)
            for c, rules in applied.chains
        ),
    )
    back = predict(meanwhile, snapshot(before))
    assert back.rules("DOCKER-USER") == ("-s 192.0.2.9/32 -j DROP", "-j RETURN")
    assert ours(back) == Ruleset()


def test_a_chain_of_ours_that_a_stranger_refers_to_is_not_torn_out_of_his_hands() -> None:
    table = parse_save(save_text((*_our_lines(), f"-A INPUT -i eth9 -j {EARLY}")))
    with pytest.raises(Refusal, match=f"'-A INPUT -i eth9 -j {EARLY}'") as caught:
        predict(table, Ruleset())
    assert caught.value.details == {"chain": EARLY}
    assert predict(table, WANTED).rules("INPUT") == (f"-j {EARLY}", f"-i eth9 -j {EARLY}", f"-j {INPUT}")


def _our_lines() -> list[str]:
    return [f"-A {chain} {rule}" for chain, rules in OUR_CHAINS for rule in rules]


PLACED = [
    (("-i x -j DROP",), FIRST, 1),
    (("-p tcp -j f2b-x", "-j ufw-before-input", "-i x -j DROP"), FIRST, 3),
    (("-p tcp -j f2b-x",), FIRST, 2),
    (("-i x -j DROP", "-j REJECT --reject-with icmp-port-unreachable"), LAST, 2),
    (("-i x -j DROP",), LAST, 2),
    (("-i x -j DROP",), "1", 1),
    (("-i x -j DROP",), "9", 2),
    ((f"-j {INPUT}", "-i x -j DROP"), LAST, 2),
]


@pytest.mark.parametrize(("rules", "place", "number"), PLACED)
def test_the_number_of_a_jump_on_its_own(rules: tuple[str, ...], place: str, number: int) -> None:
    assert placed(Table((), (("INPUT", rules),)), Jump("INPUT", EARLY, place)) == number


# --- properties ------------------------------------------------------------------------------

RULES = st.sampled_from(
    [
        "-i eth9 -j DROP",
        "-p tcp -m tcp --dport 22 -j ACCEPT",
        "-p tcp -m multiport --dports 22 -j f2b-sshd",
        "-j ufw-before-input",
        "-j LIBVIRT_INP",
        "-j mine",
        "-g mine",
        "-j DROP",
        '-m comment --comment "x y" -j ACCEPT',
        "-j LOG",
        f"-j {EARLY}",
        f"-j {INPUT}",
    ]
)
CHAIN = st.lists(RULES, max_size=7).map(tuple)
OTHERS = ("LIBVIRT_INP", "f2b-sshd", "mine", "ufw-before-input")


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Any table: our jumps anywhere, any number of times."""
    chains = [(name, draw(CHAIN)) for name in ("INPUT", "FORWARD", "OUTPUT")]
    chains += sorted([(name, ()) for name in OTHERS] + [(EARLY, draw(CHAIN)), (INPUT, draw(CHAIN))])
    policies = [(name, draw(st.sampled_from(["ACCEPT", "DROP"]))) for name, _rules in chains[:3]]
    return Table(tuple(policies), tuple(chains))


PLACES = st.one_of(st.sampled_from([FIRST, LAST]), st.integers(1, 9).map(str))
JUMPS = st.builds(Jump, st.sampled_from(["INPUT", "FORWARD"]), st.sampled_from([EARLY, INPUT]), PLACES)
WISHES = st.builds(
    Ruleset,
    st.just(OUR_CHAINS),
    st.lists(JUMPS, max_size=4).map(tuple),
    st.sampled_from([(), (("INPUT", "DROP"),)]),
)


@given(tables(), WISHES)
def test_nothing_that_is_not_ours_moves(table: Table, wanted: Ruleset) -> None:
    assert foreign(predict(table, wanted)).chains == foreign(table).chains


@given(tables(), WISHES)
def test_any_wish_is_a_fixpoint(table: Table, wanted: Ruleset) -> None:
    assert satisfied(predict(table, wanted), wanted)


@given(tables(), WISHES)
def test_any_table_comes_back_from_its_snapshot(table: Table, wanted: Ruleset) -> None:
    saved = snapshot(table, [chain for chain, _policy in wanted.policies])
    assert predict(predict(table, wanted), saved) == table
    assert predict(table, saved) == table


@given(tables())
def test_nothing_wanted_leaves_nothing_of_ours(table: Table) -> None:
    assert not ours(predict(table, Ruleset()))
