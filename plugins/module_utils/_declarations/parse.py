# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Read a declaration out of untrusted data: a role's variable, or a file on the host. Pure."""

from __future__ import annotations

import ipaddress
import json
import re
import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.model import (
    BARE,
    COMMA,
    PAIRS,
    SINGLE,
    Declaration,
    KernelArg,
    Port,
    normal,
    style_of,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError

PROTOCOLS = ("tcp", "udp", "sctp", "dccp")

_ROLE = re.compile(r"[a-z][a-z0-9_]*")
_ARGUMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MODULE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_SYSCTL = re.compile(r"[a-z0-9_]+(?:[./][A-Za-z0-9_*@:-]+)+")
_LABEL = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_ZONE = re.compile(r"[a-z][a-z0-9_-]*")
_FILE = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9_.+@-]+)+")
_RANGE = re.compile(r"[0-9]{1,5}(?:-[0-9]{1,5})?")
_PAGES = re.compile(r"(?:[0-9]+[KMG]=)?(?:[0-9]+|[0-9]+:[0-9]+(?:,[0-9]+:[0-9]+)*)")

Found = t.TypeVar("Found")


class _Owner(str):
    """Whose declaration is read, for messages."""

    def error(self, what: str, expected: str) -> ParseError:
        return ParseError(f"Declaration of {self}: {what}.", remedy=f"expected: {expected}")


def check_role(role: str) -> str:
    """Return the name of a role.

    :raises ParseError: it cannot be the name of a file and of a variable.
    """
    if not _ROLE.fullmatch(role):
        raise _Owner(repr(role)).error("this is no role name", "lower-case letters, digits and underscores")
    return role


def parse_text(path: str, text: str) -> Declaration:
    """Parse the file ``path`` of the registry.

    :raises ParseError: it is no JSON, or no declaration; the message names the file.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ParseError(
            f"{path} is broken: {error}.",
            remedy=f"repair or remove {path}; the role of that name writes it anew when it runs",
        ) from error
    return parse_declaration(path, data)


def parse_declaration(owner: str, data: t.Any) -> Declaration:
    """Parse what a role declares.

    :raises ParseError: a name, a type or a value is not what the kind of declaration takes.
    """
    who = _Owner(owner)
    given = dict(_typed(who, "the declaration", data, dict))
    declaration = Declaration(
        kernel_args=_kernel_args(who, _typed(who, "kernel_args", given.pop("kernel_args", None), list)),
        modules=_names(who, "modules", given.pop("modules", None), _module),
        modprobe_options=_modprobe(
            who, _typed(who, "modprobe_options", given.pop("modprobe_options", None), dict)
        ),
        sysctl=_sysctl(who, _typed(who, "sysctl", given.pop("sysctl", None), dict)),
        initramfs=_names(who, "initramfs", given.pop("initramfs", None), _initramfs),
        ports=_ports(who, _typed(who, "ports", given.pop("ports", None), list)),
    )
    if given:
        raise who.error(
            f"unknown kinds {sorted(map(str, given))}",
            "kernel_args, modules, modprobe_options, sysctl, initramfs, ports",
        )
    return declaration


def _typed(who: _Owner, what: str, value: t.Any, kind: type[Found]) -> Found:
    """Narrow a container; an empty YAML value counts as an empty container."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise who.error(f"{what} is {value!r}", "a list" if kind is list else "a mapping")
    return value


def _scalar(who: _Owner, what: str, value: t.Any) -> str:
    # YAML turns on, off, yes and no into booleans and 1.10 into 1.1: guessing back would be wrong.
    if isinstance(value, (bool, float)):
        raise who.error(f"{what} is {value!r}, which YAML made of an unquoted word", "a text in quotes")
    if not isinstance(value, (str, int)):
        raise who.error(f"{what} is {value!r}", "a text or an integer")
    text = str(value)
    if not text or text != text.strip() or '"' in text or not text.isprintable():
        raise who.error(
            f"{what} is {value!r}", "a text without quotation marks, control characters and outer spaces"
        )
    return text


