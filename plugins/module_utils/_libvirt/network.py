# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Virtual networks: their managed terms, read from libvirt's XML and edited into it. Pure."""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t
import xml.etree.ElementTree as ET

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction, ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import xmltext

NAMESPACE = "urn:hearth:gpu_host:1"
OWNER = f"{{{NAMESPACE}}}owner"
HOST_BRIDGE = "bridge"
ISOLATED = "none"
# What libvirt plumbs for a network of its own, and refuses on a bridge of the host's.
# The ``default`` of every distribution, as libvirt's own source tree has it.
_SHIPPED = """<network><name>default</name><forward mode='nat'/><bridge name='virbr0'/>
<ip address='192.168.122.1' prefix='24'><dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp></ip>
</network>"""
# What libvirt fills in by itself: elements, and attributes with their defaults.
_FILLED_IN = ("uuid", "mac")
_DEFAULTS = {"bridge": {"stp": "on", "delay": "0"}, "port": {"start": "1024", "end": "65535"}}
_OWN_PLUMBING = ("mac", "mtu", "domain", "dns", "ip", "route")

ET.register_namespace("hearth", NAMESPACE)


@dataclasses.dataclass(frozen=True)
class Ip:
    """One address of the host on the network, with its prefix, and the DHCP ranges there."""

    address: str
    dhcp: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """The managed terms. ``None`` is not managed; empty or zero is managed and not set."""

    forward: str
    bridge: str | None = None
    virtualport: str | None = None
    domain: str | None = None
    mtu: int | None = None
    ips: tuple[Ip, ...] | None = None


def from_declared(declared: t.Mapping[str, t.Any]) -> NetworkConfig:
    """Return the terms of one declaration.

    :raises ParseError: an address is none.
    :raises Contradiction: terms that libvirt cannot have together.
    """
    ips = declared["ips"]
    config = NetworkConfig(
        forward=declared["forward"],
        bridge=declared["bridge"],
        virtualport=declared["virtualport"],
        domain=declared["domain"],
        mtu=declared["mtu"],
        ips=None if ips is None else tuple(_declared_ip(ip) for ip in ips),
    )
    _validate(declared["name"], config)
    return config


def from_xml(text: str) -> NetworkConfig:
    """Return all terms of a definition."""
    root = xmltext.parse(text)
    mode = xmltext.attribute(root, "forward", "mode") if root.find("forward") is not None else ISOLATED
    return NetworkConfig(
        forward=mode or "nat",
        bridge=xmltext.attribute(root, "bridge", "name"),
        virtualport=xmltext.attribute(root, "virtualport", "type"),
        domain=xmltext.attribute(root, "domain", "name"),
        mtu=int(xmltext.attribute(root, "mtu", "size") or 0),
        ips=tuple(_xml_ip(element) for element in root.findall("ip")),
    )


def masked(config: NetworkConfig, by: NetworkConfig) -> NetworkConfig:
    """Return ``config`` without the terms that ``by`` does not manage."""
    unmanaged = {field: None for field, value in vars(by).items() if value is None}
    return dataclasses.replace(config, **t.cast("dict[str, t.Any]", unmanaged))


def owned(text: str) -> bool:
    """Tell whether a definition carries the mark of this collection."""
    return xmltext.parse(text).find(f"metadata/{OWNER}") is not None


def shipped(text: str) -> bool:
    """Tell whether a definition is what distributions ship, but for what libvirt fills in."""
    return _shape(xmltext.parse(text)) == _shape(xmltext.parse(_SHIPPED))


def render(name: str, config: NetworkConfig, base: str | None) -> str:
    """Return ``base`` with the managed terms edited in and our mark on it."""
    root = xmltext.parse(base) if base else ET.Element("network")
    root.attrib.pop("connections", None)
    xmltext.child(root, "name").text = name
    xmltext.child(xmltext.child(root, "metadata"), OWNER)
    _edit_forward(root, config)
    _edit_bridge(root, config)
    _edit_value(root, "virtualport", "type", config.virtualport)
    _edit_value(root, "domain", "name", config.domain)
    _edit_value(root, "mtu", "size", None if config.mtu is None else str(config.mtu or ""))
    if config.ips is not None:
        _edit_ips(root, config.ips)
    return ET.tostring(root, encoding="unicode")


def uses(guest: ET.Element, name: str, live: str) -> bool:
    """Tell whether a running guest has an interface on the network."""
    bridge = xmltext.attribute(xmltext.parse(live), "bridge", "name")
    sources = [source.attrib for source in guest.iterfind("devices/interface/source")]
    return any(
        source.get("network") == name or (bridge and source.get("bridge") == bridge) for source in sources
    )


