# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Contradiction, ParseError
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config.wish import (
    MODULES,
    OPTIONS,
    SYSCTL,
    Item,
    parse_wish,
)


def test_what_is_left_out_is_not_managed_and_what_is_empty_is() -> None:
    assert parse_wish({}) == {}
    assert parse_wish({MODULES: None, SYSCTL: []}) == {SYSCTL: ()}


def test_names_are_brought_to_their_normal_form_and_sorted() -> None:
    wish = parse_wish(
        {
            MODULES: [
                "vfio-pci",
                {"name": "tun", "owners": ["kvm"]},
                {"name": "vfio_pci", "owners": ["vfio"]},
            ],
            OPTIONS: [{"module": "vfio-pci", "option": "disable-vga", "value": 1}],
            SYSCTL: [{"key": "net/ipv4/conf/eth0.100/forwarding", "value": " 1 ".strip(), "owners": None}],
        }
    )
    assert wish[MODULES] == (Item("tun", owners=("kvm",)), Item("vfio_pci", owners=("vfio",)))
    assert wish[OPTIONS] == (Item("vfio_pci", "disable_vga", "1"),)
    assert wish[SYSCTL] == (Item("net.ipv4.conf.eth0/100.forwarding", value="1"),)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({MODULES: ["no module"]}, "Declaration of this task: a module is"),
        ({MODULES: [{"owners": ["kvm"]}]}, "A module is"),
        ({MODULES: [{"name": "tun", "state": "absent"}]}, "A module is"),
        ({SYSCTL: [{"key": "vm", "value": 1, "owners": ["kvm"]}]}, "Declaration of role kvm: a sysctl key"),
        ({SYSCTL: [{"key": "vm.swappiness", "value": True}]}, "which YAML made of an unquoted word"),
        ({OPTIONS: [{"module": "kvm", "option": "x y", "value": 1}]}, "an option of kvm"),
    ],
)
def test_what_no_declaration_could_say_is_no_wish(params: dict[str, t.Any], words: str) -> None:
    with pytest.raises(ParseError, match=words):
        parse_wish(params)


def test_two_values_of_one_name_are_refused_with_both_owners() -> None:
    one = {"key": "vm.swappiness", "value": 10, "owners": ["kvm"]}
    other = {"key": "vm/swappiness", "value": 60, "owners": ["ceph"]}
    with pytest.raises(Contradiction, match=r"'10' by role kvm and as '60' by role ceph"):
        parse_wish({SYSCTL: [one, other]})


def test_the_same_wish_of_two_roles_has_both_owners() -> None:
    wish = parse_wish(
        {MODULES: [{"name": "tun", "owners": ["kvm"]}, {"name": "tun", "owners": ["net", "kvm"]}]}
    )
    assert wish[MODULES] == (Item("tun", owners=("kvm", "net")),)
    assert wish[MODULES][0].who == "role kvm and role net"
