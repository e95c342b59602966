# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says of its packet filter."""

from __future__ import annotations

import os
import pathlib
import subprocess
import tempfile
import typing as t

import pytest

from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.backend import Backend
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import Caller
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.read import (
    OtherFirewall,
    parse_connection,
    plain_set,
    read_caller,
    read_kernel,
    read_other_firewalls,
    read_tables,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host

# Printed by iptables-nft-save, ip6tables-nft-save 1.8.9 and ipset 7.17 of Debian 12, in an empty network namespace.
# The members are made up.
TABLE = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n# Completed on Sun Nov 22 11:42:40 2026\n"
SET = """\
create hearth-block4 hash:net family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0xfc56b7ec
add hearth-block4 192.0.2.4
add hearth-block4 198.51.100.0/24
"""


class Machine:
    """A root to fill, and a runner that notes what is run and prints one text."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.called: list[tuple[str, ...]] = []
        self.out = ""

    @property
    def host(self) -> Host:
        def run(argv: t.Sequence[str], **_options: t.Any) -> Completed:
            self.called.append(tuple(argv))
            return Completed(0, self.out, "")

        return Host(root=str(self.root), run=run, environ=lambda _name: None)

    def write(self, path: str, text: str | bytes) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())

    def link(self, path: str, target: str) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)

    def process(self, pid: int, parent: int, *environ: str, name: str = "sh") -> None:
        self.write(f"/proc/{pid}/environ", b"\0".join(word.encode() for word in environ) + b"\0")
        self.write(f"/proc/{pid}/stat", f"{pid} ({name}) S {parent} 1 1 0 -1\n")


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Machine:
    return Machine(tmp_path)


def test_who_may_not_read_the_tables_does_not_take_them_for_empty() -> None:
    # Not below tmp_path, which nobody else may enter.
    with tempfile.NamedTemporaryFile() as names:
        os.fchmod(names.fileno(), 0)

        def as_nobody(argv: t.Sequence[str], **_options: t.Any) -> Completed:
            words = [names.name if word.startswith("/proc/net/ip") else word for word in argv]
            who: dict[str, t.Any] = {"user": 65534, "extra_groups": ()} if os.geteuid() == 0 else {}
            done = subprocess.run(words, **who, cwd="/", capture_output=True, text=True, check=False)
            return Completed(done.returncode, done.stdout, done.stderr)

        backend = Backend("iptables-legacy", "ip6tables-legacy", "legacy")
        with pytest.raises(CommandError, match="cannot be read") as caught:
            read_kernel(Host(run=as_nobody), backend)
    assert "become: true" in caught.value.remedy


def test_one_process_reads_both_tables_and_both_lists(machine: Machine) -> None:
    machine.out = f"= table4\n{TABLE}= table6\n{TABLE}= set4\n{SET}= set6\n"
    found = read_kernel(machine.host, Backend("iptables", "ip6tables", "nft"))
    assert found.tables == {4: TABLE.rstrip("\n"), 6: TABLE.rstrip("\n")}
    assert found.sets == {4: SET.rstrip("\n"), 6: ""}
    (argv,) = machine.called
    assert argv[3:] == ("sh", "iptables", "ip6tables", "", "", "hearth-block4", "hearth-block6")


def test_the_legacy_tool_is_asked_only_for_tables_that_are_there(machine: Machine) -> None:
    machine.out = "= table4\n= table6\n"
    assert read_tables(machine.host, Backend("iptables", "ip6tables", "legacy")) == {4: "", 6: ""}
    assert machine.called[0][6:8] == ("/proc/net/ip_tables_names", "/proc/net/ip6_tables_names")


def test_what_the_kernel_makes_up_of_a_list_is_left_out() -> None:
    other = SET.replace("1024", "2048").replace("0xfc56b7ec", "0x1")
    turned = "".join(reversed(other.splitlines(keepends=True)))
    assert plain_set(SET) == plain_set(turned)
    assert plain_set(SET).splitlines()[0] == "create hearth-block4 hash:net family inet maxelem 65536"
    assert plain_set("") == plain_set("\n") == ""


# --- who calls -------------------------------------------------------------------------------

SAID = "SSH_CONNECTION=192.0.2.1 51000 192.0.2.11 2222"
CALLER = Caller("192.0.2.1", "192.0.2.11", 2222)


def test_sudo_hides_the_connection_and_an_ancestor_still_has_it(machine: Machine) -> None:
    machine.process(40, 30, "SUDO_USER=admin")
    machine.process(30, 20, "HOME=/", name="a) S 1 (b")
    machine.process(20, 1, "X_SSH_CONNECTION=no", SAID, "SSH_CONNECTION=::1 1 ::1 2")
    assert read_caller(machine.host, 40) == CALLER


def test_nobody_calls_where_no_ancestor_knows(machine: Machine) -> None:
    machine.process(40, 30)
    machine.process(30, 1)
    assert read_caller(machine.host, 40) is None
    assert read_caller(machine.host) is None


def test_a_circle_of_processes_ends(machine: Machine) -> None:
    machine.process(40, 30)
    machine.process(30, 40)
    assert read_caller(machine.host, 40) is None


def test_its_own_environment_is_asked_first(machine: Machine) -> None:
    host = Host(root=str(machine.root), environ={"SSH_CONNECTION": SAID.partition("=")[2]}.get)
    assert read_caller(host) == CALLER


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("2001:db8::1 51000 2001:db8::11 22", Caller("2001:db8::1", "2001:db8::11", 22)),
        ("fe80::1%eth0 51000 fe80::2%eth0 22", Caller("fe80::1", "fe80::2", 22)),
        ("", None),
        ("UNKNOWN 65535 UNKNOWN", None),
        ("192.0.2.1 x 192.0.2.11 22", None),
        ("192.0.2.1 51000 192.0.2.11 ssh", None),
    ],
)
def test_a_connection_is_four_words(said: str, expected: Caller | None) -> None:
    assert parse_connection(said) == expected


# --- who else filters ------------------------------------------------------------------------


def test_a_plain_host_has_no_other_firewall_and_nothing_is_run_to_see_that(machine: Machine) -> None:
    machine.write("/etc/ufw/ufw.conf", "# ENABLED=yes\nENABLED=no\n")
    machine.link("/run/systemd/units/invocation:ufw.service", "x")
    assert read_other_firewalls(machine.host) == ()
    assert machine.called == []


@pytest.mark.parametrize("name", ["firewalld", "nftables", "netfilter-persistent"])
def test_a_unit_is_seen_when_it_is_active_and_when_it_is_enabled(machine: Machine, name: str) -> None:
    machine.link(f"/run/systemd/units/invocation:{name}.service", "0123")
    assert read_other_firewalls(machine.host) == (OtherFirewall(name, True, False),)
    machine.link(
        f"/etc/systemd/system/multi-user.target.wants/{name}.service", f"/lib/systemd/system/{name}.service"
    )
    assert read_other_firewalls(machine.host) == (OtherFirewall(name, True, True),)


def test_a_masked_unit_is_not_enabled(machine: Machine) -> None:
    machine.link(
        "/etc/systemd/system/sysinit.target.wants/nftables.service", "/lib/systemd/system/nftables.service"
    )
    machine.link("/etc/systemd/system/nftables.service", "/dev/null")
    assert read_other_firewalls(machine.host) == ()


@pytest.mark.parametrize("line", ["ENABLED=yes", ' ENABLED = "YES"'])
def test_ufw_is_what_its_own_file_says(machine: Machine, line: str) -> None:
    machine.write("/etc/ufw/ufw.conf", f"# x\n{line}\nLOGLEVEL=low\n")
    assert read_other_firewalls(machine.host) == (OtherFirewall("ufw", True, True),)


def test_rules_of_others_that_were_saved_and_come_back_at_boot_are_named_by_owner(machine: Machine) -> None:
    machine.link("/etc/systemd/system/multi-user.target.wants/netfilter-persistent.service", "x")
    machine.write(
        "/etc/iptables/rules.v4",
        "*filter\n:INPUT ACCEPT [0:0]\n:DOCKER - [0:0]\n:DOCKER-USER - [0:0]\nCOMMIT\n",
    )
    machine.write("/etc/iptables/rules.v6", "*filter\n:f2b-sshd - [0:0]\nCOMMIT\n")
    (found,) = read_other_firewalls(machine.host)
    assert found == OtherFirewall("netfilter-persistent", False, True, ("docker", "fail2ban"))
