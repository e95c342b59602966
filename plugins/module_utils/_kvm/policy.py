# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What the operator wants of a host: the options of ``kvm_check`` as one value."""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import values
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci

# A leading dash would be an option of ping.
_ADDRESS = re.compile(r"[0-9A-Za-z:][0-9A-Za-z:._%-]*")


@dataclasses.dataclass(frozen=True)
class Policy:
    """The wishes that checks compare a host with; every one of them may be absent."""

    require: tuple[str, ...] = ()
    probe_vm: bool = True
    read_msr: str = "auto"
    devices: tuple[str, ...] = ()
    expected_gpus: int | None = None
    min_kernel: str | None = None
    min_bios_date: str | None = None
    smt: str | None = None
    peers: tuple[tuple[str, int], ...] = ()
    check_mode: bool = False


def from_params(params: t.Mapping[str, t.Any], check_mode: bool = False) -> Policy:
    """Build the policy from the parameters of the module.

    :raises ParseError: a value is not what its option takes.
    """
    return Policy(
        require=tuple(params.get("require") or ()),
        probe_vm=params.get("probe_vm", True),
        read_msr=params.get("read_msr", "auto"),
        devices=tuple(pci.normalise(address) for address in params.get("devices") or ()),
        expected_gpus=params.get("expected_gpus"),
        min_kernel=_version(params.get("min_kernel")),
        min_bios_date=_date(params.get("min_bios_date")),
        smt=params.get("smt"),
        peers=tuple(_peer(peer) for peer in params.get("peers") or ()),
        check_mode=check_mode,
    )


def _version(text: str | None) -> str | None:
    if text and not values.version(text):
        raise ParseError(f"min_kernel is {text!r}, which is no version.", remedy="write it as 6.1 or 5.15.0")
    return text or None


def _date(text: str | None) -> str | None:
    if not text:
        return None
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise ParseError(
            f"min_bios_date is {text!r}, which is no date.", remedy="write it as 2024-05-31, in quotes"
        ) from error


def _peer(peer: t.Mapping[str, t.Any]) -> tuple[str, int]:
    address, limit = str(peer["address"]), int(peer["max_rtt_us"])
    if not _ADDRESS.fullmatch(address) or limit <= 0:
        raise ParseError(
            f"The peer {address!r} with max_rtt_us {limit} cannot be measured.",
            remedy="give a host name or an address, and a limit of at least 1 microsecond",
        )
    return address, limit
