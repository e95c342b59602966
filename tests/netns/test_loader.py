# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loader on a real kernel: nft and legacy, IPv4 and IPv6."""

from __future__ import annotations

import fcntl
import itertools
import pathlib
import subprocess
import sys
import threading

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "unit/plugins/module_utils/_firewall"))

from conftest import Net
from placements import PLACEMENTS, Placement

from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.bundle import EMPTY, render_bundle
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import parse_save, snapshot

RULES = """\
:HEARTH-EARLY - [0:0]
:HEARTH-INPUT - [0:0]
-A HEARTH-EARLY -i lo -m comment --comment "hearth:loopback -j DROP" -j ACCEPT
-A HEARTH-EARLY -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A HEARTH-INPUT -p tcp -m tcp --dport 22 -m comment --comment "hearth:ssh" -j ACCEPT
-A HEARTH-INPUT -j DROP
"""
DOCKER_RULES = f"""\
:HEARTH-DOCKER - [0:0]
{RULES}-A HEARTH-DOCKER -p tcp -m conntrack --ctorigdstport 8188 -j DROP
"""
JUMPS = "4 INPUT HEARTH-EARLY first\n4 INPUT HEARTH-INPUT last\n6 INPUT HEARTH-EARLY first\n6 INPUT HEARTH-INPUT last\n"
IPV4_JUMPS = "".join(JUMPS.splitlines(keepends=True)[:2])
JUMPS_OF = {4: IPV4_JUMPS, 6: JUMPS[len(IPV4_JUMPS) :]}
DOCKER_JUMPS = f"{JUMPS}4 DOCKER-USER HEARTH-DOCKER first\n"
# What Docker 20.10, libvirt 9.0 and fail2ban 1.0 of Debian 12 put there, put by hand: the chains and where they hang
# are from their sources (moby libnetwork/iptables, libvirt src/network/bridge_driver_linux.c, iptables-multiport.conf).
FOREIGN = """\
*filter
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:LIBVIRT_INP - [0:0]
:f2b-sshd - [0:0]
-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd
-A INPUT -j LIBVIRT_INP
-A INPUT -p tcp -m tcp --dport 8443 -j ACCEPT
-A INPUT -j REJECT
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -j DOCKER
-A DOCKER-USER -j RETURN
-A LIBVIRT_INP -i virbr0 -p udp -m udp --dport 53 -j ACCEPT
-A f2b-sshd -j RETURN
COMMIT
"""
NATIVE = """\
table inet hand_made {
    set friends { type ipv4_addr; elements = { 192.0.2.1, 192.0.2.2 } }
    chain incoming {
        type filter hook input priority 10; policy accept; ip saddr @friends tcp dport { 22, 443 } accept;
    }
}
"""
FAMILIES = pytest.mark.parametrize("family", [4, 6])


def foreign_lines(net: Net, family: int) -> str:
    """What is not ours, with the counters of its rules. Any restore of the legacy tool clears those of policies."""
    lines = (line.partition(" [")[0] for line in net.save(family, "-c").splitlines() if "HEARTH-" not in line)
    return "".join(f"{line}\n" for line in lines)


def standard(net: Net, **files: str) -> str:
    return net.bundle("aaaaaaaaaaaa", **{"rules4": RULES, "rules6": RULES, "jumps": JUMPS, **files})


def test_what_is_loaded_is_what_is_read_back_and_loading_it_again_is_nothing(net: Net) -> None:
    folder = standard(net)
    net.load("load", folder)
    for family in (4, 6):
        saved = net.save(family)
        assert [line for line in saved.splitlines() if line.startswith("-A HEARTH")] == [
            line for line in RULES.splitlines() if line.startswith("-A")
        ]
        assert net.rules(family, "INPUT") == ["-j HEARTH-EARLY", "-j HEARTH-INPUT"]
    count(net)
    before = [net.save(family, "-c") for family in (4, 6)]
    net.load("load", folder)
    assert [net.save(family, "-c") for family in (4, 6)] == before


def count(net: Net) -> None:
    """Let our rules count something."""
    net.run("ip", "link", "set", "lo", "up")
    probe = "import socket\nfor a, f in (('127.0.0.1', 2), ('::1', 10)):\n  socket.socket(f, 2).sendto(b'', (a, 9))"
    net.run(sys.executable, "-c", probe)
    assert "[0:0] -A HEARTH-EARLY -i lo" not in net.save(4, "-c") + net.save(6, "-c")


