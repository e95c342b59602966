# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.merge import merge
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.model import Declaration
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.parse import parse_declaration
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction


def declared(**roles: dict[str, t.Any]) -> dict[str, Declaration]:
    return {role: parse_declaration(f"role {role}", data) for role, data in roles.items()}


def args(name: str, *values: str) -> dict[str, t.Any]:
    return {"kernel_args": [{"name": name, "values": list(values)}]}


# arguments of role a, of role b -> name, tokens
COMBINED = [
    (args("nosmt"), args("nosmt"), "nosmt", ["nosmt"]),
    (args("iommu", "pt"), args("iommu", "pt"), "iommu", ["iommu=pt"]),
    (args("vfio_pci.ids", "2:2"), args("vfio-pci.ids", "1:1,2:2"), "vfio-pci.ids", ["vfio-pci.ids=2:2,1:1"]),
    (
        args("module_blacklist", "nouveau"),
        args("module-blacklist", "nvidia"),
        "module-blacklist",
        ["module-blacklist=nouveau,nvidia"],
    ),
    (args("intel_iommu", "on"), args("intel_iommu", "sm_on"), "intel_iommu", ["intel_iommu=on,sm_on"]),
    (
        args("console", "tty0", "ttyS0"),
        args("console", "ttyS1"),
        "console",
        ["console=tty0", "console=ttyS0", "console=ttyS1"],
    ),
    (args("earlycon"), args("earlycon", "uart,io,0x3f8"), "earlycon", ["earlycon", "earlycon=uart,io,0x3f8"]),
    (
        args("hugepages", "2M=512"),
        args("hugepages", "1G=64", "8"),
        "hugepages",
        ["hugepages=8", "hugepagesz=1G", "hugepages=64", "hugepagesz=2M", "hugepages=512"],
    ),
    (args("dyndbg", "file x +p"), args("dyndbg", "file x +p"), "dyndbg", ['dyndbg="file x +p"']),
]


@pytest.mark.parametrize(("one", "other", "name", "tokens"), COMBINED)
def test_kernel_arguments_combine(
    one: dict[str, t.Any], other: dict[str, t.Any], name: str, tokens: list[str]
) -> None:
    (merged,) = merge(declared(a=one, b=other))["kernel_args"]
    assert (merged["name"], merged["tokens"], merged["owners"]) == (name, tokens, ["a", "b"])


def test_every_item_names_its_owners() -> None:
    port = {"name": "vnc", "port": "5900", "proto": "tcp", "from": "mgmt"}
    one = {
        "modules": ["vfio-pci"],
        "sysctl": {"vm.swappiness": 10},
        "modprobe_options": {"kvm": {"nested": 1}},
        "initramfs": ["/etc/x"],
        "ports": [port],
    }
    other = {"modules": ["vfio_pci", "kvm"], "sysctl": {"vm/swappiness": "10"}}
    assert merge(declared(b=other, a=one)) == {
        "kernel_args": [],
        "modules": [{"name": "kvm", "owners": ["b"]}, {"name": "vfio_pci", "owners": ["a", "b"]}],
        "modprobe_options": [{"module": "kvm", "option": "nested", "value": "1", "owners": ["a"]}],
        "sysctl": [{"key": "vm.swappiness", "value": "10", "owners": ["a", "b"]}],
        "initramfs": [{"name": "/etc/x", "owners": ["a"]}],
        "ports": [{**port, "owners": ["a"]}],
    }


def test_one_port_with_two_protocols_or_sources_is_no_contradiction() -> None:
    def port(proto: str, source: str) -> dict[str, t.Any]:
        return {"ports": [{"name": "dns", "port": 53, "proto": proto, "from": source}]}

    merged = merge(declared(a=port("udp", "mgmt"), b=port("tcp", "mgmt"), c=port("udp", "any")))
    assert [item["owners"] for item in merged["ports"]] == [["b"], ["c"], ["a"]]


# role a, role b -> how the message begins
CONTRADICTIONS = [
    (
        args("iommu", "pt"),
        args("iommu", "off"),
        "kernel argument iommu is declared as 'pt' by role a and as 'off' by role b.",
    ),
    (
        args("vfio-pci.disable_idle_d3", "1"),
        args("vfio_pci.disable_idle_d3", "0"),
        "kernel argument vfio-pci.disable_idle_d3 is declared as '1' by role a and as '0' by role b.",
    ),
    (
        args("nosmt"),
        args("nosmt", "force"),
        "kernel argument nosmt is declared as a bare flag by role a and as 'force' by role b.",
    ),
    (
        args("intel_iommu", "on"),
        args("intel_iommu", "off"),
        "kernel argument intel_iommu is declared as 'on' by role a and as 'off' by role b.",
    ),
    (
        args("hugepages", "1G=8"),
        args("hugepages", "1G=9"),
        "kernel argument hugepages of size 1G is declared as '8' by role a and as '9' by role b.",
    ),
    (args("hugepages", "8"), args("hugepages", "9"), "kernel argument hugepages of size default is"),
    (
        {"sysctl": {"vm.swappiness": 1}},
        {"sysctl": {"vm/swappiness": 60}},
        "sysctl vm.swappiness is declared as '1' by role a and as '60' by role b.",
    ),
    (
        {"modprobe_options": {"kvm-intel": {"nested": 1}}},
        {"modprobe_options": {"kvm_intel": {"nested": 0}}},
        "modprobe option kvm_intel nested is declared as '1' by role a and as '0' by role b.",
    ),
]


