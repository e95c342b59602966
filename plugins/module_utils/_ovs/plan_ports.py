# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to the collection: may change in any release.
"""Draw the ports of a wish: what is there is changed in place, what holds a name elsewhere is asked about. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.model import (
    BRIDGE,
    GUEST_PORTS,
    INTERFACE,
    PORT,
    STEAL,
    InterfaceWish,
    PortWish,
    Wish,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_columns import Rules
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_draft import Draft
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.plan_qos import draw_qos
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.purge import (
    goes,
    guest_evidence,
    unlisted,
)

_USUAL_MTU = 1500


class Ports:
    """The ports of one bridge on a draft."""

    def __init__(self, draft: Draft, bridge: str, wish: Wish, warnings: list[str]) -> None:
        self._draft = draft
        self._bridge = bridge
        self._wish = wish
        self._rules = Rules(wish.name, wish.replace)
        self._warnings = warnings
        self._listed = {port.name for port in wish.ports or ()} | {wish.name}

    def draw(self) -> None:
        """Draw the port of the bridge itself, and the listed ones if ports are managed.

        :raises Refusal: a name is taken elsewhere, or a bond would lose what makes it one.
        """
        self._draw_local()
        if self._wish.ports is not None:
            # What goes makes room for the names of what comes.
            self._purge()
            for port in self._wish.ports:
                self._draw_port(port)
        self._keep_local_mtu()

    def _draw_local(self) -> None:
        found = self._draft.find(PORT, self._wish.name)
        local = self._wish.local or InterfaceWish(self._wish.name)
        if not found:
            local = InterfaceWish(local.name, {"type": "internal", **local.columns})
            self._place(PortWish(self._wish.name, (local,)))
        elif self._wish.local is not None:
            self._draw_interfaces(PortWish(self._wish.name, (local,)), found)

    def _purge(self) -> None:
        ports, interfaces = self._draft.rows(PORT), self._draft.rows(INTERFACE)
        on_bridge = self._draft.row(BRIDGE, self._bridge).get("ports", frozenset())
        for row in unlisted(on_bridge, ports, self._listed):
            evidence = guest_evidence(ports[row], interfaces)
            if goes(ports[row], interfaces, self._wish):
                self._draft.let_go(PORT, row)
            elif evidence and self._rules.marks(ports[row]):
                self._warnings.append(
                    f"Port {ports[row]['name']} of {self._wish.name} is no longer listed and carries our mark, but"
                    f" {evidence} says that it belongs to a guest: it stays. allow: [{GUEST_PORTS}] lets it go."
                )

    def _draw_port(self, port: PortWish) -> None:
        self._refuse_bridge(port.name)
        found = self._draft.find(PORT, port.name)
        holder = self._draft.holder(PORT, found) if found else ""
        if holder and holder != self._bridge:
            self._refuse_theft(f"Port {port.name}", self._name(BRIDGE, holder), found)
            self._draft.let_go(PORT, found)
        self._place(port)

    def _place(self, port: PortWish) -> None:
        """Put a port on the bridge with all that it has, in the row of its name if there is one."""
        found = self._draft.find(PORT, port.name) or self._draft.add(PORT, port.name, {"name": port.name})
        self._refuse_shrinking(port, found)
        self._draft.change(PORT, found, self._rules.target(PORT, self._draft.row(PORT, found), port.columns))
        self._draft.hold(PORT, self._bridge, found)
        self._draw_interfaces(port, found)
        if port.qos is not None:
            self._warnings.extend(draw_qos(self._draft, self._rules, found, port.qos))

    def _draw_interfaces(self, port: PortWish, holder: str) -> None:
        rows = frozenset(self._draw_interface(interface, holder) for interface in port.interfaces)
        self._draft.change(PORT, holder, {"interfaces": rows})

    def _draw_interface(self, interface: InterfaceWish, port: str) -> str:
        self._refuse_bridge(interface.name)
        found = self._draft.find(INTERFACE, interface.name)
        if found:
            self._free(interface.name, found, port)
        else:
            found = self._draft.add(INTERFACE, interface.name, {"name": interface.name})
        current = self._draft.row(INTERFACE, found)
        self._draft.change(INTERFACE, found, self._rules.target(INTERFACE, current, interface.columns))
        return found

    def _free(self, name: str, row: str, port: str) -> None:
        """Take an interface from the port that has it now, unless that one is about to lose it anyway."""
        holder = self._draft.holder(INTERFACE, row)
        if not holder or holder == port:
            return
        bridge = self._draft.holder(PORT, holder)
        owner = self._name(PORT, holder)
        left = self._draft.row(PORT, holder)["interfaces"] - {row}
        if bridge and owner not in self._listed:
            what = f"{self._name(BRIDGE, bridge)}, in its port {owner}"
            self._refuse_theft(f"Interface {name}", what, holder)
            if len(left) == 1:
                raise Refusal(
                    f"Without {name} the bond {owner} of {self._name(BRIDGE, bridge)} has one member only,"
                    " and one that is alone is a plain port with the settings of a bond.",
                    remedy=f"remove {owner} there first, or leave {name} to it",
                )
            if not left:
                self._draft.let_go(PORT, holder)
        self._draft.let_go(INTERFACE, row)

    def _refuse_bridge(self, name: str) -> None:
        if name != self._wish.name and self._draft.find(BRIDGE, name):
            raise Refusal(
                f"{name} cannot be a port of {self._wish.name}: it is a bridge.",
                remedy="join two bridges by a pair of patch ports",
            )

    def _refuse_theft(self, what: str, where: str, port: str) -> None:
        if STEAL not in self._wish.allow:
            raise Refusal(
                f"{what} is on the bridge {where}; nothing can be in two places.",
                remedy=f"remove it there, or move it to {self._wish.name} with allow: [{STEAL}]",
            )
        evidence = guest_evidence(self._draft.row(PORT, port), self._draft.rows(INTERFACE))
        if evidence and GUEST_PORTS not in self._wish.allow:
            raise Refusal(
                f"{what} is on the bridge {where}, and {evidence} says that it belongs to a guest.",
                remedy=f"move the guest with the tool that runs it, or take it with allow: [{STEAL}, {GUEST_PORTS}]",
            )

    def _refuse_shrinking(self, port: PortWish, found: str) -> None:
        members = self._draft.row(PORT, found).get("interfaces", frozenset())
        if len(members) > 1 and len(port.interfaces) == 1:
            names = ", ".join(sorted(self._name(INTERFACE, row) for row in members))
            raise Refusal(
                f"Port {port.name} is a bond of {names}; with one interface it would be a plain port that carries"
                " the settings of a bond.",
                remedy=f"name at least two members; or run without {port.name} first, then list"
                f" {port.interfaces[0].name} as a port of its own",
            )

    def _keep_local_mtu(self) -> None:
        """Give the bridge's own port the MTU that it has, before the one of another internal port lowers it."""
        row = self._draft.find(INTERFACE, self._wish.name)
        local = self._draft.row(INTERFACE, row)
        if local.get("mtu_request") or (self._wish.local and "mtu_request" in self._wish.local.columns):
            return
        mtu = max(local.get("mtu") or {_USUAL_MTU})
        if any(wanted < mtu for wanted in _internal_mtus(self._wish)):
            self._draft.change(INTERFACE, row, {"mtu_request": frozenset((mtu,))})

    def _name(self, table: str, row: str) -> str:
        return str(self._draft.row(table, row).get("name", ""))


def _internal_mtus(wish: Wish) -> t.Iterator[int]:
    for port in wish.ports or ():
        for interface in port.interfaces:
            if interface.columns.get("type") == "internal":
                yield from interface.columns.get("mtu_request") or ()
