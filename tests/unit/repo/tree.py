# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository's files, for the tests that look at all of them. Needs no git."""

from __future__ import annotations

import ast
import functools
import os
import pathlib
import typing as t

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]


class _Loader(yaml.SafeLoader):
    """Reads Ansible's tags (`!unsafe`, `!vault`) as the text they hold."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: loader.construct_scalar(node))


def _ignored() -> set[str]:
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    return {".git"} | {line.strip("/") for line in lines if line and not line.startswith("#")}


@functools.cache
def files() -> tuple[str, ...]:
    """Return all files that belong to the repository, as paths relative to its root."""
    ignored = _ignored()
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if name not in ignored)
        found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names if name not in ignored]
    return tuple(sorted(found))


def matching(*patterns: str) -> list[str]:
    """Return the files that match one of the patterns; `**` crosses folders."""
    return [name for name in files() if any(pathlib.PurePath(name).match(pattern) for pattern in patterns)]


def below(folder: str, suffix: str = "") -> list[str]:
    """Return the files in a folder and its folders."""
    return [name for name in files() if name.startswith(f"{folder}/") and name.endswith(suffix)]


def text(name: str) -> str:
    """Return a file's text; bytes that are none are replaced."""
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def data(name: str) -> t.Any:
    """Return a YAML file's content, or nothing when there is no such file."""
    return yaml.load(text(name), Loader=_Loader) if (ROOT / name).is_file() else None


def folders(parent: str) -> list[str]:
    """Return the names of the folders that hold something, `roles` for example."""
    return sorted({name.split("/")[1] for name in below(parent) if name.count("/") > 1})


def documentation(module: str) -> dict[str, t.Any]:
    """Return a module's DOCUMENTATION, EXAMPLES and RETURN, parsed."""
    found = {}
    for node in ast.parse(text(module)).body:
        name = getattr(node.targets[0], "id", "") if isinstance(node, ast.Assign) else ""
        if name in ("DOCUMENTATION", "EXAMPLES", "RETURN"):
            found[name] = yaml.load(ast.literal_eval(node.value), Loader=_Loader)
    return found
