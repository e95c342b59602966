# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.model import (
    Declaration,
    KernelArg,
    Port,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.parse import (
    check_role,
    parse_declaration,
    parse_text,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import ParseError

# what is declared, what becomes of it
GOOD: list[tuple[t.Any, Declaration]] = [
    ({}, Declaration()),
    (None, Declaration()),
    ({"modules": None, "ports": []}, Declaration()),
    ({"kernel_args": [{"name": "nosmt"}]}, Declaration(kernel_args=(KernelArg("nosmt"),))),
    (
        {"kernel_args": [{"name": "iommu", "value": "pt"}]},
        Declaration(kernel_args=(KernelArg("iommu", ("pt",)),)),
    ),
    (
        {"kernel_args": [{"name": "panic", "value": 30}]},
        Declaration(kernel_args=(KernelArg("panic", ("30",)),)),
    ),
    (
        {"kernel_args": [{"name": "vfio-pci.ids", "value": "10de:2330,10de:22a3"}]},
        Declaration(kernel_args=(KernelArg("vfio-pci.ids", ("10de:2330", "10de:22a3")),)),
    ),
    (
        {"kernel_args": [{"name": "vfio_pci.ids", "value": "a:b"}, {"name": "vfio-pci.ids", "value": "c:d"}]},
        Declaration(kernel_args=(KernelArg("vfio-pci.ids", ("a:b", "c:d")),)),
    ),
    (
        # The order of consoles is kept: the last one becomes /dev/console.
        {"kernel_args": [{"name": "console", "values": ["tty0", "ttyS0,115200"]}]},
        Declaration(kernel_args=(KernelArg("console", ("tty0", "ttyS0,115200")),)),
    ),
    # A comma in an argument of one value is part of the value.
    (
        {"kernel_args": [{"name": "mitigations", "value": "auto,nosmt"}]},
        Declaration(kernel_args=(KernelArg("mitigations", ("auto,nosmt",)),)),
    ),
    (
        {"kernel_args": [{"name": "hugepages", "values": ["1G=64", "2M=0:512,1:512"]}]},
        Declaration(kernel_args=(KernelArg("hugepages", ("1G=64", "2M=0:512,1:512")),)),
    ),
    ({"modules": ["vfio-pci", "kvm", "vfio_pci"]}, Declaration(modules=("kvm", "vfio_pci"))),
    (
        {"initramfs": ["vfio-pci", "/etc/udev/rules.d/10-x.rules"]},
        Declaration(initramfs=("/etc/udev/rules.d/10-x.rules", "vfio_pci")),
    ),
    (
        {"modprobe_options": {"vfio-pci": {"disable_vga": 1}, "kvm": {"ignore_msrs": "Y"}}},
        Declaration(modprobe_options=(("kvm", "ignore_msrs", "Y"), ("vfio_pci", "disable_vga", "1"))),
    ),
    ({"sysctl": {"vm.swappiness": 10}}, Declaration(sysctl=(("vm.swappiness", "10"),))),
    (
        {"sysctl": {"net/ipv4/conf/eth0.100/forwarding": "1"}},
        Declaration(sysctl=(("net.ipv4.conf.eth0/100.forwarding", "1"),)),
    ),
    (
        {"sysctl": {"net.ipv4.ip_local_port_range": "32768\t60999"}},
        Declaration(sysctl=(("net.ipv4.ip_local_port_range", "32768 60999"),)),
    ),
    (
        {"ports": [{"name": "vnc", "port": "5900-5910", "proto": "tcp", "from": "mgmt"}]},
        Declaration(ports=(Port("vnc", "5900-5910", "tcp", "mgmt"),)),
    ),
    (
        {"ports": [{"name": "ntp", "port": 123, "proto": "udp", "from": "2001:DB8::/32"}]},
        Declaration(ports=(Port("ntp", "123", "udp", "2001:db8::/32"),)),
    ),
    (
        {"ports": [{"name": "one", "port": "22-22", "proto": "tcp", "from": "192.0.2.7"}]},
        Declaration(ports=(Port("one", "22", "tcp", "192.0.2.7/32"),)),
    ),
]


@pytest.mark.parametrize(("data", "expected"), GOOD)
def test_parse(data: t.Any, expected: Declaration) -> None:
    assert parse_declaration("role x", data) == expected


@pytest.mark.parametrize(("data", "declaration"), GOOD)
def test_what_is_written_is_read_back_as_the_same(data: t.Any, declaration: Declaration) -> None:
    assert parse_declaration("role x", declaration.as_dict()) == declaration


def port(**changes: t.Any) -> dict[str, t.Any]:
    return {"ports": [{"name": "a", "port": "1", "proto": "tcp", "from": "mgmt", **changes}]}


def arg(**item: t.Any) -> dict[str, t.Any]:
    return {"kernel_args": [item]}


# what is declared, what the message must say
BAD: list[tuple[t.Any, str]] = [
    ("iommu=pt", "the declaration is 'iommu=pt'"),
    ({"sysctls": {}}, "unknown kinds ['sysctls']"),
    ({"modules": "vfio_pci"}, "modules is 'vfio_pci'"),
    ({"modules": ["vfio pci"]}, "a module is 'vfio pci'"),
    ({"modules": ["../evil"]}, "a module is '../evil'"),
    ({"initramfs": ["/etc/x y"]}, "an initramfs file is"),
    ({"initramfs": ["/etc/../shadow"]}, "an initramfs file is"),
    ({"kernel_args": ["iommu=pt"]}, "a kernel argument is 'iommu=pt'"),
    (arg(value="pt"), "a kernel argument's name is None"),
    (arg(name="iommu=pt"), "a kernel argument's name is 'iommu=pt'"),
    (arg(name="a", value="b", values=["b"]), "a kernel argument is"),
    (arg(name="a", valeu="b"), "a kernel argument is"),
    # YAML's `value: on`
    (arg(name="intel_iommu", value=True), "which YAML made of an unquoted word"),
    (arg(name="a", value=1.1), "which YAML made of an unquoted word"),
    (arg(name="a", value=None), "kernel argument a is None"),
    (arg(name="a", value='b" init=/bin/sh "'), "kernel argument a is"),
    (arg(name="a", value="b\nc"), "kernel argument a is"),
    (arg(name="a", value=""), "kernel argument a is ''"),
    (arg(name="iommu", values=["pt", "off"]), "kernel argument iommu has the values ['pt', 'off']"),
    (arg(name="vfio-pci.ids"), "vfio-pci.ids has no value"),
    (arg(name="hugepagesz", value="1G"), "hugepagesz is declared"),
    (arg(name="hugepages", value="lots"), "hugepages has the values ['lots']"),
    (arg(name="hugepages"), "hugepages has the values []"),
    ({"modprobe_options": {"kvm": ["nested=1"]}}, "modprobe_options of kvm is"),
    ({"modprobe_options": {"kvm": {"nested": True}}}, "option nested of kvm is True"),
    ({"modprobe_options": {"a-b": {"c": 1}, "a_b": {"c": 2}}}, "is given twice, as '1' and '2'"),
    ({"sysctl": {"swappiness": 1}}, "a sysctl key is 'swappiness'"),
    ({"sysctl": {"vm.swappiness": True}}, "sysctl vm.swappiness is True"),
    ({"sysctl": {"vm.a": "1\nkernel.b = 2"}}, "sysctl vm.a is"),
    ({"sysctl": {"vm.a": 1, "vm/a": 2}}, "vm.a is given twice"),
    (port(port="0"), "port a is '0'"),
    (port(port=65536), "port a is 65536"),
    (port(port="20-10"), "port a is '20-10'"),
    (port(port="22/tcp"), "port a is '22/tcp'"),
    (port(port=True), "port a is True"),
    (port(proto="icmp"), "port a has the protocol 'icmp'"),
    (port(proto=["tcp"]), "port a has the protocol ['tcp']"),
    (port(**{"from": "192.0.2.77/24"}), "has host bits set"),
    (port(**{"from": "Mgmt!"}), "port a is open from 'Mgmt!'"),
    (port(**{"from": 1}), "port a is open from 1"),
    (port(name="A b"), "a port's name is 'A b'"),
    ({"ports": [{"name": "a", "port": 1, "proto": "tcp"}]}, "a port is"),
]


@pytest.mark.parametrize(("data", "message"), BAD)
def test_bad_input_gets_one_error_that_names_role_and_value(data: t.Any, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_declaration("role vfio", data)
    assert caught.value.message.startswith("Declaration of role vfio: ")
    assert message in caught.value.message
    assert caught.value.remedy.startswith("expected: ")


@pytest.mark.parametrize("role", ["", "../x", "Kvm", "a-b", "hearth.gpu_host.kvm", "a/b", "1a"])
def test_role_names_that_could_leave_the_folder_are_refused(role: str) -> None:
    with pytest.raises(ParseError, match="this is no role name"):
        check_role(role)


@pytest.mark.parametrize("text", ["", "{", "[1]", "nonsense"])
def test_a_broken_file_is_named(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_text("/etc/hearth/declarations.d/kvm.json", text)
    assert "/etc/hearth/declarations.d/kvm.json" in caught.value.message
