# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The effects that move a device from one driver to another, and how each is taken back.

Every write goes through a child with a deadline, the harmless ones too: a device that is stuck in an unbind
has its lock held, and then nothing that is written to it ever returns.
"""

from __future__ import annotations

import dataclasses
import errno
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Untouchable
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import EffectError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._sysfs import WriteBlocked
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.device import (
    DEVICES,
    DRIVERS,
    driver_of,
    has_driver,
    override_of,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.hung import mark_hung

DEADLINE_S = 30.0
# A driver that takes a device may start its firmware or reset it first, and comes back all the same.
START_S = 180.0

_PROBE = "/sys/bus/pci/drivers_probe"
_CONSOLES = "/sys/class/vtconsole"
# A driver looks after each of its devices before modprobe returns: minutes where there are many of them.
_LOAD_S = 600.0
# drivers/base/dd.c, drivers/vfio/pci/vfio_pci_core.c, drivers/iommu/iommu.c
_REFUSED = {
    errno.EBUSY: "virtual functions of it are enabled, another driver has it, or a guest owns its IOMMU group",
    errno.EINVAL: "it is a bridge, has no IOMMU group, or is on the driver's list of devices that it refuses",
    errno.ENODEV: "the driver does not know it, or could not work with it",
    errno.ENOENT: "the driver is not loaded",
    errno.EAGAIN: "the driver waits for another device",
}


class DeviceStep(Action):
    """One effect on one device."""

    address: str
    deadline_s: float

    def touches(self) -> frozenset[str]:
        return frozenset({self.address})

    def write(self, host: Host, path: str, text: str, least_s: float = 0.0) -> None:
        """Write one word to an attribute, and wait for the deadline, or for ``least_s`` where that is longer.

        :raises Untouchable: the write did not end; the device is marked.
        """
        try:
            host.write_sysfs(host.path(path), f"{text}\n", max(self.deadline_s, least_s))
        except WriteBlocked as blocked:
            raise mark_hung(host, self.address, self.describe(), blocked) from blocked


@dataclasses.dataclass(frozen=True)
class SetOverride(DeviceStep):
    """Say which driver alone may have the device, or with an empty one that any may."""

    address: str
    driver: str
    previous: str = ""
    deadline_s: float = DEADLINE_S

    def describe(self) -> str:
        what = f"driver_override of {self.address}"
        return f"set {what} to {self.driver}" if self.driver else f"clear {what}"

    def perform(self, host: Host) -> None:
        # An empty word still ends in a newline: a write of nothing never reaches the kernel.
        self.write(host, f"{DEVICES}/{self.address}/driver_override", self.driver)
        found = override_of(host, self.address)
        if found != self.driver:
            raise EffectError(
                f"driver_override of {self.address} is {found!r} after {self.driver!r} was written to it.",
                remedy="see which other program manages this device (driverctl, libvirt), and run again",
            )

    def undo(self) -> Action:
        return dataclasses.replace(self, driver=self.previous, previous=self.driver)


@dataclasses.dataclass(frozen=True)
class Unbind(DeviceStep):
    """Take the device from a driver. A device without any is taken already."""

    address: str
    driver: str
    deadline_s: float = DEADLINE_S

    def describe(self) -> str:
        return f"unbind {self.address} from {self.driver}"

    def perform(self, host: Host) -> None:
        found = driver_of(host, self.address)
        if not found:
            return
        if found != self.driver:
            raise _taken(self.address, found, self.driver)
        self.write(host, f"{DRIVERS}/{self.driver}/unbind", self.address)
        found = driver_of(host, self.address)
        if found:
            raise _taken(self.address, found, "none")

    def undo(self) -> Action:
        return PutBack(self.address, self.driver, self.deadline_s)


@dataclasses.dataclass(frozen=True)
class Probe(DeviceStep):
    """Let a driver take the device, and see that it did; with an empty one, nothing has to."""

    address: str
    driver: str
    deadline_s: float = DEADLINE_S

    def describe(self) -> str:
        return f"bind {self.address} to {self.driver}" if self.driver else f"leave {self.address} unbound"

    def perform(self, host: Host) -> None:
        found = driver_of(host, self.address)
        if found == self.driver or not self.driver:
            return
        if found:
            raise _taken(self.address, found, self.driver)
        # The kernel picks any driver that fits. It is asked only where no more than one does.
        if override_of(host, self.address) == self.driver:
            self.write(host, _PROBE, self.address, START_S)
        # A probe never fails: what it is that went wrong is told to those who name the driver.
        if driver_of(host, self.address) != self.driver:
            self._bind(host)

    def undo(self) -> Action | None:
        return Unbind(self.address, self.driver, self.deadline_s) if self.driver else None

    def _bind(self, host: Host) -> None:
        try:
            self.write(host, f"{DRIVERS}/{self.driver}/bind", self.address, START_S)
        except OSError as error:
            raise EffectError(
                f"{self.driver} does not take {self.address}: {_REFUSED.get(error.errno or 0, error.strerror)}"
                f" ({errno.errorcode.get(error.errno or 0, error.errno)}).",
                remedy="see the kernel's messages (journalctl -k), remove the cause and run again",
                errno=error.errno,
            ) from error
        found = driver_of(host, self.address)
        if found != self.driver:
            raise _taken(self.address, found or "nobody", self.driver)


@dataclasses.dataclass(frozen=True)
class PutBack(Probe):
    """Return the device to the driver that it was taken from a moment ago, whatever driver_override says.

    A driver that driver_override does not name cannot have the device at all, so it is named there for that
    moment. What was there is put back: there need not be another step that does.
    """

    def describe(self) -> str:
        return f"put {self.address} back to {self.driver}"

    def perform(self, host: Host) -> None:
        if driver_of(host, self.address):
            super().perform(host)
            return
        found = override_of(host, self.address)
        self._name(host, self.driver)
        try:
            super().perform(host)
        except Untouchable:
            raise
        except (EffectError, OSError):
            self._name(host, found)
            raise
        self._name(host, found)

    def undo(self) -> None:
        return None

    def _name(self, host: Host, driver: str) -> None:
        self.write(host, f"{DEVICES}/{self.address}/driver_override", driver)


@dataclasses.dataclass(frozen=True)
class LoadModule(Action):
    """Load a kernel module by its name. It stays: it does nothing by itself."""

    name: str

    def describe(self) -> str:
        return f"load module {self.name}"

    def perform(self, host: Host) -> None:
        if not has_driver(host, self.name) and not host.exists(f"/sys/module/{self.name.replace('-', '_')}"):
            host.run(("modprobe", "--", self.name), timeout_s=_LOAD_S)


@dataclasses.dataclass(frozen=True)
class LoadFor(Action):
    """Load what udev would load for a device, unless ``driver`` is there already."""

    address: str
    driver: str = ""

    def describe(self) -> str:
        return f"load the driver of {self.address}"

    def perform(self, host: Host) -> None:
        if self.driver and has_driver(host, self.driver):
            return
        alias = host.text(f"{DEVICES}/{self.address}/modalias")
        if not alias:
            raise EffectError(
                f"{self.address} does not say which driver it needs: it is gone, or cannot be read.",
                remedy="see whether the device is still there (lspci)",
            )
        # With the blacklist, as udev does: an alias must not bring a driver that was banned.
        host.run(("modprobe", "--use-blacklist", "--", alias), timeout_s=_LOAD_S)


@dataclasses.dataclass(frozen=True)
class ReleaseConsole(DeviceStep):
    """Take the text console off the frame buffer of a device, whose driver cannot go while it is there."""

    console: str
    address: str
    deadline_s: float = DEADLINE_S
    bound: t.ClassVar[str] = "0"

    def touches(self) -> frozenset[str]:
        # Not the device, whose lock is another one: the console is put back even where that hangs.
        return frozenset({_CONSOLES})

    def describe(self) -> str:
        return f"take the text console off {self.console}"

    def perform(self, host: Host) -> None:
        path = f"{_CONSOLES}/{self.console}/bind"
        if host.text(path) == self.bound:
            return
        try:
            self.write(host, path, self.bound)
        except Untouchable as blocked:
            blocked.subjects |= {_CONSOLES}
            raise
        if host.text(path) != self.bound:
            raise EffectError(
                f"The kernel did not {self.describe()}.",
                remedy="see the kernel's messages (journalctl -k)",
            )

    def undo(self) -> Action | None:
        return ReturnConsole(self.console, self.address, self.deadline_s)


@dataclasses.dataclass(frozen=True)
class ReturnConsole(ReleaseConsole):
    """Put the text console back."""

    bound = "1"

    def describe(self) -> str:
        return f"put the text console back on {self.console}"

    def undo(self) -> None:
        return None


def _taken(address: str, found: str, expected: str) -> EffectError:
    return EffectError(
        f"{address} belongs to {found} and not to {expected}: something else moves it at the same time.",
        remedy="see which other program manages this device (driverctl, libvirt), and run again",
    )
