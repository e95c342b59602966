# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Several of libvirt's configuration files as one capability, and the daemons that read them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import stat
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import (
    Action,
    RemoveFile,
    Run,
    WriteFile,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host, Reading
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import conf, daemon
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.plan import refuse_repeated
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Params, Plan

# qemu.conf may hold passwords, and distributions ship it readable by root only.
_MODES = {"qemu.conf": 0o600}
_SECRET = re.compile(r"passw|secret", re.IGNORECASE)
_RESTART_S = 180.0

Declared = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class RawFile:
    """A file as it is read: its text, its mode, and when it was changed (0 when it is missing)."""

    reading: Reading
    mode: int
    changed: float


@dataclasses.dataclass(frozen=True)
class Raw:
    """What the host says: the declared files by path, the daemons that run by name, the time."""

    files: t.Mapping[str, RawFile]
    running: t.Mapping[str, daemon.Process]
    now: float


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

    @property
    def digest(self) -> str:
        """What libvirt makes of the file, in short: comments and order do not count."""
        return hashlib.sha256(json.dumps(self.effective, sort_keys=True).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Model:
    """The files, what each running daemon has read, and the daemons that have read something else."""

    files: t.Mapping[str, ConfFile]
    has_read: t.Mapping[str, daemon.Digests] = dataclasses.field(compare=False)
    outdated: tuple[str, ...] = ()


class ConfFiles(Capability[Raw, Model]):
    """Settings in files of libvirt, in a block of our own; every other byte stays.

    A daemon reads its files when it starts. So whether it must be restarted is measured each
    time, and a run that died between the write and the restart is finished by the next.
    """

    def __init__(self, params: Params, host: Host) -> None:
        super().__init__(params, host)
        refuse_repeated("file", [declared["path"] for declared in params["files"]])

    def read(self) -> Raw:
        files = {declared["path"]: self._file(declared["path"]) for declared in self.params["files"]}
        running: dict[str, daemon.Process] = {}
        for name in self._daemons() if self.params["restart"] else ():
            process = daemon.look(self.host, name)
            if process is not None:
                running[name] = process
        return Raw(files, running, self.host.now())

    def parse(self, raw: Raw) -> Model:
        files = {path: _parse(path, file.reading, file.mode) for path, file in raw.files.items()}
        has_read = {
            name: {
                path: process.has_read(path, files[path].digest, raw.files[path].changed, raw.now)
                for path in self._daemons()[name]
            }
            for name, process in raw.running.items()
        }
        return Model(files, has_read, _outdated(files, has_read))

    def plan(self, current: Model) -> Plan[Model]:
        after = {
            declared["path"]: _change(current.files[declared["path"]], declared)
            for declared in self.params["files"]
        }
        written = [path for path, file in after.items() if file.text != current.files[path].text]
        actions: list[Action] = [
            daemon.Note(name, digests)
            for name, digests in current.has_read.items()
            if not set(written).isdisjoint(digests)
        ]
        actions += [_write(path, after[path]) for path in written]
        outdated = _outdated(after, current.has_read)
        for name in outdated:
            actions.append(Run(("systemctl", "try-restart", f"{name}.service"), timeout_s=_RESTART_S))
            actions.append(daemon.Note(name, {path: after[path].digest for path in current.has_read[name]}))
        return Plan(
            tuple(actions),
            Model(after, {}),
            {"restarted": list(outdated), "shadowed": _shadowed(after)},
        )

    def show(self, model: Model) -> str:
        lines = [
            f"{path}: {name} = {_shown(name, value)}\n"
            for path, file in sorted(model.files.items())
            for name, value in sorted(file.block.items())
        ]
        lines += [f"{name} runs with other settings than its files have\n" for name in model.outdated]
        return "".join(lines)

    def _file(self, path: str) -> RawFile:
        reading = self.host.read(path)
        try:
            # After reading: a file that changes in between must look younger than what was read.
            status = os.stat(self.host.path(path))
        except OSError:
            return RawFile(reading, _MODES.get(os.path.basename(path), 0o644), 0.0)
        # ctime, because a file that is moved here or unpacked brings an mtime of its own.
        return RawFile(reading, stat.S_IMODE(status.st_mode), status.st_ctime)

    def _daemons(self) -> dict[str, list[str]]:
        """Return the files of each daemon."""
        daemons: dict[str, list[str]] = {}
        for declared in self.params["files"]:
            if declared["daemon"]:
                daemons.setdefault(declared["daemon"], []).append(declared["path"])
        return daemons


def _outdated(files: t.Mapping[str, ConfFile], has_read: t.Mapping[str, daemon.Digests]) -> tuple[str, ...]:
    """Return the running daemons that have read something else than the files say."""
    return tuple(
        name
        for name, digests in sorted(has_read.items())
        if any(digest != files[path].digest for path, digest in digests.items())
    )


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


def _shadowed(files: t.Mapping[str, ConfFile]) -> dict[str, list[str]]:
    """Return the keys that somebody else set in the file and our block wins over."""
    shadowed = {
        path: sorted(set(file.block) & set(conf.effective(file.rest))) for path, file in files.items()
    }
    return {path: keys for path, keys in shadowed.items() if keys}


def _shown(name: str, value: conf.Value) -> str:
    return "(hidden)" if _SECRET.search(name) else conf.render(value)
