# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the real ``main()`` of ovs_bridge on a root of its own, against a database server that is a thread.

Devices are a table here, and ``ip`` is built from it with the fields of the captures in ``fixtures/nics``. The guard's
part is played: what it decides is its own tests' business. What it would run, a rollback's transaction and the whole
commit, is really done.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess

import fakeovsdb
import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.script import PROGRAM as GUARD
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.module_utils._hostnet import capture
from ansible_collections.hearth.gpu_host.plugins.module_utils._ovs import capability, nics
from ansible_collections.hearth.gpu_host.plugins.modules import ovs_bridge

NOW = 1_790_000_000.0
GUARDS = "/var/lib/hearth/guard"
SOCKET = "/run/openvswitch/db.sock"
CALLER = "192.0.2.7 51234 192.0.2.11 22"
OURS = {"hearth-owner": "br-ex"}
IFUPDOWN = """\
auto eno1
iface eno1 inet static
    address 192.0.2.11/24
    gateway 192.0.2.1
"""


class Switch(fakeovsdb.FakeOvsdb):
    """A database server whose clients may be overtaken by others."""

    def __init__(self, path, engine):
        super().__init__(path, engine)
        # What happens before a transaction that changes something is done, for tests of what others do meanwhile.
        self.before = []

    def reply(self, method, params):
        changes = method == "transact" and any(operation["op"] == "comment" for operation in params[1:])
        if changes and self.before:
            self.before.pop(0)()
        return super().reply(method, params)


