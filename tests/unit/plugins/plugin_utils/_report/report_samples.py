# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts to report about: what the modules would return for them, through the real code where there is a tree."""

from __future__ import annotations

import json
import pathlib
import typing as t

import trees

from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm import report, topology
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.finding import Finding
from ansible_collections.hearth.gpu_host.plugins.module_utils._kvm.policy import Policy
from ansible_collections.hearth.gpu_host.plugins.plugin_utils import _journal
from ansible_collections.hearth.gpu_host.plugins.plugin_utils._report import model

WHEN = "2026-11-22 02:10 UTC"
NASTY = "<script>alert('&amp;')</script> | `x` \"y\""

FINDINGS = (
    Finding(
        "kvm.virtualisation", "pass", "hardware", "a working KVM", "/dev/kvm", "KVM creates virtual machines."
    ),
    Finding(
        "kernel.version", "pass", "6.1.0-37-amd64", "at least 5.10", "uname", "The kernel is new enough."
    ),
    Finding(
        "iommu.active", "pass", ["dmar0"], "at least one unit", "/sys/class/iommu", "The IOMMU translates."
    ),
    Finding(
        "iommu.interrupt_remapping",
        "fail",
        value=False,
        expected=True,
        source="/proc/interrupts",
        why="Interrupts are not remapped: a guest with a device could inject interrupts into the host.",
        hint="Enable x2APIC and interrupt remapping in the firmware setup, then power-cycle.",
        fix="firmware",
        needs_reboot=True,
    ),
    Finding(
        "memory.hugepages_1g",
        "warn",
        value={"total": 0, "free": 0, "mounts": []},
        expected="at least 16",
        source="/sys/kernel/mm/hugepages",
        why="No page is set aside.",
        hint="Declare the kernel argument hugepages with the value 1G=16, and reboot.",
        fix="cmdline",
        needs_reboot=True,
    ),
    Finding(
        "kernel.log",
        "unknown",
        source="dmesg",
        why="The ring buffer has wrapped.",
        hint="Read journalctl -k.",
    ),
    Finding("device.gpu_count", "na", why=f"No number was given. {NASTY}"),
)

DECLARED = {
    "kernel_args": [
        {"name": "intel_iommu", "values": ["on"], "tokens": ["intel_iommu=on"], "owners": ["vfio"]},
        {
            "name": "hugepages",
            "values": ["1G=16"],
            "tokens": ["hugepagesz=1G", "hugepages=16"],
            "owners": ["kvm", "vfio"],
        },
    ],
    "modules": [{"name": "vfio_pci", "owners": ["vfio"]}],
    "sysctl": [],
    "ports": [{"name": "vnc", "port": "5900-5910", "proto": "tcp", "from": "mgmt", "owners": ["kvm"]}],
}

# What the role `boot` exports: an argument in every state, entries and images in every state.
BOOT = {
    "backend": "grub",
    "arguments": [
        {
            "name": "intel_iommu",
            "wanted": "intel_iommu=on",
            "configured": "intel_iommu=on",
            "effective": "intel_iommu=on",
            "status": "effective",
            "why": "",
            "owners": ["vfio"],
        },
        {
            "name": "hugepages",
            "wanted": "hugepagesz=1G hugepages=16",
            "configured": "hugepagesz=1G hugepages=16",
            "effective": None,
            "status": "pending",
            "why": "0 pages of 1 GiB are set aside, expected at least 16",
            "owners": ["kvm", "vfio"],
        },
        {
            "name": "transparent_hugepage",
            "wanted": "transparent_hugepage=madvise",
            "configured": "transparent_hugepage=madvise",
            "effective": None,
            "status": "not_needed",
            "why": "the running kernel has it without the argument",
            "owners": ["kvm"],
        },
        {
            "name": "vfio_pci.ids",
            "wanted": "vfio-pci.ids=10de:2330,10de:22a3,10de:2336,10de:22a4,1002:74a1,1002:74a5",
            "configured": "vfio-pci.ids=10de:2330,10de:22a3,10de:2336,10de:22a4,1002:74a1,1002:74a5",
            "effective": "vfio-pci.ids=10de:2330",
            "status": "failed",
            "why": "the host has booted since it was configured",
            "owners": ["vfio"],
        },
        {
            "name": "isolcpus",
            "wanted": "isolcpus=2-31",
            "configured": None,
            "effective": None,
            "status": "unknown",
            "why": f"The loader's entries cannot be read. {NASTY}",
            "owners": [],
        },
    ],
    "entries": [
        {"name": "gnulinux-6.1.0-37-amd64-advanced-3f2b", "bare": False, "complete": True},
        {"name": "gnulinux-6.1.0-35-amd64-advanced-3f2b", "bare": False, "complete": False},
        {"name": "gnulinux-6.1.0-37-amd64-recovery-3f2b", "bare": True, "complete": False},
        {"name": f"other {NASTY}", "bare": False, "complete": None},
    ],
    "notices": ["amd_iommu=on does nothing: the kernel knows no such value (asked for by vfio)"],
    "initramfs": [
        {
            "image": "/boot/initrd.img-6.1.0-37-amd64",
            "complete": True,
            "modules": ["vfio_pci", "vfio_iommu_type1"],
            "files": ["/etc/modprobe.d/hearth.conf"],
        },
        {
            "image": "/boot/initrd.img-6.1.0-35-amd64",
            "complete": False,
            "modules": [],
            "files": ["/etc/modprobe.d/hearth.conf"],
        },
    ],
    "config": {},
}


