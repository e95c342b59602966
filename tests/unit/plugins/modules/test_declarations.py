# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import pathlib
import signal
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Action, Gate, no_lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._declarations.plan import (
    FACT_FILE,
    FOLDER,
    file_of,
)
from ansible_collections.hearth.gpu_host.plugins.module_utils._host import Host
from ansible_collections.hearth.gpu_host.plugins.modules import declarations

PROM = "/var/lib/hearth/metrics/hearth_declarations.prom"
VFIO = {"kernel_args": [{"name": "intel_iommu", "value": "on"}], "modules": ["vfio-pci"]}
KVM = {"kernel_args": [{"name": "intel_iommu", "value": "on"}], "sysctl": {"vm.swappiness": 10}}


class Task:
    """Runs the module's real main() on an injected root."""

    def __init__(
        self, host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.host = host
        self._capsys = capsys
        monkeypatch.setattr(_module, "Host", lambda: host)

    def __call__(self, check: bool = False, diff: bool = True, **options: t.Any) -> dict[str, t.Any]:
        with (
            patch_module_args({**options, "_ansible_check_mode": check, "_ansible_diff": diff}),
            pytest.raises(SystemExit),
        ):
            declarations.main()
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return {key: value for key, value in result.items() if key != "invocation"}

    def predicted(self, **options: t.Any) -> dict[str, t.Any]:
        """Run in check mode, then for real; both must say the same, and the first touch nothing."""
        before = tree(self.host)
        foretold = self(check=True, **options)
        assert tree(self.host) == before
        result = self(**options)
        assert foretold == result
        return result


@pytest.fixture
def task(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    return Task(Host(root=str(tmp_path)), monkeypatch, capsys)


def tree(host: Host) -> dict[str, str]:
    """Return every file below the root with its content."""
    root = pathlib.Path(host.root)
    return {f"/{path.relative_to(root)}": path.read_text() for path in root.rglob("*") if path.is_file()}


def managed(host: Host) -> dict[str, str]:
    """Return the registry: without the backups and the lock."""
    return {path: text for path, text in tree(host).items() if "/backup/" not in path and path[:5] != "/run/"}


def test_create_then_nothing_to_do(task: Task) -> None:
    result = task.predicted(roles={"vfio": VFIO, "kvm": KVM})
    assert result["changed"] is True
    assert result["roles"] == ["kvm", "vfio"]
    assert result["merged"]["kernel_args"] == [
        {"name": "intel_iommu", "values": ["on"], "tokens": ["intel_iommu=on"], "owners": ["kvm", "vfio"]}
    ]
    assert sorted(managed(task.host)) == [FACT_FILE, file_of("kvm"), file_of("vfio"), PROM]
    again = task.predicted(roles={"vfio": VFIO, "kvm": KVM})
    assert (again["changed"], again["actions"]) == (False, [])
    assert again["merged"] == result["merged"]


def test_update_of_one_role_shows_only_its_change(task: Task) -> None:
    task(roles={"vfio": VFIO, "kvm": KVM})
    result = task.predicted(roles={"vfio": {"modules": ["vfio_pci"]}})
    assert result["actions"] == [
        f"write {file_of('vfio')} (0644)",
        f"write {FACT_FILE} (0644)",
        f"write {PROM} (0644)",
    ]
    assert "vm.swappiness" in task.host.read(file_of("kvm")).text


def test_absent_removes_exactly_the_named_role_and_at_last_everything(task: Task) -> None:
    task(roles={"vfio": VFIO})
    alone = managed(task.host)
    task(roles={"kvm": KVM})
    result = task.predicted(roles={"kvm": {}}, state="absent")
    assert result["roles"] == ["vfio"]
    assert managed(task.host) == alone
    assert task.predicted(roles={"kvm": {}}, state="absent")["changed"] is False
    assert task.predicted(roles={"vfio": {}}, state="absent")["changed"] is True
    assert managed(task.host) == {}


def test_no_role_only_reads(task: Task) -> None:
    task(roles={"vfio": VFIO})
    result = task.predicted(roles={})
    assert result["changed"] is False
    assert result["merged"]["modules"] == [{"name": "vfio_pci", "owners": ["vfio"]}]


def test_metrics_go_where_node_exporter_reads(task: Task) -> None:
    task.predicted(roles={"vfio": VFIO}, metrics_dir="/var/lib/prometheus/node-exporter")
    assert "/var/lib/prometheus/node-exporter/hearth_declarations.prom" in managed(task.host)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"roles": {"vfio": {"sysctl": {"vm.swappiness": 60}}}}, "'10' by role kvm and as '60' by role vfio"),
        ({"roles": {"vfio": {"sysctl": ["vm.swappiness"]}}}, "Declaration of role vfio: sysctl is"),
        ({"roles": {"../vfio": VFIO}}, "this is no role name"),
        ({"roles": {"vfio": VFIO}, "metrics_dir": "metrics"}, "metrics_dir is 'metrics'"),
        ({"roles": "vfio"}, "roles"),
        ({"state": "latest"}, "value of state must be one of"),
    ],
)
def test_refusals_come_before_the_first_write(task: Task, options: dict[str, t.Any], message: str) -> None:
    task(roles={"kvm": KVM})
    before = tree(task.host)
    result = task(**options)
    assert result["failed"] is True
    assert message in result["msg"]
    assert "exception" not in result or not result["exception"] or "Traceback" not in str(result["exception"])
    assert tree(task.host) == before


def test_a_broken_file_of_another_role_is_named_and_nothing_changes(task: Task) -> None:
    task(roles={"kvm": KVM})
    pathlib.Path(task.host.path(file_of("kvm"))).write_text("{ half")
    before = tree(task.host)
    result = task(roles={"vfio": VFIO})
    assert f"{file_of('kvm')} is broken" in result["msg"]
    assert tree(task.host) == before
    assert task(roles={"kvm": KVM})["changed"] is True, "the role itself repairs it"


def test_leftovers_of_a_killed_run_or_an_editor_are_no_declarations(task: Task) -> None:
    task(roles={"kvm": KVM})
    for name in (".vfio.json.hearth-new", ".#kvm.json", "notes.txt"):
        pathlib.Path(task.host.path(f"{FOLDER}/{name}")).write_text("{ half")
    assert task.predicted(roles={"kvm": KVM})["changed"] is False


def test_sigkill_between_any_two_effects_and_the_next_run_converges(tmp_path: pathlib.Path) -> None:
    params = {
        "roles": {"vfio": VFIO, "kvm": KVM},
        "state": "present",
        "metrics_dir": "/var/lib/hearth/metrics",
    }
    wanted: dict[str, str] = {}
    for effects in range(4, -1, -1):
        host = Host(root=str(tmp_path / str(effects)))
        _in_a_killed_process(lambda host=host, effects=effects: _run(host, params, dies_after=effects))
        assert len(managed(host)) == effects, "it was killed where it should be"
        _run(host, params)
        wanted = wanted or managed(host)
        assert len(wanted) == 4 and managed(host) == wanted


def _run(host: Host, params: dict[str, t.Any], dies_after: int = -1) -> None:
    gate = Gate(host, check_mode=False, lock=no_lock)
    perform = gate._perform

    def deadly(action: Action) -> None:
        if len(gate.actions) - 1 == dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
        perform(action)
        if len(gate.actions) == dies_after == 4:
            os.kill(os.getpid(), signal.SIGKILL)

    gate._perform = deadly  # type: ignore[method-assign]
    declarations.Declarations(params, host).execute(gate)


def _in_a_killed_process(call: t.Callable[[], None]) -> None:
    child = os.fork()
    if child == 0:
        try:
            call()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
