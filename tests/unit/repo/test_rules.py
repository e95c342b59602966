# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule of the repository can fail, and lets the good case pass."""

from __future__ import annotations

import pytest
import rules

HEAD = f"# Copyright\n# {rules.HEADER}\n# {rules.SPDX}\n"
LONG = "def f():\n" + "    x = 1\n" * 40
DEEP = "def f():\n if 1:\n  for x in y:\n   while x:\n    with x:\n     pass\n"
ELIFS = "def f():\n if 1:\n  pass\n" + " elif 2:\n  pass\n" * 5
SKIP = "import pytest\n@pytest.mark.skip\ndef test(): ...\n"
SPEC = {"a": {"type": "int", "default": 1}, "b": {"type": "str"}}

# rule, bad sample, good sample
SAMPLES = [
    (rules.long_functions, LONG, "def f():\n" + "    x = 1\n" * 39),
    (rules.deep_functions, DEEP, ELIFS),
    (rules.header_faults, "import os\n", HEAD),
    (rules.floor_faults, "match x:\n    case 1: pass\n", "x: int | None = None\n"),
    (
        rules.foreign_imports,
        "import yaml\n",
        "import json\ntry:\n    import libvirt\nexcept ImportError:\n    libvirt = None\n",
    ),
    (rules.foreign_imports, "from ansible.plugins import x\n", "from ansible.module_utils.basic import x\n"),
    (rules.unexplained_skips, SKIP, SKIP.replace("skip", 'skip(reason="x")')),
    (rules.unexplained_skips, "pytest.mark.skipif(True)\n", 'pytest.mark.skipif(True, reason="no")\n'),
    (rules.unexplained_skips, "pytest.skip()\n", 'pytest.skip("no kernel")\n'),
    (rules.unexplained_skips, "x = 1  # no" + "qa\n", "x = 1  # noqa: E501\n"),
    (rules.unexplained_skips, "x = 1  # type" + ": ignore\n", "x = 1  # type: ignore[misc]\n"),
    (rules.strays, "url: http://pypi." + "org/simple", "see example.org/simple"),
    (rules.strays, "cd /home" + "/ann", "cd /var/home/ann"),
    (rules.strays, "address: 192.168" + ".1.1", "address: 192.0.2.1"),
    (rules.strays, "address: 10.1" + ".2.3/8", "version 1.10.1.2.3"),
    (
        rules.not_only_includes,
        [{"name": "x", "ansible.builtin.copy": {}}],
        [{"ansible.builtin.include_tasks": "x.yml"}],
    ),
    (rules.shared, {"a": ["/etc/x"], "b": ["/etc/x"]}, {"a": ["/etc/x"], "b": ["/etc/y"]}),
]


@pytest.mark.parametrize(("rule", "bad", "good"), SAMPLES, ids=lambda value: getattr(value, "__name__", ""))
def test_rule_finds_the_bad_sample_and_passes_the_good_one(rule, bad, good):
    assert rule(bad)
    assert rule(good) == []


# defaults, words of the complaint
DRIFTS = [
    ({"a": 1}, ""),
    ({"a": 2}, "a is 2 in defaults and 1 in argument_specs"),
    ({"a": True}, "a is True in defaults and 1 in argument_specs"),
    ({}, "a has a default in argument_specs but none in defaults"),
    ({"a": 1, "c": 3}, "c is in defaults but not in argument_specs"),
    ({"a": 1, "b": "x"}, "b is 'x' in defaults and None in argument_specs"),
]


@pytest.mark.parametrize(("defaults", "complaint"), DRIFTS)
def test_drift_is_told_with_both_values(defaults, complaint):
    assert rules.drift(SPEC, defaults) == ([complaint] if complaint else [])


def test_a_required_option_with_a_default_is_drift():
    assert rules.drift({"a": {"required": True}}, {"a": 1}) == ["a is required and has a default"]


@pytest.mark.parametrize(
    ("path", "text"),
    [("a.yaml", "---\n"), ("a.yml", "x: 1\n"), ("a.yml", "---\nx: 1  # no" + "qa: yaml\n")],
)
def test_yaml_rule_can_fail(path, text):
    assert rules.yaml_faults(path, text)
    assert rules.yaml_faults("a.yml", "---\nx: 1\n") == []


def test_code_lines_leave_out_documentation_comments_and_blanks():
    assert rules.code_lines('"""Doc."""\nDOCUMENTATION = r"""\na\n"""\n\n# why\nx = 1\ny = 2\n') == 2


def test_written_files_are_found_in_blocks_and_through_variables():
    tasks = [{"block": [{"ansible.builtin.copy": {"dest": "{{ a_dir }}/x", "content": ""}}]}]
    assert rules.written_files(tasks, {"a_dir": "/etc/a"}) == {"/etc/a/x"}


def test_a_variable_that_names_itself_ends():
    assert rules.resolve("{{ a }}", {"a": "{{ a }}"}) == "{{ a }}"