def guest_device(address: str = "0000:3b:00.0", **more: t.Any) -> dict[str, t.Any]:
    """Return a device as vfio_bind returns it, as far as the report reads it."""
    return {
        "address": address,
        "vendor": "10de",
        "device": "2330",
        "iommu_group": "15",
        "chosen": True,
        "binds": True,
        "why": "",
        "driver_after": "vfio-pci",
        "driver_override": "vfio-pci",
        "persistent": True,
        "waits_for_reboot": False,
        "warnings": [],
        "obstacles": [],
        **more,
    }


# What the role `vfio` exports: a device in every state.
VFIO: dict[str, t.Any] = {
    "devices": [
        guest_device(),
        guest_device(
            "0000:3b:00.1", chosen=False, why=f"a function of 0000:3b:00.0 {NASTY}", persistent=False
        ),
        guest_device(
            "0000:86:00.0",
            driver_after="nvidia",
            waits_for_reboot=True,
            warnings=["it has no reset"],
            obstacles=[
                {"address": "0000:86:00.0", "kind": "opened", "what": "nvtop (4711)", "remedy": "end it"}
            ],
        ),
        guest_device("0000:af:00.0", driver_after="nouveau"),
        guest_device(
            "0000:3a:00.0",
            chosen=False,
            binds=False,
            why="a bridge stays with the host",
            driver_after="pcieport",
        ),
    ],
    "groups": [],
    "reboot_required": True,
    "reason": "0000:86:00.0 (nvidia is known to hang when it has to let go)",
}


# What the role `firewall` exports: a service of every kind, and everything that is told beside the table.
FIREWALL: dict[str, t.Any] = {
    "zones": {
        "mgmt": {"sources": ["192.0.2.0/24", "2001:db8:1::/64"]},
        "storage": {"sources": ["198.51.100.0/24"], "interfaces": ["storage0"]},
        "guests-of-the-second-floor": {"interfaces": ["br-guests", "br-more"]},
    },
    "services": [
        {"name": "ceph-osd", "ports": ["6800-7568/tcp"], "zones": ["storage", "203.0.113.9/32"]},
        {"name": "comfyui", "ports": ["8188/tcp"], "zones": ["mgmt"], "published_by": "docker"},
        {
            "name": "ssh",
            "ports": ["22/tcp"],
            "zones": ["any"],
            "rate_limit": {"new": "10/minute", "burst": 20},
        },
        {"name": f"odd {NASTY}", "ports": ["49152-49215/tcp", "16514/tcp"], "zones": []},
    ],
    "owners": {"ceph-osd": ["ceph_cluster"], "comfyui": ["comfyui"], "ssh": ["firewall", "site"]},
    "management": ["192.0.2.0/24", "2001:db8:1::/64"],
    "management_ports": ["22/tcp"],
    "guest_networks": ["virbr+"],
    "blocklist": ["203.0.113.128/25"],
    "families": ["ipv4", "ipv6"],
    "default_input": "drop",
    "default_forward": "drop",
    "persist": "unit",
    "backend": "nft",
    "foreign": [
        {"family": 4, "chain": "DOCKER-USER", "owner": "docker"},
        {"family": 4, "chain": "DOCKER", "owner": "docker"},
        {"family": 6, "chain": NASTY, "owner": None},
    ],
    "warnings": [f"nftables.service is enabled {NASTY}"],
    "objections": [
        {
            "name": "foreign_above",
            "family": 4,
            "message": "a rule accepts all",
            "remedy": "x",
            "allowed": True,
        },
        {"name": "management", "family": 6, "message": "not told", "remedy": "x", "allowed": False},
    ],
    "confirmed": True,
}


def reboot(status: str = "pending", name: str = "kernel-args", **more: t.Any) -> dict[str, t.Any]:
    """Return a request of the ledger, judged, as the role `reboot` exports it."""
    return {
        "name": name,
        "reason": "hugepagesz=1G hugepages=16 is configured, and not effective",
        "requested_by": "kvm, vfio",
        "since": "2026-11-22T01:58:40Z",
        "boot_id": "3d1c2e0a-6f7b-4d7e-9f55-0c2f4b1f6a10",
        "status": status,
        "lacking": [] if status == "fulfilled" else ["hugepagesz=1G hugepages=16 is not in /proc/cmdline"],
        **more,
    }


REBOOTS = [
    reboot(),
    reboot("failed", "module-options", reason=f"options of vfio_pci {NASTY}", lacking=["one", "two"]),
    reboot("unknown", "initramfs", lacking=[]),
    reboot("fulfilled", "other"),
]


