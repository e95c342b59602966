# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Several of libvirt's configuration files as one capability."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, RemoveFile, WriteFile
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import conf
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.plan import refuse_repeated
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Params, Plan

# qemu.conf may hold passwords, and distributions ship it readable by root only.
_MODES = {"qemu.conf": 0o600}
_SECRET = re.compile(r"passw|secret", re.IGNORECASE)

Declared = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class ConfFile:
    """One file: our block, what surrounds it, and what libvirt makes of the whole."""

    block: t.Mapping[str, conf.Value]
    rest: str
    effective: t.Mapping[str, conf.Value]
    mode: int = dataclasses.field(compare=False)

    @property
    def text(self) -> str:
        """The content of the file; empty when there should be none."""
        return conf.join(self.block, self.rest)


Model = t.Mapping[str, ConfFile]


class ConfFiles(Capability["t.Mapping[str, tuple[Reading, int]]", Model]):
    """Settings in files of libvirt, in a block of our own; every other byte stays."""

    def __init__(self, params: Params, host: Host) -> None:
        super().__init__(params, host)
        refuse_repeated("file", [declared["path"] for declared in params["files"]])

    def read(self) -> t.Mapping[str, tuple[Reading, int]]:
        return {
            declared["path"]: (self.host.read(declared["path"]), self._mode(declared["path"]))
            for declared in self.params["files"]
        }

    def parse(self, raw: t.Mapping[str, tuple[Reading, int]]) -> Model:
        return {path: _parse(path, reading, mode) for path, (reading, mode) in raw.items()}

    def plan(self, current: Model) -> Plan[Model]:
        actions: list[Action] = []
        after: dict[str, ConfFile] = {}
        restart: list[str] = []
        for declared in self.params["files"]:
            path = declared["path"]
            now = current[path]
            after[path] = _change(now, declared)
            if after[path].text != now.text:
                actions.append(_write(path, after[path]))
            if declared["daemon"] and after[path].effective != now.effective:
                restart.append(declared["daemon"])
        return Plan(
            tuple(actions),
            after,
            {"restart": sorted(set(restart)), "shadowed": _shadowed(after)},
        )

    def show(self, model: Model) -> str:
        lines = []
        for path, file in sorted(model.items()):
            lines += [
                f"{path}: {name} = {_shown(name, value)}\n" for name, value in sorted(file.block.items())
            ]
        return "".join(lines)

    def _mode(self, path: str) -> int:
        try:
            return os.stat(self.host.path(path)).st_mode & 0o7777
        except OSError:
            return _MODES.get(os.path.basename(path), 0o644)


def _parse(path: str, reading: Reading, mode: int) -> ConfFile:
    if reading.unknown:
        raise ParseError(f"{reading.why}.", remedy="let the module run as root (become: true)")
    text = reading.text or ""
    if "\ufffd" in text:
        raise ParseError(f"{path} is not UTF-8.", remedy="convert it, so that its other bytes can be kept")
    try:
        block, rest = conf.split(text)
        return ConfFile(block, rest, conf.effective(text), mode)
    except ParseError as error:
        raise ParseError(
            f"{path}: {error.message}.",
            remedy=error.remedy or "correct the line; libvirt would not start with it either",
        ) from error


def _change(now: ConfFile, declared: Declared) -> ConfFile:
    """Return the file as declared: omitted settings stay, ``None`` clears."""
    path, settings = declared["path"], declared["settings"]
    block = {} if declared["exclusive"] or settings is None else dict(now.block)
    for name, value in (settings or {}).items():
        if value is None:
            block.pop(name, None)
            continue
        try:
            block[name] = conf.from_data(name, value)
        except ParseError as error:
            raise ParseError(f"{path}: {error.message}.", remedy="correct the setting") from error
    text = conf.join(block, now.rest)
    return ConfFile(block, now.rest, conf.effective(text), now.mode)


def _write(path: str, file: ConfFile) -> Action:
    return WriteFile(path, file.text, file.mode) if file.text else RemoveFile(path)


def _shadowed(model: Model) -> dict[str, list[str]]:
    """Return the keys that somebody else set in the file and our block wins over."""
    shadowed = {
        path: sorted(set(file.block) & set(conf.effective(file.rest))) for path, file in model.items()
    }
    return {path: keys for path, keys in shadowed.items() if keys}


def _shown(name: str, value: conf.Value) -> str:
    return "(hidden)" if _SECRET.search(name) else conf.render(value)
