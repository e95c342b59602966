# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for all files: budgets, headers, nothing of one machine, nothing skipped in silence."""

from __future__ import annotations

import stat

import pytest
import rules
import tree

TARGET = [*tree.below("plugins/module_utils", ".py"), *tree.below("plugins/modules", ".py")]
PYTHON = tree.matching("*.py")
PRODUCT = [*tree.below("plugins", ".py"), *tree.below("tools", ".py")]
SHELL = [name for name in tree.below("tools") if not name.endswith(".py")]
LICENCE_TEXTS = ("COPYING", "LICENSES/GPL-3.0-or-later.txt")
# Names that other programs fixed.
FIXED_YAML = ("changelogs/config.yaml", "changelogs/changelog.yaml", ".yamllint", ".ansible-lint")
# file limit in lines, by what matches it
BUDGETS = {
    "plugins/module_utils": 300,
    "plugins/plugin_utils": 300,
    "tools": 300,
    "tests/unit": 500,
}
YAML_BUDGET = 80


def long_files():
    for folder, limit in BUDGETS.items():
        for name in [name for name in tree.below(folder) if name in PYTHON or name in SHELL]:
            if tree.text(name).count("\n") > limit:
                yield f"{name} has {tree.text(name).count(chr(10))} lines, more than {limit}"


def test_files_keep_their_budget():
    assert list(long_files()) == []


def test_task_files_and_templates_keep_their_budget():
    names = [
        name
        for name in tree.below("roles")
        if "/tasks/" in name or "/handlers/" in name or "/templates/" in name
    ]
    assert [n for n in names if tree.text(n).count("\n") > YAML_BUDGET] == [], (
        f"more than {YAML_BUDGET} lines"
    )


@pytest.mark.parametrize("name", PRODUCT)
def test_functions_keep_their_budget(name):
    assert rules.long_functions(tree.text(name)) + rules.deep_functions(tree.text(name)) == []


@pytest.mark.parametrize("name", [*PYTHON, *SHELL, "Makefile"])
def test_file_says_its_licence(name):
    assert rules.header_faults(tree.text(name)) == []


@pytest.mark.parametrize("name", TARGET)
def test_target_code_runs_on_the_oldest_python_with_nothing_installed(name):
    assert rules.floor_faults(tree.text(name)) + rules.foreign_imports(tree.text(name)) == []


@pytest.mark.parametrize(
    "name", [*tree.below("plugins/module_utils", ".py"), *tree.below("plugins/plugin_utils", ".py")]
)
def test_private_code_says_that_it_is_private(name):
    assert rules.PRIVATE in tree.text(name).splitlines()[:6]
    assert any(part.startswith("_") for part in name.split("/")), "a private file or its folder starts with _"


@pytest.mark.parametrize("name", PYTHON)
def test_nothing_is_skipped_or_silenced_without_a_reason(name):
    assert rules.unexplained_skips(tree.text(name)) == []


@pytest.mark.parametrize(
    "name", [name for name in tree.matching("*.yml", "*.yaml") if name not in FIXED_YAML]
)
def test_yaml_files_have_one_form(name):
    assert rules.yaml_faults(name, tree.text(name)) == []


def test_no_file_depends_on_one_machine_network_or_registry():
    names = [
        name
        for name in tree.files()
        if name not in LICENCE_TEXTS and b"\0" not in (tree.ROOT / name).read_bytes()
    ]
    assert [f"{name}: {fault}" for name in names for fault in rules.strays(tree.text(name))] == []


def test_no_private_key_is_in_the_repository():
    mark = "-----BEGIN" + " "
    assert [
        name for name in tree.files() if mark in tree.text(name) and "PRIVATE KEY" in tree.text(name)
    ] == []


def test_file_names_have_no_blanks_or_colons():
    assert [name for name in tree.files() if set(name) & set(" :\t\n\\")] == []


def test_tools_can_be_run():
    programs = [name for name in tree.below("tools") if tree.text(name).startswith("#!")]
    assert [name for name in programs if not (tree.ROOT / name).stat().st_mode & stat.S_IXUSR] == []


def test_make_targets_explain_themselves():
    lines = tree.text("Makefile").splitlines()
    targets = {line.split()[1] for line in lines if line.startswith(".PHONY: ")}
    told = {line.split(":")[0] for line in lines if not line.startswith("\t") and " ## " in line}
    assert {name for name in targets - told if not name.startswith("setup-")} == set()
