# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Merge the declarations of all roles; say who owns each item, refuse what excludes itself. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.model import (
    BARE,
    COMMA,
    PAIRS,
    SINGLE,
    Declaration,
    normal,
    pair,
    style_of,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction

Declared = t.Mapping[str, Declaration]
Merged = dict[str, list[dict[str, t.Any]]]
Owners = dict[str, list[str]]  # value -> the roles that declare it

# Values of a comma list that exclude each other.
_OPPOSITES = ("on", "off")


def merge(declared: Declared) -> Merged:
    """Merge; the order in which the roles come does not matter.

    :raises Contradiction: two roles want different values of one thing.
    """
    return {
        "kernel_args": _kernel_args(declared),
        "modules": [
            {"name": name, "owners": owners} for name, owners in _flat(declared, lambda d: d.modules)
        ],
        "modprobe_options": [
            {"module": module, "option": option, "value": value, "owners": owners}
            for (module, option), value, owners in _unique(
                declared,
                lambda d: (((m, o), v) for m, o, v in d.modprobe_options),
                "modprobe option {0[0]} {0[1]}",
            )
        ],
        "sysctl": [
            {"key": key, "value": value, "owners": owners}
            for key, value, owners in _unique(declared, lambda d: d.sysctl, "sysctl {0}")
        ],
        "initramfs": [
            {"name": name, "owners": owners} for name, owners in _flat(declared, lambda d: d.initramfs)
        ],
        "ports": [
            {**port.as_dict(), "owners": owners} for port, owners in _flat(declared, lambda d: d.ports)
        ],
    }


def _gather(
    declared: Declared, items: t.Callable[[Declaration], t.Iterable[tuple[t.Any, str]]]
) -> dict[t.Any, Owners]:
    """Collect (key, value) pairs; keys sorted, values and owners in the order of the roles' names."""
    found: dict[t.Any, Owners] = {}
    for role in sorted(declared):
        for key, value in items(declared[role]):
            found.setdefault(key, {}).setdefault(value, []).append(role)
    return dict(sorted(found.items()))


def _flat(
    declared: Declared, items: t.Callable[[Declaration], t.Iterable[t.Any]]
) -> t.Iterator[tuple[t.Any, list[str]]]:
    for key, owners in _gather(declared, lambda d: ((item, BARE) for item in items(d))).items():
        yield key, owners[BARE]


def _unique(
    declared: Declared,
    items: t.Callable[[Declaration], t.Iterable[tuple[t.Any, str]]],
    label: str,
) -> t.Iterator[tuple[t.Any, str, list[str]]]:
    for key, values in _gather(declared, items).items():
        _agree(label.format(key), values)
        for value, owners in values.items():
            yield key, value, owners


def _kernel_args(declared: Declared) -> list[dict[str, t.Any]]:
    spelled = _gather(declared, lambda d: ((normal(arg.name), arg.name) for arg in d.kernel_args))
    wanted = _gather(declared, lambda d: ((normal(arg.name), v) for arg in d.kernel_args for v in arg.values))
    return [_kernel_arg(min(spelled[key]), style_of(key), values) for key, values in wanted.items()]


def _kernel_arg(name: str, style: str, values: Owners) -> dict[str, t.Any]:
    if style == SINGLE:
        _agree(f"kernel argument {name}", values)
    if style == COMMA:
        _agree(f"kernel argument {name}", {v: values[v] for v in _OPPOSITES if v in values})
    if style == PAIRS:
        values = dict(sorted(values.items(), key=lambda item: pair(item[0])))
        _agree_on_pairs(name, values)
    return {
        "name": name,
        "values": [value for value in values if value != BARE],
        "tokens": _tokens(name, style, list(values)),
        "owners": sorted({owner for owners in values.values() for owner in owners}),
    }


def _tokens(name: str, style: str, values: list[str]) -> list[str]:
    """Render the argument as it stands on the command line, in an order that matters for pairs."""
    if style == COMMA:
        return [f"{name}={','.join(values)}"]
    if style == PAIRS:
        # A count without a size is the default size's only before the first hugepagesz.
        return [
            token
            for size, count in map(pair, values)
            for token in ([f"hugepagesz={size}"] if size else []) + [f"{name}={count}"]
        ]
    return [_token(name, value) for value in values]


def _token(name: str, value: str) -> str:
    if value == BARE:
        return name
    return f'{name}="{value}"' if " " in value else f"{name}={value}"


def _agree_on_pairs(name: str, values: Owners) -> None:
    sizes: dict[str, Owners] = {}
    for value, owners in values.items():
        size, count = pair(value)
        sizes.setdefault(size, {})[count] = owners
    for size, counts in sizes.items():
        _agree(f"kernel argument {name} of size {size or 'default'}", counts)


def _agree(what: str, values: Owners) -> None:
    """Refuse more than one value, naming both roles."""
    if len(values) < 2:
        return
    (one, one_owners), (other, other_owners) = list(values.items())[:2]
    a, b = one_owners[0], other_owners[0]
    raise Contradiction(
        f"{what} is declared as {_shown(one)} by role {a} and as {_shown(other)} by role {b}.",
        remedy=f"let {a} and {b} agree; if one of them is gone from this host, remove its declaration"
        f" (hearth.gpu_host.declarations with state=absent and roles={{{a}: {{}}}} or {{{b}: {{}}}})",
        roles=[a, b],
        values=[one, other],
    )


def _shown(value: str) -> str:
    return repr(value) if value != BARE else "a bare flag"
