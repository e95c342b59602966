# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Galaxy's importer wants of a collection, and the changelog's fragments."""

from __future__ import annotations

import re

import pytest
import tree

NAME = re.compile(r"^(?!.*__)[a-z][0-9a-z_]*$")
CONTENT_NAME = re.compile(r"^(?!.*__)_?[a-z][0-9a-z_]*$")
# Galaxy's certified content carries at least one of these.
AREAS = {
    "ai",
    "application",
    "cloud",
    "database",
    "eda",
    "infrastructure",
    "linux",
    "monitoring",
    "networking",
}
AREAS |= {"security", "storage", "tools", "windows"}
HEADINGS = (
    "Code of conduct",
    "Communication",
    "Tested with Ansible",
    "External requirements",
    "Included content",
    "Using this collection",
    "Contributing",
    "Release notes",
    "Licensing",
)
FRAGMENTS = tree.below("changelogs/fragments")
TEXT_SECTIONS = ("release_summary",)

galaxy = tree.data("galaxy.yml")


def test_names_tags_and_authors_are_accepted():
    assert NAME.match(galaxy["namespace"]) and NAME.match(galaxy["name"])
    assert all(NAME.match(tag) for tag in galaxy["tags"]) and len(galaxy["tags"]) <= 20
    assert AREAS & set(galaxy["tags"])
    assert all(len(author) <= 64 for author in galaxy["authors"])


def test_version_is_semantic():
    assert re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", galaxy["version"])


def test_what_the_importer_wants_is_there():
    assert galaxy["repository"] and galaxy["license"] == ["GPL-3.0-or-later"]
    assert {"README.md", "CHANGELOG.md", "meta/runtime.yml", "LICENSES/GPL-3.0-or-later.txt"} <= set(
        tree.files()
    )
    assert tree.data("meta/runtime.yml")["requires_ansible"] == ">=2.19.0"


def test_content_names_are_accepted():
    names = [*tree.folders("roles"), *(name[16:-3] for name in tree.below("plugins/modules", ".py"))]
    assert [name for name in names if not CONTENT_NAME.match(name)] == []


def test_readme_has_the_headings_that_galaxy_wants():
    assert [heading for heading in HEADINGS if f"## {heading}" not in tree.text("README.md")] == []


def test_readme_names_every_module_and_role():
    readme = tree.text("README.md")
    roles = [name for name in tree.folders("roles") if not name.startswith("_")]
    modules = [name[16:-3] for name in tree.below("plugins/modules", ".py")]
    assert [name for name in [*roles, *modules] if f"`{name}`" not in readme] == []


def test_sanity_tests_ignore_nothing():
    assert tree.matching("tests/sanity/ignore*.txt") == []


@pytest.mark.parametrize("name", FRAGMENTS)
def test_changelog_fragment_is_well_formed(name):
    sections = {
        "trivial",
        *TEXT_SECTIONS,
        *(section[0] for section in tree.data("changelogs/config.yaml")["sections"]),
    }
    fragment = tree.data(name)
    assert name.endswith(".yml") and set(fragment) <= sections
    for section, entries in fragment.items():
        assert isinstance(entries, str if section in TEXT_SECTIONS else list)
        assert isinstance(entries, str) or all(entry.strip().endswith(".") for entry in entries), "sentences"
