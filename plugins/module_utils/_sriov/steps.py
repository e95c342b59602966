# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The effects on a device with virtual functions: their number, whether drivers take them, what is set of each."""

from __future__ import annotations

import dataclasses
import errno
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import EffectError, VerifyError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov import files
from ansible_collections.hearth.gpu_host.plugins.module_utils._sriov.model import AUTOPROBE, NUMBER
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.device import DEVICES
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio.steps import DeviceStep

_ATTRIBUTES = {NUMBER: "sriov_numvfs", AUTOPROBE: "sriov_drivers_autoprobe"}
_ROOM = (
    "switch on SR-IOV, Above 4G Decoding and ARI in the firmware; where they are on, try the kernel argument "
    "pci=realloc, or ask for fewer VFs"
)
# drivers/pci/iov.c: what the kernel means by its answers. Each with the remedy.
_ANSWERS = {
    errno.ERANGE: ("the device has fewer VFs", "ask for at most sriov_totalvfs of them"),
    errno.ENOENT: (
        "it has no driver, or one that makes no VFs",
        "load the driver of the vendor for the physical function; vfio-pci makes VFs only with its option "
        "enable_sriov=1",
    ),
    errno.EBUSY: ("somebody else has made VFs meanwhile", "find out who, and run again"),
    errno.ENOMEM: ("not enough room for the memory windows or bus numbers of the VFs", _ROOM),
    errno.EINVAL: ("the driver does not take this number", "ask for a number that the driver documents"),
}


@dataclasses.dataclass(frozen=True)
class SetVf(Action):
    """Set what the host says of a VF of a network device. ``before`` is empty for a VF that was just made."""

    netdev: str
    index: int
    fields: t.Mapping[str, str]
    before: t.Mapping[str, str] = dataclasses.field(default_factory=dict)

    def describe(self) -> str:
        values = ", ".join(f"{name} {value}" for name, value in self.fields.items())
        return f"set VF {self.index} of {self.netdev}: {values}"

    def perform(self, host: Host) -> None:
        host.run(("ip", "link", "set", "dev", self.netdev, *files.arguments(self.index, self.fields)))

    def undo(self) -> Action | None:
        return SetVf(self.netdev, self.index, self.before, self.fields) if self.before else None


@dataclasses.dataclass(frozen=True)
class SetAutoprobe(DeviceStep):
    """Say whether drivers of the host take VFs that are made from now on."""

    address: str
    value: str
    previous: str
    deadline_s: float

    def describe(self) -> str:
        return f"set {_ATTRIBUTES[AUTOPROBE]} of {self.address} to {self.value}"

    def perform(self, host: Host) -> None:
        self.write(host, attribute(self.address, AUTOPROBE), self.value)

    def undo(self) -> Action | None:
        return dataclasses.replace(self, value=self.previous, previous=self.value)


@dataclasses.dataclass(frozen=True)
class SetNumber(DeviceStep):
    """Make VFs, or take all of them away: the kernel knows no other way from one number to another.

    ``lost`` is what was set of VFs that go, and ``then`` what is set of those that come: taking back makes the same
    VFs, and they would be strangers without it.
    """

    address: str
    number: str
    previous: str
    deadline_s: float
    lost: tuple[SetVf, ...] = ()
    then: tuple[SetVf, ...] = ()

    def describe(self) -> str:
        return f"set {_ATTRIBUTES[NUMBER]} of {self.address} to {self.number}"

    def perform(self, host: Host) -> None:
        try:
            self.write(host, attribute(self.address, NUMBER), self.number)
        except OSError as error:
            if error.errno not in _ANSWERS:
                raise
            why, remedy = _ANSWERS[error.errno]
            raise EffectError(f"{self.address} cannot have {self.number} VFs: {why}.", remedy) from error
        found = host.text(attribute(self.address, NUMBER))
        if found != self.number:
            raise VerifyError(
                f"The driver of {self.address} has made {found} of {self.number} VFs.",
                "ask for that number, or for what the driver documents",
            )
        for step in self.then:
            step.perform(host)

    def undo(self) -> Action | None:
        return SetNumber(self.address, self.previous, self.number, self.deadline_s, then=self.lost)


def attribute(address: str, key: str) -> str:
    """Return the path of what the kernel shows of a setting of the device itself."""
    return f"{DEVICES}/{address}/{_ATTRIBUTES[key]}"
