# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What is refused of kernel arguments before anything is written, and what is pointed out. Pure."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.backend import Source
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.capability import default_page_kib
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.compose import Owners, contradiction
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.machine import (
    Machine,
    cpu_set,
    page_count,
    page_size_kib,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import (
    Contradiction,
    ParseError,
    Refusal,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import iommu_arguments
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import WARN

# COMMAND_LINE_SIZE of x86 and arm64; one of them is the NUL at the end.
LINE_LIMIT = 2048
# What the host needs beside its huge pages to start at all, and to be reached.
RESERVE_KIB = 2 * 1024 * 1024

# Letters that neither the shell, nor GRUB's script, nor an entry's file takes for something else.
_PLAIN = re.compile(r"\w[\w.,:/@+-]*(=[\w.,:/@%+!~^= -]*)?", re.ASCII)
WISH = "kernel argument"
_BY_HAND = (
    "write it by hand where the boot loader reads it, quoted as that wants it, and take it out of the wishes"
)
# The boot loader's own, or how the kernel finds its root: a host without them does not start.
_VITAL = ("BOOT_IMAGE", "initrd", "root", "ro", "rw", "rootflags", "rootfstype", "init", "rdinit")
# With these the host starts into a shell for one person (systemd(1), "Kernel Command Line"). A lone number is
# what YAML's comma made of a list: Ansible takes isolcpus=4,1 without brackets for two arguments.
_ALONE = re.compile(
    r"\d+|[sS]|single|rescue|emergency|(rd[.])?systemd[.]unit=(rescue|emergency|halt|poweroff|reboot)\b.*|rd[.]break(=.*)?",
    re.ASCII,
)
_IOMMU = ("intel_iommu", "amd_iommu", "iommu")
_FLAG = re.compile(r"[a-z_]+")
_ALL = ("", "N", "all")


def words_of(items: t.Iterable[str], what: str = WISH) -> tuple[str, ...]:
    """Return the words in the texts of an option; an empty text has none.

    :raises Refusal: a word cannot be written safely, or the host needs it to start.
    """
    words: list[str] = []
    for item in items:
        if "--" in item.split():
            raise Refusal(f"The {what} {item!r} has what is meant for init.", remedy=_BY_HAND)
        words += cmdline.split(item)
    for word in words:
        _refuse_word(word, what)
        if what == WISH and _ALONE.fullmatch(word):
            raise Refusal(
                f"With the {what} {word} the host would not start as a server does, and not be reached any more.",
                remedy="write lists, such as of CPUs, as one text in quotation marks; or add it by hand for one boot",
            )
    return tuple(words)


def _refuse_word(word: str, what: str) -> None:
    if word == "None":
        raise Refusal(
            f"The {what} is the word None, which a variable without a value becomes.",
            remedy="give the variable an empty text as its default",
        )
    if not _PLAIN.fullmatch(word) or word != word.strip():
        raise Refusal(
            f"The {what} {word!r} has a character that is changed on its way to the kernel.", remedy=_BY_HAND
        )
    if cmdline.name_of(word) in _VITAL:
        raise Refusal(f"The {what} {word} is one that the host starts by.", remedy=_BY_HAND)


def useful(words: cmdline.Words, arch: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words without what the kernel ignores, and what is to be said about that."""
    kept: list[str] = []
    notices: list[str] = []
    for word in words:
        idle = {remark.argument: remark for remark in _idle(word, arch)}
        notices += [f"{argument} does nothing: {r.why}. {r.hint}" for argument, r in idle.items()]
        name, _equals, value = word.partition("=")
        options = [part for part in value.split(",") if f"{cmdline.name_of(word)}={part}" not in idle]
        if not idle:
            kept.append(word)
        elif options:
            kept.append(f"{name}={','.join(options)}")
    return tuple(kept), tuple(dict.fromkeys(notices))


def _idle(word: str, arch: str) -> list[iommu_arguments.Remark]:
    remarks = iommu_arguments.remarks(iommu_arguments.Arguments((word,)), None, arch, "")
    return [r for r in remarks if r.status == WARN and cmdline.name_of(r.argument) in _IOMMU]


def pointed_out(given: t.Sequence[Source], arch: str) -> tuple[str, ...]:
    """Return what is to be said about words of others; they stay as they are."""
    return tuple(f"{source.owner}: {notice}" for source in given for notice in useful(source.words, arch)[1])


def refuse_harmful(wishes: t.Sequence[cmdline.Argument], words: cmdline.Words, machine: Machine) -> None:
    """Refuse what the host would not start with, or would not start right.

    :param words: all words that the kernel will get.
    """
    for wish in wishes:
        if wish.name == "isolcpus":
            _refuse_isolation(wish, machine)
        if wish.name == cmdline.HUGEPAGES:
            _refuse_pages(words, machine)
    # The boot loader adds BOOT_IMAGE= by itself; it is among the words of the entries.
    if len(cmdline.join(words)) >= LINE_LIMIT:
        raise Refusal(
            f"The kernel's command line would have {len(cmdline.join(words))} characters; it takes {LINE_LIMIT - 1}.",
            remedy="move options of modules to modprobe.d, or shorten lists of CPUs and devices",
        )


def _refuse_isolation(wish: cmdline.Argument, machine: Machine) -> None:
    parts = (wish.values[-1] or "").split(",")
    # Flags, such as managed_irq and domain, come before the list.
    while parts and _FLAG.fullmatch(parts[0]) and parts[0] not in _ALL:
        parts.pop(0)
    found = cpu_set(",".join(parts), machine.last_cpu)
    if found is None:
        raise ParseError(
            f"{cmdline.join(wish.words)} has no list of CPUs.", remedy="write it such as isolcpus=2-7,9"
        )
    if 0 in found or (machine.online and found >= machine.online):
        which = "CPU 0, which the kernel boots on" if 0 in found else "every CPU that is online"
        raise Refusal(
            f"{cmdline.join(wish.words)} covers {which}: the host would have none left to work on.",
            remedy="leave CPU 0 and its thread sibling to the host",
        )


def _refuse_pages(words: cmdline.Words, machine: Machine) -> None:
    total, default = 0, default_page_kib(words, machine)
    for size, count in cmdline.page_pairs(words):
        pages, kib = page_count(count), page_size_kib(size) if size else default
        if pages is None or (size and kib is None):
            raise ParseError(f"{size}={count} are no huge pages.", remedy="write hugepagesz=1G hugepages=64")
        total += pages * (kib or 0)
    if machine.memory_kib is not None and total > machine.memory_kib - RESERVE_KIB:
        raise Refusal(
            f"Huge pages of {_mib(total)} leave too little of the {_mib(machine.memory_kib)} of memory:"
            " the host would not start.",
            remedy=f"leave at least {_mib(RESERVE_KIB)} to the host",
        )


def _mib(kib: int) -> str:
    return f"{kib // 1024} MiB"


def refuse_contradictory(
    wishes: t.Sequence[cmdline.Argument], kept: t.Sequence[Source], owners: Owners, sev_snp: bool
) -> None:
    """Refuse arguments that defeat others of another name, whoever wrote them.

    :param kept: the words of others that stay.
    :raises Contradiction: both owners are named.
    """
    spoken = [(owners.label(wish), wish.words) for wish in wishes]
    spoken += [(source.owner, source.words) for source in kept]
    for owner, words in spoken:
        said = iommu_arguments.Arguments(tuple(words))
        if sev_snp and said.against_snp:
            raise Contradiction(
                f"SEV-SNP is wanted on this host, and {owner} says {' '.join(said.against_snp)}, with which"
                " it cannot be had.",
                remedy="take the argument away (of others: by the option remove), or do not ask for SEV-SNP",
                owners=["sev_snp", owner],
                words=said.against_snp,
            )
        switched_on = [wish for wish in wishes if wish.name == "intel_iommu" and "on" in wish.values]
        if switched_on and said.last("iommu", ("off", "force")) == "off":
            raise contradiction(switched_on[0], owner, ("iommu=off",), owners)
