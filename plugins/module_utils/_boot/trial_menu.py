# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The two menu entries of a boot on trial, made from entries of the distribution. Pure."""

from __future__ import annotations

import dataclasses
import posixpath
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline, grub_script
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub_menu import (
    INITRD,
    LINUX,
    MenuEntry,
    parse_menu,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError

TRIAL, FALLBACK = "hearth-trial", "hearth-fallback"
# How the running kernel tells which entry it came from. The dot keeps it from being handed to init.
TRIAL_WORD, FALLBACK_WORD = "hearth.trial", "hearth.fallback"
PREVIOUS = ".hearth-previous"
SAME = "with the same arguments"

_BOOT_ID = re.compile(r"^# Armed in boot (?P<id>\S+)$", re.MULTILINE)
_OURS = (TRIAL_WORD, FALLBACK_WORD)
# A trial that cannot even be loaded: GRUB would go back to its menu and wait there for a key. What is to be
# booted once has been taken out by then, so that the fallback is what comes next.
_GIVE_UP = "\n\tif [ $? != 0 ]; then reboot; fi"

Entries = tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]


@dataclasses.dataclass(frozen=True)
class Source:
    """What the entries are made from.

    ``menu`` are the entries of others, ``default`` the one that boots by itself, ``running`` the words of
    ``/proc/cmdline``, ``previous`` the names of initial RAM disks of which the running one is kept beside.
    """

    menu: tuple[MenuEntry, ...]
    default: MenuEntry
    running: tuple[str, ...]
    previous: frozenset[str] = frozenset()


def booted_kernel(words: t.Sequence[str]) -> str:
    """Return the path that GRUB loaded the running kernel from; empty when it was not GRUB."""
    image = next((word.partition("=")[2] for word in words if word.startswith("BOOT_IMAGE=")), "")
    return re.sub(r"^\([^)]*\)", "", image)


def fallback_words(running: t.Sequence[str]) -> tuple[str, ...]:
    """Return the words that the host runs with now, without what boot loaders and trials add."""
    added = ["initrd", *_OURS, *(["panic"] if TRIAL_WORD in running else [])]
    kept = (word for word in running if not word.startswith("BOOT_IMAGE="))
    return (*cmdline.without(tuple(kept), added), FALLBACK_WORD)


def render_script(source: Source, boot_id: str, panic_s: int) -> str:
    """Render the script in ``/etc/grub.d`` that adds both entries to the menu.

    :raises ParseError: an entry of the distribution has a form that cannot be copied.
    """
    safe = _running_entry(source)
    entries = (
        _render(source.default, TRIAL, "new arguments on trial", _trial_lines(panic_s)),
        _render(safe, FALLBACK, "as it ran before", _fallback_lines(source)),
    )
    text = "\n".join(
        [
            "#!/bin/sh",
            'exec tail -n +3 "$0"',
            "# Managed by hearth.gpu_host (boot_trial): goes away once the host has started with its new arguments.",
            f"# Armed in boot {boot_id}",
            *entries,
            "",
        ]
    )
    _prove(text)
    return text


def armed_in(script: str) -> str:
    """Return the boot in which the trial was prepared; empty when the script does not say."""
    found = _BOOT_ID.search(script)
    return found.group("id") if found else ""


def ours(menu: t.Sequence[MenuEntry]) -> Entries:
    """Return our entries of a menu as data: identity, the kernel's words, body."""
    return tuple((entry.id, entry.words, entry.body) for entry in menu if entry.id in (TRIAL, FALLBACK))


def difference(trial: t.Sequence[str], fallback: t.Sequence[str]) -> str:
    """Say for people what the trial has and the fallback has not, and the other way round."""
    tried, safe = (cmdline.without(tuple(words), ["panic", *_OURS]) for words in (trial, fallback))
    parts = [
        f"{how} {cmdline.join([word for word in some if word not in others])}"
        for how, some, others in (("with", tried, safe), ("without", safe, tried))
        if not set(some) <= set(others)
    ]
    return ", ".join(parts) or SAME


def _prove(text: str) -> None:
    made = {entry.id: entry.words for entry in parse_menu(text)}
    if TRIAL_WORD not in made[TRIAL] or FALLBACK_WORD not in made[FALLBACK]:
        raise ParseError(
            "The menu entry that boots by itself has no line of its own for the kernel, and cannot be copied.",
            remedy="run grub-mkconfig and see what the scripts in /etc/grub.d make of it",
        )


def _running_entry(source: Source) -> MenuEntry:
    """Return an entry of the kernel that runs, which is known to start; the default when it is gone."""
    kernel = booted_kernel(source.running)
    same = (entry for entry in source.menu if entry.of_distribution and not entry.bare)
    return next((entry for entry in same if entry.kernel == kernel), source.default)


Rewrite = t.Callable[[t.Sequence[grub_script.Word]], str]


def _render(entry: MenuEntry, identity: str, title: str, rewrite: Rewrite) -> str:
    name = posixpath.basename(entry.kernel).replace("vmlinuz-", "Linux ")
    head = f"menuentry {grub_script.quote(f'{name}, {title}')} {entry.options} --id {identity} {{"
    lines = [_line(line, rewrite) for line in entry.body]
    return "\n".join([re.sub(" +", " ", head), *(f"\t{line}" for line in lines if line), "}"])


def _line(line: str, rewrite: Rewrite) -> str:
    words = grub_script.words_of(line)
    verb = words[0].value if words else ""
    if verb in (*LINUX, *INITRD) and len(words) > 1:
        return rewrite(words)
    # GRUB_SAVEDEFAULT: an entry that goes away must not become what is booted by itself.
    return "" if verb == "savedefault" else line.strip()


def _trial_lines(panic_s: int) -> Rewrite:
    def rewrite(words: t.Sequence[grub_script.Word]) -> str:
        raws = [word.raw for word in words]
        verb, first = raws[:2]
        if verb in INITRD:
            return _command(verb, raws[1:]) + _GIVE_UP
        # What comes after "--" is meant for init.
        end = next((place for place, word in enumerate(words) if word.value == "--"), len(words))
        kept = [word.raw for word in words[2:end] if not cmdline.matches(word.value, "panic")]
        return _command(verb, [first, *kept, f"panic={panic_s}", TRIAL_WORD, *raws[end:]]) + _GIVE_UP

    return rewrite


def _fallback_lines(source: Source) -> Rewrite:
    def rewrite(words: t.Sequence[grub_script.Word]) -> str:
        raws = [word.raw for word in words]
        verb, first = raws[:2]
        if verb in LINUX:
            return _command(verb, [first, *map(grub_script.quote, fallback_words(source.running))])
        kept = (posixpath.basename(raw) in source.previous for raw in raws[1:])
        return _command(verb, [f"{raw}{PREVIOUS}" if old else raw for raw, old in zip(raws[1:], kept)])

    return rewrite


def _command(verb: str, words: t.Sequence[str]) -> str:
    return f"{verb}\t{' '.join(words)}"
