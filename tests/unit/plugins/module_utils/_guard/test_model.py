# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is handed to the guard, and what it says, as data."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._guard import model

WAITS = "armed\tfirewall-1\tyes\t43\t1700000000\tfirewall\tann, from site.yml\n"


def test_a_token_begins_with_its_kind_and_is_never_used_twice() -> None:
    tokens = {model.new_token("br-ex", 1700000000.0) for _number in range(50)}
    assert len(tokens) == 50
    assert all(re.fullmatch(r"br-ex-20231114221320-[0-9a-f]{6}", token) for token in tokens)


def test_what_the_guard_prints_is_read_with_its_deadline_on_our_clock() -> None:
    (one,) = model.parse_pending(WAITS, 1700000047.0)
    assert one == model.Pending(
        "firewall-1", "firewall", "ann, from site.yml", 1700000000.0, 1700000090.0, True, "armed", 43
    )
    assert model.parse_pending("", 0.0) == ()


@given(who=st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp"))), left=st.integers(0, 3600))
def test_whatever_the_name_of_who_did_it_is_read_back(who: str, left: int) -> None:
    line = f"undoing\ttoken\tno\t{left}\t5\tfirewall\t{who}"
    (one,) = model.parse_pending(line, 10.0)
    assert (one.who, one.left_s, one.armed, one.state) == (who, left, False, "undoing")


@pytest.mark.parametrize("line", ["armed", "a\tb\tc\td\te\tf\tg", WAITS.replace("43", "soon")])
def test_what_is_no_line_of_the_guard_is_an_error(line: str) -> None:
    with pytest.raises(ParseError, match="hearth-guard list"):
        try:
            model.parse_pending(line, 0.0)
        except ParseError as error:
            raise ParseError(f"{error.message} {error.remedy}") from error


def test_an_outcome_has_four_lines_or_is_none() -> None:
    text = "firewall-1\nrolled back\n2026-11-22T11:00:00Z\nnobody confirmed it within 90 s\n"
    assert model.parse_outcome("firewall", text) == model.Outcome(
        "firewall-1", "firewall", "rolled back", "nobody confirmed it within 90 s", "2026-11-22T11:00:00Z"
    )
    assert model.parse_outcome("firewall", "") is None
    assert model.parse_outcome("firewall", "firewall-1\nrolled") is None


@pytest.mark.parametrize("what", ["", "Bridge br-ex", "../x", "-x"])
def test_a_kind_is_a_plain_word(what: str) -> None:
    with pytest.raises(ValueError, match="no guarded change"):
        model.Spec(what, 90, {}, "", "")


@pytest.mark.parametrize(
    "name", ["rollback", "commit", "guard.by", "../x", "a/b/c", "/etc/x", ".x", "x/../y", ""]
)
def test_a_file_beside_the_scripts_stays_beside_them_and_takes_no_name_of_the_guard(name: str) -> None:
    with pytest.raises(ValueError, match="no guarded change"):
        model.Spec("firewall", 90, {name: ""}, "", "")


def test_a_window_of_nothing_is_no_guard() -> None:
    with pytest.raises(ValueError, match="0 s"):
        model.Spec("firewall", 0, {}, "", "")
    assert model.Spec("firewall", 90, {"rules4": "", "snapshot/rules6": ""}, "", "").window_s == 90
