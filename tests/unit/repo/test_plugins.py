# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the collection has."""

from __future__ import annotations

import pathlib

import pytest
import rules
import tree

MODULES = tree.below("plugins/modules", ".py")
FRAGMENT = "hearth.gpu_host._attributes"
MODULE_LINES = 60
KEYWORDS = {
    "name",
    "register",
    "when",
    "check_mode",
    "diff",
    "become",
    "loop",
    "loop_control",
    "vars",
    "tags",
    "notify",
}
KEYWORDS |= {
    "failed_when",
    "changed_when",
    "until",
    "retries",
    "delay",
    "delegate_to",
    "run_once",
    "block",
    "rescue",
    "always",
    "environment",
}

module = pytest.mark.parametrize("name", MODULES)


@module
def test_module_is_documentation_and_little_code(name):
    assert tree.text(name).startswith("#!/usr/bin/python\n")
    assert rules.code_lines(tree.text(name)) <= MODULE_LINES


@module
def test_module_documents_itself(name):
    documentation = tree.documentation(name)["DOCUMENTATION"]
    fragments = documentation["extends_documentation_fragment"]
    assert documentation["module"] == pathlib.PurePath(name).stem
    assert any(fragment in (FRAGMENT, f"{FRAGMENT}.info") for fragment in fragments)
    assert tree.documentation(name)["RETURN"], "RETURN says what comes back"


@module
def test_module_shows_examples_that_call_it(name):
    examples = tree.documentation(name)["EXAMPLES"]
    own = f"hearth.gpu_host.{pathlib.PurePath(name).stem}"
    assert all(example.get("name") for example in examples)
    tasks = [task for task in rules.flat(examples) if "hosts" not in task]
    called = {key for task in tasks for key in set(task) - KEYWORDS}
    assert own in called
    assert all(key.count(".") >= 2 for key in called), "modules are called by their full name"


@module
def test_module_has_a_unit_test(name):
    assert f"tests/unit/plugins/modules/test_{pathlib.PurePath(name).name}" in tree.files()
