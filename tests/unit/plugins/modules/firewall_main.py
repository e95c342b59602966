# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the real ``main()`` of iptables_baseline on a root of its own, with a kernel that is made of plain tables.

The loader's part in the kernel is played by ``table.predict``, which the tests in ``tests/netns`` hold against the
real one; everything that only concerns files, such as ``commit``, is done by the real programs.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall import (
    backend,
    capability,
    read,
    scratch,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.bundle import parse_bundle
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.disk import CURRENT, FOLDER, FORGET
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.loader import PROGRAM
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.model import FAMILIES, Table
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.scene import LOADED_BY, PRISTINE
from ansible_collections.hearth.gpu_host.plugins.module_utils._firewall.table import parse_save, predict
from ansible_collections.hearth.gpu_host.plugins.module_utils._guard.script import PROGRAM as GUARD
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.modules import iptables_baseline

NOW = 1_790_000_000.0
GUARDS = "/var/lib/hearth/guard"
SYSTEMD = "/run/systemd/system"
# The article's policy. 192.0.2.7 is the controller: it is what SSH_CONNECTION says.
CALLER = "192.0.2.7 51234 192.0.2.11 22"
ARTICLE: dict[str, t.Any] = {
    "management": ["192.0.2.0/24", "2001:db8:1::/64"],
    "services": [{"name": "http", "ports": ["80/tcp"]}, {"name": "https", "ports": ["443/tcp"]}],
}
# The same policy without a guard, for tests that are about something else.
PLAIN = {**ARTICLE, "rollback_timeout": 0}


def save_text(table: Table) -> str:
    """Print a table as iptables-save does."""
    policies = dict(table.policies)
    lines = [f":{chain} {policies.get(chain, '-')} [0:0]" for chain, _rules in table.chains]
    lines += [f"-A {chain} {rule}" for chain, rules in table.chains for rule in rules]
    return "\n".join(["*filter", *lines, "COMMIT", ""])


class FakeHost:
    """A host whose packet filter is in ``tables`` and ``sets``; everything else is in its root."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.tables = dict.fromkeys(FAMILIES, PRISTINE)
        self.sets = dict.fromkeys(FAMILIES, "")
        self.kind = "nft"
        self.caller = CALLER
        self.now = NOW
        self.ran: list[str] = []
        # Spellings that the kernel changes, and what happens when somebody loads, for tests that break things.
        self.respelled: dict[str, str] = {}
        self.on_load: t.Callable[[], None] = lambda: None
        self.fails = 0
        self.guard_arms = self.guard_rolls_back = self.dead_man = True
        self.asked: list[str] = []
        self.other = ""
        self.patience: dict[str, float] = {}
        self.write("/proc/net/if_inet6")
        self.write("/usr/sbin/iptables")

    @property
    def host(self) -> Host:
        """The host as modules see it."""
        environ = {"SSH_CONNECTION": self.caller}
        return Host(root=str(self.root), run=self.run, now=lambda: self.now, environ=environ.get)

    def path(self, path: str) -> pathlib.Path:
        """Return where a path lies."""
        return self.root / path.lstrip("/")

    def write(self, path: str, text: str = "") -> None:
        """Put a file there."""
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)

    def insert(self, family: int, chain: str, rule: str, number: int = 1) -> None:
        """Do what ``iptables -I`` does."""
        chains = {name: list(rules) for name, rules in self.tables[family].chains}
        chains.setdefault(chain, []).insert(number - 1, rule)
        lines = Table(self.tables[family].policies, tuple((n, tuple(r)) for n, r in chains.items()))
        self.tables[family] = parse_save(save_text(lines))

    def set_policy(self, family: int, chain: str, policy: str) -> None:
        """Do what ``iptables -P`` does."""
        policies = {**dict(self.tables[family].policies), chain: policy}
        self.tables[family] = Table(tuple(policies.items()), self.tables[family].chains)

    def tree(self) -> dict[str, str]:
        """Return every file and link, but for locks, backups and logs."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = f"/{path.relative_to(self.root)}"
            if path.is_symlink():
                found[name] = f"-> {os.readlink(path)}"
            elif path.is_file() and "/backup/" not in name and not name.endswith("lock"):
                found[name] = path.read_text()
        return found

    def kernel(self) -> tuple[t.Any, ...]:
        """Return what the packet filter has."""
        return dict(self.tables), dict(self.sets)

    def armed(self) -> list[str]:
        """Return the tokens of changes that wait."""
        folder = self.path(f"{GUARDS}/armed")
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    # --- what the host's programs do ---

    def run(
        self,
        argv: t.Sequence[str],
        *,
        stdin: str | None = None,
        timeout_s: float = 60,
        check: bool = True,
    ) -> Completed:
        """Be the runner of the host."""
        self.asked.append(" ".join(argv))
        self.patience.update(dict.fromkeys(argv, timeout_s))
        done = self._answer(tuple(argv), stdin or "")
        if check and done.rc:
            raise CommandError(f"{' '.join(argv)} ended with status {done.rc}: {done.err}")
        return done

    def _answer(self, argv: tuple[str, ...], stdin: str) -> Completed:
        scripts = {backend._VERSIONS: self._versions, read._READ: self._read, FORGET: self._forget}
        if argv[:2] == ("sh", "-c"):
            return self._scratch(stdin) if argv[2] == scratch._SCRIPT else scripts[argv[2]]()
        self.ran.append(" ".join(argv))
        if argv[0] in (PROGRAM, "sh"):
            verb, folder = argv[-2:]
            load = verb == "load"
            return self._load(self.path(folder)) if load else self._commit(folder)
        if argv[0] == GUARD:
            return self._guard(*argv[1:])
        if argv[0] == "ip":
            return Completed(0, f"{argv[-1]} dev eno1 src 192.0.2.11 uid 0\n", "")
        assert argv == ("systemctl", "daemon-reload") or argv[0].endswith("-save"), argv
        return Completed(0, self.other, "")

    def _commit(self, folder: str) -> Completed:
        return self._real(("sh", str(self.path(PROGRAM)), "commit", str(self.path(folder))))

    def _versions(self) -> Completed:
        word = "nf_tables" if self.kind == "nft" else "legacy"
        return Completed(0, f"iptables v1.8.9 ({word})\nip6tables v1.8.9 ({word})\n", "")

    def _read(self) -> Completed:
        tables = "".join(f"= table{family}\n{save_text(table)}" for family, table in self.tables.items())
        return Completed(0, tables + "".join(f"= set{f}\n{text}" for f, text in self.sets.items()), "")

    def _scratch(self, stdin: str) -> Completed:
        for before, after in self.respelled.items():
            stdin = stdin.replace(before, after)
        declared = "".join(f":{chain} ACCEPT [0:0]\n" for chain in ("INPUT", "FORWARD", "OUTPUT"))
        if " --broken" in stdin:
            number = next(n for n, line in enumerate(stdin.splitlines(), 1) if "--broken" in line)
            return Completed(
                44, "", f"iptables-restore v1.8.9 (nf_tables): unknown option\nError at line: {number}\n"
            )
        return Completed(0, stdin.replace("*filter\n", f"*filter\n{declared}"), "")

    def _load(self, folder: pathlib.Path) -> Completed:
        if self.fails:
            self.fails -= 1
            return Completed(1, "", "hearth-firewall: the load failed")
        contents = parse_bundle({path.name: path.read_text() for path in folder.iterdir()})
        for family in FAMILIES:
            self.tables[family] = predict(self.tables[family], contents.rulesets[family])
            # What ipset save adds of its own: a capture of ipset 7.17 (Debian 12).
            own = "hashsize 1024 maxelem 65536 bucketsize 12 initval 0x23b6034f"
            self.sets[family] = contents.sets[family].replace("maxelem 65536", own)
        self.write(LOADED_BY, f"{contents.backend}\n")
        self.on_load()
        return Completed(0, "", "")

    def _forget(self) -> Completed:
        return self._real(("sh", "-c", FORGET))

    def _real(self, argv: t.Sequence[str]) -> Completed:
        stub = self.path("/stubs/systemctl")
        if not stub.exists():
            self.write("/stubs/systemctl", "#!/bin/sh\nexit 0\n")
            stub.chmod(0o755)
        environ = {**os.environ, "HEARTH_ROOT": str(self.root)}
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)

    def _guard(self, verb: str, token: str = "", *words: str) -> Completed:
        """Play the guard: what it decides is its own tests' business."""
        armed = self.path(f"{GUARDS}/armed/{token}")
        if verb == "arm" and self.guard_arms:
            armed.parent.mkdir(parents=True, exist_ok=True)
            self.path(f"{GUARDS}/new/{token}").rename(armed)
            self.dead_man = True
        if verb == "rollback" and not self.guard_rolls_back:
            return Completed(1, "", "hearth-guard: cannot")
        if verb in ("rollback", "settle") and armed.is_dir():
            bundle = {p.name: p for p in armed.iterdir() if "guard." not in p.name}
            scripts = {name: bundle.pop(name) for name in ("rollback", "commit", "hearth-firewall")}
            assert 'load "$PWD"' in scripts["rollback"].read_text()
            contents = self.path("/run/rolled-back")
            contents.mkdir(parents=True)
            for name, path in bundle.items():
                (contents / name).write_text(path.read_text())
            self._load(contents)
            self._real(("rm", "-rf", str(contents), str(armed)))
        return Completed(0, self._pending(), "")

    def _pending(self) -> str:
        waits = "yes" if self.dead_man else "no"
        lines = [
            ("armed", token, waits, "80", str(NOW), "firewall", "another play") for token in self.armed()
        ]
        return "".join("\t".join(line) + "\n" for line in lines)

    def confirm(self) -> None:
        """Confirm the one change that waits: run its commit script for real."""
        (token,) = self.armed()
        folder = self.path(f"{GUARDS}/armed/{token}")
        done = self._real(("sh", "-c", f"cd {folder} && sh ./commit now"))
        assert done.rc == 0, done.err
        self._real(("rm", "-rf", str(folder)))

    def current(self) -> dict[str, str]:
        """Return what the boot loads."""
        name = os.readlink(self.path(CURRENT))
        return {path.name: path.read_text() for path in self.path(f"{FOLDER}/{name}").iterdir()}