def _match(who: _Owner, what: str, value: t.Any, pattern: re.Pattern[str], expected: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise who.error(f"{what} is {value!r}", expected)
    return value


def _module(who: _Owner, value: t.Any) -> str:
    return normal(_match(who, "a module", value, _MODULE, "a kernel module's name, such as vfio_pci"))


def _initramfs(who: _Owner, value: t.Any) -> str:
    if isinstance(value, str) and value.startswith("/"):
        return _match(who, "an initramfs file", value, _FILE, "an absolute path of plain names")
    return _module(who, value)


def _names(who: _Owner, kind: str, value: t.Any, parse: t.Callable[[_Owner, t.Any], str]) -> tuple[str, ...]:
    return tuple(sorted({parse(who, item) for item in _typed(who, kind, value, list)}))


def _kernel_args(who: _Owner, items: list[t.Any]) -> tuple[KernelArg, ...]:
    found: dict[str, KernelArg] = {}
    for item in items:
        arg = _kernel_arg(who, _typed(who, "a kernel argument", item, dict))
        key = normal(arg.name)
        before = found.get(key, KernelArg(arg.name, ()))
        values = tuple(dict.fromkeys(before.values + arg.values))
        if style_of(key) == SINGLE and len(values) > 1:
            raise who.error(f"kernel argument {key} has the values {list(values)}", "one value")
        found[key] = KernelArg(min(before.name, arg.name), values)
    return tuple(found[key] for key in sorted(found))


def _kernel_arg(who: _Owner, item: dict[t.Any, t.Any]) -> KernelArg:
    unknown = set(item) - {"name", "value", "values"}
    if unknown or ("value" in item and "values" in item):
        raise who.error(f"a kernel argument is {item!r}", "name, and at most one of value and values")
    name = _match(who, "a kernel argument's name", item.get("name"), _ARGUMENT, "a name such as iommu")
    given = item.get("values", [item["value"]] if "value" in item else [])
    values = [_scalar(who, f"kernel argument {name}", v) for v in _typed(who, name, given, list)]
    return KernelArg(name, _by_style(who, name, values))


def _by_style(who: _Owner, name: str, values: list[str]) -> tuple[str, ...]:
    style = style_of(name)
    if normal(name) == "hugepagesz":
        raise who.error("hugepagesz is declared", "hugepages, with values such as 1G=64")
    if style == PAIRS and not (values and all(map(_PAGES.fullmatch, values))):
        raise who.error(f"{name} has the values {values}", "values such as 1G=64, 2M=0:512,1:512 or 64")
    if style == COMMA:
        values = [part for value in values for part in value.split(",") if part]
        if not values:
            raise who.error(f"{name} has no value", "at least one value")
    return tuple(values) or (BARE,)


def _modprobe(who: _Owner, items: dict[t.Any, t.Any]) -> tuple[tuple[str, str, str], ...]:
    found: dict[tuple[str, str], str] = {}
    for name, options in items.items():
        module = _module(who, name)
        for key, value in _typed(who, f"modprobe_options of {module}", options, dict).items():
            option = _match(who, f"an option of {module}", key, _MODULE, "a module parameter's name")
            _once(who, found, (module, option), _scalar(who, f"option {option} of {module}", value))
    return tuple((module, option, value) for (module, option), value in sorted(found.items()))


def _sysctl(who: _Owner, items: dict[t.Any, t.Any]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for name, value in items.items():
        key = _sysctl_key(_match(who, "a sysctl key", name, _SYSCTL, "a key such as vm.swappiness"))
        text = value.replace("\t", " ") if isinstance(value, str) else value
        _once(who, found, key, " ".join(_scalar(who, f"sysctl {key}", text).split()))
    return tuple(sorted(found.items()))


def _sysctl_key(key: str) -> str:
    """Return the dotted form: after a leading slash separator, dots are literal (sysctl.d(5))."""
    first = min((sep for sep in "./" if sep in key), key=key.index)
    return key.translate(str.maketrans("./", "/.")) if first == "/" else key


def _once(who: _Owner, found: dict[t.Any, str], key: t.Any, value: str) -> None:
    if found.setdefault(key, value) != value:
        raise who.error(f"{key} is given twice, as {found[key]!r} and {value!r}", "one value")


def _ports(who: _Owner, items: list[t.Any]) -> tuple[Port, ...]:
    return tuple(sorted({_port(who, _typed(who, "a port", item, dict)) for item in items}))


def _port(who: _Owner, item: dict[t.Any, t.Any]) -> Port:
    if set(item) != {"name", "port", "proto", "from"}:
        raise who.error(f"a port is {item!r}", "exactly name, port, proto and from")
    name = _match(who, "a port's name", item["name"], _LABEL, "a name such as ceph-mon")
    proto = item["proto"]
    if proto not in PROTOCOLS:
        raise who.error(f"port {name} has the protocol {proto!r}", ", ".join(PROTOCOLS))
    return Port(name, _port_range(who, name, item["port"]), proto, _source(who, name, item["from"]))


def _port_range(who: _Owner, name: str, value: t.Any) -> str:
    text = str(value)
    bounds = [int(part) for part in text.split("-")] if _RANGE.fullmatch(text) else []
    if not bounds or not 1 <= bounds[0] <= bounds[-1] <= 65535:
        raise who.error(f"port {name} is {value!r}", "N or N-M, ascending, within 1 to 65535")
    return "-".join(map(str, dict.fromkeys(bounds)))


def _source(who: _Owner, name: str, value: t.Any) -> str:
    if isinstance(value, str) and _ZONE.fullmatch(value):
        return value
    try:
        return str(_network(value))
    except ValueError as error:
        raise who.error(
            f"port {name} is open from {value!r} ({error})",
            "a zone's name, or a network such as 192.0.2.0/24",
        ) from error


def _network(value: t.Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    # An integer would be taken for an address.
    return ipaddress.ip_network(value if isinstance(value, str) else "")
