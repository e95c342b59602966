# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A libvirt in memory that normalises definitions as libvirt 9.0.0 was seen to do."""

from __future__ import annotations

import typing as t
import uuid
import xml.etree.ElementTree as ET

from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.connection import Api

# /usr/share/libvirt/networks/default.xml of Debian's libvirt-daemon-config-network 9.0.0-4.
STOCK_NETWORK = """<network>
  <name>default</name>
  <bridge name='virbr0'/>
  <forward/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp>
      <range start='192.168.122.2' end='192.168.122.254'/>
    </dhcp>
  </ip>
</network>
"""


class FakeError(Exception):
    """Stands for libvirt.libvirtError."""


class FakeObject:
    """A network or a pool."""

    def __init__(self, world: FakeLibvirt, xml: str) -> None:
        self.world = world
        self.inactive: str | None = xml
        self.live: str | None = None
        self.auto = 0

    def name(self) -> str:
        return ET.fromstring(self.inactive or self.live or "").findtext("name") or ""

    def isActive(self) -> int:
        return int(self.live is not None)

    def isPersistent(self) -> int:
        return int(self.inactive is not None)

    def autostart(self) -> int:
        return self.auto

    def XMLDesc(self, flags: int) -> str:
        return (self.inactive if flags or self.live is None else self.live) or ""

    def setAutostart(self, value: int) -> None:
        self.world.effect("setAutostart")
        self.auto = value

    def build(self, flags: int) -> None:
        self.world.effect("build")

    def create(self) -> None:
        self.world.effect("create")
        self.live = self.inactive
        root = ET.fromstring(self.inactive or "")
        # A running pool says the mode of its directory, whether it is defined or not.
        if root.tag == "pool" and root.find("target/permissions") is None:
            ET.SubElement(ET.SubElement(root.find("target"), "permissions"), "mode").text = "0711"
            self.live = ET.tostring(root, encoding="unicode")

    def destroy(self) -> None:
        self.world.effect("destroy")
        self.live = None

    def undefine(self) -> None:
        self.world.effect("undefine")
        self.world.objects.remove(self)


class FakeGuest:
    """A guest: running, or started by the probe."""

    def __init__(self, world: FakeLibvirt, xml: str, state: int = 1) -> None:
        self.world = world
        self.xml = xml
        self._state = state

    def name(self) -> str:
        return ET.fromstring(self.xml).findtext("name") or ""

    def XMLDesc(self, flags: int) -> str:
        return self.xml

    def state(self) -> list[int]:
        return [self._state, 1]

    def destroy(self) -> None:
        self.world.guests.remove(self)


