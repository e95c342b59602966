# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules in the kernel's own spelling, with a runner that plays the namespace. The real one is in tests/netns."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.backend import Backend
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import (
    EARLY,
    INPUT,
    Jump,
    Ruleset,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.scratch import (
    canonical,
    offending,
    restore_text,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

BACKEND = Backend("iptables-nft", "ip6tables-nft", "nft")
WISH = Ruleset(
    ((INPUT, ("-p tcp --dport ssh -j ACCEPT",)), (EARLY, ())),
    (Jump("INPUT", EARLY, "first"), Jump("DOCKER-USER", INPUT, "first")),
    needs=("DOCKER-USER",),
)
TEXT = f"""\
*filter
:{INPUT} - [0:0]
:{EARLY} - [0:0]
:DOCKER-USER - [0:0]
-A {INPUT} -p tcp --dport ssh -j ACCEPT
-A FORWARD -j DOCKER-USER
-A INPUT -j {EARLY}
-A DOCKER-USER -j {INPUT}
COMMIT
"""
SAVED = f"""\
*filter
:INPUT ACCEPT [0:0]
:{EARLY} - [0:0]
:{INPUT} - [0:0]
-A {INPUT} -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
"""


class Runner:
    """Answers one call, and keeps it."""

    def __init__(self, rc: int = 0, out: str = SAVED, err: str = "") -> None:
        self.done = Completed(rc, out, err)
        self.argv: tuple[str, ...] = ()
        self.stdin: str | None = None

    def __call__(self, argv: t.Sequence[str], *, stdin: str | None = None, **_options: t.Any) -> Completed:
        self.argv, self.stdin = tuple(argv), stdin
        return self.done


def test_chains_come_back_in_the_order_of_the_wish() -> None:
    runner = Runner()
    found = canonical(Host(run=runner), BACKEND, WISH, 6)
    assert found.chains == ((INPUT, ("-p tcp -m tcp --dport 22 -j ACCEPT",)), (EARLY, ()))
    assert (found.jumps, found.needs) == (WISH.jumps, WISH.needs)
    assert runner.stdin == TEXT
    assert runner.argv[4:] == ("ip6tables-nft", "")


def test_of_lists_only_the_kind_is_needed() -> None:
    runner = Runner()
    rules = Ruleset(
        ((INPUT, ("-m set --match-set hearth-block4 src -m set ! --match-set theirs dst -j DROP",)),)
    )
    canonical(
        Host(run=runner), BACKEND, rules, 4, "create hearth-block4 hash:net\nadd hearth-block4 192.0.2.1\n"
    )
    assert runner.argv[4:] == ("iptables-nft", "create hearth-block4 hash:net", "theirs")


def test_where_no_namespace_can_be_made_the_rules_are_what_they_were() -> None:
    # util-linux 2.38.1 without CAP_SYS_ADMIN.
    runner = Runner(1, "", "unshare: unshare failed: Operation not permitted\n")
    assert canonical(Host(run=runner), BACKEND, WISH, 4) is WISH


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        # iptables 1.8.9 of Debian 12: nft, nft at the end of the transaction, legacy.
        ('iptables-nft-restore v1.8.9 (nf_tables): unknown option "--dport"\nError occurred at line: 5', 5),
        (
            "iptables-nft-restore v1.8.9 (nf_tables): Chain 'ACCEPT' does not exist\nError occurred at line: 9",
            5,
        ),
        ("iptables-restore: line 5 failed", 5),
        ("iptables-restore: line 9 failed", 0),
        ("iptables-restore: line 77 failed", 0),
        ("Permission denied", 0),
    ],
)
def test_the_rule_that_is_not_taken_is_quoted(said: str, rule: int) -> None:
    with pytest.raises(ParseError, match="iptables does not take the IPv4 rules") as caught:
        canonical(
            Host(run=Runner(44, "", f"{said}\nTry `iptables-restore -h' for more information.\n")),
            BACKEND,
            WISH,
            4,
        )
    line = TEXT.splitlines()[rule - 1] if rule else ""
    assert caught.value.details["rule"] == line
    assert caught.value.message.endswith(line)
    assert "Try `" not in caught.value.message
    assert offending(said, TEXT) == line


def test_only_chains_that_a_rule_leads_into_are_made_up() -> None:
    rules = Ruleset(((INPUT, ("-p tcp -j mine", "-j LOG")),))
    assert restore_text(rules, ("mine", "theirs")).splitlines()[1:3] == [f":{INPUT} - [0:0]", ":mine - [0:0]"]
    assert ":mine" not in restore_text(rules)
