# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans, tried on the in-memory database server: what a plan foretells is compared with what it does."""

from __future__ import annotations

import fakeovsdb

from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import model, ovsdb
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan import plan, transaction
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_diff import STATUS
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.read import read_database
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.state import state_of

OURS = {"hearth-owner": "br0"}
# What libvirt writes into the external_ids of an interface (20-network-and-storage.md section 1.9).
GUEST = {"attached-mac": "52:54:00:00:00:01", "iface-id": "x", "vm-id": "y", "iface-status": "active"}


def some(*values):
    """Return a column that holds a set."""
    return frozenset(values)


def nic(name, **columns):
    """Return a port that is one device of its own name."""
    return model.PortWish(name, (model.InterfaceWish(name),), columns)


def internal(name, **columns):
    """Return an internal port; the columns are those of its interface."""
    return model.PortWish(name, (model.InterfaceWish(name, {"type": "internal", **columns}),))


def bond(name, *members, **columns):
    """Return a bond."""
    return model.PortWish(name, tuple(model.InterfaceWish(member) for member in members), columns)


def shaped(port, kind, queues=None, **other_config):
    """Return a port with QoS."""
    columns = {"other_config": {key.replace("_", "-"): value for key, value in other_config.items()}}
    return model.PortWish(port, (model.InterfaceWish(port),), {}, model.QosWish(kind, columns, queues or {}))


def wish(*ports, name="br0", **more):
    """Return a wish for a bridge with exactly these ports."""
    return model.Wish(name, ports=ports, **more)


class Switch:
    """A database server, and somebody who applies plans to it."""

    def __init__(self, **columns):
        self.engine = fakeovsdb.new_database(**columns)
        self.client = fakeovsdb.EngineClient(self.engine)

    def read(self):
        return read_database(self.client)

    def plan(self, wanted):
        return plan(self.read(), wanted)

    def send(self, operations):
        """Send operations as the module does."""
        return self.client.transact(transaction(operations))

    def apply(self, wanted):
        """Plan and do it; what is there afterwards must be what was planned, and planning again plans nothing."""
        planned = self.plan(wanted)
        if planned.operations:
            self.send(planned.operations)
        assert state_of(self.read(), wanted) == planned.after
        again = self.plan(wanted)
        assert (again.operations, again.inverse, again.ports) == ((), (), ())
        assert again.after == planned.after
        return planned

    def names(self, table):
        return sorted(row["name"] for row in self.rows(table))

    def rows(self, table):
        return fakeovsdb.rows(self.engine, table)

    def row(self, table, name):
        return fakeovsdb.row(self.engine, table, name)

    def ports(self, bridge="br0"):
        """Return the names of the ports of a bridge but its own."""
        held = self.row("Bridge", bridge)["ports"]
        return sorted(
            row["name"] for row in self.rows("Port") if row["_uuid"] in held and row["name"] != bridge
        )

    def members(self, port):
        """Return the names of the interfaces of a port."""
        held = self.row("Port", port)["interfaces"]
        return sorted(row["name"] for row in self.rows("Interface") if row["_uuid"] in held)


def configuration(database):
    """Return what somebody has configured, by uuid, without what vswitchd makes of it."""
    return {
        (table, row.uuid): {
            column: value
            for column, value in row.columns.items()
            if column not in STATUS.get(table, ()) and column not in ("next_cfg", "cur_cfg")
        }
        for table in model.TABLES
        for row in database.rows(table)
    }


def refused_as_stale(send):
    """Tell whether a transaction found the database other than it was read."""
    try:
        send()
    except ovsdb.Stale:
        return True
    return False