def journal() -> dict[str, t.Any]:
    """Return a journal with a change of every kind."""
    book = _journal.HostJournal()
    book.counts.update(ok=41, changed=2, failed=1, skipped=7)
    book.changes += [
        _journal.Change(
            "declare", "Declare what the roles need", "hearth.gpu_host.declarations", ("write /etc/hearth/x",)
        ),
        _journal.Change(
            "kvm", f"Configure {NASTY}", "ansible.builtin.template", files=("/etc/libvirt/qemu.conf",)
        ),
        _journal.Change(
            "kvm", "Set a password", "ansible.builtin.copy", delegated_to="bastion", failed=True, hidden=True
        ),
    ]
    return book.as_dict()


def checked(
    verdict: str = "fail", findings: t.Sequence[Finding] = FINDINGS, **more: t.Any
) -> dict[str, t.Any]:
    """Return what kvm_check returns, as far as the report reads it."""
    return {"verdict": verdict, "checks": [finding.as_dict() for finding in findings], "facts": {}, **more}


def lab(root: pathlib.Path) -> dict[str, t.Any]:
    """Return what kvm_check returns for the lab's host, with groups of every owner."""
    tree = trees.lab(root)
    folder = "/sys/devices/pci0000:00"
    tree.folder("/sys/bus/pci/drivers/vfio-pci", source=trees.SYSFS)
    (root / folder.lstrip("/") / "0000:00:10.0/0000:01:00.2/driver").unlink()
    for device in ("0000:00:10.0/0000:01:00.2", "0000:00:10.1/0000:02:00.0"):
        tree.link(f"{folder}/{device}/driver", "/sys/bus/pci/drivers/vfio-pci", source=trees.SYSFS)
    return _plain(report.examine(tree.host, Policy(require=("kvm", "iommu"))))


def server(root: pathlib.Path, per_node: int = 6) -> dict[str, t.Any]:
    """Return what kvm_check returns for a large server: two nodes, switches, GPUs, network, NVMe."""
    tree = trees.translating(root).nodes("0", "1")
    kinds = (
        ("10de:2330", "030200", "nvidia"),
        ("10de:2330", "030200", "vfio-pci"),
        ("15b3:1021", "020700", "mlx5_core"),
        ("144d:a80a", "010802", "nvme"),
        ("1da3:1060", "120000", None),
    )
    group = 0
    for node, first in ((0, 0x00), (1, 0x80)):
        place: dict[str, t.Any] = {
            "root": f"pci0000:{first:02x}",
            "files": {"numa_node": f"{node}\n"},
            "source": trees.SYSFS,
        }
        port: dict[str, t.Any] = {"driver": "pcieport", "header": trees.BRIDGE, **place}
        for index in range(per_node):
            bus = first + 0x10 + index * 8
            way = (f"{first:02x}:{index + 1:02x}.0", f"{bus:02x}:00.0")
            tree.device(way[0], "8086:352a", "060400", group=str(group), **port)
            tree.device(way[1], "1000:c030", "060400", group=str(group + 1), under=way[:1], **port)
            for slot in range(2):
                ids, code, driver = kinds[(index + slot) % len(kinds)]
                below = f"{bus + 1:02x}:{slot:02x}.0"
                tree.device(below, "1000:c030", "060400", group=str(group + 2 + slot), under=way, **port)
                group_of = str(group + 4 + slot)
                tree.device(
                    f"{bus + 2 + slot:02x}:00.0",
                    ids,
                    code,
                    under=(*way, below),
                    group=group_of,
                    driver=driver,
                    **place,
                )
            group += 6
    for number in range(group):
        tree.group(str(number))
    return checked("pass", FINDINGS[:3], topology=_plain(topology.topology(tree.host)))


def named(root: pathlib.Path) -> dict[str, t.Any]:
    """Return the server with a long name in wide letters for every device, as pci.ids has many."""
    host = server(root)
    pending = [device for bus in host["topology"]["pci"] for device in bus["devices"]]
    while pending:
        device = pending.pop()
        device["device_name"] = "82801IR/IO/IH (ICH9R/DO/DH) WWMMWM 6 port SATA Controller [AHCI mode]"
        pending += device["children"]
    return host


def container() -> dict[str, t.Any]:
    """Return what kvm_check returns where nothing is visible."""
    findings = (
        Finding("host.container", "na", "podman", why="This file system belongs to a container."),
        Finding(
            "kvm.virtualisation", "unknown", None, "a working KVM", "/dev/kvm", "Container without /dev/kvm."
        ),
    )
    return checked("unknown", findings, topology={"sockets": [], "nodes": [], "pci": [], "groups": []})


def build(host: str = "lab1", predicted: bool = False, **given: t.Any) -> model.Report:
    """Build a report with every part, or with the parts that are given."""
    return model.build(
        host, WHEN, predicted, {"preflight": checked(), "declared": DECLARED, "journal": journal(), **given}
    )


def _plain(data: t.Any) -> t.Any:
    """Send it through JSON, as a module does."""
    return json.loads(json.dumps(data))
