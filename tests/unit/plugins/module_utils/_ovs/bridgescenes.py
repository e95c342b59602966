# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts with a bridge to change, for tests of what speaks against the change.

::

    scene = Scene(carrying_bridge())                       # br-ex with eno1, and the host's addresses on br-ex
    scene.names(ports=[{"name": "eno1", "tag": 40}])       # -> ["lockout"]
"""

from __future__ import annotations

import dataclasses

from fakeovsdb import EngineClient, add_bridge, add_port, new_database

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import Nic
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.nics import DEFAULT_ROUTE, SSH
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections import object_to
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_model import make_change
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.objections_probe import PATIENCE_S
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.read import read_database
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.wish import parse_wish

CONTROLLER = "tcp:192.0.2.1:6653"
OURS = {"external_ids": {"hearth-owner": "br-ex"}}
HOST = (SSH, DEFAULT_ROUTE, "the address 192.0.2.11/24")
STORAGE = ("the address 198.51.100.11/24",)


def card(name, number=1, **fields):
    """Return a network card with a cable in it."""
    plain = {
        "mac": f"02:00:00:00:00:0{number}",
        "mtu": 1500,
        "carrier": True,
        "physical": True,
        "max_mtu": 9216,
    }
    return Nic(name, **{**plain, **fields})


def software(name, kind, **fields):
    """Return a device that software made."""
    return Nic(name, **{"mac": "02:00:00:00:01:01", "mtu": 1500, "kind": kind, "max_mtu": 65535, **fields})


def nics(*more):
    """Return a host with three cards, of which none carries anything."""
    found = [card("eno1"), card("eno2", 2), card("eno3", 3), *more]
    return {nic.name: nic for nic in found}


def carrying_bridge(**columns):
    """Return a database with br-ex, whose uplink eno1 is ours."""
    engine = new_database()
    add_bridge(engine, "br-ex", **columns)
    add_port(engine, "br-ex", "eno1", **OURS)
    return engine


def with_controller(target=CONTROLLER, **columns):
    """Return the carrying bridge with a controller, as Open vSwitch has it."""
    engine = carrying_bridge(**columns)
    inserted = {"op": "insert", "table": "Controller", "row": {"target": target}, "uuid-name": "c"}
    into = {"op": "update", "table": "Bridge", "where": [], "row": {"controller": ["named-uuid", "c"]}}
    assert all("error" not in result for result in engine.transact([inserted, into]))
    return engine


@dataclasses.dataclass
class Scene:
    """A database and devices, to be asked what speaks against a task."""

    engine: object = dataclasses.field(default_factory=new_database)
    nics: dict = dataclasses.field(default_factory=nics)
    answers: dict = dataclasses.field(default_factory=dict)

    @property
    def database(self):
        return read_database(EngineClient(self.engine))

    def change(self, moves="", **params):
        wish = parse_wish({"name": "br-ex", **params})
        return make_change(wish, self.database, self.nics, moves, self.answers)

    def objections(self, moves="", **params):
        wish = parse_wish({"name": "br-ex", **params})
        return object_to(wish, self.database, self.nics, moves, self.answers)

    def names(self, moves="", **params):
        return [objection.name for objection in self.objections(moves, **params)]

    def only(self, moves="", **params):
        """Return the one objection that there is."""
        (found,) = self.objections(moves, **params)
        return found


def carrying(engine=None, words=HOST, **fields):
    """Return a host that hangs on br-ex: its devices are free, its addresses on the bridge."""
    local = software("br-ex", "openvswitch", mac="02:00:00:00:00:01", carries=words, **fields)
    return Scene(engine or carrying_bridge(), nics(local))


def standing_alone(words=HOST, engine=None):
    """Return a host whose addresses are on eno1."""
    return Scene(engine or new_database(), nics(card("eno1", carries=words)))


class Network:
    """Connections that succeed for some targets; what was tried is noted."""

    def __init__(self, *alive):
        self.alive = alive
        self.tried = []

    def __call__(self, target, patience_s):
        assert patience_s == PATIENCE_S
        self.tried.append(target)
        if target not in self.alive:
            raise ConnectionRefusedError
