# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Our drop-in for GRUB: a piece of shell that appends, and in its comments the record of what is ours. Pure."""

from __future__ import annotations

import dataclasses
import re

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Wish
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub_menu import kernel_words
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.grub_script import Word, tokens, words_of
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError, Refusal

_HEADER = "# Written by Ansible (module hearth.gpu_host.kernel_args). What is changed here is overwritten.\n"
_ABOUT = """\
# Arguments of your own belong into /etc/default/grub. To start without these, choose a recovery entry, or
# remove this file and run update-grub.
"""
_FILTER = """\
# Whole words that are taken out of what was said before this file.
set -f
for hearth_variable in GRUB_CMDLINE_LINUX GRUB_CMDLINE_LINUX_DEFAULT; do
    eval "hearth_words=\\$$hearth_variable"
    hearth_kept=
    for hearth_word in $hearth_words; do
        case $hearth_word in
            {patterns}) ;;
            *) hearth_kept="$hearth_kept${{hearth_kept:+ }}$hearth_word" ;;
        esac
    done
    eval "$hearth_variable=\\$hearth_kept"
done
set +f
unset hearth_variable hearth_words hearth_word hearth_kept
"""


@dataclasses.dataclass(frozen=True)
class Record:
    """What the drop-in says is ours. ``underway``: the menu may not be generated from it yet."""

    words: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    underway: bool = False


def parse(path: str, text: str) -> Record:
    """Read the record; an empty text is none.

    :raises ParseError: somebody else wrote the file.
    """
    if not text:
        return Record()
    if not text.startswith(_HEADER):
        raise ParseError(f"{path} is not from this module.", remedy="rename it, or remove it")
    leaving = _line(text, "leaving")
    return Record(
        cmdline.split(_line(text, "words") or ""),
        cmdline.split(_line(text, "remove") or ""),
        cmdline.split(leaving or ""),
        leaving is not None,
    )


def _line(text: str, name: str) -> str | None:
    found = re.search(rf"^# {name}:(.*)$", text, re.MULTILINE)
    return found.group(1) if found else None


def render(wish: Wish, leaving: tuple[str, ...] | None = None) -> str:
    """Render the drop-in; with ``leaving``, not ``None``, as it is while a change is on its way."""
    text = _HEADER + _ABOUT
    for name, words in (("words", wish.ours or None), ("remove", wish.removed or None), ("leaving", leaving)):
        if words is not None:
            text += f"# {name}: {cmdline.join(words)}".rstrip() + "\n"
    if wish.removed:
        text += _FILTER.format(patterns=" | ".join(map(_pattern, wish.removed)))
    if wish.ours:
        line = cmdline.join(wish.ours).replace('"', '\\"')
        text += f'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT {line}"\n'
    return text


def spoken(value: str) -> tuple[str, ...]:
    """Return what the kernel gets of a variable's value: GRUB takes quotation marks and escapes out.

    :raises ParseError: a quotation mark is never closed.
    """
    return kernel_words((Word("", ""), Word("", ""), *words_of(value)))


def _is_appendable(value: str) -> bool:
    """Tell whether GRUB takes a word that stands behind others for one of the kernel."""
    found = [token for token in tokens(f"{value.rstrip()} last") if token.lastgroup != "blank"]
    return [token.lastgroup for token in found[:-1]] == ["word"] * (len(found) - 1) and found[
        -2
    ].group() == "last"


def _is_filterable(value: str, removed: tuple[str, ...]) -> bool:
    """Tell whether the shell, to which quotation marks are letters, takes out what the kernel calls a word."""
    kept = " ".join(cmdline.without(value.split(), removed))
    try:
        return spoken(kept) == cmdline.without(spoken(value), removed)
    except ParseError:
        return False


def _pattern(pattern: str) -> str:
    """Return a pattern for the shell: whole words, and ``-`` and ``_`` are equal in names."""
    name = re.sub("[-_]", "[-_]", pattern.partition("=")[0])
    value = cmdline.value_of(pattern)
    return f"{name} | {name}=*" if value is None else f"{name}='{value}'"


def refuse_unfilterable(variables: tuple[str, str], wish: Wish) -> None:
    """Refuse values of others that our shell would not leave as they are.

    :param variables: the values just before the drop-in.
    """
    for value in variables:
        if "--" in value.split() and wish.ours:
            raise Refusal(
                f"The words of others end with --, after which everything is meant for init: {value}.",
                remedy="take -- and what follows out of /etc/default/grub",
            )
        if wish.ours and not _is_appendable(value):
            raise Refusal(
                f"What is appended to the words of others would be lost: in {value.strip()!r} there is a #, ;, &, |,"
                " a brace, an end of line, or a backslash at the end, by which GRUB ends the command.",
                remedy="correct that in /etc/default/grub and the files in /etc/default/grub.d: put it in quotation"
                " marks that GRUB reads, or take it out",
            )
        if wish.removed and not _is_filterable(value, wish.removed):
            raise Refusal(
                f"{cmdline.join(wish.removed)} cannot be taken out of {value!r}: it has quotation marks.",
                remedy="take it out of /etc/default/grub and the files in /etc/default/grub.d by hand",
            )
