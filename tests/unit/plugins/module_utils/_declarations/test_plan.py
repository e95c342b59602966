# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import RemoveFile, WriteFile
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.model import Declaration
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.parse import parse_declaration
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.plan import (
    FACT_FILE,
    Registry,
    file_of,
    metrics,
    parse_registry,
    plan_registry,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction, ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Reading

METRICS = "/var/lib/hearth/metrics"
PROM = f"{METRICS}/hearth_declarations.prom"
EMPTY = Registry({}, {})


def wish(**data: t.Any) -> Declaration:
    return parse_declaration("role x", data)


def later(registry: Registry, *own: str) -> Registry:
    """Read the registry again as another run that speaks for ``own``."""
    return parse_registry({path: Reading(text) for path, text in registry.files.items()}, own)


def test_roles_come_before_the_views() -> None:
    actions, _after, _merged = plan_registry(
        EMPTY, {"b": wish(modules=["x"]), "a": wish(modules=["y"])}, METRICS
    )
    assert [action.describe() for action in actions] == [
        f"write {file_of('a')} (0644)",
        f"write {file_of('b')} (0644)",
        f"write {FACT_FILE} (0644)",
        f"write {PROM} (0644)",
    ]


def test_a_file_is_canonical_and_ends_with_a_newline() -> None:
    actions, _after, _merged = plan_registry(EMPTY, {"a": wish(sysctl={"vm.b": 1, "vm.a": "ü"})}, METRICS)
    assert isinstance(actions[0], WriteFile)
    assert actions[0].content == '{\n  "sysctl": {\n    "vm.a": "ü",\n    "vm.b": "1"\n  }\n}\n'


def test_a_partial_run_never_shrinks_what_others_declared() -> None:
    _actions, after, _merged = plan_registry(
        EMPTY, {"a": wish(modules=["x"]), "b": wish(modules=["y"])}, METRICS
    )
    actions, final, merged = plan_registry(later(after, "b"), {"b": wish(modules=["z"])}, METRICS)
    assert file_of("a") not in {getattr(action, "path", "") for action in actions}
    assert final.files[file_of("a")] == after.files[file_of("a")]
    assert [item["name"] for item in merged["modules"]] == ["x", "z"]


def test_an_empty_declaration_removes_the_file_and_the_last_one_the_views() -> None:
    _actions, after, _merged = plan_registry(EMPTY, {"a": wish(modules=["x"])}, METRICS)
    actions, final, merged = plan_registry(later(after, "a"), {"a": Declaration()}, METRICS)
    assert actions == (RemoveFile(file_of("a")), RemoveFile(FACT_FILE), RemoveFile(PROM))
    assert final == EMPTY
    assert not any(merged.values())


def test_removing_what_is_not_there_does_nothing() -> None:
    assert plan_registry(EMPTY, {"a": Declaration()}, METRICS)[0] == ()


def test_a_contradiction_with_a_role_outside_the_play_is_refused() -> None:
    _actions, after, _merged = plan_registry(EMPTY, {"ceph": wish(sysctl={"vm.swappiness": 1})}, METRICS)
    with pytest.raises(Contradiction, match="'1' by role ceph and as '9' by role kvm"):
        plan_registry(later(after, "kvm"), {"kvm": wish(sysctl={"vm.swappiness": 9})}, METRICS)


def test_a_broken_file_of_another_role_is_named() -> None:
    raw = {file_of("kvm"): Reading("{"), file_of("vfio"): Reading("{")}
    with pytest.raises(ParseError, match=r"/etc/hearth/declarations\.d/kvm\.json is broken"):
        parse_registry(raw, ["vfio"])


def test_a_broken_file_of_an_own_role_is_replaced() -> None:
    current = parse_registry({file_of("vfio"): Reading("{")}, ["vfio"])
    actions, _after, _merged = plan_registry(current, {"vfio": wish(modules=["x"])}, METRICS)
    assert actions[0].describe() == f"write {file_of('vfio')} (0644)"


def test_an_unreadable_file_of_another_role_is_unknown_and_no_empty_one() -> None:
    with pytest.raises(ParseError, match="Permission denied"):
        parse_registry({file_of("kvm"): Reading(why="/x: Permission denied")}, [])


def test_a_file_whose_name_is_no_role_is_named() -> None:
    with pytest.raises(ParseError, match="'Kvm copy'"):
        parse_registry({file_of("Kvm copy"): Reading("{}")}, [])


def test_a_foreign_file_that_somebody_formatted_is_left_as_it_is() -> None:
    text = '{"modules":["x"]}'
    current = parse_registry({file_of("kvm"): Reading(text)}, [])
    actions, after, _merged = plan_registry(current, {}, METRICS)
    assert after.files[file_of("kvm")] == text
    assert [getattr(action, "path", "") for action in actions] == [FACT_FILE, PROM]


def test_the_fact_holds_roles_and_merged() -> None:
    _actions, after, merged = plan_registry(EMPTY, {"a": wish(modules=["x"])}, METRICS)
    assert json.loads(after.files[FACT_FILE]) == {"roles": {"a": {"modules": ["x"]}}, "merged": merged}


def test_metrics_are_in_the_text_format() -> None:
    text = metrics({"vfio": wish(modules=["x", "y"], sysctl={"vm.a": 1}), "kvm": wish(modules=["kvm"])})
    assert text.splitlines()[2:] == [
        'hearth_declared_items{role="kvm",kind="modules"} 1',
        'hearth_declared_items{role="vfio",kind="modules"} 2',
        'hearth_declared_items{role="vfio",kind="sysctl"} 1',
    ]
    assert text.endswith("\n")


NAMES = st.sampled_from(["kvm", "vfio", "ceph", "site"])
WISHES = st.builds(
    lambda modules, pages: wish(
        modules=modules, **({"kernel_args": [{"name": "pci", "values": pages}]} if pages else {})
    ),
    st.lists(st.sampled_from(["a", "b", "c-d"]), max_size=2),
    st.lists(st.sampled_from(["noaer", "realloc"]), max_size=2),
)
PLAYS = st.dictionaries(NAMES, WISHES, max_size=3)


@settings(deadline=None)  # the machine may be busy
@given(PLAYS, PLAYS)
def test_after_the_plan_there_is_nothing_left_to_plan(
    before: dict[str, Declaration], wanted: dict[str, Declaration]
) -> None:
    _actions, start, _merged = plan_registry(EMPTY, before, METRICS)
    _actions, after, merged = plan_registry(later(start, *wanted), wanted, METRICS)
    assert plan_registry(later(after, *wanted), wanted, METRICS) == ((), later(after, *wanted), merged)


@settings(deadline=None)  # the machine may be busy
@given(PLAYS, PLAYS)
def test_the_order_of_two_plays_of_different_roles_does_not_matter(
    one: dict[str, Declaration], two: dict[str, Declaration]
) -> None:
    two = {role: declaration for role, declaration in two.items() if role not in one}

    def in_turn(*plays: dict[str, Declaration]) -> t.Mapping[str, str]:
        registry = EMPTY
        for play in plays:
            registry = plan_registry(later(registry, *play), play, METRICS)[1]
        return registry.files

    assert in_turn(one, two) == in_turn(two, one) == in_turn({**one, **two})
