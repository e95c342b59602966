# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What three boot loaders have in common: words of ours on a line of others, and the record of which are ours.

On such a line nobody can see whose a word is. The record says it: it is written before the first file is
edited (``underway``, with the words that are ``leaving``) and again, final, after the last. A run that was
killed in between has left a record that is not final, so the next run does the rest.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import re
import stat
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils import _textfile
from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, RemoveFile, WriteFile
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Menu, Wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.model import canonical
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading

RECORD = "/etc/hearth/kernel_args.json"
CMDLINE = "/etc/kernel/cmdline"
VENDOR_CMDLINE, RUNNING = "/usr/lib/kernel/cmdline", "/proc/cmdline"
CONTAINER = "/run/systemd/container"

# What the boot loader adds to /proc/cmdline; 90-loaderentry.install of systemd takes out the same.
_LOADERS_OWN = ("BOOT_IMAGE", "initrd")
# A word with the blanks before it; double quotes hold blanks together.
_CHUNK = re.compile(r'\s*(?:[^\s"]|"[^"]*")+')


@dataclasses.dataclass(frozen=True)
class Edit(WriteFile):
    """Replace a file of others that we have a part in: its mode stays as they set it."""

    def perform(self, host: Host) -> None:
        path = host.path(self.path)
        mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else self.mode
        _textfile.replace(host, self.path, self.content, mode)


# A word of others that we took out: where it stood among theirs, and how, blanks included.
Taken = tuple[int, str]


@dataclasses.dataclass(frozen=True)
class Record:
    """Which words are ours, and what we took out of each file.

    ``patterns`` say what is taken out; ``leaving`` are former words that may still be somewhere.
    """

    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    removed: t.Mapping[str, tuple[Taken, ...]] = dataclasses.field(default_factory=dict)
    underway: bool = False

    @property
    def own(self) -> tuple[str, ...]:
        """Return every word that is ours wherever it is found."""
        return (*self.words, *self.leaving)


