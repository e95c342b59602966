# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The three files of ``kernel_config``, and those of others that would override them. Pure but for ``read_foreign``."""

from __future__ import annotations

import dataclasses
import fnmatch
import posixpath
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.model import normal
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config.wish import (
    MODULES,
    OPTIONS,
    SYSCTL,
    Item,
    Wish,
)

# Options come before modules, so that a run that dies in between never loads one without its options.
# 90: after what distributions ship (10 to 50), before what an operator wants to have the last word (95, 99).
PATHS: t.Mapping[str, str] = {
    OPTIONS: "/etc/modprobe.d/hearth.conf",
    MODULES: "/etc/modules-load.d/hearth.conf",
    SYSCTL: "/etc/sysctl.d/90-hearth.conf",
}
_FOLDERS: t.Mapping[str, str] = {OPTIONS: "modprobe.d", SYSCTL: "sysctl.d"}
# A file hides those of the same name in later folders (modprobe.d(5), sysctl.d(5)).
_ROOTS = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
_HEADER = (
    "# Written by Ansible (hearth.gpu_host). The role boot owns this file: declare what you need instead.\n"
)
_NO_PROGRAM = ("/bin/true", "/bin/false", "/usr/bin/true", "/usr/bin/false")

Texts = t.Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Foreign:
    """Files of others by kind, as (path, text) in the order in which they take effect."""

    files: t.Mapping[str, Texts]


def render(kind: str, items: t.Sequence[Item]) -> str:
    """Render a file; with no items there is none, and the text is empty."""
    if not items:
        return ""
    return _HEADER + "".join(f"# {', '.join(item.owners) or 'site'}\n{_line(kind, item)}\n" for item in items)


def _line(kind: str, item: Item) -> str:
    if kind == OPTIONS:
        return f"options {item.name} {cmdline.quote(f'{item.option}={item.value}')}"
    return f"{item.name} = {item.value}" if kind == SYSCTL else item.name


def read_foreign(host: Host, wish: Wish) -> Foreign:
    """Read the files that take effect beside ours. Modules and their options share theirs."""
    wanted = {OPTIONS: wish.get(OPTIONS) or wish.get(MODULES), SYSCTL: wish.get(SYSCTL)}
    return Foreign({kind: _read_folder(host, kind) for kind, items in wanted.items() if items})


def _read_folder(host: Host, kind: str) -> Texts:
    paths: dict[str, str] = {}
    for folder in (f"{root}/{_FOLDERS[kind]}" for root in _ROOTS):
        for name in host.listdir(folder):
            if name.endswith(".conf") and not name.startswith("."):
                paths.setdefault(name, f"{folder}/{name}")
    found = [paths[name] for name in sorted(paths) if paths[name] != PATHS[kind]]
    return [(path, host.read(path).text or "") for path in found]


def check(wish: Wish, foreign: Foreign) -> None:
    """Refuse what would be written in vain.

    :raises Contradiction: a file of somebody else says otherwise; the file and our owner are named.
    """
    for path, text in foreign.files.get(OPTIONS, ()):
        commands = parse_modprobe(text)
        for item in wish.get(OPTIONS, ()):
            _check_option(item, path, commands)
        for item in wish.get(MODULES, ()):
            _check_module(item, path, commands)
    for path, text in foreign.files.get(SYSCTL, ()):
        for item in wish.get(SYSCTL, ()):
            _check_sysctl(item, path, parse_sysctl(text))


def parse_modprobe(text: str) -> list[tuple[str, ...]]:
    """Parse a file of modprobe.d into its commands: words, the module in normal form."""
    commands = []
    for line in text.replace("\\\n", " ").splitlines():
        words = cmdline.split(line.strip())
        if len(words) > 1 and not words[0].startswith("#"):
            commands.append((words[0], normal(words[1]), *words[2:]))
    return commands


def _check_option(item: Item, path: str, commands: t.Iterable[tuple[str, ...]]) -> None:
    for command, module, *words in commands:
        if (command, module) != ("options", item.name):
            continue
        for word in words:
            value = cmdline.value_of(word)
            if cmdline.name_of(word) == item.option and value != item.value:
                raise _overridden(f"option {item.option} of module {item.name}", item, path, word)


def _check_module(item: Item, path: str, commands: t.Iterable[tuple[str, ...]]) -> None:
    for command, module, *words in commands:
        if module != item.name:
            continue
        # systemd-modules-load(8) loads no module that is on a deny list, although modprobe would.
        if command == "blacklist" or (command == "install" and words[:1] and words[0] in _NO_PROGRAM):
            raise _overridden(f"module {item.name}", item, path, " ".join((command, module, *words)))


def _overridden(what: str, item: Item, path: str, line: str) -> Contradiction:
    value = f" = {item.value}" if item.value else ""
    return Contradiction(
        f"{what}{value} is wanted by {item.who}, and {path} says {line!r}.",
        remedy=f"take it out of {path}, or let {item.who} want something else: which of them wins is an accident",
    )


def parse_sysctl(text: str) -> list[tuple[str, str]]:
    """Parse a file of sysctl.d into keys in dotted form and values."""
    found = []
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        key = key.strip().lstrip("-")
        if equals and key[:1] not in ("#", ";", ""):
            found.append((dotted(key), " ".join(value.split())))
    return found


def dotted(key: str) -> str:
    """Return a key in dotted form: the first separator separates, the other one is a part of names (sysctl.d(5))."""
    first = min((mark for mark in "./" if mark in key), key=key.index, default=".")
    return key.translate(str.maketrans("./", "/.")) if first == "/" else key


def _check_sysctl(item: Item, path: str, lines: t.Iterable[tuple[str, str]]) -> None:
    # The last file wins; a plain key wins over a pattern wherever it stands (sysctl.d(5)).
    later = posixpath.basename(path) > posixpath.basename(PATHS[SYSCTL])
    for key, value in lines:
        if same_value(value, item.value):
            continue
        # Of two patterns that name the same keys the later one wins as well.
        patterns = "*" in item.name and "*" in key and (matches(item.name, key) or matches(key, item.name))
        same = later and (key == item.name or patterns)
        if same or ("*" in item.name and "*" not in key and matches(item.name, key)):
            raise Contradiction(
                f"sysctl {item.name} = {item.value} is wanted by {item.who}, and {path}, "
                f"which comes after {PATHS[SYSCTL]} or is more exact, says {key} = {value}.",
                remedy=f"take {key} out of {path}, or let {item.who} want {value}",
            )


def matches(pattern: str, key: str) -> bool:
    """Tell whether a sysctl pattern names a key, part by part."""
    parts, names = pattern.split("."), key.split(".")
    return len(parts) == len(names) and all(map(fnmatch.fnmatchcase, names, parts))


def same_value(one: str, other: str) -> bool:
    """Tell whether the kernel takes two values for one: blanks and the base of a number do not matter."""
    left, right = one.split(), other.split()
    return len(left) == len(right) and all(map(_same_word, left, right))


def _same_word(one: str, other: str) -> bool:
    try:
        return one == other or int(one, 0) == int(other, 0)
    except ValueError:
        return False
