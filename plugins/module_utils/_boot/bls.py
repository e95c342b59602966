# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""GRUB with Boot Loader Specification entries, as on Fedora and Enterprise Linux: one file an entry.

The ``options`` line of each entry is edited here and not by grubby. grubby(8) replaces the value of an
argument that is there already, so it cannot say ``hugepagesz=1G hugepages=8 hugepagesz=2M hugepages=512`` or
a second ``console=`` beside the operator's; its versions differ in which parts of words they take for
words; and ``--update-kernel=ALL`` reaches the rescue entry. It edits the same line of the same file.
grub2-mkconfig is not run (it leaves the entries alone), and no grub.cfg is written.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline, cmdline_file
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import (
    Backend,
    Entry,
    Menu,
    Source,
    Wish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.compose import compose
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    ParseError,
    Refusal,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading

ENTRIES = "/boot/loader/entries"
DEFAULTS = "/etc/default/grub"
ENVIRONMENT = "/boot/grub2/grubenv"
VARIABLE, KERNELOPTS = "GRUB_CMDLINE_LINUX", "kernelopts"

_ENABLED = re.compile(r"^[ \t]*(?:export[ \t]+)?GRUB_ENABLE_BLSCFG=[\"']?(\w*)", re.MULTILINE)
_ASSIGNED = re.compile(rf"^[ \t]*(?:export[ \t]+)?{VARIABLE}(?=\+?=)(?P<rest>.*)$", re.MULTILINE)
_PLAIN = re.compile(r"=(?:\"(?P<double>[^\"\\$`]*)\"|'(?P<single>[^'\"]*)')[ \t]*(?:[ \t]#.*)?$")
_OPTIONS = re.compile(r"^options(?:[ \t]+(?P<text>.*))?$", re.MULTILINE)
_LINUX = re.compile(r"^linux[ \t]", re.MULTILINE)
_KERNELOPTS = re.compile(rf"^{KERNELOPTS}=(.*)$", re.MULTILINE)
_UNSAFE = re.compile(r"[\"'\\$`]")

# A line that we began says so, and goes when our words do.
_BEGUN = "  # begun by hearth.gpu_host"


@dataclasses.dataclass(frozen=True)
class Raw:
    """What was read: texts by path, and the environment block of GRUB."""

    files: t.Mapping[str, Reading]
    entries: t.Mapping[str, Reading]
    environment: Reading


class Bls(Backend):
    """GRUB that reads ``/boot/loader/entries``."""

    name = "bls"

    @staticmethod
    def detect(host: Host) -> bool:
        """Tell by what is there, never by a version: entries, and GRUB told to read them."""
        last = _ENABLED.findall(host.read(DEFAULTS).text or "")[-1:]
        return last == ["true"] and bool(_listed(host))

    def read(self, host: Host) -> Raw:
        """Read the entries and the places from which future ones inherit."""
        paths = (cmdline_file.RECORD, DEFAULTS, cmdline_file.CMDLINE)
        return Raw(
            files={path: host.read(path) for path in paths},
            entries={path: host.read(path) for path in _listed(host)},
            environment=host.read(ENVIRONMENT),
        )

    def parse(self, raw: Raw) -> Menu:
        """Turn it into a menu.

        :raises ParseError: a line has a form that cannot be edited safely.
        """
        texts = {path: cmdline_file.need(reading) for path, reading in {**raw.files, **raw.entries}.items()}
        files = {path: text for path, text in texts.items() if text is not None}
        record = cmdline_file.parse_record(files.get(cmdline_file.RECORD, ""))
        kernelopts = _KERNELOPTS.findall(cmdline_file.need(raw.environment) or "")
        if kernelopts:
            # It is read and never written; the rest of the block changes by itself, at every boot.
            files[ENVIRONMENT] = kernelopts[-1]
        return Menu(
            given=(_common(files, record),),
            ours=record.words,
            removed=record.patterns,
            leaving=record.leaving,
            entries=tuple(_entry(path, files) for path in raw.entries if path in files),
            files=files,
        )

    def plan(self, menu: Menu, wish: Wish) -> tuple[Action, ...]:
        """Edit the places from which future entries inherit, and every entry but the rescue ones.

        :raises Refusal: a word cannot be quoted in /etc/default/grub, or an entry contradicts it.
        """
        _refuse_unsafe(wish)
        _refuse_conflicts(menu, wish)
        return cmdline_file.plan(menu, _target(menu, wish), wish, ())

    def files_after(self, menu: Menu, wish: Wish) -> dict[str, str]:
        """Return all files as they will be."""
        rest = {path: text for path, text in menu.files.items() if path != cmdline_file.RECORD}
        return {**rest, **cmdline_file.files_after(_target(menu, wish), wish)}


def _listed(host: Host) -> list[str]:
    return [posixpath.join(ENTRIES, name) for name in host.listdir(ENTRIES) if name.endswith(".conf")]


def _is_bare(path: str, text: str) -> bool:
    """Tell whether an entry is a rescue entry (dracut's 51-dracut-rescue.install names it so) or starts no Linux."""
    return "-0-rescue" in posixpath.basename(path) or _LINUX.search(text) is None


def _span(path: str, text: str) -> tuple[int, int] | None:
    """Return where in a file the command line stands; ``None`` when the file has none that we edit."""
    if path == cmdline_file.CMDLINE:
        cmdline_file.refuse_comments(text)
        return 0, len(text)
    if path == DEFAULTS:
        return _span_of_defaults(text)
    if not path.startswith(f"{ENTRIES}/") or _is_bare(path, text):
        return None
    found = list(_OPTIONS.finditer(text))
    if len(found) != 1 or found[0].group("text") is None:
        raise ParseError(
            f"{path} has {len(found)} lines with options, or an empty one; one with words was expected.",
            remedy=f"write all options of {path} into one line by hand",
        )
    return found[0].span("text")


def _span_of_defaults(text: str) -> tuple[int, int] | None:
    found = list(_ASSIGNED.finditer(text))
    if not found:
        return None
    plain = _PLAIN.match(found[-1].group("rest"))
    if plain is None:
        raise ParseError(
            f"{VARIABLE} in {DEFAULTS} is no plain quoted text: {found[-1].group().strip()}.",
            remedy=f'write it as {VARIABLE}="WORD WORD…" in one line, without $, ` and \\, and run again',
        )
    offset = found[-1].start("rest")
    start, end = plain.span("double" if plain.group("double") is not None else "single")
    return offset + start, offset + end


def _edited(path: str, files: t.Mapping[str, str]) -> str | None:
    """Return the command line in a file that we edit."""
    span = _span(path, files[path])
    return None if span is None else files[path][slice(*span)]


def _expanded(line: str, files: t.Mapping[str, str]) -> str:
    return line.replace(f"${KERNELOPTS}", files.get(ENVIRONMENT, ""))


def _words(chunks: t.Iterable[str]) -> tuple[str, ...]:
    """Return the words of chunks; what GRUB's other variables hold, such as $tuned_params, is not ours to judge."""
    words = (cmdline_file.word_in(chunk) for chunk in chunks)
    return tuple(word for word in words if not word.startswith("$"))


def _entry(path: str, files: t.Mapping[str, str]) -> Entry:
    bare = _is_bare(path, files[path])
    line = " ".join(_OPTIONS.findall(files[path])) if bare else _edited(path, files) or ""
    words = tuple(word for word in cmdline.split(_expanded(line, files)) if not word.startswith("$"))
    return Entry(posixpath.basename(path), words, bare)


def _given(files: t.Mapping[str, str], record: cmdline_file.Record) -> dict[str, tuple[str, ...]]:
    """Return what others wrote, by file."""
    lines = {path: _edited(path, files) for path in files}
    return {
        path: _words(cmdline_file.given_on(_expanded(line, files), path, record))
        for path, line in lines.items()
        if line is not None
    }


def _common(files: t.Mapping[str, str], record: cmdline_file.Record) -> Source:
    """Return the words of others that are everywhere: what one place lacks is not given.

    A wish that stands in /etc/default/grub only, where grub2-mkconfig no longer carries it from, would
    never come into the entries.
    """
    given = _given(files, record)
    defaults = given.pop(DEFAULTS, ())
    return Source(
        DEFAULTS, tuple(word for word in defaults if all(word in words for words in given.values()))
    )


def _refuse_unsafe(wish: Wish) -> None:
    for word in wish.ours:
        if _UNSAFE.search(cmdline.quote(word)):
            raise Refusal(
                f"{word} has characters that {DEFAULTS} and GRUB change.",
                remedy=f"add it to {VARIABLE} in {DEFAULTS} and to the entries by hand",
            )


def _refuse_conflicts(menu: Menu, wish: Wish) -> None:
    """Refuse a word of others that is in some places only, and so was not given, but excludes one of ours."""
    record = cmdline_file.parse_record(menu.files.get(cmdline_file.RECORD, ""))
    for path, words in _given(menu.files, record).items():
        compose((Source(path, words),), cmdline.arguments(wish.ours), wish.removed)


def _target(menu: Menu, wish: Wish) -> cmdline_file.Target:
    record = cmdline_file.parse_record(menu.files.get(cmdline_file.RECORD, ""))
    files, removed = {}, {}
    for path, text in menu.files.items():
        span = _span(path, text) if path != ENVIRONMENT else None
        if span is not None:
            line = text[slice(*span)]
            if record.removed.get(path) or _reaches_kernelopts(menu, wish):
                line = _expanded(line, menu.files)
            line, removed[path] = cmdline_file.rewrite(line, path, record, wish)
            files[path] = text[: span[0]] + line + text[span[1] :]
    if DEFAULTS in menu.files:
        files[DEFAULTS] = _begun(files.get(DEFAULTS, menu.files[DEFAULTS]), wish)
    return cmdline_file.Target(files, removed)


def _reaches_kernelopts(menu: Menu, wish: Wish) -> bool:
    words = cmdline.split(menu.files.get(ENVIRONMENT, ""))
    return cmdline.without(words, wish.removed) != words


def _begun(text: str, wish: Wish) -> str:
    """Begin the assignment where there is none, and end one that we began and nobody needs."""
    if wish.ours and _ASSIGNED.search(text) is None:
        blank = "" if text.endswith("\n") or not text else "\n"
        return f'{text}{blank}{VARIABLE}="{cmdline.join(wish.ours)}"{_BEGUN}\n'
    return text.replace(f'{VARIABLE}=""{_BEGUN}\n', "")