@FAMILIES
@pytest.mark.parametrize("case", PLACEMENTS, ids=lambda case: case.name)
def test_jumps_go_where_the_prediction_says(net: Net, family: int, case: Placement) -> None:
    net.restore(family, case.before_text)
    made = net.root / "run/hearth/firewall.made"
    made.parent.mkdir(parents=True)
    made.write_text("".join(f"{family} {chain}\n" for chain in case.made))
    folder = net.bundle("aaaaaaaaaaaa", **render_bundle(net.backend, {family: case.wanted}, {}, {}))
    net.load("load", folder)
    assert parse_save(net.save(family)) == parse_save(case.after_text)
    before = net.save(family, "-c")
    net.load("load", folder)
    assert net.save(family, "-c") == before


def test_what_others_own_is_the_same_through_load_change_and_removal(net: Net) -> None:
    if net.kind == "nft":
        net.run("nft", "-f", "-", stdin=NATIVE)
    native = net.run("nft", "list", "table", "inet", "hand_made", check=False).out
    for family in (4, 6):
        net.restore(family, FOREIGN)
    count_foreign(net)
    before = [foreign_lines(net, family) for family in (4, 6)]
    folders = [
        standard(net),
        net.bundle("bbbbbbbbbbbb", rules4=RULES.replace("22", "2222"), jumps=IPV4_JUMPS),
        net.bundle("cccccccccccc", **{**EMPTY, "backend": net.backend}),
    ]
    for folder in folders:
        net.load("load", folder)
        assert [foreign_lines(net, family) for family in (4, 6)] == before
        assert net.run("nft", "list", "table", "inet", "hand_made", check=False).out == native
    assert "HEARTH" not in net.save(4) + net.save(6)


def count_foreign(net: Net) -> None:
    net.run("ip", "link", "set", "lo", "up")
    probe = "import socket\nfor a, f in (('127.0.0.1', 2), ('::1', 10)):\n  s = socket.socket(f, 1)\n"
    net.run(sys.executable, "-c", f"{probe}  s.settimeout(0.1)\n  s.connect_ex((a, 8443))")
    assert "[1:" in foreign_lines(net, 4)
    assert "[1:" in foreign_lines(net, 6)


@pytest.mark.parametrize(
    "broken",
    [
        "-A HEARTH-INPUT --bogus",
        "-A HEARTH-INPUT -j NOWHERE",
        "-A HEARTH-INPUT -m set --match-set nothing src",
    ],
)
def test_broken_rules_change_nothing_in_their_family_and_the_rule_is_named(net: Net, broken: str) -> None:
    net.load("load", standard(net))
    before = net.save(4, "-c")
    new = RULES.replace("22", "2222")
    done = net.load("load", standard(net, rules4=f"{new}{broken}\n", rules6=new), check=False)
    assert done.rc == 1
    assert net.save(4, "-c") == before
    assert "2222" in net.save(6), "the other family is no reason to stop: a rollback goes as far as it can"
    assert "nothing was changed" in done.err
    if "NOWHERE" not in broken:
        assert f"that line is: {broken}" in done.err


def test_a_rule_for_a_chain_of_others_is_not_loaded(net: Net) -> None:
    done = net.load("load", standard(net, rules4=f"{RULES}-A INPUT -j DROP\n"), check=False)
    assert done.rc == 1
    assert "this is no rule of ours: -A INPUT -j DROP" in done.err
    assert "HEARTH" not in net.save(4)