class FakeHost:
    """A host with two cards, of which the first one has its address and its way out."""

    def __init__(self, root):
        self.root = root
        self.engine = fakeovsdb.new_database()
        self.switch = Switch(self.path(SOCKET), self.engine)
        self.now = NOW
        self.caller = CALLER
        self.asked = []
        self.cards = {"eno1": "02:00:00:00:00:01", "eno2": "02:00:00:00:00:02", "eno3": "02:00:00:00:00:03"}
        self.addresses = {"eno1": "192.0.2.11"}
        self.gateway = "eno1"
        self.guard_arms = self.guard_rolls_back = self.dead_man = True
        # What happens when addresses are moved, for tests that break it.
        self.on_move = lambda: None
        self.move_fails = False
        self.move_text = ""

    @property
    def host(self):
        """The host as modules see it."""
        environ = {"SSH_CONNECTION": self.caller}
        return Host(root=str(self.root), run=self.run, now=lambda: self.now, environ=environ.get)

    def path(self, path):
        return self.root / path.lstrip("/")

    def write(self, path, text=""):
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)

    def with_ifupdown(self):
        self.write("/sbin/ifup")
        self.write("/etc/network/interfaces", IFUPDOWN)
        self.path("/etc/network/interfaces.d").mkdir(exist_ok=True)

    def tree(self):
        """Return every file, but for locks, backups and the socket."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = f"/{path.relative_to(self.root)}"
            if path.is_file() and "/backup/" not in name and not name.endswith("lock"):
                found[name] = path.read_text()
        return found

    def configuration(self):
        """Return what the database has, without what it counts and what the daemon says."""
        return {
            table: {
                uuid: {
                    name: value
                    for name, value in row.items()
                    if name not in ("_version", "next_cfg", "cur_cfg")
                }
                for uuid, row in rows.items()
            }
            for table, rows in self.engine.tables.items()
        }

    def network(self):
        return dict(self.addresses), self.gateway

    def state(self):
        return self.tree(), self.configuration(), self.network()

    def armed(self):
        folder = self.path(f"{GUARDS}/armed")
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def next_cfg(self):
        (root,) = fakeovsdb.rows(self.engine, "Open_vSwitch")
        return root["next_cfg"]

    def mark(self):
        (root,) = fakeovsdb.rows(self.engine, "Open_vSwitch")
        return root["external_ids"].get("hearth-guard")

    # --- what the host's programs do ---

    def run(self, argv, *, stdin=None, timeout_s=60, check=True):
        self.asked.append(argv[0] if argv[0] != "sh" else f"sh {argv[1]}")
        done = self.answer(tuple(argv), stdin or "")
        if check and done.rc:
            raise CommandError(f"{' '.join(argv)} ended with status {done.rc}: {done.err}")
        return done

    def answer(self, argv, stdin):
        if argv[0] == "ovsdb-client":
            raise CommandError("ovsdb-client cannot be run") from FileNotFoundError(
                2, "No such file or directory"
            )
        if argv == nics._READ:
            return Completed(0, self.told(stdin), "")
        if argv[:2] == ("sh", "-c"):
            assert argv[2] == capture._READ
            return Completed(0, self.hanging_on(argv[4]), "")
        if argv == ("sh", "-s"):
            return self.moved(stdin)
        assert argv[0] == GUARD, argv
        return self.guard(*argv[1:])

    def devices(self):
        """Return each device with its address of Ethernet and its kind."""
        found = {name: (mac, "") for name, mac in self.cards.items()}
        bridges = {row["name"]: row for row in fakeovsdb.rows(self.engine, "Bridge")}
        for row in fakeovsdb.rows(self.engine, "Interface"):
            if row["type"] == "internal":
                own = bridges.get(row["name"], {}).get("other_config", {}).get("hwaddr")
                found[row["name"]] = (own or "26:00:00:00:00:01", "openvswitch")
        return found

    def links(self):
        links = []
        for number, (name, (mac, kind)) in enumerate(self.devices().items(), 1):
            link = {
                "ifindex": number,
                "ifname": name,
                "flags": ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
                "mtu": 1500,
                "link_type": "ether",
                "address": mac,
                "max_mtu": 9216,
                "addr_info": [],
                **({"linkinfo": {"info_kind": kind}} if kind else {"parentbus": "pci"}),
            }
            if name in self.addresses:
                forever = {"valid_life_time": 4294967295, "preferred_life_time": 4294967295}
                address = {
                    "family": "inet",
                    "local": self.addresses[name],
                    "prefixlen": 24,
                    "scope": "global",
                }
                link["addr_info"] = [{**address, "label": name, **forever}]
            links.append(link)
        return links

    def told(self, questions):
        default = [{"dst": "default", "gateway": "192.0.2.1", "dev": self.gateway, "flags": []}]
        answers = [self.links(), default]
        if "route get" in questions:
            answers.append([{"dst": "192.0.2.7", "dev": self.gateway, "flags": []}])
        return "\n".join(map(json.dumps, answers))

    def hanging_on(self, device):
        routes = []
        if self.gateway == device:
            routes = [{"type": "1", "dst": "default", "gateway": "192.0.2.1", "dev": device, "protocol": "3"}]
            routes[0].update({"scope": "0", "table": "254", "flags": []})
        # A link's scope is a number there (ip -N).
        links = json.loads(json.dumps(self.links()).replace('"scope": "global"', '"scope": "0"'))
        parts = {
            "links": links,
            "routes4": routes,
            "routes6": [],
            "rules4": [],
            "rules6": [],
            "neighbours": [],
        }
        return "".join(f"= {name}\n{json.dumps(part)}\n\n" for name, part in parts.items()) + "= sysctls\n"

    def moved(self, script):
        self.move_text = script
        if self.move_fails:
            return Completed(1, "", "RTNETLINK answers: it does not move")
        flushed = re.search(r"^address flush dev (\S+)$", script, re.MULTILINE)
        if flushed:
            self.carry(
                flushed.group(1), re.search(r"^address replace .* dev (\S+)$", script, re.MULTILINE).group(1)
            )
            self.on_move()
        return Completed(0, "", "")

    def carry(self, old, new):
        """Move what one device has to another one."""
        if old in self.addresses:
            self.addresses[new] = self.addresses.pop(old)
        if self.gateway == old:
            self.gateway = new

    # --- the guard ---

    def guard(self, verb, token="", *_words):
        armed = self.path(f"{GUARDS}/armed/{token}")
        if verb == "arm" and self.guard_arms:
            armed.parent.mkdir(parents=True, exist_ok=True)
            self.path(f"{GUARDS}/new/{token}").rename(armed)
            self.dead_man = True
        if verb == "rollback" and not self.guard_rolls_back:
            return Completed(1, "", "hearth-guard: cannot")
        if verb in ("rollback", "settle") and armed.is_dir():
            self.roll_back(token)
        return Completed(0, self.pending(), "")

    def script(self, token, name):
        return self.path(f"{GUARDS}/armed/{token}/{name}").read_text()

    def taking_back(self, token):
        """Return the transaction in the rollback of a change."""
        line = next(
            line
            for line in self.script(token, "rollback").splitlines()
            if line.strip().startswith("transact '")
        )
        return json.loads(shlex.split(line)[1])[1:]

    def roll_back(self, token):
        """Do what the rollback of a change does: its transaction, if the change is marked, and the addresses."""
        text = self.script(token, "rollback")
        results = self.switch.answer(
            {"id": 1, "method": "transact", "params": ["Open_vSwitch", *self.taking_back(token)]}
        )
        failed = [result for result in results["result"] if result and "error" in result]
        assert all(result["error"] == "timed out" for result in failed), failed
        found = re.search(r"^address replace .* dev (\S+)$", text, re.MULTILINE)
        for name in list(self.addresses):
            if name not in (found.group(1), *self.cards) or name == "eno1":
                self.carry(name, found.group(1))
        self.drop(token)

    def pending(self):
        waits = "yes" if self.dead_man else "no"
        lines = [
            ("armed", token, waits, "80", str(NOW), "ovs-bridge", "another play") for token in self.armed()
        ]
        return "".join("\t".join(line) + "\n" for line in lines)

    def drop(self, token):
        subprocess.run(("rm", "-rf", str(self.path(f"{GUARDS}/armed/{token}"))), check=True)

    def confirm(self):
        """Confirm the one change that waits: run its commit script for real."""
        (token,) = self.armed()
        folder = self.path(f"{GUARDS}/armed/{token}")
        stub = self.path("/stubs/ovs-vsctl")
        self.write("/stubs/ovs-vsctl", '#!/bin/sh\necho "$@" > "${0%/*}/said"\n')
        stub.chmod(0o755)
        environ = {**os.environ, "HEARTH_ROOT": str(self.root), "PATH": f"{stub.parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            ("sh", "./commit", "now"),
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (done.stdout, done.stderr)
        said = (stub.parent / "said").read_text().split()
        assert said[-5:] == ["remove", "Open_vSwitch", ".", "external_ids", "hearth-guard"]
        (root,) = fakeovsdb.rows(self.engine, "Open_vSwitch")
        kept = {key: value for key, value in root["external_ids"].items() if key != "hearth-guard"}
        row = {"external_ids": ["map", [[key, value] for key, value in kept.items()]]}
        self.engine.transact([{"op": "update", "table": "Open_vSwitch", "where": [], "row": row}])
        subprocess.run(("rm", "-rf", str(stub.parent)), check=True)
        self.drop(token)


class Task:
    """Runs the module's real main() on the fake host."""

    def __init__(self, fake, monkeypatch, capsys):
        self.fake = fake
        self._capsys = capsys
        self.warned = []
        monkeypatch.setattr(capability, "warn", self.warned.append)
        monkeypatch.setattr(_module, "Host", lambda: fake.host)

    def __call__(self, check=False, **options):
        self.warned.clear()
        arguments = {"name": "br-ex", **options, "_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            ovs_bridge.main()
        self.out = self._capsys.readouterr().out
        result = json.loads(self.out)
        return {key: value for key, value in result.items() if key != "invocation"}

    def predicted(self, **options):
        """Run in check mode, which may touch nothing, then for real; both must say the same of the change."""
        before = self.fake.state()
        foretold = self(check=True, **options)
        assert self.fake.state() == before
        assert "failed" not in foretold, foretold["msg"]
        result = self(**options)
        assert "failed" not in result, result["msg"]
        own = {"guard": None, "bridge": None}
        assert {**foretold, **own} == {**result, **own}
        return result

    def kept(self, **options):
        """Do the same and confirm where that is needed; a second run has nothing to do."""
        result = self.predicted(**options)
        if result["guard"]:
            self.fake.confirm()
        number = self.fake.next_cfg()
        again = self.predicted(**options)
        assert (again["changed"], again["actions"], again["guard"]) == (False, [], None), again
        assert (again["transaction"], again["commands"], self.fake.next_cfg()) == ([], "", number)
        return result

    def refused(self, **options):
        """Run, which must fail without having changed or written anything, with the same words in check mode."""
        before = self.fake.state()
        foretold = self(check=True, **options)
        result = self(**options)
        assert self.fake.state() == before
        assert (result["failed"], result["actions"]) == (True, []), result
        assert foretold == result
        return result


def doing(verb, result):
    number = sum(one["op"] != "wait" for one in result["transaction"])
    return f"{verb} bridge br-ex in one transaction (operations: {number})"


def ports(fake, bridge="br-ex"):
    held = fakeovsdb.row(fake.engine, "Bridge", bridge)["ports"]
    return sorted(row["name"] for row in fakeovsdb.rows(fake.engine, "Port") if row["_uuid"] in held)


def carrying(task, fake):
    """Have br-ex carry the host, with eno1 as its way out."""
    fake.with_ifupdown()
    task.kept(ports=[{"name": "eno1"}], host_network={})
    assert fake.network() == ({"br-ex": "192.0.2.11"}, "br-ex")
