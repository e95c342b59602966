# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Plan the registry's files: one per role, and two views of them all. Pure."""

from __future__ import annotations

import dataclasses
import posixpath
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, RemoveFile, WriteFile
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.merge import Merged, merge
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.model import (
    Declaration,
    canonical,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.parse import (
    check_role,
    parse_text,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading

FOLDER = "/etc/hearth/declarations.d"
FACT_FILE = "/etc/ansible/facts.d/hearth_declarations.fact"
METRICS_NAME = "hearth_declarations.prom"

Raw = t.Mapping[str, Reading]


@dataclasses.dataclass(frozen=True)
class Registry:
    """The registry on the host.

    ``files`` holds the text of every file of ours by path; ``foreign`` what the roles declare
    that this run does not speak for.
    """

    files: t.Mapping[str, str]
    foreign: t.Mapping[str, Declaration]


def file_of(role: str) -> str:
    """Return the path of a role's file."""
    return f"{FOLDER}/{role}.json"


def read_registry(host: Host, metrics_dir: str) -> Raw:
    """Read the files of all roles, and the views.

    :raises ParseError: ``metrics_dir`` is not absolute.
    """
    if not posixpath.isabs(metrics_dir):
        raise ParseError(f"metrics_dir is {metrics_dir!r}.", remedy="name a folder by its absolute path")
    names = [name for name in host.listdir(FOLDER) if name.endswith(".json") and name[0] != "."]
    paths = [f"{FOLDER}/{name}" for name in names] + [FACT_FILE, posixpath.join(metrics_dir, METRICS_NAME)]
    return {path: host.read(path) for path in paths}


def parse_registry(raw: Raw, own: t.Collection[str]) -> Registry:
    """Parse what was read. A broken file of an own role is no obstacle: it is about to be replaced.

    :raises ParseError: another role's file is unreadable or broken.
    """
    files = {path: reading.text or "" for path, reading in raw.items() if not reading.missing}
    foreign = {}
    for path in files:
        role = posixpath.basename(path)[: -len(".json")]
        if posixpath.dirname(path) == FOLDER and role not in own:
            if raw[path].unknown:
                raise ParseError(f"{raw[path].why}.", remedy=f"make {path} readable, or remove it")
            foreign[check_role(role)] = parse_text(path, files[path])
    return Registry(files, foreign)


def plan_registry(
    current: Registry, wanted: t.Mapping[str, Declaration], metrics_dir: str
) -> tuple[tuple[Action, ...], Registry, Merged]:
    """Plan that the roles in ``wanted`` declare just that; an empty declaration removes the file.

    :raises Contradiction: the declarations, those of other roles included, exclude each other.
    """
    declared = {**current.foreign, **{role: wish for role, wish in wanted.items() if wish}}
    merged = merge(declared)
    files = {file_of(role): current.files[file_of(role)] for role in current.foreign}
    files.update({file_of(role): canonical(wish.as_dict()) for role, wish in wanted.items() if wish})
    actions = _changes(current.files, files, lambda path: posixpath.dirname(path) == FOLDER)
    if declared:
        files[FACT_FILE] = canonical(
            {"roles": {role: wish.as_dict() for role, wish in declared.items()}, "merged": merged}
        )
        files[posixpath.join(metrics_dir, METRICS_NAME)] = metrics(declared)
    # The views come last: after a crash they are at most behind the files that they show.
    actions += _changes(current.files, files, lambda path: posixpath.dirname(path) != FOLDER)
    return tuple(actions), Registry(files, current.foreign), merged


def _changes(
    before: t.Mapping[str, str], after: t.Mapping[str, str], concerned: t.Callable[[str], bool]
) -> list[Action]:
    return [
        WriteFile(path, after[path]) if path in after else RemoveFile(path)
        for path in sorted({*before, *after})
        if concerned(path) and before.get(path) != after.get(path)
    ]


def metrics(declared: t.Mapping[str, Declaration]) -> str:
    """Render how much each role declares in the Prometheus text format."""
    lines = [
        "# HELP hearth_declared_items Items that a role declares, by kind.",
        "# TYPE hearth_declared_items gauge",
    ]
    for role in sorted(declared):
        for kind, items in sorted(declared[role].as_dict().items()):
            lines.append(f'hearth_declared_items{{role="{role}",kind="{kind}"}} {len(items)}')
    return "\n".join(lines) + "\n"


def show_registry(registry: Registry) -> str:
    """Render the registry for a diff."""
    return "".join(f"# {path}\n{text}" for path, text in sorted(registry.files.items()))
