# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The files of ifupdown: find what they say of a device, switch it off so that it can be switched on again. Pure."""

from __future__ import annotations

import dataclasses
import fnmatch
import posixpath
import re
import typing as t

MAIN = "/etc/network/interfaces"

_OWN_LINE = ("auto", "rename", "source", "source-directory", "no-auto-down", "no-scripts")
# source-directory takes these names only.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclasses.dataclass(frozen=True)
class Stanza:
    """A stanza: its words, its options as name and value, and the numbers of its lines."""

    words: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    lines: tuple[int, ...]

    @property
    def kind(self) -> str:
        """The first word."""
        return self.words[0]


def parse_interfaces(text: str) -> tuple[Stanza, ...]:
    """Split a file into its stanzas."""
    found: list[Stanza] = []
    for numbers, line in _logical(text):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("iface", "mapping", "template", *_OWN_LINE) or words[0].startswith("allow-"):
            found.append(Stanza(tuple(words), (), numbers))
        elif found:
            last = found[-1]
            option = (words[0], line.strip()[len(words[0]) :].strip())
            found[-1] = dataclasses.replace(last, options=(*last.options, option), lines=last.lines + numbers)
    return tuple(found)


def _logical(text: str) -> t.Iterator[tuple[tuple[int, ...], str]]:
    """Join lines that end with a backslash; a comment is never continued."""
    numbers: list[int] = []
    joined = ""
    for number, line in enumerate(text.splitlines()):
        numbers.append(number)
        if line.endswith("\\") and not (joined or line).lstrip().startswith("#"):
            joined += line[:-1]
            continue
        yield tuple(numbers), joined + line
        numbers, joined = [], ""
    if numbers:
        yield tuple(numbers), joined


def included(path: str, text: str, listing: t.Callable[[str], t.Sequence[str]]) -> tuple[str, ...]:
    """Return the files that a file includes.

    :param listing: names the files of a folder; called with its path.
    """
    found: list[str] = []
    for stanza in parse_interfaces(text):
        for pattern in stanza.words[1:]:
            place = posixpath.normpath(posixpath.join(posixpath.dirname(path), pattern))
            if stanza.kind == "source":
                folder, name = posixpath.split(place)
                found += [f"{folder}/{one}" for one in listing(folder) if _fits(one, name)]
            elif stanza.kind == "source-directory":
                found += [f"{place}/{one}" for one in listing(place) if _PLAIN_NAME.fullmatch(one)]
    return tuple(found)


def _fits(name: str, pattern: str) -> bool:
    # As a shell does it, a pattern does not find hidden files.
    return fnmatch.fnmatchcase(name, pattern) and (not name.startswith(".") or pattern.startswith("."))


def stanzas_of(text: str, device: str) -> tuple[Stanza, ...]:
    """Return the stanzas that configure a device."""
    return tuple(one for one in parse_interfaces(text) if one.kind == "iface" and one.words[1:2] == (device,))


def is_started(text: str, device: str) -> bool:
    """Tell whether a device is brought up at boot or when it appears."""
    return any(
        device in one.words[1:]
        for one in parse_interfaces(text)
        if one.kind in ("auto", "allow-auto", "allow-hotplug")
    )


def oddities(text: str, device: str) -> tuple[str, ...]:
    """Return in words what is said of a device in a way that hides what it has."""
    return tuple(" ".join(one.words) for one in parse_interfaces(text) if _is_odd(one, device))


def _is_odd(one: Stanza, device: str) -> bool:
    if one.kind in ("mapping", "rename"):
        return any(_names(word, device) for word in one.words[1:])
    if one.kind != "iface" or len(one.words) < 2:
        return False
    name = one.words[1]
    return (_is_pattern(name) and _names(name, device)) or (name == device and "inherits" in one.words)


def _is_pattern(word: str) -> bool:
    return any(sign in word for sign in "*?[/")


def _names(word: str, device: str) -> bool:
    old = word.partition("=")[0]
    # "/eth*" finds by name, "/eth*/2" the second one that it finds.
    return fnmatch.fnmatchcase(device, old.split("/")[1] if old.startswith("/") else old)


def switched_off(text: str, device: str, tag: str) -> str:
    """Return the file with all stanzas of a device made comments."""
    numbers = {number for stanza in stanzas_of(text, device) for number in stanza.lines}
    lines = text.splitlines(keepends=True)
    return "".join(_sign(tag) + line if number in numbers else line for number, line in enumerate(lines))


def with_source(text: str, path: str, tag: str) -> str:
    """Return the file with a line that includes another one."""
    end = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{end}{_begin(tag)}source {path}\n{_end(tag)}"


def switched_on(text: str, tag: str) -> str:
    """Return the file as it was before ``switched_off`` and ``with_source``, whatever else was changed since."""
    without = re.sub(f"{re.escape(_begin(tag))}.*?{re.escape(_end(tag))}", "", text, flags=re.DOTALL)
    return re.sub(f"^{re.escape(_sign(tag))}", "", without, flags=re.MULTILINE)


def _sign(tag: str) -> str:
    return f"#hearth:{tag}# "


def _begin(tag: str) -> str:
    return f"# hearth:{tag} begin\n"


def _end(tag: str) -> str:
    return f"# hearth:{tag} end\n"