class Task:
    """Runs the module's real main() on the fake host."""

    def __init__(
        self, fake: FakeHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.fake = fake
        self.warned: list[str] = []
        self._capsys = capsys
        monkeypatch.setattr(_module, "Host", lambda: fake.host)
        monkeypatch.setattr(capability, "warn", self.warned.append)

    def __call__(self, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            iptables_baseline.main()
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return {key: value for key, value in result.items() if key != "invocation"}

    def predicted(self, **options: t.Any) -> dict[str, t.Any]:
        """Run in check mode, which may touch nothing, then for real; both must say the same, but for the guard."""
        before = self.fake.tree(), self.fake.kernel()
        foretold = self(check=True, **options)
        assert (self.fake.tree(), self.fake.kernel()) == before
        result = self(**options)
        assert "failed" not in result, result["msg"]
        assert {**foretold, "guard": None} == {**result, "guard": None}
        return result

    def confirmed(self, **options: t.Any) -> dict[str, t.Any]:
        """Do the same and confirm; a second run has nothing to do."""
        result = self.predicted(**options)
        if result["guard"]:
            self.fake.confirm()
        again = self.predicted(**options)
        assert (again["changed"], again["actions"], again["guard"]) == (False, [], None)
        return result

    def refused(self, **options: t.Any) -> dict[str, t.Any]:
        """Run, which must fail without having changed or written anything, with the same words in check mode."""
        before = self.fake.tree(), self.fake.kernel()
        foretold = self(check=True, **options)
        result = self(**options)
        assert (self.fake.tree(), self.fake.kernel()) == before
        assert (result["failed"], result["actions"]) == (True, []), result
        assert foretold == result
        return result
