# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""The real ``main()`` of kernel_config on an injected root with a fake kernel."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "module_utils" / "_kernel_config"))

from fakekernel import RELEASE, FakeKernel

from ansible_collections.hearth.gpu_host.plugins.module_utils import _module
from ansible_collections.hearth.gpu_host.plugins.module_utils._actions import Gate, no_lock
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config.capability import KernelConfig
from ansible_collections.hearth.gpu_host.plugins.module_utils._kernel_config.files import PATHS
from ansible_collections.hearth.gpu_host.plugins.module_utils._reboot.ledger import LEDGER
from ansible_collections.hearth.gpu_host.plugins.modules import kernel_config

MODPROBE, LOAD, SYSCTL = PATHS["modprobe_options"], PATHS["modules"], PATHS["sysctl"]
BRIDGE = "net.bridge.bridge-nf-call-iptables"
WISH: dict[str, t.Any] = {
    "modules": [{"name": "br_netfilter", "owners": ["kvm"]}, "tun"],
    "modprobe_options": [{"module": "vfio_pci", "option": "disable_vga", "value": 1, "owners": ["vfio"]}],
    "sysctl": [
        {"key": BRIDGE, "value": 0, "owners": ["kvm"]},
        {"key": "vm.swappiness", "value": 10, "owners": ["kvm"]},
    ],
}
NOTHING: dict[str, t.Any] = {"modules": [], "modprobe_options": [], "sysctl": []}


