# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The one effect gate, and the actions that pass through it.

An action is plain data until the gate performs it, so that a plan can be computed, compared
and shown without touching the host. Nothing else in the collection changes a host.

A plan stays done as far as it came, and the next run goes on from there. Actions that know how to be undone
are taken back instead when a later one fails: half a group of devices is worth nothing to anybody.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import DEFAULT_TIMEOUT_S
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import EffectError, HearthError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host


class Action(abc.ABC):
    """One effect on the host, as data."""

    @abc.abstractmethod
    def describe(self) -> str:
        """Say in one line what is done to what; stable, so that runs can be compared."""

    @abc.abstractmethod
    def perform(self, host: Host) -> None:
        """Do it. Called by the gate only, never in check mode."""

    def undo(self) -> Action | None:
        """Return what takes it back, even if only half of it happened; ``None``: it stays."""
        return None

    def touches(self) -> frozenset[str]:
        """Return the names of what it changes, as an :class:`Untouchable` names them."""
        return frozenset()


class Untouchable(EffectError):
    """An action failed in a way after which nothing may be done to ``subjects``, nor be taken back there."""

    def __init__(self, message: str, remedy: str, subjects: t.Iterable[str], **details: t.Any) -> None:
        super().__init__(message, remedy, **details)
        self.subjects = frozenset(subjects)


# What only an action needs that is performed is imported there: most runs perform none.


@dataclasses.dataclass(frozen=True)
class WriteFile(Action):
    """Replace a whole file atomically; the previous content is kept as a backup."""

    path: str
    content: str
    mode: int = 0o644

    def describe(self) -> str:
        return f"write {self.path} ({self.mode:04o})"

    def perform(self, host: Host) -> None:
        from ansible_collections.hearth.gpu_host.plugins.module_utils import _textfile

        _textfile.replace(host, self.path, self.content, self.mode)


@dataclasses.dataclass(frozen=True)
class RemoveFile(Action):
    """Remove a file; its content is kept as a backup."""

    path: str

    def describe(self) -> str:
        return f"remove {self.path}"

    def perform(self, host: Host) -> None:
        from ansible_collections.hearth.gpu_host.plugins.module_utils import _textfile

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


_AGAIN = "remove the cause and run again"


class Gate:
    """Record every action; perform it unless in check mode; take back what can be when one fails."""

    def __init__(self, host: Host, check_mode: bool, lock: Lock = no_lock) -> None:
        self._host = host
        self._check_mode = check_mode
        self._lock = lock
        self.actions: list[str] = []
        self.undone: list[str] = []
        self.undo_failed: list[str] = []
        self.rollback: dict[str, t.Any] = {}

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

        What was done by then is taken back in reverse order as far as the actions know how, the failed one
        included; ``rollback`` and the details of the error tell how that went.

        :raises EffectError: the system refused an action; the last of ``actions`` is that one.
        """
        if not plan:
            return
        with contextlib.nullcontext() if self._check_mode else self._lock(self._host):
            for number, action in enumerate(plan, start=1):
                self.actions.append(action.describe())
                if not self._check_mode:
                    self._perform_or_take_back(action, plan[:number], plan)

    def _perform_or_take_back(
        self, action: Action, done: t.Sequence[Action], plan: t.Sequence[Action]
    ) -> None:
        try:
            self._perform(action)
        except Exception as error:
            if any(planned.undo() for planned in plan):
                self._take_back(done, error)
            raise

    def _perform(self, action: Action) -> None:
        try:
            action.perform(self._host)
        except OSError as error:
            raise EffectError(
                f"Cannot {action.describe()}: {error}.",
                remedy=f"{_AGAIN}; what was done before stays and is not done twice",
            ) from error

    def _take_back(self, done: t.Sequence[Action], error: Exception) -> None:
        undos = [undo for undo in (action.undo() for action in reversed(done)) if undo]
        forbidden = _forbidden_by(error)
        for undo in undos:
            forbidden |= self._undo(undo, forbidden)
        self.rollback = {
            "attempted": bool(undos),
            "ok": not self.undo_failed if undos else None,
            "undone": self.undone,
            "failed": self.undo_failed,
        }
        if isinstance(error, HearthError):
            error.details["rollback"] = self.rollback
            error.message = f"{error.message} {_how_it_went(self.rollback)}"
            if error.remedy.startswith(_AGAIN):
                error.remedy = _AGAIN

    def _undo(self, undo: Action, forbidden: frozenset[str]) -> frozenset[str]:
        """Take one action back; return what must not be touched from now on."""
        if undo.touches() & forbidden:
            self.undo_failed.append(f"{undo.describe()}: not tried, see the error")
            return frozenset()
        try:
            self._perform(undo)
        # One that cannot be taken back, for whatever reason, is no reason to leave the others.
        except Exception as error:
            self.undo_failed.append(f"{undo.describe()}: {error}")
            return _forbidden_by(error)
        self.undone.append(undo.describe())
        return frozenset()


def _forbidden_by(error: Exception) -> frozenset[str]:
    return error.subjects if isinstance(error, Untouchable) else frozenset()


def _how_it_went(rollback: t.Mapping[str, t.Any]) -> str:
    if not rollback["attempted"]:
        return "Nothing had to be taken back."
    if rollback["ok"]:
        return "What was done before was taken back."
    return f"Not everything could be taken back: {'; '.join(rollback['failed'])}."