@pytest.mark.parametrize(("one", "other", "message"), CONTRADICTIONS)
def test_contradictions_name_both_roles_both_values_and_the_way_out(
    one: dict[str, t.Any], other: dict[str, t.Any], message: str
) -> None:
    with pytest.raises(Contradiction) as caught:
        merge(declared(b=other, a=one))
    assert caught.value.message.startswith(message)
    assert "state=absent" in caught.value.remedy
    assert caught.value.details["roles"] == ["a", "b"]


WORDS = st.sampled_from(["a", "b_c", "b-c", "d"])
VALUES = st.sampled_from(["1", "2", "x,y"])
WISHES = st.fixed_dictionaries(
    {},
    optional={
        "kernel_args": st.lists(
            st.builds(
                lambda name, values: {"name": name, "values": values},
                st.sampled_from(["vfio-pci.ids", "vfio_pci.ids", "console", "module_blacklist", "pci"]),
                st.lists(VALUES, min_size=1, max_size=3),
            ),
            max_size=3,
        ),
        "modules": st.lists(WORDS, max_size=3),
        "sysctl": st.dictionaries(st.sampled_from(["vm.a", "vm/a", "net.b.c"]), st.just("1"), max_size=2),
        "modprobe_options": st.dictionaries(
            WORDS, st.dictionaries(WORDS, st.just(0), max_size=2), max_size=2
        ),
        "initramfs": st.lists(st.sampled_from(["/etc/x", "/etc/y", "m"]), max_size=2),
        "ports": st.lists(
            st.builds(
                lambda port, proto: {"name": "p", "port": port, "proto": proto, "from": "any"},
                st.integers(1, 65535),
                st.sampled_from(["tcp", "udp"]),
            ),
            max_size=2,
        ),
    },
)
ROLES = st.dictionaries(st.sampled_from(["kvm", "vfio", "ceph", "site"]), WISHES, max_size=4)


@settings(deadline=None)  # the machine may be busy
@given(ROLES, st.randoms())
def test_merge_does_not_depend_on_the_order_of_roles(roles: dict[str, t.Any], random: t.Any) -> None:
    shuffled = list(roles.items())
    random.shuffle(shuffled)
    assert merge(declared(**dict(shuffled))) == merge(declared(**roles))


@settings(deadline=None)  # the machine may be busy
@given(ROLES)
def test_merge_is_idempotent(roles: dict[str, t.Any]) -> None:
    """What was merged, declared again by one more role, adds an owner and nothing else."""
    merged = merge(declared(**roles))
    again = {
        "kernel_args": [{"name": i["name"], "values": i["values"]} for i in merged["kernel_args"]],
        "modules": [i["name"] for i in merged["modules"]],
        "sysctl": {i["key"]: i["value"] for i in merged["sysctl"]},
        "initramfs": [i["name"] for i in merged["initramfs"]],
        "ports": [{k: i[k] for k in ("name", "port", "proto", "from")} for i in merged["ports"]],
    }
    # Named so that it comes last: the order of list values is that of the roles' names.
    twice = merge(declared(**roles, zz_again=again))
    for kind in again:
        without = [{k: v for k, v in item.items() if k != "owners"} for item in merged[kind]]
        assert [{k: v for k, v in item.items() if k != "owners"} for item in twice[kind]] == without


@settings(deadline=None)  # the machine may be busy
@given(ROLES)
def test_nothing_that_a_role_declared_is_lost(roles: dict[str, t.Any]) -> None:
    merged = merge(declared(**roles))
    for role, declaration in declared(**roles).items():
        owned = {kind: [item for item in items if role in item["owners"]] for kind, items in merged.items()}
        assert {item["name"] for item in owned["modules"]} == set(declaration.modules)
        assert {(item["key"], item["value"]) for item in owned["sysctl"]} == set(declaration.sysctl)
        assert len(owned["ports"]) == len(declaration.ports)
        assert len(owned["kernel_args"]) == len(declaration.kernel_args)
