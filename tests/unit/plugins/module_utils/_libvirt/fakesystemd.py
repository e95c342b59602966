# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A systemd with one daemon, which reads its files when it starts, as libvirt's daemons do."""

from __future__ import annotations

import datetime
import pathlib
import time
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import conf


class FakeSystemd:
    """Answers ``systemctl``; ``has_read`` is the truth that the module cannot see."""

    def __init__(self, root: pathlib.Path, *paths: str, clock: t.Callable[[], float] = time.time) -> None:
        self.runs = 0
        self.active = False
        self.has_read: dict[str, dict[str, conf.Value]] = {}
        self._started = 0.0
        self._root = root
        self._paths = paths
        self._clock = clock
        (root / "run/systemd/system").mkdir(parents=True)

    def on_disk(self) -> dict[str, dict[str, conf.Value]]:
        files = {path: self._root / path.lstrip("/") for path in self._paths}
        return {
            path: conf.effective(file.read_text()) if file.exists() else {} for path, file in files.items()
        }

    def start(self) -> None:
        self.runs += 1
        self.active = True
        self._started = self._clock()
        self.has_read = self.on_disk()

    def stop(self) -> None:
        self.active = False

    def __call__(self, argv: t.Sequence[str], **options: t.Any) -> Completed:
        assert argv[-1] == "libvirtd.service", argv
        if argv[:2] == ["systemctl", "show"]:
            return Completed(0, self._show(), "")
        assert list(argv[:2]) == ["systemctl", "try-restart"], argv
        if self.active:
            self.start()
        return Completed(0, "", "")

    def _show(self) -> str:
        if not self.active:
            return "ActiveState=inactive\nInvocationID=\nExecMainStartTimestamp=\n"
        moment = datetime.datetime.fromtimestamp(self._started, datetime.timezone.utc)
        stamp = moment.strftime("%a %Y-%m-%d %H:%M:%S.%f UTC")
        return f"ActiveState=active\nInvocationID={self.runs:032x}\nExecMainStartTimestamp={stamp}\n"
