# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""What SR-IOV of one device is about, as values: the wish, and settings as words of one grammar. Pure."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model

NUMBER, AUTOPROBE = "numvfs", "autoprobe"
DEFAULTS = {NUMBER: "0", AUTOPROBE: "1"}
"""What a device says after a boot in which nobody set anything."""

BOUND = "bound"
LIFTABLE = (model.STORAGE, model.NETWORK, model.DISPLAY, model.OPENED, model.GUEST, BOUND)
"""What keeps VFs from being taken away, each to be allowed by its name."""

Settings = t.Mapping[str, str]
"""Values by key: ``numvfs``, ``autoprobe``, and what is set of a VF, such as ``vf0.mac``.

The grammar of keys and values is closed. Of these words a line of a udev rule is made that a shell runs as root.
"""

_RATE = re.compile(r"\d{1,9}", re.ASCII)
_SWITCH = re.compile("on|off")
FIELDS = {
    "mac": re.compile("[0-9a-f][02468ace](:[0-9a-f]{2}){5}"),
    "vlan": re.compile(r"0|[1-9]\d{0,3}", re.ASCII),
    "qos": re.compile("[0-7]"),
    "max_tx_rate": _RATE,
    "min_tx_rate": _RATE,
    "spoofchk": _SWITCH,
    "trust": _SWITCH,
    "link_state": re.compile("auto|enable|disable"),
}
"""What can be set of a VF of a network device, in the order in which it is told to ``ip link``."""

_KEY = re.compile(r"vf(0|[1-9]\d{0,4})\.([a-z_]{1,16})", re.ASCII)
_OWN = {NUMBER: re.compile(r"0|[1-9]\d{0,4}", re.ASCII), AUTOPROBE: re.compile("[01]")}
_HEX4 = "[0-9a-f]{4}"
_EXPECT = re.compile(f"{_HEX4}:{_HEX4}(:{_HEX4}:{_HEX4})?", re.ASCII)
_LAST_VLAN = 4094


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is kept of one device in a file: who it is, and its settings."""

    address: str
    identity: model.Identity
    settings: Settings


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is wanted of the device at ``address``. ``vfs`` tells whether settings of VFs are spoken of at all."""

    address: str
    settings: Settings
    vfs: bool = False
    expect: str = ""
    allow: frozenset[str] = frozenset()
    absent: bool = False


def parse_wish(params: t.Mapping[str, t.Any]) -> Wish:
    """Parse the options of the module.

    :raises ParseError: a value has not its grammar, or two do not fit.
    """
    expect = (params.get("expect") or "").strip().lower()
    if expect and not _EXPECT.fullmatch(expect):
        raise ParseError(
            f"{expect!r} are no ids to expect.",
            "write vendor:device or all four, such as '8086:1572:8086:0001'",
        )
    absent = params.get("state") == "absent"
    settings = {} if absent else {**_own(params), **_of_vfs(params.get("vfs") or ())}
    return Wish(
        pci.normalise(params["address"]),
        settings,
        not absent and params.get("vfs") is not None,
        expect,
        _allowance(params.get("allow") or ()),
        absent,
    )


def parse_keep(params: t.Mapping[str, t.Any]) -> frozenset[str]:
    """Return the devices that stay as they are when all others are given back.

    :raises ParseError: one is no address.
    """
    return frozenset(pci.normalise(address) for address in params.get("keep") or ())


def vfs_of(settings: Settings) -> dict[int, dict[str, str]]:
    """Return what is set of each VF, by its index."""
    found: dict[int, dict[str, str]] = {}
    for key, value in settings.items():
        match = _KEY.fullmatch(key)
        if match:
            found.setdefault(int(match.group(1)), {})[match.group(2)] = value
    return dict(sorted(found.items()))


def key_of(index: int, field: str) -> str:
    """Return the key of a setting of a VF."""
    return f"vf{index}.{field}"


def below(settings: Settings, number: int) -> dict[str, str]:
    """Return the settings without those of VFs that ``number`` of them do not have."""
    return {
        key: value
        for key, value in settings.items()
        if not (match := _KEY.fullmatch(key)) or int(match.group(1)) < number
    }


def own(settings: Settings) -> dict[str, str]:
    """Return the settings of the device itself, without those of its VFs."""
    return {key: value for key, value in settings.items() if key in DEFAULTS}


def valid(key: str, value: str) -> bool:
    """Tell whether it is a setting of the grammar."""
    match = _KEY.fullmatch(key)
    grammar = FIELDS.get(match.group(2)) if match else _OWN.get(key)
    if grammar is None or not grammar.fullmatch(value):
        return False
    return not key.endswith(".vlan") or int(value) <= _LAST_VLAN


def in_order(settings: Settings) -> list[tuple[str, str]]:
    """Return the settings in the one order in which they are written: the device, then VF by VF."""
    words = [(key, settings[key]) for key in DEFAULTS if key in settings]
    for index, fields in vfs_of(settings).items():
        words += [(key_of(index, field), fields[field]) for field in FIELDS if field in fields]
    return words


def _own(params: t.Mapping[str, t.Any]) -> dict[str, str]:
    settings = {}
    if params.get("number") is not None:
        settings[NUMBER] = _checked(NUMBER, str(params["number"]), "number")
    if params.get("autoprobe") is not None:
        settings[AUTOPROBE] = "1" if params["autoprobe"] else "0"
    return settings


def _of_vfs(vfs: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, str]:
    settings: dict[str, str] = {}
    seen = set()
    for options in vfs:
        index = options["index"]
        if index in seen:
            raise ParseError(f"VF {index} is named twice in vfs.", "name each VF once")
        seen.add(index)
        fields = {field: options[field] for field in FIELDS if options.get(field) is not None}
        for field, value in fields.items():
            key = key_of(index, field)
            settings[key] = _checked(key, _word(value), f"{field} of VF {index}")
        _fit(index, fields)
    return settings


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value).strip().lower()


def _fit(index: int, fields: t.Mapping[str, t.Any]) -> None:
    if fields.get("qos") and not fields.get("vlan"):
        raise ParseError(
            f"qos of VF {index} needs a VLAN to be in.", "set vlan of this VF as well, or leave out qos"
        )
    if fields.get("min_tx_rate", 0) > (fields.get("max_tx_rate") or float("inf")):
        raise ParseError(
            f"min_tx_rate of VF {index} is above its max_tx_rate.",
            "make it smaller; max_tx_rate 0 is no limit",
        )


def _checked(key: str, value: str, name: str) -> str:
    if not valid(key, value):
        raise ParseError(
            f"{name} is {value!r}.",
            "number is 0 or more, index and rates too, vlan 0 to 4094, qos 0 to 7, and a mac is no group address, "
            "such as 52:54:00:12:34:56",
        )
    return value


def _allowance(names: t.Sequence[str]) -> frozenset[str]:
    for name in names:
        if name not in LIFTABLE:
            raise ParseError(
                f"{name!r} is nothing to allow.",
                f"use names out of {', '.join(LIFTABLE)}; there is no name for all",
            )
    return frozenset(names)
