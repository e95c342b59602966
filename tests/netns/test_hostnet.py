# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's own network moved on to a bridge and back, on a real kernel.

A bridge of the kernel stands for one of Open vSwitch: it takes all that arrives at its port, as that does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from conftest import namespace

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed, run_command
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import Refusal
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.capture import capture
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.model import Capture
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.move import plan_back, plan_move
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet.rollback import rollback_text

NIC, BRIDGE = "eth9", "br-ex"
MAC = "52:54:00:aa:bb:01"
# A fifth of a second on a quiet machine; a busy one lets everybody wait.
LONGEST_GAP_S = 1.5
SCHEMA = os.environ.get("OVS_SCHEMA", "/usr/share/openvswitch/vswitch.ovsschema")

SEGMENT = f"""\
link set lo up
link set {NIC} address {MAC}
link set {NIC} up
"""
# Everything that a person may have put there, in one.
RICH = f"""\
address add 192.0.2.11/24 broadcast 192.0.2.255 dev {NIC}
address add 198.51.100.5/28 dev {NIC} label {NIC}:svc
address add 192.0.2.12/24 dev {NIC}
address add 192.0.2.13/24 dev {NIC} noprefixroute
address add 203.0.113.1 peer 203.0.113.2/32 dev {NIC} metric 77
address add 192.0.2.77/24 dev {NIC} valid_lft 3000 preferred_lft 2000
address add 2001:db8:1::11/64 dev {NIC}
address add 2001:db8:1::12/64 dev {NIC} nodad
address add 2001:db8:2::1/64 dev {NIC} nodad noprefixroute
address add 2001:db8:1::99/64 dev {NIC} nodad valid_lft 5000 preferred_lft 0
address add fe80::1234/64 dev {NIC} nodad
route add default via 192.0.2.1 dev {NIC} metric 100
route add default via 192.0.2.254 dev {NIC} metric 200 proto static
route append default via 192.0.2.253 dev {NIC} metric 200 proto static
route add 198.18.8.0/24 via 192.0.2.3 dev {NIC} src 192.0.2.11 mtu 1300
route add 198.18.9.0/24 via 198.18.55.1 dev {NIC} onlink table 100
route add 198.18.10.0/24 dev {NIC} scope link
route add 198.18.11.0/24 via 198.18.10.1 dev {NIC}
route add 198.18.12.0/24 dev {NIC} proto kernel scope link src 192.0.2.13 metric 1024
route add 198.18.66.0/24 nexthop via 192.0.2.3 dev {NIC} weight 2 nexthop via 192.0.2.4 dev {NIC} weight 1
route add 198.18.67.0/24 via inet6 fe80::1 dev {NIC}
route add unreachable 198.18.99.0/24
route add 198.18.77.0/24 dev wg9 src 192.0.2.11
route add ::/0 via fe80::1 dev {NIC} metric 50
route add 2001:db8:99::/48 via 2001:db8:1::1 dev {NIC} metric 300
route add 2001:db8:98::/48 via fe80::2 dev {NIC} proto ra expires 300 pref high
route add ::/0 from 2001:db8:1::/64 via fe80::1 dev {NIC} table 101
route add 2001:db8:97::/48 nexthop via 2001:db8:1::3 dev {NIC} nexthop via 2001:db8:1::4 dev {NIC}
route add 2001:db8:77::/48 via 2001:db8:1::7 dev {NIC} src 2001:db8:1::12
neigh add 192.0.2.1 lladdr 52:54:00:00:00:01 dev {NIC} nud permanent
neigh add 192.0.2.254 lladdr 52:54:00:00:00:02 dev {NIC} nud reachable
"""
RULES4 = f"""\
rule add from 192.0.2.11 lookup 100 pref 1000
rule add iif {NIC} fwmark 0x10/0xff lookup 100 pref 1001
rule add not from 198.51.100.0/28 to 198.18.0.0/15 oif {NIC} ipproto tcp dport 80-90 lookup 100 pref 1002 protocol 4
"""
RULES6 = f"""\
rule add from 2001:db8:1::/64 lookup 101 pref 1000
rule add from ::/0 iif {NIC} lookup 101 pref 1001
"""
ECHO = """
import socket, threading
def serve(one):
    while True:
        data = one.recv(100)
        if not data: return
        one.sendall(data)
listener = socket.create_server(("::", 2222), family=socket.AF_INET6, dualstack_ipv6=True)
print(flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
# One byte each 5 ms; at the end, the longest time that one was on its way.
SESSION = """
import socket, sys, time, select
line = socket.create_connection((sys.argv[1], 2222), 5)
line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print(flush=True)
worst = 0.0
while not select.select([sys.stdin], [], [], 0.005)[0]:
    begun = time.monotonic()
    line.sendall(b"x")
    line.settimeout(20)
    assert line.recv(1) == b"x"
    worst = max(worst, time.monotonic() - begun)
