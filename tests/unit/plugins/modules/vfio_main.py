# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the real ``main()`` of vfio_bind on a simulated kernel."""

from __future__ import annotations

import json
import os
import pathlib
import sys
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_vfio"))

from fakepci import FakeKernel, Killed

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import proof
from ansible_collections.hearth.gpu_host.plugins.modules import vfio_bind

__all__ = ["FakeKernel", "Killed"]

RECORD, RULES = "/var/lib/hearth/vfio", "/etc/udev/rules.d/10-hearth-vfio.rules"
LEDGER = "/var/lib/hearth/reboot.json"
GPU, AUDIO, USB = (f"0000:01:00.{function}" for function in range(3))
TWIN, TWIN_AUDIO, TWIN_USB = (f"0000:02:00.{function}" for function in range(3))
CARD = (AUDIO, USB, GPU)
# VFIO takes a group whose members have one of these drivers, or none: drivers with driver_managed_dma, Linux 6.1.
MANAGED = (None, "pcieport", "pci-stub")
MINE: dict[str, t.Any] = {"devices": [{"address": GPU}]}


def group_status(kernel: FakeKernel, path: str) -> str:
    """Be the kernel that is asked whether a group is viable."""
    if not os.path.exists(path):
        return proof.MISSING
    members = [one.address for one in kernel.devices.values() if one.group == os.path.basename(path)]
    drivers = [kernel.driver_of(address) for address in members]
    viable = all(driver in MANAGED or "vfio" in (driver or "") for driver in drivers)
    return proof.VIABLE if viable else proof.NOT_VIABLE


def prepared(root: pathlib.Path) -> FakeKernel:
    """Return a host with two identical cards in groups of three, an IOMMU that remaps interrupts, and no use."""
    kernel = FakeKernel(root)
    kernel.driver("vfio-pci", module="vfio_pci", loaded=False)
    kernel.driver("pcieport", loaded=True)
    for bus, group in (("01", "13"), ("02", "14")):
        kernel.add(
            f"0000:00:{int(bus, 16) + 15:02x}.0",
            "1b36:000c:1b36:0000",
            "060400",
            driver="pcieport",
            group=group.replace("1", "5"),
            header=1,
        )
        kernel.adapter(bus, group)
    # Lines as the lab has them: Linux 6.1 under QEMU 7.2 with intel-iommu.
    kernel.put("/proc/interrupts", "  24:         27          0  IR-PCI-MSI 65536-edge      virtio0-config\n")
    kernel.put("/proc/iomem", "00001000-0009fbff : System RAM\n")
    kernel.put("/proc/cmdline", "root=/dev/vda1 ro\n")
    return kernel


class Task:
    """Runs the module's real main()."""

    def __init__(
        self, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.kernel = kernel
        self.asked: list[str] = []
        self._capsys = capsys
        monkeypatch.setattr(_module, "Host", lambda: self.kernel.host)
        monkeypatch.setattr(proof, "group_status", self._status)

    def _status(self, path: str) -> str:
        self.asked.append(os.path.basename(path))
        return group_status(self.kernel, path)

    def run(self, check: bool = False, **options: t.Any) -> None:
        """Be the process of the module; how it ends is for the caller."""
        with patch_module_args({**options, "_ansible_check_mode": check, "_ansible_diff": True}):
            vfio_bind.main()

    def __call__(self, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        with pytest.raises(SystemExit):
            self.run(check, **options)
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return {key: value for key, value in result.items() if key != "invocation"}

    def predicted(self, **options: t.Any) -> dict[str, t.Any]:
        """Run in check mode, then for real; both must say the same, and the first touch nothing."""
        before, calls = self.kernel.snapshot(), list(self.kernel.calls)
        foretold = self(check=True, **options)
        assert self.kernel.snapshot() == before
        assert self.kernel.calls == calls, "check mode loads nothing"
        result = self(**options)
        assert "failed" not in result, result
        assert foretold == result
        return result

    def settled(self, **options: t.Any) -> dict[str, t.Any]:
        """Run, and run again, which must change nothing and look at no group."""
        result = self.predicted(**options)
        asked, writes = list(self.asked), list(self.kernel.writes)
        again = self.predicted(**options)
        assert (again["changed"], again["actions"]) == (False, [])
        assert (self.asked, self.kernel.writes) == (asked, writes)
        assert again["files"] == result["files"]
        return result

    def refused(self, **options: t.Any) -> dict[str, t.Any]:
        """Run; it must fail and touch nothing."""
        before = self.kernel.snapshot()
        result = self(**options)
        assert result["failed"] is True
        assert "Internal error" not in result["msg"], result
        assert self.kernel.snapshot() == before
        assert self.kernel.writes == []
        return result

    def drivers(self, *addresses: str) -> list[str | None]:
        """Return the drivers that the devices have now."""
        return [self.kernel.driver_of(address) for address in addresses]

    def reboot(self) -> None:
        """Be the next boot, with our rules in its initramfs: overrides are gone, marks too."""
        fresh = prepared(self.kernel.root.with_name(f"{self.kernel.root.name}x"))
        for path in (RECORD, RULES, LEDGER):
            if (self.kernel.root / path.lstrip("/")).exists():
                fresh.put(path, self.kernel.text(path))
        fresh.put("/proc/sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n")
        for line in (fresh.text(RULES) if (fresh.root / RULES.lstrip("/")).exists() else "").splitlines():
            if line.startswith("# hearth: "):
                address, driver = line.split()[2], line.split()[4]
                fresh._load(fresh.drivers[driver])
                fresh._detach(fresh.devices[address])
                fresh.put(f"{fresh.devices[address].folder}/driver_override", f"{driver}\n")
                fresh._attach(fresh.devices[address], driver)
        self.kernel = fresh


def of(result: dict[str, t.Any], address: str) -> dict[str, t.Any]:
    """Return what a result tells of one device."""
    found: dict[str, t.Any] = next(one for one in result["devices"] if one["address"] == address)
    return found


def regroup(kernel: FakeKernel, address: str, group: str) -> None:
    """Put a device into another IOMMU group, as another kernel may."""
    device = kernel.devices[address]
    (kernel.root / f"{device.folder}/iommu_group".lstrip("/")).unlink()
    (kernel.root / f"sys/kernel/iommu_groups/{device.group}/devices/{address}").unlink()
    kernel._join(device, group)