def _validate(name: str, config: NetworkConfig) -> None:
    problem = ""
    if config.forward == HOST_BRIDGE:
        plumbing = [term for term in ("domain", "mtu", "ips") if getattr(config, term)]
        if not config.bridge:
            problem = "forward=bridge needs the name of the host's bridge in 'bridge'"
        elif plumbing:
            problem = (
                f"forward=bridge leaves the plumbing to the host, so {', '.join(plumbing)} cannot be set"
            )
    elif config.virtualport:
        problem = f"virtualport={config.virtualport} needs forward=bridge"
    if problem:
        raise Contradiction(f"Network {name}: {problem}.", remedy="correct the declaration")


def _declared_ip(ip: t.Mapping[str, t.Any]) -> Ip:
    try:
        interface = ipaddress.ip_interface(ip["address"])
        ranges = [
            (str(ipaddress.ip_address(span["start"])), str(ipaddress.ip_address(span["end"])))
            for span in ip["dhcp"] or []
        ]
    except ValueError as error:
        raise ParseError(
            f"Not an address: {error}.", remedy="write 'ips' as 192.0.2.1/24, DHCP ranges as single addresses"
        ) from error
    return Ip(str(interface), tuple(ranges))


def _xml_ip(element: ET.Element) -> Ip:
    prefix = element.get("prefix") or element.get("netmask")
    address = element.get("address", "")
    ranges = [(span.get("start", ""), span.get("end", "")) for span in element.iterfind("dhcp/range")]
    return Ip(str(ipaddress.ip_interface(f"{address}/{prefix}" if prefix else address)), tuple(ranges))


def _edit_forward(root: ET.Element, config: NetworkConfig) -> None:
    element = root.find("forward")
    before = ISOLATED if element is None else element.get("mode", "nat")
    if before == config.forward:
        return
    xmltext.drop(root, "forward")
    if HOST_BRIDGE in (before, config.forward):
        for tag in ("bridge", "virtualport", *_OWN_PLUMBING):
            xmltext.drop(root, tag)
    if config.forward != ISOLATED:
        ET.SubElement(root, "forward", {"mode": config.forward})


def _edit_bridge(root: ET.Element, config: NetworkConfig) -> None:
    if config.bridge:
        xmltext.child(root, "bridge").set("name", config.bridge)
    elif config.bridge == "":
        xmltext.drop(root, "bridge")


def _edit_value(root: ET.Element, tag: str, attribute: str, value: str | None) -> None:
    if value:
        xmltext.child(root, tag).set(attribute, value)
    elif value == "":
        xmltext.drop(root, tag)


def _edit_ips(root: ET.Element, ips: t.Sequence[Ip]) -> None:
    """Edit by address, so that hosts and boot servers that somebody added stay."""
    existing = {_xml_ip(element).address.split("/")[0]: element for element in root.findall("ip")}
    xmltext.drop(root, "ip")
    for ip in ips:
        address, prefix = ip.address.split("/")
        element = existing.get(address, ET.Element("ip"))
        element.attrib.pop("netmask", None)
        family = {"family": "ipv6"} if ":" in address else {}
        element.attrib.update({**family, "address": address, "prefix": prefix})
        _edit_ranges(element, ip.dhcp)
        root.append(element)


def _edit_ranges(element: ET.Element, ranges: t.Sequence[tuple[str, str]]) -> None:
    have = [(span.get("start"), span.get("end")) for span in element.iterfind("dhcp/range")]
    if have == list(ranges):
        return
    dhcp = xmltext.child(element, "dhcp")
    xmltext.drop(dhcp, "range")
    for position, (start, end) in enumerate(ranges):
        dhcp.insert(position, ET.Element("range", {"start": start, "end": end}))
    if len(dhcp) == 0:
        element.remove(dhcp)


def _shape(element: ET.Element) -> tuple[t.Any, ...]:
    """Return an element in a form that is equal for equal meaning."""
    defaults = _DEFAULTS.get(element.tag, {})
    attributes = {key: value for key, value in element.attrib.items() if defaults.get(key) != value}
    attributes.pop("connections", None)
    if element.tag == "forward":
        attributes.setdefault("mode", "nat")
    if element.tag == "ip":
        attributes = {
            "ip": _xml_ip(element).address,
            "family": attributes.get("family", "ipv4"),
            **attributes,
        }
        for redundant in ("address", "netmask", "prefix"):
            attributes.pop(redundant, None)
    parts = sorted(_shape(part) for part in element if part.tag not in _FILLED_IN)
    empty = (("nat", (), "", ()), ("port", (), "", ()))
    return (
        element.tag,
        tuple(sorted(attributes.items())),
        (element.text or "").strip(),
        tuple(part for part in parts if part not in empty),
    )
