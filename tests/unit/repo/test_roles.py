# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of a role, and that roles keep out of each other's files."""

from __future__ import annotations

import pytest
import rules
import tree

ROLES = tree.folders("roles")
# One family of variables for mirrors and proxies, honoured by every role.
SHARED_PREFIX = "gpu_host_"
FILES = ("README.md", "meta/main.yml", "meta/argument_specs.yml", "defaults/main.yml", "tasks/main.yml")

role = pytest.mark.parametrize("name", ROLES)


def options(name):
    specs = tree.data(f"roles/{name}/meta/argument_specs.yml")["argument_specs"]
    return specs["main"].get("options") or {}


def defaults(name):
    return tree.data(f"roles/{name}/defaults/main.yml") or {}


def variables(name):
    found = {}
    for path in [*tree.below(f"roles/{name}/vars", ".yml"), *tree.below(f"roles/{name}/defaults", ".yml")]:
        found.update(tree.data(path) or {})
    return found


@role
def test_role_is_complete(name):
    assert [path for path in FILES if f"roles/{name}/{path}" not in tree.files()] == []


@role
def test_defaults_are_what_the_argument_specification_says(name):
    assert rules.drift(options(name), defaults(name)) == []


@role
def test_variables_carry_the_name_of_the_role(name):
    prefixes = (f"{name}_", f"__{name}_", SHARED_PREFIX)
    assert [key for key in {**variables(name), **options(name)} if not key.startswith(prefixes)] == []


@role
def test_the_argument_specification_has_only_what_ansible_knows(name):
    known = {"short_description", "description", "author", "version_added", "seealso", "options"}
    for spec in tree.data(f"roles/{name}/meta/argument_specs.yml")["argument_specs"].values():
        assert set(spec) <= known, "ansible-core 2.20 dropped attributes from role specifications"


@role
def test_every_option_is_described_and_typed(name):
    poor = [
        key for key, option in options(name).items() if not option.get("description") or "type" not in option
    ]
    untyped = [
        key
        for key, option in options(name).items()
        if option.get("type") == "list" and "elements" not in option
    ]
    assert poor + untyped == []
    assert tree.data(f"roles/{name}/meta/argument_specs.yml")["argument_specs"]["main"].get(
        "short_description"
    )


@role
def test_readme_names_every_variable(name):
    readme = tree.text(f"roles/{name}/README.md")
    assert [key for key in options(name) if key not in readme] == []


@role
def test_main_is_a_table_of_contents(name):
    assert rules.not_only_includes(tree.data(f"roles/{name}/tasks/main.yml") or []) == []


@role
def test_role_is_described_for_galaxy(name):
    info = tree.data(f"roles/{name}/meta/main.yml")["galaxy_info"]
    assert info["description"]
    assert info["license"] == "GPL-3.0-or-later"
    assert info["min_ansible_version"] == "2.19"


def task_files(name):
    return [*tree.below(f"roles/{name}/tasks", ".yml"), *tree.below(f"roles/{name}/handlers", ".yml")]


def test_no_two_roles_write_the_same_file():
    owners = tree.data("tests/unit/repo/owners.yml")
    for name in ROLES:
        tasks = [task for path in task_files(name) for task in tree.data(path) or []]
        owners.setdefault(name, [])
        owners[name] = {*owners[name], *rules.written_files(tasks, variables(name))}
    assert rules.shared(owners) == []
