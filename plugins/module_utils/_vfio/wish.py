# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""The grammar of selectors: from the options of a module to values. Pure."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._pci import pci
from ansible_collections.hearth.gpu_host.plugins.module_utils._vfio import model

KINDS = (
    "address",
    "vendor_device",
    "class_code",
    "slot",
    "iommu_group",
    "parent",
    "virtfns_of",
    "gpu_uuid",
)
"""The fields of a selector of which exactly one is set."""

_CLASS = "class_code"
_ADDRESSES = ("address", "parent", "virtfns_of")
_HEX = "[0-9a-f]"
# Kind: what it looks like, and an example. Compiled when it is needed, as a task has one or two kinds.
_GRAMMARS = {
    "vendor_device": (f"(?a:{_HEX}{{4}}:{_HEX}{{4}}(:{_HEX}{{4}}:{_HEX}{{4}})?)", "'10de:2330'"),
    _CLASS: (f"(?a:({_HEX}{_HEX}){{1,3}})", "'0302', in quotes"),
    "slot": (r"[^\s/]{1,64}", "'5', as in /sys/bus/pci/slots"),
    "iommu_group": (r"(?a:\d{1,9})", "'15'"),
    "gpu_uuid": (
        f"(?a:gpu-{_HEX}{{8}}(-{_HEX}{{4}}){{3}}-{_HEX}{{12}})",
        "'GPU-5fd4f087-86f3-7a43-b711-4771313afc50'",
    ),
}
_DRIVER = re.compile(r"[a-z0-9_-]{1,64}", re.ASCII)
_PARKING = "pci-stub"


def parse_selectors(devices: t.Sequence[t.Mapping[str, t.Any]]) -> tuple[model.Selector, ...]:
    """Parse selectors from the options of a module; an option that is missing or ``None`` is not set.

    :raises ParseError: a selector has none or several of the options that select, or a value without its grammar.
    """
    return tuple(_selector(options, number) for number, options in enumerate(devices, 1))


def _selector(options: t.Mapping[str, t.Any], number: int) -> model.Selector:
    values = {kind: options.get(_option(kind)) for kind in KINDS}
    given = {kind: str(value) for kind, value in values.items() if value is not None}
    if len(given) != 1:
        which = " and ".join(_option(kind) for kind in given) or "nothing"
        raise ParseError(
            f"Selector {number} selects by {which}; it must be by exactly one property.",
            f"set one of {', '.join(map(_option, KINDS))}; write one selector for each",
        )
    ((kind, value),) = given.items()
    expect, count = options.get("expect"), options.get("count")
    if count is not None and count < 1:
        raise ParseError(
            f"Selector {number} expects {count} devices.", "remove it, or set count to 1 or more"
        )
    parsed = {kind: _value(kind, value)}
    return model.Selector(
        **parsed,
        expect=None if expect is None else _ids("expect", str(expect)),
        count=count,
        allow_missing=bool(options.get("allow_missing")),
        allow=_allowance(options.get("allow") or ()),
        driver=_driver(options.get("driver") or model.AUTO),
    )


def _option(kind: str) -> str:
    """Return how the user writes a field: ``class`` is no name in Python."""
    return "class" if kind == _CLASS else kind


def _value(kind: str, text: str) -> str:
    if kind in _ADDRESSES:
        return pci.normalise(text)
    grammar, example = _GRAMMARS[kind]
    value = text.strip() if kind == "slot" else text.strip().lower()
    if not re.fullmatch(grammar, value):
        raise ParseError(f"{text!r} is no {_option(kind)} to select by.", f"write it like {example}")
    return f"GPU-{value[4:]}" if kind == "gpu_uuid" else value


def _ids(option: str, text: str) -> str:
    value = text.strip().lower()
    if not re.fullmatch(_GRAMMARS["vendor_device"][0], value):
        raise ParseError(
            f"{text!r} are no ids to {option}.",
            "write vendor:device or all four, such as '10de:2330:10de:16c1'",
        )
    return value


def _allowance(names: t.Sequence[str]) -> frozenset[str]:
    for name in names:
        if name in model.FINAL:
            raise ParseError(
                f"{name!r} can never be allowed: it cannot work.",
                f"remove it from allow and mend the cause; these can be allowed: {', '.join(model.LIFTABLE)}",
            )
        if name not in model.LIFTABLE:
            raise ParseError(
                f"{name!r} is nothing to allow.",
                f"use names out of {', '.join(model.LIFTABLE)}; there is no name for all",
            )
    return frozenset(names)


def _driver(text: str) -> str:
    # Modules are told with either; drivers are named with one, and another name in driver_override fits nothing.
    name = text.replace("-", "_")
    name = {"vfio_pci": model.VFIO_PCI, "pci_stub": _PARKING}.get(name, name)
    if not _DRIVER.fullmatch(name) or not (name in (model.AUTO, _PARKING) or "vfio" in name):
        raise ParseError(
            f"{text!r} is no driver that keeps a device for guests.",
            f"write {model.AUTO}, {model.VFIO_PCI}, or a driver of VFIO's such as mlx5_vfio_pci",
        )
    return name
