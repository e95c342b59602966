# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Prove that this host runs KVM guests: start a tiny one, see it run, end it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
import typing as t
import xml.etree.ElementTree as ET

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError, VerifyError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt import xmltext
from ansible_collections.hearth.gpu_host.plugins.module_utils._libvirt.connection import (
    LibvirtUnavailable,
    Link,
)

PREFIX = "hearth-probe-"
KVM_DEVICE = "/dev/kvm"
# VIR_DOMAIN_START_AUTODESTROY: the guest ends with the connection, however the module ends.
_AUTODESTROY = 2
_RUNNING = 1
# A guest whose first instruction fails is stopped by QEMU within this time.
_SETTLE_S = 0.3


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What was found: pass, na (there is no KVM here) or unknown, and why."""

    status: str
    why: str
    seconds: float = 0.0
    capabilities: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


def probe(host: Host, link: Link, cpu_mode: str, start: bool = True) -> Verdict:
    """Run the proof.

    :param start: start a guest; otherwise only ask what libvirt says it could do.
    :raises CommandError: libvirt or QEMU failed, or did not answer in time.
    :raises VerifyError: the guest was started and does not run.
    """
    if not host.exists(KVM_DEVICE):
        return Verdict("na", f"{KVM_DEVICE} does not exist, so no KVM guest can run here")
    if not start:
        return _without_start(link)
    began = time.monotonic()
    capabilities = link.call("tell its domain capabilities", _capabilities)
    link.call("clean up after an earlier probe", lambda connection: _sweep(host, connection))
    name = f"{PREFIX}{os.getpid()}"
    link.call(f"start the guest {name}", lambda connection: _run_guest(connection, name, cpu_mode))
    seconds = round(time.monotonic() - began, 2)
    return Verdict("pass", f"a KVM guest started, ran and ended in {seconds:g} s", seconds, capabilities)


def guest_xml(name: str, cpu_mode: str) -> str:
    """Return a guest of 64 MiB without disk, network or display. Pure."""
    root = ET.Element("domain", {"type": "kvm"})
    ET.SubElement(root, "name").text = name
    ET.SubElement(root, "memory", {"unit": "MiB"}).text = "64"
    ET.SubElement(root, "vcpu").text = "1"
    ET.SubElement(ET.SubElement(root, "os"), "type").text = "hvm"
    if cpu_mode != "default":
        ET.SubElement(root, "cpu", {"mode": cpu_mode})
    devices = ET.SubElement(root, "devices")
    ET.SubElement(devices, "controller", {"type": "usb", "model": "none"})
    ET.SubElement(devices, "memballoon", {"model": "none"})
    return ET.tostring(root, encoding="unicode")


def parse_capabilities(text: str) -> dict[str, t.Any]:
    """Reduce libvirt's domain capabilities to what GPU hosts ask for. Pure."""
    root = xmltext.parse(text)
    return {
        "domain_type": xmltext.content(root, "domain"),
        "emulator": xmltext.content(root, "path"),
        "machine": xmltext.content(root, "machine"),
        "arch": xmltext.content(root, "arch"),
        "vcpu_max": int(xmltext.attribute(root, "vcpu", "max") or 0),
        "firmware": [value.text for value in root.iterfind("os/enum[@name='firmware']/value")],
        "cpu_modes": [
            mode.get("name") for mode in root.iterfind("cpu/mode") if mode.get("supported") == "yes"
        ],
        "sev": xmltext.attribute(root, "features/sev", "supported") == "yes",
        "hostdev": xmltext.attribute(root, "devices/hostdev", "supported") == "yes",
    }


def parse_machines(text: str) -> dict[str, t.Any]:
    """Return domain types and machine types of this host's own architecture. Pure."""
    root = xmltext.parse(text)
    native = xmltext.content(root, "host/cpu/arch")
    archs = [arch for arch in root.iterfind("guest/arch") if arch.get("name") == native]
    types = {domain.get("type", "") for arch in archs for domain in arch.iterfind("domain")}
    machines = {machine.text or "" for arch in archs for machine in arch.iterfind("machine")}
    return {"domain_types": sorted(types), "machine_types": sorted(machines)}


def _without_start(link: Link) -> Verdict:
    try:
        capabilities = link.call("tell its domain capabilities", _capabilities)
    except LibvirtUnavailable as error:
        return Verdict("unknown", f"no guest is started in check mode, and {error.message}")
    return Verdict("unknown", "no guest is started in check mode", 0.0, capabilities)


def _capabilities(connection: t.Any) -> dict[str, t.Any]:
    domain = connection.getDomainCapabilities(None, None, None, "kvm", 0)
    return {**parse_machines(connection.getCapabilities()), **parse_capabilities(domain)}


def _sweep(host: Host, connection: t.Any) -> None:
    """End the guest of a probe that was killed; one whose module still runs is left alone."""
    for domain in connection.listAllDomains(0):
        name = domain.name()
        owner = name[len(PREFIX) :]
        if name.startswith(PREFIX) and owner.isdigit() and not host.exists(f"/proc/{owner}"):
            domain.destroy()


def _run_guest(connection: t.Any, name: str, cpu_mode: str) -> None:
    domain = connection.createXML(guest_xml(name, cpu_mode), _AUTODESTROY)
    try:
        time.sleep(_SETTLE_S)
        state, reason = domain.state()
        if state != _RUNNING:
            raise VerifyError(
                f"The guest {name} was started and does not run (state {state}, reason {reason}).",
                remedy=f"read /var/log/libvirt/qemu/{name}.log and the kernel's messages about kvm",
            )
    except BaseException:
        # The first error is the one to report; what is left of the guest ends with the connection.
        with contextlib.suppress(Exception):
            domain.destroy()
        raise
    domain.destroy()


def explain(error: CommandError) -> CommandError:
    """Add to a failed start what usually is behind it. Pure."""
    hints = {
        "failed to set MSR": "the CPU mode asks for what a nested KVM lacks: use cpu_mode=default",
        "accel 'kvm' is not supported": "see whether /dev/kvm works, and give the user that runs QEMU access to it",
        "/dev/kvm": "give the user that runs QEMU (libvirt-qemu or qemu) access to /dev/kvm",
        "virtlogd": "start virtlogd.socket",
        "emulator": "install qemu-system-x86 (Debian, Ubuntu) or qemu-kvm (EL)",
    }
    remedy = next((hint for sign, hint in hints.items() if sign in error.message), error.remedy)
    return CommandError(error.message, remedy, **error.details)