def parse_record(text: str) -> Record:
    """Read the record; an empty text is an empty record.

    :raises ParseError: it is not what :func:`render_record` writes.
    """
    if not text.strip():
        return Record()
    try:
        data = json.loads(text)
        return Record(
            words=tuple(map(str, data["words"])),
            patterns=tuple(map(str, data["patterns"])),
            leaving=tuple(map(str, data["leaving"])),
            removed={path: _taken(took) for path, took in data["removed"].items()},
            underway=bool(data["underway"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ParseError(
            f"{RECORD} is broken: {type(error).__name__}: {error}.",
            remedy=f"take the words that the collection added out of the command line by hand, then remove {RECORD}",
        ) from error


def _taken(took: t.Iterable[t.Sequence[t.Any]]) -> tuple[Taken, ...]:
    return tuple((int(at), str(chunk)) for at, chunk in took)


def render_record(record: Record) -> str:
    """Render the record; the same record gives the same text."""
    data = dataclasses.asdict(record)
    data["removed"] = {path: [list(taken) for taken in took] for path, took in record.removed.items() if took}
    return canonical(data)


def need(reading: Reading) -> str | None:
    """Return the text of a file that may be missing.

    :raises ParseError: it is there, and cannot be read: what is in it is unknown.
    """
    if reading.unknown:
        raise ParseError(f"{reading.why}.", remedy="make the file readable, and run again")
    return reading.text


# --- a line of words -----------------------------------------------------------------------------


def cut(text: str, path: str) -> tuple[list[str], str]:
    """Cut a command line into chunks, a word with the blanks before it each, and what follows them.

    A lone ``--`` and what is behind it belong to init: they are no words of the kernel.

    :raises ParseError: a quotation mark is never closed.
    """
    if text.count('"') % 2:
        raise ParseError(f"A quotation mark in {path} is never closed.", remedy=f"close it in {path} by hand")
    chunks, end = [], 0
    for found in _CHUNK.finditer(text):
        if word_in(found.group()) == "--":
            break
        chunks.append(found.group())
        end = found.end()
    return chunks, text[end:]


def word_in(chunk: str) -> str:
    """Return the word in a chunk, as the kernel reads it."""
    return chunk.lstrip().replace('"', "")


def theirs(chunks: t.Sequence[str], own: t.Iterable[str]) -> list[str]:
    """Return the chunks of others. Ours were appended: of equal words the last ones are ours."""
    left = collections.Counter(own)
    kept = []
    for chunk in reversed(chunks):
        if left[word_in(chunk)] > 0:
            left[word_in(chunk)] -= 1
        else:
            kept.append(chunk)
    return kept[::-1]


def put_back(chunks: t.Sequence[str], taken: t.Iterable[Taken]) -> list[str]:
    """Put words of others back where they stood, unless they are there: the file was not edited yet, or by hand."""
    there = {word_in(chunk) for chunk in chunks}
    whole = list(chunks)
    for at, chunk in taken:
        if word_in(chunk) not in there:
            whole.insert(min(at, len(whole)), chunk)
    return whole


def take_out(chunks: t.Sequence[str], patterns: t.Collection[str]) -> tuple[list[str], tuple[Taken, ...]]:
    """Take the words that a pattern names out; return what stays, and what was taken from where."""
    taken = tuple(
        (at, chunk)
        for at, chunk in enumerate(chunks)
        if any(cmdline.matches(word_in(chunk), pattern) for pattern in patterns)
    )
    places = {at for at, _chunk in taken}
    return [chunk for at, chunk in enumerate(chunks) if at not in places], taken


def given_on(text: str, path: str, record: Record) -> list[str]:
    """Return the chunks of a line that others wrote, with those that we took out."""
    return put_back(theirs(cut(text, path)[0], record.own), record.removed.get(path, ()))


def rewrite(text: str, path: str, record: Record, wish: Wish) -> tuple[str, tuple[Taken, ...]]:
    """Return a line as it shall be, and what was taken out of it. Others' words keep their order and blanks."""
    kept, taken = take_out(given_on(text, path, record), wish.removed)
    return compose(kept, wish.ours, cut(text, path)[1]), taken


def compose(kept: t.Sequence[str], ours: t.Iterable[str], tail: str) -> str:
    """Return the line: what others wrote, our words, and what follows."""
    own = "".join(f" {cmdline.quote(word)}" for word in ours)
    return "".join(kept) + (own if kept else own.lstrip()) + tail


# --- /etc/kernel/cmdline --------------------------------------------------------------------------


def refuse_comments(text: str) -> None:
    """Refuse a command line in which some versions of kernel-install see comments and others words.

    :raises ParseError: a line begins with ``#``.
    """
    if any(line.lstrip().startswith("#") for line in text.splitlines()):
        raise ParseError(
            f"{CMDLINE} has a comment, which becomes part of the command line.",
            remedy=f"take the lines that begin with # out of {CMDLINE}",
        )


def start(host: Host) -> tuple[str, Reading]:
    """Read the command line that kernel-install takes when there is no ``/etc/kernel/cmdline``, and whence.

    In a container the running kernel is another host's, and so is its command line.
    """
    vendor = host.read(VENDOR_CMDLINE)
    if vendor.missing and host.exists(CONTAINER):
        return RUNNING, Reading(missing=True)
    return (RUNNING, host.read(RUNNING)) if vendor.missing else (VENDOR_CMDLINE, vendor)


def started(text: str, path: str, record: Record) -> list[str]:
    """Return the chunks with which ``/etc/kernel/cmdline`` begins: without ours and the boot loader's own."""
    chunks = [chunk for chunk in cut(text, path)[0] if word_in(chunk).partition("=")[0] not in _LOADERS_OWN]
    return put_back(theirs(chunks, record.own), record.removed.get(CMDLINE, ()))


def kernel_cmdline(menu: Menu, record: Record, wish: Wish) -> tuple[str, tuple[Taken, ...]]:
    """Return ``/etc/kernel/cmdline`` as it shall be, and what was taken out of it.

    A file that we start stays when our words leave: without it kernel-install would take the command
    line of the running kernel, which may still have them.
    """
    if CMDLINE in menu.files:
        return rewrite(menu.files[CMDLINE], CMDLINE, record, wish)
    kept, taken = take_out([f" {cmdline.quote(word)}" for word in menu.given_words], wish.removed)
    return compose(kept, wish.ours, "\n").lstrip(), taken


# --- the plan -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Target:
    """The files as they shall be, without the record, and what was taken out of each."""

    files: t.Mapping[str, str]
    removed: t.Mapping[str, tuple[Taken, ...]]


def files_after(target: Target, wish: Wish) -> dict[str, str]:
    """Return every file as it is in the end. A record that has nothing to say is none."""
    final = Record(wish.ours, wish.removed, removed=target.removed)
    return {**target.files, **({RECORD: render_record(final)} if wish.ours or wish.removed else {})}


def leaving(record: Record, wish: Wish) -> tuple[str, ...]:
    """Return our former words that are wished no more, one for one: a word may stand there twice."""
    stay = collections.Counter(wish.ours)
    gone = []
    for word in record.own:
        if stay[word] > 0:
            stay[word] -= 1
        else:
            gone.append(word)
    return tuple(gone)


def _merge(before: t.Iterable[Taken], now: t.Sequence[Taken]) -> tuple[Taken, ...]:
    """Return what is or was taken out: what is put back stays on record until it is back."""
    words = {word_in(chunk) for _at, chunk in now}
    return tuple(sorted([*now, *(taken for taken in before if word_in(taken[1]) not in words)]))


def plan(menu: Menu, target: Target, wish: Wish, refresh: t.Sequence[Action]) -> tuple[Action, ...]:
    """Plan: the record, the files, what makes the boot loader read them, the final record."""
    record = parse_record(menu.files.get(RECORD, ""))
    removed = {path: _merge(record.removed.get(path, ()), took) for path, took in target.removed.items()}
    first = Record(wish.ours, wish.removed, leaving(record, wish), removed, underway=True)
    final = files_after(target, wish).get(RECORD)
    edits = [Edit(path, text) for path, text in target.files.items() if menu.files.get(path) != text]
    return (
        WriteFile(RECORD, render_record(first)),
        *edits,
        *refresh,
        RemoveFile(RECORD) if final is None else WriteFile(RECORD, final),
    )
