# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module iptables_baseline on a real kernel, with the real guard and the real loader."""

from __future__ import annotations

import json
import pathlib
import sys
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from conftest import Net

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.module_utils._command import Completed
from ansible_collections.hearth.gpu_host.plugins.module_utils._errors import CommandError
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.modules import iptables_baseline

POLICY: dict[str, t.Any] = {
    "controller": "192.0.2.7",
    "zones": {"mgmt": {"sources": ["192.0.2.0/24", "2001:db8:1::/64"]}},
    "management": ["mgmt"],
    "guest_networks": ["virbr+"],
    "blocklist": {"sources": ["203.0.113.0/24", "203.0.114.9", "2001:db8:bad::/48"]},
    "anti_spoof": {"interfaces": {"eno1": ["192.0.2.0/24", "2001:db8:1::/64"]}},
    "default_forward": "drop",
    "input_policy": "drop",
    "log": {},
    "services": [
        {"name": "ssh", "ports": ["ssh"], "zones": ["mgmt"], "rate_limit": {"new": "10/minute", "burst": 20}},
        {"name": "web", "ports": ["80/tcp", "443/tcp", "8000-8010/tcp"]},
        {"name": "comfyui", "ports": ["8188/tcp"], "zones": ["mgmt"], "published_by": "docker"},
    ],
    # Not in the kernel's spelling: TCP and the order of matches are changed by it.
    "extra_rules": [{"where": "input", "rule": "-p TCP --dport 2222 -s 198.51.100.0/24 -j ACCEPT"}],
    "allow": ["controller"],
}
LATER = {"services": [], "blocklist": {"sources": ["203.0.113.0/24"]}}
FOREIGN = """\
*filter
:LIBVIRT_INP - [0:0]
:f2b-sshd - [0:0]
-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd
-A INPUT -j LIBVIRT_INP
-A INPUT -p tcp -m tcp --dport 8443 -j ACCEPT
-A LIBVIRT_INP -i virbr0 -p udp -m udp --dport 53 -j ACCEPT
-A f2b-sshd -j RETURN
COMMIT
"""


class Baseline:
    """Runs the module's main() in the namespace, on the files of its root."""

    def __init__(self, net: Net, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.net = net
        self._capsys = capsys
        (net.root / "proc").symlink_to("/proc")
        host = Host(root=str(net.root), run=self.run, environ={}.get)
        monkeypatch.setattr(_module, "Host", lambda: host)

    def run(
        self, argv: t.Sequence[str], *, stdin: str | None = None, timeout_s: float = 60, check: bool = True
    ) -> Completed:
        """Run a command in the namespace; paths of our own files are those in the root."""
        own = ("/usr/local/libexec/hearth-", "/etc/hearth/", "/run/hearth/")
        words = [f"{self.net.root}{word}" if word.startswith(own) else word for word in argv]
        done = self.net.run(*words, stdin=stdin or "", check=False)
        if check and done.rc:
            raise CommandError(f"{' '.join(argv)} ended with status {done.rc}: {done.err}")
        return done

    def __call__(self, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {"backend": self.net.kind, **options, "_ansible_check_mode": check}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            iptables_baseline.main()
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return result

    def done(self, **options: t.Any) -> dict[str, t.Any]:
        """Run in check mode and for real; both must say the same."""
        foretold = self(check=True, **options)
        result = self(**options)
        assert "failed" not in result, result["msg"]
        assert foretold["actions"] == result["actions"]
        return result

    def decided(self, verb: str, **options: t.Any) -> dict[str, t.Any]:
        """Run, and confirm or take back what is guarded by then."""
        result = self.done(**options)
        answer = self.run([*result["guard"][verb], *(["tcp"] if verb == "confirm" else [])])
        assert answer.out.strip() in ("confirmed", "rolled back")
        return result

    def unchanged(self, **options: t.Any) -> bool:
        """Tell whether a run with these options has nothing to do."""
        return self.done(**options)["actions"] == []

    def tables(self) -> tuple[str, str]:
        """Return both tables without counters of policies."""
        return self.net.plain(4), self.net.plain(6)

    def members(self) -> list[str]:
        """Return what is in the block lists, in one order: the kernel draws a new one for each list."""
        lines = self.net.run("ipset", "save").out.splitlines()
        return sorted(line for line in lines if line.startswith("add "))


@pytest.fixture
def baseline(net: Net, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Baseline:
    for family in (4, 6):
        net.restore(family, FOREIGN)
    return Baseline(net, monkeypatch, capsys)


def test_a_policy_is_made_changed_and_taken_away_and_the_second_run_is_quiet(baseline: Baseline) -> None:
    before = baseline.tables()
    baseline.decided("confirm", **POLICY)
    assert baseline.unchanged(**POLICY)
    baseline.decided("confirm", **{**POLICY, **LATER})
    assert baseline.unchanged(**{**POLICY, **LATER})
    baseline.decided("confirm", state="absent", allow=["controller"])
    assert baseline.unchanged(state="absent")
    assert baseline.tables() == before
    assert not (baseline.net.root / "etc/hearth/firewall").exists()


def test_a_change_that_is_taken_back_leaves_every_byte_as_it_was(baseline: Baseline) -> None:
    nothing = baseline.tables()
    baseline.decided("rollback", **POLICY)
    assert baseline.tables() == nothing
    baseline.decided("confirm", **POLICY)
    before, lists = baseline.tables(), baseline.members()
    baseline.decided("rollback", **{**POLICY, **LATER})
    assert baseline.tables() == before
    assert baseline.members() == lists
    assert baseline.unchanged(**POLICY)


def test_a_rule_that_somebody_adds_meanwhile_survives_the_rollback(baseline: Baseline) -> None:
    result = baseline.done(**POLICY)
    baseline.net.iptables(4, "-A", "LIBVIRT_INP", "-i", "virbr9", "-j", "ACCEPT")
    baseline.run(result["guard"]["rollback"])
    assert "-i virbr9 -j ACCEPT" in baseline.net.rules(4, "LIBVIRT_INP")
    assert "HEARTH" not in "".join(baseline.tables())


def test_drift_by_hand_is_repaired(baseline: Baseline) -> None:
    plain = {**POLICY, "rollback_timeout": 0}
    baseline.done(**plain)
    wanted = baseline.tables()
    baseline.net.iptables(4, "-D", "INPUT", "-j", "HEARTH-INPUT")
    baseline.net.iptables(6, "-A", "HEARTH-INPUT", "-j", "ACCEPT")
    baseline.net.iptables(6, "-P", "INPUT", "ACCEPT")
    baseline.done(**plain)
    assert baseline.tables() == wanted


def test_a_rule_that_iptables_does_not_take_is_quoted_and_nothing_changes(baseline: Baseline) -> None:
    before = baseline.tables()
    bad = [{"where": "input", "families": ["ipv4"], "rule": "-m nonsense --word 3 -j ACCEPT"}]
    result = baseline(**{**POLICY, "extra_rules": bad})
    assert "nonsense" in result["rule"]
    assert baseline.tables() == before
