# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is wished for in whatever order: a plan does what it foretells, and can be taken back."""

from __future__ import annotations

import fakeovsdb
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planning import GUEST, Switch, configuration, state_of

from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import model
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs.state import show

NAMES = ("e1", "e2", "e3", "e4")
maps = st.dictionaries(
    st.sampled_from(("a", "b", "c")), st.none() | st.sampled_from(("1", "x=y, z", "true")), max_size=2
)
optional_vlan = st.frozensets(st.integers(1, 3), max_size=1)


def columns(**strategies):
    return st.fixed_dictionaries({}, optional=strategies)


interfaces = columns(
    type=st.sampled_from(("", "system", "internal")),
    mtu_request=st.sampled_from((frozenset(), frozenset([1400]), frozenset([9000]))),
    options=maps,
    external_ids=maps,
)
queues = st.dictionaries(
    st.integers(0, 2), columns(dscp=st.frozensets(st.integers(0, 3), max_size=1), other_config=maps)
)
qos = st.none() | st.builds(
    model.QosWish, st.sampled_from(("", "linux-htb", "linux-hfsc")), columns(other_config=maps), queues
)


@st.composite
def ports(draw):
    """Draw ports with names and members that are there once."""
    free, found = list(NAMES), []
    for name in draw(st.permutations(NAMES))[: draw(st.integers(0, 3))]:
        size = draw(st.sampled_from((1, 1, 2)))
        members = free[:size] if size == 2 or name not in free else [name]
        if len(members) < size:
            continue
        free = [other for other in free if other not in members]
        wishes = tuple(model.InterfaceWish(member, draw(interfaces)) for member in members)
        own = columns(tag=optional_vlan, trunks=st.frozensets(st.integers(1, 5)), external_ids=maps)
        found.append(model.PortWish(name, wishes, draw(own), draw(qos)))
    return tuple(found)


def mirrors_of(found):
    names = ["br0", *(port.name for port in found or ())]
    some = st.frozensets(st.sampled_from(names), max_size=2)
    mirror = st.builds(
        model.MirrorWish, st.sampled_from(("m0", "m1")), columns(select_src_port=some, output_port=some)
    )
    single = mirror.filter(lambda one: len(one.columns.get("output_port", ())) < 2)
    return st.none() | st.lists(single, max_size=2, unique_by=lambda one: one.name).map(tuple)


@st.composite
def wishes(draw):
    found = draw(st.none() | ports())
    return model.Wish(
        draw(st.sampled_from(("br0", "br0", "br1"))),
        present=draw(st.sampled_from((True, True, True, False))),
        bridge=draw(
            columns(
                datapath_type=st.sampled_from(("system", "netdev")),
                fail_mode=st.sampled_from((frozenset(), frozenset(["standalone"]), frozenset(["secure"]))),
                stp_enable=st.booleans(),
                protocols=st.frozensets(st.sampled_from(("OpenFlow10", "OpenFlow13"))),
                other_config=maps,
                external_ids=maps,
            )
        ),
        ports=found,
        mirrors=None if found is None else draw(mirrors_of(found)),
        controllers=draw(st.none() | st.sampled_from(((), ("tcp:192.0.2.1",), ("ptcp:", "tcp:192.0.2.1")))),
        purge=draw(st.sampled_from((model.NONE, model.OWNED, model.ALL))),
        replace=draw(
            st.frozensets(st.sampled_from(("Bridge.other_config", "Port.external_ids", "QoS.other_config")))
        ),
        allow=draw(st.sampled_from((frozenset(), frozenset(model.LIFTABLE)))),
    )


def prepared(draw_guest):
    """Return a switch that others have configured before."""
    switch = Switch()
    fakeovsdb.add_bridge(switch.engine, "br1", other_config={"a": "0"}, flood_vlans=frozenset([1, 2]))
    fakeovsdb.add_port(switch.engine, "br1", "e1", tag=frozenset([9]), external_ids={"b": "0"})
    fakeovsdb.add_port(switch.engine, "br1", "e9", members=["e3", "e7", "e8"])
    if draw_guest:
        fakeovsdb.add_port(switch.engine, "br1", "e2", {"external_ids": GUEST})
    return switch


def planned_or_refused(switch, wanted):
    try:
        return switch.plan(wanted)
    except Refusal as refusal:
        assert refusal.remedy
        return None


@settings(max_examples=40)
@given(st.lists(wishes(), min_size=1, max_size=4), st.booleans())
def test_a_plan_does_what_it_foretells_and_is_taken_back_whole(wanted, guest):
    switch = prepared(guest)
    for wish in wanted:
        before = configuration(switch.read())
        planned = planned_or_refused(switch, wish)
        if planned is None:
            continue
        assert bool(planned.operations) == bool(planned.inverse)
        assert bool(planned.operations) or state_of(switch.read(), wish) == planned.after
        # There and back: the very rows are there again.
        if planned.operations:
            switch.send(planned.operations)
            switch.send(planned.inverse)
            assert configuration(switch.read()) == before
        assert switch.apply(wish).after == planned.after
        assert show(planned.after) == show(state_of(switch.read(), wish))


@settings(max_examples=20)
@given(wishes(), wishes())
def test_guests_and_what_others_marked_stay(first, second):
    switch = prepared(draw_guest=True)
    fakeovsdb.add_port(switch.engine, "br1", "vnet0", {"external_ids": GUEST})
    for wish in (first, second):
        assume(wish.present)
        if planned_or_refused(switch, wish) is not None:
            switch.apply(wish)
    assert "vnet0" in switch.ports("br1")
