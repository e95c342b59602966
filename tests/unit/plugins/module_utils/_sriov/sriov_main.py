# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the real ``main()`` of sriov_vfs on a fake host; the wishes that its tests share."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args
from fakenic import DISK, NIC, FakeHost

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import no_lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.capability import SriovVfs
from ansible_collections.hearth.gpu_host.plugins.modules import sriov_vfs

MAC = "52:54:00:3b:00:00"
VFS: list[dict[str, t.Any]] = [
    {"index": 0, "mac": MAC, "vlan": 100, "qos": 3, "spoofchk": False, "trust": True},
    {"index": 1, "vlan": 200, "max_tx_rate": 1000, "link_state": "enable"},
]
NIC_WISH: dict[str, t.Any] = {"address": NIC, "number": 4, "autoprobe": False, "vfs": VFS}
DISK_WISH: dict[str, t.Any] = {"address": DISK, "number": 4, "autoprobe": False}
DEFAULTS = {"running": True, "persistent": True, "deadline": 300}


class Task:
    """Runs the module's real main() on the fake host."""

    def __init__(
        self, host: FakeHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.kernel = host
        self._capsys = capsys
        monkeypatch.setattr(_module, "Host", lambda: host.host)
        monkeypatch.setattr(SriovVfs, "lock", staticmethod(no_lock))

    def __call__(self, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            sriov_vfs.main()
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return {key: value for key, value in result.items() if key != "invocation"}

    def predicted(self, **options: t.Any) -> dict[str, t.Any]:
        """Run in check mode, which may touch nothing, then for real; both must say the same.

        Where VFs are made, only the real run knows where they are.
        """
        before = self.kernel.snapshot()
        foretold = self(check=True, **options)
        assert self.kernel.snapshot() == before
        result = self(**options)
        assert _but_places(foretold) == _but_places(result)
        assert "failed" not in result, result["msg"]
        return result

    def refused(self, **options: t.Any) -> str:
        """Run, which must fail without having changed or written anything."""
        before, writes = self.kernel.snapshot(), len(self.kernel.writes)
        result = self(**options)
        assert (self.kernel.snapshot(), len(self.kernel.writes)) == (before, writes)
        assert (result["failed"], result.get("actions", [])) == (True, []), result
        return str(result["msg"])


def _but_places(result: dict[str, t.Any]) -> dict[str, t.Any]:
    vfs = [
        {key: None if key in ("address", "iommu_group", "driver") else value for key, value in vf.items()}
        for vf in result.get("vfs", [])
    ]
    wished = [{key: value for key, value in vf.items() if key in ("index", "address")} for vf in vfs]
    return {**result, "vfs": wished}