class FakeLibvirt:
    """A connection; ``die_after`` effects it kills the caller, as SIGKILL would."""

    def __init__(self) -> None:
        self.objects: list[FakeObject] = []
        self.guests: list[FakeGuest] = []
        self.effects: list[str] = []
        self.die_after: int | None = None
        self.guest_state = 1
        self.refuse_guests = ""

    def opener(self, uri: str) -> Api:
        return Api(self, FakeError)

    def effect(self, name: str) -> None:
        if self.die_after is not None and len(self.effects) >= self.die_after:
            raise KeyboardInterrupt
        self.effects.append(name)

    def has(self, xml: str) -> FakeObject:
        """Put an object there that nobody of ours defined."""
        thing = FakeObject(self, self.normalise(xml))
        self.objects.append(thing)
        return thing

    def get(self, name: str) -> FakeObject:
        for thing in self.objects:
            if thing.name() == name:
                return thing
        raise FakeError(f"no object with matching name '{name}'")

    def normalise(self, xml: str) -> str:
        root = ET.fromstring(xml)
        if root.find("uuid") is None:
            ET.SubElement(root, "uuid").text = str(uuid.uuid4())
        forward = root.find("forward")
        mode = "none" if forward is None else forward.attrib.setdefault("mode", "nat")
        if root.tag == "network" and mode != "bridge":
            if mode in ("nat", "route") and root.find("ip") is None:
                raise FakeError(f"XML error: {mode} forwarding requested, but no IP address provided")
            bridge = root.find("bridge")
            bridge = ET.SubElement(root, "bridge") if bridge is None else bridge
            bridge.attrib.setdefault("name", f"virbr{len(self.objects)}")
            bridge.attrib.update(stp="on", delay="0")
            if root.find("mac") is None:
                ET.SubElement(root, "mac", {"address": "52:54:00:ae:be:bc"})
        return ET.tostring(root, encoding="unicode")

    def networkDefineXML(self, xml: str) -> FakeObject:
        normal = self.normalise(xml)
        new = ET.fromstring(normal)
        for thing in self.objects:
            old = ET.fromstring(thing.inactive or thing.live or "")
            if old.findtext("name") == new.findtext("name"):
                if old.findtext("uuid") != new.findtext("uuid"):
                    raise FakeError("already exists with uuid")
                self.effect("define")
                thing.inactive = normal
                return thing
        self.effect("define")
        return self.has(normal)

    def networkLookupByName(self, name: str) -> FakeObject:
        return self.get(name)

    def listAllNetworks(self, flags: int) -> list[FakeObject]:
        return list(self.objects)

    def storagePoolDefineXML(self, xml: str, flags: int = 0) -> FakeObject:
        return self.networkDefineXML(xml)

    storagePoolLookupByName = networkLookupByName
    listAllStoragePools = listAllNetworks

    def listAllDomains(self, flags: int) -> list[FakeGuest]:
        return list(self.guests)

    def createXML(self, xml: str, flags: int) -> FakeGuest:
        if self.refuse_guests:
            raise FakeError(self.refuse_guests)
        self.effects.append(f"createXML flags={flags}")
        guest = FakeGuest(self, xml, self.guest_state)
        self.guests.append(guest)
        return guest

    def getCapabilities(self) -> str:
        return CAPABILITIES

    def getDomainCapabilities(self, *arguments: t.Any) -> str:
        return DOMAIN_CAPABILITIES


# Cut from virsh capabilities and virsh domcapabilities of libvirt 9.0.0 with QEMU 7.2 on Debian 12.
CAPABILITIES = """<capabilities>
  <host><cpu><arch>x86_64</arch></cpu></host>
  <guest><os_type>hvm</os_type><arch name='i686'><wordsize>32</wordsize>
    <machine maxCpus='1'>isapc</machine><domain type='qemu'/></arch></guest>
  <guest><os_type>hvm</os_type><arch name='x86_64'><wordsize>64</wordsize>
    <machine maxCpus='255'>pc-i440fx-7.2</machine><machine maxCpus='288'>pc-q35-7.2</machine>
    <domain type='qemu'/><domain type='kvm'/></arch></guest>
</capabilities>"""
DOMAIN_CAPABILITIES = """<domainCapabilities>
  <path>/usr/bin/qemu-system-x86_64</path>
  <domain>kvm</domain><machine>pc-i440fx-7.2</machine><arch>x86_64</arch>
  <vcpu max='255'/>
  <os supported='yes'><enum name='firmware'><value>efi</value></enum></os>
  <cpu><mode name='host-passthrough' supported='yes'/><mode name='host-model' supported='no'/></cpu>
  <devices><hostdev supported='yes'/></devices>
  <features><sev supported='no'/></features>
</domainCapabilities>"""


def guest_on_network(name: str, network: str) -> str:
    return (
        f"<domain><name>{name}</name><devices><interface type='network'>"
        f"<source network='{network}'/></interface></devices></domain>"
    )


def guest_with_disk(name: str, path: str) -> str:
    return (
        f"<domain><name>{name}</name><devices><disk type='file'>"
        f"<source file='{path}'/></disk></devices></domain>"
    )
