# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.bundle import (
    BACKENDS,
    DIGEST_LENGTH,
    EMPTY,
    Contents,
    digest,
    parse_bundle,
    render_bundle,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    FIRST,
    LAST,
    Jump,
    Ruleset,
)

FILES = {
    *("backend", "jumps", "needs", "policies"),
    *("rules4", "rules6", "sets4", "sets6", "rescue4", "rescue6"),
}
RULES = Ruleset(
    (
        ("HEARTH-INPUT", ("-j DROP",)),
        ("HEARTH-EARLY", ("-i lo -j ACCEPT", '-m comment --comment "a b" -j x')),
    ),
    (Jump("INPUT", "HEARTH-EARLY", FIRST), Jump("DOCKER-USER", "HEARTH-DOCKER", "2")),
    (("INPUT", "DROP"),),
    ("DOCKER-USER",),
)


def test_a_bundle_is_the_files_that_the_loader_documents() -> None:
    bundle = render_bundle(
        "iptables-nft", {4: RULES}, {4: "create hearth-block4 hash:net\n"}, {4: (("HEARTH-EARLY", ()),)}
    )
    assert dict(bundle) == {
        "backend": "iptables-nft\n",
        "jumps": "4 INPUT HEARTH-EARLY first\n4 DOCKER-USER HEARTH-DOCKER 2\n",
        "needs": "4 DOCKER-USER\n",
        "policies": "4 INPUT DROP\n",
        "rescue4": ":HEARTH-EARLY - [0:0]\n",
        "rescue6": "",
        "rules4": ":HEARTH-EARLY - [0:0]\n:HEARTH-INPUT - [0:0]\n-A HEARTH-EARLY -i lo -j ACCEPT\n"
        '-A HEARTH-EARLY -m comment --comment "a b" -j x\n-A HEARTH-INPUT -j DROP\n',
        "rules6": "",
        "sets4": "create hearth-block4 hash:net\n",
        "sets6": "",
    }


def test_the_empty_bundle_has_every_file_and_takes_all_of_ours_away() -> None:
    assert set(EMPTY) == FILES
    assert {name for name, text in EMPTY.items() if text} == {"backend"}
    assert not any(parse_bundle(EMPTY).rulesets.values())


def test_the_order_in_which_chains_come_changes_no_digest() -> None:
    other = Ruleset(RULES.chains[::-1], RULES.jumps, RULES.policies, RULES.needs)
    one, two = (render_bundle("iptables", {6: rules}, {}, {}) for rules in (RULES, other))
    assert digest(one) == digest(two)
    assert digest(dict(reversed(list(one.items())))) == digest(one)


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_file_changes_the_digest(name: str) -> None:
    assert digest({**EMPTY, name: "x"}) != digest(EMPTY)


def test_a_text_that_moves_to_the_next_file_changes_the_digest() -> None:
    assert digest({"a": "b", "c": ""}) != digest({"a": "", "b": "c"})
    assert len(digest(EMPTY)) == DIGEST_LENGTH
    assert set(digest(EMPTY)) <= set("0123456789abcdef")


# file, text -> the line that the message shows
BROKEN = [
    ("backend", "nft\n", "'nft'"),
    ("backend", "", "''"),
    ("jumps", "4 INPUT HEARTH-EARLY\n", "'4 INPUT HEARTH-EARLY'"),
    ("jumps", "4 INPUT HEARTH-EARLY middle\n", "'4 INPUT HEARTH-EARLY middle'"),
    ("jumps", "4 INPUT HEARTH-EARLY 0\n", "'4 INPUT HEARTH-EARLY 0'"),
    ("jumps", "4 INPUT HEARTH-EARLY -1\n", "'4 INPUT HEARTH-EARLY -1'"),
    ("needs", "5 DOCKER-USER\n", "'5 DOCKER-USER'"),
    ("policies", "4 INPUT\n", "'4 INPUT'"),
    ("rules4", "-A HEARTH-EARLY -j DROP\n", "'-A HEARTH-EARLY -j DROP'"),
    ("rules4", ":HEARTH-EARLY - [0:0]\n-A HEARTH-EARLY\n", "'-A HEARTH-EARLY'"),
    ("rules6", ":HEARTH-EARLY ACCEPT [0:0]\n", "':HEARTH-EARLY ACCEPT "),
    ("rescue6", "nonsense\n", "'nonsense'"),
]


@pytest.mark.parametrize(("name", "text", "shown"), BROKEN)
def test_a_file_that_we_did_not_write_is_named_with_its_line(name: str, text: str, shown: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_bundle({**EMPTY, name: text})
    assert f"'{name}'" in caught.value.message
    assert shown in caught.value.message


def test_files_that_are_missing_are_empty() -> None:
    assert parse_bundle({"backend": "iptables\n"}) == parse_bundle(EMPTY)


WORD = st.text("ABCXYZ-", min_size=1, max_size=8)
RULE = st.sampled_from(
    ["-j DROP", "-i lo -j ACCEPT", '-m comment --comment "hearth:a  b" -j DROP', "-s 192.0.2.0/24"]
)
CHAINS = st.dictionaries(WORD, st.lists(RULE, max_size=3).map(tuple), max_size=3).map(
    lambda chains: tuple(sorted(chains.items()))
)
PLACE = st.one_of(st.sampled_from([FIRST, LAST]), st.integers(1, 99).map(str))
RULESETS = st.builds(
    Ruleset,
    CHAINS,
    st.lists(st.builds(Jump, WORD, WORD, PLACE), max_size=3).map(tuple),
    st.lists(st.tuples(WORD, WORD), max_size=2).map(tuple),
    st.lists(WORD, max_size=2).map(tuple),
)


def by_family(values: st.SearchStrategy[object]) -> st.SearchStrategy[dict[int, object]]:
    return st.fixed_dictionaries({4: values, 6: values})


@given(
    st.builds(
        Contents,
        st.sampled_from(BACKENDS),
        by_family(RULESETS),
        by_family(st.sampled_from(["", "create hearth-block4 hash:net\nadd hearth-block4 192.0.2.0/24\n"])),
        by_family(CHAINS),
    )
)
def test_a_bundle_says_all_that_went_into_it(contents: Contents) -> None:
    rendered = render_bundle(contents.backend, contents.rulesets, contents.sets, contents.rescues)
    assert parse_bundle(rendered) == contents
