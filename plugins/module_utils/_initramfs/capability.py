# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The content of the initramfs as a capability: our configuration, and images that a listing proves."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, WriteFile
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot import cmdline
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.trial_menu import FALLBACK_WORD
from ansible_collections.hearth.gpu_host.plugins.module_utils._boot.trial_scene import CMDLINE, SCRIPT
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.parse import parse_declaration
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError, Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._initramfs import images as disk
from ansible_collections.hearth.gpu_host.plugins.module_utils._initramfs import tools
from ansible_collections.hearth.gpu_host.plugins.module_utils._initramfs.content import (
    Content,
    digest,
    parse_note,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Plan


@dataclasses.dataclass(frozen=True)
class Raw:
    """What was read; the images only when there is something to look for in them.

    ``fallback`` tells whether the host runs the fallback of a trial, ``trial`` whether one is on the host.
    """

    tool: tools.Tool | None
    own: t.Mapping[str, tuple[Reading, int]] = dataclasses.field(default_factory=dict)
    sums: t.Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    images: tuple[disk.Found, ...] = ()
    kernels: t.Mapping[str, disk.Kernel] = dataclasses.field(default_factory=dict)
    rooms: t.Mapping[str, disk.Room] = dataclasses.field(default_factory=dict)
    previous: frozenset[str] = frozenset()
    booted: float = 0.0
    obstacle: str = ""
    without: tuple[str, ...] = ()
    fallback: bool = False
    trial: bool = False


@dataclasses.dataclass(frozen=True)
class State:
    """Our files by path, the images, those that are kept. ``content`` is what is wanted in the end."""

    own: t.Mapping[str, tools.OwnFile]
    images: tuple[disk.Image, ...]
    previous: frozenset[str]
    raw: Raw = dataclasses.field(compare=False)
    content: Content = dataclasses.field(compare=False, default=Content())
    wanted: tuple[str, ...] = dataclasses.field(compare=False, default=())

    def wrong(self) -> tuple[disk.Image, ...]:
        """Return the images that must be built anew."""
        return tuple(image for image in self.images if image.missing or image.digests != self.wanted)


class Initramfs(Capability[Raw, State]):
    """Modules and files that every initramfs of the host holds."""

    def read(self) -> Raw:
        """Read our configuration, its inputs, the images with their listings, and what may start from kept ones."""
        words = cmdline.split(self.host.text(CMDLINE) or "")
        return dataclasses.replace(
            self._read_images(), fallback=FALLBACK_WORD in words, trial=self.host.exists(SCRIPT)
        )

    def _read_images(self) -> Raw:
        tool = tools.detect(self.host)
        if tool is None:
            return Raw(None, previous=disk.read_previous(self.host, ()))
        own = {path: (self.host.read(path), disk.mode_of(self.host, path)) for path in tool.paths}
        content = self._content(tool, own)
        if not content and own[tool.record][0].missing:
            return Raw(tool, own, previous=disk.read_previous(self.host, ()))
        images = disk.read_images(self.host, tool)
        return Raw(
            tool,
            own,
            disk.read_sums(self.host, content),
            images,
            disk.read_kernels(self.host) if content.modules else {},
            disk.read_rooms(self.host, images),
            disk.read_previous(self.host, images),
            disk.booted_at(self.host) if self.params["running"] else 0.0,
            tool.obstacle(self.host),
            disk.read_without(self.host, images),
        )

    def _content(self, tool: tools.Tool, own: t.Mapping[str, tuple[Reading, int]]) -> Content:
        reading = own[tool.record][0]
        if reading.unknown:
            raise ParseError(f"{reading.why}.", remedy=f"make {tool.record} readable, or remove it")
        modules, files = self._wish
        known = Content()
        if not reading.missing and None in (modules, files):
            known = parse_note(tool.record, reading.text or "")
        return Content(known.modules if modules is None else modules, known.files if files is None else files)

    def parse(self, raw: Raw) -> State:
        """Compare the images with what is wanted in them."""
        if raw.tool is None:
            modules, files = self._wish
            if modules or files:
                raise _no_tool(Content(modules or (), files or ()))
            return State({}, (), raw.previous, raw)
        content = self._content(raw.tool, raw.own)
        own = {
            path: tools.OwnFile(reading.text or "", mode)
            for path, (reading, mode) in raw.own.items()
            if not reading.missing
        }
        images = tuple(
            disk.parse_image(found, raw.tool, content, raw.kernels.get(found.kernel, disk.Kernel()))
            for found in raw.images
        )
        wanted = (self._digest(raw.tool, content, raw.sums),) if content else ()
        return State(own, images, raw.previous, raw, content, wanted)

    def _digest(self, tool: tools.Tool, content: Content, found: t.Mapping[str, str | None]) -> str:
        sums = {path: _sum(own.text) for path, own in tool.own_files(content).items()}
        current = {**found, **self._coming()}
        modprobe = sorted(filter(tools.is_modprobe, current))
        order = (*sums, *content.files, *modprobe)
        sums.update({path: checksum for path, checksum in current.items() if checksum is not None})
        return digest((path, sums[path]) for path in order if path in sums)

    def _coming(self) -> dict[str, str | None]:
        contents = self.params.get("contents") or {}
        return {path: _sum(text) if text else None for path, text in contents.items()}

    def plan(self, current: State) -> Plan[State]:
        """Our files first, then image by image: keep the one that booted, build. The record goes last."""
        tool = current.raw.tool
        if tool is None:
            return self._finish(current, [], {}, (), frozenset())
        wrong = current.wrong()
        if current.content:
            self._refuse_modules(current)
        if wrong:
            self._refuse_building(current, wrong)
        active = bool(current.content or current.own)
        first = tool.own_files(current.content) if active else {}
        actions: list[Action] = [
            WriteFile(path, own.text, own.mode) for path, own in first.items() if current.own.get(path) != own
        ]
        actions += [tools.RemoveOwn(path) for path in current.own if path not in first]
        kept = frozenset(f"{image.path}{disk.PREVIOUS}" for image in wrong if self._keeps(current, image))
        for image in wrong:
            actions += [disk.KeepImage(image.path)] if f"{image.path}{disk.PREVIOUS}" in kept else []
            actions.append(tool.build(image.kernel, image.path))
        if current.content:
            return self._finish(current, actions, first, wrong, kept)
        paths = tuple(image.path for image in current.images)
        actions += [disk.RemoveRecord(tools.RemoveOwn(path), tool, paths) for path in first]
        return self._finish(current, actions, {}, wrong, kept)

    def _keeps(self, current: State, image: disk.Image) -> bool:
        """Tell whether an image is worth keeping: one that booted, or the only one there is."""
        if not (current.content and self.params["keep_previous"] and self.params["running"]):
            return False
        first = f"{image.path}{disk.PREVIOUS}" not in current.previous
        # A host that fell back was started with the kept image: the other one is what did not start.
        booted = image.changed <= current.raw.booted and not current.raw.fallback
        return image.digests is not None and (first or booted)

    def _finish(
        self,
        current: State,
        actions: list[Action],
        own: t.Mapping[str, tools.OwnFile],
        wrong: tuple[disk.Image, ...],
        kept: frozenset[str],
    ) -> Plan[State]:
        last = {f"{image.path}{disk.PREVIOUS}" for image in current.images} if current.content else set()
        # As long as a trial is on the host, what boots by itself may start from a kept image.
        stay = current.previous if current.raw.trial else current.previous & last
        previous = frozenset(stay | kept)
        actions += [disk.DropImage(path) for path in sorted(current.previous - previous)]
        if actions:
            needs = {path: self._who(path) for path in current.content.files}
            actions[0] = disk.Guarded(actions[0], needs)
        # Without a record nobody lists the images again: that they are clean is proven before it goes.
        built = current.images if current.content else ()
        images = tuple(dataclasses.replace(image, digests=current.wanted, missing=()) for image in built)
        after = dataclasses.replace(current, own=own, images=images, previous=previous)
        facts = {
            "backend": current.raw.tool.name if current.raw.tool else "",
            "without": list(current.raw.without),
            "images": [self._fact(current, image, image in wrong) for image in current.images],
        }
        return Plan(tuple(actions), after, facts)

    def _fact(self, current: State, image: disk.Image, rebuilt: bool) -> dict[str, t.Any]:
        kernel = current.raw.kernels.get(image.kernel, disk.Kernel())
        has = [name for name in current.content.modules if name in kernel.files]
        return {
            "kernel": image.kernel,
            "image": image.path,
            "rebuilt": rebuilt,
            "missing": list(image.missing),
            "modules": has,
            "builtin": [name for name in current.content.modules if name in kernel.builtin],
            "unavailable": [n for n in current.content.modules if n not in kernel.files | kernel.builtin],
            "files": list(current.content.files),
        }

    def _refuse_modules(self, current: State) -> None:
        every = [kernel.files | kernel.builtin for kernel in current.raw.kernels.values()]
        for name in current.content.modules:
            if every and not any(name in names for names in every):
                raise Refusal(
                    f"Module {name}, wanted in the initramfs by {self._who(name)}, exists in no installed kernel.",
                    remedy="correct the name, install the package that brings it, or take the wish back",
                )
        if self.params["running"] and not current.images:
            raise Refusal(
                "No initramfs of an installed kernel was found where this host's tool keeps them.",
                remedy=_by_hand(current.content),
            )

    def _refuse_building(self, current: State, wrong: tuple[disk.Image, ...]) -> None:
        if current.raw.obstacle:
            raise Refusal(
                f"{wrong[0].path} must be built anew, and {current.raw.obstacle}.",
                remedy="allow it there, or build the images by hand with update-initramfs -c -k all; then run again",
            )
        disk.check_room(wrong, current.raw.rooms)

    def _who(self, name: str) -> str:
        owners = (self.params.get("owners") or {}).get(name) or ()
        return " and ".join(f"role {owner}" for owner in owners) or "this task"

    def show(self, model: State) -> str:
        """Render our files, and what the images lack."""
        lines = [f"# {path}\n{own.text}" for path, own in sorted(model.own.items())]
        for image in model.images:
            built = (
                "cannot be read"
                if image.digests is None
                else f"inputs {', '.join(image.digests) or 'unknown'}"
            )
            lines.append("; lacks ".join((f"{image.path}: {built}", *image.missing)) + "\n")
        return "".join(lines + [f"{path}\n" for path in sorted(model.previous)])

    @functools.cached_property
    def _wish(self) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
        return self._names("modules", wants_files=False), self._names("files", wants_files=True)

    def _names(self, option: str, wants_files: bool) -> tuple[str, ...] | None:
        if self.params.get(option) is None:
            return None
        names = parse_declaration(f"the option {option}", {"initramfs": self.params[option]}).initramfs
        for name in names:
            if name.startswith("/") is not wants_files:
                raise ParseError(
                    f"{option} has {name}.", remedy="absolute paths are files, anything else is a module"
                )
        return names


def _no_tool(content: Content) -> Refusal:
    return Refusal(
        "Neither initramfs-tools (an update-initramfs that calls mkinitramfs) nor dracut is on this host.",
        remedy=f"install one of them; or {_by_hand(content)}",
    )


def _by_hand(content: Content) -> str:
    names = ", ".join((*content.modules, *content.files))
    return (
        f"put {names} into the initramfs by hand, with the tool that builds it here, and take the wish back"
    )


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
