# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a request stands, and what the ledger's file may hold."""

from __future__ import annotations

import dataclasses
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot import ledger
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.ledger import (
    Check,
    Evidence,
    Expect,
    Request,
)

PAGES = Check("/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", ledger.AT_LEAST, "2")


ASKED = Expect(present=("iommu=pt",))


def request(expect: Expect = ASKED, **fields: str) -> Request:
    given = {
        "name": "kernel-args",
        "reason": "arguments",
        "requested_by": "boot",
        "since": "2026-01-31T23:59:59Z",
        "boot_id": "a",
    }
    return Request(**{**given, **fields}, expect=expect)


@pytest.mark.parametrize(
    ("expect", "evidence", "status", "lacking"),
    [
        pytest.param(
            Expect(present=("iommu=pt",)), Evidence("b", ("ro", "iommu=pt")), "fulfilled", (), id="there"
        ),
        pytest.param(
            Expect(present=("iommu=pt",)),
            Evidence("a", ("iommu=pt",)),
            "fulfilled",
            (),
            id="effective in the same boot",
        ),
        pytest.param(
            Expect(present=("iommu=pt",)),
            Evidence("a", ("iommu=on",)),
            "pending",
            ("iommu=pt is not in /proc/cmdline",),
            id="not yet",
        ),
        pytest.param(
            Expect(present=("iommu=pt",)),
            Evidence("b", ("xiommu=pt",)),
            "failed",
            ("iommu=pt is not in /proc/cmdline",),
            id="booted, and part of a word is no word",
        ),
        pytest.param(
            Expect(absent=("nosmt",)),
            Evidence("b", ("nosmt",)),
            "failed",
            ("nosmt is still in /proc/cmdline",),
            id="still there",
        ),
        pytest.param(Expect(absent=("nosmt",)), Evidence("b", ("nosmt_x",)), "fulfilled", (), id="gone"),
        pytest.param(
            Expect(present=("imomu=pt",)),
            Evidence("b", ("imomu=pt",), ignored=("imomu=pt",)),
            "failed",
            ("the kernel does not know imomu=pt",),
            id="typo",
        ),
        pytest.param(
            Expect(checks=(PAGES,)),
            Evidence("b", (), {PAGES: (False, "is '1'")}),
            "failed",
            (f"{PAGES.path}: is '1'",),
            id="capability missing",
        ),
        pytest.param(
            Expect(checks=(PAGES,)), Evidence("a", (), {PAGES: (True, "")}), "fulfilled", (), id="capability"
        ),
        pytest.param(
            Expect(boot=True), Evidence("a", ()), "pending", ("the host has not booted since",), id="no boot"
        ),
        pytest.param(Expect(boot=True), Evidence("b", ()), "fulfilled", (), id="any boot"),
    ],
)
def test_where_a_request_stands(
    expect: Expect, evidence: Evidence, status: str, lacking: tuple[str, ...]
) -> None:
    judged = ledger.judge(request(expect), evidence)
    assert (judged.status, judged.lacking) == (status, lacking)


@pytest.mark.parametrize(
    ("asked", "evidence", "said"),
    [
        pytest.param(
            request(), Evidence("", ("iommu=pt",)), "id of the running boot", id="boot id unreadable"
        ),
        pytest.param(
            request(), Evidence("b", (), words_known=False), "/proc/cmdline could not", id="no words"
        ),
        pytest.param(
            request(Expect(checks=(PAGES,))), Evidence("b", ()), "it was not looked at", id="not looked at"
        ),
        pytest.param(
            request(Expect(checks=(PAGES,))),
            Evidence("a", (), {PAGES: (None, "Permission denied")}),
            "Permission denied",
            id="check unreadable",
        ),
        pytest.param(
            request(boot_id=""),
            Evidence("b", ()),
            "in which boot it was asked",
            id="asked for in an unknown boot",
        ),
        pytest.param(
            request(Expect(boot=True), boot_id=""),
            Evidence("b", ()),
            "in which boot",
            id="boot after nothing",
        ),
    ],
)
def test_unknown_is_neither_fulfilled_nor_a_reason_to_reboot(
    asked: Request, evidence: Evidence, said: str
) -> None:
    judged = ledger.judge(asked, evidence)
    assert judged.status == "unknown"
    assert said in "; ".join(judged.lacking)


def test_what_is_seen_to_be_missing_decides_whatever_else_cannot_be_read() -> None:
    expect = Expect(present=("iommu=pt",), checks=(PAGES,))
    unreadable = {PAGES: (None, "Permission denied")}
    assert ledger.judge(request(expect), Evidence("a", (), unreadable)).status == "pending"
    assert ledger.judge(request(expect), Evidence("b", (), unreadable)).status == "failed"
    assert ledger.judge(request(expect), Evidence("b", ("iommu=pt",), unreadable)).status == "unknown"


def test_a_wish_in_effect_needs_no_record_of_its_boot() -> None:
    assert ledger.judge(request(boot_id=""), Evidence("b", ("iommu=pt",))).status == "fulfilled"


def test_who_expects_nothing_waits_for_nothing() -> None:
    assert ledger.judge(request(Expect()), Evidence("", (), words_known=False)).status == "fulfilled"


def test_a_check_is_called_by_its_label() -> None:
    check = dataclasses.replace(PAGES, label="huge pages of 1 GiB")
    judged = ledger.judge(request(Expect(checks=(check,))), Evidence("b", (), {check: (False, "is '0'")}))
    assert judged.as_dict()["lacking"] == ["huge pages of 1 GiB: is '0'"]
    assert judged.as_dict()["status"] == "failed"