print(worst, flush=True)
"""


@dataclasses.dataclass
class Gap:
    """How long a session was silent."""

    worst_s: float = 0.0


class Machine:
    """A host in a namespace, with a card on a wire to a peer in another one."""

    def __init__(self, pid: int, peer: int) -> None:
        self.pid = pid
        self.peer = peer
        self.host = Host(run=self.run, environ={}.get)

    def run(
        self, argv: t.Sequence[str], *, stdin: str | None = None, timeout_s: float = 60, check: bool = True
    ) -> Completed:
        inside = ("nsenter", f"--net=/proc/{self.pid}/ns/net", *argv)
        return run_command(inside, stdin=stdin, timeout_s=timeout_s, check=check)

    def ip(self, lines: str) -> None:
        self.run(("ip", "-batch", "-"), stdin=lines)

    def sh(self, script: str) -> None:
        self.run(("sh",), stdin=script)

    def popen(self, pid: int, program: str, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ("nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-c", program, *words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @contextlib.contextmanager
    def session(self, address: str) -> t.Iterator[Gap]:
        """Hold a session from the peer, and tell afterwards how long it was silent at most."""
        gap = Gap()
        with self.popen(self.pid, ECHO) as server:
            assert server.stdout
            server.stdout.readline()
            with self.popen(self.peer, SESSION, address) as client:
                assert client.stdout
                assert client.stdin
                client.stdout.readline()
                try:
                    yield gap
                finally:
                    client.stdin.close()
                    gap.worst_s = float(client.stdout.readline() or "inf")
                    server.kill()

    def to_bridge(self) -> None:
        """Do what the transaction of Open vSwitch does: from now on the card has nothing for the host."""
        self.ip(
            f"link add {BRIDGE} type bridge forward_delay 0\nlink set {BRIDGE} address {MAC}\n"
            f"link set {NIC} master {BRIDGE}\n"
        )

    def settle(self) -> None:
        """Wait until no address is still looked for on the wire."""
        until = time.monotonic() + 10
        while self.run(("ip", "-6", "-o", "address", "show", "tentative")).out:
            assert time.monotonic() < until
            time.sleep(0.1)

    def everything(self) -> str:
        """Return all that ip shows, with one name for card and bridge and without what counts down."""
        shown = [
            self.run(("ip", *words.split())).out
            for words in ("-4 route show table all", "-6 route show table all", "-4 rule", "-6 rule")
        ]
        return re.sub(r" expires \d+sec", "", "\n".join(sorted("\n".join(shown).splitlines())))


@pytest.fixture
def machine() -> t.Iterator[Machine]:
    with namespace() as pid, namespace() as peer:
        made = Machine(pid, peer)
        made.ip(f"link add {NIC} type veth peer name p9\nlink set p9 netns {peer}\n{SEGMENT}")
        subprocess.run(
            ("nsenter", f"--net=/proc/{peer}/ns/net", "ip", "-batch", "-"),
            input="link set lo up\nlink set p9 up\naddress add 192.0.2.1/24 dev p9\n"
            "address add 2001:db8:1::1/64 dev p9 nodad\n",
            text=True,
            check=True,
        )
        yield made


@pytest.fixture
def rich(machine: Machine) -> Machine:
    machine.ip("link add wg9 type veth peer name wg8\nlink set wg9 up\nlink set wg8 up\n")
    machine.settle()
    addresses, routes = RICH.split("route add", 1)
    machine.ip(addresses)
    machine.settle()
    machine.ip(f"route add{routes}")
    machine.ip(RULES4)
    machine.run(("ip", "-6", "-batch", "-"), stdin=RULES6)
    machine.sh(
        f"echo 2 > /proc/sys/net/ipv4/conf/{NIC}/rp_filter; echo 1 > /proc/sys/net/ipv4/conf/{NIC}/arp_ignore;"
        f"echo 0 > /proc/sys/net/ipv6/conf/{NIC}/accept_ra"
    )
    return machine


class Switch:
    """Open vSwitch of the machine's own, with the datapath that needs no module of the kernel."""

    def __init__(self, machine: Machine, folder: pathlib.Path) -> None:
        self.machine = machine
        self.folder = folder
        self.environ = [f"OVS_{name}DIR={folder}" for name in ("RUN", "LOG", "DB", "SYSCONF")]
        self("ovsdb-tool", "create", f"{folder}/conf.db", SCHEMA)
        self.start()

    def __call__(self, *argv: str, stdin: str | None = None, check: bool = True) -> Completed:
        words = ("env", "-C", str(self.folder), *self.environ, f"HEARTH_ROOT={self.folder}", *argv)
        return self.machine.run(words, stdin=stdin, check=check)

    def start(self) -> None:
        options = ("--detach", "--no-chdir", "--log-file")
        for name, words in (
            ("ovsdb-server", (f"{self.folder}/conf.db", f"--remote=punix:{self.folder}/db.sock")),
            ("ovs-vswitchd", (f"unix:{self.folder}/db.sock",)),
        ):
            if not (self.folder / f"{name}.pid").exists():
                files = (f"--pidfile={self.folder}/{name}.pid", f"--unixctl={self.folder}/{name}.ctl")
                self(name, *words, *files, *options)
        self.vsctl("--no-wait", "init")

    def stop(self, *names: str) -> None:
        """Kill daemons, as a loss of power does."""
        for name in names:
            file = self.folder / f"{name}.pid"
            if file.exists():
                pid = int(file.read_text())
                os.kill(pid, signal.SIGKILL)
                while pathlib.Path(f"/proc/{pid}").exists():
                    time.sleep(0.05)
                file.unlink()

    def vsctl(self, *words: str) -> str:
        return self("ovs-vsctl", "-t", "10", *words).out.strip()

    def moved(self) -> tuple[Capture, str]:
        """Move to a bridge; return what was on the card, and what ip said then."""
        before, shown = found(self.machine, NIC), self.machine.everything()
        self.vsctl(
            *("--may-exist", "add-br", BRIDGE, "--", "set", "Bridge", BRIDGE, "datapath_type=netdev"),
            *(f'other_config:hwaddr="{MAC}"', "--", "add-port", BRIDGE, NIC),
        )
        plan = plan_move(before, BRIDGE)
        self.machine.sh(plan.script)
        assert {one.local for one in before.addresses} <= {
            one.local for one in found(self.machine, BRIDGE).addresses
        }
        return before, shown

    def removal(self) -> dict[str, t.Any]:
        """Return the operation that removes the bridge."""
        mutation = ["bridges", "delete", ["uuid", self.vsctl("get", "Bridge", BRIDGE, "_uuid")]]
        return {"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [mutation]}

    def roll_back(self, script: str, mode: str = "now", check: bool = True) -> int:
        """Run a rollback as the guard does."""
        return self("sh", "-s", mode, stdin=script, check=check).rc


@pytest.fixture
def switch(rich: Machine, tmp_path: pathlib.Path) -> t.Iterator[Switch]:
    if shutil.which("ovs-vswitchd", path="/usr/sbin:/sbin:" + os.environ["PATH"]) is None:
        pytest.skip("Open vSwitch is not installed; its package would start daemons on this machine")
    made = Switch(rich, tmp_path)
    try:
        yield made
    finally:
        made.stop("ovs-vswitchd", "ovsdb-server")


def found(machine: Machine, device: str) -> Capture:
    return capture(machine.host, device)


def differences(one: Capture, other: Capture) -> list[str]:
    """Return what is not the same, in few lines."""
    found = []
    for field in (field.name for field in dataclasses.fields(Capture) if field.compare):
        here, there = getattr(one, field), getattr(other, field)
        if isinstance(here, tuple):
            found += [f"{field}: only here {item}" for item in here if item not in there]
            found += [f"{field}: only there {item}" for item in there if item not in here]
        if here != there and not isinstance(here, tuple):
            found.append(f"{field}: {here} / {there}")
    assert bool(found) or one == other
    return found


def order(capture: Capture) -> list[str]:
    """Return the addresses in the order in which the kernel chooses among them."""
    return [one.local for one in capture.every_address if not one.local.startswith("fe80:")]


def moved(machine: Machine) -> Capture:
    """Move to the bridge; return what was on the card."""
    before = found(machine, NIC)
    machine.to_bridge()
    machine.sh(plan_move(before, BRIDGE).script)
    return before


def test_everything_is_the_same_on_the_bridge_and_on_the_card_again(rich: Machine) -> None:
    shown = rich.everything()
    before = found(rich, NIC)
    assert before.unknown == ()
    plan = plan_move(before, BRIDGE)
    rich.to_bridge()
    rich.sh(plan.script)
    assert differences(found(rich, BRIDGE), plan.after) == []
    assert order(found(rich, BRIDGE)) == order(before)
    assert found(rich, NIC).carries is False
    there = found(rich, BRIDGE)
    back = plan_back(there, NIC)
    rich.ip(f"link delete {BRIDGE}\n")
    rich.sh(back.script)
    assert differences(found(rich, NIC), before) == []
    assert order(found(rich, NIC)) == order(before)
    assert back.after == before
    assert rich.everything() == shown


def test_settings_of_the_card_go_with_it_and_stay_at_the_card(rich: Machine) -> None:
    before = moved(rich)
    assert {name: before.sysctls[name] for name in ("ipv4/conf/%/rp_filter", "ipv4/conf/%/arp_ignore")} == {
        "ipv4/conf/%/rp_filter": "2",
        "ipv4/conf/%/arp_ignore": "1",
    }
    assert found(rich, BRIDGE).sysctls == before.sysctls
    assert found(rich, NIC).sysctls == {**before.sysctls, "ipv6/conf/%/disable_ipv6": "1"}


@pytest.mark.parametrize("address", ["192.0.2.11", "2001:db8:1::11"])
def test_a_session_survives_the_move_and_the_move_back(machine: Machine, address: str) -> None:
    machine.ip(f"address add 192.0.2.11/24 dev {NIC}\naddress add 2001:db8:1::11/64 dev {NIC} nodad\n")
    machine.ip("route add default via 192.0.2.1\nroute add ::/0 via 2001:db8:1::1\n")
    machine.settle()
    with machine.session(address) as gap:
        before = moved(machine)
        time.sleep(0.3)
        back = plan_back(found(machine, BRIDGE), NIC)
        machine.ip(f"link delete {BRIDGE}\n")
        machine.sh(back.script)
        time.sleep(0.3)
    assert differences(found(machine, NIC), before) == []
    assert gap.worst_s < LONGEST_GAP_S


def test_a_move_that_is_done_twice_is_done_once(rich: Machine) -> None:
    before = moved(rich)
    rich.sh(plan_move(before, BRIDGE).script)
    assert differences(found(rich, BRIDGE), before.on(BRIDGE)) == []


def test_a_move_that_is_killed_anywhere_is_taken_back(rich: Machine, tmp_path: pathlib.Path) -> None:
    before, shown = found(rich, NIC), rich.everything()
    script, rollback = plan_move(before, BRIDGE).script, rollback_text(before, BRIDGE, NIC)
    rich.to_bridge()
    for tenths in range(1, 40, 3):
        # All that the shell has started is in its session, and dies with it.
        killed = f"setsid timeout -s KILL {tenths / 100} sh -c {shlex.quote(script)}; :"
        rich.run(("sh", "-c", killed), check=False)
        rich.run(("env", f"OVS_DBDIR={tmp_path}", "sh", "-s", "now"), stdin=rollback)
        assert differences(found(rich, NIC), before) == [], f"killed after {tenths / 100} s"
        rich.settle()
        extra = set(rich.everything().splitlines()) ^ set(shown.splitlines())
        # The bridge is up, which is all that is left of it.
        assert {
            line for line in extra if not re.match(r"(multicast ff00::/8|(local )?fe80::\S+) dev br-ex", line)
        } == set()


def test_a_move_to_a_bridge_that_is_not_there_changes_nothing(rich: Machine) -> None:
    before, shown = found(rich, NIC), rich.everything()
    assert rich.run(("sh",), stdin=plan_move(before, BRIDGE).script, check=False).rc == 1
    assert (found(rich, NIC), rich.everything()) == (before, shown)


@pytest.mark.parametrize("kind", ["macvlan", "vxlan id 7 dstport 4789"])
def test_a_device_on_top_of_the_card_is_refused_by_its_name(machine: Machine, kind: str) -> None:
    on_top = f"dev {NIC}" if kind.startswith("vxlan") else ""
    below = "" if on_top else f"link {NIC}"
    machine.ip(f"link add {below} name top9 type {kind} {on_top}\n")
    with pytest.raises(Refusal, match="top9"):
        plan_move(found(machine, NIC), BRIDGE)


def test_a_device_that_is_not_there_is_refused(machine: Machine) -> None:
    with pytest.raises(Refusal, match="no network device nic7"):
        capture(machine.host, "nic7")


# --- rollback, on Open vSwitch ---------------------------------------------------------------


def test_a_rollback_brings_back_card_and_switch(switch: Switch) -> None:
    before, shown = switch.moved()
    switch.roll_back(rollback_text(before, BRIDGE, NIC))
    assert switch.vsctl("list-br") == ""
    assert (found(switch.machine, NIC), switch.machine.everything()) == (before, shown)


def test_a_rollback_may_be_repeated_and_need_not_have_been_needed(switch: Switch) -> None:
    before, shown = found(switch.machine, NIC), switch.machine.everything()
    for _again in range(2):
        switch.roll_back(rollback_text(before, BRIDGE, NIC))
    assert (found(switch.machine, NIC), switch.machine.everything()) == (before, shown)


def test_a_rollback_leaves_a_bridge_that_was_there_before_as_it_was(switch: Switch) -> None:
    switch.vsctl("add-br", BRIDGE, "--", "set", "Bridge", BRIDGE, "datapath_type=netdev")
    switch.machine.ip(f"address add 203.0.113.77/24 dev {BRIDGE}\n")
    before, _shown = switch.moved()
    switch.roll_back(rollback_text(before, BRIDGE, NIC, [("--if-exists", "del-port", BRIDGE, NIC)]))
    assert switch.vsctl("list-ports", BRIDGE) == ""
    assert differences(found(switch.machine, NIC), before) == []
    assert [one.local for one in found(switch.machine, BRIDGE).addresses if one.family == 4] == [
        "203.0.113.77"
    ]


def test_a_rollback_does_operations_of_the_database_once(switch: Switch) -> None:
    before, _shown = switch.moved()
    script = rollback_text(before, BRIDGE, NIC, [switch.removal()])
    for _again in range(2):
        switch.roll_back(script)
    assert switch.vsctl("list-br") == ""
    assert differences(found(switch.machine, NIC), before) == []


def test_an_operation_that_the_database_refuses_fails_the_rollback_but_not_the_rest_of_it(
    switch: Switch,
) -> None:
    before, _shown = switch.moved()
    script = rollback_text(before, BRIDGE, NIC, [{"op": "delete", "table": "Nothing", "where": []}])
    assert switch.roll_back(script, check=False) == 1
    assert differences(found(switch.machine, NIC), before) == []


@pytest.mark.parametrize("dead", ["ovs-vswitchd", "ovsdb-server", "both"])
def test_a_rollback_needs_no_daemon(switch: Switch, dead: str) -> None:
    before, _shown = switch.moved()
    switch.stop(*(("ovs-vswitchd", "ovsdb-server") if dead == "both" else (dead,)))
    switch.roll_back(rollback_text(before, BRIDGE, NIC))
    assert differences(found(switch.machine, NIC), before) == []
    switch.stop("ovs-vswitchd")
    switch.start()
    assert switch.vsctl("list-br") == ""


@pytest.mark.parametrize("by", ["commands", "operations"])
def test_after_a_reboot_the_switch_has_let_go_of_the_card_before_its_daemons_start(
    switch: Switch, by: str
) -> None:
    before, _shown = switch.moved()
    steps = [switch.removal()] if by == "operations" else []
    switch.stop("ovs-vswitchd", "ovsdb-server")
    switch.machine.ip(f"address flush dev {NIC}\n")
    switch.roll_back(rollback_text(before, BRIDGE, NIC, steps), "boot")
    assert found(switch.machine, NIC).every_address == (), "the manager of the card gives it its addresses"
    assert sorted(path.name for path in (switch.folder / "run/hearth").iterdir()) == []
    switch.start()
    assert switch.vsctl("list-br") == ""


def test_at_boot_a_switch_that_is_no_longer_installed_is_no_fault(
    switch: Switch, tmp_path: pathlib.Path
) -> None:
    before = found(switch.machine, NIC)
    switch.stop("ovs-vswitchd", "ovsdb-server")
    (switch.folder / "conf.db").unlink()
    switch.roll_back(rollback_text(before, BRIDGE, NIC), "boot")


def test_a_bridge_that_was_removed_comes_back_with_its_addresses(switch: Switch) -> None:
    switch.moved()
    before = found(switch.machine, BRIDGE)
    add = [("--may-exist", "add-br", BRIDGE), ("set", "Bridge", BRIDGE, "datapath_type=netdev")]
    add += [
        ("set", "Bridge", BRIDGE, f'other_config:hwaddr="{MAC}"'),
        ("--may-exist", "add-port", BRIDGE, NIC),
    ]
    switch.vsctl("del-br", BRIDGE)
    switch.machine.sh(plan_back(before, NIC).script)
    switch.roll_back(rollback_text(before, BRIDGE, NIC, add))
    assert switch.vsctl("list-ports", BRIDGE).strip() == NIC
    assert differences(found(switch.machine, BRIDGE), before) == []
    assert not found(switch.machine, NIC).carries