def test_a_broken_file_at_boot_leaves_the_management_zone_its_way_in_and_shouts(net: Net) -> None:
    rescue = ":HEARTH-EARLY - [0:0]\n-A HEARTH-EARLY -s 192.0.2.0/24 -p tcp -m tcp --dport 22 -j ACCEPT\n"
    rescue += "-A HEARTH-EARLY -j DROP\n"
    folder = standard(
        net, rules4=f"{RULES}-A HEARTH-INPUT --bogus\n", rescue4=rescue, policies="4 INPUT DROP\n"
    )
    net.load("commit", folder)
    done = net.load("boot", check=False)
    assert done.rc == 1
    assert net.rules(4, "INPUT") == ["-j HEARTH-EARLY"]
    assert net.rules(4, "HEARTH-EARLY") == [
        "-s 192.0.2.0/24 -p tcp -m tcp --dport 22 -j ACCEPT",
        "-j DROP",
    ]
    assert net.rules(6, "INPUT") == ["-j HEARTH-EARLY", "-j HEARTH-INPUT"]
    failed = (net.root / "run/hearth/firewall.failed").read_text()
    assert "could not be loaded at boot" in failed
    assert "rescue rules are loaded instead" in failed
    assert failed.splitlines()[0] in done.err
    (pathlib.Path(folder) / "rules4").write_text(RULES)
    net.load("boot")
    assert net.rules(4, "INPUT") == ["-j HEARTH-EARLY", "-j HEARTH-INPUT"]
    assert not (net.root / "run/hearth/firewall.failed").exists()


def test_rules_and_rescue_rules_that_are_both_broken_are_said_to_be(net: Net) -> None:
    broken = f"{RULES}-A HEARTH-INPUT --bogus\n"
    net.load("commit", standard(net, rules4=broken, rescue4=broken, rules6=broken))
    done = net.load("boot", check=False)
    assert done.rc == 1
    assert "rescue rules could not be loaded either" in done.err
    assert "There are no rescue rules for IPv6" in done.err


