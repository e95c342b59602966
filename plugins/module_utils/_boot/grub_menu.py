# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""GRUB's generated menu as data, and the one action that generates it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import stat
import textwrap
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import grub_script as script
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import EffectError, HearthError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

GRUB_CFG = "/boot/grub/grub.cfg"
ENTRY, SUBMENU = "menuentry", "submenu"
LINUX, INITRD = ("linux", "linuxefi", "linux16"), ("initrd", "initrdefi", "initrd16")

# os-prober, where it is switched on, mounts every other disk.
# os-prober looks into every partition of every disk: minutes where there are dozens.
_GENERATE_S = 1800.0
_BEGIN, _END = "### BEGIN /etc/grub.d/", "### END /etc/grub.d/"
_KEYWORDS = ("if", "then", "else", "elif", "do", "while", "until", "for")
_DEFAULT = re.compile(r"""^\s*(?:set\s+)?default=(?P<quote>["']?)(?P<spec>.*?)(?P=quote)\s*$""", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class MenuEntry:
    """An entry of the menu.

    ``path`` is how ``grub-reboot`` and ``GRUB_DEFAULT`` name it, ``position`` its number and before that
    those of the submenus around it; ``names`` has id and title of each of these. ``words`` are the
    kernel's, without variables. ``options`` is what stands between title and body without the identity,
    ``body`` the lines between the braces, ``maker`` the script in ``/etc/grub.d`` where that is known.
    """

    id: str
    title: str
    path: str
    position: tuple[int, ...]
    names: tuple[tuple[str, str], ...]
    kernel: str
    words: tuple[str, ...]
    initrd: tuple[str, ...]
    options: str
    body: tuple[str, ...]
    maker: str = ""

    @property
    def of_distribution(self) -> bool:
        """Tell whether it is made by the distribution's script, and so of the kernel's configured words.

        Who copies an entry into a file of his own, such as 40_custom, mostly copies its id as well.
        """
        return self.id.startswith("gnulinux-") and ("_linux" in self.maker or not self.maker)

    @property
    def bare(self) -> bool:
        """Tell whether it is a recovery entry.

        Entries of an alternate init (``-init-sysvinit-``) are none: they have all configured words.
        """
        return self.of_distribution and "-recovery-" in self.id


@dataclasses.dataclass
class _Block:
    """A pair of braces that is open, and what stood before it."""

    head: tuple[script.Word, ...]
    start: int
    position: tuple[int, ...] = ()
    children: int = 0
    commands: list[tuple[script.Word, ...]] = dataclasses.field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.head[0].value if self.head else ""


# A run parses the same text several times.
@functools.lru_cache(maxsize=4)
def parse_menu(text: str) -> tuple[MenuEntry, ...]:
    """Return the entries of a ``grub.cfg`` in their order.

    :raises ParseError: a quotation mark or a brace has no counterpart.
    """
    entries: list[MenuEntry] = []
    stack = [_Block((), 0)]
    command: list[script.Word] = []
    for token in script.tokens(text):
        if token.lastgroup == "word":
            command.append(script.word_of(token.group()))
            continue
        if token.group() == "{":
            stack.append(_open(tuple(command), token.end(), stack))
        else:
            _finish(tuple(command), stack)
        if token.group() == "}":
            _close(text[: token.start()], stack, entries)
        command = []
    if len(stack) > 1:
        raise script.broken(
            f"the block of {stack[-1].kind or 'line'!r} is never closed", text, stack[-1].start
        )
    return tuple(entries)


def default_of(text: str) -> str:
    """Return what the menu boots by itself, in the form of ``GRUB_DEFAULT``; such as ``${saved_entry}``."""
    specs = [found.group("spec") for found in _DEFAULT.finditer(text)]
    return next((spec for spec in reversed(specs) if "next_entry" not in spec), "") or "0"


def find(entries: t.Sequence[MenuEntry], spec: str) -> MenuEntry | None:
    """Return the entry that ``GRUB_DEFAULT=spec`` boots: by number, title or id, through submenus.

    GRUB takes the first entry when there is none such.
    """
    # ">" separates submenus, so in a name it stands twice.
    parts = [part.replace("\0", ">") for part in spec.replace(">>", "\0").split(">")]
    return next((entry for entry in entries if _is_named(entry, parts)), next(iter(entries), None))


def _is_named(entry: MenuEntry, parts: t.Sequence[str]) -> bool:
    levels = list(zip(entry.position, entry.names))
    named = all(part in (str(number), *names) for part, (number, names) in zip(parts, levels))
    # A submenu as the default boots the first entry in it.
    return named and len(parts) <= len(levels) and not any(entry.position[len(parts) :])


def _open(head: tuple[script.Word, ...], start: int, stack: t.Sequence[_Block]) -> _Block:
    while head and head[0].value in _KEYWORDS:
        head = head[1:]
    block = _Block(head, start)
    if block.kind in (ENTRY, SUBMENU):
        around = _around(stack)
        block.position = (*around.position, around.children)
        around.children += 1
    return block


def _around(stack: t.Sequence[_Block]) -> _Block:
    """Return the submenu that is open, or the whole menu."""
    return next((block for block in reversed(stack) if block.kind == SUBMENU), stack[0])


def _finish(command: tuple[script.Word, ...], stack: t.Sequence[_Block]) -> None:
    while command and command[0].value in _KEYWORDS:
        command = command[1:]
    entry = next((block for block in reversed(stack) if block.kind == ENTRY), None)
    if command and entry:
        entry.commands.append(command)


def _close(text: str, stack: list[_Block], entries: list[MenuEntry]) -> None:
    if len(stack) == 1:
        raise script.broken("there is a closing brace too many", text, len(text))
    block = stack.pop()
    if block.kind == ENTRY:
        entries.append(_entry(block, [outer for outer in stack if outer.kind == SUBMENU], text))


def _entry(block: _Block, submenus: t.Sequence[_Block], text: str) -> MenuEntry:
    title, identity, options = _head(block.head)
    names = [_head(outer.head)[1::-1] for outer in submenus] + [(identity, title)]
    linux = next((command for command in block.commands if command[0].value in LINUX), ())
    initrd = next((command for command in block.commands if command[0].value in INITRD), ())
    return MenuEntry(
        id=identity,
        title=title,
        path=">".join(name.replace(">", ">>") for name, _title in names),
        position=block.position,
        names=tuple(names),
        kernel=linux[1].value if len(linux) > 1 else "",
        words=kernel_words(linux),
        initrd=tuple(word.value for word in initrd[1:]),
        options=options,
        body=tuple(textwrap.dedent(text[block.start :].strip("\n").rstrip()).split("\n")),
        maker=_maker(text[: block.start]),
    )


def _maker(before: str) -> str:
    """Return the script whose output this is: grub-mkconfig puts a line before and after each."""
    begun, ended = before.rfind(_BEGIN), before.rfind(_END)
    return "" if begun <= ended else before[begun + len(_BEGIN) :].partition(" ###")[0]


def kernel_words(command: t.Sequence[script.Word]) -> tuple[str, ...]:
    """Return the kernel's words of a ``linux`` command: no variables, and nothing that is meant for init."""
    values: list[str] = []
    for word in command[2:]:
        if word.value == "--":
            break
        if not word.variable and word.value:
            values.append(word.value)
    return tuple(values)


def _head(head: t.Sequence[script.Word]) -> tuple[str, str, str]:
    """Return title, identity and remaining options of an entry or submenu."""
    words = list(head[1:])
    title = words.pop(0).value if words else ""
    identity, options = title, []
    while words:
        word = words.pop(0)
        if word.raw in ("$menuentry_id_option", "${menuentry_id_option}", "--id") and words:
            identity = words.pop(0).value
        elif word.value.startswith("--id="):
            identity = word.value[len("--id=") :]
        else:
            options.append(word.raw)
    return title, identity, " ".join(options)


@dataclasses.dataclass(frozen=True)
class GenerateMenu(Action):
    """Generate the menu beside the one there is, look at it, and let it take the name.

    By itself ``grub-mkconfig -o`` ends with ``cat grub.cfg.new > grub.cfg`` (grub-common 2.06-13+deb12u2,
    /usr/sbin/grub-mkconfig): killed in there, the host has half a menu or none. It checks the syntax, but
    takes a menu without entries.
    """

    path: str = GRUB_CFG

    def describe(self) -> str:
        return f"generate {self.path}"

    def perform(self, host: Host) -> None:
        made = f"{self.path}.hearth-new"
        try:
            host.run(("grub-mkconfig", "-o", made), timeout_s=_GENERATE_S)
            host.run(("grub-script-check", made))
            self._refuse_useless(host.read(made).text or "")
            take_place(host, made, self.path)
        except (HearthError, OSError):
            # What it leaves when it fails is named so; it is of no use to anyone.
            for leftover in (made, f"{made}.new"):
                with contextlib.suppress(OSError):
                    os.unlink(host.path(leftover))
            raise

    def _refuse_useless(self, text: str) -> None:
        if not any(entry.kernel for entry in parse_menu(text)):
            raise EffectError(
                f"grub-mkconfig made a menu without any kernel; {self.path} stays as it was.",
                remedy="run grub-mkconfig and see why it finds no kernel in /boot",
            )


def take_place(host: Host, made: str, path: str) -> None:
    """Let the complete file ``made`` take the name ``path``, with the owner and the mode of what is there."""
    source = host.path(made)
    target = os.path.realpath(host.path(path)) if host.root == "/" else host.path(path)
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(target)
            os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(source, target)
    folder = os.open(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