class Task:
    """Runs the module's real main() on the fake kernel."""

    def __init__(self, kernel: FakeKernel, capsys: pytest.CaptureFixture[str]) -> None:
        self.kernel = kernel
        self._capsys = capsys

    def __call__(self, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            kernel_config.main()
        result: dict[str, t.Any] = json.loads(self._capsys.readouterr().out)
        return {key: value for key, value in result.items() if key != "invocation"}

    def predicted(self, **options: t.Any) -> dict[str, t.Any]:
        """Run in check mode, which may touch nothing, then for real; both must say the same."""
        before = self.kernel.tree()
        foretold = self(check=True, **options)
        assert self.kernel.tree() == before
        result = self(**options)
        assert foretold == result
        return result

    def refused(self, **options: t.Any) -> str:
        """Run, which must fail without having changed anything."""
        before = self.kernel.tree()
        result = self(**options)
        assert self.kernel.tree() == before
        assert (result["failed"], result["actions"]) == (True, [])
        return str(result["msg"])


@pytest.fixture
def task(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Task:
    kernel = FakeKernel(tmp_path)
    kernel.write("/proc/sys/vm/swappiness", "60\n")
    kernel.brings["br_netfilter"] = {f"/proc/sys/{BRIDGE.replace('.', '/')}": "1\n"}
    monkeypatch.setattr(_module, "Host", lambda: kernel.host)
    monkeypatch.setattr(KernelConfig, "lock", staticmethod(no_lock))
    return Task(kernel, capsys)


def test_create_then_nothing_to_do_and_back(task: Task) -> None:
    result = task.predicted(**WISH)
    assert result["actions"] == [
        f"write {MODPROBE} (0644)",
        f"write {LOAD} (0644)",
        f"write {SYSCTL} (0644)",
        "load module br_netfilter",
        "load module tun",
        "set /proc/sys/net/bridge/bridge-nf-call-iptables to 0",
        "set /proc/sys/vm/swappiness to 10",
    ]
    assert result["files"][MODPROBE].endswith("# vfio\noptions vfio_pci disable_vga=1\n")
    assert task.kernel.read("/proc/sys/vm/swappiness") == "10\n"
    again = task.predicted(**WISH)
    assert (again["changed"], again["actions"], again["files"]) == (False, [], result["files"])
    assert task.predicted(**NOTHING)["actions"] == [f"remove {path}" for path in (MODPROBE, LOAD, SYSCTL)]
    assert task.predicted(**NOTHING)["changed"] is False
    assert task.kernel.read("/proc/sys/vm/swappiness") == "10\n", "what is set stays until the next boot"


def test_omitted_stays_empty_clears(task: Task) -> None:
    task(**WISH)
    assert task.predicted(sysctl=[])["actions"] == [f"remove {SYSCTL}"]
    assert task.predicted()["files"] == {}
    assert "tun" in task.kernel.read(LOAD)


def test_while_an_image_is_baked_only_files_are_written(task: Task) -> None:
    task.kernel.write("/lib/modules/6.1.0-1-amd64/modules.dep", "")
    result = task.predicted(**WISH, running=False)
    assert [action.split()[0] for action in result["actions"]] == ["write"] * 3
    assert (task.kernel.calls, task.kernel.read("/proc/sys/vm/swappiness")) == ([], "60\n")
    assert task.predicted(modules=["tun"], running=False)["changed"] is True


def test_drift_of_the_running_kernel_is_mended(task: Task) -> None:
    task(**WISH)
    task.kernel.write("/proc/sys/vm/swappiness", "60\n")
    assert task.predicted(**WISH)["actions"] == ["set /proc/sys/vm/swappiness to 10"]


def test_an_option_of_a_loaded_module_asks_for_one_reboot_that_proves_itself(task: Task) -> None:
    task.kernel.load("vfio_pci", disable_vga="N")
    options = {"modprobe_options": WISH["modprobe_options"]}
    result = task.predicted(**options)
    assert result["actions"][0] == f"write {LEDGER} (0644)", "the request comes before the change"
    request = result["requests"][0]
    assert (request["name"], request["requested_by"], request["status"]) == (
        "module-options",
        "vfio",
        "pending",
    )
    assert request["reason"].endswith("vfio_pci.disable_vga")
    assert task.predicted(**options)["requests"] == [request]
    assert task.predicted(**options)["changed"] is False
    task.kernel.boot("boot-2")
    task.kernel.load("vfio_pci", disable_vga="Y")
    result = task.predicted(**options)
    assert [item["status"] for item in result["requests"]] == ["fulfilled"], (
        "for a later task of a check mode run"
    )
    assert task.predicted(**options)["requests"] == []
    assert not (task.kernel.root / LEDGER[1:]).exists()


def test_an_option_that_a_reboot_did_not_bring_fails_and_asks_for_no_other(task: Task) -> None:
    task.kernel.load("vfio_pci", disable_vga="N")
    options = {"modprobe_options": WISH["modprobe_options"]}
    task(**options)
    task.kernel.boot("boot-2")
    result = task.predicted(**options)
    assert (result["requests"][0]["status"], result["changed"]) == ("failed", False)
    other = [{"module": "vfio_pci", "option": "disable_vga", "value": 0}]
    assert task.predicted(modprobe_options=other)["requests"][0]["status"] == "withdrawn", (
        "it is as wished now"
    )


def test_a_reboot_without_our_file_was_none_for_the_request(task: Task) -> None:
    task.kernel.load("vfio_pci", disable_vga="N")
    options = {"modprobe_options": WISH["modprobe_options"]}
    task(**options)
    (task.kernel.root / MODPROBE[1:]).unlink()
    task.kernel.boot("boot-2")
    result = task.predicted(**options)
    assert (result["requests"][0]["status"], result["requests"][0]["boot_id"]) == ("pending", "boot-2")


def test_an_option_that_cannot_be_seen_asks_for_a_reboot_when_it_changes(task: Task) -> None:
    task.kernel.load("vfio_pci")
    options = {"modprobe_options": [{"module": "vfio_pci", "option": "ids", "value": "10de:2330"}]}
    result = task.predicted(**options)
    assert (result["unseen"], result["requests"][0]["lacking"]) == (
        ["vfio_pci.ids"],
        ["the host has not booted since"],
    )
    assert result["requests"][0]["requested_by"] == "boot"
    again = task.predicted(**options)
    assert (again["changed"], again["requests"]) == (False, result["requests"])
    task.kernel.boot("boot-2")
    assert [item["status"] for item in task.predicted(**options)["requests"]] == ["fulfilled"]
    assert task.predicted(**options)["changed"] is False


@pytest.mark.parametrize("unreadable", [False, True])
def test_an_option_that_cannot_be_seen_waits_on_until_the_boot_is_one_with_it(
    task: Task, unreadable: bool
) -> None:
    """A trial that did not start boots what ran before: the wish must not be forgotten for that."""
    task.kernel.load("vfio_pci")
    options = {"modprobe_options": [{"module": "vfio_pci", "option": "ids", "value": "10de:2330"}]}
    task(**options)
    task.kernel.boot("" if unreadable else "boot-2")
    task.kernel.write("/proc/cmdline", "BOOT_IMAGE=/vmlinuz ro hearth.fallback\n")
    result = task.predicted(**options)
    status = "unknown" if unreadable else "failed"
    assert (result["changed"], [item["status"] for item in result["requests"]]) == (False, [status])


def test_what_is_taken_back_asks_for_nothing(task: Task) -> None:
    task.kernel.load("vfio_pci", disable_vga="N")
    task(modprobe_options=WISH["modprobe_options"])
    result = task.predicted(modprobe_options=[])
    assert [item["status"] for item in result["requests"]] == ["withdrawn"]
    assert not (task.kernel.root / LEDGER[1:]).exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"modules": ["nonsense"]},
            f"nonsense, wanted by this task, does not exist for the running kernel {RELEASE}",
        ),
        (
            {"sysctl": [{"key": BRIDGE, "value": 0}]},
            "does not exist on the running kernel. Remedy: declare the module",
        ),
        (
            {"modprobe_options": [{"module": "pci-stub", "option": "ids", "value": "1:1"}]},
            "declare the kernel argument pci_stub.ids=1:1",
        ),
        ({"modules": ["kvm kvm"]}, "a module is 'kvm kvm'"),
        ({"sysctl": [{"key": "vm.swappiness"}]}, "missing required arguments: value"),
    ],
)
def test_refusals_come_before_the_first_write(task: Task, options: dict[str, t.Any], words: str) -> None:
    before = task.kernel.tree()
    result = task(**options)
    assert words in result["msg"]
    assert (result["failed"], result.get("actions", []), task.kernel.tree()) == (True, [], before)