def test_who_holds_the_lock_of_the_legacy_tool_is_waited_for(net: Net) -> None:
    folder = standard(net)
    with (net.root / "xtables.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        timer = threading.Timer(3, fcntl.flock, (lock, fcntl.LOCK_UN))
        timer.start()
        try:
            done = net.load("load", folder)
            # The nft tool takes no lock, and must not hang on it.
            assert timer.is_alive() == (net.kind == "nft")
        finally:
            timer.cancel()
            timer.join()
    assert done.rc == 0
    assert net.rules(4, "INPUT") == ["-j HEARTH-EARLY", "-j HEARTH-INPUT"]


def test_the_hook_of_docker_is_there_before_docker_is_and_leads_somewhere(net: Net) -> None:
    net.restore(4, "*filter\n-A FORWARD -j ACCEPT\nCOMMIT\n")
    before = net.plain(4)
    folder = standard(net, rules4=DOCKER_RULES, jumps=DOCKER_JUMPS, needs="4 DOCKER-USER\n")
    net.load("load", folder)
    assert net.rules(4, "FORWARD") == ["-j DOCKER-USER", "-j ACCEPT"]
    assert net.rules(4, "DOCKER-USER") == ["-j HEARTH-DOCKER"]
    net.load("load", net.bundle("bbbbbbbbbbbb"))
    assert net.plain(4) == before, "a chain that we made for Docker goes with us"


def test_a_hook_that_docker_uses_by_now_stays(net: Net) -> None:
    folder = standard(net, rules4=DOCKER_RULES, jumps=DOCKER_JUMPS, needs="4 DOCKER-USER\n")
    net.load("load", folder)
    net.iptables(4, "-N", "DOCKER")
    net.load("load", net.bundle("bbbbbbbbbbbb"))
    assert net.rules(4, "FORWARD") == ["-j DOCKER-USER"]
    assert net.rules(4, "DOCKER-USER") == []


def test_a_hook_that_others_made_stays(net: Net) -> None:
    net.restore(4, "*filter\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n")
    before = net.plain(4)
    net.load("load", standard(net, rules4=DOCKER_RULES, jumps=DOCKER_JUMPS, needs="4 DOCKER-USER\n"))
    net.load("load", net.bundle("bbbbbbbbbbbb"))
    assert net.plain(4) == before


# moby/moby#48560: the chain was there before dockerd, which then leaves the jump out or puts its own rules above it.
@pytest.mark.parametrize(
    "docker",
    [
        ("-D FORWARD -j DOCKER-USER",),
        ("-N DOCKER", "-I FORWARD 1 -o docker0 -j DOCKER"),
        ("-I DOCKER-USER 1 -j RETURN",),
        ("-F DOCKER-USER", "-A DOCKER-USER -j RETURN"),
        ("-F DOCKER-USER", "-D FORWARD -j DOCKER-USER", "-X DOCKER-USER"),
    ],
)
def test_what_a_start_of_docker_displaces_is_put_back_and_nothing_else_is_touched(
    net: Net, docker: tuple[str, ...]
) -> None:
    folder = standard(net, rules4=DOCKER_RULES, jumps=DOCKER_JUMPS, needs="4 DOCKER-USER\n")
    net.load("load", folder)
    net.iptables(4, "-D", "INPUT", "-j", "HEARTH-INPUT")
    for command in docker:
        net.iptables(4, *command.split())
    net.load("docker")
    assert net.rules(4, "FORWARD")[0] == "-j DOCKER-USER"
    assert net.rules(4, "DOCKER-USER")[0] == "-j HEARTH-DOCKER"
    assert net.rules(4, "INPUT") == ["-j HEARTH-EARLY"], (
        "an apply that nobody has confirmed is none of its business"
    )
    before = net.save(4, "-c")
    net.load("docker")
    assert net.save(4, "-c") == before


def test_a_start_of_docker_on_a_host_without_rules_for_it_does_nothing(net: Net) -> None:
    assert net.load("docker").err == ""
    net.load("load", standard(net))
    before = net.save(4)
    net.load("docker")
    assert net.save(4) == before


@FAMILIES
def test_policies_are_set_and_only_where_they_are_said(net: Net, family: int) -> None:
    net.iptables(family, "-P", "FORWARD", "DROP")
    net.load("load", standard(net, policies=f"{family} INPUT DROP\n"))
    assert net.plain(family).startswith("*filter\n:INPUT DROP\n:FORWARD DROP\n:OUTPUT ACCEPT\n")
    net.load("load", net.bundle("bbbbbbbbbbbb", policies=f"{family} INPUT ACCEPT\n"))
    assert net.plain(family) == "*filter\n:INPUT ACCEPT\n:FORWARD DROP\n:OUTPUT ACCEPT\nCOMMIT\n"


@FAMILIES
def test_a_snapshot_brings_back_the_same_text(net: Net, family: int) -> None:
    net.restore(family, FOREIGN)
    net.load("load", standard(net))
    net.iptables(family, "-I", "INPUT", "3", "-p", "udp", "-j", "ACCEPT")
    net.iptables(family, "-P", "INPUT", "DROP")
    before = net.plain(family)
    kept = {family: snapshot(parse_save(net.save(family)), ["INPUT"])}
    files = {
        f"rules{family}": DOCKER_RULES,
        "jumps": JUMPS_OF[family] + f"{family} DOCKER-USER HEARTH-DOCKER first\n",
    }
    net.load("load", net.bundle("bbbbbbbbbbbb", policies=f"{family} INPUT ACCEPT\n", **files))
    net.iptables(family, "-A", "DOCKER-USER", "-i", "eth9", "-j", "DROP")
    assert "-A DOCKER-USER -j HEARTH-DOCKER\n" in net.plain(family)
    net.load("load", net.bundle("cccccccccccc", **render_bundle(net.backend, kept, {}, {})))
    meanwhile = "-A DOCKER-USER -i eth9 -j DROP\n"
    assert meanwhile in net.plain(family), "what others did meanwhile stays"
    assert net.plain(family).replace(meanwhile, "") == before


@FAMILIES
@pytest.mark.parametrize("kind", ["-j", "-g"])
def test_a_rule_of_others_that_leads_to_us_stops_our_removal_and_is_named(
    net: Net, family: int, kind: str
) -> None:
    net.load("load", standard(net))
    net.restore(family, f"*filter\n:mine - [0:0]\n-A mine -p tcp {kind} HEARTH-INPUT\nCOMMIT\n")
    before = net.save(family)
    done = net.load("load", net.bundle("bbbbbbbbbbbb"), check=False)
    assert done.rc == 1
    assert f"-D mine -p tcp {kind} HEARTH-INPUT" in done.err
    assert net.save(family) == before
    net.load("load", standard(net, rules4=RULES.replace("22", "2222"), rules6=RULES.replace("22", "2222")))
    assert "2222" in net.save(family), "it stands in the way of a removal only"


@FAMILIES
def test_block_lists_are_made_changed_while_in_use_and_removed(net: Net, family: int) -> None:
    name, kind = f"hearth-block{family}", "inet" if family == 4 else "inet6"
    first, second = ("192.0.2.0/24", "198.51.100.7") if family == 4 else ("2001:db8::/32", "2001:db9::7")
    rules = f":HEARTH-EARLY - [0:0]\n-A HEARTH-EARLY -m set --match-set {name} src -j DROP\n"
    create = f"create {name} hash:net family {kind} maxelem 131072\n"
    for member in (first, second):
        files = {f"rules{family}": rules, f"sets{family}": f"{create}add {name} {member}\n"}
        net.load("load", net.bundle("aaaaaaaaaaaa", jumps=f"{family} INPUT HEARTH-EARLY first\n", **files))
        assert [line for line in net.run("ipset", "save").out.splitlines() if line[0] == "a"] == [
            f"add {name} {member}"
        ]
    before = net.run("ipset", "save").out
    files[f"sets{family}"] = f"{create}add {name} {first}\n"
    files[f"rules{family}"] += "-A HEARTH-EARLY --bogus\n"
    assert net.load("load", net.bundle("aaaaaaaaaaaa", **files), check=False).rc == 1
    assert net.run("ipset", "save").out == before, "rules that are not loaded change no list either"
    net.load("load", net.bundle("bbbbbbbbbbbb"))
    assert net.run("ipset", "save").out == ""


def test_a_list_that_a_rule_of_others_uses_stays_and_is_named(net: Net) -> None:
    sets = "create hearth-block4 hash:net family inet\nadd hearth-block4 192.0.2.0/24\n"
    net.load("load", standard(net, sets4=sets))
    net.iptables(4, "-A", "INPUT", "-m", "set", "--match-set", "hearth-block4", "src", "-j", "DROP")
    done = net.load("load", net.bundle("bbbbbbbbbbbb"), check=False)
    assert done.rc == 1
    assert "the list hearth-block4 stays" in done.err


def test_a_killed_load_leaves_nothing_that_stops_the_next(net: Net) -> None:
    sets = "create hearth-block4 hash:net family inet\nadd hearth-block4 192.0.2.0/24\n"
    net.run("ipset", "restore", stdin=sets.replace("block4", "block4-new"))
    net.run("ipset", "create", "hearth-block4", "hash:net")
    net.load("load", standard(net, sets4=sets))
    assert [line for line in net.run("ipset", "save").out.splitlines() if line[0] == "a"] == [
        "add hearth-block4 192.0.2.0/24"
    ]


def test_rules_in_the_other_back_end_do_not_stay(net: Net) -> None:
    other = Net(net.pid, net.root, "legacy" if net.kind == "nft" else "nft")
    net.load("load", standard(net))
    for family in (4, 6):
        net.iptables(family, "-A", "INPUT", "-s", "::1" if family == 6 else "127.0.0.1", "-j", "ACCEPT")
    net.load("load", standard(other))
    for family in (4, 6):
        assert "HEARTH" not in net.save(family)
        assert len(net.rules(family, "INPUT")) == 1
        assert other.rules(family, "INPUT") == ["-j HEARTH-EARLY", "-j HEARTH-INPUT"]


def test_asking_makes_no_table(net: Net) -> None:
    net.load("load", net.bundle("aaaaaaaaaaaa"))
    assert net.run("nft", "list", "ruleset").out == ""
    assert net.run("cat", "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names").out == ""


def test_undo_goes_back_and_forth_and_the_boot_knows(net: Net) -> None:
    policies = {"policies": "4 INPUT DROP\n", "before": "4 INPUT ACCEPT\n"}
    net.load("load", standard(net, **policies))
    net.load("commit", standard(net, **policies))
    second = net.bundle("bbbbbbbbbbbb", rules4=RULES.replace("22", "2222"), jumps=IPV4_JUMPS, **policies)
    net.load("load", second)
    net.load("commit", second)
    tables = [net.plain(family) for family in (4, 6)]
    assert "2222" in tables[0]
    assert "is aaaaaaaaaaaa; it was bbbbbbbbbbbb" in net.load("undo").out
    assert "2222" not in net.save(4)
    assert "HEARTH" in net.save(6)
    net.load("boot")
    assert "2222" not in net.save(4)
    net.load("undo")
    assert [net.plain(family) for family in (4, 6)] == tables


@pytest.mark.parametrize("before", [{}, {"before": "4 INPUT ACCEPT\n"}, {"before": ""}])
def test_undo_of_the_first_firewall_leaves_none_and_locks_nobody_out(
    net: Net, before: dict[str, str]
) -> None:
    folder = standard(net, policies="" if before.get("before") == "" else "4 INPUT DROP\n", **before)
    net.load("load", folder)
    net.load("commit", folder)
    assert "is off; it was aaaaaaaaaaaa" in net.load("undo").out
    assert net.plain(4) == net.plain(6) == "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n"
    assert "nothing is kept" in net.load("boot").err
    net.load("undo")
    assert net.rules(4, "INPUT") == ["-j HEARTH-EARLY", "-j HEARTH-INPUT"]


def test_others_who_insert_while_we_load_are_met_by_looking_again(net: Net) -> None:
    """A restore that lets somebody else insert a rule first: where we look again, our jump is put right."""
    stubs = net.root / "stubs"
    stubs.mkdir()
    real = subprocess.run(
        ("sh", "-c", f"command -v {net.tool(4)}-restore"), text=True, capture_output=True, check=True
    )
    once = net.root / "once"
    (stubs / f"{net.tool(4)}-restore").write_text(
        f"#!/bin/sh\n[ -e {once} ] || {net.tool(4)} -I INPUT 1 -j REJECT\n"
        f': > {once}\nexec {real.stdout.strip()} "$@"\n'
    )
    (stubs / f"{net.tool(4)}-restore").chmod(0o755)
    net.restore(4, "*filter\n-A INPUT -p udp -j ACCEPT\nCOMMIT\n")
    net.load("load", standard(net))
    rules = net.rules(4, "INPUT")
    assert rules[0] == "-j HEARTH-EARLY"
    assert rules.index("-j HEARTH-INPUT") < min(n for n, rule in enumerate(rules) if "REJECT" in rule)


@pytest.mark.parametrize("argv", [(), ("nonsense",), ("load", "a", "b"), ("commit",), ("boot", "now")])
def test_other_words_get_the_manual(net: Net, argv: tuple[str, ...]) -> None:
    done = net.load(*argv, check=False)
    assert done.rc == 2
    assert "hearth-firewall COMMAND" in done.err
    assert all(f"  {word}" in done.err for word in ("load", "boot", "docker", "commit", "undo"))


def test_two_loads_at_once_end_as_one_of_them(net: Net) -> None:
    folders = [
        standard(net),
        net.bundle("bbbbbbbbbbbb", rules4=RULES.replace("22", "2222"), jumps=IPV4_JUMPS),
    ]
    threads = [threading.Thread(target=net.load, args=("load", folder)) for folder in folders * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    saved = net.save(4)
    assert net.rules(4, "INPUT") == ["-j HEARTH-EARLY", "-j HEARTH-INPUT"]
    assert sum(port in saved for port in ("--dport 22 ", "--dport 2222 ")) == 1
    assert len(net.rules(4, "HEARTH-INPUT")) == 2


def test_rules_of_ours_do_not_stay_behind_when_alternatives_change_what_iptables_is(net: Net) -> None:
    def choose(kind: str) -> None:
        for tool, verb in itertools.product(("iptables", "ip6tables"), ("", "-save", "-restore")):
            (net.root / "stubs").mkdir(exist_ok=True)
            (net.root / "stubs" / f"{tool}{verb}").unlink(missing_ok=True)
            (net.root / "stubs" / f"{tool}{verb}").symlink_to(f"/usr/sbin/{tool}-{kind}{verb}")

    choose(net.kind)
    rules = ":HEARTH-EARLY - [0:0]\n-A HEARTH-EARLY -j DROP\n"
    jumps = "4 INPUT HEARTH-EARLY first\n6 INPUT HEARTH-EARLY first\n"
    folder = net.bundle("aaaaaaaaaaaa", backend="iptables\n", rules4=rules, rules6=rules, jumps=jumps)
    net.load("load", folder)
    other = Net(net.pid, net.root, "legacy" if net.kind == "nft" else "nft")
    choose(other.kind)
    net.load("load", folder)
    assert "HEARTH" not in net.save(4) + net.save(6)
    assert "-j DROP" in other.rules(4, "HEARTH-EARLY")
