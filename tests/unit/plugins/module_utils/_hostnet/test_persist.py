# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeping a move over a reboot, and giving the card back."""

from __future__ import annotations

import pathlib
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from cards import BRIDGE, NIC, plain

from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import (
    IFUPDOWN,
    NETPLAN,
    NETWORK_MANAGER,
    NETWORKD,
    Owner,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.persist import (
    actions,
    cloud_file,
    modes_of,
    persist,
    read_persisted,
    stage,
)

INTERFACES = "/etc/network/interfaces"
TEXT = "auto eth9\niface eth9 inet static\n    address 192.0.2.11/24\n"
NETWORK = "[Match]\nName=eth9\n\n[Network]\nAddress=192.0.2.11/24\n"
OWNERS = {
    IFUPDOWN: Owner(IFUPDOWN, {INTERFACES: TEXT}),
    NETWORKD: Owner(NETWORKD, {"/etc/systemd/network/10-up.network": NETWORK}),
    NETPLAN: Owner(NETPLAN, {"/run/systemd/network/10-netplan-eth9.network": NETWORK}),
    NETWORK_MANAGER: Owner(NETWORK_MANAGER, {"connection eth9": ""}),
}


class Machine:
    """A root with the files of the managers."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.host = Host(root=str(root))
        for owner in OWNERS.values():
            for path, text in owner.texts.items():
                if path.startswith("/"):
                    self.write(path, text)

    def write(self, path: str, text: str) -> pathlib.Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def tree(self) -> dict[str, str]:
        """Return all files but the backups."""
        files = (path for path in self.root.rglob("*") if path.is_file() and "backup" not in path.parts)
        return {str(path.relative_to(self.root)): path.read_text() for path in files}

    def persist(self, manager: str) -> None:
        for action in actions(persist(OWNERS[manager], plain(), BRIDGE, NIC), self.host):
            action.perform(self.host)


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("manager", OWNERS)
def test_the_card_is_given_back_as_it_was(machine: Machine, manager: str) -> None:
    before = machine.tree()
    assert read_persisted(machine.host, BRIDGE) is None
    machine.persist(manager)
    assert machine.tree() != before
    found = read_persisted(machine.host, BRIDGE)
    assert found
    assert (found.manager, found.device) == (NETWORKD if manager == NETPLAN else manager, NIC)
    assert read_persisted(machine.host, "br-ex2") is None
    for action in actions(found, machine.host):
        action.perform(machine.host)
    assert machine.tree() == before
    assert read_persisted(machine.host, BRIDGE) is None


@pytest.mark.parametrize("manager", OWNERS)
def test_what_is_persistent_already_needs_no_action(machine: Machine, manager: str) -> None:
    machine.persist(manager)
    assert actions(persist(OWNERS[manager], plain(), BRIDGE, NIC), machine.host) == ()


@pytest.mark.parametrize("manager", OWNERS)
def test_giving_back_goes_on_where_it_was_cut_off(machine: Machine, manager: str) -> None:
    before = machine.tree()
    machine.persist(manager)
    rounds = 0
    while (found := read_persisted(machine.host, BRIDGE)) and rounds < 9:
        actions(found, machine.host)[0].perform(machine.host)
        rounds += 1
    assert machine.tree() == before


def test_stanzas_that_are_switched_off_are_found_even_without_our_file(machine: Machine) -> None:
    machine.persist(IFUPDOWN)
    (machine.root / "etc/network/interfaces.d/hearth-br-ex").unlink()
    found = read_persisted(machine.host, BRIDGE)
    assert found
    assert (found.manager, dict(found.files)) == (IFUPDOWN, {INTERFACES: TEXT})


def test_what_waits_for_the_guard_has_the_modes_of_what_it_replaces(machine: Machine) -> None:
    (machine.root / INTERFACES.lstrip("/")).chmod(0o640)
    made = persist(OWNERS[IFUPDOWN], plain(), BRIDGE, NIC)
    files, script = stage(made, machine.host)
    assert sorted(files) == ["hostnet/0.after", "hostnet/1.after", "hostnet/1.before"]
    assert files["hostnet/1.before"] == TEXT
    assert f'"$1" 1 {INTERFACES} 0640 ' in script
    assert modes_of(persist(OWNERS[NETPLAN], plain(), BRIDGE, NIC), machine.host) == {
        "/etc/systemd/network/00-hearth-eth9.network": 0o644,
        "/etc/systemd/network/00-hearth-br-ex.network": 0o644,
        "/etc/netplan/99-hearth-br-ex.yaml": 0o600,
    }


@pytest.mark.parametrize(
    ("files", "needed"),
    [
        ({}, False),
        ({"/etc/cloud/cloud.cfg": "users: [default]\n"}, True),
        ({"/etc/cloud/cloud.cfg": "network: {config: disabled}\n"}, False),
        ({"/etc/cloud/cloud.cfg": "network:\n  config: disabled\n"}, False),
        (
            {"/etc/cloud/cloud.cfg": "", "/etc/cloud/cloud.cfg.d/99-x.cfg": "network: {config: disabled}\n"},
            False,
        ),
        (
            {
                "/etc/cloud/cloud.cfg": "",
                "/etc/cloud/cloud.cfg.d/99-hearth-br-ex.cfg": "network: {config: disabled}\n",
            },
            True,
        ),
    ],
)
def test_cloud_init_is_kept_off_the_network_where_it_is_not_yet(
    machine: Machine, files: dict[str, str], needed: bool
) -> None:
    for path, text in files.items():
        machine.write(path, text)
    found: dict[str, t.Any] = cloud_file(machine.host, BRIDGE, NIC)
    assert list(found) == (["/etc/cloud/cloud.cfg.d/99-hearth-br-ex.cfg"] if needed else [])
    assert all(text.endswith("\nnetwork: {config: disabled}\n") for text in found.values())
