# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Packages as a capability: one cheap question, and the package manager only when some are missing."""

from __future__ import annotations

import abc
import dataclasses
import os
import re
import time
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._module import Capability, Plan

_INSTALLED = re.compile(r"^installed (\S+)$", re.MULTILINE)
_LISTS = ("/var/lib/apt/lists", "/var/lib/apt/periodic/update-success-stamp")
_PAUSE_S = 5.0


@dataclasses.dataclass(frozen=True)
class Install(Action):
    """Install packages; one class for each package manager."""

    names: tuple[str, ...]
    timeout_s: float
    lock_timeout_s: int
    lists_age_s: int

    def describe(self) -> str:
        return f"install {' '.join(self.names)}"

    def perform(self, host: Host) -> None:
        self._run(host, [*self.command(), *self.names])

    @staticmethod
    @abc.abstractmethod
    def question(names: t.Sequence[str]) -> list[str]:
        """Return the command that says ``installed NAME`` for each installed one, and fails for others."""

    @abc.abstractmethod
    def command(self) -> list[str]:
        """Return the command that installs the names which follow it."""

    def _run(self, host: Host, argv: t.Sequence[str]) -> None:
        host.run(argv, timeout_s=self.timeout_s)


@dataclasses.dataclass(frozen=True)
class Apt(Install):
    """Refresh the lists when they are old, and install. Stale lists are no change of the host."""

    _APT: t.ClassVar[tuple[str, ...]] = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet")

    @staticmethod
    def question(names: t.Sequence[str]) -> list[str]:
        return ["dpkg-query", "--show", r"--showformat=${db:Status-Status} ${Package}\n", *names]

    def command(self) -> list[str]:
        options = [f"DPkg::Lock::Timeout={self.lock_timeout_s}", "Dpkg::Options::=--force-confold"]
        options += ["Dpkg::Options::=--force-confdef", "APT::Install-Recommends=false"]
        return [*self._APT, "install", "--yes", *(f"--option={option}" for option in options)]

    def perform(self, host: Host) -> None:
        if host.now() - _newest(host, _LISTS) >= self.lists_age_s:
            self._refresh(host)
        super().perform(host)

    def _refresh(self, host: Host) -> None:
        # The lock of the lists is none of dpkg's, so that its option does not wait for it.
        deadline = host.now() + self.lock_timeout_s
        while True:
            try:
                return self._run(host, [*self._APT, "--option=APT::Update::Error-Mode=any", "update"])
            except CommandError as error:
                if "Could not get lock" not in error.message or host.now() >= deadline:
                    raise
                time.sleep(_PAUSE_S)


@dataclasses.dataclass(frozen=True)
class Dnf(Install):
    """Install; dnf refreshes its lists and waits for its lock by itself."""

    @staticmethod
    def question(names: t.Sequence[str]) -> list[str]:
        return ["rpm", "--query", "--queryformat", r"installed %{NAME}\n", *names]

    def command(self) -> list[str]:
        return ["dnf", "--assumeyes", "--quiet", "--setopt=install_weak_deps=False", "install"]


MANAGERS: t.Mapping[str, type[Install]] = {"apt": Apt, "dnf": Dnf}


class Packages(Capability[Completed, "frozenset[str]"]):
    """Packages that are there. None is ever removed or upgraded on its own account."""

    def read(self) -> Completed:
        names = self.params["names"]
        if not names:
            return Completed(0, "", "")
        answer = self.host.run(MANAGERS[self.params["manager"]].question(names), check=False)
        # dpkg-query ends with 1 when any is missing, rpm with the number of those that are.
        if answer.rc > (1 if self.params["manager"] == "apt" else len(names)):
            raise CommandError(
                f"What is installed cannot be known: {answer.err.strip() or answer.out.strip()}.",
                remedy="repair the database of the package manager (dpkg --audit, rpm --rebuilddb)",
            )
        return answer

    def parse(self, raw: Completed) -> frozenset[str]:
        return frozenset(_INSTALLED.findall(raw.out)) & set(self.params["names"])

    def plan(self, current: frozenset[str]) -> Plan[frozenset[str]]:
        missing = tuple(name for name in dict.fromkeys(self.params["names"]) if name not in current)
        install = MANAGERS[self.params["manager"]](
            missing, self.params["timeout_s"], self.params["lock_timeout_s"], self.params["lists_age_s"]
        )
        return Plan((install,) if missing else (), current | frozenset(missing), {"missing": list(missing)})

    def show(self, model: frozenset[str]) -> str:
        return "".join(f"{name}\n" for name in sorted(model))


def _newest(host: Host, paths: t.Sequence[str]) -> float:
    times = [os.stat(host.path(path)).st_mtime for path in paths if os.path.exists(host.path(path))]
    return max(times, default=0.0)