# dev-sec/ansible-collection-hardening#213
def test_regression_dev_sec_213_a_later_file_is_a_contradiction(task: Task) -> None:
    task.kernel.write("/etc/sysctl.d/99-hardening.conf", "vm.swappiness = 60\n")
    message = task.refused(sysctl=WISH["sysctl"][1:])
    assert "wanted by role kvm, and /etc/sysctl.d/99-hardening.conf" in message


# community.general#9051: its modprobe writes files in check mode and does not know that `-` and `_` are equal.
def test_regression_community_general_9051_one_module_spelled_twice_is_one_line(task: Task) -> None:
    task.predicted(modules=["vfio-pci", "vfio_pci"])
    assert task.kernel.read(LOAD).splitlines()[1:] == ["# site", "vfio_pci"]
    assert task.predicted(modules=["vfio_pci"])["changed"] is False


def test_an_unreadable_file_of_ours_is_unknown_and_stops(task: Task) -> None:
    (task.kernel.root / LOAD[1:]).mkdir(parents=True)
    assert "make /etc/modules-load.d/hearth.conf readable" in task.refused(modules=["tun"])


def test_a_kernel_that_makes_something_else_of_a_value_is_seen(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, b"11\n"))
    result = task(sysctl=WISH["sysctl"][1:])
    assert result["error"] == "VerifyError"
    assert ("vm.swappiness = 10" in result["expected"], "vm.swappiness = 11" in result["found"]) == (
        True,
        True,
    )


def test_sigkill_between_any_two_effects_and_the_next_run_converges(tmp_path: pathlib.Path) -> None:
    for effects in range(8):
        kernel = FakeKernel(tmp_path / str(effects))
        kernel.write("/proc/sys/vm/swappiness", "60\n")
        kernel.load("vfio_pci", disable_vga="N")
        kernel.brings["br_netfilter"] = {f"/proc/sys/{BRIDGE.replace('.', '/')}": "1\n"}
        params = {**WISH, "running": True}
        _killed(lambda kernel=kernel, params=params, effects=effects: _run(kernel, params, effects))
        result = _run(kernel, params, -1)
        assert result["requests"][0]["status"] == "pending", "the reboot is still known"
        assert _run(kernel, params, -1)["changed"] is False
        assert kernel.read("/proc/sys/vm/swappiness") == "10\n"


def _run(kernel: FakeKernel, params: dict[str, t.Any], dies_after: int) -> dict[str, t.Any]:
    gate = Gate(kernel.host, check_mode=False, lock=no_lock)
    perform = gate._perform

    def deadly(action: t.Any) -> None:
        if len(gate.actions) - 1 == dies_after:
            os.kill(os.getpid(), signal.SIGKILL)
        perform(action)

    gate._perform = deadly  # type: ignore[method-assign]
    return KernelConfig(params, kernel.host).execute(gate)


def _killed(call: t.Callable[[], object]) -> None:
    child = os.fork()
    if child == 0:
        try:
            call()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
