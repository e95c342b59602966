# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Names of services that a policy may use for ports. Shipped: ``/etc/services`` differs from host to host."""

from __future__ import annotations

SERVICES: dict[str, tuple[str, ...]] = {
    "blackbox-exporter": ("9115/tcp",),
    # ms_bind_port_max is 7568 since Reef; daemons take other ports when they restart, so never fewer.
    "ceph": ("3300/tcp", "6789/tcp", "6800-7568/tcp"),
    "ceph-dashboard": ("8443/tcp",),
    "ceph-exporter": ("9926/tcp",),
    "ceph-mon": ("3300/tcp", "6789/tcp"),
    "ceph-osd": ("6800-7568/tcp",),
    "ceph-prometheus": ("9283/tcp",),
    "comfyui": ("8188/tcp",),
    "dcgm-exporter": ("9400/tcp",),
    "dhcp": ("67/udp",),
    "dhcpv6": ("547/udp",),
    "dns": ("53/tcp", "53/udp"),
    "domain": ("53/tcp", "53/udp"),
    "esp": ("esp",),
    "geneve": ("6081/udp",),
    "gre": ("gre",),
    "http": ("80/tcp",),
    "https": ("443/tcp",),
    "iscsi": ("3260/tcp",),
    "libvirt": ("16509/tcp",),
    "libvirt-exporter": ("9177/tcp",),
    "libvirt-migration": ("49152-49215/tcp",),
    "libvirt-tls": ("16514/tcp",),
    "mdns": ("5353/udp",),
    "nfs": ("2049/tcp",),
    "node-exporter": ("9100/tcp",),
    "ntp": ("123/udp",),
    "openflow": ("6653/tcp",),
    "ovsdb": ("6640/tcp",),
    "prometheus": ("9090/tcp",),
    "rgw": ("7480/tcp",),
    "ssh": ("22/tcp",),
    "stt": ("7471/tcp",),
    "vnc": ("5900-5999/tcp",),
    "vrrp": ("vrrp",),
    "vxlan": ("4789/udp",),
    "wireguard": ("51820/udp",),
}

PORTLESS = ("esp", "gre", "vrrp")
"""Protocols without ports, as ``iptables-save`` names them."""

PROTOCOLS = ("dccp", "sctp", "tcp", "udp")
"""Protocols with ports."""
