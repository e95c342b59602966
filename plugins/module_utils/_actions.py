# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The one effect gate, and the actions that pass through it.

An action is plain data until the gate performs it, so that a plan can be computed, compared
and shown without touching the host. Nothing else in the collection changes a host.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils import _textfile
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import DEFAULT_TIMEOUT_S
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import EffectError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host


class Action(abc.ABC):
    """One effect on the host, as data."""

    @abc.abstractmethod
    def describe(self) -> str:
        """Say in one line what is done to what; stable, so that runs can be compared."""

    @abc.abstractmethod
    def perform(self, host: Host) -> None:
        """Do it. Called by the gate only, never in check mode."""


@dataclasses.dataclass(frozen=True)
class WriteFile(Action):
    """Replace a whole file atomically; the previous content is kept as a backup."""

    path: str
    content: str
    mode: int = 0o644

    def describe(self) -> str:
        return f"write {self.path} ({self.mode:04o})"

    def perform(self, host: Host) -> None:
        _textfile.replace(host, self.path, self.content, self.mode)


@dataclasses.dataclass(frozen=True)
class RemoveFile(Action):
    """Remove a file; its content is kept as a backup."""

    path: str

    def describe(self) -> str:
        return f"remove {self.path}"

    def perform(self, host: Host) -> None:
        _textfile.remove(host, self.path)


@dataclasses.dataclass(frozen=True)
class Run(Action):
    """Run an external tool that changes the host. Read-only commands bypass the gate."""

    argv: tuple[str, ...]
    stdin: str | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S

    def describe(self) -> str:
        return f"run {' '.join(self.argv)}"

    def perform(self, host: Host) -> None:
        host.run(self.argv, stdin=self.stdin, timeout_s=self.timeout_s)


class Lock(t.Protocol):
    """Something that is held while effects happen (``_lock.HostLock``)."""

    def __call__(self, host: Host) -> t.ContextManager[None]: ...


@contextlib.contextmanager
def no_lock(host: Host) -> t.Iterator[None]:
    """Hold nothing: for roots that are no running host, such as an image being baked."""
    yield


class Gate:
    """Record every action; perform it unless in check mode."""

    def __init__(self, host: Host, check_mode: bool, lock: Lock = no_lock) -> None:
        self._host = host
        self._check_mode = check_mode
        self._lock = lock
        self.actions: list[str] = []

    @property
    def check_mode(self) -> bool:
        """Tell whether effects are only foretold."""
        return self._check_mode

    @property
    def performed(self) -> bool:
        """Tell whether the host was touched."""
        return bool(self.actions) and not self._check_mode

    def apply(self, plan: t.Sequence[Action]) -> None:
        """Pass the plan through, in order; stop at the first action that fails.

        :raises EffectError: the system refused an action; the last of ``actions`` is that one.
        """
        if not plan:
            return
        with contextlib.nullcontext() if self._check_mode else self._lock(self._host):
            for action in plan:
                self.actions.append(action.describe())
                if not self._check_mode:
                    self._perform(action)

    def _perform(self, action: Action) -> None:
        try:
            action.perform(self._host)
        except OSError as error:
            raise EffectError(
                f"Cannot {action.describe()}: {error}.",
                remedy="remove the cause and run again; what was done before stays and is not done twice",
            ) from error
