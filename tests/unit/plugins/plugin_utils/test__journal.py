# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: what counts as a change, and what never enters."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.plugin_utils import _journal

NAMES: dict[str, t.Any] = {"role": "kvm", "task": "Write it", "module": "ansible.builtin.copy"}
CENSORED = {"censored": "the output has been hidden", "changed": True}

# id, result, failed, and what is kept: None, or (actions, files, hidden).
RESULTS: list[tuple[str, dict[str, t.Any], bool, t.Any]] = [
    ("nothing changed", {"changed": False, "dest": "/etc/x"}, False, None),
    ("changed_when false", {"changed": False, "actions": ["run x"]}, False, None),
    ("no word about it", {}, False, None),
    ("our module", {"changed": True, "actions": ["write /etc/x", "run y"]}, False,
     (("write /etc/x", "run y"), (), False)),
    ("a file", {"changed": True, "dest": "/etc/x"}, False, ((), ("/etc/x",), False)),
    ("path", {"changed": True, "path": "/etc/x", "diff": None}, False, ((), ("/etc/x",), False)),
    ("diffs", {"changed": True, "diff": [{"before_header": "a"}, {"before_header": "b", "after": "SECRET"}]}, False,
     ((), ("a", "b"), False)),
    ("a template", {"changed": True, "diff": {"before_header": "/etc/x", "after_header": "/tmp/a/x.j2"}}, False,
     ((), ("/etc/x",), False)),
    ("generated", {"changed": True, "diff": {"after_header": "dynamically generated"}, "dest": "/etc/x"}, False,
     ((), ("/etc/x",), False)),
    ("remarks of modules", {"changed": True, "diff": [{"before_header": "/etc/x (content)"},
     {"before_header": "/etc/x (file attributes)"}]}, False, ((), ("/etc/x",), False)),
    ("prepared diff", {"changed": True, "diff": {"prepared": "SECRET"}}, False, ((), (), False)),
    ("loop", {"changed": True, "results": [{"changed": True, "dest": "/a"}, {"changed": False, "dest": "/b"}]}, False,
     ((), ("/a",), False)),
    ("squashed loop", {"changed": True, "results": ["pkg installed"]}, False, ((), (), False)),
    ("no_log", CENSORED, False, ((), (), True)),
    ("no_log in a loop", {"changed": True, "results": [CENSORED, {"changed": True, "dest": "/b"}]}, False,
     ((), (), True)),
    ("failed before anything", {"changed": False, "msg": "no"}, True, None),
    ("failed on the way", {"changed": False, "actions": ["write /etc/x"]}, True, (("write /etc/x",), (), False)),
    ("odd types", {"changed": True, "actions": {"a": 1}, "dest": 5, "diff": "text"}, False, ((), (), False)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("result", "failed", "kept"), [case[1:] for case in RESULTS], ids=[case[0] for case in RESULTS]
)
def test_what_a_result_says_about_changes(result: dict[str, t.Any], failed: bool, kept: t.Any) -> None:
    change = _journal.change_from(result, failed=failed, **NAMES)
    if kept is None:
        assert change is None
        return
    assert change is not None
    assert (change.actions, change.files, change.hidden) == kept
    assert change.failed is failed
    assert "SECRET" not in str(change.as_dict())


@given(st.text(min_size=1), st.booleans(), st.booleans())
def test_what_no_log_hides_stays_hidden(secret: str, loop: bool, failed: bool) -> None:
    # ansible-core leaves `censored` and `changed`; a careless version or plugin might leave more.
    item = {**CENSORED, "msg": secret, "actions": [secret], "dest": secret, "diff": {"before_header": secret}}
    result = {"changed": True, "results": [item, {"changed": True, "dest": "/x"}]} if loop else item
    change = _journal.change_from(result, failed=failed, **NAMES)
    assert change == _journal.Change(**NAMES, failed=failed, hidden=True)


SCALAR = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
FLAT = st.lists(SCALAR, max_size=3) | st.dictionaries(st.text(max_size=4), SCALAR, max_size=3)
JSON = SCALAR | FLAT | st.lists(FLAT, max_size=3)
KEYS = st.sampled_from(["changed", "failed", "actions", "results", "diff", "dest", "path", "censored", "msg"])
TOLD = ("actions", "dest", "path", "diff", "results")


@given(st.dictionaries(KEYS, JSON), st.booleans())
def test_no_result_breaks_the_journal_and_no_other_value_enters_it(
    result: dict[str, t.Any], failed: bool
) -> None:
    change = _journal.change_from(result, failed=failed, **NAMES)
    if change is None:
        return
    assert json.loads(json.dumps(change.as_dict())) == change.as_dict()
    told = set(_strings({key: result.get(key) for key in TOLD}))
    assert {*change.actions, *change.files} <= told


def _strings(value: t.Any) -> t.Iterator[str]:
    if isinstance(value, str):
        yield from (value, value.removesuffix(" (content)"), value.removesuffix(" (file attributes)"))
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _strings(inner)


def test_a_host_that_was_not_heard_of_changed_nothing() -> None:
    journal = _journal.Journal()
    journal.start()
    known = journal.of("host1")
    assert known is not None
    assert known.as_dict() == {"counts": {"ok": 0, "changed": 0, "failed": 0, "skipped": 0}, "changes": []}


def test_without_recording_nothing_is_known() -> None:
    journal = _journal.Journal()
    journal.note("host1", "changed", _journal.Change(**NAMES))
    assert journal.of("host1") is None


def test_hosts_are_kept_apart() -> None:
    journal = _journal.Journal()
    journal.start()
    journal.note("a", "changed", _journal.Change(**NAMES))
    journal.note("a", "ok")
    journal.note("b", "skipped")
    one, other = journal.of("a"), journal.of("b")
    assert one is not None
    assert other is not None
    assert one.as_dict()["counts"] == {"ok": 1, "changed": 1, "failed": 0, "skipped": 0}
    assert [change["task"] for change in one.as_dict()["changes"]] == ["Write it"]
    assert other.changes == []
