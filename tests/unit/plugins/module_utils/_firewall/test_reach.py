# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from captures import CAPTURES
from placements import OUR_LINES, WANTED, save_text

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import Table
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.reach import (
    hidden_jumps,
    warnings_about,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import parse_save, predict

EARLY, INPUT = "-A INPUT -j HEARTH-EARLY", "-A INPUT -j HEARTH-INPUT"


def table(*lines: str, policy: str = "ACCEPT") -> Table:
    return parse_save(save_text((*lines, *OUR_LINES), {"INPUT": policy}))


# lines above the jump, policy -> the rule that hides it; None: it can be reached
HIDDEN = [
    ((), "ACCEPT", None),
    (("-A INPUT -i eth0 -j DROP",), "ACCEPT", None),
    (("-A INPUT -j DROP",), "ACCEPT", "-A INPUT -j DROP"),
    (
        ('-A INPUT -m comment --comment "the end" -j DROP',),
        "ACCEPT",
        '-m comment --comment "the end" -j DROP',
    ),
    (("-A INPUT -j RETURN",), "DROP", "-A INPUT -j RETURN"),
    (("-A INPUT -j mine", "-A mine -j DROP"), "ACCEPT", "-A INPUT -j mine"),
    (("-A INPUT -j mine", "-A mine -p tcp -j RETURN", "-A mine -j DROP"), "ACCEPT", None),
    (("-A INPUT -j mine", "-A mine -p tcp -j ACCEPT", "-A mine -j DROP"), "ACCEPT", "-A INPUT -j mine"),
    (("-A INPUT -i eth0 -j mine", "-A mine -j DROP"), "ACCEPT", None),
    (("-A INPUT -j mine", ":mine"), "ACCEPT", None),
    (("-A INPUT -j mine", "-A mine -g more", "-A more -j DROP"), "ACCEPT", "-A INPUT -j mine"),
    (("-A INPUT -j mine", "-A mine -g more", "-A mine -j DROP", ":more"), "ACCEPT", None),
    (("-A INPUT -j mine", "-A mine -i x -g more", "-A mine -j DROP", "-A more -j DROP"), "ACCEPT", "-j mine"),
    (("-A INPUT -g mine", "-A mine -i x -j DROP"), "ACCEPT", "-A INPUT -g mine"),
    # No table that a kernel took, and no reason to hang.
    (("-A INPUT -j mine", "-A mine -j mine"), "ACCEPT", None),
    (("-A INPUT -j mine", "-A mine -i x -g more", "-A more -i x -g mine"), "ACCEPT", None),
]


@pytest.mark.parametrize(("above", "policy", "rule"), HIDDEN)
def test_a_jump_that_no_packet_reaches_is_dead_code(
    above: tuple[str, ...], policy: str, rule: str | None
) -> None:
    found = hidden_jumps(4, table(*above, INPUT, policy=policy))
    assert [objection.name for objection in found] == ["foreign_above"] * bool(rule)
    assert all(rule in objection.message for objection in found)
    assert all("HEARTH-INPUT would never be asked" in objection.message for objection in found)


# The same, where it is an accept that hides the jump: open to everybody, and nobody is locked out.
OPEN = [
    ("-A INPUT -j ACCEPT",),
    ("-A INPUT -j mine", "-A mine -j ACCEPT"),
    ("-A INPUT -j RETURN",),
    ("-A INPUT -g mine", "-A mine -i x -j ACCEPT"),
]


@pytest.mark.parametrize("above", OPEN)
def test_an_accept_of_everything_above_is_a_warning(above: tuple[str, ...]) -> None:
    hidden = table(*above, INPUT)
    assert hidden_jumps(4, hidden) == []
    (warning,) = warnings_about({4: hidden}, denies=True)
    assert above[0] in warning
    assert "accepts every packet before HEARTH-INPUT is asked" in warning


def test_a_firewall_that_denies_has_nothing_to_warn_of() -> None:
    whole = predict(parse_save(""), WANTED)
    assert hidden_jumps(4, whole) == []
    assert warnings_about({4: whole, 6: whole}, denies=True) == ()


def test_firewalld_decides_about_every_packet_before_we_are_asked() -> None:
    """Its zones never give a packet back: specification, pitfall 31, behind a jump that iptables -C finds."""
    result = predict(parse_save(CAPTURES["firewalld"]), WANTED)
    (found,) = hidden_jumps(4, result)
    assert "'-A INPUT -j INPUT_ZONES' above it (firewalld)" in found.message
    assert found.remedy.endswith("allow: [foreign_above] lifts this one refusal")


@pytest.mark.parametrize("name", ["ufw", "ufw6", "libvirt", "docker_fail2ban"])
def test_others_give_packets_back(name: str) -> None:
    assert hidden_jumps(4, predict(parse_save(CAPTURES[name]), WANTED)) == []


def test_a_stranger_who_is_let_in_by_somebody_else_is_told() -> None:
    result = table("-A INPUT -p tcp -j ACCEPT", INPUT)
    assert warnings_about({4: result}, denies=False) == ()
    (warning,) = warnings_about({4: result}, denies=True)
    assert "is accepted by '-A INPUT -p tcp -j ACCEPT', in spite of the policy" in warning
