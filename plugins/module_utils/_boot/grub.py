# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Debian's and Ubuntu's GRUB: a drop-in of ours in /etc/default/grub.d, and the generated menu."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, RemoveFile, WriteFile
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import backend, cmdline, grub_dropin
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub_menu import (
    GRUB_CFG,
    GenerateMenu,
    default_of,
    find,
    parse_menu,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    CommandError,
    ParseError,
    Refusal,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading

DEFAULTS, FOLDER = "/etc/default/grub", "/etc/default/grub.d"
DROPIN = f"{FOLDER}/zz-hearth.cfg"

_TOOLS = tuple(f"{folder}/grub-mkconfig" for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/usr/local/sbin"))
# Stands where our words would; no word of any kernel.
_SAME_WAY = f"grub-mkconfig reads {DEFAULTS} and {FOLDER}/*.cfg the same way: correct that file"
MARKER = "hearth_marker_"
# The files as grub-mkconfig reads them (grub-common 2.06-13+deb12u2): sourced, the folder's in the order of
# their names, ended by the first command that fails. The values after each file tell which file said what.
MEASURE = f"""set -e
unset GRUB_CMDLINE_LINUX GRUB_CMDLINE_LINUX_DEFAULT
exec 3>&1 >&2
for hearth_file; do
    if [ "$hearth_file" = {MARKER} ]; then
        GRUB_CMDLINE_LINUX_DEFAULT="${{GRUB_CMDLINE_LINUX_DEFAULT-}} {MARKER}"
    else
        . "$hearth_file"
    fi
    printf '%s\\000%s\\000' "${{GRUB_CMDLINE_LINUX-}}" "${{GRUB_CMDLINE_LINUX_DEFAULT-}}" >&3
done
"""

# Both variables after a file: GRUB_CMDLINE_LINUX, and GRUB_CMDLINE_LINUX_DEFAULT, which follows it.
Values = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Raw:
    """What was read: the files in the order in which they are sourced, and the values after each."""

    files: tuple[str, ...]
    values: tuple[Values, ...]
    dropin: Reading
    menu: Reading
    has_tool: bool


@dataclasses.dataclass(frozen=True)
class GrubMenu(backend.Menu):
    """A menu of GRUB. ``base`` are the variables just before our drop-in, ``generated`` whether there is a menu,
    ``underway`` that a run has not got to its end."""

    base: Values = ("", "")
    underway: bool = False
    generated: bool = False
    has_tool: bool = True


class Grub(backend.Backend):
    """GRUB with ``/etc/default/grub.d``."""

    name = "grub"

    def __init__(self, generate: Action | None = None) -> None:
        self._generate = generate or GenerateMenu()

    @staticmethod
    def detect(host: Host) -> bool:
        # The folder is Debian's own: upstream's grub-mkconfig does not read it.
        tools = (host.read(path).text for path in _TOOLS)
        return any("default/grub.d" in text for text in tools if text)

    def read(self, host: Host) -> Raw:
        files = [
            f"{FOLDER}/{name}" for name in host.listdir(FOLDER) if name.endswith(".cfg") and name[0] != "."
        ]
        # Without a file of ours, its place is measured all the same.
        files = sorted({*files, DROPIN})
        # As grub-mkconfig does, which passes over links to nowhere.
        files = [path for path in (DEFAULTS, *files) if path == DROPIN or os.path.exists(host.path(path))]
        return Raw(
            tuple(files),
            _measure(host, files),
            host.read(DROPIN),
            host.read(GRUB_CFG),
            any(host.exists(path) for path in _TOOLS),
        )

    def parse(self, raw: Raw) -> GrubMenu:
        for path, reading in ((DROPIN, raw.dropin), (GRUB_CFG, raw.menu)):
            if reading.unknown:
                raise ParseError(f"{reading.why}.", remedy=f"make {path} readable")
        record = grub_dropin.parse(DROPIN, raw.dropin.text or "")
        return GrubMenu(
            given=attribute(raw.files, raw.values),
            ours=record.words,
            removed=record.removed,
            leaving=record.leaving,
            entries=_entries(raw.menu.text or ""),
            files={} if raw.dropin.text is None else {DROPIN: raw.dropin.text},
            other_default=_other_default(raw.menu.text or ""),
            base=_base(raw),
            underway=record.underway,
            generated=raw.menu.text is not None,
            has_tool=raw.has_tool,
        )

    def plan(self, menu: backend.Menu, wish: backend.Wish) -> tuple[Action, ...]:
        if not isinstance(menu, GrubMenu):
            raise TypeError(f"{type(menu).__name__} is no menu of GRUB")
        if menu.generated and not menu.has_tool:
            raise Refusal(
                "There is a menu of GRUB, and no grub-mkconfig to change it with.",
                remedy="install grub-common",
            )
        _refuse_later_files(menu, wish)
        grub_dropin.refuse_unfilterable(menu.base, wish)
        final = _place(menu, self.files_after(menu, wish).get(DROPIN))
        if not menu.generated:
            # An image before grub-install: the menu will be generated from the drop-in.
            return final
        leaving = _leaving(menu, wish)
        if leaving is None:
            return (*final, self._generate)
        # The drop-in is the record: it names what leaves until the menu is without it.
        underway = grub_dropin.render(wish, leaving)
        return (
            *_place(menu, underway),
            self._generate,
            *_place(
                dataclasses.replace(menu, files={DROPIN: underway}), self.files_after(menu, wish).get(DROPIN)
            ),
        )

    def files_after(self, menu: backend.Menu, wish: backend.Wish) -> dict[str, str]:
        return {DROPIN: grub_dropin.render(wish)} if wish.ours or wish.removed else {}


def _measure(host: Host, files: t.Sequence[str]) -> tuple[Values, ...]:
    arguments = [MARKER if path == DROPIN else host.path(path) for path in files]
    try:
        done = host.run(("/bin/sh", "-c", MEASURE, "sh", *arguments), check=False)
    except CommandError as error:
        # The message has all of the script in it.
        raise CommandError(
            f"The shell that reads {', '.join(files)} does not come to an end.", remedy=_SAME_WAY
        ) from error
    out = done.out.split("\0")
    values = tuple(zip(out[0:-1:2], out[1:-1:2]))
    if len(values) != len(files):
        said = f": {done.err.strip()}" if done.rc else "."
        raise ParseError(f"{files[len(values)]} ends the shell that reads it{said}", remedy=_SAME_WAY)
    return values


def _base(raw: Raw) -> Values:
    linux, default = raw.values[raw.files.index(DROPIN)]
    return linux, default[: -len(MARKER)]


# A part of a variable's value, and the file that it comes from.
Part = tuple[str, str]


def attribute(files: t.Sequence[str], values: t.Sequence[Values]) -> tuple[backend.Source, ...]:
    """Return the words of others by the file that said them, in the order of the command line.

    :raises Refusal: a file that comes after ours throws away what was said before it.
    """
    parts: list[list[Part]] = [[], []]
    for path, both in zip(files, values):
        parts = [_grow(old, path, new) for old, new in zip(parts, both)]
        if path > DROPIN and MARKER not in both[1].split():
            raise Refusal(
                f"{path} sets GRUB_CMDLINE_LINUX_DEFAULT without what was there before; {DROPIN} comes before"
                " it, and would have no effect.",
                remedy=f'let {path} append (GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT …"), or give it'
                " a name that sorts before zz-hearth.cfg",
            )
    sources = (_source(owner, text) for variable in parts for owner, text in variable)
    return tuple(source for source in sources if source.words)


def _source(owner: str, text: str) -> backend.Source:
    try:
        return backend.Source(owner, cmdline.without(grub_dropin.spoken(text), [MARKER]))
    except ParseError as error:
        raise ParseError(
            f"The kernel's words in {owner} cannot be read: {text.strip()}.",
            remedy="close the quotation mark; GRUB reads them after the shell has",
        ) from error


def _grow(old: list[Part], path: str, new: str) -> list[Part]:
    text = "".join(part for _owner, part in old)
    if new.startswith(text):
        rest = new[len(text) :]
        if not rest or not text or rest[0].isspace() or text[-1].isspace():
            return [*old, (path, rest)]
    if new.endswith(text) and new[: -len(text)][-1:].isspace():
        return [(path, new[: -len(text)]), *old]
    return [(path, new)]


def _entries(text: str) -> tuple[backend.Entry, ...]:
    """Entries of others, such as those of another system, are no matter of ours."""
    return tuple(
        # GRUB puts the kernel's path in front by itself.
        backend.Entry(entry.id, (f"BOOT_IMAGE={entry.kernel}", *entry.words), entry.bare)
        for entry in parse_menu(text)
        if entry.of_distribution and entry.kernel
    )


def _other_default(text: str) -> str:
    """Return the entry that GRUB starts by itself if it is not one that we look at: an operator's, or for recovery."""
    spec = default_of(text)
    # What the environment block says is not looked up: it changes with every boot.
    chosen = None if "$" in spec else find(parse_menu(text), spec)
    return "" if chosen is None or (chosen.of_distribution and not chosen.bare) else chosen.path


def _leaving(menu: GrubMenu, wish: backend.Wish) -> tuple[str, ...] | None:
    """Return which words of ours leave; ``None`` when the menu only has to get more.

    A pattern that is withdrawn lets words of others come back. No entry shows that they are
    missing, so that this too has to be on record until the menu is generated.
    """
    left = tuple(
        word
        for word in dict.fromkeys((*menu.ours, *menu.leaving))
        if not any(cmdline.same_word(word, own) for own in wish.ours)
    )
    withdrawn = set(menu.removed) - set(wish.removed)
    return left if left or withdrawn or menu.underway else None


def _place(menu: backend.Menu, text: str | None) -> tuple[Action, ...]:
    if menu.files.get(DROPIN) == text:
        return ()
    return (RemoveFile(DROPIN),) if text is None else (WriteFile(DROPIN, text),)


def _refuse_later_files(menu: GrubMenu, wish: backend.Wish) -> None:
    """Refuse where a file that comes after ours undoes what ours does: the last word wins."""
    names = {argument.name for argument in cmdline.arguments(wish.ours)}
    for source in menu.given:
        if source.owner <= DROPIN:
            continue
        for word in source.words:
            name = cmdline.HUGEPAGES if cmdline.name_of(word) == cmdline.PAGE_SIZE else cmdline.name_of(word)
            if name in names or any(cmdline.matches(word, pattern) for pattern in wish.removed):
                raise Refusal(
                    f"{source.owner} sets {cmdline.quote(word)} after {DROPIN}, which so has no effect on it.",
                    remedy=f"give {source.owner} a name that sorts before zz-hearth.cfg",
                )
