# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Where this host runs: on bare metal, in a virtual machine, in a container."""

from __future__ import annotations

import dataclasses

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import cpu
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import (
    NOT_APPLICABLE,
    PASS,
    UNKNOWN,
    WARN,
    Finding,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy

DMI = "/sys/class/dmi/id"
# Text in the vendor or product name of a virtual machine's firmware tables, and whose machine it is.
_DMI_MACHINES = (
    ("QEMU", "QEMU"),
    ("KVM", "KVM"),
    ("VMware", "VMware"),
    ("VirtualBox", "VirtualBox"),
    ("innotek", "VirtualBox"),
    ("Virtual Machine", "Hyper-V"),
    ("Bochs", "Bochs"),
    ("Xen", "Xen"),
    ("Google Compute Engine", "Google Compute Engine"),
    ("OpenStack", "OpenStack"),
    ("Firecracker", "Firecracker"),
)
IDS = {
    "host.virtual": "Whether the host is itself a virtual machine, so that its hardware is emulated",
    "host.container": "Whether the module runs in a container, which hides parts of the host",
}


@dataclasses.dataclass(frozen=True)
class Place:
    """An answer and where it was read; an empty ``name`` is a plain no."""

    name: str
    source: str


def container(host: Host) -> Place | None:
    """Return the container that we are in, by the marks that container managers leave."""
    named = host.text("/run/systemd/container")
    if named:
        return Place(named.split()[0], "/run/systemd/container")
    for variable in (host.text("/proc/1/environ") or "").split("\0"):
        key, _unused, value = variable.partition("=")
        if key == "container" and value.strip():
            return Place(value.strip(), "/proc/1/environ")
    for path, name in (("/run/.containerenv", "podman"), ("/.dockerenv", "docker")):
        if host.exists(path):
            return Place(name, path)
    return None


def marks_visible(host: Host) -> bool:
    """Tell whether a container would have shown itself: by the first process, or by its systemd."""
    return host.read("/proc/1/environ").text is not None or host.exists("/run/systemd/system")


def machine(host: Host, processor: cpu.Cpu) -> Place | None:
    """Return the virtual machine that this host is, one with an empty name for none, or ``None`` for unknown."""
    hypervisor = host.text("/sys/hypervisor/type")
    if hypervisor:
        return Place(hypervisor, "/sys/hypervisor/type")
    described = [host.text(f"{DMI}/{name}") or "" for name in ("sys_vendor", "product_name", "board_vendor")]
    for mark, name in _DMI_MACHINES:
        if any(mark in text for text in described):
            return Place(name, DMI)
    if "hypervisor" in processor.flags:
        return Place("unnamed hypervisor", "/proc/cpuinfo")
    if processor.arch == "x86" and processor.flags:
        return Place("", "/proc/cpuinfo")
    return Place("", DMI) if any(described) else None


def checks(host: Host, policy: Policy) -> list[Finding]:
    """Say what kind of place this is."""
    return [_virtual(machine(host, cpu.read(host))), _container(container(host), marks_visible(host))]


def _virtual(place: Place | None) -> Finding:
    if place is None:
        return Finding(
            "host.virtual",
            UNKNOWN,
            source=f"/proc/cpuinfo, {DMI}",
            why="Neither the CPU nor the firmware tables tell whether this is a virtual machine.",
        )
    if not place.name:
        return Finding(
            "host.virtual", PASS, "bare metal", source=place.source, why="No hypervisor shows itself."
        )
    return Finding(
        "host.virtual",
        WARN,
        place.name,
        expected="bare metal",
        source=place.source,
        why=f"This host is a virtual machine ({place.name}): the hardware that it shows is emulated, and "
        "what is true of it need not be true of a physical machine.",
        hint="Repeat the check on the physical host before relying on it.",
        fix="hardware",
    )


def _container(place: Place | None, visible: bool) -> Finding:
    if place is None:
        return Finding(
            "host.container",
            PASS if visible else UNKNOWN,
            "" if visible else None,
            source="/run/systemd/container, /proc/1/environ",
            why="No container manager left its mark."
            if visible
            else "No mark of a container is there, and the environment of the first process cannot be read.",
        )
    return Finding(
        "host.container",
        NOT_APPLICABLE,
        place.name,
        source=place.source,
        why=f"This file system belongs to a container or its image ({place.name}): devices and kernel settings "
        "that are missing here may exist on the host.",
        hint="Run the check on the host that carries the container.",
        fix="host",
    )