class TestNeverTwiceForTheSameWish:
    """The wish that a reboot did not fulfil stays failed until what fulfils it is changed."""

    def test_entering_it_again_changes_nothing(self) -> None:
        known = ledger.enter({}, request(), renew=False)
        again = ledger.enter(known, request(boot_id="b", since="2026-02-01T00:00:00Z"), renew=False)
        assert again == known
        assert ledger.judge(again["kernel-args"], Evidence("b", ())).status == "failed"

    def test_a_changed_configuration_is_a_new_try(self) -> None:
        known = ledger.enter({}, request(), renew=False)
        again = ledger.enter(known, request(boot_id="b"), renew=True)
        assert ledger.judge(again["kernel-args"], Evidence("b", ())).status == "pending"

    def test_another_wish_of_the_same_name_is_a_new_wish(self) -> None:
        known = ledger.enter({}, request(), renew=False)
        other = request(Expect(present=("iommu=on",)), boot_id="b")
        assert ledger.enter(known, other, renew=False) == {"kernel-args": other}

    @given(boots=st.lists(st.sampled_from("abc"), min_size=1), held=st.booleans())
    def test_only_the_boot_in_which_it_was_asked_for_can_lead_to_a_reboot(
        self, boots: list[str], held: bool
    ) -> None:
        words = ("iommu=pt",) if held else ()
        entered = ledger.enter({}, request(), renew=False)
        for boot in boots:
            entered = ledger.enter(entered, request(boot_id=boot), renew=False)
            status = ledger.judge(entered["kernel-args"], Evidence(boot, words)).status
            assert (status == "pending") == (boot == "a" and not held)


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=20)
checks = st.builds(
    Check,
    path=st.just("/sys/x"),
    operator=st.sampled_from([ledger.EQUALS, ledger.FILLED]),
    value=texts,
    label=texts,
)
words = st.lists(st.sampled_from(["iommu=pt", "nosmt", 'x="a b"'])).map(tuple)
requests = st.builds(
    Request,
    name=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,10}", fullmatch=True),
    reason=texts,
    requested_by=texts,
    since=st.integers(0, 4_000_000_000).map(ledger.moment),
    boot_id=texts,
    expect=st.builds(
        Expect, present=words, absent=words, checks=st.lists(checks).map(tuple), boot=st.booleans()
    ),
)


@given(st.lists(requests))
def test_what_is_written_is_read_back(items: list[Request]) -> None:
    wanted = {item.name: item for item in items}
    assert ledger.parse_ledger(ledger.render_ledger(wanted)) == wanted


@given(st.integers(0, 4_000_000_000))
def test_a_moment_is_read_back(seconds: int) -> None:
    assert ledger.epoch(ledger.moment(seconds)) == seconds


@pytest.mark.parametrize(
    "since", ["2027-01-15T08:00:00+00:00", "2027-01-15T08:00:00Z", "2027-01-15T08:00:00"]
)
def test_a_time_may_be_spelled_as_python_spells_it(since: str) -> None:
    assert ledger.epoch(since) == 1_800_000_000


def damaged(**changes: t.Any) -> str:
    item = {**json.loads(json.dumps(request().as_dict())), **changes}
    return json.dumps({"requests": [{key: value for key, value in item.items() if value is not None}]})


def expecting(**expect: t.Any) -> str:
    return damaged(expect=expect)


def checking(**check: t.Any) -> str:
    return expecting(checks=[{"path": "/sys/x", "operator": "equals", **check}])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{ half", "JSONDecodeError"),
        ("[]", "TypeError"),
        ("{}", "'requests'"),
        ('{"requests": 1}', "not iterable"),
        ('{"requests": ["x"]}', "TypeError"),
        ('{"requests": [null]}', "TypeError"),
        ('{"requests": ' + "[" * 100_000, "Error"),
        (damaged(since="yesterday"), "since is 'yesterday', expected a time"),
        (damaged(since="2026-13-31T23:59:59Z"), "expected a time"),
        (damaged(since=1_800_000_000), "since is 1800000000, expected a text"),
        (damaged(boot_id=7), "boot_id is 7, expected a text"),
        (damaged(boot_id=None), "boot_id"),
        (damaged(colour="red"), "colour"),
        (damaged(name='a"b'), "the name is"),
        (damaged(name=["a"]), "the name is"),
        (damaged(expect="x"), "ValueError"),
        (expecting(boot="yes"), "boot is 'yes'"),
        (expecting(present=[1]), "present is 1"),
        (expecting(present=["hugepagesz=1G"]), "hugepagesz=1G has no count"),
        (expecting(colour="red"), "colour"),
        (checking(operator="roughly"), "operator is 'roughly'"),
        (checking(operator="at_least", value="many"), "value is 'many', expected a number"),
        (checking(operator="matches", value="("), "no regular expression"),
        (checking(path="sys/x"), "expected an absolute path"),
        (checking(value=1), "value is 1"),
    ],
)
def test_a_broken_or_hand_edited_ledger_is_one_clear_error(text: str, said: str) -> None:
    with pytest.raises(ParseError) as caught:
        ledger.parse_ledger(text)
    assert caught.value.message.startswith("/var/lib/hearth/reboot.json is broken: ")
    assert said in caught.value.message
    assert "then remove /var/lib/hearth/reboot.json" in caught.value.remedy


def test_a_name_comes_once() -> None:
    item = request().as_dict()
    with pytest.raises(ParseError, match="a name comes twice"):
        ledger.parse_ledger(json.dumps({"requests": [item, item]}))


def test_no_file_is_an_empty_ledger() -> None:
    assert ledger.parse_ledger("") == ledger.parse_ledger(" \n") == {}
